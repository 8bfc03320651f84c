"""Calibrators: batches pulled and read, ranges against NumPy, caches in TensorRT's text, and what is refused."""

import json
import struct
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.builder.ranges import Histogram, entropy, percentile
from tensorwright.cuda import memory
from tensorwright.generations import v5, v7, v8, v10
from tensorwright.trt.calibration import ranges_of

RNG = np.random.default_rng(1)
W = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)


class Log(trt.ILogger):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log(self, severity: Any, msg: str) -> None:
        self.lines.append(f"{severity.name}: {msg}")


def network_of(api: Any, builder: Any, shape: tuple[int, ...] = (2, 3, 6, 6)) -> Any:
    """relu(conv(x)) · 3 with tensors x, c, r, y."""
    network = builder.create_network(1)
    x = network.add_input("x", api.float32, shape)
    conv = network.add_convolution_nd(x, 4, (3, 3), W) if hasattr(network, "add_convolution_nd") else \
        network.add_convolution(x, 4, (3, 3), W)
    relu = network.add_activation(conv.get_output(0), api.ActivationType.RELU)
    scale = network.add_scale(relu.get_output(0), api.ScaleMode.UNIFORM, np.zeros(1, np.float32),
                              np.full(1, 3, np.float32), np.ones(1, np.float32))
    for layer, name in ((conv, "c"), (relu, "r"), (scale, "y")):
        layer.get_output(0).name = name
    network.mark_output(scale.get_output(0))
    return network


