"""Every tactic of convolution against the meaning: groups, dilation, stride, tails, borders, views, symbols, types."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from contraction_cases import HERE, channels_last, check, compiles_everywhere, dense, fuse, output_shape

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu import convolution, depthwise, grouped, padded_rows, winograd, winograd_matrices
from tensorwright.kernels.cpu.winograd_rows import Rows
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Convolution, Fused
from tensorwright.ops.expr import Apply, In


def problem_of(op: Convolution, n, c, k, size, window, *, bias=True, extras=0, pixel_x=0, pixel_y=0, nchw=False,
               dtype="float32", slack=0, constant=True) -> Problem:
    """A convolution with x's border as wide as its padding (plus slack), x and y in wider pixels if asked."""
    border = [(b + slack, a + slack) for b, a in op.pads]
    x = dense((n, c, *size), dtype, border=border) if nchw else channels_last((n, c, *size), dtype, border, pixel_x)
    inputs = [x, dense((k, c // op.groups, *window), dtype, constant), dense((k,), dtype, True) if bias else None]
    shape = output_shape(op, inputs)
    y = channels_last(shape, dtype, pixel=pixel_y)
    per_channel = Operand(tuple(shape), (0, 1, *(0,) * len(size)), y.dtype)
    residual = Operand(tuple(shape), channels_last(shape, dtype, [(1, 1)] * len(size)).strides, y.dtype)
    per_pixel = Operand(tuple(shape), (1, *(0,) * (1 + len(size))), y.dtype)
    return fuse(op, inputs, y, [residual, per_channel, per_pixel][:extras])


def drawn(seed: int) -> Problem:
    """A random small convolution."""
    r = random.Random(seed)
    rank = r.choice([1, 2, 2, 2, 2, 3])
    groups = r.choice([1, 1, 1, 2, 3])
    window = tuple(r.choice([1, 1, 2, 3, 3, 5]) for _ in range(rank))
    strides, dilations = (tuple(r.choice([1, 1, 2, 3]) for _ in range(rank)) for _ in range(2))
    pads = tuple((r.randint(0, 2), r.randint(0, 2)) for _ in range(rank))
    spans = [(w - 1) * d + 1 for w, d in zip(window, dilations, strict=True)]
    size = tuple(max(r.choice([1, 3, 5, 7, 9, 15, 17]), span) for span in spans)
    c, k = groups * r.choice([1, 3, 5, 16]), groups * r.choice([1, 4, 7, 16, 17, 33, 40])
    op = Convolution(strides, pads, dilations, groups)
    return problem_of(op, r.choice([1, 1, 2, 3]), c, k, size, window, bias=r.random() < 0.7, extras=r.randint(0, 3),
                      pixel_x=r.choice([0, c + 3]), pixel_y=r.choice([0, k + 5]), nchw=r.random() < 0.25,
                      slack=r.choice([0, 0, 1]), constant=r.random() < 0.8)


def every_tactic(problem, cpu):
    for family in (winograd, depthwise, grouped, convolution):
        yield from family.tactics(problem, cpu)


@pytest.mark.parametrize("seed", range(24))
def test_random_problems(seed: int) -> None:
    assert check(drawn(seed), every_tactic, seed=seed)


@pytest.mark.parametrize("seed", range(100, 105))
def test_random_problems_on_narrower_vectors(seed: int) -> None:
    assert check(drawn(seed), every_tactic, cpus=HERE[1:], seed=seed)


def test_rows_of_seven_take_two_rows_per_tile() -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1))
    found = check(problem_of(op, 1, 8, 64, (7, 7), (3, 3), extras=1), convolution.tactics)
    assert any(t.blocking.rows == 2 for t in found)


def test_weights_larger_than_the_cache_are_prefetched() -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1))
    found = check(problem_of(op, 1, 256, 256, (5, 5), (3, 3)), convolution.tactics)
    assert any(t.blocking.prefetch for t in found)


