"""Sizes as expressions, with which a plugin says the shapes of its outputs before any is known.

An IDimensionExpr holds a dimension of ours (an int or a `dims.Expr`); IExprBuilder computes with them exactly. A size
tensor (a size that only the plugin's own run tells) is a symbol that no input has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ...dims import Dim, ceildiv, evaluate, floordiv, maximum, minimum, symbol, symbols
from ..enums import DimensionOperation, PluginArgDataType, PluginArgType
from ..foundation import Closed

#: What IDimensionExpr.get_constant_value says of one that is not constant, as TensorRT does.
NOT_CONSTANT = -(1 << 63)


def equal(a: Dim, b: Dim) -> Dim:
    return 1 - minimum(1, maximum(a - b, b - a))


def less(a: Dim, b: Dim) -> Dim:
    return minimum(1, maximum(0, b - a))


_MEANING: dict[DimensionOperation, Callable[[Dim, Dim], Dim]] = {
    DimensionOperation.SUM: lambda a, b: a + b, DimensionOperation.PROD: lambda a, b: a * b,
    DimensionOperation.SUB: lambda a, b: a - b, DimensionOperation.MAX: maximum, DimensionOperation.MIN: minimum,
    DimensionOperation.EQUAL: equal, DimensionOperation.LESS: less,
    DimensionOperation.FLOOR_DIV: floordiv, DimensionOperation.CEIL_DIV: ceildiv}


class IDimensionExpr(Closed):
    """A size: a constant, a size of an input, or computed from such. Made by IExprBuilder, given for inputs."""

    def __init__(self, dim: Dim, is_size_tensor: bool = False) -> None:
        self._dim, self._declared = dim, is_size_tensor
        self._closed = True

    def is_constant(self) -> bool:
        return isinstance(self._dim, int)

    def get_constant_value(self) -> int:
        """The constant; the least 64-bit integer when it is none."""
        return self._dim if isinstance(self._dim, int) else NOT_CONSTANT

    def is_size_tensor(self) -> bool:
        return self._declared

    def __repr__(self) -> str:
        return f"<IDimensionExpr {self._dim}>"


class DimsExprs(Closed):
    """A shape of IDimensionExpr: DimsExprs(), DimsExprs(expressions), or DimsExprs(size) to be filled."""

    def __init__(self, dims: Iterable[IDimensionExpr] | int = (), /) -> None:
        self._dims: list[Any] = [None] * dims if isinstance(dims, int) else [_checked(d) for d in dims]
        self._closed = True

    def __len__(self) -> int:
        return len(self._dims)

    def __getitem__(self, index: int) -> IDimensionExpr:
        found: IDimensionExpr = self._dims[index]
        return found

    def __setitem__(self, index: int, item: IDimensionExpr) -> None:
        self._dims[index] = _checked(item)

    def __repr__(self) -> str:
        return f"<DimsExprs ({', '.join('?' if d is None else str(d._dim) for d in self._dims)})>"


def _checked(item: Any) -> IDimensionExpr:
    if not isinstance(item, IDimensionExpr):
        raise TypeError(f"a dimension is an IDimensionExpr, not {type(item).__name__}: use IExprBuilder.constant")
    return item


@dataclass(frozen=True)
class SizeTensor:
    """A size that run time computes: which output gives it, what to expect, and what it never exceeds."""

    output: int
    opt: Dim
    upper: Dim

    @property
    def name(self) -> str:
        return f"size_that_output_{self.output}_gives"


class IExprBuilder(Closed):
    """Makes and computes IDimensionExpr."""

    def __init__(self) -> None:
        self._declared: dict[str, SizeTensor] = {}
        self._closed = True

    def constant(self, value: int) -> IDimensionExpr:
        return self._class(IDimensionExpr)(int(value))

    def operation(self, op: DimensionOperation, first: IDimensionExpr, second: IDimensionExpr) -> IDimensionExpr:
        """ZeroDivisionError for a division by the constant 0. EQUAL and LESS give 1 or 0."""
        a, b = _checked(first)._dim, _checked(second)._dim
        if op in (DimensionOperation.FLOOR_DIV, DimensionOperation.CEIL_DIV) and b == 0:
            raise ZeroDivisionError(f"{op} of {a} by 0")
        return self._class(IDimensionExpr)(_MEANING[op](a, b))

    def declare_size_tensor(self, output_index: int, opt: IDimensionExpr, upper: IDimensionExpr) -> IDimensionExpr:
        """The size that the plugin will write, when it runs, to its output of this index: a tensor of rank 0 and type
        INT32 or INT64, at most `upper`."""
        size = SizeTensor(int(output_index), _checked(opt)._dim, _checked(upper)._dim)
        if size.name in self._declared:
            raise ValueError(f"output {output_index} is declared as a size tensor twice")
        self._declared[size.name] = size
        return self._class(IDimensionExpr)(symbol(size.name), True)


def value_of(dim: Dim, env: dict[str, int]) -> int | None:
    """The size under env; None when it depends on what env does not name."""
    return evaluate(dim, env) if symbols(dim) <= env.keys() else None


class ISymExpr(Closed):
    """A symbolic argument of a compiled kernel: type and dtype say how it is passed, expr its value. Write only."""

    def __init__(self) -> None:
        self._type, self._dtype = PluginArgType.INT, PluginArgDataType.INT32
        self._expr: Any = None

    def _hidden(self) -> Any:
        raise AttributeError("this attribute of an ISymExpr can be written, not read")

    type = property(_hidden, lambda self, value: object.__setattr__(self, "_type", value))
    dtype = property(_hidden, lambda self, value: object.__setattr__(self, "_dtype", value))
    expr = property(_hidden, lambda self, value: object.__setattr__(self, "_expr", value))


class ISymExprs(Closed):
    """A list of ISymExpr of settable length."""

    def __init__(self) -> None:
        self._items: list[ISymExpr | None] = []
        self._closed = True

    @property
    def nbSymExprs(self) -> int:
        return len(self._items)

    @nbSymExprs.setter
    def nbSymExprs(self, count: int) -> None:
        if count < 0:
            raise ValueError(f"{count} expressions cannot be")
        self._items = (self._items + [None] * count)[:count]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> ISymExpr | None:
        return self._items[index]

    def __setitem__(self, index: int, sym_expr: ISymExpr) -> None:
        if not isinstance(sym_expr, ISymExpr):
            raise TypeError(f"an ISymExpr is needed, not {type(sym_expr).__name__}")
        self._items[index] = sym_expr


class _Argument:
    """An attribute that is an ISymExpr."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self if obj is None else getattr(obj, self.name)

    def __set__(self, obj: Any, value: ISymExpr) -> None:
        if not isinstance(value, ISymExpr):
            raise TypeError(f"{self.name[1:]} is an ISymExpr, not {type(value).__name__}")
        setattr(obj, self.name, value)


class KernelLaunchParams(Closed):
    """How a compiled kernel is launched: blocks of the grid, threads of a block, bytes of shared memory."""

    grid_x, grid_y, grid_z = _Argument(), _Argument(), _Argument()
    block_x, block_y, block_z = _Argument(), _Argument(), _Argument()
    shared_mem = _Argument()

    def __init__(self) -> None:
        for name in ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z", "shared_mem"):
            setattr(self, name, self._class(ISymExpr)())
        self._closed = True
