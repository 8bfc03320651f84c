"""The network's inputs: types from the model, symbols for unknown dimensions, fixed by the user's shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Union

from ..dims import Dim, identifier, symbol
from ..dtypes import DType
from ..errors import InputError, ModelError
from ..ir import OpaqueType, TensorType, ValueType
from .host import dtype_of

if TYPE_CHECKING:
    import onnx

#: What the user says of one dimension: a number fixes it, text names its symbol, None or −1 leaves it to the model.
UserDim = Union[int, str, None]
Shapes = Mapping[str, Union[Sequence[UserDim], None]]


def input_types(infos: Sequence[onnx.ValueInfoProto], shapes: Shapes) -> dict[str, ValueType]:
    """The type of every graph input. Equal dim_param names are one symbol; a number given for one fixes all."""
    names = [info.name for info in infos]
    for name in shapes:
        if name not in names:
            raise InputError(f"shapes names {name!r}, which is not an input", inputs=", ".join(names) or "none")
    wanted = {info.name: _stored_dims(info, shapes.get(info.name)) for info in infos}
    fixed: dict[str, int] = {}
    renamed: dict[str, str] = {}
    for info in infos:
        given, dims = shapes.get(info.name), wanted[info.name]
        for axis, (d, user) in enumerate(zip(dims, given, strict=True) if dims is not None and given else ()):
            _agree(info.name, axis, d, user, fixed, renamed)
    taken: dict[str, str] = {}
    result: dict[str, ValueType] = {}
    for info in infos:
        dims, dtype = wanted[info.name], dtype_of(info.type.tensor_type.elem_type)
        if dims is None or dtype is None:
            result[info.name] = OpaqueType(info.type.WhichOneof("value") or "unknown", dtype)
            continue
        shape: list[Dim] = []
        for d in dims:
            if isinstance(d, str) and d not in fixed and d not in taken:
                taken[d] = identifier(renamed.get(d, d), taken.values())
            shape.append(d if isinstance(d, int) else fixed[d] if d in fixed else symbol(taken[d]))
        t = TensorType(tuple(shape), dtype)
        result[info.name] = OpaqueType(str(t), dtype) if dtype is DType.string else t
    return result


def _stored_dims(info: onnx.ValueInfoProto, given: Sequence[UserDim] | None) -> list[int | str] | None:
    """Numbers and symbol names as stored; None for what is not a tensor of known rank."""
    t = info.type
    if t.WhichOneof("value") != "tensor_type":
        return None
    if not t.tensor_type.HasField("shape"):
        return None if given is None else [f"{info.name}_d{axis}" for axis in range(len(given))]
    dims: list[int | str] = []
    for axis, d in enumerate(t.tensor_type.shape.dim):
        if d.HasField("dim_value") and d.dim_value >= 0:
            if d.dim_value >= 1 << 48:
                raise ModelError(f"input {info.name!r} has the impossible dimension {d.dim_value} at axis {axis}")
            dims.append(d.dim_value)
        else:
            dims.append(d.dim_param or f"{info.name}_d{axis}")
    if given is not None and len(given) != len(dims):
        raise InputError(f"input {info.name!r} has {len(dims)} dimensions, shapes gives {len(given)}",
                         model=tuple(dims), shapes=tuple(given))
    return dims


def _agree(name: str, axis: int, d: int | str, user: UserDim, fixed: dict[str, int], renamed: dict[str, str]) -> None:
    """Notes what the user says of one dimension; InputError when it contradicts the model or itself."""
    if user is None or user == -1:
        return
    if isinstance(user, str):
        if isinstance(d, str):
            renamed[d] = user
        return
    if user < 0:
        raise InputError(f"input {name!r}, axis {axis}: {user} is not a dimension")
    stored = fixed.setdefault(d, int(user)) if isinstance(d, str) else d
    if stored != user:
        raise InputError(f"input {name!r}, axis {axis}: shapes gives {user}, it is {stored} in the model",
                         try_="give the model's number, or export the model with a dynamic dimension")
