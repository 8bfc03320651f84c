"""The register tile: rows × columns of pixels by nr vectors of output channels, kept in registers over all taps."""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, vector
from .contraction import Contraction
from .epilogue import apply_epilogue, costly, load, store


@dataclass(frozen=True)
class Tile:
    """One variant of the micro-kernel.

    rows, columns   pixels along the two innermost pixel axes
    nr, lanes       vectors of channels, and their length
    valid           channels that exist: None for all of nr·lanes, -1 when the caller says so at run time
    packed          B comes in panels of `nr` vectors, else in rows of the matrix itself
    unroll          steps per turn of the innermost loop, where that divides its count
    prefetch        0, or one cache line of the next panel is fetched every so many steps
    mixed           0, or a vector of outputs belongs to several groups of so many input and output channels each
    ahead           a cache line for a later launch is fetched with every step
    """

    rows: int
    columns: int
    nr: int
    lanes: int
    valid: int | None = None
    packed: bool = True
    unroll: int = 1
    prefetch: int = 0
    mixed: int = 0
    ahead: bool = False

    def width(self, j: int) -> int:
        """Lanes of vector j: where at most half of the last one exists, half a vector does (and half of that, ...)."""
        lanes = self.lanes
        if self.valid is not None and self.valid >= 0:
            while lanes > 4 and self.valid - j * self.lanes <= lanes // 2:
                lanes //= 2
        return lanes

    def name(self, symbol: str) -> str:
        tail = "" if self.valid is None else "m"
        return f"{symbol}_tile{self.rows}x{self.columns}x{self.nr}{tail}"


PARAMETERS = ("a", "b", "bias", "y", "next", "valid")


def tile_function(c: Contraction, t: Tile, symbol: str, order: list[Dim], cpu: CpuSpec) -> Function:
    """void tile(a, b, bias, y, next, valid, dims, e0, e1, ...): pointers at the tile's first element.

    next    where to prefetch from; valid: channels that exist, used when t.valid is -1
    Where t.ahead, dims is followed by far, where lines for later launches begin, and far_step, bytes between them.
    """
    params = {"a": "ptr", "b": "ptr", "bias": "ptr", "y": "ptr", "next": "ptr", "valid": "i64", "dims": "ptr"}
    params |= {"far": "ptr", "far_step": "i64"} if t.ahead else {}
    params |= {f"e{i}": "ptr" for i in range(len(c.extra_n))}
    f = Function(t.name(symbol), linkage="internal", attributes="nounwind noinline", **params)
    return TileWriter(c, t, f, Dims(f, order), cpu).write()


@dataclass(frozen=True)
class Corner:
    """Where a tile's results go: pointers to its first output and to what belongs to it; masks of its vectors."""

    y: str
    extras: tuple[str, ...]
    masks: tuple[str | None, ...]


