"""The base of all operators: what they promise, and how their parameters hold symbols."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..dims import Dim, Expr, evaluate, substitute, symbols
from .types import TensorType, ValueType


@dataclass(frozen=True)
class Cost:
    """Work of one execution. flops: arithmetic operations; bytes: memory read and written if nothing is cached."""

    flops: Dim = 0
    bytes: Dim = 0


@dataclass(frozen=True)
class Op:
    """An operator: frozen parameters, a shape rule, a NumPy meaning and a cost. Subclasses are frozen dataclasses.

    Parameters are ints, floats, bools, strings, bytes, None, dimensions, DTypes, other frozen dataclasses of the
    package, and tuples of these: so an operator is hashable, prints itself and can be written to a plan.
    """

    types_are_given: ClassVar[bool] = False      # True: outputs' types are given where a layer is added, not inferred

    has_effect: ClassVar[bool] = False           # True: it is not dropped though nobody reads what it gives

    def infer(self, *inputs: TensorType | None) -> ValueType | tuple[ValueType, ...]:
        """Output types from input types (None for an absent optional input). ShapeError or TypeMismatch."""
        raise NotImplementedError(type(self).__name__)

    def reference(self, *inputs: np.ndarray | None) -> Any:
        """The meaning, in plain NumPy: one array, or a tuple of them. Parameters must be free of symbols."""
        raise NotImplementedError(type(self).__name__)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        """Default: one operation per output element, every operand touched once."""
        touched: Dim = 0
        for t in (*inputs, *outputs):
            if t is not None:
                touched = touched + t.size * t.dtype.itemsize
        flops: Dim = 0
        for t in outputs:
            flops = flops + t.size
        return Cost(flops, touched)

    @property
    def on_host(self) -> str:
        """Why it runs on the host whatever its operands are; "" when kernels may compute it."""
        return ""

    def ready(self) -> None:
        """PlanError when what it needs to run, beside its parameters, is not in this process."""

    def session(self) -> Any:
        """What each context keeps of this operator from run to run, made when it first runs there; None: nothing.

        Its run(op, inputs, targets) takes the place of `reference`. op: this operator with its symbols bound; targets:
        arrays that outputs may be written into, or None. It ends with its last reference.
        """
        return None

    @property
    def repeatable(self) -> bool:
        """Whether equal inputs give equal outputs: only then is it computed once for all, or while building."""
        return True

    def bind(self, env: Mapping[str, Dim]) -> Op:
        """This operator with symbols in its parameters replaced by env's values."""
        return map_dims(self, lambda d: substitute(d, env)) if self.symbols() else self

    def symbols(self) -> frozenset[str]:
        found: set[str] = set()

        def meet(d: Expr) -> Expr:
            found.update(symbols(d))
            return d

        map_dims(self, meet)
        return frozenset(found)

    def __str__(self) -> str:
        shown = []
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.default is not dataclasses.MISSING and value == f.default:
                continue
            text = f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
            shown.append(f"{f.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"


def map_dims(x: Any, f: Any) -> Any:
    """x with f applied to every symbolic dimension inside it (tuples and frozen dataclasses are walked)."""
    if isinstance(x, Expr):
        return f(x)
    if isinstance(x, tuple):
        new = tuple(map_dims(item, f) for item in x)
        return x if all(a is b for a, b in zip(new, x, strict=True)) else new
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        changed = {}
        for field in dataclasses.fields(x):
            if field.init:
                old = getattr(x, field.name)
                new = map_dims(old, f)
                if new is not old:
                    changed[field.name] = new
        return dataclasses.replace(x, **changed) if changed else x
    return x


def bind_type(t: TensorType, env: Mapping[str, int]) -> TensorType:
    return TensorType(tuple(evaluate(d, env) for d in t.shape), t.dtype)
