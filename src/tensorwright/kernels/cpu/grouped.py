"""Grouped convolution with few channels per group, channels last: a vector of outputs covers several groups.

With g channels per group, input and output, lane l of a vector needs inputs of group l // g only. One vector of inputs
per pixel and tap serves all g steps: each spreads one channel over the lanes of its group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim
from ...ops.convolution import Convolution
from ...targets import CpuSpec
from ..llvm import module
from ..problem import Phase, Problem, Source
from .blocking import Blocking, blocked_functions
from .contraction import Contraction, core_of, merge_taps
from .convolution import contraction
from .cuts import Cut
from .packing import pack_panels
from .tiling import chunked


@dataclass(frozen=True)
class GroupedConvolution:
    """Register tiles over pixels × one vector of channels."""

    blocking: Blocking

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        c = vectors_of_groups(problem, cpu)
        assert c is not None
        order: list[Dim] = []
        functions, chunks = blocked_functions(c, self.blocking, cpu, symbol, order)
        return Source(module(*functions), (Phase(symbol, chunks),), tuple(order), packed=(1,))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        """(K, g, *R) → [vector of groups][R][channel of the group][lanes]"""
        k, g, *window = array.shape
        taps = math.prod(window)
        w = array.reshape(k // cpu.lanes, cpu.lanes, g, taps).transpose(0, 3, 2, 1)
        return pack_panels(np.ascontiguousarray(w).reshape(-1, taps * g, cpu.lanes), cpu.lanes, cpu.lanes)


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[GroupedConvolution]:
    """Needs as many channels in as out, groups that fill vectors evenly, constant filters, channel stride 1."""
    c = vectors_of_groups(problem, cpu)
    if c is None:
        return
    wide = max(1, cpu.lanes * c.dtype.itemsize * 8 // cpu.vector_bits)
    most = (cpu.vector_registers // wide - 3) // 2
    column = c.pixels[-1].extent
    for mr in dict.fromkeys((most // 2, most)):
        if mr >= 1:
            size = max(Cut(column, mr).sizes, default=1)
            blocking = Blocking(size, 1, cpu.lanes, mixed=int(c.taps[-1][0]))  # type: ignore[arg-type]
            yield GroupedConvolution(chunked(c, blocking, cpu, dict(problem.tuned)))


def vectors_of_groups(problem: Problem, cpu: CpuSpec) -> Contraction | None:
    """The convolution with vectors of groups as its groups, or None where that does not apply."""
    op, _, _ = core_of(problem.op)
    c, x, w = contraction(problem), problem.inputs[0], problem.inputs[1]
    if c is None or not c.batch or x is None or w is None or not w.constant or x.strides[1] != 1:
        return None
    assert isinstance(op, Convolution)
    g = w.shape[1]
    if not isinstance(g, int) or c.n != g or not 1 < g <= max(4, cpu.lanes // 4):     # wider ones fill half a vector
        return None
    if g >= cpu.lanes or cpu.lanes % g or op.groups * g % cpu.lanes:
        return None
    window = tuple((r, s * d) for r, s, d in zip(w.shape[2:], x.strides[2:], op.dilations, strict=True))
    several, axis = cpu.lanes // g, c.batch[0]
    batch = replace(axis, extent=op.groups // several, a=axis.a * several, y=axis.y * several, bias=cpu.lanes,
                    extras=tuple(e * several for e in axis.extras))
    return replace(c, batch=(batch,), n=cpu.lanes, taps=(*merge_taps(window), (g, 1)))
