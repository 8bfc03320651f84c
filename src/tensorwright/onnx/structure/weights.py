"""Reading and changing weights: initialisers and Constant nodes alike, whatever their type and form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..check import problems
from ..edit import edit, settle_later
from ..model import Model
from . import tensors
from .settle import settle
from .walk import named, readers, value_of

if TYPE_CHECKING:
    import onnx_ir

    from .walk import TensorKey

#: The attributes of Constant that hold bare values, by element type and rank.
BARE = {("FLOAT", 0): "value_float", ("FLOAT", 1): "value_floats",
        ("INT64", 0): "value_int", ("INT64", 1): "value_ints",
        ("STRING", 0): "value_string", ("STRING", 1): "value_strings"}


def weights(model: Model) -> dict[str, onnx_ir.TensorProtocol]:
    """Name → content of every initialiser and every Constant node's result, in the order of the graphs; not copied."""
    found: dict[str, onnx_ir.TensorProtocol] = {}
    for name, value in model.values().items():
        if (content := tensors.constant(value)) is not None:
            found[name] = content
    return found


def get_weight(model: Model, name: TensorKey) -> np.ndarray:
    """The values of an initialiser or of a Constant node: an array of the weight's shape.

    Element types that NumPy lacks are those of ml_dtypes (bfloat16, float8_e4m3fn, int4, ...; 4-bit values one per
    element), strings are objects. The array may be a view of the mapped file: copy it before writing into it.
    Raises    ModelError when there is no such tensor, or it is computed when the model runs.
    """
    return tensors.array(_content(model, _weight(model, name)))


@edit
def set_weight(model: Model, name: TensorKey, values: Any, *, dtype: str | None = None) -> None:
    """Give a weight other values; all nodes that read it see them.

    values   an array, a number, or (nested) lists. An array's element type becomes the weight's; plain Python numbers
             and lists take the type that the weight has.
    dtype    the element type to convert values to; "same" for the type the weight has
    Raises   ModelError when values do not fit the type, or when another shape or element type does not fit the nodes
             that read the weight.
    A Constant node keeps its form (value_float, value_ints, ...) while the values fit it, else they go to `value`.
    """
    import onnx_ir
    value = _weight(model, name)
    old = _content(model, value)
    what = f"weight {value.name!r}"
    plain = not isinstance(values, (np.ndarray, np.generic))
    try:
        given = np.asarray(values, object if old.dtype == onnx_ir.DataType.STRING and plain else None)
    except ValueError as error:
        raise ModelError(f"{what}: the values are not an array: {error}", at=model.label) from None
    if given.dtype.kind == "V" and given.dtype.names is None and old.dtype.numpy().itemsize == given.dtype.itemsize:
        given = given.view(old.dtype.numpy())             # bfloat16 and its kind, as .npy files hold them
    if dtype is not None or plain:
        given = tensors.cast(given, old.dtype if dtype in (None, "same") else str(dtype), what)
    new = tensors.tensor(given, value.name)
    new.doc_string = old.doc_string
    before = (old.dtype, tuple(old.shape.numpy()))
    _put(value, new)
    after = (new.dtype, tuple(new.shape.numpy()))
    if before != after or new.dtype in (onnx_ir.DataType.INT64, onnx_ir.DataType.INT32):
        value.type, value.shape = onnx_ir.TensorType(new.dtype), onnx_ir.Shape(after[1])
        if model.edit_depth > 1:
            settle_later(model)                          # among other edits: the end of them all decides
            return
        reason = _misfit(model)
        if reason is not None:
            raise ModelError(f"{what} cannot become {_kind(*after)} in place of {_kind(*before)}: {reason}",
                             at=model.label, readers=readers(value),
                             try_='dtype="same" converts the values' if before[0] != after[0] else None)


def _misfit(model: Model) -> str | None:
    try:
        settle(model)
    except ModelError as error:
        return error.what
    return problems(model)[1]


def _weight(model: Model, key: TensorKey) -> onnx_ir.Value:
    """The tensor of this name that is constant, or the result of the Constant node of this name."""
    if isinstance(key, str) and key not in model.values():
        for node in model.find("Constant"):
            if node.name == key:
                return node.outputs[0]
    return value_of(model, key)


def _content(model: Model, value: onnx_ir.Value) -> onnx_ir.TensorProtocol:
    content = tensors.constant(value)
    if content is None:
        made = value.producer()
        source = f"{named(made)} computes it" if made is not None else "the user feeds it"
        inputs = [v.name for v in (made.inputs if made is not None else ()) if v and tensors.constant(v) is not None]
        raise ModelError(f"{value.name!r} is not a weight: {source}", at=model.label,
                         try_="its weights: " + ", ".join(map(repr, inputs)) if inputs else None)
    return content


def _put(value: onnx_ir.Value, new: onnx_ir.TensorProtocol) -> None:
    import onnx_ir
    node = value.producer()
    if node is None:
        value.const_value = new
        return
    (old, stored), = node.attributes.items()
    bare = BARE.get((new.dtype.name, len(new.shape)))
    if old != "value" and bare == old:
        content = tensors.array(new)
        held = content.item() if content.ndim == 0 else tuple(content.tolist())
        node.attributes[old] = onnx_ir.Attr(old, stored.type, held)
    else:
        del node.attributes[old]
        new.name = value.name
        node.attributes["value"] = onnx_ir.AttrTensor("value", new)


def _kind(dtype: onnx_ir.DataType, shape: tuple[int, ...]) -> str:
    return f"{tensors.named(dtype)} {list(shape)}"
