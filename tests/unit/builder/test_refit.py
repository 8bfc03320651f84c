"""Weights replaced in a plan: the result is what a fresh build with them computes, with the plan's own kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tensorwright import importer
from tensorwright.builder import BuildOptions, build, rebuild
from tensorwright.builder.build import Compiler
from tensorwright.builder.refit import Recall, outline, recomputed
from tensorwright.dtypes import DType
from tensorwright.errors import BuildError, PlanError
from tensorwright.ir import Network
from tensorwright.plan.records import Plan
from tensorwright.plan.refit import NETWORK, Hollow, WeightInfo, check_refit, from_json, stripped
from tensorwright.runtime import Engine, store

rng = np.random.default_rng(7)


def model(nodes: list[Any], inputs: dict[str, Any], output: Any, weights: dict[str, np.ndarray]) -> bytes:
    def value(name: str, shape: Any) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [value(n, s) for n, s in inputs.items()], [value("y", output)],
                              [numpy_helper.from_array(a, n) for n, a in weights.items()])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                                   ir_version=8).SerializeToString())


def random(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def mlp() -> bytes:
    return model([helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["r"]),
                  helper.make_node("MatMul", ["r", "w2"], ["m"]), helper.make_node("Mul", ["m", "s"], ["k"]),
                  helper.make_node("Add", ["k", "b2"], ["y"])], {"x": ["N", 16]}, ["N", 8],
                 {"w1": random(24, 16), "b1": random(24), "w2": random(24, 8), "s": random(8), "b2": random(8)})


def convnet() -> bytes:
    """3×3 stride 1 (Winograd's place) with batch normalisation spelled out, residual, depthwise, 1×1."""
    nodes = [helper.make_node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
             helper.make_node("BatchNormalization", ["c1", "g", "b", "m", "v"], ["n1"]),
             helper.make_node("Relu", ["n1"], ["r1"]),
             helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], group=16),
             helper.make_node("Mul", ["c2", "k"], ["c2k"]), helper.make_node("Add", ["c2k", "r1"], ["s"]),
             helper.make_node("Conv", ["s", "w3"], ["c3"]), helper.make_node("Add", ["c3", "b3"], ["y"])]
    return model(nodes, {"x": [1, 16, 14, 14]}, [1, 8, 14, 14],
                 {"w1": random(16, 16, 3, 3), "g": random(16), "b": random(16), "m": random(16),
                  "v": np.abs(random(16)) + 0.5, "w2": random(16, 1, 3, 3), "b2": random(16), "k": random(16, 1, 1),
                  "w3": random(8, 16, 1, 1), "b3": random(8, 1, 1)})


def attention() -> bytes:
    """Three projections of one input, heads, softmax, an output projection, and layer normalisation."""
    nodes = []
    for p in "qkv":
        nodes += [helper.make_node("MatMul", ["x", f"w{p}"], [f"{p}0"]),
                  helper.make_node("Add", [f"{p}0", f"b{p}"], [f"{p}1"]),
                  helper.make_node("Reshape", [f"{p}1", "split"], [f"{p}2"]),
                  helper.make_node("Transpose", [f"{p}2"], [f"{p}3"], perm=[0, 2, 3, 1] if p == "k" else [0, 2, 1, 3])]
    nodes += [helper.make_node("MatMul", ["q3", "k3"], ["s0"]), helper.make_node("Mul", ["s0", "scale"], ["s1"]),
              helper.make_node("Softmax", ["s1"], ["s2"], axis=-1), helper.make_node("MatMul", ["s2", "v3"], ["o0"]),
              helper.make_node("Transpose", ["o0"], ["o1"], perm=[0, 2, 1, 3]),
              helper.make_node("Reshape", ["o1", "join"], ["o2"]), helper.make_node("MatMul", ["o2", "wo"], ["o3"]),
              helper.make_node("LayerNormalization", ["o3", "g", "b"], ["y"], axis=-1)]
    weights = {f"w{p}": random(32, 32) for p in "qkvo"} | {f"b{p}": random(32) for p in "qkv"}
    return model(nodes, {"x": [2, 6, 32]}, [2, 6, 32],
                 weights | {"g": random(32), "b": random(32), "scale": np.float32(8 ** -0.5),
                            "split": np.array([2, 6, 4, 8]), "join": np.array([2, 6, 32])})


