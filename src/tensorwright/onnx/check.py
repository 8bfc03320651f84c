"""Is a model valid, and what are its tensors' types: onnx's checker and shape inference, without the weights.

Both get the model's skeleton (storage.skeleton), so a model of many gigabytes costs no more than its graph.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import ModelError
from .model import Model
from .storage import skeleton

if TYPE_CHECKING:
    import onnx

log = logging.getLogger("tensorwright")


def problem(model: Model) -> str | None:
    """What onnx's checker or its strict type and shape inference says is wrong with the model; None: nothing."""
    return next((p for p in problems(model) if p is not None), None)


def problems(model: Model) -> tuple[str | None, str | None]:
    """What onnx's checker says is wrong, and what its strict type and shape inference does; None: nothing."""
    import onnx

    from .propagation import may_propagate
    try:
        proto = skeleton(model)
    except ModelError as error:
        return error.what, None
    found: list[str | None] = []
    for look in (lambda: onnx.checker.check_model(proto), lambda: onnx.shape_inference.infer_shapes(
            proto, check_type=True, strict_mode=True, data_prop=may_propagate(model))):
        try:
            look()
            found.append(None)
        except Exception as error:                       # they raise several types of their own, and ValueError
            found.append(plain(str(error)))
    return found[0], found[1]


def check(model: Model) -> None:
    """ModelError when the model is not valid."""
    if found := problem(model):
        raise ModelError(f"the model is not valid: {found}", at=model.label)


def infer(model: Model, *, afresh: bool = False) -> None:
    """Fill in the types and shapes of all tensors that onnx's inference knows.

    afresh   forget the shapes of everything but graph inputs and initialisers first: after a change of input shapes.
             Types of values that inference knows nothing of (results of custom operators) are kept.
    Raises   ModelError when shapes contradict each other.
    """
    import onnx
    import onnx_ir

    from .propagation import may_propagate

    proto = skeleton(model)
    if afresh:
        _forget(proto)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=False, strict_mode=True,
                                                     data_prop=may_propagate(model))
    except Exception as error:
        raise ModelError(f"shapes do not fit together: {plain(str(error))}", at=model.label) from error
    values = model.values()
    for info in (*inferred.graph.value_info, *inferred.graph.output):
        value = values.get(info.name)
        if value is None or not info.HasField("type") or value.is_graph_input():
            continue
        found = onnx_ir.from_proto(info)
        if found.type is not None:
            value.type = found.type
        if found.shape is not None:
            value.shape = found.shape


def _forget(proto: onnx.ModelProto) -> None:
    import onnx
    known = {o for n in proto.graph.node if onnx.defs.has(n.op_type, n.domain) for o in n.output}
    kept = [i for i in proto.graph.value_info if i.name not in known]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(kept)
    for info in proto.graph.output:
        if info.name in known and info.type.HasField("tensor_type"):
            info.type.tensor_type.ClearField("shape")


def plain(message: str) -> str:
    """A checker's message without the stack and source lines it is wrapped in."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and not line.startswith("==>")]
    return " ".join(lines)[:500] or "no reason given"
