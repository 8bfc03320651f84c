"""One ONNX node as a lowering sees it: attributes with defaults, input values, and ways to add layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..errors import ModelError
from ..ir import Op
from ..ir.refittable import is_free, plain, reveal
from ..ops import Pointwise, Reshape, Slice, Transpose
from ..ops.expr import Const, Expr, In
from . import scalar
from .values import Decline, Value, axis_of, constant, whole_number

if TYPE_CHECKING:
    import onnx

    from .layers import LayerWriter

Build = Callable[..., Expr]


class Node:
    """A node of the model with its inputs resolved.

    op_type   the operator
    since     the version that defines this operator in the model's operator set
    opset     the model's operator set version
    label     for people: "Conv 'stem.0'"
    inputs    values, None where an optional input is absent
    """

    def __init__(self, proto: onnx.NodeProto, inputs: Sequence[Value | None], *, opset: int, since: int, name: str,
                 origin: str, writer: LayerWriter) -> None:
        self.proto, self.inputs, self.opset, self.since = proto, tuple(inputs), opset, since
        self.op_type: str = proto.op_type
        self.name, self.origin, self.writer = name, origin, writer
        self.label = f"{proto.op_type} {name!r}"
        self.attributes: dict[str, onnx.AttributeProto] = {a.name: a for a in proto.attribute}

    # ---- attributes -------------------------------------------------------------------------------------------

    def _attribute(self, name: str, kind: str, default: Any) -> Any:
        a = self.attributes.get(name)
        if a is None:
            return default
        import onnx
        if a.type != getattr(onnx.AttributeProto, kind) and a.type != onnx.AttributeProto.UNDEFINED:
            raise ModelError(f"attribute {name!r} has kind {onnx.AttributeProto.AttributeType.Name(a.type)}, "
                             f"{kind} is needed")
        return {"INT": lambda: a.i, "FLOAT": lambda: a.f, "STRING": lambda: a.s.decode("utf-8", "replace"),
                "INTS": lambda: tuple(a.ints), "FLOATS": lambda: tuple(a.floats), "TENSOR": lambda: a.t,
                "STRINGS": lambda: tuple(s.decode("utf-8", "replace") for s in a.strings), "GRAPH": lambda: a.g}[kind]()

    def integer(self, name: str, default: int | None = None) -> int:
        return self._required(name, self._attribute(name, "INT", default))

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self._attribute(name, "INT", default))

    def number(self, name: str, default: float) -> float:
        return self._attribute(name, "FLOAT", default)

    def text(self, name: str, default: str = "") -> str:
        return self._attribute(name, "STRING", default)

    def ints(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        return self._required(name, self._attribute(name, "INTS", default))

    def floats(self, name: str, default: tuple[float, ...] = ()) -> tuple[float, ...]:
        return self._attribute(name, "FLOATS", default)

    def strings(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        return self._attribute(name, "STRINGS", default)

    def graph(self, name: str) -> onnx.GraphProto:
        return self._required(name, self._attribute(name, "GRAPH", None))

    def has(self, name: str) -> bool:
        return name in self.attributes

    def _required(self, name: str, value: Any) -> Any:
        if value is None:
            raise ModelError(f"required attribute {name!r} is missing")
        return value

    # ---- inputs -----------------------------------------------------------------------------------------------

    def __getitem__(self, i: int) -> Value:
        """Input i, which must be present."""
        value = self.optional(i)
        if value is None:
            raise ModelError(f"required input {i} is missing")
        return value

    def optional(self, i: int) -> Value | None:
        return self.inputs[i] if i < len(self.inputs) else None

    def array(self, i: int) -> np.ndarray:
        """The content of a constant input; Decline when it is computed at run time."""
        value = self[i]
        if value.array is None:
            raise Decline(f"input {i} is computed at run time")
        return reveal(value.array)

    def dims(self, i: int) -> tuple[Dim, ...]:
        """The content of an input as dimensions, flat; Decline when it is computed at run time."""
        content = self[i].content
        if content is None:
            raise Decline(f"input {i} is computed at run time")
        return tuple(map(whole_number, content.reshape(-1)))

    def whole(self, i: int) -> tuple[int, ...]:
        """The content of an input as plain integers, flat."""
        found = self.dims(i)
        if not all(isinstance(d, int) for d in found):
            raise Decline(f"input {i} depends on the input shapes")
        return found  # type: ignore[return-value]

    def axes(self, rank: int, index: int = 1, name: str = "axes") -> tuple[int, ...] | None:
        """Axes given as an attribute or as input `index`: non-negative, sorted; None when not given."""
        if self.has(name):
            given = self.ints(name)
        elif self.optional(index) is not None:
            given = self.whole(index)
        else:
            return None
        axes = sorted(axis_of(a, rank) for a in given)
        if len(set(axes)) != len(axes):
            raise ModelError(f"axes {tuple(given)} repeat")
        return tuple(axes)

    def axis(self, rank: int, default: int | None = None) -> int:
        return axis_of(self.integer("axis", default), rank)

    def wants(self, i: int) -> bool:
        """Whether output i has a name."""
        return i < len(self.proto.output) and bool(self.proto.output[i])

    # ---- layers -----------------------------------------------------------------------------------------------

    def add(self, op: Op, *inputs: Value | None) -> Value:
        """Append a layer with one output (computed right away when all inputs are small constants)."""
        return self.writer.add(op, inputs, self.name, self.origin)[0]

    def add_many(self, op: Op, *inputs: Value | None) -> tuple[Value, ...]:
        return self.writer.add(op, inputs, self.name, self.origin)

    def pointwise(self, build: Build, *inputs: Value) -> Value:
        """The layer y = build(x0, x1, ...). Constants of one element become part of the expression."""
        rank = max((v.rank for v in inputs if not _is_scalar(v)), default=None)
        args: list[Expr] = []
        used: list[Value] = []
        for v in inputs:
            if rank is not None and _is_scalar(v) and v.rank <= rank:
                assert v.array is not None
                args.append(scalar.const(plain(v.array).reshape(()).item(), v.dtype))
            else:
                args.append(In(len(used), v.dtype))
                used.append(v)
        return self.expression(build(*args), *used)

    def expression(self, e: Expr, *inputs: Value) -> Value:
        if isinstance(e, Const) and not inputs:
            return constant(np.asarray(e.value, e.dtype.numpy))
        if isinstance(e, In) and len(inputs) == 1:
            return inputs[0]
        return self.add(Pointwise(e), *inputs)

    def cast(self, x: Value, dtype: DType) -> Value:
        return x if x.dtype == dtype else self.pointwise(lambda e: scalar.cast(e, dtype), x)

    def reshape(self, x: Value, shape: Sequence[Dim]) -> Value:
        return x if x.shape == tuple(shape) else self.add(Reshape(tuple(shape)), x)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        return x if list(perm) == list(range(x.rank)) else self.add(Transpose(tuple(perm)), x)

    def take(self, x: Value, axis: int, start: Dim, size: Dim) -> Value:
        """size elements of x from start on, along one axis."""
        if start == 0 and size == x.shape[axis]:
            return x
        starts: list[Dim] = [0] * x.rank
        sizes = list(x.shape)
        starts[axis], sizes[axis] = start, size
        return self.add(Slice(tuple(starts), tuple(sizes), (1,) * x.rank), x)

    def constant(self, array: Any, dtype: DType | None = None) -> Value:
        return constant(np.asarray(array, None if dtype is None else dtype.numpy), f"{self.name}.constant")


def _is_scalar(v: Value) -> bool:
    return v.array is not None and v.array.size == 1 and v.array.dtype.kind != "c" and not is_free(v.array)