MODELS = {"mlp": mlp, "convnet": convnet, "attention": attention}


def infos(network: Network) -> tuple[WeightInfo, ...]:
    return tuple(WeightInfo(n, n, "", "", DType.of(a), a.size) for n, a in network.constants.items()
                 if a.dtype == np.float32 and a.ndim)


def options(network: Network, **more: Any) -> BuildOptions:
    profile = importer_profiles(network)
    return BuildOptions(profiles=profile, tune_budget=0, timing_cache=False, refit=infos(network), **more)


def importer_profiles(network: Network) -> Any:
    from tensorwright.plan.records import Profile
    return (Profile(tuple((s, (1, 4, 8)) for s in network.symbols())),)


@pytest.fixture(scope="module", params=MODELS)
def case(request: Any) -> Iterator[tuple[Network, Plan]]:
    network = importer.load(MODELS[request.param]())
    yield network, build(network, options(network))


def others(network: Network, kind: str) -> dict[str, np.ndarray]:
    """Other content for all weights; some that tempts rewriting: scales of one, shifts of zero, equal weights."""
    made = {"zeros": np.zeros, "ones": np.ones, "random": lambda shape, dtype: random(*shape)}[kind]
    return {w.constant: made(network.constants[w.constant].shape, np.float32) for w in infos(network)}


@pytest.mark.parametrize("kind", ["random", "zeros", "ones"])
def test_as_a_fresh_build(case: tuple[Network, Plan], kind: str) -> None:
    network, plan = case
    given = others(network, kind)
    changed = replace(plan, weights=recomputed(plan, given))
    fresh = build(network.with_changes(constants={**network.constants, **given}), options(network))
    x = random(*[d if isinstance(d, int) else 3 for d in network.tensor("x").shape])
    was, now, expected = (Engine(p).run({"x": x})["y"] for p in (plan, changed, fresh))
    np.testing.assert_array_equal(now, expected)
    assert not np.allclose(was, now)
    ordinary = build(network.with_changes(constants={**network.constants, **given}),
                     replace(options(network), refit=()))
    np.testing.assert_allclose(now, Engine(ordinary).run({"x": x})["y"], rtol=1e-3, atol=1e-4)


def test_same_weights_same_constants(case: tuple[Network, Plan]) -> None:
    _, plan = case
    again = recomputed(plan, {})
    assert set(again) == set(plan.weights)
    for name, array in plan.weights.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def test_refit_costs_no_steps(case: tuple[Network, Plan]) -> None:
    """The engine is as good as one that cannot be refitted: as many steps, the same operators."""
    network, plan = case
    ordinary = build(network, replace(options(network), refit=()))
    assert [x.kind for x in plan.programs[0].layers] == [x.kind for x in ordinary.programs[0].layers]


def test_plans_for_refit_survive_a_file(case: tuple[Network, Plan], tmp_path: Path) -> None:
    network, plan = case
    store.save(plan, tmp_path / "a.plan")
    loaded = store.load(tmp_path / "a.plan")
    assert loaded.refit == plan.refit
    given = others(network, "random")
    ours, theirs = recomputed(plan, given), recomputed(loaded, given)
    assert all(np.array_equal(ours[n], theirs[n]) for n in ours)


