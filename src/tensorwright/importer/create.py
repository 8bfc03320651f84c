"""Tensors made from parameters: constants, fills, ramps, masks; and shapes as tensors."""

from __future__ import annotations

from math import ceil

import numpy as np

from ..dims import Dim, ceildiv
from ..dtypes import DType
from ..errors import ModelError, ShapeError
from ..ops import Fill, Iota
from ..ops.expr import Const, Expr
from . import scalar
from .host import dtype_of
from .node import Node
from .registry import operator
from .scalar import call
from .slicing import at_least_zero
from .values import COMPUTABLE, Decline, Value, axis_of, constant, known


@operator("Constant")
def constant_(n: Node) -> Value:
    a = n.attributes
    if "value" in a:
        return constant(n.writer.tensor(a["value"].t), n.name)
    if "sparse_value" in a:
        return constant(n.writer.dense(a["sparse_value"].sparse_tensor), n.name)
    forms = {"value_int": ("i", np.int64), "value_ints": ("ints", np.int64), "value_float": ("f", np.float32),
             "value_floats": ("floats", np.float32)}
    for name, (member, kind) in forms.items():
        if name in a:
            return constant(np.array(getattr(a[name], member), kind), n.name)
    if "value_string" in a:
        return constant(np.array(n.text("value_string"), object), n.name)
    if "value_strings" in a:
        return constant(np.array(n.strings("value_strings"), object), n.name)
    raise ModelError("a constant without a value")


@operator("ConstantOfShape")
def constant_of_shape(n: Node) -> Value:
    shape = n.dims(0)
    if any(isinstance(d, int) and d < 0 for d in shape):
        raise ShapeError(f"shape {shape} is negative")
    value = n.writer.tensor(n.attributes["value"].t).reshape(-1) if n.has("value") else np.zeros(1, np.float32)
    if value.size != 1:
        raise ModelError(f"value has {value.size} elements, one is needed")
    dtype = DType.of(value)
    if dtype not in COMPUTABLE:
        raise Decline(f"no kernel writes {dtype}")
    return n.add(Fill(shape, value[0].item(), dtype))


@operator("Shape", any_type=True)
def shape(n: Node) -> Value:
    """The dimensions as shape values: no layer until something needs them as a tensor."""
    dims = n[0].shape
    start, end = n.integer("start", 0), n.integer("end", len(dims))
    start, end = (max(0, min(len(dims), b + len(dims) if b < 0 else b)) for b in (start, end))
    return known(as_objects(dims[start:end]), DType.int64)


def as_objects(dims: tuple[Dim, ...] | list[Dim]) -> np.ndarray:
    result = np.empty(len(dims), object)
    result[:] = list(dims)
    return result


@operator("Size", any_type=True)
def size(n: Node) -> Value:
    return known(as_objects([n[0].tensor.size]).reshape(()), DType.int64)


@operator("Range")
def range_(n: Node) -> Value:
    """start, start + delta, ... up to limit; integers may depend on the input shapes."""
    dtype = n[0].dtype
    if dtype.is_float:
        start, limit, delta = (float(n.array(i).reshape(())) for i in range(3))
        if delta == 0:
            raise ModelError("delta is 0")
        count = max(ceil((limit - start) / delta), 0)
        return n.add(Iota((count,), 0, dtype, start, delta))
    (first,), (last,), (step,) = n.dims(0), n.dims(1), n.dims(2)
    if not isinstance(step, int):
        raise Decline("the step depends on the input shapes")
    if step == 0:
        raise ModelError("delta is 0")
    found = ceildiv(last - first, step) if step > 0 else ceildiv(first - last, -step)
    return n.add(Iota((at_least_zero(found),), 0, dtype, first, step))


@operator("EyeLike")
def eye_like(n: Node) -> Value:
    x, k = n[0], n.integer("k", 0)
    if x.rank != 2:
        raise ShapeError(f"a matrix is needed, not {x.type}")
    dtype = dtype_of(n.integer("dtype")) if n.has("dtype") else x.dtype
    if dtype not in COMPUTABLE:
        raise Decline(f"no kernel writes {dtype}")
    row, column = coordinates(n, x.shape)
    return n.pointwise(lambda i, j: scalar.cast(call("eq", j, scalar.add(i, k)), dtype), row, column)


def coordinates(n: Node, shape: tuple[Dim, ...]) -> tuple[Value, Value]:
    """The row (…, 1) and column (1, …) index of the elements of matrices."""
    return (n.add(Iota((shape[-2], 1), 0, DType.int64)), n.add(Iota((1, shape[-1]), 1, DType.int64)))


@operator("Trilu")
def trilu(n: Node) -> Value:
    """The triangle on and above (upper), or on and below, diagonal k; 0 elsewhere."""
    x, upper = n[0], n.flag("upper", True)
    if x.rank < 2:
        raise ShapeError(f"matrices are needed, not {x.type}")
    k = n.whole(1)[0] if n.optional(1) is not None else 0
    row, column = coordinates(n, x.shape)
    zero = scalar.const(0, x.dtype)

    def build(e: Expr, i: Expr, j: Expr) -> Expr:
        return scalar.where(call("ge" if upper else "le", j, scalar.add(i, k)), e, zero)
    return n.pointwise(build, x, row, column)


@operator("OneHot")
def one_hot(n: Node) -> Value:
    """`on` where an index equals the position along the new axis, else `off`; negative indices count from the end."""
    indices, values = n[0], n[2]
    (depth,) = n.dims(1)
    axis = axis_of(n.integer("axis", -1), indices.rank + 1)
    if values.rank != 1 or (isinstance(values.shape[0], int) and values.shape[0] != 2):
        raise ShapeError(f"values are {values.type}; (off, on) is needed")
    wide = n.reshape(n.cast(indices, DType.int64), [*indices.shape[:axis], 1, *indices.shape[axis:]])
    place = n.add(Iota(tuple(depth if i == axis else 1 for i in range(indices.rank + 1)), axis, DType.int64))
    if isinstance(depth, int):
        number: Value = n.constant(depth, DType.int64)
    else:
        number = known(as_objects([depth]).reshape(()), DType.int64)
    off, on = (n.reshape(n.take(values, 0, i, 1), ()) for i in (0, 1))

    def build(e: Expr, p: Expr, d: Expr, a: Expr, b: Expr) -> Expr:
        wrapped = scalar.where(call("lt", e, Const(0, DType.int64)), scalar.add(e, d), e)
        return scalar.where(call("eq", wrapped, p), b, a)
    return n.pointwise(build, wide, place, number, off, on)
