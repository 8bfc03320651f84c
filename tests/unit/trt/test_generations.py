"""Generations as views: the names and integers of one generation, whatever the implementation has beside them."""

from types import ModuleType

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v5, v6, v7, v8, v10, v11, view

VIEWS = {"5": v5, "6": v6, "7": v7, "8": v8, "10": v10, "11": v11}


@pytest.mark.parametrize("generation", VIEWS)
def test_enumerations_have_the_members_and_integers_of_their_generation(generation: str) -> None:
    module = VIEWS[generation]
    for name, entry in view.table()["enums"].items():
        if "." in name:
            continue
        assert hasattr(module, name) == (generation in entry["generations"].split()), name
        if not hasattr(module, name):
            continue
        expected = {m: n.get(generation) if isinstance(n, dict) else n for m, (g, n) in entry["members"].items()
                    if generation in g.split()}
        found = {m: int(v) for m, v in getattr(module, name).__members__.items()}
        assert set(found) == set(expected), name
        assert all(n is None or found[m] == n for m, n in expected.items()), name


@pytest.mark.parametrize("generation", VIEWS)
def test_names_that_a_generation_lacks_are_not_there(generation: str) -> None:
    module = VIEWS[generation]
    for name, entry in view.table()["classes"].items():
        if generation not in entry["generations"].split():
            assert not hasattr(module, name), name
            continue
        if (kind := getattr(module, name, None)) is None or name in view.VALUES:
            continue
        inherited = {m for b in kind.__mro__ for m, g in view.table()["classes"].get(b.__name__, {"members": {}})
                     ["members"].items() if generation in g.split()}
        assert not {m for m in dir(kind) if not m.startswith("_") and hasattr(kind, m)} - inherited, name


@pytest.mark.parametrize("generation", VIEWS)
def test_every_name_of_a_generation_is_there(generation: str) -> None:
    """Classes, enumerations and functions, members of classes, and names of submodules."""
    assert view.missing(VIEWS[generation], generation) == []


def test_members_of_all_generations_are_equal_by_meaning() -> None:
    assert v8.BuilderFlag.REFIT == v10.BuilderFlag.REFIT == trt.BuilderFlag.REFIT
    assert int(v8.BuilderFlag.REFIT) == 5 and int(v10.BuilderFlag.REFIT) == 4
    assert v10.BuilderFlag.REFIT in {v8.BuilderFlag.REFIT} and v8.BuilderFlag.REFIT != v8.BuilderFlag.TF32
    assert v7.SliceMode.DEFAULT == v10.SampleMode.STRICT_BOUNDS
    assert v8.DataType.FLOAT != v8.LayerType.CONVOLUTION and str(v8.DataType.FLOAT) == "DataType.FLOAT"
    assert isinstance(v8.float32, trt.DataType) and isinstance(trt.float32, v11.DataType)
    assert not isinstance(v8.float32, v8.LayerType)


def test_flags_have_the_bits_of_their_generation() -> None:
    for module in (v8, v10, v11):
        config = module.Builder(module.Logger()).create_builder_config()
        assert config.flags == 1 << int(module.BuilderFlag.TF32)
        config.flags |= 1 << int(module.BuilderFlag.REFIT)
        assert config.get_flag(module.BuilderFlag.REFIT) and config.get_flag(trt.BuilderFlag.REFIT)
        config.clear_flag(module.BuilderFlag.TF32)
        assert config.flags == 1 << int(module.BuilderFlag.REFIT)
        with pytest.raises(ValueError, match="stand for no BuilderFlag"):
            config.flags = 1 << 90


def test_hidden_names_cannot_be_set_or_found() -> None:
    builder, older = v11.Builder(v11.Logger()), v10.Builder(v10.Logger())
    assert not hasattr(v11, "IInt8Calibrator") and not hasattr(v11.BuilderFlag, "FP16")
    assert not hasattr(builder, "platform_has_fast_fp16") and hasattr(older, "platform_has_fast_fp16")
    with pytest.raises(AttributeError):
        v7.Builder(v7.Logger()).max_threads = 2
    assert v8.tensorrt is v8 and v8.__version__.startswith("8.6")


@pytest.mark.parametrize("module", [v8, v10, v11], ids=["8", "10", "11"])
def test_a_network_is_built_and_run_in_a_generation(module: ModuleType) -> None:
    logger = module.Logger(module.Logger.ERROR)
    builder = module.Builder(logger)
    flags = 1 << int(module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH) if module is v8 else 0
    network = builder.create_network(flags)
    x = network.add_input("x", module.float32, (2, 3))
    relu = network.add_activation(x, module.ActivationType.RELU)
    relu.get_output(0).name = "y"
    network.mark_output(relu.get_output(0))
    assert type(network) is module.INetworkDefinition and type(relu) is module.IActivationLayer
    assert type(network.get_layer(0)) is module.ILayer and network.get_layer(0).type == module.LayerType.ACTIVATION
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    engine = module.Runtime(logger).deserialize_cuda_engine(plan)
    assert type(engine) is module.ICudaEngine and isinstance(engine, trt.ICudaEngine)
    assert engine.get_tensor_dtype("x") == module.float32
    context = engine.create_execution_context()
    assert type(context) is module.IExecutionContext
    a, b = np.float32([[-1, 2, -3], [4, -5, 6]]), np.zeros((2, 3), np.float32)
    assert context.execute_v2([a.ctypes.data, b.ctypes.data])
    np.testing.assert_array_equal(b, np.maximum(a, 0))
