"""Fused attention: per block of queries, scores, softmax and the weighted sum of values without a trip to memory.

The keys of one block are transposed into panels of nr vectors, so that scores are computed by a register tile of mr
queries × nr·lanes keys; the softmax runs online over blocks of keys; values are read in place. Few queries do not pay
for the transposition: there each score is a dot product. Any strides, symbolic extents, masks by their strides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...dims import Dim, ceildiv, product
from ...dims import Expr as DimExpr
from ...dtypes import DType
from ...ops.attention import Attention
from ...targets import CpuSpec
from ..llvm import SCALAR, arg, module, vector
from ..problem import Operand, Phase, Problem, Source, Workspace
from .attention_parts import Parts
from .rows import Rows, load_strided, split_index, unfuse


@dataclass(frozen=True)
class Flash:
    """mr × nr·lanes: the register tile. keys, queries: block sizes. panels: keys are transposed, else dot products."""

    mr: int
    nr: int
    lanes: int
    keys: int
    queries: int
    panels: bool = True

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        return _Writer(self, problem, cpu, symbol).write()

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("attention packs nothing")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Flash]:
    op, _, _ = unfuse(problem)
    q, k, v = problem.inputs[:3]
    assert isinstance(op, Attention) and q is not None and k is not None and v is not None
    if q.dtype not in (DType.float32, DType.float64):
        return
    lanes = cpu.lanes * 4 // q.dtype.itemsize
    S, T = problem.at_tuned(q.shape[-2]), problem.at_tuned(k.shape[-2])
    T = max(1, T if isinstance(k.shape[-2], int) else max(T, 256))
    even = math.ceil(T / math.ceil(T / 512))                            # keys per block, all blocks alike
    keys = math.ceil(even / lanes) * lanes
    nr, mr = (4 if cpu.vector_registers >= 32 else 2), 6
    lead = max(1, problem.at_tuned(product(problem.outputs[0].shape[:-2])))
    queries = max(1, min(S, max(8 * mr, min(240, S * lead // (2 * cpu.cores)))))
    mr = min(mr, max(S, 1)) if isinstance(q.shape[-2], int) else mr
    queries = -(-queries // mr) * mr
    panels = Flash(mr, nr, lanes, keys, queries)
    dots = Flash(1, nr, lanes, keys, min(8, max(S, 1)), panels=False)
    yield from (dots, panels) if S <= 3 else (panels,)


class _Writer:
    """One kernel being written. Offsets into a thread's workspace are dimensions, in elements."""

    def __init__(self, t: Flash, problem: Problem, cpu: CpuSpec, symbol: str) -> None:
        op, _, arity = unfuse(problem)
        q, k, v, *rest = problem.inputs[:arity]
        assert isinstance(op, Attention) and q is not None and k is not None and v is not None
        self.t, self.op, self.problem, self.symbol, self.cpu = t, op, problem, symbol, cpu
        self.q, self.k, self.v, self.mask = q, k, v, rest[0] if rest else None
        self.dims: list[Dim] = []
        self.rows = Rows(problem, cpu, symbol, self.dims, len(problem.outputs[0].shape) - 1,
                         lanes=t.lanes)
        self.f, self.d = self.rows.f, self.rows.d
        self.S, self.D, self.T, self.E = q.shape[-2], q.shape[-1], k.shape[-2], v.shape[-1]
        self.scalar, self.size = SCALAR[q.dtype], q.dtype.itemsize
        self.single = isinstance(self.T, int) and self.T <= t.keys
        self.copy_values = v.strides[-1] != 1 and v.shape[-1] != 1
        wide_d, wide_e = (ceildiv(x, t.lanes) * t.lanes for x in (self.D, self.E))
        panel = t.nr * t.lanes
        self.wide_d, self.wide_e = wide_d, wide_e
        self.score_row = -(-t.keys // panel) * panel + t.lanes          # not a power of two: rows in different sets
        sizes: dict[str, Dim] = {
            "state": 2 * (-(-t.queries // 16) * 16), "scores": t.mr * self.score_row, "queries": t.queries * wide_d,
            "sums": t.queries * wide_e, "keys": -(-t.keys // panel) * panel * self.D if t.panels else 0,
            "values": t.keys * wide_e if self.copy_values else 0}
        self.places: dict[str, Dim] = {}
        total: Dim = 0
        for name, count in sizes.items():
            self.places[name] = total
            total = total + ceildiv(count, 16) * 16
        self.workspace = total * self.size
        self.parts = Parts(symbol, self.dims, cpu, self.scalar, t.lanes, t.mr, t.nr, self.score_row)

    def write(self) -> Source:
        t, f, d = self.t, self.f, self.d
        lead = self.problem.outputs[0].shape[:-2]
        blocks = ceildiv(self.S, t.queries)
        base = arg(f, len(self.problem.inputs) + 1)
        base = f.at(base, f.mul("%thread", d(self.workspace)))
        self.at = {name: f.at(base, d(place * self.size), name) for name, place in self.places.items()}
        pointers = [arg(f, i) for i in range(4 if self.mask is not None else 3)]
        self.ready = f.alloca("i64", "ready", 8)                        # which batch and head the panels hold
        f.store("i64", "-1", self.ready)
        with f.loop("chunk", "%begin", "%end") as chunk:
            head = f.divide(chunk, d(blocks))
            coords = split_index(f, head, [d(x) for x in lead])
            operands = [self.q, self.k, self.v, *([self.mask] if self.mask is not None else [])]
            placed = [f.at(p, self.lead_offset(x, coords)) for p, x in zip(pointers, operands, strict=True)]
            first = f.mul(f.remainder(chunk, d(blocks)), t.queries)
            count = f.minimum(f.sub(d(self.S), first), t.queries)
            self.block(head, coords, first, count, placed)
        text = module(f, *self.parts.functions.values())
        chunks = product(lead) * blocks
        space = Workspace(self.workspace, per_thread=True)
        return Source(text, (Phase(self.symbol, chunks),), tuple(self.dims), (space,))

    def lead_offset(self, x: Operand, coords: list[str]) -> str:
        """Bytes to the batch and head at coords; missing and broadcast axes stay at 0."""
        f, axes = self.f, len(x.shape) - 2
        total = "0"
        for axis in range(max(axes, 0)):
            if x.shape[axis] != 1:
                c = coords[len(coords) - axes + axis]
                total = f.add(total, f.mul(c, self.d(x.strides[axis] * x.dtype.itemsize)))
        return total

    def block(self, head: str, coords: list[str], first: str, count: str, pointers: list[str]) -> None:
        """All keys against queries first ... first + count − 1 of one head."""
        t, f, d = self.t, self.f, self.d
        q, k, v, *mask = pointers
        self.load_queries(f.at(q, f.mul(first, self.step(self.q, -2))), count)
        self.reset(count)
        turns = "1" if self.single else d(ceildiv(self.T, t.keys))
        with f.loop("keys", "0", turns) as turn:
            start = "0" if self.single else f.mul(turn, t.keys)
            valid = d(self.T) if self.single else f.minimum(f.sub(d(self.T), start), t.keys)
            keys = f.at(k, f.mul(start, self.step(self.k, -2)))
            values = f.at(v, f.mul(start, self.step(self.v, -2)))
            if self.single:
                with f.when(f.set(f"icmp ne i64 {f.load('i64', self.ready)}, {head}")):
                    self.load_keys(keys, values, valid)
                    f.store("i64", head, self.ready)
            else:
                self.load_keys(keys, values, valid)
            with f.loop("tile", "0", count, t.mr) as tile:
                self.tile(tile, first, count, start, valid, keys, values, mask[0] if mask else None)
        out = dict(enumerate(coords))
        axis = len(coords)
        with f.loop("out", "0", count) as r:
            total = f.load(self.scalar, f.at(self.at["state"], f.mul(f.add(r, -(-t.queries // 16) * 16), self.size)))
            row = f.at(self.at["sums"], f.mul(r, d(self.wide_e * self.size)))
            if self.op.zeros:
                seen = f.set(f"fcmp une {self.scalar} {total}, {f.const(self.scalar, 0)}")
                total = f.select(seen, self.scalar, total, f.const(self.scalar, 1))

            def element(i: str, lanes: int, masked: str | None, row: str = row, total: str = total) -> str:
                vec = vector(self.scalar, lanes)
                value = f.load(vec, f.at(row, f.mul(i, self.size)))
                return f.op("fdiv", vec, value, f.splat(vec, total))

            self.rows.write({**out, axis: f.add(first, r)}, "0", d(self.E), element)

    def step(self, x: Operand, axis: int) -> str:
        return self.d(0 if x.shape[axis] == 1 else x.strides[axis] * x.dtype.itemsize)

    def load_queries(self, source: str, count: str) -> None:
        """scale · q as dense rows; columns up to the next full vector hold zeros."""
        t, f = self.t, self.f
        with f.loop("q", "0", count) as r:
            self.copy_row(f.at(source, f.mul(r, self.step(self.q, -2))), self.step(self.q, -1), self.D,
                          f.at(self.at["queries"], f.mul(r, self.d(self.wide_d * self.size))), self.op.scale)
        del t

    def copy_row(self, source: str, step: str, length: Dim, target: str, scale: float | None = None) -> None:
        f, lanes = self.f, self.t.lanes
        vec = vector(self.scalar, lanes)

        def put(i: str, mask: str | None) -> None:
            value = load_strided(f, self.scalar, f.at(source, f.mul(i, step)), step, lanes, mask)
            if mask is not None and step == "0":
                value = f.select(mask, vec, value, f.const(vec, 0))
            if scale is not None:
                value = f.op("fmul", vec, value, f.const(vec, scale))
            f.store(vec, value, f.at(target, f.mul(i, self.size)))

        full = self.d(length // lanes * lanes)
        with f.loop("c", "0", full, lanes) as c:
            put(c, None)
        if isinstance(length, DimExpr) or length % lanes:
            with f.when(f.set(f"icmp slt i64 {full}, {self.d(length)}")):
                put(full, f.tail_mask(lanes, f.sub(self.d(length), full)))

    def reset(self, count: str) -> None:
        """No key seen: maxima −∞, sums 0. Rows of the last tile beyond count are set too."""
        t, f, vec = self.t, self.f, vector(self.scalar, self.t.lanes)
        half = -(-t.queries // 16) * 16
        with f.loop("m", "0", half, 1) as r:
            f.store(self.scalar, f.const(self.scalar, float("-inf")), f.at(self.at["state"], f.mul(r, self.size)))
            f.store(self.scalar, f.const(self.scalar, 0), f.at(self.at["state"], f.mul(f.add(r, half), self.size)))
        rounded = f.mul(f.divide(f.add(count, t.mr - 1), t.mr), t.mr)
        with f.loop("z", "0", f.mul(rounded, self.d(self.wide_e)), t.lanes) as i:
            f.store(vec, f.const(vec, 0), f.at(self.at["sums"], f.mul(i, self.size)))

    def load_keys(self, keys: str, values: str, valid: str) -> None:
        f, d, t = self.f, self.d, self.t
        if t.panels:
            name = self.parts.pack(self.k.strides[-2] if self.k.shape[-2] != 1 else 0,
                                   self.k.strides[-1] if self.k.shape[-1] != 1 else 1, self.D)
            f.call("void", name, ("ptr", keys), ("ptr", self.at["keys"]), ("i64", valid), ("ptr", "%dims"))
        if self.copy_values:
            with f.loop("v", "0", valid) as r:
                self.copy_row(f.at(values, f.mul(r, self.step(self.v, -2))), self.step(self.v, -1), self.E,
                              f.at(self.at["values"], f.mul(r, d(self.wide_e * self.size))))

    def tile(self, tile: str, first: str, count: str, start: str, valid: str, keys: str, values: str,
             mask: str | None) -> None:
        """Up to mr queries against one block of keys."""
        t, f, d = self.t, self.f, self.d
        rows = f.minimum(f.sub(count, tile), t.mr)
        limit = "0"
        if self.op.causal:                                 # row r of the tile sees keys of the block up to limit + r
            limit = f.sub(f.add(f.add(first, tile), f.sub(d(self.T), d(self.S))), start)
            valid = f.maximum(f.minimum(valid, f.add(f.add(limit, rows), 0)), 0)
        queries = f.at(self.at["queries"], f.mul(tile, d(self.wide_d * self.size)))
        sums = f.at(self.at["sums"], f.mul(tile, d(self.wide_e * self.size)))
        with f.when(f.set(f"icmp sgt i64 {valid}, 0")):
            self.scores(queries, keys, valid)
            name = self.parts.softmax(self.mask_kind(), self.op.causal, self.single, self.wide_e)
            half = -(-t.queries // 16) * 16
            with f.loop("row", "0", rows) as r:
                state = f.at(self.at["state"], f.mul(f.add(tile, r), self.size))
                line = "null"
                if mask is not None and self.mask is not None:
                    query = f.add(f.add(first, tile), r)
                    line = f.at(mask, f.mul(query, self.step(self.mask, -2))) if len(self.mask.shape) > 1 else mask
                    line = f.at(line, f.mul(start, self.mask_step()))
                f.call("void", name, ("ptr", f.at(self.at["scores"], f.mul(r, self.score_row * self.size))),
                       ("ptr", line), ("i64", self.mask_step()), ("i64", valid), ("i64", f.add(limit, r)),
                       ("ptr", state), ("ptr", f.at(state, half * self.size)),
                       ("ptr", f.at(sums, f.mul(r, d(self.wide_e * self.size)))), ("ptr", "%dims"))
            source = self.at["values"] if self.copy_values else values
            step = self.wide_e if self.copy_values else self.v.strides[-2] if self.v.shape[-2] != 1 else 0
            self.parts.weigh(f, self.at["scores"], source, sums, valid, step, self.E, self.wide_e, d)

    def mask_kind(self) -> str:
        return "" if self.mask is None else "bool" if self.mask.dtype is DType.bool else "float"

    def mask_step(self) -> str:
        return "0" if self.mask is None or not self.mask.shape else self.step(self.mask, -1)

    def scores(self, queries: str, keys: str, valid: str) -> None:
        """q · kᵀ of one tile into the score rows."""
        t, f = self.t, self.f
        if not t.panels:
            step = self.k.strides[-2] if self.k.shape[-2] != 1 else 0
            name = self.parts.dots(step, self.k.strides[-1] if self.k.shape[-1] != 1 else 1, self.D)
            f.call("void", name, ("ptr", queries), ("ptr", keys), ("ptr", self.at["scores"]), ("i64", valid),
                   ("ptr", "%dims"))
            return
        vectors = f.divide(f.add(valid, t.lanes - 1), t.lanes)
        panels, rest = f.divide(vectors, t.nr), f.remainder(vectors, t.nr)
        panel_bytes, width = self.d(self.D * t.nr * t.lanes * self.size), t.nr * t.lanes * self.size

        def run(nr: int, panel: str) -> None:
            f.call("void", self.parts.multiply(nr, self.D, self.wide_d), ("ptr", queries),
                   ("ptr", f.at(self.at["keys"], f.mul(panel, panel_bytes))),
                   ("ptr", f.at(self.at["scores"], f.mul(panel, width))), ("ptr", "%dims"))

        with f.loop("panel", "0", panels) as panel:
            run(t.nr, panel)
        for nr in range(1, t.nr):
            if rest == str(nr):
                run(nr, panels)
            elif rest.startswith("%"):
                with f.when(f.set(f"icmp eq i64 {rest}, {nr}")):
                    run(nr, panels)
