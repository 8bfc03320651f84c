"""Entries of Winograd convolutions: blocks of tiles taken through all steps by one thread, or one phase per step."""

from __future__ import annotations

from ...dims import Dim, ceildiv
from ...targets import CpuSpec
from ..llvm import Dims, Function, arg, entry
from ..problem import Operand, Problem
from .contraction import core_of
from .winograd_transform import Tiling, input_function, output_function


class Writer:
    """Writes the functions of one tactic. order: Source.dims, appended to."""

    def __init__(self, t: Tiling, problem: Problem, cpu: CpuSpec, symbol: str, order: list[Dim]) -> None:
        self.t, self.problem, self.cpu, self.symbol, self.order = t, problem, cpu, symbol, order
        op, _, arity = core_of(problem.op)
        self.arity = arity or len(problem.inputs)
        self.pads = op.pads  # type: ignore[attr-defined]
        n, _, self.p, self.q = t.y.shape
        self.down, self.right = ceildiv(self.p, t.m), ceildiv(self.q, t.m)
        self.tiles = n * self.down * self.right

    def blocks(self, block: int, chunks: int, sizes: tuple[int, int]) -> list[Function]:
        """The entry @symbol: a chunk is a block of tiles. chunks: the product's; sizes: bytes of V, M per thread."""
        f = entry(self.symbol)
        d = Dims(f, self.order)
        inputs = len(self.problem.inputs)
        v, m = (f.at(arg(f, inputs + 1 + i), f.mul("%thread", size)) for i, size in enumerate(sizes))
        local = f.alloca("[3 x ptr]", "local")
        for i, p in enumerate((v, arg(f, 1), m)):
            f.store("ptr", p, f.at(local, 8 * i), 8)
        operands = self._operands(f, d)
        with f.loop("chunk", f.begin, f.end) as chunk:
            first = f.mul(chunk, block)
            last = f.minimum(f.add(first, block), d(self.tiles))
            with f.loop("tile", first, last) as tile:
                at = f.at(v, f.mul(f.sub(tile, first), self.t.row_v * 4))
                self._input(f, d, operands, tile, at, "0", self._vectors("in"))
            f.call("void", f"{self.symbol}_product", ("ptr", local), ("ptr", "%dims"), ("i64", "0"),
                   ("i64", str(chunks)), ("i64", "0"))
            with f.loop("tile", first, last) as tile:
                at = f.at(m, f.mul(f.sub(tile, first), self.t.row_m * 4))
                self._output(f, d, operands, tile, at, "0", self._vectors("out"))
        return [f, *self._functions("in"), *self._functions("out")]

    def transform_phase(self, kind: str) -> tuple[list[Function], Dim]:
        """The phase @symbol_in or @symbol_out and its helpers: a chunk is one tile and a part of its channels."""
        f = entry(f"{self.symbol}_phase_{kind}")
        d = Dims(f, self.order)
        vectors = self._vectors(kind)
        parts = min(int(vectors), 4)
        size = -(-int(vectors) // parts)
        matrix = arg(f, len(self.problem.inputs) + (1 if kind == "in" else 2))
        operands = self._operands(f, d)
        with f.loop("chunk", f.begin, f.end) as chunk:
            part, tile = f.remainder(chunk, parts), f.divide(chunk, parts)
            first = f.mul(part, size)
            last = f.minimum(f.add(first, size), vectors)
            if kind == "in":
                self._input(f, d, operands, tile, f.at(matrix, f.mul(tile, self.t.row_v * 4)), first, last)
            else:
                self._output(f, d, operands, tile, f.at(matrix, f.mul(tile, self.t.row_m * 4)), first, last)
        return [f, *self._functions(kind)], self.tiles * parts

    def _vectors(self, kind: str) -> str:
        return str(-(-(self.t.inputs if kind == "in" else self.t.outputs) // self.cpu.lanes))

    def _functions(self, kind: str) -> list[Function]:
        make, edges = input_function if kind == "in" else output_function, (False,) if self.t.even else (False, True)
        return [make(self.t, edge, self.cpu, self.symbol, self.order) for edge in edges]

    def _operands(self, f: Function, d: Dims) -> list[tuple[str, Operand]]:
        """Pointers to x at the first tap of the first output, y, bias, extras."""
        t = self.t
        start: Dim = 0
        for (before, _), stride in zip(self.pads, t.x.strides[2:], strict=True):
            start = start - before * stride
        x = f.at(arg(f, 0), d(start * 4))
        found = [(x, t.x), (arg(f, len(self.problem.inputs)), t.y)]
        found.append((arg(f, 2) if t.bias is not None else "null", t.bias or t.y))
        return found + [(arg(f, self.arity + i), e) for i, e in enumerate(t.extras)]

    def _place(self, f: Function, d: Dims, tile: str) -> tuple[str, str, str]:
        """(image, row, column of outputs) where a tile begins."""
        column, rest = f.remainder(tile, d(self.right)), f.divide(tile, d(self.right))
        row, image = f.remainder(rest, d(self.down)), f.divide(rest, d(self.down))
        return image, f.mul(row, self.t.m), f.mul(column, self.t.m)

    def _offset(self, f: Function, d: Dims, pointer: str, operand: Operand, place: tuple[str, str, str]) -> str:
        total, size = "0", operand.dtype.itemsize
        for i, stride in zip(place, (operand.strides[0], *operand.strides[2:]), strict=True):
            total = f.add(total, f.mul(i, d(stride * size)))
        return f.at(pointer, total)

    def _input(self, f: Function, d: Dims, operands: list[tuple[str, Operand]], tile: str, v: str, first: str,
               last: str) -> None:
        place = self._place(f, d, tile)
        image, *corner = place
        stride, more = self.t.stride, self.t.window - self.t.stride
        x = self._offset(f, d, *operands[0], (image, f.mul(corner[0], stride), f.mul(corner[1], stride)))
        rows, columns = (f.add(f.mul(left, stride), more) for left in self._left(f, d, place))
        self._call(f, "in", rows, columns, self.t.n, [("ptr", x), ("ptr", v)], first, last, [])

    def _output(self, f: Function, d: Dims, operands: list[tuple[str, Operand]], tile: str, m: str, first: str,
                last: str) -> None:
        place = self._place(f, d, tile)
        y = self._offset(f, d, *operands[1], place)
        extras = [("ptr", self._offset(f, d, p, e, place)) for p, e in operands[3:]]
        rows, columns = self._left(f, d, place)
        head = [("ptr", m), ("ptr", y), ("ptr", operands[2][0])]
        self._call(f, "out", rows, columns, self.t.m, head, first, last, extras)

    def _left(self, f: Function, d: Dims, place: tuple[str, str, str]) -> tuple[str, str]:
        return f.sub(d(self.p), place[1]), f.sub(d(self.q), place[2])

    def _call(self, f: Function, kind: str, rows: str, columns: str, whole: int, head: list[tuple[str, str]],
              first: str, last: str, extras: list[tuple[str, str]]) -> None:
        args = [*head, ("i64", first), ("i64", last), ("i64", rows), ("i64", columns), ("ptr", "%dims"), *extras]
        if self.t.even:
            f.call("void", f"{self.symbol}_{kind}", *args)
            return
        inner = f.set(f"icmp sge i64 {f.minimum(rows, columns)}, {whole}")
        with f.when(inner):
            f.call("void", f"{self.symbol}_{kind}", *args)
        with f.when(f.op("xor", "i1", inner, "true")):
            f.call("void", f"{self.symbol}_{kind}_edge", *args)
