"""Plugins of version 3 in the ways that scripts write them: capabilities, tactics, sizes decided by data, aliases."""

from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

import tensorwright
from tensorwright.generations import v10, v11

from .support import at, engine_of, logger, run, started

both = pytest.mark.parametrize("trt", [v10, v11, tensorwright], ids=["10", "11", "all"])


def three(trt: ModuleType, name: str, build: str = "IPluginV3OneBuild") -> type:
    """A class with the boilerplate of a plugin of version 3; tests subclass it with what they are about."""
    Build = getattr(trt, build)

    class Three(trt.IPluginV3, trt.IPluginV3OneCore, Build, trt.IPluginV3OneRuntime):  # type: ignore
        calls: list[Any] = []
        settings: dict[str, Any] = {}

        def __init__(self, **settings: Any) -> None:
            trt.IPluginV3.__init__(self)
            trt.IPluginV3OneCore.__init__(self)
            Build.__init__(self)
            trt.IPluginV3OneRuntime.__init__(self)
            self.plugin_name, self.plugin_version, self.plugin_namespace = name, "1", "test"
            self.num_outputs = 1
            self.settings = settings

        def get_capability_interface(self, type: Any) -> Any:
            return self

        def get_output_data_types(self, types: Any) -> Any:
            return [types[0]]

        def get_output_shapes(self, inputs: Any, shape_inputs: Any, builder: Any) -> Any:
            return [trt.DimsExprs(inputs[0])]

        def configure_plugin(self, inputs: Any, outputs: Any) -> None:
            self.calls.append("configure")

        def on_shape_change(self, inputs: Any, outputs: Any) -> None:
            self.calls.append(("shapes", [tuple(d.dims) for d in (*inputs, *outputs)]))

        def supports_format_combination(self, pos: int, in_out: Any, num_inputs: int) -> bool:
            return bool(in_out[pos].desc.format == trt.TensorFormat.LINEAR)

        def set_tactic(self, tactic: int) -> None:
            self.calls.append(("tactic", tactic))
            self.tactic = tactic

        def get_fields_to_serialize(self) -> Any:
            self.calls.append("fields")
            types = {np.dtype("int32"): trt.PluginFieldType.INT32, np.dtype("float32"): trt.PluginFieldType.FLOAT32}
            return trt.PluginFieldCollection([trt.PluginField(k, v, types[v.dtype]) for k, v in self.settings.items()])

        def attach_to_context(self, context: Any) -> Any:
            assert isinstance(context, trt.IPluginResourceContext) and context.gpu_allocator is None
            self.calls.append("attach")
            return self.clone()

        def clone(self) -> Any:
            made = type(self)(**self.settings)
            made.__dict__.update(self.__dict__)
            return made

        def destroy(self) -> None:
            self.calls.append("destroy")

    return Three


def creator_of(trt: ModuleType, kind: type, name: str, *fields: Any) -> Any:
    class Creator(trt.IPluginCreatorV3One):  # type: ignore[misc,name-defined]
        phases: list[Any] = []

        def __init__(self) -> None:
            trt.IPluginCreatorV3One.__init__(self)
            self.name, self.plugin_version, self.plugin_namespace = name, "1", "test"
            self.field_names = trt.PluginFieldCollection(
                [trt.PluginField(f, np.array([]), t) for f, t in fields])

        def create_plugin(self, layer: str, given: Any, phase: Any) -> Any:
            self.phases.append((layer, phase))
            return kind(**{f.name: f.data for f in given})
    Creator.phases = []
    return Creator()


