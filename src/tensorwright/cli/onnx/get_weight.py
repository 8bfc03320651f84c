"""wright onnx get-weight: a weight's values, into a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..console import OK, Console

HELP = "list the weights, or write one into a .npy file"
DESCRIPTION = """Without NAME: every initialiser and Constant node with its type and shape. With NAME and -o: its values
as a NumPy file. Types that NumPy lacks are written as raw bytes of their size, which set-weight takes back; --as
converts. `wright onnx tensor` shows values and statistics."""
EPILOG = """examples:
  wright onnx get-weight model.onnx
  wright onnx get-weight model.onnx conv1.weight -o conv1.npy"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("name", nargs="?", help="initialiser, Constant node or its result")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.npy", help="write the values there")
    parser.add_argument("--as", dest="dtype", metavar="TYPE", help="element type to convert to, such as float32")


def run(options: argparse.Namespace, console: Console) -> int:
    import numpy as np

    from ... import onnx
    from ...onnx.structure import tensors
    from ..console import UsageError
    model = onnx.load(options.model)
    if options.name is None:
        if options.output is not None:
            raise UsageError("which weight? NAME is missing")
        found = {name: (tensors.named(t.dtype), list(t.shape.numpy())) for name, t in onnx.weights(model).items()}
        console.table([["name", "type", "shape"], *([n, d, str(s)] for n, (d, s) in found.items())])
        console.result(weights={n: {"type": d, "shape": s} for n, (d, s) in found.items()})
        return OK
    values = onnx.get_weight(model, options.name)
    if options.dtype:
        values = tensors.cast(values, options.dtype, options.name)
    dtype = tensors.named(tensors.data_type(values.dtype))
    console.say(f"{options.name}: {dtype} {list(values.shape)}")
    console.result(name=options.name, type=dtype, shape=list(values.shape))
    if options.output is not None:
        with options.output.open("wb") as file:
            np.save(file, values.astype(str) if values.dtype == object else values, allow_pickle=False)
        console.say(f"wrote {options.output}")
        console.result(output=str(options.output))
    return OK
