"""Loops of networks made by hand, against the same loops in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.errors import InputError
from tensorwright.generations import v7, v8, v10, v11

RANDOM = np.random.default_rng(0)
TYPES = {"float32": trt.float32, "int32": trt.int32, "int64": trt.int64, "bool": trt.bool}


def network_of(make: Callable[[Any, list[Any]], list[Any]], arrays: list[np.ndarray], dynamic: tuple[int, ...] = (),
               module: Any = trt) -> tuple[Any, Any, list[str]]:
    """(builder, network, profile, the log's lines) of make(network, inputs) → output tensors; dynamic: axes of input 0
    that only run time knows."""
    class Logger(module.ILogger):
        def log(self, severity: Any, msg: str) -> None:
            lines.append(msg)
    lines: list[str] = []
    builder = module.Builder(Logger())
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
                                     if module is not v11 else 0)
    inputs, profile = [], builder.create_optimization_profile()
    for i, a in enumerate(arrays):
        shape = tuple(-1 if i == 0 and axis in dynamic else d for axis, d in enumerate(a.shape))
        inputs.append(network.add_input(f"x{i}", TYPES[str(a.dtype)], shape))
        if -1 in shape:
            profile.set_shape(f"x{i}", tuple(1 if d < 0 else d for d in shape), a.shape,
                              tuple(8 if d < 0 else d for d in shape))
    for i, tensor in enumerate(make(network, inputs)):
        assert tensor is not None, lines
        tensor.name = f"out{i}"
        network.mark_output(tensor)
    config = builder.create_builder_config()
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = 0
    if dynamic:
        config.add_optimization_profile(profile)
    return builder, (network, config), lines


def run(make: Callable[[Any, list[Any]], list[Any]], *arrays: np.ndarray, dynamic: tuple[int, ...] = (),
        others: tuple[list[np.ndarray], ...] = (), module: Any = trt) -> list[list[np.ndarray]]:
    """Outputs for the arrays, then for other sets of arrays, of an engine that was written and read again."""
    builder, (network, config), lines = network_of(make, list(arrays), dynamic, module)
    made = getattr(builder, "build_engine", None) or builder.build_engine_with_config
    engine = made(network, config)
    assert engine is not None, lines
    engine = module.Runtime(module.Logger()).deserialize_cuda_engine(engine.serialize())
    found = []
    for feeds in (list(arrays), *others):
        results = engine._engine.run({f"x{i}": a for i, a in enumerate(feeds)})
        found.append([results[f"out{i}"] for i in range(network.num_outputs)])
    return found


def error(make: Callable[[Any, list[Any]], list[Any]], *arrays: np.ndarray) -> str:
    """What the log says when the build is refused."""
    builder, (network, config), lines = network_of(make, list(arrays))
    assert builder.build_serialized_network(network, config) is None
    return "\n".join(lines)


def scalar(network: Any, value: Any) -> Any:
    return network.add_constant((), np.asarray(value)).get_output(0)


def running_sum(network: Any, x: Any, count: Any, length: Any, kind: Any, axis: int = 0, reverse: bool = False,
                over: int = 0) -> list[Any]:
    """state ← state + slice; the last state, and all of them."""
    loop = network.add_loop()
    loop.add_trip_limit(count, trt.TripLimit.COUNT)
    size = [d for i, d in enumerate(x.shape) if i != over]
    state = loop.add_recurrence(network.add_constant(size, np.ones(size, np.float32)).get_output(0))
    piece = loop.add_iterator(x, over, reverse)
    total = network.add_elementwise(state.get_output(0), piece.get_output(0), trt.ElementWiseOperation.SUM)
    state.set_input(1, total.get_output(0))
    last = loop.add_loop_output(state.get_output(0), trt.LoopOutput.LAST_VALUE)
    every = loop.add_loop_output(total.get_output(0), kind, axis)
    every.set_input(1, length)
    return [last.get_output(0), every.get_output(0)]


X = RANDOM.standard_normal((4, 3), dtype=np.float32)


@pytest.mark.parametrize("module", [v7, v8, v10, v11])
@pytest.mark.parametrize(("kind", "axis"), [("CONCATENATE", 0), ("REVERSE", 1), ("CONCATENATE", -1)])
def test_a_loop_with_a_known_count_is_compiled(module: Any, kind: str, axis: int) -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        four = scalar(n, np.int32(4))
        return running_sum(n, x[0], four, four, module.LoopOutput[kind], axis)
    (found,) = run(make, X, module=module)
    states = 1 + np.cumsum(X, 0)
    np.testing.assert_allclose(found[0], states[-1], rtol=1e-6)
    np.testing.assert_allclose(found[1], np.moveaxis(states[::-1] if kind == "REVERSE" else states, 0, axis), rtol=1e-6)
    builder, (network, config), _ = network_of(make, [X], (), module)
    engine = (getattr(builder, "build_engine", None) or builder.build_engine_with_config)(network, config)
    assert "Host" not in engine._engine.inspect()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("trips", [0, 1, 3])
def test_a_count_that_is_an_input(trips: int, reverse: bool) -> None:
    """Fewer trips than the output is long leave zeros; zero trips leave the initial value."""
    def make(n: Any, x: list[Any]) -> list[Any]:
        return running_sum(n, x[0], x[1], scalar(n, np.int32(4)), trt.LoopOutput.CONCATENATE, 0, reverse, over=1)
    (first, found) = run(make, X, np.array(2, np.int32), others=([X, np.array(trips, np.int32)],))
    pieces = X.T[:trips][::-1] if reverse else X.T[:trips]
    states = 1 + np.cumsum(pieces, 0)
    np.testing.assert_allclose(found[0], states[-1] if trips else np.ones(4, np.float32), rtol=1e-6)
    np.testing.assert_allclose(found[1], np.concatenate([states, np.zeros((4 - trips, 4), np.float32)]), rtol=1e-6)
    assert first[0].shape == (4,)


def test_a_count_and_a_length_that_only_run_time_knows() -> None:
    """The length of the result is data: the engine makes it as long as it is."""
    def make(n: Any, x: list[Any]) -> list[Any]:
        return running_sum(n, x[0], x[1], x[1], trt.LoopOutput.REVERSE)
    results = run(make, X, np.array(2, np.int64), others=([X, np.array(4, np.int64)], [X, np.array(0, np.int64)]))
    for (last, every), trips in zip(results, (2, 4, 0), strict=True):
        states = 1 + np.cumsum(X[:trips], 0)
        np.testing.assert_allclose(every, states[::-1], rtol=1e-6)
        assert every.shape == (trips, 3) and last.shape == (3,)


def test_a_count_that_is_a_run_time_size() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        sizes = n.add_shape(x[0]).get_output(0)
        count = n.add_gather(sizes, scalar(n, np.int32(0)), 0).get_output(0)
        assert count.shape == ()
        return running_sum(n, x[0], count, count, trt.LoopOutput.CONCATENATE)
    long = RANDOM.standard_normal((7, 3), dtype=np.float32)
    for (last, every), x in zip(run(make, X, dynamic=(0,), others=([long], [X[:1]])), (X, long, X[:1]), strict=True):
        np.testing.assert_allclose(every, 1 + np.cumsum(x, 0), rtol=1e-5)
        np.testing.assert_allclose(last, 1 + x.sum(0), rtol=1e-5)


def doubled(network: Any, start: Any, limit: Any, one: Any) -> list[Any]:
    """while value < limit: value ← value · 2, count ← count + 1"""
    loop = network.add_loop()
    value, count = loop.add_recurrence(start), loop.add_recurrence(scalar(network, np.int32(0)))
    below = network.add_elementwise(value.get_output(0), limit, trt.ElementWiseOperation.LESS)
    loop.add_trip_limit(below.get_output(0), trt.TripLimit.WHILE)
    twice = network.add_elementwise(value.get_output(0), value.get_output(0), trt.ElementWiseOperation.SUM)
    more = network.add_elementwise(count.get_output(0), one, trt.ElementWiseOperation.SUM)
    value.set_input(1, twice.get_output(0))
    count.set_input(1, more.get_output(0))
    return [loop.add_loop_output(r.get_output(0), trt.LoopOutput.LAST_VALUE).get_output(0) for r in (value, count)]


@pytest.mark.parametrize("start", [3.0, 50.0, 100.0, 200.0])
def test_a_while_loop(start: float) -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        return doubled(n, x[0], scalar(n, np.float32(100)), scalar(n, np.int32(1)))
    _, (value, count) = run(make, np.array(1, np.float32), others=([np.array(start, np.float32)],))
    wanted, trips = start, 0
    while wanted < 100:
        wanted, trips = wanted * 2, trips + 1
    assert (float(value), int(count)) == (wanted, trips)


def test_a_while_loop_that_constants_decide_needs_no_host_step() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        value, count = doubled(n, scalar(n, np.int32(3)), scalar(n, np.int32(100)), scalar(n, np.int32(1)))
        shaped = n.add_shuffle(value)
        shaped.reshape_dims = (1, 1)
        return [n.add_elementwise(x[0], n.add_cast(shaped.get_output(0), trt.float32).get_output(0),
                                  trt.ElementWiseOperation.PROD).get_output(0), count]
    (found,) = run(make, X)
    np.testing.assert_allclose(found[0], X * 192)
    assert int(found[1]) == 6


def test_nested_loops_with_the_inner_count_from_the_outer() -> None:
    """for i in range(n): for j in range(i): total += x[i] — the inner loop reads the outer's counter and slice."""
    def make(n: Any, x: list[Any]) -> list[Any]:
        one, zero = scalar(n, np.int32(1)), scalar(n, np.int32(0))
        outer = n.add_loop()
        outer.name = "outer"
        outer.add_trip_limit(x[1], trt.TripLimit.COUNT)
        i = outer.add_recurrence(zero)
        i.set_input(1, n.add_elementwise(i.get_output(0), one, trt.ElementWiseOperation.SUM).get_output(0))
        total = outer.add_recurrence(n.add_constant((3,), np.zeros(3, np.float32)).get_output(0))
        piece = outer.add_iterator(x[0]).get_output(0)
        inner = n.add_loop()
        inner.add_trip_limit(i.get_output(0), trt.TripLimit.COUNT)
        state = inner.add_recurrence(total.get_output(0))
        state.set_input(1, n.add_elementwise(state.get_output(0), piece, trt.ElementWiseOperation.SUM).get_output(0))
        assert state.get_output(0).shape == (3,)
        total.set_input(1, inner.add_loop_output(state.get_output(0), trt.LoopOutput.LAST_VALUE).get_output(0))
        return [outer.add_loop_output(total.get_output(0), trt.LoopOutput.LAST_VALUE).get_output(0)]
    (found,), (none,) = run(make, X, np.array(4, np.int32), others=([X, np.array(0, np.int32)],))
    np.testing.assert_allclose(found, sum(i * X[i] for i in range(4)), rtol=1e-5)
    assert not none.any()


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_recurrent_network_written_by_hand(batch: int) -> None:
    """h ← tanh(x_t·W + h·R) with a dynamic batch, unrolled over a known sequence."""
    W, R = (RANDOM.standard_normal((3, 5), dtype=np.float32), RANDOM.standard_normal((5, 5), dtype=np.float32))
    x = RANDOM.standard_normal((batch, 4, 3), dtype=np.float32)

    def make(n: Any, inputs: list[Any]) -> list[Any]:
        loop = n.add_loop()
        loop.add_trip_limit(scalar(n, np.int32(4)), trt.TripLimit.COUNT)
        piece = loop.add_iterator(inputs[0], 1).get_output(0)
        none = trt.MatrixOperation.NONE
        weights = [n.add_constant(a.shape, a).get_output(0) for a in (W, R)]
        state = loop.add_recurrence(n.add_reduce(n.add_matrix_multiply(inputs[0], none, n.add_constant(
            (1, 3, 5), np.zeros((1, 3, 5), np.float32)).get_output(0), none).get_output(0),
            trt.ReduceOperation.SUM, 1 << 1, False).get_output(0))
        both = [n.add_matrix_multiply(a, none, w, none).get_output(0) for a, w in
                zip((piece, state.get_output(0)), weights, strict=True)]
        h = n.add_activation(n.add_elementwise(*both, trt.ElementWiseOperation.SUM).get_output(0),
                             trt.ActivationType.TANH).get_output(0)
        assert tuple(h.shape) == (-1, 5)
        state.set_input(1, h)
        every = loop.add_loop_output(h, trt.LoopOutput.CONCATENATE, 1)
        every.set_input(1, scalar(n, np.int32(4)))
        return [every.get_output(0)]
    (found,) = run(make, x, dynamic=(0,))
    h, wanted = np.zeros((batch, 5)), []
    for t in range(4):
        h = np.tanh(x[:, t].astype(float) @ W + h @ R)
        wanted.append(h)
    np.testing.assert_allclose(found[0], np.stack(wanted, 1), atol=1e-5)


def test_a_count_and_a_condition_together_and_one_state_given_twice() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        loop = n.add_loop()
        loop.add_trip_limit(x[0], trt.TripLimit.COUNT)
        state = loop.add_recurrence(n.add_constant((1,), np.zeros(1, np.float32)).get_output(0))
        two, step = (n.add_constant((1,), np.array([v], np.float32)).get_output(0) for v in (2, 0.75))
        below = n.add_elementwise(state.get_output(0), two, trt.ElementWiseOperation.LESS)
        loop.add_trip_limit(below.get_output(0), trt.TripLimit.WHILE)
        following = n.add_elementwise(state.get_output(0), step, trt.ElementWiseOperation.SUM).get_output(0)
        state.set_input(1, following)
        every = loop.add_loop_output(following, trt.LoopOutput.CONCATENATE)
        every.set_input(1, scalar(n, np.int32(6)))
        last = [loop.add_loop_output(state.get_output(0), trt.LoopOutput.LAST_VALUE).get_output(0) for _ in range(2)]
        return [every.get_output(0), *last]
    (long, a, b), (_, c, _) = run(make, np.array(5, np.int32), others=([np.array(2, np.int32)],))
    assert long.reshape(-1).tolist() == [0.75, 1.5, 2.25, 0, 0, 0]
    assert a.tolist() == b.tolist() == [2.25] and c.tolist() == [1.5]


@pytest.mark.parametrize("known", [True, False])
def test_states_that_change_places_and_values_from_outside_fed_back(known: bool) -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        negative = n.add_unary(x[0], trt.UnaryOperation.NEG).get_output(0)
        loop = n.add_loop()
        loop.add_trip_limit(scalar(n, np.int32(3)) if known else x[1], trt.TripLimit.COUNT)
        a, b, same, outer = (loop.add_recurrence(t) for t in (x[0], negative, x[0], x[0]))
        for state, fed in ((a, b.get_output(0)), (b, a.get_output(0)), (same, same.get_output(0)), (outer, negative)):
            state.set_input(1, fed)
        return [loop.add_loop_output(r.get_output(0), trt.LoopOutput.LAST_VALUE).get_output(0)
                for r in (a, b, same, outer)]
    (found,) = run(make, X, np.array(3, np.int32))
    for y, wanted in zip(found, (-X, X, X, -X), strict=True):
        np.testing.assert_array_equal(y, wanted)


def test_more_iterations_than_there_is_room_or_input_for_fail_the_run() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        loop = n.add_loop()
        loop.add_trip_limit(x[1], trt.TripLimit.COUNT)
        row = n.add_activation(loop.add_iterator(x[0]).get_output(0), trt.ActivationType.RELU).get_output(0)
        every = loop.add_loop_output(row, trt.LoopOutput.CONCATENATE)
        every.set_input(1, scalar(n, np.int32(3)))
        return [every.get_output(0)]
    with pytest.raises(InputError, match="its output has room for 3"):
        run(make, X, np.array(2, np.int32), others=([X, np.array(4, np.int32)],))
    with pytest.raises(InputError, match="of a tensor that has 2"):
        run(make, X[:2], np.array(2, np.int32), others=([X[:2], np.array(3, np.int32)],))


def broken(n: Any, x: list[Any], what: str) -> list[Any]:
    loop = n.add_loop()
    loop.name = "turns"
    if what != "limit":
        loop.add_trip_limit(scalar(n, np.int32(2)), trt.TripLimit.COUNT)
    state = loop.add_recurrence(x[0])
    state.name = "memory"
    grown = n.add_activation(state.get_output(0), trt.ActivationType.RELU)
    if what == "type":
        grown = n.add_concatenation([state.get_output(0), x[0]])
    if what != "fed":
        state.set_input(1, grown.get_output(0))
    if what == "leaves":
        return [n.add_activation(grown.get_output(0), trt.ActivationType.TANH).get_output(0)]
    if what == "last":
        return [loop.add_loop_output(grown.get_output(0), trt.LoopOutput.LAST_VALUE).get_output(0)]
    end = loop.add_loop_output(state.get_output(0), trt.LoopOutput.CONCATENATE if what == "length" else
                               trt.LoopOutput.LAST_VALUE)
    end.name = "end"
    return [end.get_output(0)]


@pytest.mark.parametrize(("what", "text"), [
    ("limit", "loop 'turns' has no trip limit"), ("fed", "layer 'memory'"), ("leaves", "is inside loop 'turns'"),
    ("last", "LAST_VALUE takes the output of a recurrence"), ("length", "has no second input, the length"),
    ("type", "the recurrence begins with float32 (4, 3)")])
def test_structures_that_are_refused(what: str, text: str) -> None:
    assert text in error(lambda n, x: broken(n, x, what), X)


def test_what_is_refused_when_it_is_said() -> None:
    builder = v8.Builder(v8.Logger(v8.Logger.INTERNAL_ERROR))
    assert builder.create_network(0).add_loop() is None                  # implicit batch
    network = builder.create_network(1)
    loop = network.add_loop()
    count = scalar(network, np.int32(2))
    assert isinstance(loop.add_trip_limit(count, v8.TripLimit.COUNT), v8.ITripLimitLayer)
    assert loop.add_trip_limit(count, v8.TripLimit.COUNT) is None
    piece = loop.add_iterator(network.add_input("x", v8.float32, (2, 5)), axis=1, reverse=True)
    assert (piece.axis, piece.reverse, piece.loop.name) == (1, True, loop.name)
    piece.axis, piece.reverse = 0, False
    assert piece.get_output(0).shape == (5,) and isinstance(piece, v8.ILoopBoundaryLayer)
    assert [network[i].type for i in range(network.num_layers)] == [
        v8.LayerType.CONSTANT, v8.LayerType.TRIP_LIMIT, v8.LayerType.ITERATOR]
    assert not hasattr(v8.Builder, "add_loop") and not hasattr(v10.Builder, "add_loop")
