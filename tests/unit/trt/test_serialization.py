"""Engines to bytes and back: with and without weights, through streams that misbehave, into files of several kinds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorwright as trt

from .test_build_and_run import Log, quick
from .test_refit import FLAG, built, network, random, results, weights

SERIAL = trt.SerializationFlag


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture(scope="module")
def w() -> dict[str, np.ndarray]:
    return weights()


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return random(2, 3, 6, 6)


@pytest.fixture(scope="module")
def plan(w: dict[str, np.ndarray]) -> bytes:
    return bytes(built(w, Log()).serialize())


class Reader(trt.IStreamReader):
    """Bytes in pieces of at most `most`."""

    def __init__(self, data: bytes, most: int = 1 << 30) -> None:
        trt.IStreamReader.__init__(self)
        self.data, self.most, self.at = data, most, 0

    def read(self, size: int) -> Any:
        piece = self.data[self.at:self.at + min(size, self.most)]
        self.at += len(piece)
        return piece


class ReaderV2(trt.IStreamReaderV2):
    def __init__(self, data: bytes, most: int = 1 << 30) -> None:
        trt.IStreamReaderV2.__init__(self)
        self.inner = Reader(data, most)

    def read(self, num_bytes: int, stream: int) -> Any:
        assert stream == 0
        return np.frombuffer(self.inner.read(num_bytes), np.uint8)

    def seek(self, offset: int, where: Any) -> bool:
        return False


@pytest.mark.parametrize("kind", [Reader, ReaderV2])
@pytest.mark.parametrize("most", [1 << 30, 1000, 7])
def test_reading_from_a_stream(kind: Any, most: int, plan: bytes, x: np.ndarray, w: Any, log: Log) -> None:
    """Short reads are repeated; what follows the plan is not read."""
    if most == 7 and len(plan) > 1 << 20:
        pytest.skip("a plan of this size in pieces of seven bytes takes long")
    reader = kind(plan + b"more", most)
    engine = trt.Runtime(log).deserialize_cuda_engine(reader)
    assert engine, log.errors()
    assert getattr(reader, "inner", reader).at == len(plan)
    np.testing.assert_array_equal(results(engine, x), results(built(w, log), x))


class Raises(trt.IStreamReader):
    def read(self, size: int) -> Any:
        raise OSError("the network is gone")


class Wrong(trt.IStreamReader):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def read(self, size: int) -> Any:
        return self.answer


@pytest.mark.parametrize("answer", [None, 5, "text", b"", bytes(1 << 20)])
def test_streams_that_give_nonsense(answer: Any, log: Log) -> None:
    assert trt.Runtime(log).deserialize_cuda_engine(Wrong(answer)) is None and log.errors()


def test_streams_that_fail(plan: bytes, log: Log, capsys: Any) -> None:
    runtime = trt.Runtime(log)
    assert runtime.deserialize_cuda_engine(Raises()) is None
    assert "the network is gone" in capsys.readouterr().err and "the stream ended" in log.errors()
    for cut in (10, 64, len(plan) // 2, len(plan) - 1):
        assert runtime.deserialize_cuda_engine(Reader(plan[:cut])) is None
    damaged = bytearray(plan)
    damaged[len(plan) // 2] ^= 0xff
    head = bytearray(plan)
    head[20] ^= 0xff                                                           # in the header: the plan's size
    for data in (damaged, head, b"PK" + plan):
        log.lines.clear()
        assert runtime.deserialize_cuda_engine(Reader(bytes(data), 100_000)) is None and log.errors()


def test_writing_to_a_stream(w: Any, x: np.ndarray, log: Log) -> None:
    class Writer(trt.IStreamWriter):
        def __init__(self, most: int) -> None:
            trt.IStreamWriter.__init__(self)
            self.data, self.most = b"", most

        def write(self, data: bytes) -> int:
            self.data += data[:self.most]
            return min(len(data), self.most)
    builder = trt.Builder(log)
    writer = Writer(5000)
    assert builder.build_serialized_network_to_stream(network(builder, w), quick(builder), writer), log.errors()
    engine = trt.Runtime(log).deserialize_cuda_engine(writer.data)
    np.testing.assert_array_equal(results(engine, x), results(built(w, log), x))
    for bad in (0, -3, None, "all", True):
        writer.write = lambda data, bad=bad: bad                                              # type: ignore[method-assign]
        assert not builder.build_serialized_network_to_stream(network(builder, w), quick(builder), writer)
    assert "did not take all of the plan" in log.errors()


def test_flags_of_a_serialization(w: Any, log: Log) -> None:
    config = built(w, log, FLAG.REFIT).create_serialization_config()
    assert config.flags == 0
    assert config.set_flag(SERIAL.EXCLUDE_WEIGHTS) and config.get_flag(SERIAL.EXCLUDE_WEIGHTS)
    assert config.flags == 1 << int(SERIAL.EXCLUDE_WEIGHTS)
    assert config.clear_flag(SERIAL.EXCLUDE_WEIGHTS) and not config.get_flag(SERIAL.EXCLUDE_WEIGHTS)
    config.flags = 1 << int(SERIAL.INCLUDE_REFIT) | 1
    assert config.get_flag(SERIAL.INCLUDE_REFIT) and config.get_flag(SERIAL.EXCLUDE_WEIGHTS)
    with pytest.raises(RuntimeError):
        config.flags = 1 << 20


def test_without_weights_and_back(w: Any, x: np.ndarray, log: Log) -> None:
    """The way of an engine that is shipped without weights: stripped, refitted, written whole."""
    runtime, expected = trt.Runtime(log), results(built(w, log, FLAG.REFIT), x)
    engine = built(w, log, FLAG.REFIT)
    config = engine.create_serialization_config()
    config.set_flag(SERIAL.EXCLUDE_WEIGHTS)
    bare = engine.serialize_with_config(config)
    assert len(bare) < len(engine.serialize()) - sum(a.nbytes for a in w.values())
    other = runtime.deserialize_cuda_engine(bare)
    config = other.create_serialization_config()
    assert config.get_flag(SERIAL.EXCLUDE_WEIGHTS)
    config.clear_flag(SERIAL.EXCLUDE_WEIGHTS)
    assert other.serialize_with_config(config) is None and "no weights that could be written" in log.errors()
    refitter = trt.Refitter(other, log)
    for name, array in w.items():
        assert refitter.set_named_weights(f"the {name}", array)
    assert refitter.refit_cuda_engine(), log.errors()
    whole = runtime.deserialize_cuda_engine(other.serialize_with_config(config))
    np.testing.assert_array_equal(results(whole, x), expected)
    assert not whole.refittable
    config.set_flag(SERIAL.INCLUDE_REFIT)
    again = runtime.deserialize_cuda_engine(other.serialize_with_config(config))
    assert again.refittable and trt.Refitter(again, log).get_all_weights()
    np.testing.assert_array_equal(results(again, x), expected)
    assert len(other.serialize()) < len(whole.serialize())                     # as it was built


def test_engines_that_could_not_be_refitted_keep_their_weights(w: Any, log: Log) -> None:
    engine = built(w, log)
    config = engine.create_serialization_config()
    config.set_flag(SERIAL.EXCLUDE_WEIGHTS)
    assert engine.serialize_with_config(config) is None and "no weights that can be replaced" in log.errors()


@pytest.mark.parametrize("flags", [["ALLOW_TEMPORARY_FILES"], ["ALLOW_IN_MEMORY_FILES"], []])
def test_where_plans_may_lie(flags: list[str], plan: bytes, x: np.ndarray, tmp_path: Path, log: Log) -> None:
    runtime = trt.Runtime(log)
    assert runtime.tempfile_control_flags == 0b11
    runtime.tempfile_control_flags = sum(1 << int(trt.TempfileControlFlag[f]) for f in flags)
    runtime.temporary_directory = str(tmp_path / "nowhere")
    engine = runtime.deserialize_cuda_engine(plan)
    if flags == ["ALLOW_IN_MEMORY_FILES"]:
        assert engine, log.errors()
        assert results(engine, x).shape == (2, 5)
    else:                                                                      # that folder does not exist, or no file
        assert engine is None and ("nowhere" in log.errors() if flags else "allow no file" in log.errors())
    runtime.temporary_directory = str(tmp_path)
    if flags == ["ALLOW_TEMPORARY_FILES"]:
        assert runtime.deserialize_cuda_engine(plan) and list(tmp_path.iterdir()) == []


def test_what_this_machine_lacks(log: Log, tmp_path: Path) -> None:
    runtime = trt.Runtime(log)
    assert runtime.load_runtime(str(tmp_path / "libnvinfer_lean.so")) is None and "no such file" in log.errors()
    assert runtime.load_runtime(str(tmp_path)) is None and "is no runtime" in log.errors()
    assert runtime.dla_workspace_allocation_strategy == trt.DLAWorkspaceAllocationStrategy.DEFAULT
    with pytest.raises(RuntimeError, match="DLA"):
        runtime.dla_workspace_allocation_strategy = trt.DLAWorkspaceAllocationStrategy.SHARED_STATIC
