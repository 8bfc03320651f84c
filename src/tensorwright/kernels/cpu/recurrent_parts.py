"""The inner functions of recurrent layers: a register tile of rows × gates, and one step of a cell on one vector."""

from __future__ import annotations

from ...dims import Dim
from ...dtypes import DType
from ...ops.recurrent import GATES, Recurrent
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, vector
from ..problem import Operand
from .pointwise_printer import emit
from .recurrent_cell import Cell, groups
from .rows import load_strided


class Parts:
    """Internal functions, each written when first asked for. A panel holds, for each k, one vector per gate."""

    def __init__(self, op: Recurrent, symbol: str, dims: list[Dim], cpu: CpuSpec, dtype: DType, lanes: int) -> None:
        self.op, self.symbol, self.dims, self.cpu, self.dtype, self.lanes = op, symbol, dims, cpu, dtype, lanes
        self.scalar, self.size = SCALAR[dtype], dtype.itemsize
        self.vec = vector(self.scalar, lanes)
        self.functions: dict[str, Function] = {}

    def tile(self, label: str, mr: int, nr: int, depth: Dim, stride: Dim, out_row: int) -> str:
        """(init, b, out, a0, a1, ...): out[i] = init + Σ_k a_i[k] · b[k], mr rows of nr vectors.

        stride: elements between a row's neighbours; out_row: bytes between rows of out.
        """
        key = f"{label}{mr}"
        if key in self.functions:
            return self.functions[key].name
        rows = {f"a{i}": "ptr" for i in range(mr)}
        f = Function(f"{self.symbol}_{key}", linkage="internal", attributes="nounwind noinline",
                     init="ptr", b="ptr", out="ptr", **rows, dims="ptr")
        self.functions[key] = f
        d, vec, lanes, size = Dims(f, self.dims), self.vec, self.lanes, self.size
        sets = max(1, 8 // (mr * nr))                                # enough sums to hide the latency of one
        start = [f.load(vec, f.at("%init", j * lanes * size)) for j in range(nr)]
        first = start * mr + [f.const(vec, 0)] * (mr * nr * (sets - 1))
        step = d(stride * size)

        def add(k: str, acc: list[str]) -> list[str]:
            line = f.at("%b", f.mul(k, nr * lanes * size))
            b = [f.load(vec, f.at(line, j * lanes * size)) for j in range(nr)]
            result = []
            for i in range(mr):
                a = f.splat(vec, f.load(self.scalar, f.at(f"%a{i}", f.mul(k, step))))
                result += [f.fma(vec, a, b[j], acc[i * nr + j]) for j in range(nr)]
            return result

        n, count = mr * nr, d(depth)
        whole = f.mul(f.divide(count, sets), sets)
        with f.reduce_loop("k", "0", whole, [(vec, x) for x in first], step=sets) as (k, acc, following):
            for s in range(sets):
                following += add(f.add(k, s), acc[s * n:(s + 1) * n])
        total = acc[:n]
        for s in range(1, sets):
            total = [f.op("fadd", vec, a, b) for a, b in zip(total, acc[s * n:(s + 1) * n], strict=True)]
        if sets > 1 and whole != count:
            with f.reduce_loop("k", whole, count, [(vec, x) for x in total]) as (k, acc, following):
                following += add(k, acc)
            total = acc
        for i in range(mr):
            for j in range(nr):
                f.store(vec, total[i * nr + j], f.at("%out", i * out_row + j * lanes * size))
        return f.name

    def step(self, direction: int, group: int, bias: Operand | None, peephole: Operand | None, y: Operand) -> str:
        """(sums, gx, h, next, c, z, y, bias, peephole, first): one vector of hidden units of one row, one time step.

        sums     h·R of the group's gates; gx: x·W of all gates
        h, next  old and new state; c: LSTM's memory, GRU's reset state; z: GRU's update gate
        y        where the output goes; bias, peephole: this direction's; first: number of the first hidden unit
        """
        key = f"step{direction}g{group}"
        if key in self.functions:
            return self.functions[key].name
        pointers = dict.fromkeys(("sums", "gx", "h", "next", "c", "z", "y", "bias", "peephole"), "ptr")
        f = Function(f"{self.symbol}_{key}", linkage="internal", attributes="nounwind noinline", **pointers,
                     first="i64", dims="ptr")
        self.functions[key] = f
        d, vec, op = Dims(f, self.dims), self.vec, self.op
        cell = Cell(op, direction, self.dtype, peephole is not None)
        gates, mask = groups(op)[group], self.mask(f, "%first")

        def line(pointer: str, index: int) -> str:
            return f.load(vec, f.at(pointer, index * self.lanes * self.size))

        def run(e: object, *values: str) -> str:
            return emit(f, e, values, self.lanes, self.cpu)          # type: ignore[arg-type]

        def weights(pointer: str, x: Operand, block: int) -> str:
            step = d(x.strides[1] * self.size)
            place = f.at(pointer, f.mul(f.add(block * op.hidden, "%first"), step))
            return load_strided(f, self.scalar, place, step, self.lanes, mask)

        sums = [line("%sums", i) for i in range(len(gates))]
        full = [f.op("fadd", vec, s, line("%gx", g)) for s, g in zip(sums, gates, strict=True)]
        old = f.load(vec, "%h")
        if op.kind == "lstm":
            p = [] if peephole is None else [weights("%peephole", peephole, k) for k in range(3)]
            c = run(cell.lstm_memory(), *full, f.load(vec, "%c"), *p)
            f.store(vec, c, "%c")
            new = run(cell.lstm_output(), *full, c, *p)
        elif op.kind == "rnn":
            new = run(cell.gate(), full[0])
        elif op.linear_before_reset:
            hidden = sums[2] if bias is None else f.op("fadd", vec, sums[2], weights("%bias", bias, GATES["gru"] + 2))
            new = run(cell.gru_linear(), full[0], full[1], line("%gx", 2), hidden, old)
        elif group == 0:
            f.store(vec, run(cell.gate(), full[0]), "%z")
            f.store(vec, f.op("fmul", vec, run(cell.gate(), full[1]), old), "%c")
            return f.name
        else:
            new = run(cell.gru_output(), f.load(vec, "%z"), full[0], old)
        f.store(vec, new, "%next")
        self.store(f, d, y, "%y", new, mask)
        return f.name

    def skip(self, y: Operand) -> str:
        """(h, next, y, first): beyond a sequence's end the state stays and the output is 0."""
        if "skip" in self.functions:
            return self.functions["skip"].name
        f = Function(f"{self.symbol}_skip", linkage="internal", attributes="nounwind noinline", h="ptr", next="ptr",
                     y="ptr", first="i64", dims="ptr")
        self.functions["skip"] = f
        f.store(self.vec, f.load(self.vec, "%h"), "%next")
        self.store(f, Dims(f, self.dims), y, "%y", f.const(self.vec, 0), self.mask(f, "%first"))
        return f.name

    def mask(self, f: Function, first: str) -> str | None:
        """Hidden units from number `first` on that exist; None when vectors fit evenly."""
        return f.tail_mask(self.lanes, f.sub(self.op.hidden, first)) if self.op.hidden % self.lanes else None

    def store(self, f: Function, d: Dims, x: Operand, pointer: str, value: str, mask: str | None) -> None:
        """A vector of hidden units into a tensor whose last axis they are; any stride."""
        if x.strides[-1] == 1:
            if mask is None:
                f.store(self.vec, value, pointer)
            else:
                f.masked_store(self.vec, value, pointer, mask)
            return
        step = d(x.strides[-1] * self.size)
        for lane in range(self.lanes):
            one = f.set(f"extractelement {self.vec} {value}, i64 {lane}")
            wanted = "true" if mask is None else f.set(f"extractelement <{self.lanes} x i1> {mask}, i64 {lane}")
            with f.when(wanted):
                f.store(self.scalar, one, f.at(pointer, f.mul(lane, step)))