def circular(trt: ModuleType) -> tuple[type, Any]:
    class Circular(three(trt, "Circular")):  # type: ignore[misc]
        calls: list[Any] = []

        def get_output_shapes(self, inputs: Any, shape_inputs: Any, builder: Any) -> Any:
            out = trt.DimsExprs(len(inputs[0]))
            left, right, top, bottom = (int(p) for p in self.settings["pads"])
            for axis in range(len(out)):
                more = {2: top + bottom, 3: left + right}.get(axis, 0)
                out[axis] = builder.operation(trt.DimensionOperation.SUM, inputs[0][axis], builder.constant(more))
            return [out]

        def get_valid_tactics(self) -> list[int]:
            return [1, 2]

        def get_workspace_size(self, inputs: Any, outputs: Any) -> int:
            return 4 * int(np.prod(tuple(outputs[0].max)))

        def enqueue(self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, workspace: int,
                    stream: int) -> None:
            self.calls.append("enqueue")
            x, y = at(input_desc[0], inputs[0]), at(output_desc[0], outputs[0])
            left, right, top, bottom = (int(p) for p in self.settings["pads"])
            pads = ((0, 0), (0, 0), (top, bottom), (left, right))
            if self.tactic == 1:
                sum(float(np.sum(x)) for _ in range(2000))          # the slower way
            at(output_desc[0], workspace)[...] = np.pad(x, pads, mode="wrap")
            y[...] = at(output_desc[0], workspace)
    Circular.calls = []
    return Circular, creator_of(trt, Circular, "Circular", ("pads", trt.PluginFieldType.INT32))


@both
def test_circular_padding(trt: ModuleType, registered: Any) -> None:
    kind, creator = circular(trt)
    registered(trt, creator)
    assert trt.get_plugin_registry().get_creator("Circular", "1", "test") is creator
    fields = trt.PluginFieldCollection([trt.PluginField("pads", np.int32([1, 2, 0, 1]), trt.PluginFieldType.INT32)])
    plugin = creator.create_plugin("p", fields, trt.TensorRTPhase.BUILD)
    builder, network, config = started(trt)
    x = network.add_input("x", trt.float32, (-1, 2, 3, 4))
    layer = network.add_plugin_v3([x], [], plugin)
    assert layer.plugin is plugin and layer.type == trt.LayerType.PLUGIN_V3 and layer.num_inputs == 1
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (1, 2, 3, 4), (2, 2, 3, 4), (4, 2, 3, 4))
    config.add_optimization_profile(profile)
    engine = engine_of(trt, builder, network, config)
    assert creator.phases[-1] == (layer.name, trt.TensorRTPhase.RUNTIME)
    kind.calls.clear()
    first, second = engine.create_execution_context(), engine.create_execution_context()
    rng = np.random.default_rng(1)
    for context, batch in ((first, 1), (second, 4), (first, 1), (first, 3)):
        a = rng.standard_normal((batch, 2, 3, 4), dtype=np.float32)
        np.testing.assert_array_equal(run(context, x=a)["y"],
                                      np.pad(a, ((0, 0), (0, 0), (0, 1), (1, 2)), mode="wrap"))
    told = {b: ("shapes", [(b, 2, 3, 4), (b, 2, 4, 7)]) for b in (1, 3, 4)}
    begin = ["attach", ("tactic", 2)]                                # the quicker of its two tactics
    assert kind.calls == [*begin, told[1], "enqueue", *begin, told[4], "enqueue", "enqueue", told[3], "enqueue"]
    kind.calls.clear()
    del context, first
    assert kind.calls == ["destroy"]


@both
def test_a_node_of_a_model_becomes_the_plugin_of_its_creator(trt: ModuleType, registered: Any) -> None:
    _, creator = circular(trt)
    registered(trt, creator)
    node = onnx.helper.make_node("Circular", ["x"], ["y"], "pad", domain="my.domain", pads=[1, 2, 0, 1],
                                 plugin_version="1", plugin_namespace="test", remark="no field")
    graph = onnx.helper.make_graph([node], "g", [onnx.helper.make_tensor_value_info("x", 1, (1, 2, 3, 4))],
                                   [onnx.helper.make_tensor_value_info("y", 1, None)])
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("my.domain", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    log = logger(trt)
    builder, network, config = started(trt, log)
    parser = trt.OnnxParser(network, log)
    assert parser.parse(model.SerializeToString()), log.errors()
    assert network.get_output(0).shape == (1, 2, 4, 7)
    engine = engine_of(trt, builder, network, config, log)
    assert {name for name, _ in creator.phases} == {"pad"}
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    expected = np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 2)), mode="wrap")
    np.testing.assert_array_equal(run(engine.create_execution_context(), x=x)["y"], expected)
    short = tensorwright.build(model)                               # the short door finds the same creator
    np.testing.assert_array_equal(short(x), expected)