@pytest.mark.parametrize("family", [convolution, depthwise, winograd], ids=lambda m: m.__name__.split(".")[-1])
@pytest.mark.parametrize("sizes", [(2, 9, 11), (1, 16, 7), (3, 1, 1), (0, 5, 5)], ids=str)
def test_symbolic_batch_and_size(family, sizes) -> None:
    names = ("s0", "s1", "s2")
    n, h, w = map(symbol, names)
    groups = 20 if family is depthwise else 1
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1), groups)
    problem = problem_of(op, n, 20, 20, (h, w), (3, 3), extras=2)
    problem = Problem(problem.op, problem.inputs, problem.outputs, (("s0", 1), ("s1", 16), ("s2", 16)))
    assert check(problem, family.tactics, env=dict(zip(names, sizes, strict=True)))


def test_empty_batch() -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1))
    assert check(problem_of(op, 0, 16, 20, (7, 5), (3, 3), extras=1), convolution.tactics)


def test_symbolic_batch_of_one_by_one_is_one_run_of_pixels() -> None:
    op = Convolution((1, 1), ((0, 0), (0, 0)), (1, 1))
    problem = problem_of(op, symbol("s0"), 24, 40, (5, 3), (1, 1))
    form = convolution.contraction(problem)
    assert form is not None and form.pixels[-2].extent == 1
    assert check(problem, convolution.tactics, env={"s0": 3})


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "uint8"])
def test_other_types(dtype: str) -> None:
    op = Convolution((2, 1), ((1, 0), (1, 2)), (1, 2), 2)
    assert check(problem_of(op, 2, 6, 22, (9, 8), (3, 2), dtype=dtype), convolution.tactics, tolerance=1e-12)


@pytest.mark.parametrize("k, groups, dtype", [(24, 1, "float32"), (21, 1, "float32"), (40, 1, "float32"),
                                              (68, 2, "float32"), (24, 1, "float64"), (5, 1, "float64")])
def test_half_of_the_last_vector(k: int, groups: int, dtype: str) -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1), groups)
    problem = problem_of(op, 2, 6, k, (5, 6), (3, 3), extras=3 if dtype == "float32" else 0, dtype=dtype, pixel_y=k + 3)
    assert check(problem, convolution.tactics, cpus=HERE, tolerance=3e-6 if dtype == "float32" else 1e-12)


DEPTHWISE = [(16, (1, 1), (3, 3), (7, 7)), (19, (2, 2), (3, 3), (9, 11)), (70, (1, 1), (5, 5), (6, 9)),
             (33, (1, 2), (7, 3), (9, 8)), (5, (1, 1), (3, 3), (1, 1)), (24, (2, 1), (3, 3), (6, 8)),
             (260, (1, 1), (3, 3), (7, 7))]


@pytest.mark.parametrize("c, strides, window, size", DEPTHWISE, ids=str)
@pytest.mark.parametrize("dilation", [1, 2])
def test_depthwise(c, strides, window, size, dilation) -> None:
    pads = tuple(((w - 1) * dilation // 2,) * 2 for w in window)
    op = Convolution(strides, pads, (dilation, dilation), c)
    problem = problem_of(op, 2, c, c, size, window, extras=2, pixel_x=c + 2, pixel_y=c + 7)
    assert check(problem, depthwise.tactics)
    assert not list(convolution.tactics(problem, HERE[0]))


def test_depthwise_in_one_and_three_dimensions_and_in_float64() -> None:
    assert check(problem_of(Convolution((1,), ((2, 1),), (1,), 18), 2, 18, 18, (13,), (4,)), depthwise.tactics)
    op = Convolution((1, 2, 1), ((1, 1), (0, 1), (1, 0)), (1, 1, 2), 9)
    assert check(problem_of(op, 2, 9, 9, (4, 7, 6), (3, 2, 2), extras=1), depthwise.tactics)
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1), 11)
    assert check(problem_of(op, 1, 11, 11, (5, 8), (3, 3), dtype="float64"), depthwise.tactics, tolerance=1e-12)
    assert check(problem_of(op, 1, 11, 11, (5, 8), (3, 3), extras=2), depthwise.tactics, cpus=HERE[1:])


