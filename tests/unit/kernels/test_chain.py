"""Chains of layers against their meaning, at awkward sizes, layouts and band heights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from chain_cases import Conv, Scale, Window, chain_problem
from contraction_cases import HERE, check, compiles_everywhere

from tensorwright.dims import symbol
from tensorwright.kernels.cpu import chain
from tensorwright.kernels.cpu import tactics as every_family

EXPAND, PROJECT = Conv(24, act="relu6"), Conv(17, add="residual")


def bands_of(*cuts: tuple[int, int]):
    """The first tactic with these (rows per band, bands per chunk) instead of the guessed ones."""
    def found(problem, cpu) -> Iterator:
        first = next(chain.tactics(problem, cpu))
        yield from (replace(first, rows=rows, bands=bands) for rows, bands in cuts)
    return found


CHAINS = {
    "expand, depthwise, project and add": [EXPAND, Conv(0, 3, act="relu6"), PROJECT],
    "stride two": [EXPAND, Conv(0, 3, 2, act="relu6"), Conv(17)],
    "expand and depthwise with SiLU": [Conv(33, act="silu"), Conv(0, 5, act="silu")],
    "scale and project": [Scale(), Conv(24, add="residual")],
    "batch norm, 1×1, 3×3": [Scale(relu=True), Conv(33, act="relu6"), Conv(17, 3)],
    "depthwise and 1×1": [Conv(0, 3, 2, act="relu6"), Conv(33, act="relu6")],
    "3×3 and 1×1": [Conv(24, 3, 2, act="silu"), Conv(17, add="channel")],
    "two windows": [Conv(17, 3), Conv(0, 7, dilation=2), Conv(24, 3, 2), Conv(5)],
    "stride beyond the window": [Conv(17, 3), Conv(24, 1, 3)],
    "groups": [Conv(32, act="relu6"), Conv(32, 3, groups=8, act="relu6"), Conv(17)],
    "maximum": [Conv(17, 3, act="relu6"), Window("max", ceil=True), Conv(24)],
    "maximum of negative numbers": [Scale(), Window("max", 3, 1, (2, 0))],
    "average with padding": [Conv(17), Window("average", include_pad=True)],
    "average": [Window("average", 2, 2, (0, 0)), Conv(17, 3), Window("average", 3, 1, (0, 0))],
    "uneven padding": [Conv(17), Conv(24, 3, 2, pads=(0, 1)), Conv(24, 3, pads=(2, 0))],
}


@pytest.mark.parametrize("name", CHAINS)
def test_every_tactic(name: str) -> None:
    problem = chain_problem(2, 17, (13, 10), CHAINS[name], pixel_y=40, border_y=1)
    assert check(problem, chain.tactics)


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("n, size", [(1, (13, 7)), (3, (8, 9))], ids=str)
def test_band_heights(name: str, n: int, size: tuple[int, int]) -> None:
    problem = chain_problem(n, 16, size, CHAINS[name], pixel_x=20)
    assert check(problem, bands_of((1, 1), (1, 3), (2, 2), (3, 1), (5, 2), (99, 1)))


def test_symbolic_batch() -> None:
    stages = CHAINS["expand, depthwise, project and add"]
    problem = chain_problem(symbol("s0"), 16, (9, 11), stages, tuned=(("s0", 2),))
    for images in (0, 1, 3):
        assert check(problem, bands_of((2, 2)), env={"s0": images})


def test_given_tactics_for_the_stages() -> None:
    problem = chain_problem(1, 16, (12, 14), [EXPAND, Conv(32, 3), Conv(17)])
    wholes = chain.stage_problems(problem, HERE[0])
    choices = [list(every_family(p, HERE[0])) for p in wholes]
    inside = set()
    for t in choices[1][:4]:
        found = check(problem, lambda p, cpu, t=t: chain.chain_tactics(p, cpu, [choices[0], [t], choices[2]]))
        inside |= {type(f.stages[1]).__name__ for f in found}
    assert "Winograd" in inside


def test_whole_stages_have_the_border_the_next_one_needs() -> None:
    problem = chain_problem(1, 16, (12, 14), [EXPAND, Conv(0, 5, 2), Conv(17)])
    first, second, third = chain.stage_problems(problem, HERE[0])
    assert first.outputs[0] == second.inputs[0] and second.outputs[0] == third.inputs[0]
    assert first.outputs[0].border == ((0, 0), (0, 0), (2, 1), (2, 1)) and third.outputs == problem.outputs


def test_what_chains_cannot_do_is_declined() -> None:
    stages = [EXPAND, Conv(0, 3), Conv(17)]
    problem = chain_problem(1, 16, (12, 14), stages)
    inputs = list(problem.inputs)
    inputs[1] = replace(inputs[1], constant=False)
    assert not list(chain.tactics(replace(problem, inputs=tuple(inputs)), HERE[0])), "weights known at run time"
    assert not list(chain.tactics(chain_problem(1, 16, (symbol("s0"), 14), stages, tuned=(("s0", 5),)), HERE[0]))
    for pool in (Window("average"), Window("average", pads=(0, 0), ceil=True)):
        assert not list(chain.tactics(chain_problem(1, 16, (12, 14), [Conv(24), pool]), HERE[0]))
    assert not list(chain.tactics(chain_problem(1, 16, (12, 14), [Window("max"), Conv(24)]), HERE[0]))
    needs_border = chain_problem(1, 16, (12, 14), [Conv(24, 3), Conv(17)])
    bare = replace(needs_border.inputs[0], border=())
    assert not list(chain.tactics(replace(needs_border, inputs=(bare, *needs_border.inputs[1:])), HERE[0]))


def test_compiles_for_other_machines() -> None:
    compiles_everywhere(chain_problem(1, 17, (9, 15), CHAINS["stride two"]), chain.tactics)
    check(chain_problem(1, 17, (9, 15), CHAINS["stride two"]), bands_of((2, 2)), cpus=HERE[1:])


@pytest.mark.parametrize("c, k, size", [(64, 64, 224), (128, 128, 112), (256, 256, 56), (512, 512, 28), (512, 512, 14)])
def test_wide_convolutions_before_pools_have_tactics(c: int, k: int, size: int) -> None:
    """What comes first for a whole convolution may not run in a band: Winograd's steps as phases of their own."""
    problem = chain_problem(1, c, (size, size), [Conv(k, 3, act="relu6"), Window("max", 2, 2, (0, 0))])
    assert list(chain.tactics(problem, HERE[0]))
