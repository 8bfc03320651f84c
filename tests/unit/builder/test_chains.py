"""Chains in whole builds: formed where they pay, right at every batch, taken apart where they do not."""

import dataclasses

import numpy as np
import pytest

from tensorwright.builder import BuildOptions, build, tune
from tensorwright.builder.lower import Lowering
from tensorwright.builder.race import InTurn
from tensorwright.builder.work import KernelWork
from tensorwright.device import cpu
from tensorwright.dims import Dim
from tensorwright.errors import VerificationError
from tensorwright.ir import Network, NetworkEditor, TensorType
from tensorwright.kernels.cpu import chain_band
from tensorwright.ops import Chain, Reduce
from tensorwright.ops.evaluate import evaluate
from tensorwright.passes import depth_first
from tensorwright.plan.records import HostStep, Profile
from tensorwright.runtime import Engine

from .networks import BATCH, F, conv, plus, relu

RANGE = Profile((("batch", (1, 2, 4)),))


def mobile(batch: Dim = BATCH) -> Network:
    """A first convolution and three inverted residuals: with a residual, with a stride, with squeeze and excite."""
    e = NetworkEditor("mobile")
    x = e.input("x", TensorType((batch, 3, 31, 29), F))

    def act(y: object) -> str:
        return e.add(relu(), y)  # type: ignore[arg-type, return-value]

    y = act(conv(e, x, 12, 3, 2, name="stem"))
    wide = act(conv(e, act(conv(e, y, 40, 1, name="a.expand")), 40, 3, groups=40, name="a.depthwise"))
    y = e.add(plus(), conv(e, wide, 12, 1, name="a.project"), y, name="a.add")
    wide = act(conv(e, act(conv(e, y, 48, 1, name="b.expand")), 48, 5, 2, groups=48, name="b.depthwise"))  # type: ignore[arg-type]
    y = conv(e, wide, 20, 1, name="b.project")
    wide = act(conv(e, act(conv(e, y, 60, 1, name="c.expand")), 60, 3, groups=60, name="c.depthwise"))
    scale = conv(e, e.add(Reduce("mean", (2, 3), True), wide), 60, 1, name="c.gate")  # type: ignore[arg-type]
    times = dataclasses.replace(plus(), expr=dataclasses.replace(plus().expr, fn="mul"))  # type: ignore[type-var]
    y = conv(e, e.add(times, wide, scale), 20, 1, name="c.project")  # type: ignore[arg-type]
    e.outputs = [y]
    return e.finish()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any flow is worth a chain."""
    monkeypatch.setattr(depth_first, "LARGE_SHARE", 0.0)


def options(**more: object) -> BuildOptions:
    defaults = {"timing_cache": False, "tune_budget": 0.0, "threads": 2, "profiles": (RANGE,)}
    return BuildOptions(**{**defaults, **more})  # type: ignore[arg-type]


def check(network: Network, engine: Engine, batch: int) -> None:
    x = np.random.default_rng(batch).standard_normal((batch, 3, 31, 29), dtype=np.float32)
    expected, got = evaluate(network, {"x": x}), engine.run({"x": x})
    for name in network.outputs:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-4)


def chained(plan: object) -> list[str]:
    return [x.name for x in plan.programs[0].layers if "Banded" in x.tactic]  # type: ignore[attr-defined]


def test_chains_compute_the_same_at_every_batch(eager: None) -> None:
    network = mobile()
    plan = build(network, options())
    assert [name.count(" + ") for name in chained(plan)] == [2, 2, 1, 1]
    assert not any(isinstance(s, HostStep) for s in plan.programs[0].steps)
    kinds = [x.kind for x in plan.programs[0].layers if x.name == chained(plan)[1]]
    assert kinds[0].count(";") == 2 and kinds[0].count("Convolution") == 3
    engine = Engine(plan)
    for batch in (1, 4, 3):
        check(network, engine, batch)


def test_the_plan_keeps_the_layers(eager: None) -> None:
    """Chains are for this machine: another one decides anew."""
    plan = build(mobile(), options())
    assert '"Chain"' not in plan.network
    assert build(mobile(), options(replay=plan.choices)).programs[0].kernels == plan.programs[0].kernels


@pytest.mark.parametrize("slow", [False, True])
def test_timing_decides_whether_a_chain_stays(eager: None, monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    """A chain that measures slower than its stages is built as layers, and so it is when the choices are replayed."""
    def race(runners, threads, end, least):  # type: ignore[no-untyped-def]
        for runner in runners:
            assert (runner.sample(threads, 2) > 0).all()
        return [3.0 if isinstance(runner, InTurn) else 9.0 if slow else 0.1 for runner in runners]

    monkeypatch.setattr(tune, "race", race)
    network = mobile()
    plan = build(network, options(tune_budget=None))
    assert len(chained(plan)) == (0 if slow else 4)
    check(network, Engine(plan), 3)
    again = build(network, options(replay=plan.choices))
    assert chained(again) == chained(plan)


def test_a_chain_without_a_kernel_is_taken_apart(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no kernel executes a chain, its layers are what they were."""
    from tensorwright.kernels.cpu import chain

    monkeypatch.setattr(chain, "chain_tactics", lambda *given: iter(()))
    network = mobile()
    plan = build(network, options())
    assert not chained(plan)
    assert not any(isinstance(s, HostStep) for s in plan.programs[0].steps)
    check(network, Engine(plan), 2)


def test_a_chain_given_as_such_is_executed(eager: None) -> None:
    network, _ = depth_first.form_chains(mobile(), cpu.describe(), 2, {"batch": 2})
    assert any(isinstance(layer.op, Chain) for layer in network.layers)
    check(mobile(), Engine(build(network, options())), 2)
    works = Lowering(network, cpu.describe(), {"batch": 2}).run().works
    assert sum(isinstance(w, KernelWork) and isinstance(w.problem.op, Chain) for w in works) > 1


def test_a_wrong_chain_is_found_and_named(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = chain_band.Banded.pack

    def wrong(self, problem, machine, index, array):  # type: ignore[no-untyped-def]
        return pack(self, problem, machine, index, array * 1.5)

    monkeypatch.setattr(chain_band.Banded, "pack", wrong)
    with pytest.raises(VerificationError) as error:
        build(mobile(), options())
    assert " + " in str(error.value)
