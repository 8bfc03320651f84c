"""Layer-by-layer execution of a chain: every stage is a phase over the whole tensor; shared memory holds what flows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...dims import Dim, product
from ...targets import CpuSpec
from ..llvm import Dims, Function, arg, entry, linked
from ..problem import Operand, Phase, Problem, Source, Tactic, Workspace
from .chain_form import FLOW, Form, form_of


@dataclass(frozen=True)
class Separate:
    """One stage after the other."""

    stages: tuple[Tactic, ...]

    @property
    def approximate(self) -> bool:
        return any(getattr(t, "approximate", False) for t in self.stages)

    @property
    def error_factor(self) -> float:
        return max(getattr(t, "error_factor", 1.0) for t in self.stages)

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        form = form_of(problem)
        assert form is not None
        flowing = [form.whole(k) for k in range(len(form.stages) - 1)]
        workspaces = [Workspace(_bytes(x)) for x in flowing]
        texts: list[Function | str] = []
        phases: list[Phase] = []
        order: list[Dim] = []
        packed: list[int] = []
        first = len(problem.inputs) + 1
        for k, x in enumerate(flowing):
            if x.border:
                f, chunks = _zero_border(x, first + k, f"{symbol}_z{k}", order)
                texts.append(f)
                phases.append(Phase(f.name, chunks))
        for k, (stage, tactic) in enumerate(zip(form.stages, self.stages, strict=True)):
            inner = tactic.source(form.problem(k), cpu, f"{symbol}_s{k}")
            texts.append(inner.text)
            numbers = [first + k - 1 if n == FLOW else n for n in stage.numbers]
            result = first + k if k < len(flowing) else len(problem.inputs)
            scratch = [first + len(workspaces) + i for i in range(len(inner.workspaces))]
            for phase in inner.phases:
                name = f"{phase.entry}_in_chain"
                texts.append(_forward(name, phase.entry, form, [*numbers, result, *scratch], first, len(order)))
                phases.append(Phase(name, phase.chunks))
            workspaces += inner.workspaces
            order += inner.dims
            packed += [n for n in (stage.numbers[i] for i in inner.packed) if n is not None]
        return Source(linked(*texts), tuple(phases), tuple(order), tuple(workspaces), tuple(sorted(packed)))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        form = form_of(problem)
        assert form is not None
        k = next(k for k, stage in enumerate(form.stages) if index in stage.numbers)
        return self.stages[k].pack(form.problem(k), cpu, form.stages[k].numbers.index(index), array)


def _bytes(x: Operand) -> Dim:
    return x.shape[0] * x.strides[0] * x.dtype.itemsize


def _origin(x: Operand) -> int:
    """Bytes from the start of the memory to the first element."""
    (above, _), (left, _) = x.border_of(2), x.border_of(3)
    return int(above * x.strides[2] + left * x.strides[3]) * x.dtype.itemsize  # type: ignore[arg-type]


def _forward(name: str, target: str, form: Form, numbers: list[int | None], first: int, dims: int) -> Function:
    """The entry @name: calls @target with its own arguments out of the chain's."""
    f = entry(name)
    array = f.alloca(f"[{len(numbers)} x ptr]", "args")
    for i, number in enumerate(numbers):
        pointer = "null"
        if number is not None:
            pointer = arg(f, number)
            if 0 <= number - first < len(form.stages) - 1:
                pointer = f.at(pointer, _origin(form.whole(number - first)))
        f.store("ptr", pointer, f.at(array, 8 * i), 8)
    f.call("void", target, ("ptr", array), ("ptr", f.at("%dims", 8 * dims)), ("i64", f.begin), ("i64", f.end),
           ("i64", f.thread))
    return f


def _zero_border(x: Operand, place: int, name: str, order: list[Dim]) -> tuple[Function, Dim]:
    """The entry @name: zeros around x, which lies in argument number `place`; a chunk is one row of one image."""
    f = entry(name)
    d = Dims(f, order)
    (above, below), (left, right) = x.border_of(2), x.border_of(3)
    height, width, pixel = int(x.shape[2]), int(x.shape[3]), int(x.strides[3])  # type: ignore[arg-type]
    row, size = d(x.strides[2] * x.dtype.itemsize), x.dtype.itemsize
    rows = above + height + below

    def clear(pointer: str, count: str | int) -> None:
        with f.loop("zero", 0, count, 4) as i:
            f.store("i32", "0", f.at(pointer, i), 1)

    base = arg(f, place)
    with f.loop("chunk", f.begin, f.end) as chunk:
        line = f.at(base, f.mul(chunk, row))
        inside = f.set(f"icmp ult i64 {f.sub(f.remainder(chunk, rows), above)}, {height}")
        clear(line, f.set(f"select i1 {inside}, i64 {left * pixel * size}, i64 {row}"))
        end = f.at(line, (left + width) * pixel * size)
        clear(end, f.set(f"select i1 {inside}, i64 {right * pixel * size}, i64 0"))
    return f, product((x.shape[0], rows))
