"""Error recorders hear of what is logged as an error, with a code, and of nothing else."""

from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v7, v10

from .tiny import Log, chain, engine_of, quick, run

Code = trt.ErrorCodeTRT


class Recorder(trt.IErrorRecorder):
    def __init__(self) -> None:
        trt.IErrorRecorder.__init__(self)
        self.found: list[tuple[Any, str]] = []

    def get_num_errors(self) -> int:
        return len(self.found)

    def get_error_code(self, error_idx: int) -> Any:
        return self.found[error_idx][0]

    def get_error_desc(self, error_idx: int) -> str:
        return self.found[error_idx][1]

    def has_overflowed(self) -> bool:
        return False

    def clear(self) -> None:
        self.found.clear()

    def report_error(self, val: Any, desc: str) -> bool:
        self.found.append((val, desc))
        return True


def test_a_builder_and_its_network_report_what_they_refuse() -> None:
    builder, recorder = trt.Builder(Log()), Recorder()
    assert builder.error_recorder is None
    builder.error_recorder = recorder
    network = builder.create_network()
    assert network.error_recorder is recorder
    assert network.add_input("", trt.float32, (1,)) is None
    assert recorder.found == [(Code.INVALID_ARGUMENT, "add_input: a name is needed")] and recorder.num_errors() == 1
    recorder.clear()
    network.add_input("x", trt.float32, (1,))
    assert builder.build_serialized_network(network, quick(builder)) is None
    assert recorder.get_error_code(0) is Code.INVALID_CONFIG and "no outputs" in recorder.get_error_desc(0)
    config = quick(builder)
    config.engine_capability = trt.EngineCapability.DLA_STANDALONE
    assert builder.build_serialized_network(network, config) is None
    assert recorder.get_error_code(1) is Code.UNSUPPORTED_STATE


def test_what_an_object_makes_starts_with_its_recorder_and_may_get_another() -> None:
    builder, first, second = trt.Builder(Log()), Recorder(), Recorder()
    runtime = trt.Runtime(Log())
    runtime.error_recorder = first
    plan = builder.build_serialized_network(chain(builder), quick(builder))
    engine = runtime.deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    assert engine.error_recorder is first and context.error_recorder is first
    context.error_recorder = second
    assert not context.set_input_shape("x", (9, 8)) and not context.execute_async_v3(0)
    assert engine.get_tensor_mode("nope") is trt.TensorIOMode.NONE
    assert [code for code, _ in second.found] == [Code.INVALID_ARGUMENT] * 2 and len(first.found) == 1
    inspector = engine.create_engine_inspector()
    assert inspector.error_recorder is first
    assert inspector.get_layer_information(99, trt.LayerInformationFormat.ONELINE) == "" and len(first.found) == 2
    assert runtime.deserialize_cuda_engine(b"nonsense") is None and "PlanError" in first.found[-1][1]
    assert first.found[-1][0] is Code.FAILED_INITIALIZATION
    assert not context.execute_v2([1 << 60, 1 << 60]) and second.found[-1][0] is Code.FAILED_EXECUTION


def test_warnings_and_successes_are_not_reported() -> None:
    builder, recorder = trt.Builder(log := Log()), Recorder()
    builder.error_recorder = recorder
    config = quick(builder)
    config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    context = engine_of(builder, chain(builder), config=config).create_execution_context()
    run(context, np.ones((4, 8), np.float32))
    assert "SPARSE_WEIGHTS" in log.text() and not recorder.found


def test_long_texts_are_cut_and_failing_recorders_do_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(Recorder):
        def report_error(self, val: Any, desc: str) -> bool:
            super().report_error(val, desc)
            raise ValueError("out of paper")

    builder = trt.Builder(log := Log())
    builder.error_recorder = recorder = Failing()
    network = builder.create_network()
    x = network.add_input("x" * 200, trt.float32, (1,))
    assert network.add_input("x" * 200, trt.float32, (1,)) is None and x is not None
    assert len(recorder.get_error_desc(0).encode()) == trt.IErrorRecorder.MAX_DESC_LENGTH == 127
    assert "x" * 200 in log.errors() and "out of paper" in capsys.readouterr().err


def test_recorders_of_a_generation() -> None:
    builder = v10.Builder(Log())
    builder.error_recorder = recorder = Recorder()
    assert builder.create_network().add_input("", v10.float32, (1,)) is None and len(recorder.found) == 1
    assert not hasattr(v7.Runtime(v7.Logger()), "error_recorder") and not hasattr(v7.IErrorRecorder, "MAX_DESC_LENGTH")
    builder.error_recorder = None
    assert builder.create_network().add_input("", v10.float32, (1,)) is None and len(recorder.found) == 1