class TileWriter:
    def __init__(self, c: Contraction, t: Tile, f: Function, d: Dims, cpu: CpuSpec) -> None:
        self.c, self.t, self.f, self.d, self.cpu = c, t, f, d, cpu
        self.scalar = SCALAR[c.dtype]
        self.type = vector(self.scalar, t.width(0))
        self.types = [vector(self.scalar, t.width(j)) for j in range(t.nr)]
        self.size = c.dtype.itemsize
        rows, columns = c.pixels[-2:]
        self.places = [(r, q) for r in range(t.rows) for q in range(t.columns)]
        self.offsets = [f.add(f.mul(r, d(rows.a * self.size)), f.mul(q, d(columns.a * self.size)))
                        for r, q in self.places]
        self.step_b: Dim = t.nr * t.lanes * self.size if t.packed else c.row * self.size
        self.masks = [self._mask(j) for j in range(t.nr)]

    def _mask(self, j: int) -> str | None:
        t = self.t
        if t.valid is None:
            return None
        if t.valid < 0:
            return self.f.tail_mask(t.lanes, self.f.sub("%valid", j * t.lanes))
        valid, width = t.valid - j * t.lanes, t.width(j)
        return None if valid >= width else self.f.tail_mask(width, valid)

    def write(self) -> Function:
        f, t = self.f, self.t
        starts = [f.const(self.types[j], 0) if self.c.args[2] is None else
                  load(f, self.types[j], f.at("%bias", j * t.lanes * self.size), self.masks[j]) for j in range(t.nr)]
        state = self._nest(0, ["%a", "%b", "%next", "%far" if t.ahead else "null", *(starts * len(self.places))])
        values = state[4:]
        self._finish_all(values, Corner("%y", tuple(f"%e{i}" for i in range(len(self.c.extra_n))), tuple(self.masks)),
                         t.rows, t.columns)
        return f

    def _finish_all(self, values: list[str], to: Corner, rows: int, columns: int) -> None:
        """Epilogue and store of rows × columns pixels."""
        if costly(self.c.epilogue) and rows * columns > 1:
            self._finish_by_pixel(values, to, rows, columns)
            return
        for i in range(rows * columns):
            for j in range(len(to.masks)):
                self._finish(values[i * self.t.nr + j], i // columns, i % columns, j, to)

    def _finish_by_pixel(self, values: list[str], to: Corner, rows: int, columns: int) -> None:
        """Accumulators leave their registers at once; then a loop over pixels has all registers to itself."""
        f, t, size = self.f, self.t, self.t.width(0) * self.size
        stack = f.alloca(f"[{len(values)} x {self.type}]", "aside")
        for i, value in enumerate(values):
            f.store(self.types[i % t.nr], value, f.at(stack, i * size))
        with f.loop("r", 0, rows) as r, f.loop("q", 0, columns) as q:
            pixel = f.at(stack, f.mul(f.add(f.mul(r, columns), q), t.nr * size))
            for j in range(len(to.masks)):
                self._finish(f.load(self.types[j], f.at(pixel, j * size)), r, q, j, to)

    # the loops over taps; state is [pointers to A, to B, to what is fetched of B, and ahead of it, accumulators...]
    def _nest(self, level: int, state: list[str]) -> list[str]:
        f, (count, stride) = self.f, self.c.taps[level]
        innermost = level == len(self.c.taps) - 1
        if innermost and self.t.mixed:
            return self._mixed_steps(state)
        bump = self.d(stride * self.size)
        if innermost and isinstance(count, int) and count <= max(2, self.t.unroll):
            return self._steps(count, stride, state)
        turn = next(u for u in range(self.t.unroll, 0, -1) if (isinstance(count, int) and count % u == 0) or u == 1)
        turn = turn if innermost else 1
        types = ["ptr"] * 4 + self.types * len(self.places)
        with f.reduce_loop(f"k{level}_", 0, self.d(count), list(zip(types, state, strict=True)),
                           step=turn) as (_, now, following):
            if innermost:
                done = self._steps(turn, stride, now)
                following += [f.at(now[0], f.mul(turn, bump)), *done[1:]]
            else:
                done = self._nest(level + 1, now)
                following += [f.at(now[0], bump), *done[1:]]
        return [state[0], *now[1:]]

    def _steps(self, count: int, stride: Dim, state: list[str]) -> list[str]:
        f, t = self.f, self.t
        a, b, following, far, *acc = state
        row = self.d(self.step_b)
        for u in range(count):
            line = f.at(b, f.mul(u, row))
            bs = [load(f, self.types[j], f.at(line, j * t.lanes * self.size), None if t.packed else self.masks[j])
                  for j in range(t.nr)]
            if t.prefetch and u % t.prefetch == 0:
                f.prefetch(following, locality=2)
                following = f.at(following, 64)
            if t.ahead:
                f.prefetch(far, locality=2)
                far = f.at(far, "%far_step")
            base = f.at(a, f.mul(u, self.d(stride * self.size)))
            for i, offset in enumerate(self.offsets):
                x = f.load(self.scalar, f.at(base, offset))
                spread = {type_: f.splat(type_, x) for type_ in dict.fromkeys(self.types)}
                for j, type_ in enumerate(self.types):
                    acc[i * t.nr + j] = f.fma(type_, spread[type_], bs[j], acc[i * t.nr + j])
        return [a, f.at(b, f.mul(count, row)), following, far, *acc]

    def _mixed_steps(self, state: list[str]) -> list[str]:
        """One tap of a vector of groups: a vector of inputs per pixel; each step spreads one channel of every group."""
        f, t = self.f, self.t
        a, b, following, far, *acc = state
        inputs = [f.load(self.type, f.at(a, offset)) for offset in self.offsets]
        for channel in range(t.mixed):
            weights = f.load(self.type, f.at(b, channel * t.lanes * self.size))
            lanes = ", ".join(f"i32 {lane // t.mixed * t.mixed + channel}" for lane in range(t.lanes))
            for i, x in enumerate(inputs):
                spread = f.set(f"shufflevector {self.type} {x}, {self.type} poison, <{t.lanes} x i32> <{lanes}>")
                acc[i] = f.fma(self.type, spread, weights, acc[i])
        return [a, f.at(b, t.mixed * t.lanes * self.size), following, far, *acc]

    # epilogue and store ---------------------------------------------------------------------------------------------
    def _finish(self, value: str, r: str | int, q: str | int, j: int, to: Corner) -> None:
        f, c, lanes, first = self.f, self.c, self.t.width(j), j * self.t.lanes
        rows, columns = c.pixels[-2:]

        def at(pointer: str, row: Dim, column: Dim, along: Dim, size: int) -> str:
            place = f.add(f.mul(r, self.d(row * size)), f.mul(q, self.d(column * size)))
            return f.at(pointer, f.add(place, self.d(along * (first * size))))

        extras = list(zip(c.extra_types, c.extra_n, strict=True))
        value = apply_epilogue(
            f, c.epilogue, value, extras,
            lambda i: at(to.extras[i], rows.extras[i], columns.extras[i], extras[i][1], extras[i][0].itemsize),
            lanes, to.masks[j], self.cpu)
        store(f, c.out, lanes, value, at(to.y, rows.y, columns.y, 1, c.out.itemsize), to.masks[j])
