"""Pointwise expressions: a DAG of scalar functions over broadcast inputs.

What epilogues, reductions and free-standing element-wise kernels share. One printer per target turns an expression
into machine code; `evaluate` gives its NumPy meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Union

import numpy as np

from ..dtypes import DType


@dataclass(frozen=True)
class In:
    """Operand number `index`, of type dtype."""

    index: int
    dtype: DType

    def __str__(self) -> str:
        return f"${self.index}"


@dataclass(frozen=True)
class Const:
    """A scalar constant. value is a Python float, int or bool; NaN and infinities allowed."""

    value: float | int | bool
    dtype: DType

    def __str__(self) -> str:
        return f"{self.value:g}" if isinstance(self.value, float) else str(self.value)

    def __eq__(self, other: object) -> bool:     # NaN equals NaN, 0.0 differs from -0.0, 1 differs from 1.0
        return isinstance(other, Const) and (repr(self.value), self.dtype) == (repr(other.value), other.dtype)

    def __hash__(self) -> int:
        return hash((repr(self.value), self.dtype))


@dataclass(frozen=True)
class Apply:
    """A function of FUNCTIONS applied to expressions. dtype is the result's type.

    Arguments of arithmetic functions all have the result's type; comparisons and isnan/isinf give bool;
    "where" takes (bool, t, t); "cast" converts its argument to dtype.
    """

    fn: str
    args: tuple[Expr, ...]
    dtype: DType
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:            # hashed once: expressions share nodes, a recursive hash would not end
        object.__setattr__(self, "_hash", hash((self.fn, self.args, self.dtype)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Apply) and self._hash == other._hash and self.fn == other.fn
                                 and self.dtype == other.dtype and self.args == other.args)

    def __str__(self) -> str:
        infix = {"add": "+", "sub": "-", "mul": "*", "div": "/"}.get(self.fn)
        if infix:
            return f"({self.args[0]} {infix} {self.args[1]})"
        name = f"cast<{self.dtype}>" if self.fn == "cast" else self.fn
        return f"{name}({', '.join(map(str, self.args))})"


Expr = Union[In, Const, Apply]


def _erf(x: np.ndarray) -> np.ndarray:
    import math
    return np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype) if x.size else x


def _truncating_div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Division as ONNX defines it: integers round towards zero; x / 0 is 0 for integers (C leaves it undefined)."""
    if a.dtype.kind in "iub":
        safe = np.where(b == 0, np.ones_like(b), b)
        quotient = np.floor_divide(a, safe)
        fix = (np.remainder(a, safe) != 0) & ((a < 0) != (b < 0))
        return np.where(b == 0, np.zeros_like(a), np.where(fix, quotient + 1, quotient)).astype(a.dtype)
    return np.divide(a, b)


