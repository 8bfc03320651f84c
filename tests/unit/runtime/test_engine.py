"""Engines: right answers through every door, and errors that say what to do."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from tensorwright.device import cpu
from tensorwright.dtypes import DType
from tensorwright.errors import DeviceError, InputError, PlanError, TensorwrightError
from tensorwright.ir import Op
from tensorwright.plan.records import Buffer, HostStep, Profile, View
from tensorwright.runtime import Engine

from . import programs
from .programs import N, add3, chain, chain_reference, hosted, info, plan_of, vector, with_program


def random(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def three(n: int = 8) -> dict[str, np.ndarray]:
    return {name: random(n, k) for k, name in enumerate("abc")}


# answers -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [1, 2, 8, 1000])
def test_run_by_name_by_position_and_by_call(n):
    engine, feeds = Engine(add3()), three(n)
    expected = feeds["a"] + feeds["b"] + feeds["c"]
    np.testing.assert_array_equal(engine.run(feeds)["y"], expected)
    np.testing.assert_array_equal(engine.run(list(feeds.values()))["y"], expected)
    np.testing.assert_array_equal(engine(*feeds.values()), expected)
    np.testing.assert_array_equal(engine(feeds["a"], c=feeds["c"], b=feeds["b"]), expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_arena_border_constants_and_changing_shapes(threads):
    engine = Engine(chain(threads), threads)
    rng = np.random.default_rng(1)
    for turn, n in enumerate([5, 5, 1000, 3, 7, 1000, *rng.integers(1, 1001, 40).tolist()]):
        x = random(n, turn)
        np.testing.assert_array_equal(engine(x), chain_reference(x))


def test_host_steps_and_opaque_outputs():
    engine = Engine(hosted())
    for n in (4, 9, 4):
        x = random(n, n)
        x[1] = 0
        y, where = engine(x)
        np.testing.assert_array_equal(y, x[::-1] * 2 * np.float32(n) * 2)
        np.testing.assert_array_equal(where, np.nonzero(x)[0])


def test_outputs_into_given_arrays():
    engine, feeds = Engine(add3()), three()
    y = np.empty(8, np.float32)
    assert engine.run(feeds, {"y": y})["y"] is y
    np.testing.assert_array_equal(y, feeds["a"] + feeds["b"] + feeds["c"])
    expected = y + feeds["b"] + feeds["c"]                                    # an output over an input
    engine.run({**feeds, "a": y}, {"y": y})
    np.testing.assert_array_equal(y, expected)
    shifted = np.zeros(9, np.float32)
    shifted[:8] = feeds["a"]
    engine.run({**feeds, "a": shifted[:8]}, {"y": shifted[1:]})
    np.testing.assert_array_equal(shifted[1:], feeds["a"] + feeds["b"] + feeds["c"])


def test_results_are_fresh_and_inputs_untouched():
    engine, feeds = Engine(add3()), three()
    before = {k: v.copy() for k, v in feeds.items()}
    one, two = engine.run(feeds)["y"], engine.run(feeds)["y"]
    assert not np.shares_memory(one, two) and one.flags.owndata
    for k, v in feeds.items():
        np.testing.assert_array_equal(v, before[k])


def test_outputs_that_are_inputs_constants_or_named_twice():
    buffers = [Buffer("input", 4 * N, "x"), Buffer("constant", 12, "k"), Buffer("output", 4 * N, "y")]
    steps = [programs.Launch("twice", "double", (vector(0), vector(2)), (), (N,))]
    plan = plan_of(buffers, steps, [info("x")], [info("y"), info("same"), info("x_again"), info("k", 3)], [2, 2, 0, 1],
                   weights={"k": np.float32([1, 2, 3])})
    engine, x = Engine(plan), random(6)
    given = np.empty(6, np.float32)
    for outputs in (None, {"same": given}):
        y, same, again, k = engine.run([x], outputs).values()
        np.testing.assert_array_equal(y, 2 * x)
        np.testing.assert_array_equal(same, 2 * x)
        np.testing.assert_array_equal(again, x)
        np.testing.assert_array_equal(k, [1, 2, 3])
        assert not np.shares_memory(again, x) and not np.shares_memory(y, same) and k.flags.writeable
    np.testing.assert_array_equal(given, 2 * x)


def test_empty_tensors():
    plan = with_program(chain(), profile=Profile((("N", (0, 8, 1000)),)))
    engine = Engine(plan)
    assert engine(np.empty(0, np.float32)).shape == (0,)
    np.testing.assert_array_equal(engine(random(3)), chain_reference(random(3)))


# arrays --------------------------------------------------------------------------------------------------------------
class Interface:
    def __init__(self, array):
        self.array, self.__array_interface__ = array, array.__array_interface__


class Lent:
    """A DLPack tensor that is not a NumPy array."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.device


