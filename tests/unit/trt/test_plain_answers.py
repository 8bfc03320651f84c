"""What objects answer where a CPU has one answer only, and options that are kept and read again."""

from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v7, v8, v10, v11
from tests.unit.trt.test_build_and_run import Log


def engine_of(module: Any, log: Log) -> Any:
    builder = module.Builder(log)
    network = builder.create_network(1 if module in (v7, v8) else 0)
    x = network.add_input("x", module.float16 if module is v7 else module.float32, (2, 3))
    y = network.add_unary(x, module.UnaryOperation.NEG).get_output(0)
    y.name = "y"
    network.mark_output(y)
    config = builder.create_builder_config()
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = 0
    if hasattr(builder, "build_engine"):
        return builder.build_engine(network, config)
    return module.Runtime(log).deserialize_cuda_engine(builder.build_serialized_network(network, config))


def test_the_machine() -> None:
    builder, runtime = v8.Builder(Log()), v8.Runtime(Log())
    assert (builder.num_DLA_cores, builder.max_DLA_batch_size, runtime.num_DLA_cores, runtime.DLA_core) == (0, 0, 0, -1)
    assert not builder.platform_has_tf32 and not builder.platform_has_fast_fp16 and not builder.platform_has_fast_int8
    assert not runtime.engine_host_code_allowed
    assert trt.Dims.MAX_DIMS == 8


def test_options_of_the_builder_in_generation_7() -> None:
    builder = v7.Builder(Log())
    for name in ("debug_sync", "strict_type_constraints", "fp16_mode", "int8_mode", "refittable"):
        assert getattr(builder, name) is False
        setattr(builder, name, True)
        assert getattr(builder, name) is True
    for name in ("min_find_iterations", "average_find_iterations", "max_batch_size"):
        setattr(builder, name, 3)
        assert getattr(builder, name) == 3
    context = engine_of(v7, Log()).create_execution_context()
    context.debug_sync = True
    assert context.debug_sync


def test_options_of_the_configuration() -> None:
    config = v8.Builder(Log()).create_builder_config()
    for name, value in (("min_timing_iterations", 2), ("avg_timing_iterations", 4), ("DLA_core", 0),
                        ("profile_stream", 7), ("max_aux_streams", 1)):
        setattr(config, name, value)
        assert getattr(config, name) == value
    sources = 1 << int(v8.TacticSource.CUBLAS) | 1 << int(v8.TacticSource.CUDNN)
    assert config.set_tactic_sources(sources) and config.get_tactic_sources() == sources
    assert not config.set_tactic_sources(1 << 30)
    profile = v8.Builder(Log()).create_optimization_profile()
    profile.extra_memory_target = 0.5
    assert profile.extra_memory_target == 0.5
    config.reset()
    assert config.min_timing_iterations == 1 and config.DLA_core == -1


@pytest.mark.parametrize(("module", "size"), [(v7, 2), (v8, 4)])
def test_bindings_are_linear(module: Any, size: int) -> None:
    log = Log()
    engine = engine_of(module, log)
    assert engine is not None, log.errors()
    for i in range(engine.num_bindings):
        assert engine.get_binding_bytes_per_component(i) == size
        assert engine.get_binding_components_per_element(i) == 1
        assert engine.get_binding_vectorized_dim(i) == -1
        assert engine.get_binding_format(i) == module.TensorFormat.LINEAR
        assert "linear" in engine.get_binding_format_desc(i)
        assert engine.get_location(i) == module.TensorLocation.DEVICE


@pytest.mark.parametrize("module", [v8, v10, v11])
def test_tensors_are_linear(module: Any) -> None:
    log = Log()
    engine = engine_of(module, log)
    assert engine is not None, log.errors()
    for name in ("x", "y"):
        assert engine.get_tensor_bytes_per_component(name) == 4
        assert engine.get_tensor_components_per_element(name, 0) == 1
        assert engine.get_tensor_vectorized_dim(name) == -1
        assert engine.get_tensor_format(name, 0) == module.TensorFormat.LINEAR
        assert "linear" in engine.get_tensor_format_desc(name)
    assert engine.get_tensor_bytes_per_component("none") == engine.get_tensor_components_per_element("none") == -1
    assert engine.get_tensor_format_desc("none") == "" and "no tensor 'none'" in log.errors()
    assert engine.num_aux_streams == 0 and engine.tactic_sources == 0
    if module is v10:
        assert engine.get_device_memory_size_for_profile(0) == engine.device_memory_size


def test_a_network_in_bytes() -> None:
    """What serialize writes is the network: read again, it means the same."""
    import io
    import json
    import zipfile

    from tensorwright.ir.network_codec import decode_network
    from tensorwright.ops.evaluate import evaluate
    from tensorwright.ops.registry import REGISTRY
    log = Log()
    network = v10.Builder(log).create_network(0)
    x = network.add_input("x", v10.float32, (2, 3))
    w = network.add_constant((2, 3), np.arange(6, dtype=np.float32)).get_output(0)
    assert network.serialize() is None and "no outputs" in log.errors()
    y = network.add_elementwise(x, w, v10.ElementWiseOperation.PROD).get_output(0)
    y.name = "y"
    network.mark_output(y)
    content = bytes(network.serialize())
    assert content == bytes(network.serialize())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        data = json.loads(archive.read("network.json"))
        arrays = {name: np.load(io.BytesIO(archive.read(f"constants/{i}.npy")), allow_pickle=False)
                  for i, name in enumerate(data["constants"])}
    given = np.ones((2, 3), np.float32) * 2
    found = evaluate(decode_network(data, arrays, REGISTRY), {"x": given})
    np.testing.assert_array_equal(found["y"], given * np.arange(6).reshape(2, 3))


def test_tensors_of_a_network() -> None:
    network = v8.Builder(Log()).create_network(1)
    x, z = network.add_input("x", v8.float32, (2, 3)), network.add_input("z", v8.float32, (4,))
    assert not x.broadcast_across_batch and not network.has_explicit_precision
    x.broadcast_across_batch = True
    assert network.num_inputs == 2
    network.remove_tensor(z)
    assert network.num_inputs == 1 and network.get_input(0) is x
    scale = network.add_scale_nd(network.add_input("i", v8.float32, (1, 2, 3, 4)), v8.ScaleMode.CHANNEL,
                                 np.zeros(4, np.float32), np.ones(4, np.float32), np.ones(4, np.float32),
                                 channel_axis=3)
    assert scale.channel_axis == 3 and tuple(scale.get_output(0).shape) == (1, 2, 3, 4)
    old = v7.Builder(Log()).create_network(1)
    a, b = old.add_input("a", v7.float32, (3, 2)), old.add_input("b", v7.float32, (3, 4))
    product = old.add_matrix_multiply_deprecated(a, True, b, False)
    assert product.transpose0 and not product.transpose1 and tuple(product.get_output(0).shape) == (2, 4)
    product.transpose0 = False
    assert product.op0 == v7.MatrixOperation.NONE