def _integer_mod(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    safe = np.where(b == 0, np.ones_like(b), b) if a.dtype.kind in "iu" else b
    return np.where(b == 0, np.zeros_like(a), np.mod(a, safe)) if a.dtype.kind in "iu" else np.mod(a, b)


def _integer_fmod(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    safe = np.where(b == 0, np.ones_like(b), b) if a.dtype.kind in "iu" else b
    return np.where(b == 0, np.zeros_like(a), np.fmod(a, safe)) if a.dtype.kind in "iu" else np.fmod(a, b)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


def _shift(fn: Callable) -> Callable:
    def apply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        bits = a.dtype.itemsize * 8
        return np.where(b < bits, fn(a, np.minimum(b, bits - 1)), 0).astype(a.dtype)
    return apply


#: name → (number of arguments, NumPy meaning). Floats follow IEEE-754; min, max propagate NaN; round is half to even.
FUNCTIONS: dict[str, tuple[int, Callable[..., np.ndarray]]] = {
    "add": (2, np.add), "sub": (2, np.subtract), "mul": (2, np.multiply), "div": (2, _truncating_div),
    "mod": (2, _integer_mod), "fmod": (2, _integer_fmod), "pow": (2, np.power),
    "min": (2, np.minimum), "max": (2, np.maximum),
    "neg": (1, np.negative), "abs": (1, np.abs), "sign": (1, np.sign),
    "floor": (1, np.floor), "ceil": (1, np.ceil), "round": (1, np.rint), "trunc": (1, np.trunc),
    "sqrt": (1, np.sqrt), "rsqrt": (1, lambda x: 1 / np.sqrt(x)), "recip": (1, lambda x: 1 / x),
    "exp": (1, np.exp), "expm1": (1, np.expm1), "log": (1, np.log), "log1p": (1, np.log1p),
    "sin": (1, np.sin), "cos": (1, np.cos), "tan": (1, np.tan),
    "asin": (1, np.arcsin), "acos": (1, np.arccos), "atan": (1, np.arctan),
    "sinh": (1, np.sinh), "cosh": (1, np.cosh), "tanh": (1, np.tanh),
    "asinh": (1, np.arcsinh), "acosh": (1, np.arccosh), "atanh": (1, np.arctanh),
    "erf": (1, _erf), "sigmoid": (1, _sigmoid), "softplus": (1, lambda x: np.logaddexp(x, np.zeros_like(x))),
    "eq": (2, np.equal), "ne": (2, np.not_equal), "lt": (2, np.less), "le": (2, np.less_equal),
    "gt": (2, np.greater), "ge": (2, np.greater_equal),
    "and": (2, np.logical_and), "or": (2, np.logical_or), "xor": (2, np.logical_xor), "not": (1, np.logical_not),
    "bitand": (2, np.bitwise_and), "bitor": (2, np.bitwise_or), "bitxor": (2, np.bitwise_xor),
    "bitnot": (1, np.bitwise_not), "shl": (2, _shift(np.left_shift)), "shr": (2, _shift(np.right_shift)),
    "isnan": (1, np.isnan), "isinf": (1, np.isinf),
    "where": (3, np.where), "cast": (1, lambda x: x),
}


def evaluate(e: Expr, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """The NumPy meaning of e over broadcastable arrays."""
    memo: dict[int, np.ndarray] = {}

    def walk(node: Expr) -> np.ndarray:
        if id(node) not in memo:
            match node:
                case In(index=i):
                    value = np.asarray(inputs[i])
                case Const(value=v, dtype=t):
                    value = np.asarray(v, dtype=t.numpy)
                case Apply(fn=fn, args=args, dtype=t):
                    value = np.asarray(FUNCTIONS[fn][1](*map(walk, args))).astype(t.numpy, copy=False)
            memo[id(node)] = value
        return memo[id(node)]

    with np.errstate(all="ignore"):
        return walk(e)


def substitute(e: Expr, inputs: Sequence[Expr]) -> Expr:
    """e with In(i) replaced by inputs[i]. Shared nodes stay shared."""
    memo: dict[int, Expr] = {}

    def walk(node: Expr) -> Expr:
        if id(node) not in memo:
            match node:
                case In(index=i):
                    memo[id(node)] = inputs[i]
                case Const():
                    memo[id(node)] = node
                case Apply(fn=fn, args=args, dtype=t):
                    memo[id(node)] = Apply(fn, tuple(map(walk, args)), t)
        return memo[id(node)]

    return walk(e)


def operands(e: Expr) -> tuple[In, ...]:
    """The inputs e reads, each once, by index."""
    found: dict[int, In] = {}
    seen: set[int] = set()
    stack: list[Expr] = [e]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, In):
            found[node.index] = node
        elif isinstance(node, Apply):
            stack.extend(node.args)
    return tuple(found[i] for i in sorted(found))


def size(e: Expr) -> int:
    """Number of distinct function applications."""
    seen: set[Expr] = set()
    stack: list[Expr] = [e]
    while stack:
        node = stack.pop()
        if isinstance(node, Apply) and node not in seen:
            seen.add(node)
            stack.extend(node.args)
    return len(seen)
