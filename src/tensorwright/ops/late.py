"""Layers over tensors whose sizes only the run knows: evaluated when their operands are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..ir import Op, OpaqueType, TensorType, ValueType
from .control import Body
from .evaluate import bind_symbols


@dataclass(frozen=True)
class Late(Op):
    """(y0, y1, ...) = what a body gives for the operands, whose types have symbols of their own

    Inputs  one per type: tensors of its rank. Symbols that are not the network's are bound by the operands' shapes.
    Output  what the body gives. Types are given where the layer is added.
    Params  body: takes the operands in order. types: of the operands.
    Cost    not known: one operation per output element.
    Errors  InputError when the operands' shapes contradict the types.
    """

    body: Body
    types: tuple[TensorType, ...]
    types_are_given: ClassVar[bool] = True

    @property
    def on_host(self) -> str:
        return "the sizes of its operands are known when they are there"

    @property
    def repeatable(self) -> bool:
        return all(layer.op.repeatable for layer in self.body.layers)

    def ready(self) -> None:
        for layer in self.body.layers:
            layer.op.ready()

    def infer(self, *inputs: ValueType | None) -> ValueType | tuple[ValueType, ...]:   # type: ignore[override]
        return tuple(OpaqueType() for _ in self.body.outputs)

    def reference(self, *inputs: Any) -> tuple[Any, ...]:
        arrays = [np.asarray(x) for x in inputs]
        named = [(f"operand {i}", t) for i, t in enumerate(self.types)]
        env = bind_symbols(named, {name: x.shape for (name, _), x in zip(named, arrays, strict=True)})
        return tuple(self.body.run(arrays, env))
