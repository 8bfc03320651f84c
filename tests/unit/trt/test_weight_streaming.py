"""Weight streaming: with a small budget most weights leave memory after use, and nothing else changes."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorwright as trt

from .test_build_and_run import Log, execute, quick

#: Eight products by a matrix of a MiB each: larger than what is streamed at a time.
LAYERS, WIDTH = 8, 512
rng = np.random.default_rng(2)
MATRICES = [(rng.standard_normal((WIDTH, WIDTH)) / 16).astype(np.float32) for _ in range(LAYERS)]
WHOLE = LAYERS * WIDTH * WIDTH * 4


def built(log: Log, *flags: Any, in_process: bool = False) -> Any:
    builder = trt.Builder(log)
    network = builder.create_network()
    x = network.add_input("x", trt.float32, (4, WIDTH))
    for matrix in MATRICES:
        constant = network.add_constant((WIDTH, WIDTH), matrix).get_output(0)
        x = network.add_matrix_multiply(x, trt.MatrixOperation.NONE, constant, trt.MatrixOperation.NONE).get_output(0)
        x = network.add_activation(x, trt.ActivationType.RELU).get_output(0)
    x.name = "y"
    network.mark_output(x)
    config = quick(builder)
    for flag in flags:
        config.set_flag(flag)
    if in_process:
        return builder.build_engine_with_config(network, config)
    return trt.Runtime(log).deserialize_cuda_engine(builder.build_serialized_network(network, config))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def x() -> np.ndarray:
    return rng.standard_normal((4, WIDTH)).astype(np.float32)


def resident(engine: Any) -> int:
    """Bytes of the engine's plan file that are in this process's memory."""
    if sys.platform != "linux":
        pytest.skip("/proc/self/smaps is Linux's")
    first = engine._engine._executables[0].constant_addresses
    address = min(first.values())
    lines = Path("/proc/self/smaps").read_text().splitlines()
    for i, line in enumerate(lines):
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if found and int(found[1], 16) <= address < int(found[2], 16):
            return next(int(part.split()[1]) for part in lines[i:] if part.startswith("Rss:")) << 10
    raise AssertionError("the weights lie in no mapping")


@pytest.mark.parametrize("in_process", [False, True])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_no_more_than_the_budget_stays(share: float, in_process: bool, log: Log, x: np.ndarray) -> None:
    expected = execute(built(log), x=x)["y"]
    engine = built(log, trt.BuilderFlag.WEIGHT_STREAMING, in_process=in_process)
    assert engine, log.errors()
    assert WHOLE <= engine.streamable_weights_size < WHOLE + (1 << 16)
    assert engine.weight_streaming_budget_v2 == engine.streamable_weights_size
    budget = int(share * WHOLE)
    engine.weight_streaming_budget_v2 = budget if share < 1 else engine.streamable_weights_size
    for _ in range(2):
        np.testing.assert_array_equal(execute(engine, x=x)["y"], expected)
    most = engine.weight_streaming_budget_v2 + engine.weight_streaming_scratch_memory_size
    assert engine.weight_streaming_scratch_memory_size == (0 if share == 1 else WIDTH * WIDTH * 4)
    if share < 1:
        assert resident(engine) <= budget + (1 << 18) < most                    # code of the plan and edges of pages
    else:
        assert resident(engine) >= WHOLE


def test_weights_leave_during_an_execution(log: Log, x: np.ndarray) -> None:
    """After each product, not only at the end."""
    engine = built(log, trt.BuilderFlag.WEIGHT_STREAMING)
    engine.weight_streaming_budget_v2 = 3 * WIDTH * WIDTH * 4
    context, y = engine.create_execution_context(), np.empty_like(x)
    assert context.execute_v2([x.ctypes.data, y.ctypes.data])
    kinds = [type(piece).__name__ for piece in context._context._bound.pieces]
    assert kinds == ["Table", "Forget"] * (LAYERS - 3)
    np.testing.assert_array_equal(y, execute(built(log), x=x)["y"])


def test_budgets_cannot_change_under_contexts(log: Log, x: np.ndarray) -> None:
    engine = built(log, trt.BuilderFlag.WEIGHT_STREAMING)
    context = engine.create_execution_context()
    engine.weight_streaming_budget_v2 = 0
    assert engine.weight_streaming_budget_v2 == engine.streamable_weights_size and "1 contexts" in log.errors()
    del context
    engine.weight_streaming_budget_v2 = 0
    assert engine.weight_streaming_budget_v2 == 0
    engine.weight_streaming_budget_v2 = -5
    assert engine.weight_streaming_budget_v2 == 0 and "no number of bytes" in log.errors()
    engine.weight_streaming_budget_v2 = 1 << 60
    assert engine.weight_streaming_budget_v2 == engine.streamable_weights_size
    assert engine.weight_streaming_scratch_memory_size == 0


def test_the_first_property(log: Log) -> None:
    """0 is off, -1 automatic, as generation 10 began."""
    engine = built(log, trt.BuilderFlag.WEIGHT_STREAMING)
    assert engine.weight_streaming_budget == 0 and engine.minimum_weight_streaming_budget == 1
    engine.weight_streaming_budget = 1
    assert engine.weight_streaming_budget == 1 == engine.weight_streaming_budget_v2
    engine.weight_streaming_budget = 0
    assert engine.weight_streaming_budget_v2 == engine.streamable_weights_size
    engine.weight_streaming_budget = -1
    automatic = engine.get_weight_streaming_automatic_budget()
    assert 0 < automatic <= engine.streamable_weights_size
    assert engine.weight_streaming_budget in (0, automatic)


def test_only_engines_built_for_it(log: Log) -> None:
    engine = built(log)
    assert engine.streamable_weights_size == 0 == engine.weight_streaming_budget_v2
    engine.weight_streaming_budget_v2 = 0
    assert "was not built with BuilderFlag.WEIGHT_STREAMING" in log.errors()
    assert built(log, trt.BuilderFlag.WEIGHT_STREAMING, trt.BuilderFlag.REFIT, in_process=True) is None
    assert "cannot be streamed" in log.errors()