def test_versions_and_namespaces_of_nodes_are_respected(registered: Any) -> None:
    trt = v10
    registered(trt, circular(trt)[1])
    for wrong in ({"plugin_version": "2"}, {"plugin_namespace": "other"}):
        given = {"plugin_version": "1", "plugin_namespace": "test", **wrong}
        node = onnx.helper.make_node("Circular", ["x"], ["y"], "pad", domain="d", pads=[1, 2, 0, 1], **given)
        graph = onnx.helper.make_graph([node], "g", [onnx.helper.make_tensor_value_info("x", 1, (1, 2, 3, 4))],
                                       [onnx.helper.make_tensor_value_info("y", 1, None)])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("d", 1)], ir_version=8)
        log = logger(trt)
        _, network, _ = started(trt, log)
        parser = trt.OnnxParser(network, log)
        assert not parser.parse(model.SerializeToString()) and parser.num_errors
        assert "Circular" in log.errors()


@both
def test_sizes_that_the_plugin_decides(trt: ModuleType, registered: Any) -> None:
    """Indices of what is not zero, (rank, count), with the count as a size tensor."""
    class NonZero(three(trt, "NonZeroPlugin")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.num_outputs = 2

        def get_output_data_types(self, types: Any) -> Any:
            return [trt.int32, trt.int32]

        def get_output_shapes(self, inputs: Any, shape_inputs: Any, builder: Any) -> Any:
            upper = builder.operation(trt.DimensionOperation.PROD, inputs[0][0], inputs[0][1])
            half = builder.operation(trt.DimensionOperation.FLOOR_DIV, upper, builder.constant(2))
            count = builder.declare_size_tensor(1, half, upper)
            assert count.is_size_tensor() and not count.is_constant() and not upper.is_size_tensor()
            out = trt.DimsExprs(2)
            out[0], out[1] = builder.constant(2), count
            return [out, trt.DimsExprs(0)]

        def enqueue(self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, workspace: int,
                    stream: int) -> None:
            found = np.stack(np.nonzero(at(input_desc[0], inputs[0]))).astype(np.int32)
            at(output_desc[0], outputs[0]).reshape(-1)[:found.size] = found.reshape(-1)
            at(output_desc[1], outputs[1])[...] = found.shape[1]

    registered(trt, creator_of(trt, NonZero, "NonZeroPlugin"))
    builder, network, config = started(trt)
    layer = network.add_plugin_v3([network.add_input("x", trt.float32, (3, -1))], [], NonZero())
    layer.get_output(0).name, layer.get_output(1).name = "where", "count"
    network.mark_output(layer.get_output(0))
    network.mark_output(layer.get_output(1))
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (3, 1), (3, 4), (3, 9))
    config.add_optimization_profile(profile)
    context = engine_of(trt, builder, network, config).create_execution_context()
    rng = np.random.default_rng(2)
    for columns, zeros in ((4, 0.5), (9, 0.0), (5, 1.0)):
        x = (rng.random((3, columns)) >= zeros).astype(np.float32)
        results = run(context, x=x)
        np.testing.assert_array_equal(results["where"], np.stack(np.nonzero(x)))
        assert results["count"] == np.count_nonzero(x)


