"""Symbolic integers of decorated plugins: sizes to compute with, and arguments of compiled kernels.

They hold dimensions of ours (an int or a `dims.Expr`); None is a fake, which stands for a size where none is known yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Union

from ....dims import Dim, ceildiv, floordiv, maximum, minimum, product
from ..exprs import IDimensionExpr, equal, less

Number = Union[int, "SymIntExpr"]


class SymExpr:
    """The base of symbolic values."""

    def __add__(self, other: Any) -> Any:
        raise NotImplementedError

    def __sub__(self, other: Any) -> Any:
        raise NotImplementedError

    def __mul__(self, other: Any) -> Any:
        raise NotImplementedError

    def __floordiv__(self, other: Any) -> Any:
        raise NotImplementedError

    def __eq__(self, other: object) -> Any:
        raise NotImplementedError

    def __lt__(self, other: Any) -> Any:
        raise NotImplementedError

    __hash__ = object.__hash__

    @property
    def is_constant(self) -> bool:
        raise NotImplementedError

    @property
    def constant_value(self) -> Any:
        raise NotImplementedError


class SymIntExpr(SymExpr):
    """A symbolic integer. Operators take integers and symbolic integers; == and < give 1 or 0, symbolic too."""

    def __init__(self, value: int | IDimensionExpr | SymIntExpr | None = None) -> None:
        self._dim: Dim | None = dim_of(value)

    def _made(self, meaning: Callable[[Dim, Dim], Dim], first: Any, second: Any) -> Any:
        a, b = dim_of(first), dim_of(second)
        made = type(self)() if not isinstance(self, ShapeExpr) else ShapeExpr()
        made._dim = None if a is None or b is None else meaning(a, b)
        return made

    def __add__(self, other: Number) -> Any:
        return self._made(lambda a, b: a + b, self, other)

    def __sub__(self, other: Number) -> Any:
        return self._made(lambda a, b: a - b, self, other)

    def __mul__(self, other: Number) -> Any:
        return self._made(lambda a, b: a * b, self, other)

    def __floordiv__(self, other: Number) -> Any:
        return self._made(floordiv, self, other)

    def __radd__(self, other: int) -> Any:
        return self + other

    def __rsub__(self, other: int) -> Any:
        return self._made(lambda a, b: a - b, other, self)

    def __rmul__(self, other: int) -> Any:
        return self * other

    def __rfloordiv__(self, other: int) -> Any:
        return self._made(floordiv, other, self)

    def __eq__(self, other: object) -> Any:
        return self._made(equal, self, other)

    def __lt__(self, other: Number) -> Any:
        return self._made(less, self, other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        """Of a constant. ValueError for others: their truth is not known before shapes are set."""
        return bool(self.constant_value())

    @property
    def is_constant(self) -> bool:
        return isinstance(self._dim, int)

    def constant_value(self) -> int:  # type: ignore[override]
        """ValueError when it is not constant."""
        if not isinstance(self._dim, int):
            raise ValueError(f"{self!r} is not constant")
        return self._dim

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'?' if self._dim is None else self._dim})"


class SymInt8(SymIntExpr):
    """A symbolic integer that a kernel takes as int8."""


class SymInt16(SymIntExpr):
    """A symbolic integer that a kernel takes as int16."""


class SymInt32(SymIntExpr):
    """A symbolic integer that a kernel takes as int32."""

    def __call__(self) -> SymInt32:
        """Itself."""
        return self


class ShapeExpr(SymInt32):
    """A size. Fake while only ranks are known: ask `is_fake` before `is_constant`."""

    def __init__(self, value: int | IDimensionExpr | SymIntExpr | None = None) -> None:
        super().__init__(value)
        self._declared = isinstance(value, (IDimensionExpr, ShapeExpr)) and (
            value.is_size_tensor() if isinstance(value, IDimensionExpr) else value.is_size_tensor)

    def __bool__(self) -> bool:
        return bool(self.constant_value())

    @property
    def is_fake(self) -> bool:
        return self._dim is None

    @property
    def is_size_tensor(self) -> bool:
        return self._declared

    @property
    def is_constant(self) -> bool:
        """ValueError for a fake, of which nobody knows."""
        if self.is_fake:
            raise ValueError("a fake ShapeExpr is neither constant nor not: ask is_fake first")
        return isinstance(self._dim, int)

    def constant_value(self) -> int:  # type: ignore[override]
        return super().constant_value()


class SymExprs(Sequence):
    """Symbolic values in order."""

    _kind: type[SymExpr] = SymIntExpr

    def __init__(self, length: int) -> None:
        self._items: list[Any] = [None] * length

    @classmethod
    def _of(cls, items: Sequence[Any]) -> Any:
        made = cls(len(items))
        for i, item in enumerate(items):
            made[i] = item
        return made

    @staticmethod
    def from_tuple(shape_exprs: tuple[Any, ...]) -> SymExprs:
        """Of symbolic values and integers; those become SymInt32."""
        made: SymExprs = SymExprs._of(shape_exprs)
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __setitem__(self, index: int, expr: Any) -> None:
        self._items[index] = SymInt32(expr) if isinstance(expr, int) else _checked(expr, self._kind)


class SymIntExprs(SymExprs):
    """Symbolic integers in order: the arguments of a compiled kernel."""

    @staticmethod
    def from_tuple(shape_exprs: tuple[Any, ...]) -> SymIntExprs:
        made: SymIntExprs = SymIntExprs._of(shape_exprs)
        return made

    def __setitem__(self, index: int, value: Any) -> None:
        super().__setitem__(index, value)


class ShapeExprs(SymExprs):
    """A shape of ShapeExpr; integers may be assigned."""

    _kind = ShapeExpr

    def __init__(self, length: int, _is_dummy: bool = False) -> None:
        if not 0 <= length <= 8:
            raise ValueError(f"a shape has at most 8 dimensions, not {length}")
        super().__init__(length)
        self._items = [ShapeExpr() for _ in range(length)]

    @staticmethod
    def from_tuple(shape_exprs: tuple[Any, ...]) -> ShapeExprs:
        made: ShapeExprs = ShapeExprs._of(shape_exprs)
        return made

    def numel(self) -> ShapeExpr:
        """How many elements it has."""
        made = ShapeExpr()
        dims = [e._dim for e in self._items]
        made._dim = None if any(d is None for d in dims) else product(d for d in dims if d is not None)
        return made

    def __setitem__(self, index: int, value: Any) -> None:
        self._items[index] = ShapeExpr(value) if isinstance(value, int) else _checked(value, ShapeExpr)


def dim_of(value: Any) -> Dim | None:
    """The dimension that a value stands for; None for a fake. TypeError for what stands for none."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, (IDimensionExpr, SymIntExpr)):
        return value._dim
    raise TypeError(f"an integer or a symbolic integer is needed, not {type(value).__name__}")


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} or int is needed, not {type(value).__name__}")
    return value


def _of_two(meaning: Callable[[Dim, Dim], Dim], first: Any, second: Any) -> ShapeExpr:
    if isinstance(first, int) and isinstance(second, int):
        raise ValueError("one of the two must be a ShapeExpr: for integers there are Python's own functions")
    made: ShapeExpr = ShapeExpr()._made(meaning, first, second)
    return made


def cdiv(first: int | ShapeExpr, second: int | ShapeExpr) -> ShapeExpr:
    """The quotient, rounded up. ValueError when both are integers."""
    return _of_two(ceildiv, first, second)


def largest(first: int | ShapeExpr, second: int | ShapeExpr) -> ShapeExpr:
    """The greater of the two. ValueError when both are integers."""
    return _of_two(maximum, first, second)


def smallest(first: int | ShapeExpr, second: int | ShapeExpr) -> ShapeExpr:
    """The lesser of the two. ValueError when both are integers."""
    return _of_two(minimum, first, second)
