"""The normal form of chains: which stage reads which operand, and which rows of its input an output row needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from ...dims import Dim, symbol
from ...dtypes import DType
from ...ir import Op, TensorType
from ...ops.chain import Chain
from ...ops.convolution import Convolution
from ...ops.fused import Fused
from ...ops.pointwise import Pointwise
from ...ops.pool import Pool
from ...targets import CpuSpec
from ..problem import Operand, Problem
from .contraction import core_of

FLOW = -1                 # stands for the value that flows into a stage where others have the number of an operand

#: Rows of output of a stage within a band; the number differs at the edges of the image.
ROWS = symbol("band_rows")


@dataclass(frozen=True)
class Stage:
    """One stage.

    operands   its inputs; None where absent
    numbers    which input of the chain each of them is; FLOW for the value that flows, None where absent
    shape      of its output: (N, K, P, Q)
    span, stride, before   output row p needs input rows p·stride − before ... + span − 1
    columns    zeros needed left and right of its input
    below      rows needed below its input
    outside    what rows above and below its input hold; None for the least number of the type
    """

    op: Op
    operands: tuple[Operand | None, ...]
    numbers: tuple[int | None, ...]
    shape: tuple[Dim, int, int, int]
    dtype: DType
    span: int = 1
    stride: int = 1
    before: int = 0
    columns: tuple[int, int] = (0, 0)
    below: int = 0
    outside: int | None = 0

    @property
    def core(self) -> Op:
        return core_of(self.op)[0]

    @property
    def pointwise(self) -> bool:
        return isinstance(self.op, Pointwise)

    def moves(self, place: int) -> bool:
        """Whether operand number `place` advances with the image and the row, unlike weights."""
        _, _, arity = core_of(self.op)
        return self.pointwise or place == 0 or (arity is not None and place >= arity)

    def row(self, place: int) -> tuple[int, int]:
        """(a, b): the first row of operand `place` for output row p is a·p − b."""
        return (self.stride, self.before) if place == 0 and not self.pointwise else (1, 0)


@dataclass(frozen=True)
class Form:
    """A chain in normal form. result: its output operand."""

    stages: tuple[Stage, ...]
    result: Operand
    tuned: tuple[tuple[str, int], ...]

    def whole(self, k: int) -> Operand:
        """What flows out of stage k as one tensor: channels last, with the zeros around it that stage k + 1 needs."""
        if k == len(self.stages) - 1:
            return self.result
        stage, following = self.stages[k], self.stages[k + 1]
        n, c, h, w = stage.shape
        (left, right), above, below = following.columns, following.before, following.below
        row = (left + w + right) * c
        zeros = ((0, 0), (0, 0), (above, below), (left, right))
        return Operand((n, c, h, w), (row * (above + h + below), 1, row, c), stage.dtype,
                       border=zeros if any(map(any, zeros)) else ())

    def problem(self, k: int) -> Problem:
        """Stage k over the whole tensor."""
        stage = self.stages[k]
        inputs = tuple(self.whole(k - 1) if number == FLOW else x
                       for x, number in zip(stage.operands, stage.numbers, strict=True))
        return Problem(stage.op, inputs, (self.whole(k),), self.tuned)

    def band(self, k: int, cpu: CpuSpec) -> Operand:
        """What flows out of stage k, ROWS rows of one image in a thread's own memory: rows are whole vectors, and never
        joined to one long row, so that their number may vary."""
        stage = self.stages[k]
        _, c, _, w = stage.shape
        if k == len(self.stages) - 1:
            return replace(self.result, shape=(1, c, ROWS, w), strides=(0, *self.result.strides[1:]), border=())
        left, right = self.stages[k + 1].columns
        lanes = max(1, cpu.vector_bits // 8 // stage.dtype.itemsize)
        row = -(-((left + w + right) * c + 1) // lanes) * lanes
        zeros = ((0, 0), (0, 0), (0, 0), (left, right))
        return Operand((1, c, ROWS, w), (0, 1, row, c), stage.dtype, border=zeros if left or right else ())

    def band_problem(self, k: int, cpu: CpuSpec, rows: int) -> Problem:
        """Stage k over ROWS rows of its output, usually `rows`. Zeros above and below are rows like others."""
        stage, op = self.stages[k], self.stages[k].op
        inputs: list[Operand | None] = []
        for place, (x, number) in enumerate(zip(stage.operands, stage.numbers, strict=True)):
            if number == FLOW:
                x = self.band(k - 1, cpu)
            if x is not None and stage.moves(place):
                windows = place == 0 and not stage.pointwise
                high = (ROWS - 1) * stage.stride + stage.span if windows else ROWS
                zeros = ((0, 0), (0, 0), (0, 0), x.border_of(3))
                x = replace(x, shape=(1, x.shape[1], high, x.shape[3]), strides=(0, *x.strides[1:]),
                            border=zeros if any(x.border_of(3)) else ())
            inputs.append(x)
        core = stage.core
        if isinstance(core, (Convolution, Pool)):
            core = replace(core, pads=((0, 0), core.pads[1]))
            op = replace(op, core=core) if isinstance(op, Fused) else core
        return Problem(op, tuple(inputs), (self.band(k, cpu),), ((str(ROWS), rows),))


def form_of(problem: Problem) -> Form | None:
    """None where chains do not apply: spatial sizes must be known, of rank two, and weights constant."""
    chain = problem.op
    assert isinstance(chain, Chain)
    types = chain.types([None if x is None else TensorType(x.shape, x.dtype) for x in problem.inputs])
    operands = chain.split(problem.inputs)
    numbers = chain.split([None if x is None else i for i, x in enumerate(problem.inputs)])
    stages: list[Stage] = []
    for k, (op, t) in enumerate(zip(chain.stages, types, strict=True)):
        if k:
            numbers[k][chain.flows[k - 1]] = FLOW
        stage = _stage(op, operands[k], numbers[k], t, types[k - 1] if k else None)
        if stage is None:
            return None
        stages.append(stage)
    if problem.outputs[0].strides[1] != 1 or not all(isinstance(s, int) for s in problem.outputs[0].strides[1:]):
        return None
    return Form(tuple(stages), problem.outputs[0], problem.tuned)


def _stage(op: Op, operands: list[Operand | None], numbers: list[int | None], y: TensorType,
           flowing: TensorType | None) -> Stage | None:
    core, _, arity = core_of(op)
    if len(y.shape) != 4 or not all(isinstance(d, int) and d > 0 for d in y.shape[1:]) or y.shape[0] == 0:
        return None
    stage = Stage(op, tuple(operands), tuple(numbers), cast("tuple[Dim, int, int, int]", y.shape), y.dtype)
    moving = [x for i, x in enumerate(operands) if x is not None and stage.moves(i)]
    if any(len(x.shape) != 4 or not all(isinstance(s, int) for s in x.strides[1:]) for x in moving):
        return None
    if isinstance(op, Pointwise):
        alike = all(x.shape == y.shape for x in moving) and (flowing is None or flowing.shape == y.shape)
        return stage if alike else None
    if not isinstance(core, (Convolution, Pool)) or (flowing is not None and numbers[0] != FLOW):
        return None
    x = operands[0]
    extents = x.shape[2:] if x is not None else flowing.shape[2:] if flowing is not None else ()
    window, sizes = _window(core, operands), [d for d in extents if isinstance(d, int)]
    if len(window) != 2 or len(sizes) != 2:
        return None
    if any(e.shape != y.shape for i, e in enumerate(operands) if i >= (arity or len(operands)) and e is not None):
        return None
    spans = [(r - 1) * d + 1 for r, d in zip(window, core.dilations, strict=True)]
    missing = [max(0, (int(p) - 1) * s + span - before - extent) for p, s, span, (before, _), extent
               in zip(stage.shape[2:], core.strides, spans, core.pads, sizes, strict=True)]
    (before, _), (left, _) = core.pads
    stage = replace(stage, span=spans[0], stride=core.strides[0], before=before, below=missing[0])
    if isinstance(core, Pool):
        # columns outside are the kernel's own business, rows outside it takes for rows like others
        explicit = core.kind == "average" and core.include_pad and not core.ceil
        if (before or missing[0]) and (x is not None or not (core.kind == "max" or explicit)):
            return None
        return replace(stage, outside=None if core.kind == "max" else 0)
    if x is not None:
        have = x.border_of(2), x.border_of(3)
        if have[0][0] < before or have[0][1] < missing[0] or have[1][0] < left or have[1][1] < missing[1]:
            return None
    return replace(stage, columns=(left, missing[1]))


def _window(core: Convolution | Pool, operands: list[Operand | None]) -> list[int]:
    """Extents of the window, as far as they are known; of a convolution only if its filters are constant."""
    if isinstance(core, Pool):
        return list(core.window)
    w = operands[1]
    return [r for r in w.shape[2:] if isinstance(r, int)] if w is not None and w.constant else []
