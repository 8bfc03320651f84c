"""Convolution kernels by themselves: python bench/kernels.py [family ...] [--threads 1] [--all]

For layers of well-known networks: microseconds of the fastest tactic, GFLOP/s and its share of the measured FMA peak,
GB/s of input plus output. Operands lie as in a network, channels last with a zero border where padding is read, and
kernels are timed as the tuner does it: inputs just written, outputs and large filters not in the cache. Operations
are those of direct convolution, so Winograd may exceed 100 %.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tensorwright.builder.race import race
from tensorwright.builder.trial import Memory, Trial
from tensorwright.device import cpu as device
from tensorwright.device import describe
from tensorwright.device.peak import peak_flops
from tensorwright.dtypes import DType
from tensorwright.ir import TensorType
from tensorwright.kernels.cpu import tactics
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Convolution, ConvTranspose, Fused
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


FAMILIES: dict[str, tuple[Shape, ...]] = {
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(FAMILIES), metavar="family")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="every tactic, not only the fastest")
    args = parser.parse_args()
    cpu, peak = describe(), peak_flops(args.threads)
    memory = Memory(cpu)
    print(f"{cpu.name}, {args.threads} threads, FMA peak {peak / 1e9:.0f} GFLOP/s")
    for family in args.names:
        for shape in FAMILIES[family]:
            problem = shape.problem()
            trial, found = Trial(problem, cpu, args.threads, memory), list(tactics(problem, cpu))
            sources = [tactic.source(problem, cpu, "kernel") for tactic in found]
            libraries = [device.load([device.compile(source.text, cpu)]) for source in sources]
            launches = [trial.launch(*each) for each in zip(sources, found, libraries, strict=True)]
            rows = [*zip(race(launches, args.threads, None) if launches else [], map(repr, found), strict=True)]
            if not rows:
                print(f"{family:10s} {shape!s:32s} no kernel")
                continue
            x, w, y = problem.inputs[0], problem.inputs[1], problem.outputs[0]
            assert x is not None and w is not None
            flops = 2 * math.prod(x.shape if shape.transposed else y.shape) * math.prod(w.shape[1:])  # type: ignore
            moved = 4 * (math.prod(x.shape) + math.prod(y.shape))  # type: ignore[arg-type]
            for seconds, name in (rows if args.all else [min(rows)]):
                print(f"{family:10s} {shape!s:32s} {seconds * 1e6:8.1f} µs {flops / seconds / 1e9:6.1f} GFLOP/s "
                      f"{flops / seconds / peak:5.0%} {moved / seconds / 1e9:6.1f} GB/s  {name}", flush=True)


if __name__ == "__main__":
    main()