@pytest.mark.parametrize("form", [
    lambda x: np.repeat(x, 2)[::2], lambda x: x[::-1].copy()[::-1], Interface, Lent,
    lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32), lambda x: x.view(np.matrix)[0].A1,
    lambda x: np.require(x, requirements="C").view(type("Sub", (np.ndarray,), {}))])
def test_all_kinds_of_arrays(form):
    engine, feeds = Engine(add3()), three()
    expected = feeds["a"] + feeds["b"] + feeds["c"]
    np.testing.assert_array_equal(engine.run({**feeds, "b": form(feeds["b"])})["y"], expected)
    frozen = feeds["a"].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(engine.run({**feeds, "a": frozen})["y"], expected)


def test_torch_tensors_need_no_copy():
    torch = pytest.importorskip("torch")
    engine, feeds = Engine(add3()), three()
    tensors = {k: torch.from_numpy(v) for k, v in feeds.items()}
    np.testing.assert_array_equal(engine.run(tensors)["y"], feeds["a"] + feeds["b"] + feeds["c"])
    with pytest.raises(InputError, match="DLPack"):
        engine.run({**tensors, "a": tensors["a"].clone().requires_grad_()})


@pytest.mark.parametrize("change, message", [
    ({"a": np.zeros(8)}, r"input 'a' is float64, the engine takes float32(.|\n)*x.astype\('float32'\)"),
    ({"a": np.zeros(8, ">f4")}, "float32 in foreign byte order"),
    ({"a": np.ma.masked_array(np.zeros(8, "f"), mask=[True] + [False] * 7)}, "masked elements"),
    ({"a": np.zeros((8, 1), "f")}, r"input 'a' has 2 dimensions, the engine takes 1"),
    ({"a": np.zeros(7, "f")}, r"input 'b': dimension 0 \(N\) is 8, but N is 7 in input 'a'"),
    ({"a": [0.0] * 8}, "a list, not an array"),
    ({"a": None}, "a NoneType, not an array"),
    ({"a": Lent(np.zeros(8, "f"), (2, 0))}, "on a device"),
    ({"d": np.zeros(8, "f")}, r"unknown: d(.|\n)*takes a, b, c"),
    ({k: np.zeros(2000, "f") for k in "abc"}, "N is 2000, the profile has 1 to 1000"),
    ({k: np.zeros(0, "f") for k in "abc"}, "N is 0, the profile has 1 to 1000")])
def test_wrong_inputs_are_refused_with_reasons(change, message):
    engine = Engine(add3())
    with pytest.raises(InputError, match=message):
        engine.run({**three(), **change})
    np.testing.assert_array_equal(engine.run(three())["y"], sum(three().values()))           # and it still works


def test_missing_and_superfluous_inputs():
    engine, feeds = Engine(add3()), three()
    del feeds["b"]
    with pytest.raises(InputError, match="missing: b"):
        engine.run(feeds)
    with pytest.raises(InputError, match="2 inputs were given, the engine takes 3"):
        engine.run([np.zeros(8, "f")] * 2)
    with pytest.raises(InputError, match=r"not a ndarray\n  try  run\(\{'a': x\}\) or engine\(x\)"):
        engine.run(np.zeros((3, 8), "f"))
    with pytest.raises(InputError, match="do not fit"):
        engine(np.zeros(8, "f"), a=np.zeros(8, "f"))


@pytest.mark.parametrize("y, message", [
    (np.empty(7, "f"), r"float32 \(8,\), the array given for it float32 \(7,\)"), (np.empty(8), "float64"),
    (np.empty(16, "f")[::2], "not writable, dense"), ([0.0] * 8, "a list"),
    (np.broadcast_to(np.float32(0), 8), "not writable")])
def test_wrong_output_arrays(y, message):
    with pytest.raises(InputError, match=message):
        Engine(add3()).run(three(), {"y": y})
    with pytest.raises(InputError, match="no output 'z'"):
        Engine(add3()).run(three(), {"z": y})