@pytest.mark.parametrize("g", [2, 4])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_vectors_of_several_groups(g: int, strides) -> None:
    op = Convolution(strides, ((1, 1), (2, 1)), (1, 2), 32 // g)
    problem = problem_of(op, 2, 32, 32, (7, 16), (3, 3), extras=3, pixel_x=35, pixel_y=37)
    found = check(problem, grouped.tactics, cpus=[c for c in HERE if g < c.lanes])
    assert bool(found) == any(g < c.lanes for c in HERE)


def test_depthwise_with_several_outputs_per_channel_is_a_grouped_convolution() -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1), 6)
    assert check(problem_of(op, 1, 6, 18, (5, 8), (3, 3)), convolution.tactics)


WINOGRAD = [(1, 16, 16, (8, 8)), (2, 19, 37, (9, 11)), (1, 64, 33, (7, 7)), (1, 96, 80, (13, 14)), (3, 32, 48, (2, 17))]


@pytest.mark.parametrize("n, c, k, size", WINOGRAD, ids=str)
def test_winograd(n, c, k, size) -> None:
    op = Convolution((1, 1), ((1, 1), (1, 0)), (1, 1))
    problem = problem_of(op, n, c, k, size, (3, 3), extras=2, pixel_x=c + 1, pixel_y=k + 3)
    found = check(problem, winograd.tactics)
    assert {t.m for t in found} >= {2} and all(t.approximate == (t.m == 4) for t in found)


@pytest.mark.parametrize("n, c, k, size, window, stride, groups, batch", [
    (2, 65, 80, (16, 14), 3, 2, 1, None), (1, 48, 50, (16, 31), 3, 2, 1, None), (3, 32, 32, (9, 13), 5, 1, 1, None),
    (1, 40, 36, (15, 18), 5, 1, 2, None), (2, 34, 70, (13, 12), 3, 1, 2, None), (1, 32, 40, (22, 19), 5, 2, 1, None),
    ("s0", 65, 72, (12, 9), 3, 2, 1, 3), ("s0", 34, 36, (9, 7), 5, 1, 2, 2)], ids=str)