def test_stripped_plans_are_small_and_whole_again(case: tuple[Network, Plan], tmp_path: Path) -> None:
    network, plan = case
    store.save(stripped(plan), tmp_path / "a.plan")
    loaded = store.load(tmp_path / "a.plan")
    given = {w.constant: network.constants[w.constant] for w in plan.refit}
    for array in given.values():
        if array.nbytes >= 64:
            assert array.tobytes() not in (tmp_path / "a.plan").read_bytes()
    again = recomputed(loaded, given)
    for name, array in plan.weights.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def test_weights_that_are_fetched_ahead() -> None:
    """Which launches fetch weights for others is decided by measured times: those in the plan count, not a guess."""
    network = importer.load(convnet())
    plan = build(network, options(network))
    program = plan.programs[0]
    for seconds in (1e-7, 1e-3):
        timed = replace(program, layers=tuple(replace(x, seconds=seconds) for x in program.layers))
        recall = Recall(Compiler(network, options(network), 1e-4), replace(plan, programs=(timed,)))
        assert set(recall.seconds.values()) == {seconds}
    tuned = build(network, replace(options(network), tune_budget=2.0))
    again = recomputed(tuned, {})
    assert all(np.array_equal(again[n], a) for n, a in tuned.weights.items())


def test_identical_mode_keeps_digests() -> None:
    network = importer.load(mlp())
    plan = build(network, options(network, identical=True))
    assert all(len(w.digest) == 64 for w in plan.refit)
    again = recomputed(plan, {})
    assert all(np.array_equal(again[n], a) for n, a in plan.weights.items())


def test_another_versions_steps_are_refused() -> None:
    network = importer.load(mlp())
    plan = build(network, options(network))
    program = plan.programs[0]
    other = replace(plan, programs=(replace(program, arena_bytes=program.arena_bytes + 64),))
    assert outline(program) != outline(other.programs[0])
    with pytest.raises(PlanError, match="steps are not those"):
        recomputed(other, {})


def test_what_cannot_be_refitted_cannot_be_stripped() -> None:
    network = importer.load(mlp())
    with pytest.raises(PlanError, match="no weights that can be replaced"):
        stripped(build(network, replace(options(network), refit=())))


def test_the_source_is_in_the_plan(case: tuple[Network, Plan]) -> None:
    network, plan = case
    assert {NETWORK + n for n in network.constants} <= set(plan.weights)


def test_plans_that_are_compiled_again_can_still_be_refitted(case: tuple[Network, Plan]) -> None:
    """On another machine: from the network in the plan, with the same weights that can be replaced."""
    network, plan = case
    again = rebuild(plan, BuildOptions(tune_budget=0, timing_cache=False))
    assert again.refit == plan.refit
    given = others(network, "random")
    x = random(*[d if isinstance(d, int) else 3 for d in network.tensor("x").shape])
    results = [Engine(replace(p, weights=recomputed(p, given))).run({"x": x})["y"] for p in (plan, again)]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_plans_without_weights_cannot_be_compiled_again(case: tuple[Network, Plan]) -> None:
    with pytest.raises(BuildError, match="without weights"):
        rebuild(stripped(case[1]))


def test_damaged_lists_of_weights_are_refused() -> None:
    for data in ("x", [["w"]], [["w", "", "", "", "float32", -1, ""]], [["w", "", "", "", "float33", 1, ""]],
                 [[1] * 7]):
        with pytest.raises(PlanError):
            from_json(data)
    for data in ({"w": {"dtype": "string", "shape": [1]}}, {"w": {"dtype": "float32", "shape": [1 << 30, 1 << 30]}},
                 {"w": {"dtype": "float32", "shape": [-1]}}, {"w": 3}, ["w"],
                 {"there": {"dtype": "float32", "shape": []}}):
        with pytest.raises(PlanError):
            Hollow.read({"there": np.zeros(1)}, data)
    known = {NETWORK + "w": np.zeros((2, 3), np.float32)}
    good = WeightInfo("w", "", "", "", DType.float32, 6)
    check_refit((good,), known)
    for bad in (replace(good, constant="v"), replace(good, count=5)):
        with pytest.raises(PlanError):
            check_refit((bad,), known)
