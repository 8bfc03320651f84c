"""Adding layers: values become network names when a layer reads them; small constant work is done at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..dtypes import DType
from ..errors import TensorwrightError
from ..ir import NetworkEditor, Op, OpaqueType, TensorType, ValueType
from ..ir.refittable import is_free
from ..ops import Host, Pointwise, Reshape, ShapeVector, host_node
from ..ops.expr import In
from . import scalar
from .source import ModelSource
from .values import COMPUTABLE, SMALL, Decline, Value

if TYPE_CHECKING:
    import onnx


class LayerWriter:
    """Writes layers into a network under construction.

    largest   constants of at most this many elements are computed at once
    """

    largest = SMALL

    def __init__(self, editor: NetworkEditor, source: ModelSource) -> None:
        self.editor, self.source = editor, source
        self.derived: set[str] = set()                    # values computed from weights that are kept, and constants
        self._used: dict[str, int] = {}

    def tensor(self, stored: onnx.TensorProto) -> np.ndarray:
        """The content of a tensor attribute."""
        return self.source.array(stored)

    def dense(self, stored: onnx.SparseTensorProto) -> np.ndarray:
        """The content of a sparse tensor attribute, written out."""
        return self.source.dense(stored)

    def name(self, v: Value) -> str:
        """The value's name in the network; puts constants and shape values there on first use."""
        if v.name is None:
            if v.array is not None and v.array.dtype.kind in "OSUT":
                v.name = self._strings(v)
            elif v.array is not None:
                v.name = self.editor.constant(v.array, v.hint or "constant")
            else:
                assert v.dims is not None
                v.name = self._shape_value(v)
        return v.name

    def _strings(self, v: Value) -> str:
        """Constant strings have no memory of their own: a host step makes them."""
        import onnx
        tensor = onnx.numpy_helper.from_array(np.asarray(v.array, object))
        op = host_node(onnx.helper.make_node("Constant", [], ["strings"], value=tensor), {"": 13})
        hint = v.hint or "strings"
        return str(self.editor.add(op, name=hint, origin=(hint,), types=(OpaqueType(str(v.type), DType.string),)))

    def _shape_value(self, v: Value) -> str:
        """A tensor of dimensions: (n,) int64, then the shape and type the value has."""
        assert v.dims is not None
        dims, t, hint = tuple(v.dims.reshape(-1)), v.tensor, v.hint or "shape"
        if not all(d is not None and not isinstance(d, float) for d in dims):
            raise Decline(f"shape value {hint!r} mixes fractions and symbols")
        name = self.editor.add(ShapeVector(dims), name=hint, origin=(hint,))
        if t.rank != 1:
            name = self.editor.add(Reshape(t.shape), str(name), name=hint, origin=(hint,))
        if t.dtype is not DType.int64:
            cast = Pointwise(scalar.cast(In(0, DType.int64), t.dtype))
            name = self.editor.add(cast, str(name), name=hint, origin=(hint,))
        return str(name)

    def _title(self, name: str) -> str:
        """The name for the next layer of a node: numbered from the second on."""
        count = self._used[name] = self._used.get(name, -1) + 1
        return f"{name}.{count}" if count else name

    def add(self, op: Op, inputs: Sequence[Value | None], name: str, origin: str) -> tuple[Value, ...]:
        """Append a layer and infer its types. Decline for opaque inputs and types no kernel computes in."""
        types = [None if v is None else v.tensor for v in inputs]
        for t in types:
            if t is not None and t.dtype not in COMPUTABLE:
                raise Decline(f"no kernel takes element type {t.dtype}")
        if folded := self._fold(op, inputs, types):
            return folded
        return self._append(op, inputs, name, origin)

    def _append(self, op: Op, inputs: Sequence[Value | None], name: str, origin: str) -> tuple[Value, ...]:
        given = [None if v is None else self.name(v) for v in inputs]
        derived = any(v is not None and (is_free(v.array) or v.name in self.derived) for v in inputs) and all(
            n is None or n in self.editor.constants or n in self.derived for n in given)
        made = self.editor.add(op, *given, name=self._title(f"{name}/weights" if derived else name), origin=(origin,))
        if derived:
            self.derived.update([made] if isinstance(made, str) else made)
        return tuple(Value(self.editor.types[m], m) for m in ((made,) if isinstance(made, str) else made))

    def _is_small(self, v: Value | None) -> bool:
        """Whether a value is no obstacle to computing with it now: absent, or a constant that will not be replaced."""
        return v is None or (v.array is not None and v.array.size <= self.largest and not is_free(v.array))

    def _fold(self, op: Op, inputs: Sequence[Value | None], types: Sequence[TensorType | None]
              ) -> tuple[Value, ...] | None:
        """The results, when all inputs are small constants."""
        arrays = [None if v is None else v.array for v in inputs]
        if not all(map(self._is_small, inputs)) or op.symbols():
            return None
        inferred = op.infer(*types)
        results = inferred if isinstance(inferred, tuple) else (inferred,)
        if not all(isinstance(t, TensorType) and t.is_static and t.size <= self.largest for t in results):  # type: ignore[operator]
            return None
        try:
            computed = op.reference(*arrays)
        except TensorwrightError:
            raise
        except (ArithmeticError, ValueError, IndexError, TypeError):    # left to the run, which says where
            return None
        values = computed if isinstance(computed, (tuple, list)) else (computed,)
        return tuple(Value(t, array=np.asarray(a, t.dtype.numpy).reshape(t.shape))  # type: ignore[union-attr,arg-type]
                     for a, t in zip(values, results, strict=True))

    def folded_host(self, op: Host, inputs: Sequence[Value | None], random: bool) -> tuple[Value, ...] | None:
        """The results of a host step, when all its inputs are small constants and it gives small tensors."""
        arrays = [None if v is None else v.array for v in inputs]
        if random or not all(map(self._is_small, inputs)):
            return None
        try:
            results = op.reference(*arrays)
        except TensorwrightError:           # reported when it runs
            return None
        if not all(isinstance(y, np.ndarray) and y.size <= self.largest for y in results):
            return None
        return tuple(Value(TensorType(y.shape, DType.of(y)), array=y) for y in results)

    def add_host(self, op: Op, inputs: Sequence[Value | None], types: Sequence[ValueType], name: str, origin: str
                 ) -> tuple[Value, ...]:
        """Append a host step, which takes any value."""
        made = self.editor.add(op, *[None if v is None else self.name(v) for v in inputs], name=self._title(name),
                               origin=(origin,), types=tuple(types))
        return tuple(Value(self.editor.types[m], m) for m in ((made,) if isinstance(made, str) else made))
