"""Plugins of version 2: IPluginV2DynamicExt in the way that scripts write it, built, kept in a plan, and run."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tensorwright
from tensorwright.generations import v10, v11

from .support import at, engine_of, logger, run, started

both = pytest.mark.parametrize("trt", [v10, v11, tensorwright], ids=["10", "11", "all"])


def circular(trt: ModuleType, calls: list[str], fault: str = "") -> tuple[type, type]:
    """A plugin that pads the last two axes around, and its creator. calls: hooks in the order they are called."""
    class CircularPadding(trt.IPluginV2DynamicExt):  # type: ignore[misc,name-defined]
        def __init__(self, fields: Any = None) -> None:
            trt.IPluginV2DynamicExt.__init__(self)
            self.num_outputs = 1
            self.plugin_type, self.plugin_version, self.plugin_namespace = "CircularPadding", "1", "test"
            self.pads = [] if fields is None else [int(p) for p in fields[0].data]

        def _called(self, hook: str) -> None:
            calls.append(hook)
            if hook == fault:
                raise RuntimeError(f"{hook} is broken")

        def get_output_datatype(self, index: int, types: Any) -> Any:
            return types[0]

        def get_output_dimensions(self, index: int, inputs: Any, builder: Any) -> Any:
            self._called("dimensions")
            out = trt.DimsExprs(inputs[0])
            for k in range(len(self.pads) // 2):
                axis = len(out) - k - 1
                out[axis] = builder.operation(trt.DimensionOperation.SUM, inputs[0][axis],
                                              builder.constant(self.pads[2 * k] + self.pads[2 * k + 1]))
            return out

        def supports_format_combination(self, pos: int, in_out: Any, num_inputs: int) -> bool:
            assert num_inputs == 1
            if in_out[pos].format != trt.TensorFormat.LINEAR:
                return False
            return in_out[pos].type == (trt.float32 if pos == 0 else in_out[0].type)

        def configure_plugin(self, inputs: Any, outputs: Any) -> None:
            self._called("configure")
            self.configured = tuple(inputs[0].min), tuple(inputs[0].opt), tuple(inputs[0].max), \
                tuple(inputs[0].desc.dims), tuple(outputs[0].desc.dims)

        def get_workspace_size(self, inputs: Any, outputs: Any) -> int:
            return 4 * int(np.prod(tuple(outputs[0].dims)))

        def initialize(self) -> None:
            self._called("initialize")

        def enqueue(self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, workspace: int,
                    stream: int) -> None:
            self._called("enqueue")
            x, y = at(input_desc[0], inputs[0]), at(output_desc[0], outputs[0])
            scratch = at(output_desc[0], workspace)
            (left, right, top, bottom) = self.pads
            scratch[...] = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), mode="wrap")
            y[...] = scratch
            assert outputs[0] % 4 == 0 and workspace % 256 == 0

        def serialize(self) -> bytes:
            self._called("serialize")
            return np.int32(self.pads).tobytes()

        def clone(self) -> Any:
            self._called("clone")
            made = CircularPadding()
            made.__dict__.update(self.__dict__)
            return made

        def terminate(self) -> None:
            self._called("terminate")

        def destroy(self) -> None:
            self._called("destroy")

    class Creator(trt.IPluginCreator):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.IPluginCreator.__init__(self)
            self.name, self.plugin_version, self.plugin_namespace = "CircularPadding", "1", ""
            self.field_names = trt.PluginFieldCollection(
                [trt.PluginField("pads", np.array([]), trt.PluginFieldType.INT32)])

        def create_plugin(self, name: str, fields: Any) -> Any:
            return CircularPadding(fields)

        def deserialize_plugin(self, name: str, data: Any) -> Any:
            calls.append("deserialize")
            made = CircularPadding()
            made.pads = np.frombuffer(data, np.int32).tolist()
            return made

    return CircularPadding, Creator


def padded(trt: ModuleType, plugin: Any, log: Any = None) -> tuple[Any, Any, Any]:
    builder, network, config = started(trt, log)
    x = network.add_input("x", trt.float32, (1, 2, -1, 4))
    layer = network.add_plugin_v2([x], plugin)
    assert layer.plugin is plugin and layer.type == trt.LayerType.PLUGIN_V2
    assert layer.get_output(0).shape == (1, 2, -1, 7) and layer.get_output(0).dtype == trt.float32
    relu = network.add_activation(layer.get_output(0), trt.ActivationType.RELU)
    relu.get_output(0).name = "y"
    network.mark_output(relu.get_output(0))
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (1, 2, 2, 4), (1, 2, 3, 4), (1, 2, 6, 4))
    config.add_optimization_profile(profile)
    return builder, network, config


def fields(trt: ModuleType) -> Any:
    return trt.PluginFieldCollection([trt.PluginField("pads", np.array([1, 2, 0, 1], np.int32),
                                                      trt.PluginFieldType.INT32)])


@both
def test_a_plugin_is_built_kept_and_run_at_shapes_that_vary(trt: ModuleType, registered: Any) -> None:
    calls: list[str] = []
    registered(trt, circular(trt, calls)[1]())
    creator = trt.get_plugin_registry().get_creator("CircularPadding", "1", "test")
    plugin = creator.create_plugin("pad", fields(trt))
    engine = engine_of(trt, *padded(trt, plugin))
    assert not hasattr(plugin, "configured")                      # the build configured a copy of it
    assert calls.index("configure") < calls.index("serialize") < calls.index("deserialize")
    calls.clear()
    context = engine.create_execution_context()
    rng = np.random.default_rng(0)
    for height in (3, 5, 5, 2):
        x = rng.standard_normal((1, 2, height, 4), dtype=np.float32)
        expected = np.maximum(np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 2)), mode="wrap"), 0)
        np.testing.assert_array_equal(run(context, x=x)["y"], expected)
    del context
    once = ["clone", "initialize"]
    assert calls == [*once, "configure", "enqueue", "configure", "enqueue", "enqueue", "configure", "enqueue",
                     "terminate", "destroy"]


@both
def test_the_build_tells_the_plugin_its_profile(trt: ModuleType, registered: Any) -> None:
    kind, creator = circular(trt, [])
    registered(trt, creator())
    told = []
    kind.serialize = lambda self: told.append(self.configured) or np.int32(self.pads).tobytes()  # type: ignore
    plugin = kind(fields(trt))
    builder, network, config = padded(trt, plugin)
    assert builder.build_serialized_network(network, config) is not None
    assert told[0] == ((1, 2, 2, 4), (1, 2, 3, 4), (1, 2, 6, 4), (1, 2, -1, 4), (1, 2, -1, 7))


@pytest.mark.parametrize("hook", ["dimensions", "configure", "clone", "serialize"])
def test_a_hook_that_raises_fails_the_build(hook: str, registered: Any, capfd: pytest.CaptureFixture[str]) -> None:
    trt = v10
    kind, creator = circular(trt, [], fault=hook)
    registered(trt, creator())
    log = logger(trt)
    builder, network, config = started(trt, log)
    layer = network.add_plugin_v2([network.add_input("x", trt.float32, (1, 2, 3, 4))], kind(fields(trt)))
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    assert builder.build_serialized_network(network, config) is None
    assert f"{hook} is broken" in log.errors() and "CircularPadding" in log.errors()
    assert f"RuntimeError: {hook} is broken" in capfd.readouterr().err


def test_a_hook_that_raises_fails_the_run(registered: Any, capfd: pytest.CaptureFixture[str]) -> None:
    trt = v10
    kind, creator = circular(trt, [])
    registered(trt, creator())
    log = logger(trt)
    builder, network, config = started(trt, log)
    layer = network.add_plugin_v2([network.add_input("x", trt.float32, (1, 2, 3, 4))], kind(fields(trt)))
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    engine = engine_of(trt, builder, network, config, log)
    context = engine.create_execution_context()
    x, y = np.zeros((1, 2, 3, 4), np.float32), np.zeros((1, 2, 4, 7), np.float32)

    def broken(*_: Any) -> None:
        raise ValueError("no more")
    kind.enqueue = broken  # type: ignore[attr-defined]
    assert not context.execute_v2([x.ctypes.data, y.ctypes.data])
    assert "enqueue raised ValueError: no more" in log.errors() and "no more" in capfd.readouterr().err


def test_a_plan_without_its_creator_is_refused(registered: Any) -> None:
    trt = v10
    kind, creator = circular(trt, [])
    made = registered(trt, creator())
    plan = (lambda b, n, c: b.build_serialized_network(n, c))(*padded(trt, kind(fields(trt))))
    assert trt.get_plugin_registry().deregister_creator(made)
    log = logger(trt)
    assert trt.Runtime(log).deserialize_cuda_engine(plan) is None
    assert "CircularPadding" in log.errors() and "'test'" in log.errors()
    assert trt.get_plugin_registry().register_creator(made, "test")
    assert trt.Runtime(log).deserialize_cuda_engine(plan) is not None


def test_a_plugin_whose_creator_is_not_registered_runs_in_its_process() -> None:
    trt = v10
    kind, _ = circular(trt, [])
    engine = (lambda b, n, c: b.build_engine_with_config(n, c))(*padded(trt, kind(fields(trt))))
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(run(engine.create_execution_context(), x=x)["y"],
                                  np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 2)), mode="wrap"))
    assert trt.get_plugin_registry().get_creator("CircularPadding", "1", "test") is None


def test_formats_other_than_linear_are_refused_by_name() -> None:
    trt = v10
    kind, _ = circular(trt, [])
    kind.supports_format_combination = lambda self, pos, in_out, n: (  # type: ignore[attr-defined]
        in_out[pos].format == trt.TensorFormat.CHW4)
    log = logger(trt)
    builder, network, config = padded(trt, kind(fields(trt)), log)
    assert builder.build_serialized_network(network, config) is None
    assert "TensorFormat.CHW4" in log.errors() and "TensorFormat.LINEAR" in log.errors()
    kind.supports_format_combination = lambda self, pos, in_out, n: (  # type: ignore[attr-defined]
        in_out[pos].type == trt.float16)
    assert builder.build_serialized_network(network, config) is None
    assert "does not support input 0 as float32" in log.errors()
