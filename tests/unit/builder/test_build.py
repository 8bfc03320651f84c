"""Whole builds of small networks: right at every shape, free where it should be free, honest when wrong."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tensorwright import passes
from tensorwright.builder import BuildOptions, build, rebuild
from tensorwright.builder.lower import Lowering
from tensorwright.builder.work import HostWork, KernelWork
from tensorwright.device import cpu
from tensorwright.errors import BuildError, VerificationError
from tensorwright.ir import Network
from tensorwright.ops.evaluate import evaluate
from tensorwright.plan.records import HostStep, Launch, Profile
from tensorwright.runtime import Engine

from .networks import attention, key_cache, residual, segmentation

QUICK = {"timing_cache": False, "tune_budget": 0.0, "threads": 2}
RANGE = Profile((("batch", (1, 2, 5)),))
BOTH = Profile((("batch", (1, 2, 3)), ("tokens", (1, 16, 20))))


def options(*profiles: Profile, **more: object) -> BuildOptions:
    return BuildOptions(profiles=profiles, **{**QUICK, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_a_convolutional_network_at_every_batch(batch: int) -> None:
    network = residual()
    engine = Engine(build(network, options(RANGE)))
    x = np.random.default_rng(batch).standard_normal((batch, 3, 13, 13), dtype=np.float32)
    expected, got = evaluate(network, {"x": x}), engine.run({"x": x})
    for name in network.outputs:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_an_enlarged_result_is_written_where_the_user_reads_it(batch: int) -> None:
    network = segmentation()
    engine = Engine(build(network, options(RANGE)))
    assert not [s.layer for s in engine.plan.programs[0].steps if "(output)" in s.layer]
    x = np.random.default_rng(batch).standard_normal((batch, 3, 9, 7), dtype=np.float32)
    (name,) = network.outputs
    np.testing.assert_allclose(engine.run({"x": x})[name], evaluate(network, {"x": x})[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_joined_result_is_joined_where_the_user_reads_it(batch: int) -> None:
    network = key_cache()
    engine = Engine(build(network, options(RANGE)))
    assert not [s.layer for s in engine.plan.programs[0].steps if "(output)" in s.layer]
    rng = np.random.default_rng(batch)
    shapes = {"past": (batch, 3, 5, 4), "x": (batch, 1, 12)}
    feeds = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    np.testing.assert_allclose(engine.run(feeds)["present"], evaluate(network, feeds)["present"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("batch", "tokens"), [(1, 1), (2, 16), (3, 20), (2, 7)])
def test_attention_at_every_size(batch: int, tokens: int) -> None:
    network = attention()
    engine = Engine(build(network, options(BOTH)))
    x = np.random.default_rng(tokens).standard_normal((batch, tokens, 24), dtype=np.float32)
    np.testing.assert_allclose(engine.run({"x": x})["y"], evaluate(network, {"x": x})["y"], rtol=1e-4, atol=1e-5)


def works(network_: object, tuned: dict[str, int]) -> list[KernelWork | HostWork]:
    return Lowering(passes.run(network_)[0], cpu.describe(), tuned).run().works  # type: ignore[arg-type]


def test_concatenation_split_and_transposes_cost_nothing() -> None:
    names = [w.name for w in works(residual(), {"batch": 2})]
    assert not any(n.startswith("concat") and "[1]" in n for n in names), "the branch is written in place"
    assert not any(isinstance(w, HostWork) for w in works(residual(), {"batch": 2}))
    copies = [
        w.name for w in works(attention(), {"batch": 2, "tokens": 16}) if isinstance(w, KernelWork) and w.kind == "Copy"
    ]
    assert copies == ["y (output)"], "heads are split and merged by strides alone"


def test_equal_layers_share_a_kernel() -> None:
    plan = build(residual(), options(RANGE))
    launches = [s for s in plan.programs[0].steps if isinstance(s, Launch)]
    assert len({s.kernel for s in launches}) == len(plan.programs[0].kernels) <= len(launches)
    assert not any(isinstance(s, HostStep) for s in plan.programs[0].steps)


def test_a_missing_range_is_named() -> None:
    with pytest.raises(BuildError, match="batch"):
        build(residual(), options())


def test_an_unordered_range_is_refused() -> None:
    with pytest.raises(BuildError, match="not ordered"):
        build(residual(), options(Profile((("batch", (4, 2, 8)),))))


def test_a_wrong_kernel_is_found_named_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorwright.kernels.cpu import pool

    original = pool.Window.source

    def broken(self: object, problem: object, spec: object, symbol: str) -> object:
        source = original(self, problem, spec, symbol)  # type: ignore[arg-type]
        return dataclasses.replace(source, phases=tuple(dataclasses.replace(p, chunks=0) for p in source.phases))

    monkeypatch.setattr(pool.Window, "source", broken)
    with pytest.raises(VerificationError, match="differs from the reference") as error:
        build(residual(), options(RANGE))
    assert "pool" in str(error.value.facts["layer"])


def test_rebuilding_gives_the_same_answers() -> None:
    network = residual()
    plan = build(network, options(RANGE))
    again = rebuild(plan, options())
    x = np.random.default_rng(0).standard_normal((3, 3, 13, 13), dtype=np.float32)
    a, b = Engine(plan).run({"x": x}), Engine(again).run({"x": x})
    for name in network.outputs:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=1e-6)


def test_choices_can_be_replayed() -> None:
    plan = build(residual(4), options(tune_budget=None))
    again = build(residual(4), options(tune_budget=None, replay=plan.choices))
    assert [k.id for k in again.programs[0].kernels] == [k.id for k in plan.programs[0].kernels]


def test_the_timing_cache_is_used_and_survives_damage(tmp_path: object) -> None:
    path = tmp_path / "timing.json"  # type: ignore[operator]
    first = build(residual(4), options(tune_budget=None, timing_cache=path))
    assert path.stat().st_size > 100
    second = build(residual(4), options(tune_budget=None, timing_cache=path))
    assert dict(first.choices) == dict(second.choices)
    path.write_text("{ damaged")
    build(residual(4), options(timing_cache=path))


def test_an_approximate_kernel_is_remembered_with_the_tolerance_it_was_judged_by(tmp_path: Path) -> None:
    """A loose build must not leave timings behind that let a strict one take what it would have refused."""
    def entries(tolerance: float) -> set[str]:
        path = tmp_path / "timing.json"
        build(wide(), options(tune_budget=None, timing_cache=path, tolerance=tolerance, verify=False))
        scope, = json.loads(path.read_text())["scopes"].values()
        return {tactic for times in scope["problems"].values() for tactic in times if "Winograd" in tactic}

    loose = entries(1e-2)
    assert any("within 1e-03" in t for t in loose)
    strict = entries(1e-4) - loose
    assert strict and all("within 1e-05" in t for t in strict)


def wide() -> Network:
    """One convolution that Winograd's algorithm does."""
    from tensorwright.ir import NetworkEditor, TensorType

    from .networks import F, conv
    e = NetworkEditor("wide")
    e.outputs = [conv(e, e.input("x", TensorType((1, 32, 14, 14), F)), 32)]
    return e.finish()


