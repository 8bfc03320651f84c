"""What kernels fetch for launches that follow: as much as they were given, nothing beside it; results stay the same.

A prefetch leaves no trace; so here each is made to write down its cache line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from chain_cases import Conv, Scale, chain_problem
from contraction_cases import HERE, dense
from test_convolution import problem_of as convolution_of
from test_matmul import problem_of as product_of
from test_strassen import every_way

from tensorwright.device.harness import Prepared
from tensorwright.dims import evaluate, symbol
from tensorwright.kernels.cpu import chain, convolution
from tensorwright.kernels.problem import Problem, Source
from tensorwright.ops import Convolution
from tensorwright.targets import CpuSpec

LINE, AROUND = 64, 1 << 17                              # bytes that are watched before and after what is to be fetched
CPU = HERE[0]
ONE = Convolution((1, 1), ((0, 0), (0, 0)), (1, 1))
THREE = Convolution((2, 1), ((1, 1), (1, 1)), (1, 1))


def watched(source: Source, memory: np.ndarray, marks: np.ndarray) -> Source:
    """The kernel, with a byte of `marks` set for every line of `memory` that it fetches."""
    text, count = re.subn(r"call void @llvm\.prefetch\.p0\(ptr ([^,]+), [^)]*\)", r"call void @mark(ptr \1)",
                          re.sub(r"declare void @llvm\.prefetch[^\n]*\n", "", source.text))
    assert count
    return replace(source, text=text + f"""
define internal void @mark(ptr %p) nounwind noinline {{
  %address = ptrtoint ptr %p to i64
  %offset = sub i64 %address, {memory.ctypes.data}
  %inside = icmp ult i64 %offset, {memory.nbytes}
  br i1 %inside, label %yes, label %no
yes:
  %line = udiv i64 %offset, {LINE}
  %at = add i64 %line, {marks.ctypes.data}
  %mark = inttoptr i64 %at to ptr
  store i8 1, ptr %mark
  ret void
no:
  ret void
}}
""")


def fetched(problem: Problem, tactic: Any, share: float) -> tuple[int, np.ndarray]:
    """Lines to be fetched, a share of what there is room for; which were, AROUND bytes before and after included."""
    rng = np.random.default_rng(0)
    feeds = [None if x is None else rng.standard_normal([evaluate(d, dict(problem.tuned)) for d in x.shape], np.float32)
             for x in problem.inputs]
    source = tactic.source(problem, CPU, "kernel")
    lines = int(evaluate(source.ahead, dict(problem.tuned)) * share) // LINE
    raw = np.zeros(lines * LINE + 2 * AROUND + LINE, np.uint8)
    memory = raw[-raw.ctypes.data % LINE:][: lines * LINE + 2 * AROUND]
    marks = np.zeros(memory.nbytes // LINE, np.uint8)
    expected = Prepared(source, problem, tactic, feeds, CPU, 3).run()
    kernel = Prepared(watched(source, memory, marks), problem, tactic, feeds, CPU, 3)
    begin = memory.ctypes.data + AROUND
    kernel.args[-2:] = begin, begin + lines * LINE
    for x, y in zip(kernel.run(), expected, strict=True):
        np.testing.assert_array_equal(x, y)
    return lines, marks


def fetching(problem: Problem, tactics: Callable[[Problem, CpuSpec], Iterator[Any]]) -> list[Any]:
    found = [t for t in tactics(problem, CPU) if t.source(problem, CPU, "kernel").ahead != 0]
    assert found
    return found


CASES: dict[str, tuple[Problem, Callable[..., Iterator[Any]]]] = {
    "1x1": (convolution_of(ONE, 1, 33, 200, (14, 14), (1, 1), extras=2), convolution.tactics),
    "3x3": (convolution_of(THREE, 2, 17, 130, (15, 13), (3, 3)), convolution.tactics),
    "groups": (convolution_of(replace(THREE, groups=2), 1, 66, 140, (15, 13), (3, 3)), convolution.tactics),
    "symbols": (replace(convolution_of(ONE, symbol("s0"), 40, 96, (symbol("s1"), 7), (1, 1)),
                        tuned=(("s0", 3), ("s1", 5))), convolution.tactics),
    "chain": (chain_problem(2, 17, (13, 10), [Conv(64, act="relu6"), Conv(0, 3, act="relu6"), Conv(48, add="residual")],
                            pixel_y=60), chain.tactics),
    "scale and project": (chain_problem(1, 96, (14, 14), [Scale(), Conv(64)]), chain.tactics),
    "Strassen": (product_of(dense((56, 64)), dense((64, 192), constant=True), 1), every_way),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_given(name: str) -> None:
    problem, tactics = CASES[name]
    for tactic in fetching(problem, tactics)[:6]:
        lines, marks = fetched(problem, tactic, 0.5)
        around = AROUND // LINE
        assert lines > 20 and marks[around:-around].mean() > 0.85, tactic
        assert not marks[:around].any(), tactic
        assert np.flatnonzero(marks[-around:]).max(initial=-1) < 600, tactic     # the last tile's steps go on


@pytest.mark.parametrize("name", ["1x1", "chain", "Strassen"])
def test_nothing(name: str) -> None:
    problem, tactics = CASES[name]
    assert not fetched(problem, fetching(problem, tactics)[0], 0)[1].any()


def test_kernels_that_wait_for_memory_themselves_fetch_nothing() -> None:
    problem = convolution_of(ONE, 1, 960, 240, (1, 1), (1, 1))
    assert all(t.source(problem, CPU, "kernel").ahead == 0 for t in convolution.tactics(problem, CPU))
