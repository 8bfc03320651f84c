"""The engine inspector: what viewers of engines read is there, and true."""

import json
from typing import Any

import numpy as np
import pytest

import tensorwright as trt

JSON = trt.LayerInformationFormat.JSON
ONELINE = trt.LayerInformationFormat.ONELINE


def built(verbosity: Any) -> Any:
    """conv 3x3 + ReLU, max pool, fully connected; two profiles of a batch."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network()
    rng = np.random.default_rng(0)
    x = network.add_input("image", trt.float32, (-1, 3, 8, 8))
    conv = network.add_convolution_nd(x, 16, (3, 3), rng.standard_normal(16 * 3 * 9, np.float32),
                                      np.ones(16, np.float32))
    conv.name, conv.padding_nd, conv.stride_nd = "conv", (1, 1), (2, 2)
    relu = network.add_activation(conv.get_output(0), trt.ActivationType.RELU)
    pool = network.add_pooling_nd(relu.get_output(0), trt.PoolingType.MAX, (2, 2))
    pool.name, pool.stride_nd = "pool", (2, 2)
    flat = network.add_shuffle(pool.get_output(0))
    flat.reshape_dims = (-1, 64)
    weights = network.add_constant((64, 10), rng.standard_normal(640, np.float32))
    fc = network.add_matrix_multiply(flat.get_output(0), trt.MatrixOperation.NONE, weights.get_output(0),
                                     trt.MatrixOperation.NONE)
    fc.name = "fc"
    fc.get_output(0).name = "logits"
    network.mark_output(fc.get_output(0))
    config = builder.create_builder_config()
    config.builder_optimization_level = 0
    config.profiling_verbosity = verbosity
    for sizes in ((1, 2, 4), (8, 8, 8)):
        profile = builder.create_optimization_profile()
        profile.set_shape("image", *[(n, 3, 8, 8) for n in sizes])
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan
    return trt.Runtime(logger).deserialize_cuda_engine(plan)


@pytest.fixture(scope="module")
def engine() -> Any:
    return built(trt.ProfilingVerbosity.DETAILED)


def information(engine: Any, context: Any = None) -> Any:
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    return json.loads(inspector.get_engine_information(JSON))


def test_layers_form_the_graph(engine: Any) -> None:
    """Every input is a binding or an output of a layer before it: viewers draw edges by names."""
    data = information(engine)
    assert data["Bindings"] == ["image", "logits", "image [profile 1]", "logits [profile 1]"]
    assert len(data["Layers"]) == engine.num_layers
    known = {"image", "image [profile 1]"}
    for layer in data["Layers"]:
        assert layer["Inputs"] and layer["Outputs"]
        assert {t["Name"] for t in layer["Inputs"]} <= known, layer
        known |= {t["Name"] for t in layer["Outputs"]}
        for t in (*layer["Inputs"], *layer["Outputs"]):
            assert t["Format/Datatype"] in ("Row major linear FP32", "Channel major FP32 format")
            assert t["Datatype"] == "FP32" and t["Format"] == t["Format/Datatype"] and t["Location"] == "Device"
    assert {"logits", "logits [profile 1]"} <= known
    assert [layer["Name"].endswith(" [profile 1]") for layer in data["Layers"]].count(True) == engine.num_layers // 2


def test_parameters_and_weights(engine: Any) -> None:
    found = {layer["Name"]: layer for layer in information(engine)["Layers"]}
    conv = next(layer for name, layer in found.items() if layer["ParameterType"] == "Convolution" and "conv" in name)
    expected = {"Kernel": [3, 3], "Stride": [2, 2], "PrePadding": [1, 1], "PostPadding": [1, 1], "Dilation": [1, 1],
                "OutMaps": 16, "Groups": 1, "HasBias": 1, "HasReLU": 1, "Activation": "RELU",
                "Weights": {"Type": "Float", "Count": 432}, "Bias": {"Type": "Float", "Count": 16}}
    assert {k: conv[k] for k in expected} == expected
    assert conv["TacticName"] and conv["TacticValue"].startswith("0x") and conv["StreamId"] == 0
    pool = next(layer for layer in found.values() if layer["ParameterType"] == "Pooling")
    assert pool["PoolingType"] == "MAX" and pool["WindowSize"] == [2, 2] and pool["Stride"] == [2, 2]
    product = next(layer for layer in found.values() if layer["ParameterType"] == "MatrixMultiply")
    assert product["Weights"] == {"Type": "Float", "Count": 640}
    assert product["Outputs"][0]["Name"] == "logits"


def test_dimensions_follow_the_context(engine: Any) -> None:
    assert information(engine)["Layers"][0]["Inputs"][0]["Dimensions"] == [-1, 3, 8, 8]
    context = engine.create_execution_context()
    context.set_input_shape("image", (3, 3, 8, 8))
    layers = information(engine, context)["Layers"]
    first = [layer for layer in layers if not layer["Name"].endswith("]")]
    assert all(t["Dimensions"][0] == 3 for layer in first for t in (*layer["Inputs"], *layer["Outputs"]))
    second = [layer for layer in layers if layer["Name"].endswith(" [profile 1]")]
    assert all(t["Dimensions"][0] == -1 or t["Dimensions"][0] == 8 for layer in second for t in layer["Inputs"])


def test_one_line_and_numbers(engine: Any) -> None:
    inspector = engine.create_engine_inspector()
    lines = inspector.get_engine_information(ONELINE).splitlines()
    assert lines[0] == "Layers:" and lines[-4:] == information(engine)["Bindings"]
    for i in range(engine.num_layers):
        assert inspector.get_layer_information(i, ONELINE) == lines[1 + i]
        assert json.loads(inspector.get_layer_information(i, JSON)) == information(engine)["Layers"][i]
    assert inspector.get_layer_information(engine.num_layers, JSON) == ""
    assert inspector.get_layer_information(-1, JSON) == ""


@pytest.mark.parametrize("verbosity", [trt.ProfilingVerbosity.LAYER_NAMES_ONLY, trt.ProfilingVerbosity.NONE])
def test_less_verbose_engines_tell_less(verbosity: Any) -> None:
    engine = built(verbosity)
    layers = information(engine)["Layers"]
    if verbosity == trt.ProfilingVerbosity.NONE:
        assert layers == []
    else:
        assert len(layers) == engine.num_layers and all(isinstance(layer, str) for layer in layers)


def test_pointwise_operations_compute_the_expression() -> None:
    from tensorwright.builder.attributes import pointwise
    from tensorwright.dtypes import DType
    from tensorwright.ops.expr import Apply, Const, In
    f = DType.float32
    shared = Apply("add", (In(0, f), Const(1.5, f)), f)
    told = pointwise(Apply("mul", (shared, Apply("exp", (shared,), f)), f), ["a"])
    assert told["Operations"] == ["auto const v0 = add(a, 1.5);", "auto const v1 = exp(v0);",
                                  "auto const v2 = mul(v0, v1);"]
    assert told["NbOperations"] == 3 and told["OutputVars"] == ["v2"] and told["Literals"] == ["1.5"]
