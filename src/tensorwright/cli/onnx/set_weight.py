"""wright onnx set-weight: give a weight other values."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "give a weight other values"
DESCRIPTION = """Replace the values of an initialiser or of a Constant node by those of a .npy file, or by a number or a
list. Another shape or element type is taken when the model stays valid with it. --new adds an initialiser."""
EPILOG = """examples:
  wright onnx set-weight model.onnx conv1.weight conv1.npy -o new.onnx
  wright onnx set-weight model.onnx scale 0.5 --in-place
  wright onnx set-weight model.onnx w float64.npy --dtype same -o new.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("name", help="initialiser, Constant node or its result")
    parser.add_argument("values", help="a .npy file, a number, or a list such as [1,2]")
    parser.add_argument("--dtype", metavar="TYPE", help="convert to this element type; 'same': the weight's")
    parser.add_argument("--new", action="store_true", help="add a weight of this name")


def run(options: argparse.Namespace, console: Console) -> int:
    from .words import array

    def edit(model: Model) -> dict[str, Any]:
        import numpy as np

        from ... import onnx
        from ...onnx.structure import tensors
        values = array(options.values)
        if options.new:
            values = np.asarray(values)
            if options.dtype:
                values = tensors.cast(values, options.dtype, options.name)
            onnx.add_weight(model, options.name, values)
        else:
            onnx.set_weight(model, options.name, values, dtype=options.dtype)
        now = onnx.get_weight(model, options.name)
        dtype = tensors.named(tensors.data_type(now.dtype))
        console.say(f"{options.name}: {dtype} {list(now.shape)}")
        return {"name": options.name, "type": dtype, "shape": list(now.shape)}
    return change(options, console, edit)
