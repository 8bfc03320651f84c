"""A model with a node that ONNX does not know, and its plugin (onnx_custom_plugin): from a library in generation 8, a
class with a creator from 10 on. Prints the largest difference from NumPy."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import tensorrt as trt
from buffers import allocate, infer, release
from onnx import TensorProto, helper

LOGGER = trt.Logger(trt.Logger.WARNING)
NAME, AXIS = "CustomHardmax", 1


def model():
    """Two inputs are added, normalised along an axis, and the place of the largest is marked."""
    shape = ["batch", 5, 7]
    nodes = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("Tanh", ["s"], ["t"]),
             helper.make_node(NAME, ["t"], ["y"], name="hardmax", axis=AXIS)]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "aby"]
    graph = helper.make_graph(nodes, "custom", values[:2], values[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def at(desc, address):
    """The float32 tensor of a plugin at an address."""
    count = int(np.prod(tuple(desc.dims)))
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(tuple(desc.dims))


def register():
    """The plugin of generations 10 and 11."""
    class Hardmax(trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime):
        def __init__(self, axis):
            for base in Hardmax.__bases__:
                base.__init__(self)
            self.plugin_namespace, self.plugin_name, self.plugin_version = "", NAME, "1"
            self.num_outputs, self.axis = 1, int(axis)

        def get_capability_interface(self, type):
            return self

        def get_output_data_types(self, input_types):
            return [input_types[0]]

        def get_output_shapes(self, inputs, shape_inputs, exprBuilder):
            return [trt.DimsExprs(inputs[0])]

        def supports_format_combination(self, pos, in_out, num_inputs):
            desc = in_out[pos].desc
            return desc.format == trt.TensorFormat.LINEAR and desc.type == trt.float32

        def configure_plugin(self, inp, out):
            pass

        def on_shape_change(self, inp, out):
            pass

        def set_tactic(self, tactic):
            pass

        def attach_to_context(self, context):
            return self.clone()

        def get_fields_to_serialize(self):
            return trt.PluginFieldCollection([trt.PluginField("axis", np.int32([self.axis]),
                                                              trt.PluginFieldType.INT32)])

        def clone(self):
            return Hardmax(self.axis)

        def enqueue(self, input_desc, output_desc, inputs, outputs, workspace, stream):
            x, y = at(input_desc[0], inputs[0]), at(output_desc[0], outputs[0])
            y[...] = 0
            np.put_along_axis(y, np.expand_dims(x.argmax(self.axis), self.axis), 1, self.axis)

    class Creator(trt.IPluginCreatorV3One):
        def __init__(self):
            trt.IPluginCreatorV3One.__init__(self)
            self.name, self.plugin_version, self.plugin_namespace = NAME, "1", ""
            self.field_names = trt.PluginFieldCollection([trt.PluginField("axis", np.array([]),
                                                                          trt.PluginFieldType.INT32)])

        def create_plugin(self, name, fc, phase):
            return Hardmax(next(f.data for f in fc if f.name == "axis")[0])

    assert trt.get_plugin_registry().register_creator(Creator(), "")


def main():
    trt.init_libnvinfer_plugins(LOGGER, "")
    if hasattr(trt, "IPluginV3"):
        register()
    else:
        assert trt.get_plugin_registry().load_library(str(Path(__file__).parent / "hardmax_library.py")) is not None
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1)
    parser = trt.OnnxParser(network, LOGGER)
    assert parser.parse(model()), [str(parser.get_error(i)) for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name in "ab":
        profile.set_shape(name, (1, 5, 7), (2, 5, 7), (3, 5, 7))
    config.add_optimization_profile(profile)
    plan = Path(sys.argv[1])
    plan.write_bytes(builder.build_serialized_network(network, config))
    with trt.Runtime(LOGGER) as runtime:
        engine = runtime.deserialize_cuda_engine(plan.read_bytes())
    inputs, outputs, addresses, stream = allocate(engine, 0)
    context = engine.create_execution_context()
    rng, worst = np.random.default_rng(0), 0.0
    for batch in (1, 2, 3):
        a, b = rng.normal(size=(2, batch, 5, 7)).astype(np.float32)
        for pair, name, array in zip(inputs, "ab", (a, b), strict=True):
            assert context.set_input_shape(name, array.shape)
            pair.host[: array.size] = array.ravel()
        y, = infer(engine, context, inputs, outputs, addresses, stream)
        expected = (a + b == (a + b).max(AXIS, keepdims=True)).astype(np.float32)
        worst = max(worst, float(abs(y[: a.size].reshape(a.shape) - expected).max()))
    release(inputs, outputs, stream)
    print(f"largest difference: {worst}")


if __name__ == "__main__":
    main()
