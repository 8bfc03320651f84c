"""The registry: one for creators, for plugins of tensorwright, and for those of its library; fields; resources."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tensorwright
from tensorwright import plugins
from tensorwright.generations import v5, v7, v8, v10, v11

from .support import engine_of, logger, run, started


def made(trt: ModuleType, name: str, version: str = "1", namespace: str = "") -> Any:
    class Creator(trt.IPluginCreator):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.IPluginCreator.__init__(self)
            self.name, self.plugin_version, self.plugin_namespace = name, version, namespace
            self.field_names = trt.PluginFieldCollection()
    return Creator()


@pytest.mark.parametrize("trt", [v8, v10, v11, tensorwright], ids=["8", "10", "11", "all"])
def test_creators_are_found_by_name_version_and_namespace(trt: ModuleType, registered: Callable[..., Any]) -> None:
    registry = trt.get_plugin_registry()
    assert registry is trt.get_plugin_registry() and type(registry) is trt.IPluginRegistry
    assert registry is trt.Builder(logger(trt)).get_plugin_registry() is trt.Runtime(logger(trt)).get_plugin_registry()
    assert registry is trt.get_builder_plugin_registry(trt.EngineCapability.STANDARD)
    first = registered(trt, made(trt, "RegistryTest"))
    assert first.plugin_namespace == "test"
    second = registered(trt, made(trt, "RegistryTest", "2"))
    assert not registry.register_creator(made(trt, "RegistryTest"), "test")      # taken
    find = registry.get_creator if hasattr(registry, "get_creator") else registry.get_plugin_creator
    assert find("RegistryTest", "1", "test") is first and find("RegistryTest", "2", plugin_namespace="test") is second
    assert find("RegistryTest", "1") is None and find("RegistryTest", "3", "test") is None
    listed = registry.all_creators if hasattr(registry, "all_creators") else registry.plugin_creator_list
    assert [c for c in listed if c.name == "RegistryTest"] == [first, second]
    assert registry.deregister_creator(second) and not registry.deregister_creator(second)
    assert find("RegistryTest", "2", "test") is None
    with pytest.raises(TypeError):
        registry.register_creator("RegistryTest", "test")


def test_what_each_generation_lists(registered: Callable[..., Any]) -> None:
    three = v10.IPluginCreatorV3One()
    three.name, three.plugin_version = "RegistryThree", "1"
    registered(v10, three)
    registry = v10.get_plugin_registry()
    assert registry.get_creator("RegistryThree", "1", "test") is three
    assert registry.get_plugin_creator("RegistryThree", "1", "test") is None       # of version 3
    assert three in registry.all_creators and three in registry.all_creators_recursive
    assert three not in registry.plugin_creator_list
    assert not hasattr(v11.get_plugin_registry(), "plugin_creator_list") and not hasattr(v8, "IPluginCreatorV3One")
    assert not hasattr(v8.get_plugin_registry(), "all_creators")


@pytest.mark.parametrize("trt", [v8, v10, v11], ids=["8", "10", "11"])
def test_plugins_of_the_library_have_creators(trt: ModuleType) -> None:
    """Non-maximum suppression of two boxes that overlap, in the way that scripts use bundled plugins."""
    log = logger(trt)
    assert trt.init_libnvinfer_plugins(log, "")
    registry = trt.get_plugin_registry()
    find = registry.get_creator if hasattr(registry, "get_creator") else registry.get_plugin_creator
    creator = find("EfficientNMS_TRT", "1", "")
    assert creator is find("EfficientNMS_TRT", "1", "") and isinstance(creator, trt.IPluginCreator)
    assert "score_threshold" in [f.name for f in creator.field_names]
    settings: dict[str, tuple[Any, Any]] = {
        "score_threshold": (np.float32([0.25]), trt.PluginFieldType.FLOAT32),
        "iou_threshold": (np.float32([0.5]), trt.PluginFieldType.FLOAT32),
        "max_output_boxes": (np.int32([4]), trt.PluginFieldType.INT32),
        "score_activation": (np.int32([0]), trt.PluginFieldType.INT32),
        "box_coding": (np.int32([0]), trt.PluginFieldType.INT32),
        "background_class": (np.int32([-1]), trt.PluginFieldType.INT32)}
    fields = trt.PluginFieldCollection([trt.PluginField(n, a, t) for n, (a, t) in settings.items()])
    plugin = creator.create_plugin("nms", fields)
    assert plugin.plugin_type == "EfficientNMS_TRT"
    builder, network, config = started(trt, log)
    boxes, scores = (network.add_input(n, trt.float32, s) for n, s in (("boxes", (1, 3, 4)), ("scores", (1, 3, 1))))
    layer = network.add_plugin_v2([boxes, scores], plugin)
    assert layer.num_outputs == 4 and layer.plugin is plugin
    for i, name in enumerate(("count", "kept", "best", "classes")):
        layer.get_output(i).name = name
        network.mark_output(layer.get_output(i))
    context = engine_of(trt, builder, network, config, log).create_execution_context()
    given = np.float32([[[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]]])
    results = run(context, boxes=given, scores=np.float32([[[0.9], [0.8], [0.7]]]))
    assert results["count"].tolist() == [[2]]
    np.testing.assert_array_equal(results["kept"][0, :2], given[0, [0, 2]])
    assert creator.create_plugin("x", trt.PluginFieldCollection([trt.PluginField("unknown")])) is None


def test_a_custom_op_and_an_expression_are_layers_too() -> None:
    trt = v10

    @tensorwright.custom_op("registry::scaled")
    def scaled(x: Any, by: float = 2.0, names: tuple[str, ...] = ()) -> Any:
        return x * np.float32(by) + len(names)

    @tensorwright.custom_op("registry::gate", expand=True)
    def gate(x: Any, scale: float = 1.0) -> Any:
        return x * plugins.ops.Sigmoid(scale * x)

    def fields(*given: tuple[str, Any, str]) -> Any:
        return trt.PluginFieldCollection([trt.PluginField(n, a, trt.PluginFieldType[t]) for n, a, t in given])

    registry = trt.get_plugin_registry()
    first = registry.get_creator("scaled", "1", "registry").create_plugin(
        "a", fields(("by", np.float32([3]), "FLOAT32"), ("names", b"one\0two", "CHAR")))
    second = registry.get_creator("gate", "1", "registry").create_plugin("b", fields(("scale", np.float32([0.5]),
                                                                                      "FLOAT32")))
    builder, network, config = started(trt)
    one = network.add_plugin_v2([network.add_input("x", trt.float32, (2, 3))], first)
    two = network.add_plugin_v3([one.get_output(0)], [], second)
    assert two.get_output(0).shape == (2, 3)
    two.get_output(0).name = "y"
    network.mark_output(two.get_output(0))
    x = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
    t = x * 3 + 2
    np.testing.assert_allclose(run(engine_of(trt, builder, network, config).create_execution_context(), x=x)["y"],
                               t / (1 + np.exp(-t / 2)), rtol=1e-5, atol=1e-6)


def test_resources_are_shared_and_counted() -> None:
    calls = []

    class Counter(v10.IPluginResource):  # type: ignore[misc,name-defined]
        def clone(self) -> Any:
            calls.append("clone")
            return Counter()

        def release(self) -> None:
            calls.append("release")

    registry = v10.get_plugin_registry()
    first = registry.acquire_plugin_resource("counter", Counter())
    assert registry.acquire_plugin_resource("counter", Counter()) is first and calls == ["clone"]
    assert registry.release_plugin_resource("counter") == 0 and calls == ["clone"]
    assert registry.release_plugin_resource("counter") == 0 and calls == ["clone", "release"]
    assert registry.release_plugin_resource("counter") == -1


def test_libraries_are_python_files(tmp_path: Path) -> None:
    registry, name = v10.get_plugin_registry(), "from_a_file"
    path = tmp_path / "mine.py"
    path.write_text("import tensorwright\n\n@tensorwright.custom_op('file::from_a_file')\n"
                    "def from_a_file(x):\n    return x\n")
    handle = registry.load_library(str(path))
    assert handle is not None and registry.get_creator(name, "1", "file") is not None
    registry.deregister_library(handle)
    assert registry.get_creator(name, "1", "file") is None
    (tmp_path / "broken.py").write_text("1 / 0\n")
    for wrong in ("broken.py", "nothing.py", "libnvinfer_plugin.so"):
        assert registry.load_library(str(tmp_path / wrong)) is None


def test_errors_reach_the_recorder_and_the_logger_given() -> None:
    class Recorder(v10.IErrorRecorder):  # type: ignore[misc,name-defined]
        heard: list[str] = []

        def report_error(self, code: Any, text: str) -> bool:
            self.heard.append(text)
            return False

    registry, log = v10.get_plugin_registry(), logger(v10)
    before = registry._logger.logger
    try:
        assert v10.init_libnvinfer_plugins(log, "") and v10.init_libnvinfer_plugins(None, "")
        registry.error_recorder = recorder = Recorder()
        assert registry.get_creator("NoSuchPlugin", "1", "") is None
        assert "NoSuchPlugin" in recorder.heard[0] and "NoSuchPlugin" in log.errors()
    finally:
        registry.error_recorder, registry._logger.logger = None, before


def test_libraries_are_not_carried_by_plans() -> None:
    trt, log = v10, logger(v10)
    builder, network, config = started(trt, log)
    network.mark_output(network.add_identity(network.add_input("x", trt.float32, (2,))).get_output(0))
    assert len(config.plugins_to_serialize) == 0
    config.plugins_to_serialize = ["libmine.so"]
    assert config.plugins_to_serialize == ["libmine.so"]
    assert builder.build_serialized_network(network, config) is None and "libmine.so" in log.errors()


@pytest.mark.parametrize("trt", [v5, v7, v8, v10, v11], ids=["5", "7", "8", "10", "11"])
def test_fields_hold_arrays_by_reference(trt: ModuleType) -> None:
    kinds = trt.PluginFieldType
    numbers = np.int32([1, 2, 3])
    field = trt.PluginField("numbers", numbers, kinds.INT32)
    assert (field.name, field.type, field.size) == ("numbers", kinds.INT32, 3)
    numbers[1] = 7
    assert field.data.tolist() == [1, 7, 3] and field.data.dtype == np.int32
    text = trt.PluginField("text", b"caf\xc3\xa9", kinds.CHAR)
    assert text.data.tobytes().decode() == "café" and text.size == 5
    assert trt.PluginField("alone").size == 0 and trt.PluginField().type == kinds.UNKNOWN
    doubled = trt.PluginField("x", np.float64([1.5]), kinds.FLOAT64)
    doubled.data, doubled.type = np.float16([2, 3]), kinds.FLOAT16
    assert doubled.data.tolist() == [2, 3] and doubled.size == 2
    too_many = trt.PluginField("x", np.int32([1]), kinds.INT32)
    too_many.size = 2
    with pytest.raises(AttributeError, match="4 bytes"):
        _ = too_many.data
    dims = trt.PluginField("x", np.zeros(9, np.int32), kinds.DIMS)
    with pytest.raises(AttributeError, match="no NumPy form"):
        _ = dims.data
    with pytest.raises(ValueError, match="C-contiguous"):
        trt.PluginField("x", np.zeros((4, 4), np.int32)[:, 1], kinds.INT32)
    with pytest.raises(AttributeError):
        field.value = 3


def test_collections_of_fields_are_lists_of_nothing_else() -> None:
    a, b, c = (v10.PluginField(n) for n in "abc")
    fields = v10.PluginFieldCollection([a])
    fields.append(c)
    fields.insert(1, b)
    fields.extend([a])
    assert [f.name for f in fields] == ["a", "b", "c", "a"] and fields.pop() is a and len(fields) == 3
    fields[0] = c
    assert fields[0] is c and fields[-1] is c
    fields.clear()
    assert not fields
    for wrong in (lambda: fields.append("a"), lambda: v10.PluginFieldCollection(["a"]), lambda: fields.extend([1])):
        with pytest.raises(TypeError):
            wrong()
    fixed = v10.PluginFieldCollection_([a, b])
    assert len(fixed) == 2 and fixed[1] is b and [f.name for f in fixed] == ["a", "b"]
    with pytest.raises(TypeError):
        fixed[0] = b


def test_expressions_of_sizes() -> None:
    builder, op = v10.IExprBuilder(), v10.DimensionOperation
    seven, two = builder.constant(7), builder.constant(2)
    values = {op.SUM: 9, op.PROD: 14, op.MAX: 7, op.MIN: 2, op.SUB: 5, op.EQUAL: 0, op.LESS: 0, op.FLOOR_DIV: 3,
              op.CEIL_DIV: 4}
    for operation, expected in values.items():
        found = builder.operation(operation, seven, two)
        assert found.is_constant() and found.get_constant_value() == expected, operation
    assert builder.operation(op.LESS, two, seven).get_constant_value() == 1
    assert builder.operation(op.EQUAL, two, two).get_constant_value() == 1
    size = builder.declare_size_tensor(1, two, seven)
    assert size.is_size_tensor() and not size.is_constant() and size.get_constant_value() < 0
    assert not builder.operation(op.SUM, size, two).is_size_tensor()
    with pytest.raises(ValueError, match="twice"):
        builder.declare_size_tensor(1, two, seven)
    with pytest.raises(ZeroDivisionError):
        builder.operation(op.FLOOR_DIV, seven, builder.constant(0))
    shape = v10.DimsExprs(2)
    shape[0], shape[1] = seven, two
    again = v10.DimsExprs(shape)
    assert len(again) == 2 and again[-1] is two and len(v10.DimsExprs()) == 0
    with pytest.raises(TypeError):
        shape[0] = 7


def test_versions_and_symbols_of_compiled_kernels() -> None:
    creator = v10.IPluginCreator()
    assert creator.api_language == v10.APILanguage.PYTHON and isinstance(creator.interface_info, v10.InterfaceInfo)
    assert not hasattr(creator, "tensorrt_version")
    info = v10.IPluginV3OneCore().interface_info
    assert (info.kind, info.major, info.minor) == ("PLUGIN_V3ONE_CORE", 1, 0)
    params, argument = v10.KernelLaunchParams(), v10.ISymExpr()
    argument.dtype, argument.type, argument.expr = v10.PluginArgDataType.INT32, v10.PluginArgType.INT, 3
    params.grid_x = argument
    assert params.grid_x is argument and isinstance(params.block_x, v10.ISymExpr)
    with pytest.raises(TypeError):
        params.grid_y = 3
    with pytest.raises(AttributeError):
        _ = argument.expr
    extra = v10.ISymExprs()
    extra.nbSymExprs = 2
    extra[1] = argument
    assert len(extra) == 2 and extra[1] is argument and extra[0] is None
