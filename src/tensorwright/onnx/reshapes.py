"""Shapes that are computed although they are known but for the dynamic dimensions.

    Reshape(x, Concat(Gather(Shape(x), 0), [12], [64]))     → Reshape(x, [0, 12, 64])
    Expand(token, Concat(Gather(Shape(x), 0), [-1, 8]))     stays: only x knows how often
    Resize(x, sizes = Concat(…, Shape(x)[2:] · 2))          → Resize(x, scales = [1, 1, 2, 2])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..dims import Dim, floordiv, product
from ..ir import TensorType
from .edit import edit
from .fold import fix_initialisers, stored
from .meaning import STANDARD, Meaning, constant_tensor
from .model import Model
from .rewire import Names, label, remove_unread

if TYPE_CHECKING:
    pass


@edit
def constant_shapes(model: Model, *, meaning: Meaning | None = None) -> list[str]:
    """Write the shapes of Reshape, and the scales of Resize, as constants where they can be. Names of those nodes.

    meaning   one that has read the model, when the caller has it
    """
    import onnx_ir
    fix_initialisers(model)
    known, names, done = meaning or Meaning(model).walk(), Names(model), []
    for node in model.nodes:
        index = {"Reshape": 1, "Resize": 3}.get(node.op_type)
        if node.domain not in STANDARD or index is None or len(node.inputs) <= index:
            continue
        given, x = node.inputs[index], node.inputs[0]
        if given is None or x is None or constant_tensor(given) is not None:
            continue
        content, t = known.of(given).content, known.of(x).type
        if content is None or content.ndim != 1 or not isinstance(t, TensorType):
            continue
        if node.op_type == "Reshape":
            numbers = reshape_numbers(list(content), t.shape)
            if numbers is None:
                continue
            if 0 in numbers:
                node.attributes.pop("allowzero", None)   # no entry means "no elements"
            tensor = onnx_ir.tensor(np.array(numbers, np.int64), name=names.fresh(f"{label(node)}_shape"))
            node.replace_input_with(1, stored(node.graph, node, str(tensor.name), tensor))
        else:
            scales = whole_scales(list(content), t.shape)
            if scales is None or "axes" in node.attributes or (
                    (policy := node.attributes.get("keep_aspect_ratio_policy")) is not None
                    and policy.as_string() != "stretch"):
                continue
            tensor = onnx_ir.tensor(np.array(scales, np.float32), name=names.fresh(f"{label(node)}_scales"))
            node.replace_input_with(3, None)
            node.replace_input_with(2, stored(node.graph, node, str(tensor.name), tensor))
        if (maker := given.producer()) is not None:
            remove_unread(model, [maker])
        done.append(label(node))
    return done


def reshape_numbers(shape: Sequence[object], x: Sequence[Dim]) -> list[int] | None:
    """A shape of numbers and symbols as Reshape takes it: 0 where x has the same dimension there, −1 at most once."""
    numbers: list[int] = []
    for axis, d in enumerate(shape):
        if isinstance(d, int):
            if d == 0:
                return None                              # 0 elements would become "as x has it"
            numbers.append(d)
        elif axis < len(x) and x[axis] == d:
            numbers.append(0)
        else:
            numbers.append(-1)
    if numbers.count(-1) > 1:
        return None
    if numbers.count(0) == 1 and -1 not in numbers:      # the usual spelling of a dynamic batch
        numbers[numbers.index(0)] = -1
    return numbers


def whole_scales(sizes: Sequence[object], x: Sequence[Dim]) -> list[float] | None:
    """Integer ratios of sizes to dimensions; None when one is not an integer for all sizes of x."""
    scales: list[float] = []
    for size, d in zip(sizes, x, strict=False):
        ratio = floordiv(size, d) if not isinstance(d, int) or d > 0 else 0  # type: ignore[arg-type]
        if not isinstance(ratio, int) or ratio < 1 or product((ratio, d)) != size:
            return None
        scales.append(float(ratio))
    return scales if len(sizes) == len(x) else None
