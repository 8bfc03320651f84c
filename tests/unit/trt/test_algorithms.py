"""IAlgorithmSelector: it is asked about every layer, its choice is what the plan has, and wrong answers are refused."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tensorwright.generations import v8, v10

RNG = np.random.default_rng(0)
W1, W2 = (RNG.normal(size=(32, c, 3, 3)).astype(np.float32) for c in (16, 32))


class Log(v8.ILogger):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log(self, severity: Any, msg: str) -> None:
        self.lines.append(f"{severity.name}: {msg}")


def selector_of(choose: Callable[[Any, list[Any]], Any], api: Any = v8) -> Any:
    class Selector(api.IAlgorithmSelector):                # type: ignore[misc]
        def __init__(self) -> None:
            api.IAlgorithmSelector.__init__(self)
            self.asked: dict[str, list[Any]] = {}
            self.contexts: dict[str, Any] = {}
            self.reported: dict[str, Any] = {}

        def select_algorithms(self, context: Any, choices: list[Any]) -> Sequence[int]:
            self.asked[context.name] = choices
            self.contexts[context.name] = context
            return choose(context, choices)

        def report_algorithms(self, contexts: list[Any], choices: list[Any]) -> None:
            self.reported = {c.name: choice for c, choice in zip(contexts, choices, strict=True)}
    return Selector()


def built(selector: Any, log: Log, api: Any = v8, level: int = 0, reject: bool = False, batch: int = 2,
          max_num_tactics: int = -1, workspace: int = 0) -> Any:
    """Two different convolutions, the first dynamic in its batch when that is -1."""
    builder = api.Builder(log)
    network = builder.create_network(1)
    x = network.add_input("x", api.float32, (batch, 16, 18, 18))
    for name, weights in (("one", W1), ("two", W2)):
        layer = network.add_convolution_nd(x, 32, (3, 3), weights)
        layer.name, x = name, layer.get_output(0)
    x.name = "y"
    network.mark_output(x)
    config = builder.create_builder_config()
    config.builder_optimization_level, config.algorithm_selector = level, selector
    config.set_timing_cache(config.create_timing_cache(b""), False)
    if max_num_tactics > 0:
        config.max_num_tactics = max_num_tactics
    if workspace:
        config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, workspace)
    if reject:
        config.set_flag(api.BuilderFlag.REJECT_EMPTY_ALGORITHMS)
    if batch == -1:
        profile = builder.create_optimization_profile()
        profile.set_shape("x", (1, 16, 18, 18), (2, 16, 18, 18), (4, 16, 18, 18))
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return None if plan is None else api.Runtime(log).deserialize_cuda_engine(plan)


def tactics(engine: Any) -> dict[str, str]:
    return {info.name: info.tactic for info in engine._plan.programs[0].layers}


def result(engine: Any) -> np.ndarray:
    x, y = np.ones((2, 16, 18, 18), np.float32), np.empty((2, 32, 14, 14), np.float32)
    context = engine.create_execution_context()
    assert context.execute_v2([x.ctypes.data, y.ctypes.data])
    return y


def test_the_choice_is_what_the_plan_has() -> None:
    everything = selector_of(lambda context, choices: range(len(choices)))
    usual = built(everything, Log())
    assert set(everything.asked) == set(everything.reported) >= {"one", "two"}
    seen = set()
    for pick in (0, 1, -1):
        selector = selector_of(lambda _, choices, pick=pick: [range(len(choices))[pick] if len(choices) > 2 else 0])
        engine = built(selector, Log())
        seen.add(tactics(engine)["two"])
        for name, choices in selector.asked.items():
            assert len(choices) > 2 or name not in ("one", "two")
            chosen, wanted = selector.reported[name], choices[pick if len(choices) > 2 else 0]
            assert chosen.algorithm_variant.tactic == wanted.algorithm_variant.tactic
            assert repr(chosen._offer.tactic) == tactics(engine)[name]
        assert np.allclose(result(engine), result(usual), rtol=1e-4, atol=1e-3)
    assert len(seen) == 3, "three picks are three kernels"


def test_what_choices_say() -> None:
    selector = selector_of(lambda context, choices: range(len(choices)))
    built(selector, Log(), batch=-1)
    context = selector.contexts["two"]
    assert (context.name, context.num_inputs, context.num_outputs) == ("two", 1, 1), "weights are not counted"
    assert [tuple(s) for s in context.get_shape(1)] == [(n, 32, 14, 14) for n in (1, 2, 4)]
    assert context.get_shape(2) == []
    choices = selector.asked["two"]
    assert len({c.algorithm_variant.tactic for c in choices}) == len(choices), "each has a number of its own"
    kinds = {c.algorithm_variant.implementation for c in choices}
    assert 1 <= len(kinds) < len(choices)
    assert all(c.timing_msec == 0 for c in choices), "nothing was timed"
    info = choices[0].get_algorithm_io_info(0)
    assert info.dtype == v8.float32 and len(info.strides) == 4 and info.vectorized_dim == -1
    assert info.components_per_element == 1 and info.tensor_format == v8.TensorFormat.LINEAR
    assert choices[0].get_algorithm_io_info(2) is None and all(c.workspace_size >= 0 for c in choices)
    assert any(c.workspace_size for c in choices), "some need scratch memory"
    again = selector_of(lambda context, choices: range(len(choices)))
    built(again, Log(), batch=-1)
    assert [c.algorithm_variant.tactic for c in again.asked["two"]] == [c.algorithm_variant.tactic for c in choices]


def test_times_are_told_and_the_fastest_of_those_allowed_is_taken() -> None:
    allowed: dict[str, list[Any]] = {}

    def every_other(context: Any, choices: list[Any]) -> list[int]:
        timed = [i for i, c in enumerate(choices) if c.timing_msec]
        slower = sorted(timed, key=lambda i: choices[i].timing_msec)[1:]       # not what would be taken
        allowed[context.name] = [choices[i] for i in slower or timed]
        return slower or timed
    selector = selector_of(every_other, v10)
    assert built(selector, Log(), v10, level=1) is not None
    for name, choices in allowed.items():
        assert len(choices) > 1 or name not in ("one", "two")
        assert selector.reported[name].timing_msec == min(c.timing_msec for c in choices) > 0


def test_choices_keep_to_the_other_wishes() -> None:
    for wish, value, check in (
        ("max_num_tactics", 2, lambda choices: len(choices) <= 2),
        ("workspace", 100_000, lambda choices: max(c.workspace_size for c in choices) <= 100_000),
    ):
        selector = selector_of(lambda context, choices: range(len(choices)), v10)
        assert built(selector, Log(), v10, **{wish: value}) is not None
        assert all(check(choices) for choices in selector.asked.values())


@pytest.mark.parametrize(("answer", "why"), [
    (lambda context, choices: 1 / 0, "answered None"), (lambda context, choices: [len(choices)], "which has"),
    (lambda context, choices: None, "answered None"), (lambda context, choices: ["0"], "return a list of indices")])
def test_answers_that_are_none(answer: Any, why: str, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log()
    assert built(selector_of(answer), log) is None and any(why in line for line in log.lines), log.lines


def test_an_empty_answer() -> None:
    log = Log()
    assert built(selector_of(lambda context, choices: []), log) is not None
    assert any("rejected all choices of 'one'" in line for line in log.lines)
    assert built(selector_of(lambda context, choices: []), log, reject=True) is None
    assert any("ERROR" in line and "rejected all" in line for line in log.lines)
    assert built(None, log, reject=True) is not None
    assert any("no effect without algorithm_selector" in line for line in log.lines)


def test_equal_layers_share_what_both_allow() -> None:
    def network_of(choose: Any, log: Log) -> Any:
        builder = v8.Builder(log)
        network = builder.create_network(1)
        for name in ("left", "right"):
            x = network.add_input(f"x of {name}", v8.float32, (1, 32, 18, 18))
            layer = network.add_convolution_nd(x, 32, (3, 3), W2 if name == "left" else W2 + 1)
            layer.name = name
            network.mark_output(layer.get_output(0))
        config = builder.create_builder_config()
        config.builder_optimization_level, config.algorithm_selector = 0, selector_of(choose)
        return builder.build_engine(network, config), config.algorithm_selector
    first, some = Log(), {"left": [0, 1], "right": [1, 2]}
    (engine, selector), log = network_of(lambda c, _: some.get(c.name, [0]), first), Log()
    assert engine is not None, first.lines
    assert {selector.reported[n].algorithm_variant.tactic for n in ("left", "right")} == {
        selector.asked["left"][1].algorithm_variant.tactic}
    assert network_of(lambda c, _: some.get(c.name, [0])[-1:], log)[0] is None
    assert any("no tactic was selected for left, right" in line for line in log.lines)
