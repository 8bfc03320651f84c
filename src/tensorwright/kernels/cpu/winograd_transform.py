"""Winograd's transforms of one tile for a range of channels: inputs → frequencies, frequencies → outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...dims import Dim
from ...ops.expr import Expr
from ...targets import CpuSpec
from ..llvm import Dims, Function, vector
from ..problem import Operand
from .epilogue import apply_epilogue, load, store
from .winograd_matrices import Matrix, apply, inputs_of, matrices


@dataclass(frozen=True)
class Tiling:
    """Geometry of a convolution cut into tiles of m × m outputs.

    window, stride             of the filter, in both directions
    row_v, row_m               elements from one tile to the next in V (frequency, tile, channel) and in M
    frequency_v, frequency_m   elements from one frequency to the next
    even      both output sizes are multiples of m: no tile is cut
    """

    m: int
    window: int
    stride: int
    x: Operand
    y: Operand
    bias: Operand | None
    extras: tuple[Operand, ...]
    epilogue: Expr | None
    inputs: int
    outputs: int
    row_v: int
    row_m: int
    frequency_v: Dim
    frequency_m: Dim
    even: bool

    @property
    def n(self) -> int:
        """Inputs of a tile and frequencies, in one direction."""
        return inputs_of(self.m, self.window, self.stride)

    @property
    def matrices(self) -> tuple[Matrix, Matrix, Matrix]:
        return matrices(self.m, self.window, self.stride)


def input_function(t: Tiling, edge: bool, cpu: CpuSpec, symbol: str, order: list[Dim]) -> Function:
    """void input(x, v, first, last, rows, columns, dims): vectors first..last of channels of one tile, into V.

    x points to the tile's first input, channel 0. With `edge`, inputs beyond `rows` × `columns` of the tile do not
    exist: the last that does stands in for them. They only reach outputs that are not stored.
    """
    f = Function(f"{symbol}_in{'_edge' if edge else ''}", linkage="internal", attributes="nounwind noinline", x="ptr",
                 v="ptr", first="i64", last="i64", rows="i64", columns="i64", dims="ptr")
    d, n, lanes = Dims(f, order), t.n, cpu.lanes
    type_, bt = vector("float", lanes), t.matrices[2]
    rows, columns = ([f.mul(f.minimum(i, f.sub(limit, 1)) if edge else i, d(stride * 4)) for i in range(n)]
                     for limit, stride in (("%rows", t.x.strides[2]), ("%columns", t.x.strides[3])))

    def one(index: str, mask: str | None) -> None:
        at = f.mul(index, lanes * 4)
        x, v = f.at("%x", at), f.at("%v", at)
        starts = [f.at(x, r) for r in rows]
        half = []
        for j in range(n):
            places = [f.at(starts[i], columns[j]) for i in range(n)]
            half.append(apply(f, type_, bt, [load(f, type_, p, mask) for p in places]))
        for i in range(n):
            for j, value in enumerate(apply(f, type_, bt, [half[j][i] for j in range(n)])):
                f.store(type_, value, f.at(v, f.mul(i * n + j, d(t.frequency_v * 4))))

    _over_vectors(f, t.inputs, lanes, one)
    return f


def output_function(t: Tiling, edge: bool, cpu: CpuSpec, symbol: str, order: list[Dim]) -> Function:
    """void output(m, y, bias, first, last, rows, columns, dims, e0, ...): one tile of M to outputs, with the epilogue.

    With `edge`, only the first `rows` × `columns` outputs exist.
    """
    f = Function(f"{symbol}_out{'_edge' if edge else ''}", linkage="internal", attributes="nounwind noinline", m="ptr",
                 y="ptr", bias="ptr", first="i64", last="i64", rows="i64", columns="i64", dims="ptr",
                 **{f"e{i}": "ptr" for i in range(len(t.extras))})
    d, n, lanes = Dims(f, order), t.n, cpu.lanes
    type_, at_ = vector("float", lanes), t.matrices[0]
    exists = {(i, j): f.op("and", "i1", f.set(f"icmp slt i64 {i}, %rows"), f.set(f"icmp slt i64 {j}, %columns"))
              for i in range(t.m) for j in range(t.m)} if edge else {}

    def one(index: str, mask: str | None) -> None:
        m = f.at("%m", f.mul(index, lanes * 4))
        half = [apply(f, type_, at_, [f.load(type_, f.at(m, f.mul(i * n + j, d(t.frequency_m * 4)))) for i in range(n)])
                for j in range(n)]
        bias = None
        if t.bias is not None:
            bias = load(f, type_, f.at("%bias", f.mul(index, lanes * 4)), mask)
        for i in range(t.m):
            for j, value in enumerate(apply(f, type_, at_, [half[j][i] for j in range(n)])):
                if bias is not None:
                    value = f.op("fadd", type_, value, bias)
                if edge:
                    with f.when(exists[i, j]):
                        finish(index, i, j, value, mask)
                else:
                    finish(index, i, j, value, mask)

    def finish(index: str, i: int, j: int, value: str, mask: str | None) -> None:
        value = apply_epilogue(f, t.epilogue, value, [(e.dtype, e.strides[1]) for e in t.extras],
                               lambda e: place(f"%e{e}", t.extras[e], i, j, index), lanes, mask, cpu)
        store(f, t.y.dtype, lanes, value, place("%y", t.y, i, j, index), mask)

    def place(pointer: str, operand: Operand, i: int, j: int, index: str) -> str:
        size = operand.dtype.itemsize
        offset = f.add(f.mul(i, d(operand.strides[2] * size)), f.mul(j, d(operand.strides[3] * size)))
        return f.at(f.at(pointer, offset), f.mul(index, d(operand.strides[1] * (lanes * size))))

    _over_vectors(f, t.outputs, lanes, one)
    return f


def _over_vectors(f: Function, channels: int, lanes: int, one: Callable[[str, str | None], None]) -> None:
    """Call one(index, mask) in a loop over %first..%last; the vector that is only partly there comes by itself."""
    whole, rest = divmod(channels, lanes)
    with f.loop("vector", f.first, f.minimum(f.last, whole) if rest else f.last) as index:
        one(index, None)
    if rest:
        with f.when(f.set(f"icmp sgt i64 %last, {whole}")):
            one(str(whole), f.tail_mask(lanes, rest))