@pytest.mark.parametrize("tolerance, refused", [(1e-3, False), (1e-6, True)])
def test_an_approximate_kernel_that_errs_too_much_is_refused(tolerance: float, refused: bool) -> None:
    from tensorwright.builder.cache import TimingCache
    from tensorwright.builder.tune import Tuner
    from tensorwright.builder.work import KernelWork
    from tensorwright.device import cpu
    from tensorwright.dtypes import DType
    from tensorwright.kernels.problem import Operand, Problem
    from tensorwright.ops import MatMul

    a, b, y = (Operand(shape, (shape[1], 1), DType.float32, shape[0] == 256)
               for shape in ((128, 256), (256, 192), (128, 192)))
    problem = Problem(MatMul(), (a, b), (y,))
    cache = TimingCache(None, cpu.describe(), 1)
    tuner = Tuner(cpu.describe(), 1, options(tune_budget=None), cache, tolerance)
    tuner.choose([KernelWork("product", problem, (None, None), (), {})])
    strassen = [seconds for tactic, seconds in cache.known(problem).items() if "Strassen" in tactic]
    assert strassen and all(np.isinf(seconds) == refused for seconds in strassen)
    assert any("Strassen" in note and "differs by" in note for note in tuner.notes) == refused


@pytest.mark.parametrize("home", ["nowhere", "a file"])
def test_a_cache_that_cannot_be_kept_is_no_error(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TENSORWRIGHT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "a file").write_text("")

    def where() -> Path:
        if home == "nowhere":
            raise RuntimeError("Could not determine home directory.")
        return tmp_path / home
    monkeypatch.setattr("pathlib.Path.home", where)
    build(residual(1), options(timing_cache=None, verify=False))


