"""wright onnx tensor: the values of a weight."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ...files import whole_file
from ..console import OK, Console, size
from ..values import folder_for, whole
from .show import plural

if TYPE_CHECKING:
    import numpy as np

    from ...onnx import Statistics

HELP = "values and statistics of a weight"
DESCRIPTION = """Show an initialiser or a Constant node's tensor: type, shape, range, mean, percentiles, how many
elements are zero, NaN, infinite or denormal, a histogram, and the first values."""
EPILOG = """examples:
  wright onnx tensor model.onnx conv1.weight
  wright onnx tensor model.onnx conv1.weight --values 100
  wright onnx tensor model.onnx conv1.weight --save conv1.npy"""

WIDTH = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("tensor", help="name of the initialiser, or of the Constant node's result")
    parser.add_argument("--values", type=whole(0), default=8, metavar="N", help="print the first N values (default 8)")
    parser.add_argument("--bins", type=whole(1), default=16, metavar="N", help="bins of the histogram (default 16)")
    parser.add_argument("--save", type=Path, metavar="FILE.npy", help="write the values to a NumPy file")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    from ...onnx.look.inventory import storage_of
    from ...onnx.structure.tensors import named
    if options.save is not None:
        folder_for(options.save.parent, "make the folder, or give another place with --save")
    model = onnx.load(options.model)
    array = onnx.get_weight(model, options.tensor)
    stored = onnx.weights(model)
    tensor = stored.get(options.tensor) or stored[str(model.node(options.tensor).outputs[0].name)]
    found = onnx.statistics(array, options.bins)
    shape = tuple(array.shape)
    console.say(f"{options.tensor}: {named(tensor.dtype)} {shape}, {size(tensor.nbytes)}, {storage_of(tensor)}")
    report(found, console)
    first = [scalar(v) for v in array.reshape(-1)[: options.values]]
    if first:
        console.say(f"  first     {', '.join(str(v) for v in first)}")
    if options.save is not None:
        save(array, options.save)
        console.say(f"wrote {options.save}")
        console.result(saved=str(options.save))
    console.result(name=options.tensor, type=named(tensor.dtype), shape=list(shape), bytes=tensor.nbytes,
                   storage=storage_of(tensor), values=first, **asdict(found))
    return OK


def report(found: Statistics, console: Console) -> None:
    console.say(f"  elements  {found.count:,}: {found.zeros:,} zero, {found.nans:,} NaN, {found.infs:,} infinite, "
                f"{found.denormals:,} denormal")
    if found.min is None or found.max is None or found.mean is None or found.std is None:
        return
    console.say(f"  range     {found.min:.6g} to {found.max:.6g}, mean {found.mean:.6g}, "
                f"standard deviation {found.std:.6g}")
    if found.percentiles:
        console.say("  percent   " + ", ".join(f"{p}: {v:.6g}" for p, v in found.percentiles.items())
                    + (f" (of {plural(1 << 23, 'evenly spaced element')})" if found.sampled else ""))
    top, step = max(found.histogram), (found.max - found.min) / len(found.histogram)
    for i, count in enumerate(found.histogram):
        console.say(f"  {found.min + i * step:>11.4g}  {'█' * round(count / top * WIDTH):<{WIDTH}}  {count:,}")


def scalar(value: object) -> object:
    """A NumPy scalar as a plain number or text."""
    import numpy as np
    if isinstance(value, np.generic):
        plain = value.item()
        return plain if isinstance(plain, (bool, int, float, str)) else \
            float(value) if value.dtype.kind == "V" else str(plain)   # type: ignore[arg-type]
    return value


def save(array: np.ndarray, path: Path) -> None:
    """A .npy file; types that NumPy lacks are written as float32, which holds them exactly."""
    import numpy as np
    if array.dtype.kind == "V" or array.dtype.type.__module__ != "numpy":
        array = array.astype(np.float32)
    if array.dtype.kind == "O":
        array = array.astype(np.str_)
    with whole_file(path) as file:
        np.save(file, array, allow_pickle=False)
