"""One step of a program before its kernel is chosen, and its problem: the layer with its operands' layouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Union

import numpy as np

from ..dims import Dim, Expr, substitute, symbol, symbols
from ..ir import Op, TensorType
from ..ir.op import map_dims
from ..kernels.problem import Operand, Problem
from .storage import Place


@dataclass(frozen=True)
class KernelWork:
    """A layer that a compiled kernel will do.

    problem     with the problem's own symbols s0, s1, ...
    back        problem symbol → dimension of the network
    constants   input number → array, for inputs the kernel may ask for packed
    """

    name: str
    problem: Problem
    inputs: tuple[Place | None, ...]
    outputs: tuple[Place, ...]
    back: Mapping[str, Dim]
    constants: Mapping[int, np.ndarray] = field(default_factory=dict)
    origin: tuple[str, ...] = ()
    kind: str = ""

    def to_network(self, d: Dim) -> Dim:
        return substitute(d, self.back)


@dataclass(frozen=True)
class HostWork:
    """A layer that Python evaluates, and why."""

    name: str
    op: Op
    inputs: tuple[Union[Place, str, None], ...]
    outputs: tuple[Union[Place, str, None], ...]
    reason: str
    origin: tuple[str, ...] = ()


Work = Union[KernelWork, HostWork]

#: Below this much work a step is not worth sharing with a second thread: handing it over costs about as much.
SERIAL_FLOPS, SERIAL_BYTES = 60_000, 24_000


@dataclass(frozen=True)
class Load:
    """Work of one launch at the tuned sizes."""

    flops: int
    bytes: int

    @property
    def is_serial(self) -> bool:
        return self.flops < SERIAL_FLOPS and self.bytes < SERIAL_BYTES


def load_of(problem: Problem) -> Load:
    """What the operator says it costs, broadcast operands counted once per distinct element."""

    def seen(o: Operand) -> TensorType:
        shape = tuple(1 if s == 0 else problem.at_tuned(d) for d, s in zip(o.shape, o.strides, strict=True))
        return TensorType(shape, o.dtype)

    outputs = [TensorType(tuple(map(problem.at_tuned, o.shape)), o.dtype) for o in problem.outputs]
    op = problem.op.bind(dict(problem.tuned))
    cost = op.cost([None if o is None else seen(o) for o in problem.inputs], outputs)
    return Load(int(cost.flops), int(cost.bytes))  # type: ignore[arg-type]


def make_problem(
    op: Op, inputs: tuple[Operand | None, ...], outputs: tuple[Operand, ...], tuned: Mapping[str, int]
) -> tuple[Problem, dict[str, Dim]]:
    """The problem with symbols renamed by first appearance, so that equal work is equal, and the way back."""
    forward: dict[str, Dim] = {}
    back: dict[str, Dim] = {}

    def meet(d: Expr) -> Expr:
        for name in sorted(symbols(d)):
            if name not in forward:
                fresh = f"s{len(forward)}"
                forward[name], back[fresh] = symbol(fresh), symbol(name)
        return d

    for operand in (*inputs, *outputs):
        if operand is not None:
            map_dims((operand.shape, operand.strides), meet)
    map_dims(op, meet)

    def rename(d: Dim) -> Dim:
        return substitute(d, forward)

    def renamed(o: Operand) -> Operand:
        return replace(o, shape=tuple(map(rename, o.shape)), strides=tuple(map(rename, o.strides)))

    values = tuple((str(forward[name]), tuned[name]) for name in forward)
    problem = Problem(
        map_dims(op, rename),
        tuple(None if o is None else renamed(o) for o in inputs),
        tuple(map(renamed, outputs)),
        values,
    )
    return problem, back
