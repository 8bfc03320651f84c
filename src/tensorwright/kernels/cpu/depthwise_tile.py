"""Code of depthwise convolution: the entry that walks rows, and the tile of outputs that walks channels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ...dims import Dim, ceildiv, minimum, product
from ...ops.expr import Expr
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, vector
from ..problem import Operand
from .cuts import Cut, piece, sizes, switch
from .epilogue import apply_epilogue, load, store


@dataclass(frozen=True)
class Layer:
    """A depthwise problem's operands and geometry; spatial axes padded to three (depth, height, width).

    extras_at, y_at   argument numbers
    start             elements of x from its first to the first tap of the first output
    """

    x: Operand
    y: Operand
    bias: Operand | None
    extras: tuple[Operand, ...]
    extras_at: int
    y_at: int
    epilogue: Expr | None
    channels: int
    window: tuple[int, int, int]
    strides: tuple[int, int, int]
    dilations: tuple[int, int, int]
    start: Dim

    @property
    def taps(self) -> int:
        return math.prod(self.window)

    def along(self, operand: Operand) -> tuple[Dim, Dim, Dim, Dim]:
        """Strides along batch, depth, height, width; 0 for axes that do not exist."""
        spatial = operand.strides[2:]
        return (operand.strides[0], *(0,) * (3 - len(spatial)), *spatial)  # type: ignore[return-value]

    @property
    def extents(self) -> tuple[Dim, Dim, Dim, Dim]:
        spatial = self.y.shape[2:]
        return (self.y.shape[0], *(1,) * (3 - len(spatial)), *spatial)  # type: ignore[return-value]



class Driver:
    """The entry: chunks are blocks of rows × blocks of channels. See `depthwise.Depthwise` for the parameters."""

    def __init__(self, layer: Layer, rows: int, columns: int, block: int, chunk_rows: int, cpu: CpuSpec,
                 symbol: str) -> None:
        self.layer, self.block, self.chunk_rows, self.cpu, self.symbol = layer, block, chunk_rows, cpu, symbol
        self.order: list[Dim] = []
        batch, depth, height, width = layer.extents
        self.row_cut, self.column_cut = Cut(height, rows), Cut(width, columns)
        self.rows = product((batch, depth, self.row_cut.count))
        self.vectors, self.tail = divmod(layer.channels, cpu.lanes)
        self.blocks = -(-(self.vectors + bool(self.tail)) // block) if block else 1
        self.chunks = ceildiv(self.rows, chunk_rows) * self.blocks * minimum(1, width)
        self.used: set[tuple[int, int]] = set()
        self.f = entry(symbol)
        self.d = Dims(self.f, self.order)

    def write(self) -> list[Function]:
        f, d, layer, lanes = self.f, self.d, self.layer, self.cpu.lanes
        size = layer.x.dtype.itemsize
        x = f.at(arg(f, 0), d(layer.start * size))
        w, bias = arg(f, 1), arg(f, 2) if layer.bias is not None else "null"
        others = [(arg(f, layer.y_at), layer.y)]
        others += [(arg(f, layer.extras_at + i), e) for i, e in enumerate(layer.extras)]
        with f.loop("chunk", f.begin, f.end) as chunk:
            block, row_block = f.remainder(chunk, self.blocks), f.divide(chunk, self.blocks)
            begin = f.mul(block, self.block)
            count = f.minimum(f.sub(self.vectors, begin), self.block) if self.block else str(self.vectors)
            tail = str(int(self.tail > 0))
            if self.tail and self.blocks > 1:
                tail = f.set(f"zext i1 {f.set(f'icmp eq i64 {block}, {self.blocks - 1}')} to i64")
            channel = f.mul(begin, lanes)
            w_at = f.at(w, f.mul(begin, layer.taps * lanes * size))
            bias_at = f.at(bias, f.mul(channel, size)) if layer.bias is not None else "null"
            first = f.mul(row_block, self.chunk_rows)
            last = f.minimum(f.add(first, self.chunk_rows), d(self.rows))
            with f.loop("row", first, last) as row:
                index, rest = f.remainder(row, d(self.row_cut.count)), f.divide(row, d(self.row_cut.count))
                z, n = f.remainder(rest, d(layer.extents[1])), f.divide(rest, d(layer.extents[1]))
                p, p_size = piece(f, d, self.row_cut, index)
                row_x = self._step(x, layer.x, [n, z, p, "0"], channel, layer.strides)
                rows = [self._step(at, operand, [n, z, p, "0"], channel) for at, operand in others]
                with f.loop("tile", 0, d(self.column_cut.count)) as tile:
                    q, q_size = piece(f, d, self.column_cut, tile)
                    here_x = self._step(row_x, layer.x, ["0", "0", "0", q], "0", layer.strides)
                    y, *extras = (self._step(at, operand, ["0", "0", "0", q], "0")
                                  for at, (_, operand) in zip(rows, others, strict=True))
                    self._call(p_size, q_size, [here_x, w_at, bias_at, y, *extras], count, tail)
        return [f, *(tile_function(layer, r, q, self.cpu, self.symbol, self.order) for r, q in sorted(self.used))]

    def _step(self, pointer: str, operand: Operand, indices: list[str], channel: str,
              scales: tuple[int, int, int] = (1, 1, 1)) -> str:
        f, d, size = self.f, self.d, operand.dtype.itemsize
        total = f.mul(channel, d(operand.strides[1] * size))
        for i, stride, scale in zip(indices, self.layer.along(operand), (1, *scales), strict=True):
            total = f.add(total, f.mul(i, d(stride * (scale * size))))
        return f.at(pointer, total)

    def _call(self, rows: str | int, columns: str | int, pointers: list[str], count: str, tail: str) -> None:
        f = self.f
        args = [("i64", count), ("i64", tail), ("ptr", "%dims"), *(("ptr", p) for p in pointers)]
        cases = {r * 256 + q: (r, q) for r in sizes(rows, self.row_cut) for q in sizes(columns, self.column_cut)}
        self.used.update(cases.values())
        switch(f, f.add(f.mul(rows, 256), columns), cases,
               lambda v: f.call("void", f"{self.symbol}_tile{v[0]}x{v[1]}", *args))


def tile_function(layer: Layer, rows: int, columns: int, cpu: CpuSpec, symbol: str, order: list[Dim]) -> Function:
    """void tile(count, tail, dims, x, w, bias, y, e0, ...): `count` vectors of channels, then a partial one if tail."""
    params = {"count": "i64", "tail": "i64", "dims": "ptr", "x": "ptr", "w": "ptr", "bias": "ptr", "y": "ptr"}
    params |= {f"e{i}": "ptr" for i in range(len(layer.extras))}
    f = Function(f"{symbol}_tile{rows}x{columns}", linkage="internal", attributes="nounwind noinline", **params)
    d, rest, lanes = Dims(f, order), layer.channels % cpu.lanes, cpu.lanes
    writer = _Tile(layer, rows, columns, cpu, lanes, f, d)
    with f.loop("v", 0, f.count) as v:
        writer.vector(v, None)
    if rest:
        while lanes > 4 and rest <= lanes // 2:           # half a vector takes half the time
            lanes //= 2
        partial = f.set(f"icmp ne i64 {f.tail}, 0")
        with f.when(partial):
            writer = _Tile(layer, rows, columns, cpu, lanes, f, d)
            writer.vector(f.count, f.tail_mask(lanes, rest) if rest < lanes else None)
    return f


class _Tile:
    """lanes: channels computed at once; vectors in memory are cpu.lanes apart."""

    def __init__(self, layer: Layer, rows: int, columns: int, cpu: CpuSpec, lanes: int, f: Function, d: Dims) -> None:
        self.layer, self.rows, self.columns, self.cpu, self.f, self.d = layer, rows, columns, cpu, f, d
        self.lanes = lanes
        self.type = vector(SCALAR[layer.x.dtype], lanes)

    def vector(self, v: str, mask: str | None) -> None:
        """All outputs of vector number v of channels."""
        f, layer = self.f, self.layer
        bytes_ = layer.x.dtype.itemsize * self.cpu.lanes
        x, w = f.at("%x", f.mul(v, bytes_)), f.at("%w", f.mul(v, layer.taps * bytes_))
        start = f.const(self.type, 0)
        if layer.bias is not None:
            start = load(f, self.type, f.at("%bias", f.mul(v, bytes_)), mask)
        acc = {(r, q): start for r in range(self.rows) for q in range(self.columns)}
        for z in range(layer.window[0]):
            for y in self._plane(z, x, w, mask, acc):
                if z == layer.window[0] - 1:         # rows of outputs leave their registers as early as they can
                    for r, q in acc:
                        if r * layer.strides[1] + (layer.window[1] - 1) * layer.dilations[1] == y:
                            self._finish(v, r, q, acc[r, q], mask)

    def _plane(self, z: int, x: str, w: str, mask: str | None, acc: dict[tuple[int, int], str]) -> Iterator[int]:
        """Add the taps at depth z: row after row of inputs, each loaded once. Yields the rows when they are done."""
        f, layer, d = self.f, self.layer, self.d
        size = layer.x.dtype.itemsize
        _, depth, height, width = layer.along(layer.x)
        _, high, wide = layer.window
        (_, sh, sw), (dz, dh, dw) = layer.strides, layer.dilations
        plane = f.at(x, f.mul(z * dz, d(depth * size)))
        filters: dict[tuple[int, int], str] = {}

        def weight(i: int, j: int) -> str:
            if (i, j) not in filters:
                number = (z * high + i) * wide + j
                filters[i, j] = f.load(self.type, f.at(w, number * size * self.cpu.lanes))
            return filters[i, j]

        for y in sorted({r * sh + i * dh for r in range(self.rows) for i in range(high)}):
            row, loaded = f.at(plane, f.mul(y, d(height * size))), dict[int, str]()
            if high * wide > 9 or self.cpu.vector_registers < 32:
                filters.clear()                      # too many to keep in registers: take them from L1 again
            for r in range(self.rows):
                i, rest = divmod(y - r * sh, dh)
                if rest or not 0 <= i < high:
                    continue
                for q in range(self.columns):
                    for j in range(wide):
                        column = q * sw + j * dw
                        if column not in loaded:
                            loaded[column] = load(f, self.type, f.at(row, f.mul(column, d(width * size))), mask)
                        acc[r, q] = f.fma(self.type, loaded[column], weight(i, j), acc[r, q])
            yield y

    def _finish(self, v: str, r: int, q: int, value: str, mask: str | None) -> None:
        f, layer, lanes = self.f, self.layer, self.lanes
        value = apply_epilogue(f, layer.epilogue, value, [(e.dtype, e.strides[1]) for e in layer.extras],
                               lambda i: self._place(f"%e{i}", layer.extras[i], r, q, v), lanes, mask, self.cpu)
        store(f, layer.y.dtype, lanes, value, self._place("%y", layer.y, r, q, v), mask)

    def _place(self, pointer: str, operand: Operand, r: int, q: int, v: str) -> str:
        f, d, size = self.f, self.d, operand.dtype.itemsize
        _, _, height, width = self.layer.along(operand)
        place = f.add(f.mul(r, d(height * size)), f.mul(q, d(width * size)))
        return f.at(f.at(pointer, place), f.mul(v, d(operand.strides[1] * (size * self.cpu.lanes))))
