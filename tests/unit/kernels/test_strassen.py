"""Strassen's algorithm against products in float64: awkward sizes, layouts, symbols and epilogues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from contraction_cases import HERE, channels_last, check, compiles_everywhere, dense, swapped
from test_convolution import problem_of as convolution_of
from test_matmul import problem_of as product_of

from tensorwright.dims import evaluate, symbol
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu.blocking import Blocking
from tensorwright.kernels.cpu.strassen import Strassen, plain_product, tactics
from tensorwright.kernels.cpu.strassen_form import Halves, sums_of_b
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Convolution, Fused
from tensorwright.ops.expr import Apply, In
from tensorwright.targets import CpuSpec


def every_way(problem: Problem, cpu: CpuSpec) -> Iterator[Strassen]:
    """Every axis halved, with sums in a phase and in blocks of tiles or rows, whether it pays or not."""
    c = plain_product(problem)
    assert c is not None
    for axis in range(-len(c.pixels), 0):
        if evaluate(c.pixels[axis].extent, dict(problem.tuned)) < 2:
            continue
        k = Blocking(2, 2, cpu.lanes, order="panels", chunk_rows=0, unroll=2, prefetch=1)
        yield Strassen(k, axis)
        yield Strassen(replace(k, chunk_rows=2, chunk_tiles=1, prefetch=0), axis)
        k = replace(k, order="pixels")
        yield Strassen(replace(k, chunk_rows=1, chunk_tiles=2), axis, 2)
        count = Halves(c, axis, k.mr, k.lanes).cut.count
        if isinstance(count, int):
            yield Strassen(replace(k, chunk_rows=2, chunk_tiles=0, mr=3), axis, 2 * Halves(c, axis, 3, 4).cut.count)


@pytest.mark.parametrize("m,k,n", [(2, 32, 64), (3, 33, 65), (31, 50, 16), (9, 70, 40), (20, 64, 100), (7, 47, 131)])
def test_products(m: int, k: int, n: int) -> None:
    a = dense((m, k + 3))
    a = Operand((m, k), a.strides, a.dtype)
    assert check(product_of(a, dense((k, n), constant=True), 2, gap=7), every_way, cpus=HERE)


@pytest.mark.parametrize("extras", [0, 3])
def test_products_of_batches(extras: int) -> None:
    a, b = dense((2, 3, 5, 40)), dense((40, 72), constant=True)
    assert check(product_of(a, b, extras, gap=5), every_way)
    apart = Operand(a.shape, (3000, 700, 40, 1), a.dtype)                       # axes that do not merge
    assert len(check(product_of(apart, b, extras), every_way)) == 12


ONE = Convolution((1, 1), ((0, 0), (0, 0)), (1, 1))


CONVOLUTIONS = [(1, (7, 5), 1, True, 2, 0), (3, (4, 9), 1, False, 1, 90), (2, (7, 8), 2, True, 0, 75)]


@pytest.mark.parametrize("n,size,stride,bias,extras,pixel", CONVOLUTIONS, ids=str)
def test_convolutions(n: int, size: tuple[int, int], stride: int, bias: bool, extras: int, pixel: int) -> None:
    op = replace(ONE, strides=(stride, stride))
    assert check(convolution_of(op, n, 37, 72, size, (1, 1), bias=bias, extras=extras, pixel_x=40, pixel_y=pixel),
                 every_way)


def test_an_output_with_a_border() -> None:
    problem = convolution_of(ONE, 1, 40, 50, (5, 4), (1, 1))
    y = channels_last((1, 50, 5, 4), border=((1, 1), (2, 1)))
    assert check(replace(problem, outputs=(replace(y, border=()),)), every_way)


def test_costly_epilogues() -> None:
    x = In(0, DType.float32)
    silu = Apply("mul", (x, Apply("sigmoid", (x,), x.dtype)), x.dtype)
    plain = convolution_of(ONE, 1, 33, 50, (5, 5), (1, 1), extras=1)
    assert isinstance(plain.op, Fused)
    epilogue = Apply("add", (silu, In(1, x.dtype)), x.dtype)
    assert check(replace(plain, op=replace(plain.op, epilogue=epilogue)), every_way)


S, T = symbol("s0"), symbol("s1")


@pytest.mark.parametrize("sizes", [(1, 1), (5, 13), (0, 5)], ids=str)
@pytest.mark.parametrize("form", ["rows", "rows apart", "images"])
def test_symbols(form: str, sizes: tuple[int, int]) -> None:
    b = dense((40, 72), constant=True)
    problem = {"rows": lambda: product_of(dense((S, T, 40)), b, 2),
               "rows apart": lambda: product_of(Operand((S, T, 40), (50 * T + 100, 50, 1), DType.float32), b, 1),
               "images": lambda: convolution_of(ONE, S, 40, 72, (T, 3), (1, 1), extras=1)}[form]()
    problem = replace(problem, tuned=(("s0", 8), ("s1", 8)))
    assert check(problem, every_way, env={"s0": sizes[0], "s1": sizes[1]})


@pytest.mark.parametrize("m,k,n", [(128, 256, 256), (98, 512, 160), (60, 512, 192)])
def test_where_it_pays(m: int, k: int, n: int) -> None:
    problem = product_of(dense((m, k)), dense((k, n), constant=True), 1)
    found = check(problem, tactics)
    assert found and all(t.approximate for t in found)


def test_where_it_does_not() -> None:
    cpu = HERE[0]
    for m, k, n in ((128, 64, 256), (16, 768, 768), (128, 768, 32)):
        assert not list(tactics(product_of(dense((m, k)), dense((k, n), constant=True)), cpu))
    a, b = dense((128, 512)), dense((512, 512), constant=True)
    assert list(tactics(product_of(a, b), cpu))
    for other in (product_of(a, dense((512, 512))), product_of(swapped(a), b),
                  product_of(dense((2, 128, 512)), dense((2, 512, 512), constant=True)),
                  product_of(dense((128, 512), "float64"), dense((512, 512), "float64", True)),
                  convolution_of(replace(ONE, groups=2), 1, 512, 512, (14, 14), (1, 1)),
                  convolution_of(ONE, 1, 512, 512, (14, 14), (1, 1), nchw=True),
                  convolution_of(ONE, 1, 512, 512, (14, 14), (3, 3))):
        assert not list(tactics(other, cpu))


def test_sums_of_b_are_rounded_once() -> None:
    b = np.array([[3, 2e7], [0, 2e7]], np.float32)                              # T2 = B22 − B12 + B11
    assert sums_of_b(b, 1, 1).tolist() == [3, 0, 3, 0, -3, 2e7 - 4, 2e7]


def test_compiles_for_other_machines() -> None:
    problem = product_of(dense((128, 512)), dense((512, 520), constant=True), 2)
    compiles_everywhere(problem, tactics)
