"""Arena layouts: what is alive together never overlaps; zeroed memory is only shared by equal geometry."""

import numpy as np
import pytest

from tensorwright.builder.memory import plan_arena
from tensorwright.dims import symbol
from tensorwright.errors import BuildError
from tensorwright.plan.records import Buffer


@pytest.mark.parametrize("seed", range(20))
def test_buffers_alive_together_do_not_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, steps = 30, 40
    buffers = [Buffer("arena", int(rng.integers(0, 5000)), zero=bool(rng.random() < 0.3)) for _ in range(n)]
    geometry = {i: (b.bytes,) for i, b in enumerate(buffers) if b.zero}
    uses = [sorted(set(rng.integers(0, n, 3).tolist())) for _ in range(steps)]
    layout = plan_arena(buffers, geometry, uses, {})
    alive = {
        b: (min(k for k, u in enumerate(uses) if b in u), max(k for k, u in enumerate(uses) if b in u))
        for u in uses
        for b in u
    }
    for a in alive:
        assert layout.offsets[a] >= 0 and layout.offsets[a] + buffers[a].bytes <= layout.size
        assert layout.offsets[a] % 64 == 0
        for b in alive:
            together = alive[a][0] <= alive[b][1] and alive[b][0] <= alive[a][1]
            never = buffers[a].zero != buffers[b].zero or (buffers[a].zero and geometry[a] != geometry[b])
            if a < b and (together or never):
                apart = (
                    layout.offsets[a] + buffers[a].bytes <= layout.offsets[b]
                    or layout.offsets[b] + buffers[b].bytes <= layout.offsets[a]
                )
                assert apart or 0 in (buffers[a].bytes, buffers[b].bytes)


def test_a_chain_needs_memory_for_two_values() -> None:
    buffers = [Buffer("arena", 1000) for _ in range(10)]
    layout = plan_arena(buffers, {}, [[k, k + 1] for k in range(9)], {})
    assert layout.size < 3 * 1400


def test_sizes_are_bounds_at_the_profiles_maximum() -> None:
    n = symbol("n")
    layout = plan_arena([Buffer("arena", n * 100), Buffer("arena", 64)], {}, [[0, 1]], {"n": (1, 7)})
    assert abs(layout.offsets[0] - layout.offsets[1]) >= 64 and layout.size >= 764


def test_absurd_sizes_are_refused() -> None:
    n = symbol("n")
    with pytest.raises(BuildError, match="GiB"):
        plan_arena([Buffer("arena", n * n * n)], {}, [[0]], {"n": (1, 1 << 20)})


def test_values_elsewhere_have_no_offset() -> None:
    layout = plan_arena([Buffer("input", 4, "x"), Buffer("arena", 4)], {}, [[0, 1]], {})
    assert layout.offsets[0] == -1 and layout.offsets[1] >= 0
