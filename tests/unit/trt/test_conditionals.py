"""Conditionals of networks made by hand: which branch gives the result, and that the other is not run."""

from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v8, v10, v11

from .test_loops import error, network_of, run, running_sum, scalar

X = np.random.default_rng(0).standard_normal((2, 3), dtype=np.float32)
YES, NO = np.array(True), np.array(False)


def relu_or_twice(n: Any, x: list[Any], condition: Any) -> list[Any]:
    branch = n.add_if_conditional()
    branch.set_condition(condition)
    inner = branch.add_input(x[0]).get_output(0)
    assert inner.shape == x[0].shape
    relu = n.add_activation(inner, trt.ActivationType.RELU).get_output(0)
    twice = n.add_elementwise(inner, inner, trt.ElementWiseOperation.SUM).get_output(0)
    assert twice.shape == x[0].shape
    result = branch.add_output(relu, twice).get_output(0)
    return [n.add_unary(result, trt.UnaryOperation.NEG).get_output(0)]


@pytest.mark.parametrize("module", [v8, v10, v11])
def test_the_condition_chooses_a_branch(module: Any) -> None:
    (yes,), (no,) = run(lambda n, x: relu_or_twice(n, x, x[1]), X, YES, others=([X, NO],), module=module)
    np.testing.assert_array_equal(yes, -np.maximum(X, 0))
    np.testing.assert_array_equal(no, -2 * X)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_run_time_batch(batch: int) -> None:
    x = np.random.default_rng(batch).standard_normal((batch, 3), dtype=np.float32)
    (yes,), (no,) = run(lambda n, x: relu_or_twice(n, x, x[1]), x, YES, dynamic=(0,), others=([x, NO],))
    np.testing.assert_array_equal(yes, -np.maximum(x, 0))
    np.testing.assert_array_equal(no, -2 * x)


@pytest.mark.parametrize("chosen", [True, False])
def test_a_constant_condition_leaves_one_branch(chosen: bool) -> None:
    builder, (network, config), _ = network_of(lambda n, x: relu_or_twice(n, x, scalar(n, np.array(chosen))), [X])
    engine = builder.build_engine_with_config(network, config)
    found = engine._engine.run({"x0": X})["out0"]
    np.testing.assert_array_equal(found, -np.maximum(X, 0) if chosen else -2 * X)
    assert "Host" not in engine._engine.inspect()


def test_the_other_branch_is_not_run() -> None:
    """The branch not taken would gather outside of its table: that it is never asked to is the proof."""
    table = np.arange(8, dtype=np.float32)

    def make(n: Any, x: list[Any]) -> list[Any]:
        branch = n.add_if_conditional()
        branch.set_condition(x[1])
        index = branch.add_input(x[0]).get_output(0)
        taken = n.add_gather(n.add_constant((8,), table).get_output(0), index, 0).get_output(0)
        index2 = n.add_cast(index, trt.float32).get_output(0)
        return [branch.add_output(taken, index2).get_output(0)]
    inside, outside = np.array([1, 7], np.int32), np.array([100, 7], np.int32)
    first, second = run(make, inside, YES, others=([outside, NO],))
    np.testing.assert_array_equal(first[0], [1, 7])
    np.testing.assert_array_equal(second[0], [100, 7])


def test_branches_are_compiled_and_the_one_that_is_not_taken_is_skipped() -> None:
    """A convolution in each branch: its time in a profile is zero where the branch is not taken."""
    x, w = np.ones((1, 2, 6, 6), np.float32), np.random.default_rng(0).standard_normal((2, 2, 2, 3, 3), np.float32)

    def make(n: Any, t: list[Any]) -> list[Any]:
        branch = n.add_if_conditional()
        branch.set_condition(t[1])
        inner = branch.add_input(t[0]).get_output(0)
        sides = []
        for k in (0, 1):
            layer = n.add_convolution_nd(inner, 2, (3, 3), w[k])
            layer.name = f"side{k}"
            sides.append(n.add_activation(layer.get_output(0), trt.ActivationType.TANH).get_output(0))
        return [branch.add_output(*sides).get_output(0)]
    builder, (network, config), lines = network_of(make, [x, YES])
    engine = builder.build_engine_with_config(network, config)
    assert engine is not None, lines
    engine = trt.Runtime(trt.Logger()).deserialize_cuda_engine(engine.serialize())
    for flag in (YES, NO, YES):
        found = engine._engine.run({"x0": x, "x1": flag})["out0"]
        kernel = w[0 if flag else 1].astype(np.float64)
        np.testing.assert_allclose(found[0, :, 0, 0], np.tanh(kernel.sum((1, 2, 3))), rtol=1e-5)
        times = dict(engine._engine.context().time_steps({"x0": x, "x1": flag}, repeats=1))
        taken, left = ("side0", "side1") if flag else ("side1", "side0")
        assert all(t == 0 for name, t in times.items() if left in name)
        assert all(t > 0 for name, t in times.items() if taken in name)
        assert sum(left in name for name in times) and sum(taken in name for name in times)