@both
def test_an_output_in_the_memory_of_an_input(trt: ModuleType, registered: Any) -> None:
    class AddInPlace(three(trt, "AddInPlace", "IPluginV3OneBuildV2")):  # type: ignore[misc]
        def get_aliased_input(self, output: int) -> int:
            return 0 if output == 0 else -1

        def enqueue(self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, workspace: int,
                    stream: int) -> None:
            assert inputs[0] == outputs[0]
            at(input_desc[0], inputs[0])[...] += self.settings["delta"]

    registered(trt, creator_of(trt, AddInPlace, "AddInPlace", ("delta", trt.PluginFieldType.FLOAT32)))
    builder, network, config = started(trt)
    if hasattr(config, "set_preview_feature"):
        config.set_preview_feature(trt.PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)
    x = network.add_input("x", trt.float32, (2, 3))
    added = network.add_plugin_v3([x], [], AddInPlace(delta=np.float32([2.5])))
    both_used = network.add_elementwise(x, added.get_output(0), trt.ElementWiseOperation.PROD)
    added.get_output(0).name, both_used.get_output(0).name = "y", "z"
    network.mark_output(added.get_output(0))
    network.mark_output(both_used.get_output(0))
    context = engine_of(trt, builder, network, config).create_execution_context()
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    results = run(context, x=a)
    np.testing.assert_array_equal(results["y"], a + 2.5)
    np.testing.assert_array_equal(results["z"], a * (a + 2.5))


def test_aliases_have_to_be_allowed_and_reported(registered: Any) -> None:
    trt = v10

    class Same(three(trt, "SameMemory", "IPluginV3OneBuildV2")):  # type: ignore[misc]
        calls: list[Any] = []

        def get_aliased_input(self, output: int) -> int:
            return 0

        def enqueue(self, *_: Any) -> None:
            pass

    registered(trt, creator_of(trt, Same, "SameMemory"))
    log = logger(trt)
    builder, network, config = started(trt, log)
    layer = network.add_plugin_v3([network.add_input("cache", trt.float32, (2,))], [], Same())
    layer.get_output(0).name = "updated"
    network.mark_output(layer.get_output(0))
    assert builder.build_serialized_network(network, config) is None
    assert "ALIASED_PLUGIN_IO_10_03" in log.errors() and "SameMemory" in log.errors()
    config.set_preview_feature(trt.PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)
    engine = engine_of(trt, builder, network, config, log)
    assert engine._plan.metadata["aliased/updated"] == "cache"
    assert "destroy" in Same.calls                                   # the copy that the build configured
    if hasattr(engine, "get_aliased_input_tensor"):
        assert engine.get_aliased_input_tensor("updated") == "cache"


def test_settings_of_a_plugin_reach_its_layer_or_the_log(registered: Any, caplog: pytest.LogCaptureFixture) -> None:
    trt = v10
    kind, creator = circular(trt)
    registered(trt, creator)
    plugin = kind(pads=np.int32([1, 2, 0, 1]))
    plugin.metadata_string, plugin.timing_cache_id = "made by hand", "mine"
    builder, network, config = started(trt)
    layer = network.add_plugin_v3([network.add_input("x", trt.float32, (1, 2, 3, 4))], [], plugin)
    assert layer.metadata == "made by hand"
    network.mark_output(layer.get_output(0))
    assert builder.build_serialized_network(network, config) is not None
    assert "timing_cache_id has no effect" in caplog.text and "format_combination_limit" not in caplog.text


