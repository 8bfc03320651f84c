"""What must hold while a network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import InputError
from ..ir import Op, TensorType, ValueType

_HOLD: ContextVar[bool] = ContextVar("assertions hold", default=True)


@dataclass(frozen=True)
class Assertion(Op):
    """No output: the run fails when an element of the condition is False

    Inputs  condition, bool of any shape.
    Params  message: what the error says.
    Errors  InputError.
    """

    message: str
    types_are_given: ClassVar[bool] = True
    has_effect: ClassVar[bool] = True

    @property
    def on_host(self) -> str:
        return "it may end the run"

    def infer(self, *inputs: TensorType | None) -> ValueType | tuple[ValueType, ...]:
        return ()

    def reference(self, *inputs: np.ndarray | None) -> tuple[()]:
        condition = np.asarray(inputs[0])
        if _HOLD.get() and not condition.all():
            count = int(condition.size - np.count_nonzero(condition))
            raise InputError(self.message or "an assertion does not hold", elements=f"{count} of {condition.size} "
                             "are False")
        return ()


@contextmanager
def unasserted() -> Iterator[None]:
    """Assertions are not asked: for numbers that were not chosen to satisfy them."""
    token = _HOLD.set(False)
    try:
        yield
    finally:
        _HOLD.reset(token)
