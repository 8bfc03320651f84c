"""ONNX models → networks: one function per ONNX operator, defaults and operator-set differences end here."""

from __future__ import annotations

import os
from typing import Any

from ..errors import ModelError, TensorwrightError
from ..ir import Network
from .inputs import Shapes

__all__ = ["load"]

#: Errors that speak of a defect of ours when the model that meets them is a good one.
OURS = (AssertionError, AttributeError, ImportError, NameError, NotImplementedError)


def load(model: str | os.PathLike[str] | bytes | Any, shapes: Shapes | None = None,
         base_dir: str | os.PathLike[str] | None = None, plugins_first: bool = False,
         values_are_sizes: bool = False, keep_weights: bool = False) -> Network:
    """The network of an ONNX model.

    model     a path, the bytes of a file, or a ModelProto
    shapes    input name → dimensions: an int fixes a dynamic dimension, None or −1 leaves it, text names its symbol
    base_dir  the folder of external data; by default the folder the model lies in
    keep_weights    constants that decide no shape are Refittable, under the names they have in the model, and nothing
                    is computed from them now
    plugins_first   a plugin registered by the name of a standard operator takes its place
    values_are_sizes   inputs that give sizes to other operators (Reshape, Resize, ...) decide the shapes of an engine:
                       their values are symbols, and profiles must bound them (ir.value_inputs)

    ModelError when the model is damaged or inconsistent, InputError when shapes contradicts it, ShapeError and
    TypeMismatch when operands of a node do not fit. Unnamed dynamic dimensions get symbols "<input>_d<axis>"; a
    symbol stands for a number ≥ 1.
    """
    from . import families
    from .graph import GraphImporter
    from .source import load_model

    assert families.COUNT, "no lowering is registered"
    source = load_model(model, base_dir)
    try:
        return GraphImporter(source, plugins_first, keep_weights).network(shapes or {}, values_are_sizes)
    except TensorwrightError:
        raise
    except Exception as error:              # a model is untrusted: what it makes fail is its own fault
        if isinstance(error, OURS) and is_consistent(source.proto):
            raise
        raise ModelError(f"the model is inconsistent: {type(error).__name__}: {error}", at=source.label,
                         try_="check it with onnx.checker.check_model") from error


def is_consistent(proto: Any) -> bool:
    """Whether onnx's own checker has nothing against the model."""
    import onnx
    try:
        onnx.checker.check_model(proto)
    except Exception:                       # the checker's error, or whatever else such a model does to it
        return False
    return True
