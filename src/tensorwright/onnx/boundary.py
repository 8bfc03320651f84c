"""The model's inputs and outputs as its user has them: other element types, other orders of axes.

    set_type(model, "image", "uint8", scale=1 / 255)      a Cast and a Mul behind the input
    set_layout(model, "image", "NHWC")                    a Transpose behind the input
    set_type(model, "classes", "int32")                   a Cast before the output
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from .edit import edit
from .fold import fix_initialisers, stored
from .model import Model
from .rewire import Names

if TYPE_CHECKING:
    import onnx_ir


@edit
def set_type(model: Model, name: str, dtype: str, *, scale: float | None = None, offset: float | None = None) -> None:
    """Give an input or output another element type; its name stays, and the model computes in its old type.

    scale, offset   of an input: the model reads input · scale + offset
    Raises          ModelError for types that Cast does not know, and for inputs that are initialisers as well.
    """
    import onnx_ir
    fix_initialisers(model)
    value, is_input = place(model, name)
    new = element_type(dtype)
    if value.dtype is None or value.dtype == onnx_ir.DataType.STRING or new == onnx_ir.DataType.STRING:
        raise ModelError(f"{name!r} is not a tensor of numbers", at=model.label)
    if (scale is not None or offset is not None) and not is_input:
        raise ModelError(f"{name!r} is an output; scale and offset are for inputs", at=model.label)
    old, names = value.dtype, Names(model)
    if old == new and scale is None and offset is None:
        return
    if not is_input:
        result = before_output(model, value, names)
        cast = onnx_ir.node("Cast", [result], {"to": int(new)}, name=names.fresh(f"{name}_cast"))
        give_output(model, value, cast, name, result.shape, new)
        return
    steps: list[onnx_ir.Node] = []
    last: onnx_ir.Value = value
    if old != new:
        steps.append(onnx_ir.node("Cast", [last], {"to": int(old)}, name=names.fresh(f"{name}_cast")))
        last = typed(steps[-1], names.fresh(f"{name}_{old.name.lower()}"), value.shape, old)
    for op, number, what in (("Mul", scale, "scaled"), ("Add", offset, "shifted")):
        if number is None:
            continue
        if not old.is_floating_point():
            raise ModelError(f"the model reads {name!r} as {old.name.lower()}: scale and offset need a floating-point "
                             "input", at=model.label)
        tensor = onnx_ir.tensor(np.array(number).astype(old.numpy()), name=names.fresh(f"{name}_{what}_by"))
        constant = stored(model.graph, model.graph[0], str(tensor.name), tensor)
        steps.append(onnx_ir.node(op, [last, constant], name=names.fresh(f"{name}_{op.lower()}")))
        last = typed(steps[-1], names.fresh(f"{name}_{what}"), value.shape, old)
    behind_input(model, value, steps, last)
    value.type = onnx_ir.TensorType(new)


@edit
def set_layout(model: Model, name: str, layout: str, *, current: str = "NCHW") -> None:
    """Give an input or output another order of axes; its name stays, and inside the model the order stays, too.

    layout    the order the user has, "NHWC"; current: the order the model has. One letter per axis.
    """
    import onnx_ir
    value, is_input = place(model, name)
    if sorted(layout) != sorted(current) or len(set(current)) != len(current):
        raise ModelError(f"layout {layout!r} is not an order of the axes {current!r}", at=model.label)
    if value.shape is None or len(value.shape) != len(current):
        rank = "an unknown number of" if value.shape is None else len(value.shape)
        raise ModelError(f"{name!r} has {rank} axes, {current!r} names {len(current)}", at=model.label,
                         try_=f"current={'NCHW'[:len(value.shape or ())]!r}, or the letters that fit")
    if layout == current:
        return
    names, old = Names(model), value.shape
    order = [current.index(axis) for axis in layout]     # of the user's axes in the model's
    dims = [old[k] for k in order]
    if is_input:
        back = [layout.index(axis) for axis in current]
        step = onnx_ir.node("Transpose", [value], {"perm": back}, name=names.fresh(f"{name}_transpose"))
        behind_input(model, value, [step], typed(step, names.fresh(f"{name}_{current.lower()}"), old, value.dtype))
        value.shape = onnx_ir.Shape(dims)
        return
    result = before_output(model, value, names)
    step = onnx_ir.node("Transpose", [result], {"perm": order}, name=names.fresh(f"{name}_transpose"))
    give_output(model, value, step, name, onnx_ir.Shape(dims), value.dtype)


def place(model: Model, name: str) -> tuple[onnx_ir.Value, bool]:
    """The input or output of this name, and whether it is an input."""
    for value in model.inputs:
        if value.name == name:
            return value, True
    for value in model.outputs:
        if value.name == name:
            return value, False
    raise ModelError(f"{name!r} is neither an input nor an output", at=model.label,
                     try_=", ".join(str(v.name) for v in (*model.inputs, *model.outputs)))


def element_type(dtype: str) -> onnx_ir.DataType:
    import onnx_ir
    known = {"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype, dtype.upper().replace("FLOAT8_", "FLOAT8"))
    try:
        return onnx_ir.DataType[known]
    except KeyError:
        raise ModelError(f"there is no element type {dtype!r}",
                         try_="float32, float16, bfloat16, uint8, int8, int32, int64, bool, ...") from None


def typed(node: onnx_ir.Node, name: str, shape: Any, dtype: Any) -> onnx_ir.Value:
    import onnx_ir
    value = node.outputs[0]
    value.name, value.shape = name, shape
    value.type = None if dtype is None else onnx_ir.TensorType(dtype)
    return value


def behind_input(model: Model, value: onnx_ir.Value, steps: list[onnx_ir.Node], last: onnx_ir.Value) -> None:
    """What has read the input reads the last of the steps, which read the input."""
    uses = [(n, i) for n, i in value.uses() if n not in steps]
    model.graph.insert_before(model.graph[0], steps) if len(model.graph) else model.graph.extend(steps)
    for node, index in uses:
        node.replace_input_with(index, last)
    for graph in model.graphs():
        if any(result is value for result in graph.outputs):
            raise ModelError(f"input {value.name!r} is an output as well", at=model.label,
                             try_="insert an Identity first")


def before_output(model: Model, value: onnx_ir.Value, names: Names) -> onnx_ir.Value:
    """The output's tensor, under another name: the output's own is for the step that comes."""
    if value.producer() is None:
        raise ModelError(f"output {value.name!r} is an input or a weight as well", at=model.label,
                         try_="insert an Identity first")
    value.name = names.fresh(f"{value.name}_inside")
    return value


def give_output(model: Model, old: onnx_ir.Value, step: onnx_ir.Node, name: str, shape: Any, dtype: Any) -> None:
    made = typed(step, name, shape, dtype)
    model.graph.append(step)
    for k, value in enumerate(model.graph.outputs):
        if value is old:
            model.graph.outputs[k] = made
