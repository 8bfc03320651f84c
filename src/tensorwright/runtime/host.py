"""Host steps: an operator's NumPy meaning evaluated between launches, over the same memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import PlanError, TensorwrightError
from ..plan.check import Place
from ..plan.records import HostStep, View
from .memory import array_at


class HostCall:
    """A host step with its shapes set.

    place      (View, layer) → Place, checked against its buffer
    sessions   layer → what its operator keeps in this context, shared by the calls for all shapes
    """

    def __init__(self, step: HostStep, env: Mapping[str, int], place: Callable[[View, str], Place],
                 sessions: dict[str, Any]) -> None:
        self.step, self.sessions = step, sessions
        try:
            self.op: Any = step.op.bind(env)  # type: ignore[attr-defined]
        except AttributeError:
            raise PlanError(f"the operator of host step {step.layer!r} was not decoded", at=step.layer) from None
        self.inputs = [_operand(x, place, step.layer, writable=False) for x in step.inputs]
        self.outputs = [_operand(x, place, step.layer, writable=True) for x in step.outputs]

    def run(self, user: Mapping[int, int], opaque: dict[str, Any]) -> None:
        """Evaluate; copy tensors into their views, keep opaque values in `opaque`."""
        layer = self.step.layer
        arguments = []
        for x in self.inputs:
            if isinstance(x, str):
                if x not in opaque:
                    raise PlanError(f"host step {layer!r} reads {x!r} before it is written", at=layer)
                arguments.append(opaque[x])
            else:
                arguments.append(x(user) if callable(x) else x)
        targets = [target(user) if callable(target) else target for target in self.outputs]
        try:
            if layer not in self.sessions:
                self.sessions[layer] = self.op.session()
            session = self.sessions[layer]
            results = self.op.reference(*arguments) if session is None else session.run(self.op, arguments, [
                t if isinstance(t, np.ndarray) else None for t in targets])
        except TensorwrightError as error:
            raise error.located(layer) from None
        except Exception as error:
            shapes = {f"input {i}": _describe(a) for i, a in enumerate(arguments)}
            raise TensorwrightError(f"the host operator failed: {type(error).__name__}: {error}", at=layer,
                                    operator=str(self.step.op)[:200], **shapes) from error
        if not isinstance(results, tuple):
            results = (results,)
        if len(results) < len(self.outputs):
            raise PlanError(f"the host operator gave {len(results)} results of {len(self.outputs)}", at=layer)
        for target, result in zip(targets, results, strict=False):
            if isinstance(target, str):
                opaque[target] = _own(result)
            elif target is not None and target is not result:
                _store(target, result, layer)


def _operand(x: View | str | None, place: Callable[[View, str], Place], layer: str, writable: bool) -> Any:
    """None, the name of an opaque value, an array, or a function from the user's addresses to an array."""
    if x is None or isinstance(x, str):
        return x
    at, dtype, buffer = place(x, layer), x.dtype.numpy, x.buffer
    if at.base is not None:
        return array_at(at.base + at.offset, at.shape, at.strides, dtype, writable)

    def later(user: Mapping[int, int]) -> np.ndarray:
        return array_at(user[buffer] + at.offset, at.shape, at.strides, dtype, writable)

    return later


def _store(target: np.ndarray, result: Any, layer: str) -> None:
    result = np.asarray(result)
    if result.shape != target.shape or not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise PlanError(f"the host operator gave {result.dtype} {result.shape}, {target.dtype} {target.shape} is "
                        "expected", at=layer)
    target[...] = result


def _own(x: Any) -> Any:
    """x, without sharing memory that later steps overwrite."""
    if isinstance(x, np.ndarray):
        return x.copy() if x.base is not None or not x.flags.writeable else x
    if isinstance(x, list):
        return [_own(item) for item in x]
    if isinstance(x, tuple):
        return tuple(_own(item) for item in x)
    return x


def _describe(x: Any) -> str:
    return f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__

