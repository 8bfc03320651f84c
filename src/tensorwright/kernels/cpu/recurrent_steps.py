"""The time loop of recurrent layers, and where its operands, states and packed weights lie."""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim, ceildiv
from ...ops.recurrent import GATES, Recurrent
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg
from ..problem import Operand, Problem
from .recurrent_cell import groups
from .recurrent_parts import Parts
from .rows import load_strided, split_index

INPUTS = ("X", "W", "R", "B", "lens", "h", "c", "P")


@dataclass(frozen=True)
class Tiling:
    """One variant.

    mr, rows   rows per register tile of x·W and of h·R
    batch      batch rows that one chunk carries through time
    single     rows that do not fill a tile are done one by one, else an overfull tile does them
    """

    mr: int
    rows: int
    batch: int
    lanes: int
    single: bool = False


class TimeLoop:
    """One kernel being written. Workspaces: x·W of all steps, states, then packed weights that are not constant."""

    def __init__(self, t: Tiling, problem: Problem, cpu: CpuSpec, symbol: str) -> None:
        op = problem.op
        assert isinstance(op, Recurrent)
        self.t, self.op, self.problem, self.symbol, self.cpu = t, op, problem, symbol, cpu
        self.at = dict(zip(INPUTS, [*problem.inputs, *[None] * 8], strict=False))
        x, w, r = (self.operand(name) for name in "XWR")
        self.x, self.y = x, problem.outputs[0]
        (self.T, self.N, self.I), self.H, self.G = x.shape, op.hidden, GATES[op.kind]
        self.scalar, self.size, self.D = SCALAR[x.dtype], x.dtype.itemsize, op.directions
        self.blocks = -(-self.H // t.lanes)
        self.wide = self.blocks * t.lanes                                   # hidden units with padding
        self.line = self.wide * self.G                                      # x·W of one row
        self.rows: Dim = self.T * self.N + t.mr                             # of one direction; a tile may run over
        self.gx_bytes: Dim = self.rows * (self.line * self.size)
        self.state_bytes: Dim = self.N * (5 * self.wide * self.size)        # per direction: h, h, c, z, r·h
        self.w_bytes: Dim = self.I * (self.line * self.size)
        self.r_bytes = self.H * self.line * self.size
        self.packed = tuple(i for i, p in ((1, w), (2, r)) if p.constant)
        loose = [i for i in (1, 2) if i not in self.packed]
        first = len(problem.inputs) + len(problem.outputs)
        self.pointer_of = {i: first + 2 + loose.index(i) if i in loose else i for i in (1, 2)}
        self.gx_arg, self.state_arg, self.loose = first, first + 1, loose
        self.dims: list[Dim] = []
        self.parts = Parts(op, symbol, self.dims, cpu, x.dtype, t.lanes)

    def operand(self, name: str) -> Operand:
        x = self.at[name]
        assert x is not None
        return x

    # the time loop ----------------------------------------------------------------------------------------------------
    def steps(self, f: Function, d: Dims) -> None:
        """Phase: all time steps. One chunk per direction and block of the batch."""
        t, size, row = self.t, self.size, self.t.lanes * self.size
        self.args = {i: arg(f, i) for i in range(len(self.problem.inputs)) if self.problem.inputs[i] is not None}
        outputs = [arg(f, len(self.problem.inputs) + i) for i in range(len(self.problem.outputs))]
        r, gx, states = arg(f, self.pointer_of[2]), arg(f, self.gx_arg), arg(f, self.state_arg)
        self.sums = f.alloca(f"[{t.rows * self.G * t.lanes} x {self.scalar}]", "sums")
        self.zeros = f.alloca(f"[{self.G * t.lanes} x {self.scalar}]", "zeros")
        for j in range(self.G):
            f.store(self.parts.vec, f.const(self.parts.vec, 0), f.at(self.zeros, j * row))
        with f.loop("chunk", "%begin", "%end") as chunk:
            direction, part = split_index(f, chunk, [str(self.D), d(ceildiv(self.N, t.batch))])
            begin = f.mul(part, t.batch)
            end = f.minimum(f.add(begin, t.batch), d(self.N))
            state = f.at(states, f.mul(direction, d(self.state_bytes)))
            each = d(self.N * (self.wide * size))
            h, spare, self.c, self.z, self.reset = (f.at(state, f.mul(i, each)) for i in range(5))
            self.load_state(f, d, "h", h, direction, begin, end)
            self.load_state(f, d, "c", self.c, direction, begin, end)
            self.direction, self.begin, self.end = direction, begin, end
            self.backward = {"forward": "false", "reverse": "true"}.get(self.op.direction) or f.set(
                f"icmp eq i64 {direction}, 1")
            self.y_base = f.at(outputs[0], f.mul(direction, d(self.y.strides[1] * size)))
            self.gx = f.at(gx, f.mul(direction, d(self.gx_bytes)))
            weights = f.at(r, f.mul(direction, self.r_bytes))
            with f.reduce_loop("s", "0", d(self.T), [("ptr", h), ("ptr", spare)]) as (s, (old, new), following):
                panel = weights
                for number, gates in enumerate(groups(self.op)):
                    self.advance(f, d, s, number, panel, old, new)
                    panel = f.at(panel, len(gates) * self.blocks * self.H * row)
                following += [new, old]
            self.save_state(f, d, outputs[1], self.problem.outputs[1], old)
            if self.op.kind == "lstm":
                self.save_state(f, d, outputs[2], self.problem.outputs[2], self.c)

    def load_state(self, f: Function, d: Dims, name: str, target: str, direction: str, begin: str, end: str) -> None:
        x, vec = self.at[name], self.parts.vec
        with f.loop("n", begin, end) as n, f.loop("j", "0", self.wide, self.t.lanes) as j:
            value = f.const(vec, 0)
            if x is not None:
                source = f.at(self.args[INPUTS.index(name)], f.mul(direction, d(x.strides[0] * self.size)))
                step = d(x.strides[2] * self.size)
                place = f.at(f.at(source, f.mul(n, d(x.strides[1] * self.size))), f.mul(j, step))
                mask = self.parts.mask(f, j)
                value = load_strided(f, self.scalar, place, step, self.t.lanes, mask)
                if mask is not None:
                    value = f.select(mask, vec, value, f.const(vec, 0))
            f.store(vec, value, f.at(target, f.mul(f.add(f.mul(n, self.wide), j), self.size)))

    def save_state(self, f: Function, d: Dims, target: str, y: Operand, source: str) -> None:
        with f.loop("n", self.begin, self.end) as n, f.loop("j", "0", self.wide, self.t.lanes) as j:
            value = f.load(self.parts.vec, f.at(source, f.mul(f.add(f.mul(n, self.wide), j), self.size)))
            place = f.at(target, f.mul(self.direction, d(y.strides[0] * self.size)))
            place = f.at(place, f.mul(n, d(y.strides[1] * self.size)))
            self.parts.store(f, d, y, f.at(place, f.mul(j, d(y.strides[2] * self.size))), value, self.parts.mask(f, j))

    def advance(self, f: Function, d: Dims, s: str, group: int, panel: str, old: str, new: str) -> None:
        """One group of gates of step s, for all hidden units and the chunk's rows."""
        t, size, row = self.t, self.size, self.t.lanes * self.size
        count = len(groups(self.op)[group])
        source, last = self.reset if group else old, f.sub(self.end, 1)

        def run(block: str, n: str, rows: int) -> None:
            tile = self.parts.tile(f"hidden{count}_", rows, count, self.H, 1, count * row)
            lines = [f.at(source, f.mul(f.minimum(f.add(n, i), last), self.wide * size)) for i in range(rows)]
            f.call("void", tile, ("ptr", self.zeros), ("ptr", f.at(panel, f.mul(block, count * self.H * row))),
                   ("ptr", self.sums), *(("ptr", p) for p in lines), ("ptr", "%dims"))
            with f.loop("i", "0", f.minimum(f.sub(self.end, n), rows)) as i:
                self.one(f, d, s, group, block, f.add(n, i), f.at(self.sums, f.mul(i, count * row)), old, new)

        full = self.end
        if t.single:
            whole = f.mul(f.divide(f.sub(self.end, self.begin), t.rows), t.rows)
            full = f.add(self.begin, whole)
        with f.loop("block", "0", self.blocks) as block:
            with f.loop("n", self.begin, full, t.rows) as n:
                run(block, n, t.rows)
            if t.single and t.rows > 1:
                with f.loop("n", full, self.end) as n:
                    run(block, n, 1)

    def one(self, f: Function, d: Dims, s: str, group: int, block: str, n: str, sums: str, old: str, new: str) -> None:
        """The cell of batch row n and one hidden block at step s: its time, whether it still runs, the call."""
        t, size = self.t, self.size
        lens = self.at["lens"]
        length = d(self.T)
        if lens is not None:
            place = f.at(self.args[4], f.mul(n, d(lens.strides[0] * lens.dtype.itemsize)))
            scalar = SCALAR[lens.dtype]
            raw = f.load(scalar, place)
            extend = "sext" if lens.dtype.is_signed else "zext"
            wide = raw if scalar == "i64" else f.set(f"{extend} {scalar} {raw} to i64")
            length = f.maximum(f.minimum(wide, length), 0)
        mirrored = f.sub(f.sub(length, 1), s)
        running = f.set(f"icmp slt i64 {s}, {length}")
        time = s if self.backward == "false" else f.select(
            f.op("and", "i1", running, self.backward), "i64", mirrored, s)
        first = f.mul(block, t.lanes)
        place = f.mul(f.add(f.mul(n, self.wide), first), size)
        y = f.at(self.y_base, f.mul(time, d(self.y.strides[0] * size)))
        y = f.at(y, f.mul(n, d(self.y.strides[2] * size)))
        y = f.at(y, f.mul(first, d(self.y.strides[3] * size)))
        gx = f.add(f.mul(f.add(f.mul(time, d(self.N)), n), self.line), f.mul(first, self.G))
        bias, peephole = (self.at[name] for name in "BP")
        b = f.at(self.args[3], f.mul(self.direction, d(bias.strides[0] * size))) if bias is not None else "null"
        p = f.at(self.args[7], f.mul(self.direction, d(peephole.strides[0] * size))) if peephole is not None else "null"

        def call(direction: int) -> None:
            second = self.reset if self.op.kind == "gru" else self.c
            f.call("void", self.parts.step(direction, group, bias, peephole, self.y), ("ptr", sums),
                   ("ptr", f.at(self.gx, f.mul(gx, size))), ("ptr", f.at(old, place)), ("ptr", f.at(new, place)),
                   ("ptr", f.at(second, place)), ("ptr", f.at(self.z, place)), ("ptr", y), ("ptr", b), ("ptr", p),
                   ("i64", first), ("ptr", "%dims"))

        def step() -> None:
            half = len(self.op.activations) // 2
            if self.D == 1 or (not self.op.alphas and not self.op.betas
                               and self.op.activations[:half] == self.op.activations[half:]):
                call(0)
                return
            for direction in range(self.D):
                with f.when(f.set(f"icmp eq i64 {self.direction}, {direction}")):
                    call(direction)

        if lens is None:
            step()
            return
        with f.when(running):
            step()
        if group == len(groups(self.op)) - 1:
            with f.when(f.op("xor", "i1", running, "true")):
                f.call("void", self.parts.skip(self.y), ("ptr", f.at(old, place)), ("ptr", f.at(new, place)),
                       ("ptr", y), ("i64", first), ("ptr", "%dims"))