def test_winograd_with_strides_wider_windows_and_groups(n, c, k, size, window, stride, groups, batch) -> None:
    before, after = window // 2, window // 2 - (1 if stride == 2 else 0)
    op = Convolution((stride,) * 2, ((before, window // 2), (before, after)), (1, 1), groups)
    problem = problem_of(op, symbol(n) if batch else n, c, k, size, (window,) * 2, extras=2, pixel_x=c + 1)
    if batch:
        problem = Problem(problem.op, problem.inputs, problem.outputs, ((n, 2),))
    found = check(problem, winograd.tactics, env={n: batch} if batch else {})
    assert found and {t.stride for t in found} == {stride} and {t.window for t in found} == {window}


@pytest.mark.parametrize("m, r, s", [(m, r, s) for m in (2, 4) for r in (3, 5) for s in (1, 2)
                                     if winograd_matrices.hardest(m, r, s) in winograd_matrices.POINTS])
def test_winograd_matrices_are_convolutions(m, r, s) -> None:
    a, g, b = map(np.array, winograd_matrices.matrices(m, r, s))
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(winograd_matrices.inputs_of(m, r, s)), rng.standard_normal(r)
    expected = [x[i * s:i * s + r] @ w for i in range(m)]
    np.testing.assert_allclose(a @ (g @ w * (b @ x)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("m, r, s", [(m, r, s) for m in (2, 4) for r in (3, 5) for s in (1, 2)
                                     if winograd_matrices.hardest(m, r, s) in winograd_matrices.POINTS])
def test_filters_without_scales_are_sums_of_small_multiples(m, r, s) -> None:
    g, scales = winograd_matrices.without_scales(m, r, s)
    np.testing.assert_allclose(np.array(g) * scales, winograd_matrices.matrices(m, r, s)[1], rtol=1e-15)
    assert all(x == int(x) for row in g for x in row)


@pytest.mark.parametrize("n, c, k, size, window, stride, m", [
    (1, 37, 20, (7, 6), 3, 1, 4), (2, 21, 33, (13, 18), 3, 1, 2), (1, 19, 17, (15, 13), 3, 2, 4),
    (3, 16, 48, (5, 6), 3, 2, 2), (1, 18, 5, (6, 9), 5, 1, 2), ("s0", 20, 24, (9, 8), 3, 1, 4)], ids=str)
@pytest.mark.parametrize("taps", [False, True])
def test_winograd_with_filters_transformed_on_the_way(n, c, k, size, window, stride, m, taps) -> None:
    op = Convolution((stride,) * 2, ((window // 2,) * 2,) * 2, (1, 1))
    problem = problem_of(op, symbol(n) if n == "s0" else n, c, k, size, (window,) * 2, extras=2, pixel_y=k + 3)
    if n == "s0":
        problem = Problem(problem.op, problem.inputs, problem.outputs, ((n, 2),))
    lanes, blocks = HERE[0].lanes, (3, 5) if n == "s0" else (0, 3, 100)

    def rows(problem, cpu):
        for block, tiles, turn, depth in ((blocks[0], 4, 9, 16), (blocks[1], 3, 2, 100), (blocks[-1], 5, 3, c)):
            yield winograd.Winograd(m, window, stride, block, Rows(tiles, turn, lanes, taps, depth))

    assert len(check(problem, rows, env={"s0": 2} if n == "s0" else {}, cpus=HERE[:1])) == 3


@pytest.mark.parametrize("c, k, size, stride", [(512, 512, 7, 1), (256, 256, 14, 1), (512, 512, 14, 2)])
def test_filters_that_few_tiles_wait_for_are_offered_as_taps(c, k, size, stride) -> None:
    before = 1 if stride == 1 else 0
    op = Convolution((stride,) * 2, ((1, 1), (before, 1)), (1, 1))
    found = list(winograd.tactics(problem_of(op, 1, c, k, (size, size), (3, 3)), HERE[0]))
    kept = {t.growth: t for t in found}
    assert 1.0 in kept
    w = np.zeros((k, c, 3, 3), np.float32)
    assert all(t.pack(problem_of(op, 1, c, k, (size, size), (3, 3)), HERE[0], 1, w).size == round(growth * w.size)
               for growth, t in kept.items() if growth < 3)


def test_winograd_in_blocks_of_few_tiles() -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1))
    found = check(problem_of(op, 2, 32, 40, (30, 33), (3, 3)), winograd.tactics)
    assert any(t.m == 4 and 0 < t.block <= 7 for t in found)


def test_winograd_on_narrower_vectors() -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1))
    assert check(problem_of(op, 1, 24, 20, (10, 9), (3, 3), extras=1), winograd.tactics, cpus=HERE[1:])


@pytest.mark.parametrize("groups, k", [(1, 3), (1, 1), (2, 4)])
def test_few_output_channels_are_dot_products_into_any_layout(groups: int, k: int) -> None:
    op = Convolution((1, 2), ((1, 1), (2, 1)), (1, 1), groups)
    problem = problem_of(op, 2, 20 * groups, k, (7, 9), (3, 4), extras=3)
    found = check(problem, convolution.tactics)
    assert isinstance(found[0], convolution.DotConvolution)
    y = dense(problem.outputs[0].shape)
    found = check(Problem(problem.op, problem.inputs, (y,)), convolution.tactics)
    assert all(isinstance(t, convolution.DotConvolution) for t in found)


def without_border(problem: Problem, swap: bool = False) -> Problem:
    """The same with x dense, in C order or channels last."""
    x = problem.inputs[0]
    assert x is not None
    plain = channels_last(x.shape, x.dtype) if swap else dense(x.shape, x.dtype)
    return Problem(problem.op, (plain, *problem.inputs[1:]), problem.outputs, problem.tuned)


@pytest.mark.parametrize("channels_innermost", [False, True])
@pytest.mark.parametrize("n, c, k, size, window, strides, pads, dilation", [
    (2, 3, 24, (37, 19), (3, 3), (2, 2), ((1, 1), (0, 1)), 1),
    (1, 3, 33, (24, 21), (7, 7), (2, 2), ((3, 3), (3, 3)), 1),
    (3, 1, 16, (9, 5), (3, 2), (1, 1), ((2, 0), (1, 0)), 2), (2, 4, 8, (6, 7), (1, 1), (1, 1), ((1, 1), (1, 2)), 1),
    (1, 2, 5, (1, 1), (3, 3), (1, 1), ((1, 1), (1, 1)), 1)], ids=str)
def test_rows_are_padded_on_the_way(n, c, k, size, window, strides, pads, dilation, channels_innermost) -> None:
    op = Convolution(strides, pads, (dilation, dilation))
    problem = without_border(problem_of(op, n, c, k, size, window, extras=3, pixel_y=k + 3), channels_innermost)
    found = check(problem, padded_rows.tactics)
    assert found and not list(convolution.tactics(problem, HERE[0]))
    assert check(problem, padded_rows.tactics, cpus=HERE[-1:])


@pytest.mark.parametrize("sizes", [(2, 9, 11), (0, 5, 5), (1, 40, 3)], ids=str)
def test_rows_of_symbolic_images_are_padded_on_the_way(sizes) -> None:
    names = ("s0", "s1", "s2")
    n, h, w = map(symbol, names)
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1))
    problem = without_border(problem_of(op, n, 3, 20, (h, w), (3, 3), extras=2))
    problem = Problem(problem.op, problem.inputs, problem.outputs, (("s0", 1), ("s1", 64), ("s2", 64)))
    assert check(problem, padded_rows.tactics, env=dict(zip(names, sizes, strict=True)))


def test_what_the_kernels_cannot_read_is_declined() -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1))
    x, w = channels_last((1, 16, 8, 8)), dense((16, 16, 3, 3), constant=True)
    y = channels_last((1, 16, 8, 8))
    for family in (convolution, winograd):
        assert not list(family.tactics(Problem(op, (x, w), (y,)), HERE[0])), "no border"
    inner = Convolution((1, 1), ((0, 0), (0, 0)), (1, 1))
    wide = dense((1, 16, 6, 6))
    assert not list(convolution.tactics(Problem(inner, (x, w), (wide,)), HERE[0])), "y is not channels last"