def test_overlapping_output_arrays():
    buffers = [Buffer("input", 4 * N, "x"), Buffer("output", 4 * N, "y"), Buffer("output", 4 * N, "z")]
    steps = [programs.Launch(f"to{k}", "double", (vector(0), vector(k)), (), (N,)) for k in (1, 2)]
    engine = Engine(plan_of(buffers, steps, [info("x")], [info("y"), info("z")], [1, 2]))
    memory = np.empty(12, np.float32)
    with pytest.raises(InputError, match="overlap"):
        engine.run([random(8)], {"y": memory[:8], "z": memory[4:]})
    engine.run([random(6)], {"y": memory[:6], "z": memory[6:]})
    np.testing.assert_array_equal(memory, np.tile(2 * random(6), 2))
    twice = Engine(plan_of(buffers[:2], steps[:1], [info("x")], [info("y"), info("y")], [1, 1]))
    np.testing.assert_array_equal(twice.run([random(6)], {"y": memory[:6]})["y"], 2 * random(6))
    with pytest.raises(InputError, match="no shape before"):
        Engine(hosted()).run([random(4)], {"where": np.empty(4, np.int64)})


# programs ------------------------------------------------------------------------------------------------------------
def test_several_profiles():
    small, big = add3().programs[0], replace(add3().programs[0], profile=Profile((("N", (100, 200, 1000)),)))
    small = replace(small, profile=Profile((("N", (1, 4, 10)),)))
    engine = Engine(replace(add3(), programs=(small, big)))
    assert len(engine.profiles) == 2
    for n in (4, 300, 10, 100):
        np.testing.assert_array_equal(engine.run(three(n))["y"], sum(three(n).values()))
    with pytest.raises(InputError, match=r"profile 0 +N is 50, the profile has 1 to 10\n +profile 1 +N is 50"):
        engine.run(three(50))
    with pytest.raises(InputError, match="dimensions"):
        engine.run({k: v.reshape(1, -1) for k, v in three(50).items()})
    assert engine.context(1).profile.optimum() == {"N": 200}
    with pytest.raises(InputError, match="profile 2"):
        engine.context(2)


def test_code_for_another_machine_is_refused_with_the_difference():
    key = cpu.describe().key
    triple, _name, *rest = key.split("|")
    with pytest.raises(PlanError, match="compiled for CPU pentium"):
        Engine(with_program(add3(), target="|".join([triple, "pentium", *rest])))
    fewer_cores = key.rpartition("|")[0] + "|77"
    assert Engine(with_program(add3(), target=fewer_cores)).run(three())
    no_code = tuple(replace(k, code=b"") for k in add3().programs[0].kernels)
    with pytest.raises(PlanError, match="no machine code"):
        Engine(with_program(add3(), kernels=no_code))
    with pytest.raises(PlanError, match="not signed"):
        Engine(replace(add3(), no_code="its code is not signed"))


def test_a_failing_host_step_says_where():
    plan = hosted()
    steps = list(plan.programs[0].steps)
    steps[1] = replace(steps[1], op=programs.Failing())
    engine = Engine(with_program(plan, steps=tuple(steps)))
    with pytest.raises(TensorwrightError, match=r"ValueError: the data are not to my liking\n  at   turn\n(.|\n)*"
                                                r"float32 \(4,\)"):
        engine.run([random(4)])
    with pytest.raises(TensorwrightError):
        engine.run([random(4)])                                             # the context survives


@pytest.mark.parametrize("result, message", [
    (np.zeros(3, np.float32), r"gave float32 \(3,\), float32 \(4,\) is expected"),
    (np.zeros(4, complex), "complex128")])
def test_a_host_step_must_give_what_was_promised(result, message):
    class Odd(programs.Reverse):
        def reference(self, x):
            return result
    plan = hosted()
    steps = list(plan.programs[0].steps)
    steps[1] = replace(steps[1], op=Odd())
    with pytest.raises(PlanError, match=message):
        Engine(with_program(plan, steps=tuple(steps))).run([random(4)])


def test_opaque_inputs_reach_host_steps():
    class Join(programs.Op):
        def reference(self, words):
            return np.array(" ".join(words), object)
    plan = plan_of([], [HostStep("join", Join(), ("words",), ("text",))], [info("words", None, DType.string)],
                   [info("text", None, DType.string)], ["text"], ranges=())
    assert Engine(plan)(["to", "be"]) == "to be"


def test_opaque_results_do_not_share_the_arena():
    class Same(programs.Op):
        def reference(self, x):
            return x
    plan = hosted()
    steps = [*plan.programs[0].steps[:1],
             HostStep("same", Same(), (View(1, 0, (N,), (1,), DType.float32),), ("found",)),
             *plan.programs[0].steps[1:3]]
    engine = Engine(with_program(plan, steps=tuple(steps)))
    first = engine.run([random(4)])["where"]
    engine.run([random(4, 1)])
    np.testing.assert_array_equal(first, 2 * random(4))