def test_a_branch_in_a_branch_and_a_value_that_both_need() -> None:
    """if a: (if b: relu(s) else -s) else tanh(s), where s = 2x belongs to the outer conditional only."""
    def make(n: Any, t: list[Any]) -> list[Any]:
        outer, inner = n.add_if_conditional(), n.add_if_conditional()
        outer.set_condition(t[1])
        x = outer.add_input(t[0]).get_output(0)
        shared = n.add_elementwise(x, x, trt.ElementWiseOperation.SUM).get_output(0)
        inner.set_condition(t[2])
        y = inner.add_input(shared).get_output(0)
        chosen = inner.add_output(n.add_activation(y, trt.ActivationType.RELU).get_output(0),
                                  n.add_unary(y, trt.UnaryOperation.NEG).get_output(0)).get_output(0)
        other = n.add_activation(shared, trt.ActivationType.TANH).get_output(0)
        return [outer.add_output(chosen, other).get_output(0)]
    results = run(make, X, YES, YES, others=([X, YES, NO], [X, NO, YES], [X, NO, NO]))
    for (found,), wanted in zip(results, (np.maximum(2 * X, 0), -2 * X, np.tanh(2 * X), np.tanh(2 * X)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_loop_in_a_branch_and_a_branch_in_a_loop() -> None:
    """if flag: sum over the input's rows, else its first; and: add or subtract each row by its sign, in a loop."""
    def make(n: Any, x: list[Any]) -> list[Any]:
        branch = n.add_if_conditional()
        branch.set_condition(x[1])
        inner = branch.add_input(x[0]).get_output(0)
        count = scalar(n, np.int32(2))
        last = running_sum(n, inner, count, count, trt.LoopOutput.CONCATENATE)[0]
        first = n.add_gather(inner, scalar(n, np.int32(0)), 0).get_output(0)
        loop = n.add_loop()
        loop.add_trip_limit(x[2], trt.TripLimit.COUNT)
        row = loop.add_iterator(x[0]).get_output(0)
        state = loop.add_recurrence(n.add_constant((3,), np.zeros(3, np.float32)).get_output(0))
        positive = n.add_elementwise(n.add_reduce(row, trt.ReduceOperation.SUM, 1, True).get_output(0), n.add_constant(
            (1,), np.zeros(1, np.float32)).get_output(0), trt.ElementWiseOperation.GREATER).get_output(0)
        inside = n.add_if_conditional()
        inside.set_condition(positive)
        kept, piece = inside.add_input(state.get_output(0)).get_output(0), inside.add_input(row).get_output(0)
        state.set_input(1, inside.add_output(
            *(n.add_elementwise(kept, piece, op).get_output(0)
              for op in (trt.ElementWiseOperation.SUM, trt.ElementWiseOperation.SUB))).get_output(0))
        return [branch.add_output(last, first).get_output(0),
                loop.add_loop_output(state.get_output(0), trt.LoopOutput.LAST_VALUE).get_output(0)]
    two = np.array(2, np.int64)
    (first, signed), (second, _) = run(make, X, YES, two, others=([X, NO, two],))
    np.testing.assert_allclose(first, 1 + X.sum(0), rtol=1e-6)
    np.testing.assert_array_equal(second, X[0])
    np.testing.assert_allclose(signed, sum(r if r.sum() > 0 else -r for r in X), rtol=1e-6)


def broken(n: Any, x: list[Any], what: str) -> list[Any]:
    branch = n.add_if_conditional()
    branch.name = "choice"
    if what != "condition":
        branch.set_condition(x[0] if what == "bool" else x[1])
    inner = branch.add_input(x[0]).get_output(0)
    relu = n.add_activation(inner, trt.ActivationType.RELU).get_output(0)
    other = n.add_reduce(inner, trt.ReduceOperation.SUM, 1, False).get_output(0) if what == "shape" else inner
    end = branch.add_output(relu, other)
    end.name = "end"
    return [relu if what == "leaves" else end.get_output(0)]


@pytest.mark.parametrize(("what", "text"), [
    ("condition", "conditional 'choice' has no condition"), ("bool", "it must be one bool"),
    ("shape", "the branches give"), ("leaves", "is inside conditional 'choice'")])
def test_structures_that_are_refused(what: str, text: str) -> None:
    found = error(lambda n, x: broken(n, x, what), X, YES)
    assert text in found and ("'end'" in found or what in ("leaves", "bool"))


def test_what_it_says_of_itself() -> None:
    builder = v8.Builder(v8.Logger(v8.Logger.INTERNAL_ERROR))
    assert builder.create_network(0).add_if_conditional() is None        # implicit batch
    network = builder.create_network(1)
    branch = network.add_if_conditional()
    condition = network.add_input("c", v8.bool, ())
    made = branch.set_condition(condition)
    assert isinstance(made, v8.IConditionLayer) and made.conditional is branch and made.num_outputs == 0
    assert branch.set_condition(condition) is None
    layer = network[0]
    layer.__class__ = v8.IConditionLayer
    assert layer.conditional.name == branch.name and layer.type == v8.LayerType.CONDITION
