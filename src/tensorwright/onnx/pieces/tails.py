"""What comes behind a classifier: probabilities, the best class, the best few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import ModelError
from ..model import Model
from ..seam import described
from .writer import Writer, floating, pick, shape_of


def softmax(model: Model, output: str | None = None, *, axis: int | None = None, name: str = "probabilities") -> Model:
    """The softmax of an output over the classes, in the output's shape and type.

    output   the one it is for; the only one when None
    axis     of the classes; when None: 1 for (batch, classes) and (batch, classes, height, width)
    """
    value, shape, at = _classes(model, output, axis)
    floating(model, value)
    writer = Writer("softmax", model)
    x = writer.input(value.name, int(value.dtype), shape)
    writer.output(writer.node("Softmax", x, axis=at), name, int(value.dtype), shape)
    return writer.model()


def argmax(model: Model, output: str | None = None, *, axis: int | None = None, top: int | None = None) -> Model:
    """The number of the largest class: `classes` int64, without the classes' axis; the first one where several are.

    top   the best so many instead, best first: `scores` and `classes`, with `top` entries on the classes' axis
    """
    import onnx

    value, shape, at = _classes(model, output, axis)
    writer = Writer("argmax" if top is None else "top", model)
    x = writer.input(value.name, int(value.dtype), shape)
    if top is None:
        y = writer.node("ArgMax", x, axis=at, keepdims=0)
        writer.output(y, "classes", onnx.TensorProto.INT64, [d for i, d in enumerate(shape) if i != at])
        return writer.model()
    if top < 1 or (isinstance(shape[at], int) and top > shape[at]):
        raise ModelError(f"the best {top} of {shape[at]} classes cannot be taken", at=model.label)
    scores, classes = writer.nodes_of("TopK", [x, writer.constant([top])], 2, axis=at)
    few = [top if i == at else d for i, d in enumerate(shape)]
    writer.output(scores, "scores", int(value.dtype), few)
    writer.output(classes, "classes", onnx.TensorProto.INT64, few)
    return writer.model()


def _classes(model: Model, output: str | None, axis: int | None) -> tuple[Any, Sequence[Any], int]:
    value = pick(model, output, "output")
    shape = shape_of(model, value)
    if axis is None:
        if len(shape) not in (2, 4):
            raise ModelError(f"{value.name!r} is {described(value)}: it is not clear which axis is the classes",
                             at=model.label, try_="axis=...")
        axis = 1
    if not -len(shape) <= axis < len(shape):
        raise ModelError(f"{value.name!r} is {described(value)} and has no axis {axis}", at=model.label)
    return value, shape, axis % len(shape)
