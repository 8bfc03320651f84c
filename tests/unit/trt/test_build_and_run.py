"""From networks to results: the multilayer perceptron, profiles, plans, contexts, callbacks, and refusals."""

import json
from importlib import resources
from typing import Any

import numpy as np
import pytest

import tensorwright as trt

DATA = resources.files("tensorwright") / "data"
MODEL = (DATA / "digits.onnx").read_bytes()


class Log(trt.ILogger):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[Any, str]] = []

    def log(self, severity: Any, msg: str) -> None:
        self.lines.append((severity, msg))

    def errors(self) -> str:
        return "\n".join(msg for severity, msg in self.lines if severity <= trt.Logger.ERROR)


@pytest.fixture
def log() -> Log:
    return Log()


def quick(builder: trt.Builder) -> trt.IBuilderConfig:
    """A configuration that does not spend time on tuning."""
    config = builder.create_builder_config()
    config.builder_optimization_level = 0
    return config


def execute(engine: trt.ICudaEngine, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """The whole sequence of a script, over the engine's own lists."""
    context = engine.create_execution_context()
    held = {}
    for name in engine:
        if engine.get_tensor_mode(name) is trt.TensorIOMode.INPUT:
            held[name] = np.ascontiguousarray(inputs[name])
            assert context.set_input_shape(name, held[name].shape)
    for i in range(engine.num_io_tensors):
        name = engine.get_tensor_name(i)
        if name not in held:
            held[name] = np.empty(tuple(context.get_tensor_shape(name)), trt.nptype(engine.get_tensor_dtype(name)))
        assert context.set_tensor_address(name, held[name].ctypes.data)
    assert context.execute_async_v3(stream_handle=0)
    return held


@pytest.fixture(scope="module")
def digits() -> trt.ICudaEngine:
    """The shipped model with two profiles, through serialization."""
    logger = Log()
    builder = trt.Builder(logger)
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(MODEL) and parser.num_errors == 0
    config = quick(builder)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    for sizes in ((1, 2, 4), (8, 16, 32)):
        profile = builder.create_optimization_profile()
        profile.set_shape("image", *[(n, 1, 8, 8) for n in sizes])
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan, logger.errors()
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    assert engine, logger.errors()
    return engine


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.load((DATA / "digits_test.npz").open("rb"))["image"]


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.load((DATA / "digits_test.npz").open("rb"))["label"]


WEIGHT, BIAS = np.float32([[0.5, -0.5, 0.25], [1.0, 0.1, -0.2]]), np.float32([0.1, -0.3])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_perceptron_by_fully_connected(log: Log) -> None:
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    x = network.add_input("data", trt.float32, (1, 3, 1, 1))
    linear = network.add_fully_connected(x, 2, trt.Weights(WEIGHT), trt.Weights(BIAS))
    out = network.add_activation(linear.get_output(0), trt.ActivationType.SIGMOID).get_output(0)
    out.name = "out"
    network.mark_output(out)
    engine = builder.build_engine_with_config(network, quick(builder))
    assert engine, log.errors()
    data = np.float32([4, 5, 6]).reshape(1, 3, 1, 1)
    value = execute(engine, data=data)["out"]
    assert value.shape == (1, 2, 1, 1)
    np.testing.assert_allclose(value.ravel(), sigmoid(WEIGHT @ data.ravel() + BIAS), rtol=1e-6)


def test_perceptron_by_matrix_multiply_with_a_run_time_batch(log: Log) -> None:
    builder = trt.Builder(log)
    network = builder.create_network()
    x = network.add_input("data", trt.float32, (-1, 3))
    w = network.add_constant((2, 3), WEIGHT).get_output(0)
    b = network.add_constant((1, 2), BIAS).get_output(0)
    product = network.add_matrix_multiply(x, trt.MatrixOperation.NONE, w, trt.MatrixOperation.TRANSPOSE).get_output(0)
    total = network.add_elementwise(product, b, trt.ElementWiseOperation.SUM).get_output(0)
    out = network.add_activation(total, trt.ActivationType.SIGMOID).get_output(0)
    out.name = "out"
    network.mark_output(out)
    config = quick(builder)
    profile = builder.create_optimization_profile()
    profile.set_shape("data", min=(1, 3), opt=(2, 3), max=(7, 3))
    config.add_optimization_profile(profile)
    engine = builder.build_engine_with_config(network, config)
    assert engine, log.errors()
    for n in (1, 5, 7):
        data = np.random.default_rng(n).standard_normal((n, 3), dtype=np.float32)
        np.testing.assert_allclose(execute(engine, data=data)["out"], sigmoid(data @ WEIGHT.T + BIAS), rtol=1e-5)


def test_engine_describes_itself(digits: trt.ICudaEngine) -> None:
    assert list(digits) == ["image", "logits"] and digits[0] == "image" and digits.num_io_tensors == 2
    assert digits.get_tensor_shape("image") == (-1, 1, 8, 8) and digits.get_tensor_shape("logits") == (-1, 10)
    assert digits.get_tensor_dtype("logits") is trt.float32
    assert digits.get_tensor_location("image") is trt.TensorLocation.DEVICE
    assert digits.get_tensor_mode("logits") is trt.TensorIOMode.OUTPUT
    assert digits.num_optimization_profiles == 2 and digits.num_layers > 5 and digits.device_memory_size_v2 > 0
    assert digits.get_tensor_profile_shape("image", 1) == [(8, 1, 8, 8), (16, 1, 8, 8), (32, 1, 8, 8)]
    assert digits.get_tensor_name(2) is None
    with pytest.raises(IndexError):
        digits[2]


def test_unknown_tensors_are_answered_and_logged(digits: trt.ICudaEngine) -> None:
    before = len(digits._logger.logger.lines)  # type: ignore[attr-defined]
    assert digits.get_tensor_mode("nope") is trt.TensorIOMode.NONE
    assert not digits.get_tensor_shape("nope").nbDims >= 0
    assert digits.get_tensor_profile_shape("nope", 0)[0].nbDims == -1
    assert len(digits._logger.logger.lines) >= before + 3  # type: ignore[attr-defined]


def test_results_are_right(digits: trt.ICudaEngine, images: np.ndarray, labels: np.ndarray) -> None:
    assert (execute(digits, image=images[:4])["logits"].argmax(1) == labels[:4]).all()


def test_two_contexts_with_different_profiles(digits: trt.ICudaEngine, images: np.ndarray) -> None:
    first, second = digits.create_execution_context(), digits.create_execution_context()
    assert first.active_optimization_profile == 0 and second.set_optimization_profile_async(1, 0)
    results = []
    for context, n in ((first, 4), (second, 8), (first, 2)):
        x, y = np.ascontiguousarray(images[:n]), np.empty((n, 10), np.float32)
        assert context.set_input_shape("image", x.shape) and context.get_tensor_shape("logits") == (n, 10)
        assert context.execute_v2([x.ctypes.data, y.ctypes.data])
        results.append(y)
    np.testing.assert_allclose(results[0], results[1][:4], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(results[2], results[0][:2], rtol=1e-4, atol=1e-5)
    with pytest.raises(RuntimeError):
        first.set_optimization_profile_async(2, 0)


def test_context_refusals_are_false_and_logged(digits: trt.ICudaEngine, images: np.ndarray) -> None:
    log: Log = digits._logger.logger  # type: ignore[assignment]
    context = digits.create_execution_context()
    log.lines.clear()
    assert context.infer_shapes() == ["image"] and not context.all_binding_shapes_specified
    assert not context.execute_async_v3(0) and "no shape" in log.errors()
    assert not context.set_input_shape("image", (5, 1, 8, 8)) and "1 to 4" in log.errors()
    assert not context.set_input_shape("image", (1, 1, 8)) and not context.set_input_shape("image", (1, 3, 8, 8))
    assert not context.set_input_shape("nope", (1,)) and not context.set_input_shape("logits", (1, 10))
    assert context.get_tensor_shape("logits") == (-1, 10)
    assert context.set_input_shape("image", (2, 1, 8, 8)) and context.infer_shapes() == []
    assert not context.execute_async_v3(0) and "no address" in log.errors()
    assert not context.set_tensor_address("nope", 64) and context.get_tensor_address("image") == 0
    assert not context.set_tensor_address("image", 3) and "aligned" in log.errors()
    assert not context.execute_v2([0])
    for wrong in (-4, 1 << 64):
        assert not context.execute_v2([images.ctypes.data, wrong])
        assert f"'logits': {wrong} is no address" in log.errors()
        assert not context.set_tensor_address("image", wrong)
    for value in (64.0, "64", None, np.float32(64), images):
        with pytest.raises(TypeError):
            context.set_tensor_address("image", value)
        with pytest.raises(TypeError):
            context.execute_v2([0, value])
    assert context.set_tensor_address("image", np.int64(64)) and context.get_tensor_address("image") == 64
    assert context.get_max_output_size("logits") == 4 * 10 * 4 and context.get_tensor_strides("image") == (64, 64, 8, 1)


def test_output_allocator_gives_the_memory(digits: trt.ICudaEngine, images: np.ndarray) -> None:
    class Allocator(trt.IOutputAllocator):
        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.shape: tuple[int, ...] = ()

        def reallocate_output_async(self, name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            self.memory = np.empty(size, np.uint8)
            return self.memory.ctypes.data

        def notify_shape(self, name: str, shape: trt.Dims) -> None:
            self.shape = tuple(shape)

    context, allocator = digits.create_execution_context(), Allocator()
    x = np.ascontiguousarray(images[:3])
    context.set_input_shape("image", x.shape)
    context.set_tensor_address("image", x.ctypes.data)
    assert context.set_output_allocator("logits", allocator) and context.get_output_allocator("logits") is allocator
    assert context.execute_async_v3(trt.Stream()) and allocator.shape == (3, 10)
    logits = allocator.memory.view(np.float32).reshape(allocator.shape)
    np.testing.assert_allclose(logits, execute(digits, image=x)["logits"], rtol=1e-5, atol=1e-6)


def test_profiler_hears_of_every_layer(digits: trt.ICudaEngine, images: np.ndarray) -> None:
    class Times(trt.IProfiler):
        def __init__(self) -> None:
            super().__init__()
            self.layers: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.layers[layer_name] = ms

    context = digits.create_execution_context()
    context.profiler = times = Times()
    x, y = np.ascontiguousarray(images[:1]), np.empty((1, 10), np.float32)
    context.set_input_shape("image", x.shape)
    assert context.execute_v2([x.ctypes.data, y.ctypes.data])
    assert times.layers and all(0 <= ms < 1000 for ms in times.layers.values())


def test_inspector(digits: trt.ICudaEngine) -> None:
    inspector = digits.create_engine_inspector()
    data = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
    assert data["Bindings"][:2] == ["image", "logits"] and len(data["Layers"]) == digits.num_layers
    layer = json.loads(inspector.get_layer_information(0, trt.LayerInformationFormat.JSON))
    assert {"Name", "LayerType", "Outputs", "TacticName", "Origin"} <= layer.keys()
    assert inspector.get_layer_information(10**6, trt.LayerInformationFormat.ONELINE) == ""


def test_engine_serializes_again(digits: trt.ICudaEngine, log: Log, images: np.ndarray) -> None:
    again = trt.Runtime(log).deserialize_cuda_engine(bytes(digits.serialize()))
    assert again, log.errors()
    x = images[:2]
    np.testing.assert_array_equal(execute(again, image=x)["logits"], execute(digits, image=x)["logits"])


def test_bytes_that_are_no_plan_give_none(digits: trt.ICudaEngine, log: Log) -> None:
    runtime = trt.Runtime(log)
    plan = bytearray(digits.serialize())
    assert runtime.deserialize_cuda_engine(b"nonsense") is None and runtime.deserialize_cuda_engine(plan[:1000]) is None
    plan[len(plan) // 100] ^= 255
    assert runtime.deserialize_cuda_engine(plan) is None and log.errors().count("PlanError") == 3


def test_builds_that_cannot_be_give_none(log: Log) -> None:
    builder = trt.Builder(log)

    def fails(because: str, prepare: Any) -> None:
        network, config = builder.create_network(), quick(builder)
        prepare(network, config)
        log.lines.clear()
        assert builder.build_serialized_network(network, config) is None
        assert because in log.errors(), log.lines
        assert not builder.is_network_supported(network, config)

    def identity(network: trt.INetworkDefinition, shape: tuple[int, ...]) -> None:
        network.mark_output(network.add_identity(network.add_input("x", trt.float32, shape)).get_output(0))

    def no_shape(network: trt.INetworkDefinition, config: trt.IBuilderConfig) -> None:
        a, b = network.add_input("a", trt.float32, (2, 3)), network.add_input("b", trt.float32, (2, 4))
        network.mark_output(network.add_elementwise(a, b, trt.ElementWiseOperation.SUM).get_output(0))

    def safe(network: trt.INetworkDefinition, config: trt.IBuilderConfig) -> None:
        identity(network, (2,))
        config.set_flag(trt.BuilderFlag.SAFETY_SCOPE)

    def wrong_profile(network: trt.INetworkDefinition, config: trt.IBuilderConfig) -> None:
        identity(network, (-1, 3))
        profile = builder.create_optimization_profile()
        profile.set_shape("x", (1, 4), (1, 4), (1, 4))
        config.add_optimization_profile(profile)

    fails("no outputs", lambda n, c: n.add_input("x", trt.float32, (1,)))
    fails("no optimization profile", lambda n, c: identity(n, (-1, 3)))
    fails("do not broadcast", no_shape)
    def accelerator(network: trt.INetworkDefinition, config: trt.IBuilderConfig) -> None:
        identity(network, (2,))
        config.default_device_type = trt.DeviceType.DLA

    def packed(network: trt.INetworkDefinition, config: trt.IBuilderConfig) -> None:
        identity(network, (2,))
        network.get_input(0).allowed_formats = 1 << int(trt.TensorFormat.CHW4)

    def on_host(network: trt.INetworkDefinition, config: trt.IBuilderConfig) -> None:
        identity(network, (2,))
        network.get_output(0).location = trt.TensorLocation.HOST

    fails("LINEAR", packed)
    fails("HOST", on_host)
    fails("SAFETY_SCOPE", safe)
    fails("DLA", accelerator)
    fails("axis 1 is 3", wrong_profile)


def test_profiles_refuse_contradictions() -> None:
    profile = trt.Builder(Log()).create_optimization_profile()
    with pytest.raises(RuntimeError):
        profile.set_shape("x", (2, 3), (1, 3), (4, 3))
    with pytest.raises(RuntimeError):
        profile.set_shape("x", (1,), (1, 3), (4, 3))
    assert profile.get_shape("x") == [] and profile
    profile.set_shape("x", (1, 3), (2, 3), (4, 3))
    assert profile.get_shape("x") == [(1, 3), (2, 3), (4, 3)]


def test_parser_errors(log: Log, tmp_path: Any) -> None:
    network = trt.Builder(log).create_network()
    parser = trt.OnnxParser(network, log)
    assert not parser.parse(b"garbage") and parser.num_errors == 1 and "ModelError" in log.errors()
    error = parser.get_error(0)
    assert error.code() is trt.ErrorCode.MODEL_DESERIALIZE_FAILED and error.desc() and error.node() == -1
    assert not parser.parse_from_file(str(tmp_path / "missing.onnx"))
    parser.clear_errors()
    assert parser.num_errors == 0 and parser.supports_operator("Conv") and not parser.supports_operator("NoSuchThing")


def test_a_parsed_network_can_be_extended(log: Log, images: np.ndarray, labels: np.ndarray) -> None:
    builder = trt.Builder(log)
    network = builder.create_network()
    parser = trt.OnnxParser(network, log)
    assert parser.parse(MODEL)
    logits = network.get_output(0)
    network.unmark_output(logits)
    best = network.add_topk(logits, trt.TopKOperation.MAX, 1, 1 << 1).get_output(1)
    best.name = "digit"
    network.mark_output(best)
    network.get_input(0).shape = (4, 1, 8, 8)
    assert best.shape == (4, 1) and any(layer.type is trt.LayerType.CONVOLUTION for layer in network)
    assert parser.get_layer_output_tensor(network[0].name, 0) is network[0].get_output(0)
    engine = builder.build_engine_with_config(network, quick(builder))
    assert engine, log.errors()
    assert execute(engine, image=images[:4])["digit"].ravel().tolist() == labels[:4].tolist()


def small(builder: trt.Builder) -> trt.INetworkDefinition:
    network = builder.create_network()
    x = network.add_input("x", trt.float32, (4, 8))
    w = network.add_constant((8, 8), np.eye(8, dtype=np.float32) * 2)
    network.mark_output(network.add_matrix_multiply(x, trt.MatrixOperation.NONE, w.get_output(0),
                                                    trt.MatrixOperation.NONE).get_output(0))
    return network


def test_progress_monitor_sees_phases_and_may_cancel(log: Log) -> None:
    class Monitor(trt.IProgressMonitor):
        def __init__(self, go_on: bool) -> None:
            trt.IProgressMonitor.__init__(self)
            self.go_on, self.started, self.finished = go_on, [], []

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.started.append(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return self.go_on

        def phase_finish(self, phase_name: str) -> None:
            self.finished.append(phase_name)

    builder = trt.Builder(log)
    config = quick(builder)
    config.progress_monitor = monitor = Monitor(True)
    assert builder.build_serialized_network(small(builder), config)
    assert monitor.started and monitor.started == monitor.finished
    config.progress_monitor = monitor = Monitor(False)
    assert builder.build_serialized_network(small(builder), config) is None
    assert monitor.started == monitor.finished
    assert any("cancelled" in msg for _, msg in log.lines)


def test_timing_cache_is_filled_and_combined(log: Log) -> None:
    builder = trt.Builder(log)
    config = builder.create_builder_config()
    cache = config.create_timing_cache(b"")
    assert config.set_timing_cache(cache, ignore_mismatch=False) and config.get_timing_cache() is cache
    assert builder.build_serialized_network(small(builder), config)
    content = bytes(config.get_timing_cache().serialize())
    assert content
    other = config.create_timing_cache(b"")
    assert other.combine(cache, ignore_mismatch=False) and json.loads(other.serialize()) == json.loads(content)
    for strange in (b"no json", b"[1, 2]"):
        assert not other.combine(config.create_timing_cache(strange), ignore_mismatch=False)
    assert json.loads(other.serialize()) == json.loads(content)


def test_flags_and_pools() -> None:
    config = trt.Builder(Log()).create_builder_config()
    assert config.flags == 1 << int(trt.BuilderFlag.TF32)
    config.set_flag(trt.BuilderFlag.FP16)
    assert config.get_flag(trt.BuilderFlag.FP16)
    config.flags &= ~(1 << int(trt.BuilderFlag.FP16))
    assert not config.get_flag(trt.BuilderFlag.FP16)
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) > 1 << 20
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 28)
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 1 << 28


def test_a_permitted_precision_is_noted_not_used(log: Log) -> None:
    builder = trt.Builder(log)
    config = quick(builder)
    config.set_flag(trt.BuilderFlag.FP16)
    assert builder.build_serialized_network(small(builder), config)
    assert any(severity is trt.Logger.WARNING and "FP16" in msg for severity, msg in log.lines)


def test_wishes_without_effect_are_noted(log: Log) -> None:
    builder = trt.Builder(log)
    builder.max_threads = 2
    config = quick(builder)
    config.max_aux_streams, config.l2_limit_for_tiling = 1, 1 << 20
    config.set_memory_pool_limit(trt.MemoryPoolType.TACTIC_DRAM, 16)
    plan = builder.build_serialized_network(small(builder), config)
    runtime = trt.Runtime(log)
    runtime.max_threads = 3
    assert plan and runtime.deserialize_cuda_engine(plan)
    notes = [msg for severity, msg in log.lines if severity is trt.Logger.WARNING]
    for wish in ("Builder.max_threads", "l2_limit_for_tiling", "max_aux_streams", "TACTIC_DRAM", "Runtime.max_threads"):
        assert any(wish in msg for msg in notes), wish


def convolve(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, C, H, W) with (K, C, 5, 5), no padding: a sum over window positions."""
    p = x.shape[2] - 4
    y = sum(np.einsum("nchw,kc->nkhw", x[:, :, r:r + p, s:s + p], w[:, :, r, s]) for r in range(5) for s in range(5))
    return np.asarray(y) + b[:, None, None]


def halve(x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))


def test_a_convolutional_network_by_hand(log: Log) -> None:
    """The usual first network: two convolutions with pooling, two fully connected layers as matrix products."""
    rng = np.random.default_rng(0)
    shapes = {"c1": (8, 1, 5, 5), "c2": (16, 8, 5, 5), "f1": (32, 256), "f2": (10, 32)}
    w = {n: (rng.standard_normal(s) / np.sqrt(np.prod(s[1:]))).astype(np.float32) for n, s in shapes.items()}
    b = {n: rng.standard_normal(s[0], dtype=np.float32) for n, s in shapes.items()}
    with trt.Builder(log) as builder, builder.create_network() as network, builder.create_builder_config() as config:
        config.builder_optimization_level = 0
        x = network.add_input(name="image", dtype=trt.float32, shape=(2, 1, 28, 28))
        for name in ("c1", "c2"):
            conv = network.add_convolution_nd(input=x, num_output_maps=len(b[name]), kernel_shape=(5, 5),
                                              kernel=w[name], bias=b[name])
            conv.stride_nd = (1, 1)
            pool = network.add_pooling_nd(input=conv.get_output(0), type=trt.PoolingType.MAX, window_size=(2, 2))
            pool.stride_nd = trt.Dims2(2, 2)
            x = pool.get_output(0)
        for name in ("f1", "f2"):
            flat = network.add_shuffle(x)
            flat.reshape_dims = trt.Dims2(2, shapes[name][1])
            weights = network.add_constant(trt.Dims2(*shapes[name]), w[name])
            product = network.add_matrix_multiply(flat.get_output(0), trt.MatrixOperation.NONE, weights.get_output(0),
                                                  trt.MatrixOperation.TRANSPOSE)
            bias = network.add_constant(trt.Dims2(1, shapes[name][0]), b[name])
            x = network.add_elementwise(product.get_output(0), bias.get_output(0),
                                        trt.ElementWiseOperation.SUM).get_output(0)
            if name == "f1":
                x = network.add_activation(input=x, type=trt.ActivationType.RELU).get_output(0)
        softmax = network.add_softmax(x)
        softmax.axes = 1 << 1
        softmax.get_output(0).name = "prob"
        network.mark_output(tensor=softmax.get_output(0))
        engine = trt.Runtime(log).deserialize_cuda_engine(builder.build_serialized_network(network, config))
    assert engine, log.errors()
    image = rng.standard_normal((2, 1, 28, 28), dtype=np.float32)
    y = halve(convolve(halve(convolve(image, w["c1"], b["c1"])), w["c2"], b["c2"])).reshape(2, 256)
    y = np.exp(np.maximum(y @ w["f1"].T + b["f1"], 0) @ w["f2"].T + b["f2"])
    np.testing.assert_allclose(execute(engine, image=image)["prob"], y / y.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_flags_without_effect_are_logged(log: Log) -> None:
    builder = trt.Builder(log)
    network = builder.create_network()
    network.mark_output(network.add_identity(network.add_input("x", trt.float32, (1,))).get_output(0))
    config = quick(builder)
    config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    config.set_flag(trt.BuilderFlag.INT4)
    assert builder.build_serialized_network(network, config) is not None
    told = "\n".join(msg for _, msg in log.lines)
    assert "SPARSE_WEIGHTS has no effect" in told and "INT4 permits a lower precision" in told and "TF32" not in told
