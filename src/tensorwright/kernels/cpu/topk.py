"""The k greatest or least elements along an axis: a heap of k keys per row, then sorted in place.

A key is one integer: the value, mapped so that integers order as values do (NaN above all, −0 equal to 0, inverted
for the least elements), above the complement of the index, so that of equal values the lower index wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...dims import Dim, product
from ...dtypes import NATIVE, DType
from ...ops.scan import TopK
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, module, vector
from ..problem import Operand, Phase, Problem, Source, Workspace
from .lanes import Lanes
from .rows import load_strided, offset, split_index


@dataclass(frozen=True)
class Heap:
    """lanes: elements that are compared with the heap's worst key at once."""

    lanes: int

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        op, x = problem.op, problem.inputs[0]
        assert isinstance(op, TopK) and x is not None
        dims: list[Dim] = []
        f = entry(symbol)
        writer = _Writer(f, Dims(f, dims), op, x, cpu, self.lanes, symbol)
        writer.write(problem)
        space = Workspace((op.k + 1) * (writer.bits // 4), per_thread=True)
        chunks = product(n for a, n in enumerate(x.shape) if a != op.axis)
        return Source(module(f, writer.sift), (Phase(symbol, chunks),), tuple(dims), (space,))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("selection packs nothing")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Heap]:
    x = problem.inputs[0]
    if isinstance(problem.op, TopK) and x is not None and x.dtype in NATIVE:
        yield Heap(cpu.lanes * 4 // max(4, x.dtype.itemsize))


class _Writer:
    """bits: width of a value in a key; a key is twice as wide."""

    def __init__(self, f: Function, d: Dims, op: TopK, x: Operand, cpu: CpuSpec, lanes: int, symbol: str) -> None:
        self.f, self.d, self.op, self.x, self.cpu, self.lanes = f, d, op, x, cpu, lanes
        self.bits = 64 if x.dtype.itemsize == 8 else 32
        self.key, self.bytes = f"i{2 * self.bits}", self.bits // 4
        self.sift = _sift(f"{symbol}_sift", self.key, self.bytes)
        self.step = d(x.strides[op.axis] * x.dtype.itemsize)

    def rank(self, pointer: str, lanes: int) -> str:
        """Elements at pointer as unsigned integers in the wanted order, best greatest."""
        f, t = self.f, self.x.dtype
        scalar, i = SCALAR[t], vector(f"i{self.bits}", lanes)
        value = load_strided(f, scalar, pointer, self.step, lanes, None)
        top = f.const(i, -(1 << (self.bits - 1)))
        if t.is_float:
            v = vector(scalar, lanes)
            clean = f.op("fadd", v, value, f.const(v, 0.0))                         # −0 → 0
            raw = f.set(f"bitcast {v} {clean} to {i}")
            negative = f.set(f"icmp slt {i} {raw}, {f.const(i, 0)}")
            flipped = f.select(negative, i, f.op("xor", i, raw, f.const(i, -1)), f.op("or", i, raw, top))
            rank = f.select(f.set(f"fcmp uno {v} {value}, {value}"), i, f.const(i, -1), flipped)
        else:
            if t.itemsize < self.bits // 8:
                value = f.set(f"{'sext' if t.is_signed else 'zext'} {vector(scalar, lanes)} {value} to {i}")
            rank = f.op("xor", i, value, top) if t.is_signed and t is not DType.bool else value
        return rank if self.op.largest else f.op("xor", i, rank, f.const(i, -1))

    def key_of(self, row: str, i: str) -> str:
        f = self.f
        rank = self.rank(f.at(row, f.mul(i, self.step)), 1)
        high = f.op("shl", self.key, f.set(f"zext i{self.bits} {rank} to {self.key}"), str(self.bits))
        low = f.op("xor", "i64", i, "-1")
        narrow = low if self.bits == 64 else f.set(f"trunc i64 {low} to i32")
        return f.op("or", self.key, high, f.set(f"zext i{self.bits} {narrow} to {self.key}"))

    def call_sift(self, hole: str, size: str, key: str) -> None:
        self.f.call("void", self.sift.name, ("ptr", self.heap), ("i64", hole), ("i64", size), (self.key, key))

    def slot(self, i: str) -> str:
        return self.f.at(self.heap, self.f.mul(i, self.bytes))

    def write(self, problem: Problem) -> None:
        f, d, op, x = self.f, self.d, self.op, self.x
        others = [a for a in range(len(x.shape)) if a != op.axis]
        values, indices = problem.outputs
        source, out_values, out_indices = (arg(f, i) for i in range(3))
        self.k, n = d(op.k), d(x.shape[op.axis])
        self.heap = f.at(arg(f, 3), f.mul("%thread", d((op.k + 1) * self.bytes)))
        with f.loop("chunk", "%begin", "%end") as chunk:
            coords = dict(zip(others, split_index(f, chunk, [d(x.shape[a]) for a in others]), strict=True))
            row = f.at(source, offset(f, d, x, coords))
            with f.when(f.set(f"icmp sgt i64 {self.k}, 0")):
                self.select_best(row, n)
                self.sort()
            to_values = f.at(out_values, offset(f, d, values, coords))
            to_indices = f.at(out_indices, offset(f, d, indices, coords))
            with f.loop("o", "0", self.k) as o:
                key = f.load(self.key, self.slot(o), 8)
                low = f.set(f"trunc {self.key} {key} to i{self.bits}")
                low = f.op("xor", f"i{self.bits}", low, "-1")
                index = low if self.bits == 64 else f.set(f"zext i32 {low} to i64")
                value = f.load(SCALAR[x.dtype], f.at(row, f.mul(index, self.step)))
                step = d(values.strides[op.axis] * x.dtype.itemsize)
                f.store(SCALAR[x.dtype], value, f.at(to_values, f.mul(o, step)))
                f.store("i64", index, f.at(to_indices, f.mul(o, d(indices.strides[op.axis] * 8))))

    def select_best(self, row: str, n: str) -> None:
        """The heap: worst of the k best keys first."""
        f, lanes, i = self.f, self.lanes, vector(f"i{self.bits}", self.lanes)
        with f.loop("i", "0", self.k) as j:
            f.store(self.key, self.key_of(row, j), self.slot(j), 8)
        half = f.divide(self.k, 2)
        with f.loop("p", "0", half) as p:
            hole = f.sub(f.sub(half, 1), p)
            self.call_sift(hole, self.k, f.load(self.key, self.slot(hole), 8))

        def offer(j: str) -> None:
            key = self.key_of(row, j)
            with f.when(f.set(f"icmp ugt {self.key} {key}, {f.load(self.key, self.heap, 8)}")):
                self.call_sift("0", self.k, key)

        stop = f.add(self.k, f.mul(f.divide(f.sub(n, self.k), lanes), lanes))
        with f.loop("i", self.k, stop, lanes) as j:
            worst = f.op("lshr", self.key, f.load(self.key, self.heap, 8), str(self.bits))
            bound = f.splat(i, f.set(f"trunc {self.key} {worst} to i{self.bits}"))
            ranks = self.rank(f.at(row, f.mul(j, self.step)), lanes)
            better = f.set(f"icmp ugt {i} {ranks}, {bound}")
            with f.when(Lanes(f, lanes, self.cpu).any(better)):
                with f.loop("j", j, f.add(j, lanes)) as one:
                    offer(one)
        with f.loop("i", stop, n) as j:
            offer(j)

    def sort(self) -> None:
        f = self.f
        with f.loop("m", "1", self.k) as m:
            end = f.sub(self.k, m)
            last = f.load(self.key, self.slot(end), 8)
            f.store(self.key, f.load(self.key, self.heap, 8), self.slot(end), 8)
            self.call_sift("0", end, last)


def _sift(name: str, key: str, size: int) -> Function:
    """(heap, hole, count, key): puts key into the hole and restores the order: no child less than its parent."""
    f = Function(name, linkage="internal", attributes="nounwind noinline", heap="ptr", hole="i64", count="i64", key=key)

    def slot(i: str) -> str:
        return f.at("%heap", f.mul(i, size))

    f.br("down")
    f.label("down")
    f.emit("%at = phi i64 [%hole, %entry], [%least, %move]")
    left = f.add(f.mul("%at", 2), 1)
    f.branch(f.set(f"icmp slt i64 {left}, %count"), "child", "done")
    f.label("child")
    right = f.minimum(f.add(left, 1), f.sub("%count", 1))
    a, b = f.load(key, slot(left), 8), f.load(key, slot(right), 8)
    smaller = f.set(f"icmp ult {key} {b}, {a}")
    f.emit(f"%least = select i1 {smaller}, i64 {right}, i64 {left}")
    value = f.select(smaller, key, b, a)
    f.branch(f.set(f"icmp ult {key} {value}, %key"), "move", "done")
    f.label("move")
    f.store(key, value, slot("%at"), 8)
    f.br("down")
    f.label("done")
    f.store(key, "%key", slot("%at"), 8)
    return f
