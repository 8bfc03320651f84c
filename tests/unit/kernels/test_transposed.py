"""Every tactic of transposed convolution against the meaning: strides, dilation, cropping, groups, symbols."""

from __future__ import annotations

import random

import pytest
from contraction_cases import HERE, channels_last, check, compiles_everywhere, dense, fuse, output_shape

from tensorwright.dims import symbol
from tensorwright.kernels.cpu.transposed import Layer, tactics
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import ConvTranspose


def problem_of(op: ConvTranspose, n, c, k, size, window, *, bias=True, extras=0, border=0, nchw=False,
               dtype="float32") -> Problem:
    around = [(border, border)] * len(window)
    x = dense((n, c, *size), dtype, border=around) if nchw else channels_last((n, c, *size), dtype, around)
    inputs = [x, dense((c, k // op.groups, *window), dtype, True), dense((k,), dtype, True) if bias else None]
    shape = output_shape(op, inputs)
    y = channels_last(shape, dtype, pixel=k + 3)
    per_channel = Operand(tuple(shape), (0, 1, *(0,) * len(size)), y.dtype)
    return fuse(op, inputs, y, [y, per_channel][:extras])


def drawn(seed: int) -> Problem:
    r = random.Random(seed)
    rank = r.choice([1, 2, 2, 2, 3])
    groups = r.choice([1, 1, 2])
    window, strides, dilations = (tuple(r.choice(values) for _ in range(rank))
                                  for values in ([1, 2, 3, 4, 5], [1, 2, 2, 3, 4], [1, 1, 2, 3]))
    pads = tuple((r.randint(-1, 2), r.randint(-1, 2)) for _ in range(rank))
    extra = tuple(r.choice([0, 0, 1]) for _ in range(rank))
    op = ConvTranspose(strides, pads, dilations, groups, extra)
    c, k = groups * r.choice([1, 3, 16]), groups * r.choice([1, 5, 16, 33])
    size = tuple(r.choice([4, 5, 7, 9]) for _ in range(rank))
    return problem_of(op, r.choice([1, 2]), c, k, size, window, bias=r.random() < 0.7, extras=r.randint(0, 2),
                      border=r.choice([0, 0, 9]), nchw=r.random() < 0.3)


@pytest.mark.parametrize("seed", range(24))
def test_random_problems(seed: int) -> None:
    assert check(drawn(seed), tactics, seed=seed)


@pytest.mark.parametrize("seed", range(50, 53))
def test_random_problems_on_narrower_vectors(seed: int) -> None:
    assert check(drawn(seed), tactics, cpus=HERE[1:], seed=seed)


def test_windows_as_large_as_the_stride_are_one_product() -> None:
    problem = problem_of(ConvTranspose((2, 2), ((0, 0), (0, 0)), (1, 1)), 1, 24, 20, (5, 7), (2, 2))
    layer = Layer.of(problem)
    assert layer is not None and layer.padded is None and len(layer.runs) == 1
    assert check(problem, tactics)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 5, 4), (0, 3, 3)], ids=str)
def test_symbolic_batch_and_size(sizes) -> None:
    names = ("s0", "s1", "s2")
    n, h, w = map(symbol, names)
    problem = problem_of(ConvTranspose((2, 2), ((1, 1), (1, 1)), (1, 1)), n, 12, 20, (h, w), (4, 4), extras=1)
    problem = Problem(problem.op, problem.inputs, problem.outputs, (("s0", 1), ("s1", 8), ("s2", 8)))
    assert check(problem, tactics, env=dict(zip(names, sizes, strict=True)))


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_other_types(dtype: str) -> None:
    op = ConvTranspose((2, 3), ((1, 0), (1, 2)), (1, 2), 2)
    assert check(problem_of(op, 2, 6, 22, (5, 4), (3, 2), dtype=dtype), tactics, tolerance=1e-12)


def test_compiles_for_other_machines() -> None:
    op = ConvTranspose((2, 2), ((1, 1), (1, 1)), (1, 1))
    compiles_everywhere(problem_of(op, 1, 20, 37, (5, 8), (3, 3), extras=1), tactics)
