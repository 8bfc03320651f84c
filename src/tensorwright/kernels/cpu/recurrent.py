"""LSTM, GRU and simple recurrent layers.

First x·W + b of all time steps at once, a matrix product; then the time loop, serial, with h·R and the gates of one
vector of hidden units computed together. Directions and blocks of the batch are independent. Weights are packed in
panels (hidden block, k, gate, lane): at build when constant, else by a phase of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...dims import ceildiv
from ...dtypes import DType
from ...ops.recurrent import GATES, Recurrent
from ...targets import CpuSpec
from ..llvm import Dims, Function, arg, entry, module
from ..problem import Phase, Problem, Source, Workspace
from .recurrent_cell import groups
from .recurrent_steps import INPUTS, Tiling, TimeLoop
from .rows import load_strided, split_index


@dataclass(frozen=True)
class Steps(Tiling):
    """x·W of all steps, then the time loop."""

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        return _Writer(self, problem, cpu, symbol).write()

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        op = problem.op
        assert isinstance(op, Recurrent)
        parts = [tuple(range(GATES[op.kind]))] if index == 1 else groups(op)
        return np.concatenate([_panels(op, array, p, self.lanes) for p in parts], axis=1)


def _panels(op: Recurrent, array: np.ndarray, gates: tuple[int, ...], lanes: int) -> np.ndarray:
    """(D, G·H, K) → (D, hidden blocks · K · gates · lanes), zeros beyond H."""
    D, _, K = array.shape
    blocks = -(-op.hidden // lanes)
    padded = np.zeros((D, len(gates), blocks * lanes, K), array.dtype)
    padded[:, :, :op.hidden] = array.reshape(D, GATES[op.kind], op.hidden, K)[:, list(gates)]
    return padded.reshape(D, len(gates), blocks, lanes, K).transpose(0, 2, 4, 1, 3).reshape(D, -1)


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Steps]:
    op, x = problem.op, problem.inputs[0]
    if not isinstance(op, Recurrent) or x is None or x.dtype not in (DType.float32, DType.float64):
        return
    widest = max(1, (cpu.vector_registers - 5) // GATES[op.kind])
    N = max(1, problem.at_tuned(x.shape[1]))
    parts = max(1, cpu.cores // op.directions) if N >= 4 else 1
    batch, symbolic = -(-N // parts), not isinstance(x.shape[1], int)
    if symbolic:                                        # sizes other than the tuned one should not be slow
        batch = max(batch, min(4, widest))
    rows = -(-batch // -(-batch // min(6, widest)))
    batch = -(-batch // rows) * rows
    yield Steps(min(6, widest), rows, batch, cpu.lanes * 4 // x.dtype.itemsize, symbolic)


class _Writer(TimeLoop):
    """One kernel being written: packing, x·W and the time loop, each a phase."""

    def write(self) -> Source:
        functions, phases = [], []
        for index in self.loose:
            f = entry(f"{self.symbol}_pack{index}")
            self.repack(f, Dims(f, self.dims), index)
            functions.append(f)
            phases.append(Phase(f.name, self.D * self.blocks))
        f = entry(f"{self.symbol}_inputs")
        per_block = 8 * self.t.mr
        self.inputs(f, Dims(f, self.dims), per_block)
        functions.append(f)
        phases.append(Phase(f.name, ceildiv(self.T * self.N, per_block) * (self.D * self.blocks)))
        f = entry(f"{self.symbol}_steps")
        self.steps(f, Dims(f, self.dims))
        functions.append(f)
        phases.append(Phase(f.name, ceildiv(self.N, self.t.batch) * self.D))
        sizes = {1: self.w_bytes * self.D, 2: self.r_bytes * self.D}
        workspaces = (Workspace(self.gx_bytes * self.D), Workspace(self.state_bytes * self.D),
                      *(Workspace(sizes[i]) for i in self.loose))
        text = module(*functions, *self.parts.functions.values())
        return Source(text, tuple(phases), tuple(self.dims), workspaces, self.packed)

    # weights ----------------------------------------------------------------------------------------------------------
    def repack(self, f: Function, d: Dims, index: int) -> None:
        """Phase: weights (D, G·H, K) → panels. One chunk per direction and hidden block."""
        t, x = self.t, self.operand(INPUTS[index])
        parts = (tuple(range(self.G)),) if index == 1 else groups(self.op)
        depth = x.shape[2]
        source, target = arg(f, index), arg(f, self.pointer_of[index])
        target_bytes = self.w_bytes if index == 1 else self.r_bytes
        hidden_step = d(x.strides[1] * self.size)
        vec, row = self.parts.vec, t.lanes * self.size
        with f.loop("chunk", "%begin", "%end") as chunk:
            direction, block = split_index(f, chunk, [str(self.D), str(self.blocks)])
            first = f.mul(block, t.lanes)
            base = f.at(source, f.mul(direction, d(x.strides[0] * self.size)))
            out = f.at(target, f.mul(direction, d(target_bytes)))
            mask = self.parts.mask(f, first)
            for gates in parts:
                panel = f.at(out, f.mul(block, d(depth * (len(gates) * row))))
                with f.loop("k", "0", d(depth)) as k:
                    for j, gate in enumerate(gates):
                        place = f.at(base, f.mul(f.add(first, gate * self.H), hidden_step))
                        place = f.at(place, f.mul(k, d(x.strides[2] * self.size)))
                        value = load_strided(f, self.scalar, place, hidden_step, t.lanes, mask)
                        if mask is not None:
                            value = f.select(mask, vec, value, f.const(vec, 0))
                        f.store(vec, value, f.at(panel, f.add(f.mul(k, len(gates) * row), j * row)))
                out = f.at(out, d(depth * (self.blocks * len(gates) * row)))

    # x · W ------------------------------------------------------------------------------------------------------------
    def inputs(self, f: Function, d: Dims, per_block: int) -> None:
        """Phase: gx = x·W + b for all rows (t, n). One chunk per direction, block of rows and hidden block."""
        t, size, row = self.t, self.size, self.t.lanes * self.size
        x, w, gx = arg(f, 0), arg(f, self.pointer_of[1]), arg(f, self.gx_arg)
        init = f.alloca(f"[{self.G * t.lanes} x {self.scalar}]", "init")
        tile = self.parts.tile("inputs", t.mr, self.G, self.I, self.x.strides[2], self.line * size)
        total = d(self.T * self.N)
        with f.loop("chunk", "%begin", "%end") as chunk:
            direction, part, block = split_index(
                f, chunk, [str(self.D), d(ceildiv(self.T * self.N, per_block)), str(self.blocks)])
            self.biases(f, d, direction, f.mul(block, t.lanes), init)
            panel = f.at(f.at(w, f.mul(direction, d(self.w_bytes))), f.mul(block, d(self.I * (self.G * row))))
            out = f.at(f.at(gx, f.mul(direction, d(self.gx_bytes))), f.mul(block, self.G * row))
            begin = f.mul(part, per_block)
            with f.loop("row", begin, f.minimum(f.add(begin, per_block), total), t.mr) as m:
                pointers = []
                for i in range(t.mr):
                    step, n = split_index(f, f.minimum(f.add(m, i), f.sub(total, 1)), ["0", d(self.N)])
                    place = f.at(x, f.mul(step, d(self.x.strides[0] * size)))
                    pointers.append(f.at(place, f.mul(n, d(self.x.strides[1] * size))))
                f.call("void", tile, ("ptr", init), ("ptr", panel), ("ptr", f.at(out, f.mul(m, self.line * size))),
                       *(("ptr", p) for p in pointers), ("ptr", "%dims"))

    def biases(self, f: Function, d: Dims, direction: str, first: str, init: str) -> None:
        """W's and R's bias of one hidden block; not R's of GRU's hidden gate where the reset comes after it."""
        t, vec, b = self.t, self.parts.vec, self.at["B"]
        mask = self.parts.mask(f, first)
        for gate in range(self.G):
            value = f.const(vec, 0)
            if b is not None:
                base = f.at(arg(f, 3), f.mul(direction, d(b.strides[0] * self.size)))
                step = d(b.strides[1] * self.size)
                late = self.op.linear_before_reset and self.op.kind == "gru" and gate == 2
                for part in (gate,) if late else (gate, self.G + gate):
                    place = f.at(base, f.mul(f.add(first, part * self.H), step))
                    value = f.op("fadd", vec, value, load_strided(f, self.scalar, place, step, t.lanes, mask))
            f.store(vec, value, f.at(init, gate * t.lanes * self.size))