def values(batches: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor's values over all batches, by NumPy in float64."""
    x = np.concatenate(batches).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    c = np.einsum("nchwrs,kcrs->nkhw", windows, W.astype(np.float64))
    return {"x": x, "c": c, "r": np.maximum(c, 0), "y": 3 * np.maximum(c, 0)}


BATCHES = [RNG.normal(size=(2, 3, 6, 6)).astype(np.float32) * scale for scale in (1, 2, 0.5)]


def calibrator_of(base: Any, batches: list[np.ndarray], cache: bytes | None = None, **more: Any) -> Any:
    """A calibrator as users write them. Odd batches lie in device memory, even ones on the host."""
    class Calibrator(base):                                # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self.waiting, self.written, self.asked = list(batches), [], []
            self.held: list[Any] = []

        def get_batch_size(self) -> int:
            return 2

        def get_batch(self, names: list[str]) -> list[int] | None:
            self.asked.append(list(names))
            if not self.waiting:
                return None
            self.held.append(self.waiting.pop(0))
            if len(self.held) % 2:
                return [self.held[-1].ctypes.data]
            device = memory.SPACE.allocate(self.held[-1].nbytes)
            memory.copy(device, self.held[-1].ctypes.data, self.held[-1].nbytes)
            return [device]

        def read_calibration_cache(self) -> bytes | None:
            return cache

        def write_calibration_cache(self, cache: Any) -> None:
            self.written.append(cache.tobytes())
    for name, value in more.items():
        setattr(Calibrator, name, value)
    return Calibrator()


def built(api: Any, calibrator: Any, *, log: Log | None = None, **more: Any) -> tuple[Any, Any]:
    """(engine, network)"""
    builder = api.Builder(log or Log())
    network = network_of(api, builder, **more)
    config = builder.create_builder_config()
    config.builder_optimization_level = 0
    config.set_flag(api.BuilderFlag.INT8)
    config.int8_calibrator = calibrator
    if -1 in network.get_input(0).shape:
        profile = builder.create_optimization_profile()
        profile.set_shape("x", (1, 3, 6, 6), (2, 3, 6, 6), (8, 3, 6, 6))
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return (None if plan is None else api.Runtime(log or Log()).deserialize_cuda_engine(plan)), network


def amax(engine: Any) -> dict[str, float]:
    ranges = ranges_of(engine._plan)
    assert all(low == -high for low, high in ranges.values())
    return {name: high for name, (_, high) in ranges.items()}


def test_min_max_ranges_are_those_of_numpy() -> None:
    calibrator = calibrator_of(v10.IInt8MinMaxCalibrator, BATCHES)
    log = Log()
    engine, _ = built(v10, calibrator, log=log)
    expected = {name: np.abs(x).max() for name, x in values(BATCHES).items()}
    assert amax(engine) == pytest.approx(expected, rel=1e-5)
    assert calibrator.asked == [["x"]] * 4, "until there are no more"
    header, *lines = calibrator.written[0].decode().splitlines()
    assert header.startswith("TRT-10") and header.endswith("-MinMaxCalibration")
    scales = {s.partition(": ")[0]: struct.unpack("!f", bytes.fromhex(s.partition(": ")[2]))[0] for s in lines}
    assert scales == pytest.approx({name: a / 127 for name, a in expected.items()}, rel=1e-5)
    assert any("float32 nevertheless" in line for line in log.lines)
    assert any("from 3 batches" in line for line in log.lines)


@pytest.mark.parametrize(("base", "zeros"), [("IInt8EntropyCalibrator", True), ("IInt8EntropyCalibrator2", False)])
def test_entropy_ranges(base: str, zeros: bool) -> None:
    engine, _ = built(v8, calibrator_of(getattr(v8, base), BATCHES))
    for name, x in values(BATCHES).items():
        histogram = Histogram()
        for part in np.split(x.astype(np.float32), len(BATCHES)):
            histogram.add(part)
        assert amax(engine)[name] == pytest.approx(entropy(histogram, zeros=zeros), abs=2 * histogram.width), name


def test_legacy_ranges_and_its_histogram_cache() -> None:
    kept: list[bytes] = []
    more: dict[str, Any] = {
        "get_quantile": lambda self: 0.9, "get_regression_cutoff": lambda self: 0.5,
        "read_histogram_cache": lambda self, length: kept[-1] if kept else None,
        "write_histogram_cache": lambda self, ptr, length: kept.append(ptr.tobytes()[:length])}
    first, _ = built(v8, calibrator_of(v8.IInt8LegacyCalibrator, BATCHES, **more))
    for name, x in values(BATCHES).items():
        histogram = Histogram()
        histogram.add(x)
        expected = np.quantile(np.abs(x), 0.9, method="inverted_cdf")
        assert amax(first)[name] == pytest.approx(expected, abs=3 * histogram.width), name
        assert amax(first)[name] == pytest.approx(percentile(histogram, 0.9), abs=3 * histogram.width)
    again = calibrator_of(v8.IInt8LegacyCalibrator, [], **more)
    second, _ = built(v8, again)
    assert amax(second) == amax(first) and not again.asked, "the histograms were enough"
    kept.append(kept[-1][:-9])
    log = Log()
    assert built(v8, calibrator_of(v8.IInt8LegacyCalibrator, [], **more), log=log)[0] is None
    assert any("histogram cache is damaged" in line for line in log.lines)


def test_a_calibrator_of_the_users_own_algorithm_with_the_old_signature() -> None:
    seen: list[Any] = []
    batches = list(BATCHES)
    more: dict[str, Any] = {"get_algorithm": lambda self: v8.CalibrationAlgoType.MINMAX_CALIBRATION,
                            "get_batch": lambda self, names, p_str: seen.append(p_str) or (
                                [batches.pop().ctypes.data] if len(batches) > 2 else [])}
    last = BATCHES[-1]
    engine, _ = built(v8, calibrator_of(v8.IInt8Calibrator, [], **more))
    assert amax(engine)["x"] == pytest.approx(np.abs(last).max()) and len(seen) == 2


def test_the_cache_is_enough_and_survives_a_round_trip() -> None:
    first = calibrator_of(v8.IInt8EntropyCalibrator2, BATCHES)
    engine, _ = built(v8, first)
    assert first.written[0].startswith(b"TRT-8601-EntropyCalibration2\n")
    second = calibrator_of(v8.IInt8EntropyCalibrator2, [], first.written[0])
    again, _ = built(v8, second)
    assert amax(again) == pytest.approx(amax(engine), rel=1e-6) and not second.asked and not second.written


def test_a_cache_that_others_wrote() -> None:
    cache = b"TRT-7103-EntropyCalibration2\nx: 3c010a14\nr: 3b9c7e1e\nsomething else: 40000000\n"
    log = Log()
    engine, _ = built(v8, calibrator_of(v8.IInt8EntropyCalibrator2, [], cache), log=log)
    assert amax(engine) == pytest.approx({n: 127 * struct.unpack("!f", bytes.fromhex(bits))[0] for n, bits in
                                          (("x", "3c010a14"), ("r", "3b9c7e1e"))}, rel=1e-6)
    assert any("2 tensors have no range: c, y" in line for line in log.lines)


@pytest.mark.parametrize(("cache", "why"), [
    (b"TRT-8601-MinMaxCalibration\nx: 3c010a14\n", "was made by MinMaxCalibration"),
    (b"\x80\x04pickled", "begins with"),
    (b"TRT-8601-EntropyCalibration2\nx: 3c01zz14\n", "line 2 of the calibration cache is damaged"),
    (b"TRT-8601-EntropyCalibration2\nx: 7fc00000\n", "line 2 of the calibration cache is damaged"),
    (b"TRT-8601-EntropyCalibration2\nx\n", "line 2 of the calibration cache is damaged")])
def test_caches_that_cannot_be_used(cache: bytes, why: str) -> None:
    log = Log()
    assert built(v8, calibrator_of(v8.IInt8EntropyCalibrator2, BATCHES, cache), log=log)[0] is None
    assert any(why in line for line in log.lines), log.lines


@pytest.mark.parametrize(("more", "why"), [
    ({}, "gave no batch"), ({"get_batch": lambda self, names: 1 / 0}, "raised an exception"),
    ({"get_batch": lambda self, names: [1, 2]}, "2 addresses for 1 inputs"),
    ({"get_batch": lambda self, names: [0]}, "null pointer"),
    ({"get_batch": lambda self, names: [1 << 60]}, "illegal memory access"),
    ({"get_batch_size": lambda self: 0}, "get_batch_size gave 0")])
def test_calibrators_that_fail(more: dict[str, Any], why: str, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log()
    assert built(v8, calibrator_of(v8.IInt8MinMaxCalibrator, [], **more), log=log)[0] is None
    assert any(why in line for line in log.lines), log.lines


def test_shapes_of_batches_are_the_calibration_profiles() -> None:
    big = [RNG.normal(size=(5, 3, 6, 6)).astype(np.float32)]
    builder = v10.Builder(Log())
    network = network_of(v10, builder, (-1, 3, 6, 6))
    config = builder.create_builder_config()
    config.builder_optimization_level = 0
    for batch in (2, 5):
        profile = builder.create_optimization_profile()
        profile.set_shape("x", (1, 3, 6, 6), (batch, 3, 6, 6), (8, 3, 6, 6))
        config.add_optimization_profile(profile)
    assert config.get_calibration_profile() is None and config.set_calibration_profile(profile)
    assert config.get_calibration_profile() is profile
    config.set_flag(v10.BuilderFlag.INT8)
    config.int8_calibrator = calibrator_of(v10.IInt8MinMaxCalibrator, big)
    engine = builder.build_engine_with_config(network, config)
    assert amax(engine) == pytest.approx({n: np.abs(x).max() for n, x in values(big).items()}, rel=1e-5)
    config.reset()
    assert config.int8_calibrator is None and config.get_calibration_profile() is None
    other, _ = built(v10, calibrator_of(v10.IInt8MinMaxCalibrator, BATCHES), shape=(-1, 3, 6, 6))
    assert amax(other) == pytest.approx({n: np.abs(x).max() for n, x in values(BATCHES).items()}, rel=1e-5), "the opt"


def test_the_oldest_generations() -> None:
    builder = v5.Builder(Log())
    network = builder.create_network()
    x = network.add_input("x", v5.float32, (3, 6, 6))      # the batch is implicit: get_batch_size says 2
    conv = network.add_convolution(x, 4, (3, 3), W)
    conv.get_output(0).name = "c"
    network.mark_output(conv.get_output(0))
    builder.max_batch_size, builder.int8_mode = 4, True
    builder.int8_calibrator = calibrator_of(v5.IInt8EntropyCalibrator2, BATCHES)
    engine = builder.build_cuda_engine(network)
    assert set(amax(engine)) == {"x", "c"} and amax(engine)["x"] <= max(np.abs(b).max() for b in BATCHES)


def test_ranges_that_the_script_sets() -> None:
    log = Log()
    builder = v7.Builder(log)
    network = network_of(v7, builder)
    tensor = network.get_input(0)
    assert tensor.dynamic_range is None and tensor.get_dynamic_range() == -1
    tensor.dynamic_range = (-3, 2.5)
    assert tensor.dynamic_range == (-3, 2.5) and tensor.get_dynamic_range() == 3
    assert tensor.set_dynamic_range(-1, 1) and not tensor.set_dynamic_range(1, -1) and tensor.dynamic_range == (-1, 1)
    for wrong in (3, (1,), (2, 1), (0, float("inf"))):
        with pytest.raises(ValueError, match="dynamic_range"):
            tensor.dynamic_range = wrong
    y = network.get_output(0)
    y.dynamic_range = (-9, 9)
    y.reset_dynamic_range()
    assert y.dynamic_range is None
    config = builder.create_builder_config()
    engine = builder.build_engine(network, config)
    assert ranges_of(engine._plan) == {} and any("not made use of: BuilderFlag.INT8" in line for line in log.lines)
    config.set_flag(v7.BuilderFlag.INT8)
    config.int8_calibrator = calibrator_of(v7.IInt8MinMaxCalibrator, BATCHES)
    found = ranges_of(builder.build_engine(network, config)._plan)
    assert found["x"] == (-1, 1) and found["y"][1] == pytest.approx(np.abs(values(BATCHES)["y"]).max(), rel=1e-5)


def test_the_inspector_shows_them() -> None:
    builder = v10.Builder(Log())
    network = network_of(v10, builder)
    config = builder.create_builder_config()
    config.builder_optimization_level, config.profiling_verbosity = 0, v10.ProfilingVerbosity.DETAILED
    config.set_flag(v10.BuilderFlag.INT8)
    config.int8_calibrator = calibrator_of(v10.IInt8MinMaxCalibrator, BATCHES)
    engine = builder.build_engine_with_config(network, config)
    text = engine.create_engine_inspector().get_engine_information(v10.LayerInformationFormat.JSON)
    shown = {t["Name"]: t["DynamicRange"] for layer in json.loads(text)["Layers"]
             for t in (*layer["Inputs"], *layer["Outputs"]) if "DynamicRange" in t}
    assert {"x", "y"} <= set(shown) and shown["y"] == list(ranges_of(engine._plan)["y"])


def test_flags_and_types() -> None:
    log = Log()
    config = v10.Builder(log).create_builder_config()
    flag = v10.QuantizationFlag.CALIBRATE_BEFORE_FUSION
    assert config.quantization_flags == 0 and not config.get_quantization_flag(flag)
    config.set_quantization_flag(flag)
    assert config.quantization_flags == 1 and config.get_quantization_flag(flag)
    config.clear_quantization_flag(flag)
    config.quantization_flags = 1
    assert config.get_quantization_flag(flag)
    with pytest.raises(ValueError, match="stand for no"):
        config.quantization_flags = 6
    with pytest.raises(TypeError, match="takes a calibrator"):
        config.int8_calibrator = object()
    assert built(v10, None, log=log)[0] is not None
    assert any("neither a calibrator nor a dynamic range" in line for line in log.lines)


def test_inputs_whose_values_decide_shapes_are_batches_too() -> None:
    builder = v8.Builder(Log())
    network = builder.create_network(1)
    x = network.add_input("x", v8.float32, (2, 6))
    sizes = network.add_input("sizes", v8.int32, (2,))
    shuffle = network.add_shuffle(x)
    shuffle.set_input(1, sizes)
    shuffle.get_output(0).name = "y"
    network.mark_output(shuffle.get_output(0))
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape_input("sizes", (1, 1), (3, 4), (12, 12))
    config.add_optimization_profile(profile)
    config.set_flag(v8.BuilderFlag.INT8)
    values = np.arange(12, dtype=np.float32), np.array([3, 4], np.int32)
    batches = [[a.ctypes.data for a in values]]
    config.int8_calibrator = calibrator_of(
        v8.IInt8MinMaxCalibrator, [], get_batch=lambda self, names: batches.pop() if batches and names == ["x", "sizes"]
        else None)
    log = builder.logger
    engine = builder.build_engine(network, config)
    assert engine is not None, log
    assert amax(engine) == {"x": 11, "y": 11}, "whole numbers have no range"
