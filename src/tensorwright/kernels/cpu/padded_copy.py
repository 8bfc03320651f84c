"""A phase that copies x (N, C, *D) of any strides into a workspace: channels last, with zeros around D."""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim, product
from ..llvm import SCALAR, Dims, Function, arg, entry, vector
from ..problem import Operand


@dataclass(frozen=True)
class Padded:
    """x and the zeros to put around its spatial axes."""

    x: Operand
    border: tuple[tuple[int, int], ...]

    @property
    def sizes(self) -> tuple[Dim, ...]:
        return tuple(d + before + after for d, (before, after) in zip(self.x.shape[2:], self.border, strict=True))

    @property
    def bytes(self) -> Dim:
        return self.x.shape[0] * self.x.shape[1] * product(self.sizes) * self.x.dtype.itemsize

    @property
    def operand(self) -> Operand:
        """The copy as an operand whose first element lies `offset` elements into the workspace."""
        step = self.x.shape[1]
        strides: list[Dim] = []
        for size in reversed(self.sizes):
            strides.insert(0, step)
            step = step * size
        return Operand(self.x.shape, (step, 1, *strides), self.x.dtype, border=((0, 0), (0, 0), *self.border))

    @property
    def offset(self) -> Dim:
        total: Dim = 0
        for (before, _), stride in zip(self.border, self.operand.strides[2:], strict=True):
            total = total + before * stride
        return total


def padded_copy(p: Padded, source: int, target: int, lanes: int, symbol: str, order: list[Dim]) -> tuple[Function, Dim]:
    """The entry @symbol and its chunks: each fills one slice of the first spatial axis."""
    f = entry(symbol)
    d, x, size = Dims(f, order), p.x, p.x.dtype.itemsize
    from_, to = arg(f, source), arg(f, target)
    slice_ = product(p.sizes[1:]) * x.shape[1]
    scalar = SCALAR[x.dtype]
    with f.loop("chunk", f.begin, f.end) as chunk:
        n, row = f.divide(chunk, d(p.sizes[0])), f.remainder(chunk, d(p.sizes[0]))
        out = f.at(to, f.mul(chunk, d(slice_ * size)))
        fill(f, out, d(slice_), scalar, size, lanes)
        inner = f.sub(row, p.border[0][0])
        below = f.set(f"icmp ult i64 {inner}, {d(x.shape[2])}")         # unsigned: a negative row is not below
        with f.when(below):
            base = f.at(from_, f.add(f.mul(n, d(x.strides[0] * size)), f.mul(inner, d(x.strides[2] * size))))
            _copy(f, d, p, 1, base, out, lanes)
    return f, x.shape[0] * p.sizes[0]


def _copy(f: Function, d: Dims, p: Padded, axis: int, source: str, target: str, lanes: int) -> None:
    """The interior from spatial axis `axis` on, then the channels."""
    x, size = p.x, p.x.dtype.itemsize
    if axis < len(p.border):
        step = p.operand.strides[2 + axis]
        target = f.at(target, d(p.border[axis][0] * step * size))
        with f.loop(f"d{axis}_", 0, d(x.shape[2 + axis])) as i:
            _copy(f, d, p, axis + 1, f.at(source, f.mul(i, d(x.strides[2 + axis] * size))),
                  f.at(target, f.mul(i, d(step * size))), lanes)
        return
    scalar, channels, whole = SCALAR[x.dtype], d(x.shape[1]), "0"
    if x.strides[1] == 1:
        whole = f.mul(f.divide(channels, lanes), lanes)
        with f.loop("c", 0, whole, step=lanes) as c:
            at = f.mul(c, size)
            f.store(vector(scalar, lanes), f.load(vector(scalar, lanes), f.at(source, at)), f.at(target, at))
    with f.loop("c", whole, channels) as c:
        value = f.load(scalar, f.at(source, f.mul(c, d(x.strides[1] * size))))
        f.store(scalar, value, f.at(target, f.mul(c, size)))


def fill(f: Function, p: str, count: str, scalar: str, size: int, lanes: int) -> None:
    """`count` zeros from p on."""
    type_ = vector(scalar, lanes)
    whole = f.mul(f.divide(count, lanes), lanes)
    with f.loop("z", 0, whole, step=lanes) as i:
        f.store(type_, f.const(type_, 0), f.at(p, f.mul(i, size)))
    with f.loop("z", whole, count) as i:
        f.store(scalar, f.const(scalar, 0), f.at(p, f.mul(i, size)))