@pytest.mark.parametrize("family", [convolution, depthwise, winograd], ids=lambda m: m.__name__.split(".")[-1])
def test_compiles_for_other_machines(family) -> None:
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1), 37 if family is depthwise else 1)
    compiles_everywhere(problem_of(op, 1, 37, 37, (9, 15), (3, 3), extras=2), family.tactics)


@pytest.mark.parametrize("c,k,window", [(5, 40, (1, 1)), (3, 33, (3, 3))])
def test_costly_epilogues_run_pixel_by_pixel(c: int, k: int, window: tuple[int, int]) -> None:
    x = In(0, DType.float32)
    silu = Apply("mul", (x, Apply("sigmoid", (x,), x.dtype)), x.dtype)
    residual = Apply("add", (silu, Apply("mul", (In(1, x.dtype), In(2, x.dtype)), x.dtype)), x.dtype)
    plain = problem_of(Convolution((1, 1), ((0, 0), (0, 0)), (1, 1)), 2, c, k, (7, 9), window, extras=2)
    assert isinstance(plain.op, Fused)
    problem = replace(plain, op=replace(plain.op, epilogue=residual))
    assert check(problem, convolution.tactics, cpus=HERE)
    assert "aside" in next(iter(convolution.tactics(problem, HERE[0]))).source(problem, HERE[0], "k").text
