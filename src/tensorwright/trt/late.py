"""Layers whose operands have sizes that data decide: written like any other, over symbols that the run will bind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..dims import Dim, symbol, symbols
from ..errors import ShapeError
from ..ir import OpaqueType, TensorType, ValueType
from ..ops import Late
from .layer import ILayer, Lowering
from .nesting import Inside

if TYPE_CHECKING:
    from .tensor import ITensor

#: Where a plan remembers what is known of the shape of an output whose sizes data decide.
PARTIAL_SHAPE = "partial shape/"
_PREFIX = "late__"


class LateInside(Inside):
    """The records of one layer, apart. Operands of a known rank are tensors there, with symbols for unknown sizes."""

    def capture(self, outside: str) -> str:
        t = self.outer.editor.types[outside]
        if isinstance(t, TensorType):
            return super().capture(outside)
        if t.dims is None or t.dtype is None:
            raise ShapeError(f"{outside!r} is {t}: a layer needs a tensor of known rank")
        inner = self.editor.fresh(outside)
        count = len(self.captured)
        shape = tuple(symbol(f"{_PREFIX}{count}_{axis}") if d is None else d for axis, d in enumerate(t.dims))
        self.captured[inner] = outside
        return self.editor.input(inner, TensorType(shape, t.dtype))


def written_late(layer: ILayer, to: Lowering) -> list[str]:
    """Write a layer as an operator that is evaluated when its operands are there; the values of its outputs."""
    inside = LateInside(to, set(), True)
    operands = [None if t is None else inside.find(t) for t in layer._inputs]
    results = layer._results(inside, operands)
    body = inside.body([], results)
    types = tuple(_tensor(inside.editor.types[name]) for name in body.inputs)
    names = layer._names(to)
    to.editor.add(Late(body, types), *inside.captured.values(), name=layer.name, outputs=names,
                  types=tuple(outside_of(inside.editor.types[r]) for r in results))
    return names


def _tensor(t: ValueType) -> TensorType:
    if not isinstance(t, TensorType):
        raise ShapeError(f"{t}: a layer needs a tensor of known rank")
    return t


def outside_of(t: ValueType) -> ValueType:
    """A type inside, as it is seen outside: sizes that only the run knows are unknown."""
    if not isinstance(t, TensorType):
        return t
    shape = tuple(None if any(s.startswith(_PREFIX) for s in symbols(d)) else d for d in t.shape)
    if all(d is not None for d in shape):
        return t
    return OpaqueType(f"{t.dtype} ({', '.join('?' if d is None else str(d) for d in shape)})", t.dtype, shape)


def partial(shape: Sequence[Dim | None]) -> tuple[int, ...]:
    """A shape as scripts see it: -1 for what is not known."""
    return tuple(d if isinstance(d, int) else -1 for d in shape)


def partial_shapes(outputs: Sequence[ITensor]) -> dict[str, str]:
    """Metadata: what is known of the outputs' shapes."""
    found: dict[str, str] = {}
    for tensor in outputs:
        t: Any = tensor._type()
        if isinstance(t, OpaqueType) and t.dims is not None:
            found[PARTIAL_SHAPE + tensor.name] = ",".join(map(str, partial(t.dims)))
    return found
