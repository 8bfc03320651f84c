"""Kernels by themselves: python bench/kernels.py [family ...] [--threads 1] [--save] [--all]

For layers of well-known networks: microseconds of the fastest tactic, GFLOP/s, and the share of what bounds it: of the
measured FMA peak, or of the measured bandwidth of the nearest cache level that holds input, weights and output.
Operands lie as in a network, channels last with a zero border where padding is read, and kernels are timed as the tuner
does it: inputs just written, outputs and large filters not in the cache. Operations are those of direct convolution.

Families "direct", "gemm" and "depthwise" have only kernels that do these operations; in the others Winograd's and
Strassen's algorithms take part, and may exceed 100 %. --save writes a dated table to bench/results, --all prints every
tactic.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.report import Table, machine
from tensorwright.builder.race import race
from tensorwright.builder.trial import Memory, Trial
from tensorwright.device import cpu as device
from tensorwright.device import describe
from tensorwright.device.peak import Roofs, roofs
from tensorwright.dtypes import DType
from tensorwright.ir import TensorType
from tensorwright.kernels.cpu import tactics
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Convolution, ConvTranspose, Fused, MatMul
from tensorwright.ops.expr import Apply, Const, In

RELU = Apply("max", (In(0, DType.float32), Const(0.0, DType.float32)), DType.float32)


@dataclass(frozen=True)
class Shape:
    """One layer: c → k channels, square window and image (or of one dimension: `flat`), zero padding as wide as keeps
    the size at stride 1. plain: x is dense in C order, without a border."""

    c: int
    k: int
    size: int
    window: int = 1
    stride: int = 1
    groups: int = 1
    dilation: int = 1
    batch: int = 1
    flat: bool = False
    transposed: bool = False
    plain: bool = False

    def __str__(self) -> str:
        parts = [f"{self.c}→{self.k} {self.window}x{1 if self.flat else self.window} @{self.size}"]
        parts += [f"s{self.stride}"] if self.stride > 1 else []
        parts += [f"g{self.groups}"] if self.groups > 1 else []
        parts += [f"d{self.dilation}"] if self.dilation > 1 else []
        parts += [f"b{self.batch}"] if self.batch > 1 else []
        return " ".join(parts + ["C order"] * self.plain)

    @property
    def flops(self) -> int:
        y, w = self.problem().outputs[0].shape, self.problem().inputs[1].shape  # type: ignore[union-attr]
        moved = (self.batch, self.c, *(self.size,) * (1 if self.flat else 2)) if self.transposed else y
        return 2 * math.prod(moved) * math.prod(w[1:])  # type: ignore[arg-type]

    def problem(self) -> Problem:
        axes = 1 if self.flat else 2
        pad = 0 if self.transposed else (self.window - 1) * self.dilation // 2
        every = [(v,) * axes for v in (self.stride, self.dilation)]
        pads = ((pad, pad),) * axes
        op = (ConvTranspose(every[0], ((0, 0),) * axes, every[1]) if self.transposed
              else Convolution(every[0], pads, every[1], self.groups))
        space = (self.size,) * axes
        x = _dense((self.batch, self.c, *space)) if self.plain else _channels_last((self.batch, self.c, *space), pad)
        w = (self.c, self.k) if self.transposed else (self.k, self.c // self.groups)
        inputs = (x, _dense((*w, *(self.window,) * axes), True), _dense((self.k,), True))
        y = op.infer(*(TensorType(i.shape, i.dtype) for i in inputs))
        assert isinstance(y, TensorType)
        return Problem(Fused(op, RELU, 3), inputs, (_channels_last(y.shape, 0),))


@dataclass(frozen=True)
class Product:
    """rows × k by a constant matrix k × n."""

    rows: int
    k: int
    n: int

    def __str__(self) -> str:
        return f"{self.rows}×{self.k} · {self.k}×{self.n}"

    @property
    def flops(self) -> int:
        return 2 * self.rows * self.k * self.n

    def problem(self) -> Problem:
        return Problem(MatMul(), (_dense((self.rows, self.k)), _dense((self.k, self.n), True)),
                       (_dense((self.rows, self.n)),))


def _dense(shape: tuple[int, ...], constant: bool = False) -> Operand:
    strides = tuple(math.prod(shape[i + 1:]) for i in range(len(shape)))
    return Operand(shape, strides, DType.float32, constant)


def _channels_last(shape: tuple, pad: int) -> Operand:
    step, strides = shape[1], list[int]()
    for extent in reversed(shape[2:]):
        strides.insert(0, step)
        step *= extent + 2 * pad
    border = ((0, 0), (0, 0), *((pad, pad),) * (len(shape) - 2)) if pad else ()
    return Operand(shape, (step, 1, *strides), DType.float32, border=border)


def _depthwise(c: int, size: int, window: int = 3, stride: int = 1) -> Shape:
    return Shape(c, c, size, window, stride, groups=c)


FAMILIES: dict[str, tuple[Shape | Product, ...]] = {
    "direct": (
        Shape(64, 64, 56), Shape(64, 64, 56, 3), Shape(64, 256, 56), Shape(256, 64, 56), Shape(256, 128, 56),
        Shape(128, 128, 56, 3, 2), Shape(256, 512, 56, 1, 2), Shape(128, 512, 28), Shape(512, 128, 28),
        Shape(128, 128, 28, 3), Shape(512, 256, 28), Shape(256, 256, 28, 3, 2), Shape(512, 1024, 28, 1, 2),
        Shape(256, 1024, 14), Shape(1024, 256, 14), Shape(256, 256, 14, 3), Shape(1024, 512, 14),
        Shape(512, 512, 14, 3, 2), Shape(1024, 2048, 14, 1, 2), Shape(512, 2048, 7), Shape(2048, 512, 7),
        Shape(512, 512, 7, 3), Shape(128, 128, 112, 3), Shape(256, 256, 56, 3), Shape(512, 512, 28, 3)),
    "gemm": (
        Product(128, 768, 768), Product(128, 768, 3072), Product(128, 3072, 768), Product(197, 768, 2304),
        Product(197, 768, 3072), Product(197, 3072, 768), Product(1500, 384, 384), Product(1500, 384, 1536),
        Product(1500, 1536, 384), Product(784, 192, 768), Product(512, 512, 512), Product(1024, 1024, 1024)),
    "depthwise": (
        _depthwise(32, 112), _depthwise(144, 56), _depthwise(192, 28), _depthwise(384, 14), _depthwise(512, 14),
        _depthwise(576, 14), _depthwise(960, 7), _depthwise(1024, 7),
        _depthwise(96, 112, 3, 2), _depthwise(144, 56, 3, 2), _depthwise(192, 28, 3, 2), _depthwise(576, 14, 3, 2),
        _depthwise(240, 28, 5), _depthwise(480, 14, 5), _depthwise(672, 14, 5), _depthwise(1152, 7, 5),
        _depthwise(144, 56, 5, 2), _depthwise(672, 14, 5, 2),
        _depthwise(96, 56, 7), _depthwise(192, 28, 7), _depthwise(384, 14, 7), _depthwise(768, 7, 7)),
    "first": (
        Shape(3, 32, 224, 3, 2), Shape(3, 64, 224, 7, 2), Shape(3, 64, 224, 3), Shape(3, 16, 640, 3, 2),
        Shape(3, 32, 224, 3, 2, plain=True), Shape(3, 64, 224, 7, 2, plain=True), Shape(3, 64, 224, 3, plain=True),
        Shape(3, 16, 640, 3, 2, plain=True)),
    "pointwise": (
        Shape(16, 96, 112), Shape(96, 24, 56), Shape(24, 144, 56), Shape(144, 24, 56), Shape(144, 40, 28),
        Shape(144, 32, 28), Shape(192, 32, 28), Shape(32, 16, 112), Shape(240, 40, 28), Shape(480, 112, 14),
        Shape(672, 112, 14), Shape(576, 96, 14), Shape(1152, 192, 7), Shape(960, 160, 7), Shape(320, 1280, 7)),
    "winograd": (
        Shape(64, 64, 56, 3), Shape(128, 128, 28, 3), Shape(256, 256, 14, 3), Shape(512, 512, 7, 3),
        Shape(64, 64, 224, 3), Shape(128, 128, 112, 3), Shape(512, 512, 28, 3), Shape(512, 512, 14, 3),
        Shape(64, 64, 56, 3, batch=8), Shape(512, 512, 7, 3, batch=8)),
    "strided": (
        Shape(128, 128, 56, 3, 2), Shape(256, 256, 28, 3, 2), Shape(512, 512, 14, 3, 2), Shape(256, 512, 56, 1, 2)),
    "grouped": (
        Shape(48, 48, 56, 3, 1, 6), Shape(104, 104, 28, 3, 1, 13), Shape(208, 208, 14, 3, 1, 26),
        Shape(440, 440, 7, 3, 1, 55), Shape(48, 48, 112, 3, 2, 6), Shape(208, 208, 28, 3, 2, 26),
        Shape(128, 128, 56, 3, 1, 32), Shape(256, 256, 28, 3, 1, 32), Shape(512, 512, 14, 3, 1, 32),
        Shape(1024, 1024, 7, 3, 1, 32), Shape(68, 272, 28, 1, 1, 4), Shape(136, 136, 28, 1, 1, 4)),
    "other": (
        Shape(64, 64, 27, 5), Shape(96, 256, 27, 5, 1, 2), Shape(32, 96, 28, 5), Shape(128, 128, 17, 7),
        Shape(512, 256, 33, 3, dilation=6), Shape(512, 256, 33, 3, dilation=12), Shape(512, 256, 33, 3, dilation=18),
        Shape(128, 64, 64, 2, 2, transposed=True), Shape(64, 32, 64, 4, 2, transposed=True),
        Shape(80, 384, 3000, 3, flat=True), Shape(384, 384, 3000, 3, 2, flat=True)),
}


#: Families in which only kernels take part that do the operations of the definition.
PLAIN = ("direct", "gemm", "depthwise")


def measured(shape: Shape | Product, plain: bool, threads: int, memory: Memory) -> list[tuple[float, str]]:
    """Seconds and tactic, fastest first; empty where there is no kernel."""
    cpu, problem = describe(), shape.problem()
    found = [t for t in tactics(problem, cpu) if not (plain and getattr(t, "error_factor", 1.0) > 1)]
    memory.reset()
    trial = Trial(problem, cpu, threads, memory)
    sources = [tactic.source(problem, cpu, "kernel") for tactic in found]
    libraries = [device.load([device.compile(source.text, cpu)]) for source in sources]
    launches = [trial.launch(*each) for each in zip(sources, found, libraries, strict=True)]
    return sorted(zip(race(launches, threads, None) if launches else [], map(repr, found), strict=True))


def cells(family: str, shape: Shape | Product, seconds: float, tactic: str, roof: Roofs) -> list[str]:
    problem = shape.problem()
    operands = [o for o in (*problem.inputs, *problem.outputs) if o is not None]
    size = sum(math.prod(o.shape) * o.dtype.itemsize for o in operands)  # type: ignore[arg-type]
    least, name = roof.bound(shape.flops, size)
    return [family, str(shape), f"{seconds * 1e6:.1f}", f"{shape.flops / seconds / 1e9:.1f}",
            f"{shape.flops / seconds / roof.flops:.0%}", f"{size / 1e6:.2f}", f"{size / seconds / 1e9:.1f}", name,
            f"{least / seconds:.0%}", tactic.split("(")[0]]


def rows(args: argparse.Namespace, roof: Roofs) -> Iterator[list[str]]:
    memory = Memory(describe())
    for family in args.names:
        for shape in FAMILIES[family]:
            found = measured(shape, family in PLAIN, args.threads, memory)
            if not found:
                yield [family, str(shape), *["–"] * 7, "no kernel"]
                continue
            yield cells(family, shape, *found[0], roof)
            for seconds, tactic in found if args.all else []:
                print(f"    {seconds * 1e6:9.1f} µs  {tactic}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(FAMILIES), metavar="family")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="every tactic, not only the fastest")
    parser.add_argument("--save", action="store_true", help="write a dated table to bench/results")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(FAMILIES)):
        parser.error(f"no family is called {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    roof = roofs(args.threads)
    some = "" if args.names == list(FAMILIES) else "_" + "_".join(args.names)
    reads = ", ".join(f"{level.name} {level.bandwidth / 1e9:.0f} GB/s" for level in roof.levels)
    table = Table(
        f"Kernels, {args.threads} thread{'s' * (args.threads != 1)}, float32",
        [machine([], f"measured at this number of threads: FMA peak {roof.flops / 1e9:.0f} GFLOP/s, reading {reads}"),
         f"Command: `python bench/kernels.py {' '.join(args.names)} --threads {args.threads}`.",
         "MB: input, weights and output. Bound: the FMA units, or the nearest level that holds so much; of bound: the "
         "least time that allows / the time measured. The head of bench/kernels.py says how kernels are timed."],
        ["family", "shape", "µs", "GFLOP/s", "of FMA peak", "MB", "GB/s", "bound", "of bound", "kernel"],
        f"kernels{some}_t{args.threads}" if args.save else "")
    for row in rows(args, roof):
        table.add(row)
    table.finish()


if __name__ == "__main__":
    main()