# many at once --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make, reference", [(chain, chain_reference),
                                             (hosted, lambda x: x[::-1] * 4 * np.float32(len(x)))])
def test_many_threads_share_an_engine(make, reference):
    engine, wrong = Engine(make()), []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for turn in range(100):
            x = rng.standard_normal(int(rng.integers(1, 1000)) if turn % 4 else 37).astype(np.float32)
            if not np.array_equal(engine.run([x])["y"], reference(x)):
                wrong.append((seed, turn))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in workers:
        t.start()
    for t in workers:
        t.join(60)
    assert not wrong and not any(t.is_alive() for t in workers)
    assert 1 <= len(engine._pools[0]) <= 4


def test_same_answer_every_time():
    engine, x = Engine(chain(2), 2), random(1000)
    first = engine(x)
    assert all(np.array_equal(engine(x), first) for _ in range(200))


# looking -------------------------------------------------------------------------------------------------------------
def test_profile_times_every_step():
    times = Engine(hosted()).profile([random(900)], repeats=5)
    assert [name for name, _ in times] == ["twice", "turn", "again", "where"]
    assert all(0 <= s < 1 for _, s in times) and times[1][1] > 0
    assert [n for n, _ in Engine(chain(2)).profile({"x": random(900)})] == ["twice", "window", "sum"]


def test_inspect_text_and_json():
    text = Engine(hosted()).inspect()
    assert text.index("host steps") < text.index("native steps")
    assert "the size depends on the data" in text and "N 1..1000, best at 8" in text
    data = json.loads(Engine(add3()).inspect("json"))
    layer = data["layers"][0]
    assert layer["gflops"] == pytest.approx(1.0) and layer["gbytes_per_second"] == pytest.approx(8)
    assert data["inputs"][0] == {"name": "a", "dtype": "float32", "shape": ["N"]} and data["host_steps"] == []
    engine = Engine(chain())
    timed = engine.inspect("json", times=engine.profile([random(100)]))
    assert all(layer["microseconds"] >= 0 for layer in json.loads(timed)["layers"])
    assert "3 steps, none of them on the host" in engine.inspect()
    with pytest.raises(InputError, match="yaml"):
        engine.inspect("yaml")
    assert repr(Engine(add3())).startswith("<Engine 'hand-made': a: float32 (N,), b")


# streams -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Slow(Op):
    """Host operator that notes how many are at work."""

    at_work: ClassVar[list[int]] = []
    most: ClassVar[list[int]] = [0]

    def reference(self, x):
        self.at_work.append(1)
        self.most[0] = max(self.most[0], len(self.at_work))
        time.sleep(0.01)
        self.at_work.pop()
        return x[::-1] * np.float32(1)


@pytest.mark.parametrize("streams", [1, 2])
def test_streams_bound_the_runs_at_once(streams):
    plan = hosted()
    steps = tuple(replace(s, op=Slow()) if isinstance(s, HostStep) and s.layer == plan.programs[0].steps[1].layer else s
                  for s in plan.programs[0].steps)
    engine = Engine(with_program(plan, steps=steps), streams=streams)
    assert engine.threads == 1
    Slow.most[0] = 0
    x, results = random(6), []
    callers = [threading.Thread(target=lambda: results.append(engine(x)[0])) for _ in range(6)]
    for t in callers:
        t.start()
    for t in callers:
        t.join()
    assert Slow.most[0] == streams and len(engine._pools[0]) <= streams
    for y in results:
        np.testing.assert_array_equal(y, x[::-1] * 4)


def test_a_failing_run_gives_its_stream_back():
    engine = Engine(add3(), streams=1)
    for _ in range(3):
        with pytest.raises(InputError):
            engine.run({"a": random(3)})
    np.testing.assert_array_equal(engine.run(three())["y"], sum(three().values()))


@pytest.mark.parametrize("streams, threads", [(0, None), (1.5, None), (True, None), (5000, None), (2, 2)])
def test_streams_that_cannot_be(streams, threads):
    with pytest.raises(InputError, match="stream"):
        Engine(add3(), threads, streams)


def test_idle_contexts_are_bounded(monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_THREADS", "2")
    engine, start = Engine(hosted()), threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(20):
            engine(random(50))

    callers = [threading.Thread(target=work) for _ in range(8)]
    for t in callers:
        t.start()
    for t in callers:
        t.join()
    assert 1 <= len(engine._pools[0]) <= 2


def test_arenas_beyond_the_machine_are_refused():
    plan = with_program(chain(), arena_bytes=1 << 46)
    with pytest.raises(DeviceError, match="GiB"):
        Engine(plan)(random(5))