def test_two_profiles_make_two_programs() -> None:
    plan = build(residual(), options(Profile((("batch", (1, 1, 1)),)), Profile((("batch", (2, 4, 8)),))))
    engine = Engine(plan)
    for batch in (1, 8):
        assert engine.run({"x": np.zeros((batch, 3, 13, 13), np.float32)})["scores"].shape == (batch, 7)


def test_shapes_that_break_an_assumption_are_refused() -> None:
    from tensorwright.dims import symbol
    from tensorwright.errors import InputError
    from tensorwright.ir import NetworkEditor, TensorType

    from .networks import F, plus

    e = NetworkEditor("two")
    a, b = e.input("a", TensorType((symbol("n"), 4), F)), e.input("b", TensorType((symbol("m"), 4), F))
    e.outputs = [e.add(plus(), a, b, outputs=["y"])]  # type: ignore[list-item]
    engine = Engine(build(e.finish(), options(Profile((("n", (2, 3, 4)), ("m", (2, 3, 4)))))))
    ones = np.ones((3, 4), np.float32)
    assert np.array_equal(engine.run({"a": ones, "b": ones})["y"], ones + ones)
    with pytest.raises(InputError, match="n"):
        engine.run({"a": ones, "b": np.ones((4, 4), np.float32)})


@pytest.mark.parametrize(
    ("level", "shown", "hidden"),
    [
        (0, [], ["kernels"]),
        (1, ["steps", "kernels"], ["µs", "not timed"]),
        (2, ["pool: Pool"], ["fuse"]),
        (3, ["fuse"], ["define void"]),
        (4, ["define void"], [".cfi"]),
        (5, ["retq"], []),
    ],
)
def test_the_debug_ladder(
    level: int, shown: list[str], hidden: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENSORWRIGHT_DEBUG", str(level))
    build(residual(2), options(verify=False))
    text = capfd.readouterr().err
    assert all(s in text for s in shown) and not any(h in text for h in hidden)


def test_one_average_of_fewer_elements_than_the_window() -> None:
    from tensorwright.ir import NetworkEditor, TensorType
    from tensorwright.ops import Pool

    from .networks import F
    e = NetworkEditor("average")
    x = e.input("x", TensorType((1, 32, 6, 6), F))
    e.outputs = [e.add(Pool("average", (7, 7), (1, 1), ((0, 1), (0, 1)), (1, 1)), x, outputs=["y"])]  # type: ignore[list-item]
    engine = Engine(build(e.finish(), options(verify=False)))
    value = np.random.default_rng(0).standard_normal((1, 32, 6, 6), dtype=np.float32)
    np.testing.assert_allclose(engine.run({"x": value})["y"], value.mean((2, 3), keepdims=True), rtol=1e-5, atol=1e-6)


def test_a_fixed_symbol_is_a_number_inside_and_a_symbol_outside() -> None:
    plan = build(residual(), options(Profile((("batch", (2, 2, 2)),))))
    program = plan.programs[0]
    assert all(isinstance(v.shape[0], int) for s in program.steps for v in s.args if v is not None and v.shape)  # type: ignore[union-attr]
    assert str(program.inputs[0].shape[0]) == "batch"  # type: ignore[index]
    engine = Engine(plan)
    assert engine.run({"x": np.zeros((2, 3, 13, 13), np.float32)})["scores"].shape == (2, 7)


def test_broadcasting_a_fixed_one_is_right() -> None:
    from tensorwright.dims import symbol
    from tensorwright.ir import NetworkEditor, TensorType

    from .networks import F, plus
    e = NetworkEditor("broadcast")
    a, b = e.input("a", TensorType((symbol("n"), 4), F)), e.input("b", TensorType((symbol("m"), 4), F))
    e.outputs = [e.add(plus(), a, b, outputs=["y"])]  # type: ignore[list-item]
    engine = Engine(build(e.finish(), options(Profile((("n", (3, 3, 3)), ("m", (1, 1, 1)))))))
    x, y = np.arange(12, dtype=np.float32).reshape(3, 4), np.ones((1, 4), np.float32)
    assert np.array_equal(engine.run({"a": x, "b": y})["y"], x + y)


def test_a_reshape_that_only_real_sizes_explain() -> None:
    from tensorwright.dims import symbol
    from tensorwright.ir import NetworkEditor, TensorType
    from tensorwright.ops import Reshape, Transpose

    from .networks import F, relu
    e = NetworkEditor("reshape")
    x = e.input("x", TensorType((symbol("a"), symbol("b")), F))
    t = e.add(Transpose((1, 0)), e.add(relu(), x))
    e.outputs = [e.add(Reshape((2, 3, 2)), t, outputs=["y"])]  # type: ignore[list-item]
    engine = Engine(build(e.finish(), options(Profile((("a", (1, 3, 6)), ("b", (1, 4, 12)))))))
    value = np.random.default_rng(0).random((3, 4), dtype=np.float32)
    assert np.array_equal(engine.run({"x": value})["y"], value.T.reshape(2, 3, 2))


@pytest.mark.parametrize("pads", [((2, 0), (1, 1)), ((0, 2), (1, 1))])
def test_the_border_of_a_reversed_axis_changes_sides(pads: tuple) -> None:
    from tensorwright.ir import NetworkEditor, TensorType
    from tensorwright.ops import Convolution, Slice

    from .networks import BATCH, F, conv, weight
    e = NetworkEditor("reversed")
    y = conv(e, e.input("x", TensorType((BATCH, 16, 6, 6), F)), 16)
    s = e.add(Slice((0, 0, 5, 0), (BATCH, 16, 6, 6), (1, 1, -1, 1)), y)
    e.outputs = [e.add(Convolution((1, 1), pads, (1, 1), 1), s, weight(e, 8, 16, 3, 3), outputs=["z"])]  # type: ignore[list-item]
    network = e.finish()
    engine = Engine(build(network, options(RANGE, verify=False)))
    for batch in (2, 5, 1):
        x = np.random.default_rng(batch).standard_normal((batch, 16, 6, 6), dtype=np.float32)
        np.testing.assert_allclose(engine.run({"x": x})["z"], evaluate(network, {"x": x})["z"], rtol=1e-4, atol=1e-4)


def test_a_view_of_a_constant_is_not_the_constant() -> None:
    """A slice with symbolic bounds is not folded; where a profile fixes them it may have the constant's whole shape."""
    from tensorwright.ir import NetworkEditor, TensorType
    from tensorwright.ops import Slice

    from .networks import BATCH, F, conv, plus, weight
    e = NetworkEditor("view")
    y = conv(e, e.input("x", TensorType((BATCH, 4, 4, 4), F)), 4)
    s = e.add(Slice((BATCH - 1, 0, 0), (BATCH, 4, 4), (-1, 1, 1)), weight(e, 4, 4, 4))
    e.outputs = [e.add(plus(), y, s, outputs=["z"])]  # type: ignore[list-item]
    network = e.finish()
    engine = Engine(build(network, options(Profile((("batch", (4, 4, 4)),)), verify=False)))
    x = np.random.default_rng(0).standard_normal((4, 4, 4, 4), dtype=np.float32)
    np.testing.assert_allclose(engine.run({"x": x})["z"], evaluate(network, {"x": x})["z"], rtol=1e-4, atol=1e-5)
