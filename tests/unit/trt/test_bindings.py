"""Scripts of generations 5 to 8: bindings by number, build_engine, builder options, profiles in blocks."""

from importlib import resources
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

import tensorwright
from tensorwright.generations import v7, v10

MODEL = (resources.files("tensorwright") / "data" / "digits.onnx").read_bytes()
RANGES = ((1, 2, 4), (5, 6, 8))


class Log:
    """A logger of any generation: remembers what it is told."""

    def __init__(self, module: ModuleType) -> None:
        base = module.ILogger if hasattr(module.ILogger, "ERROR") else module.Logger
        outer: list[str] = []

        class Logger(base):                                # type: ignore[misc, valid-type]
            def log(self, severity: Any, msg: str) -> None:
                outer.append(msg)
        self.lines, self.logger = outer, Logger()


def build(module: ModuleType, profiles: int = 1) -> tuple[Any, Log]:
    """The sequence of a script for generation 7: flag, parser, config, profile, build_engine."""
    log = Log(module)
    explicit = 1 << int(module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    with module.Builder(log.logger) as builder, builder.create_network(explicit) as network, \
            module.OnnxParser(network, log.logger) as parser:
        assert parser.parse(MODEL)
        config = builder.create_builder_config()
        config.max_workspace_size = 1 << 30
        if hasattr(config, "builder_optimization_level"):
            config.builder_optimization_level = 0
        name = network.get_input(0).name
        size = tuple(network.get_input(0).shape)[1:]
        for k in range(profiles):
            profile = builder.create_optimization_profile()
            profile.set_shape(name, *[(b, *size) for b in RANGES[k]])
            assert config.add_optimization_profile(profile) == k
        return builder.build_engine(network, config), log


@pytest.fixture(scope="module")
def seven() -> Any:
    return build(v7, 2)[0]


def reference(x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def test_bindings_come_in_blocks_of_profiles(seven: Any) -> None:
    n = len(seven) // 2
    names = list(seven)
    assert seven.num_bindings == len(seven) == 2 * n == len(names)
    assert names[n:] == [f"{name} [profile 1]" for name in names[:n]]
    for i, name in enumerate(names):
        assert seven[i] == seven.get_binding_name(i) == name and seven[name] == seven.get_binding_index(name) == i
        assert seven.binding_is_input(i) == seven.binding_is_input(name) == (i % n == 0)
        assert seven.get_binding_shape(i)[0] == -1 and seven.get_binding_dtype(i) == v7.float32
        assert seven.get_location(i) == v7.TensorLocation.DEVICE and seven.is_execution_binding(i)
        assert seven.get_binding_format(i) == v7.TensorFormat.LINEAR and not seven.is_shape_binding(i)
    assert seven.get_binding_name(2 * n) is None and seven.get_binding_index("nothing") == -1
    assert seven.get_binding_index(f"{names[0]} [profile 2]") == -1
    with pytest.raises(IndexError):
        seven[2 * n]
    assert [d[0] for d in seven.get_profile_shape(1, 0)] == list(RANGES[1])
    assert not hasattr(seven, "num_io_tensors") and seven.max_batch_size == 1


@pytest.mark.parametrize("batch", [1, 3, 4])
@pytest.mark.parametrize("profile", [0, 1])
def test_execution_by_bindings(seven: Any, batch: int, profile: int) -> None:
    context = seven.create_execution_context()
    context.active_optimization_profile = profile
    size = tuple(seven.get_binding_shape(0))[1:]
    first = profile * (len(seven) // 2)
    x = np.random.default_rng(batch).standard_normal((batch + 4 * profile, *size), dtype=np.float32)
    assert context.set_binding_shape(first, x.shape)
    y = np.empty(tuple(context.get_binding_shape(first + 1)), np.float32)
    assert context.get_strides(first)[0] == x[0].size
    addresses = [0] * len(seven)
    addresses[first : first + 2] = x.ctypes.data, y.ctypes.data
    assert context.execute_async_v2(bindings=addresses, stream_handle=0)
    np.testing.assert_allclose(y, reference(x), rtol=1e-4, atol=1e-5)
    y[:] = 0
    assert context.execute_v2([x.ctypes.data, y.ctypes.data])
    np.testing.assert_allclose(y, reference(x), rtol=1e-4, atol=1e-5)


def test_wrong_bindings_are_refused(seven: Any) -> None:
    context = seven.create_execution_context()
    assert not context.set_binding_shape(2, (5, *tuple(seven.get_binding_shape(0))[1:])), "of the other profile"
    assert not context.set_binding_shape(0, (9, *tuple(seven.get_binding_shape(0))[1:])), "outside the profile"
    assert not context.execute(batch_size=2, bindings=[1, 2]) and not context.execute_v2([0])
    with pytest.raises(RuntimeError):
        context.active_optimization_profile = 5
    with pytest.raises(RuntimeError):
        context.get_shape(0)


def test_builder_options_reach_the_build() -> None:
    log = Log(v7)
    builder = v7.Builder(log.logger)
    network = builder.create_network(1 << int(v7.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    y = network.add_activation(network.add_input("x", v7.float32, (2, 2)), v7.ActivationType.RELU).get_output(0)
    network.mark_output(y)
    builder.max_workspace_size, builder.fp16_mode, builder.max_batch_size = 1 << 20, True, 4
    engine = builder.build_cuda_engine(network)
    assert isinstance(engine, tensorwright.ICudaEngine) and any("FP16" in line for line in log.lines)
    builder.refittable = True
    assert not engine.refittable and builder.build_cuda_engine(network).refittable


def test_generation_10_has_no_bindings() -> None:
    assert not hasattr(v10.ICudaEngine, "num_bindings") and not hasattr(v10.IExecutionContext, "execute_async_v2")
    ten = v10.Builder(v10.Logger())
    network = ten.create_network()
    network.mark_output(network.add_identity(network.add_input("x", v10.float32, (1,))).get_output(0))
    built = ten.build_engine_with_config(network, ten.create_builder_config())
    assert list(built) == [built[0], built[1]] == ["x", built.get_tensor_name(1)]
    with pytest.raises(TypeError):
        built["x"]
    with pytest.raises(AttributeError):
        built.create_execution_context().active_optimization_profile = 0