def test_inside_a_loop(registered: Any) -> None:
    trt = v10

    class Step(three(trt, "LoopStep")):  # type: ignore[misc]
        def enqueue(self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, *_: Any) -> None:
            at(output_desc[0], outputs[0])[...] = at(input_desc[0], inputs[0]) * 2 + 1

    registered(trt, creator_of(trt, Step, "LoopStep"))
    builder, network, config = started(trt)
    x = network.add_input("x", trt.float32, (3,))
    loop = network.add_loop()
    trips = network.add_constant((), np.array(3, np.int32)).get_output(0)
    loop.add_trip_limit(trips, trt.TripLimit.COUNT)
    carried = loop.add_recurrence(x)
    step = network.add_plugin_v3([carried.get_output(0)], [], Step())
    carried.set_input(1, step.get_output(0))
    end = loop.add_loop_output(carried.get_output(0), trt.LoopOutput.LAST_VALUE)
    end.get_output(0).name = "y"
    network.mark_output(end.get_output(0))
    context = engine_of(trt, builder, network, config).create_execution_context()
    given = np.float32([0, 1, -2])
    np.testing.assert_array_equal(run(context, x=given)["y"], given * 8 + 7)


@both
def test_shape_inputs_give_sizes(trt: ModuleType, registered: Any) -> None:
    """A plugin that repeats a row as often as another tensor has columns."""
    class Repeat(three(trt, "Repeat")):  # type: ignore[misc]
        def get_output_shapes(self, inputs: Any, shape_inputs: Any, builder: Any) -> Any:
            assert len(inputs) == 1 and len(shape_inputs) == 1 and len(shape_inputs[0]) == 2
            return [trt.DimsExprs([shape_inputs[0][1], inputs[0][0]])]

        def enqueue(self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, workspace: int,
                    stream: int) -> None:
            assert len(inputs) == 1
            at(output_desc[0], outputs[0])[...] = at(input_desc[0], inputs[0])

    registered(trt, creator_of(trt, Repeat, "Repeat"))
    builder, network, config = started(trt)
    row, other = network.add_input("row", trt.float32, (3,)), network.add_input("other", trt.float32, (2, -1))
    shape = network.add_shape(other).get_output(0)
    layer = network.add_plugin_v3([row], [shape], Repeat())
    assert layer.num_inputs == 2 and layer.get_output(0).shape == (-1, 3)
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    profile = builder.create_optimization_profile()
    profile.set_shape("other", (2, 1), (2, 4), (2, 9))
    config.add_optimization_profile(profile)
    context = engine_of(trt, builder, network, config).create_execution_context()
    for columns in (4, 7):
        given = np.float32([1, 2, 3])
        results = run(context, row=given, other=np.zeros((2, columns), np.float32))
        np.testing.assert_array_equal(results["y"], np.tile(given, (columns, 1)))


def test_a_broken_answer_names_the_hook(registered: Any) -> None:
    trt = v10
    for hook, answer, words in (
            ("get_output_shapes", lambda self, i, s, b: [], "0 answers for 1 outputs"),
            ("get_output_shapes", lambda self, i, s, b: [(2, 3)], "IDimensionExpr"),
            ("get_output_data_types", lambda self, t: ["float"], "not a DataType"),
            ("get_valid_tactics", lambda self: [0, 1], "must be positive"),
            ("clone", lambda self: None, "clone gave None")):
        kind, creator = circular(trt)
        registered(trt, creator)
        setattr(kind, hook, answer)
        log = logger(trt)
        builder, network, config = started(trt, log)
        layer = network.add_plugin_v3([network.add_input("x", trt.float32, (1, 2, 3, 4))], [],
                                      kind(pads=np.int32([1, 2, 0, 1])))
        network.mark_output(layer.get_output(0))
        assert builder.build_serialized_network(network, config) is None
        assert words in log.errors() and "Circular" in log.errors(), log.errors()
        trt.get_plugin_registry().deregister_creator(creator)


def test_the_older_name_of_a_hook_counts(registered: Any) -> None:
    trt = v10
    kind = three(trt, "Older")
    older = type("Older", (kind,), {"get_output_datatypes": lambda self, types: [trt.int32],
                                    "get_output_data_types": trt.IPluginV3OneBuild.get_output_data_types})
    _, network, _ = started(trt)
    layer = network.add_plugin_v3([network.add_input("x", trt.float32, (2,))], [], older())
    assert layer.get_output(0).dtype == trt.int32
