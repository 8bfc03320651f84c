"""tensorrt.plugin: registered, tuned and run as scripts do it, under the generations that have it."""

import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import tensorwright
import tensorwright.plugin as trtp
from tensorwright import compat
from tensorwright.generations import v8, v10, v11

from .support import engine_of, logger, run, started

both = pytest.mark.parametrize("trt", [v10, v11, tensorwright], ids=["10", "11", "all"])
#: (tactic, first attribute) of each run of the plugins below
RUNS: list[Any] = []


@trtp.register("decorated::add_scaled")
def add_scaled(x: trtp.TensorDesc, y: trtp.TensorDesc, by: float, label: str, table: npt.NDArray[np.float32],
               on: bool, times: int = 1) -> trtp.TensorDesc:
    assert not x.has_shape and x.has_shape_expr
    return x.like()


@trtp.autotune("decorated::add_scaled")
def add_scaled_tune(x: trtp.TensorDesc, y: trtp.TensorDesc, by: float,
                    outputs: tuple[trtp.TensorDesc]) -> list[trtp.AutoTuneCombination]:
    assert x.shape.opt == outputs[0].shape.opt and x.shape.min <= x.shape.max
    return [trtp.AutoTuneCombination("FP32|FP16, FP32|FP16, FP32|FP16", "LINEAR*CHW4", [1, 2])]


@trtp.impl("decorated::add_scaled")
def add_scaled_impl(x: trtp.Tensor, y: trtp.Tensor, by: float, label: str, table: npt.NDArray[np.float32], on: bool,
                    times: int, outputs: tuple[trtp.Tensor], stream: int, tactic: int) -> None:
    RUNS.append((tactic, by, label, table.tolist(), on, times, stream))
    if tactic == 1:
        for _ in range(3000):
            np.sum(np.asarray(x))
    np.asarray(outputs[0])[...] = (np.asarray(x) + np.asarray(y) * np.float32(by)) * times + table[0]


@trtp.register("decorated::columns")
def columns(x: trtp.TensorDesc, block: int) -> tuple[trtp.TensorDesc, trtp.TensorDesc]:
    first = trtp.from_shape_expr((trtp.cdiv(x.shape_expr[1], block), x.shape_expr[0]), dtype=tensorwright.int32)
    second = x.like()
    second.shape_expr[1] = trtp.max(trtp.min(x.shape_expr[1] * 2 - 1, 7), 3)
    return first, second


@trtp.impl("decorated::columns")
def columns_impl(x: trtp.Tensor, block: int, outputs: tuple[trtp.Tensor, ...], stream: int) -> None:
    np.asarray(outputs[0])[...] = block
    np.asarray(outputs[1])[...] = np.resize(np.asarray(x), tuple(outputs[1].shape))


@trtp.register("decorated::nonzero")
def nonzero(x: trtp.TensorDesc) -> tuple[trtp.TensorDesc, trtp.TensorDesc]:
    most = x.shape_expr.numel()
    count = trtp.size_tensor(most // 2, most)
    return trtp.from_shape_expr((count.expr(), x.ndim), dtype=tensorwright.int32), count


@trtp.impl("decorated::nonzero")
def nonzero_impl(x: trtp.Tensor, outputs: tuple[trtp.Tensor, trtp.Tensor], stream: int) -> None:
    found = np.stack(np.nonzero(np.asarray(x)), axis=1)
    assert outputs[0].is_data_dependent and not outputs[1].is_data_dependent and outputs[1].ndim == 0
    np.asarray(outputs[0])[:len(found)] = found
    np.asarray(outputs[1])[...] = len(found)


@trtp.register("decorated::increase")
def increase(x: trtp.TensorDesc, delta: int) -> trtp.TensorDesc:
    return x.aliased()


@trtp.impl("decorated::increase")
def increase_impl(x: trtp.Tensor, delta: int, outputs: tuple[trtp.Tensor], stream: int) -> None:
    assert outputs[0].is_aliased and outputs[0].data_ptr == x.data_ptr and not x.is_aliased
    view = np.asarray(x)
    view += delta


@trtp.register("decorated::compiled")
def compiled(x: trtp.TensorDesc) -> trtp.TensorDesc:
    return x.like()


@trtp.aot_impl("decorated::compiled")
def compiled_aot(x: trtp.TensorDesc, outputs: tuple[trtp.TensorDesc], tactic: int) -> Any:
    raise AssertionError("never called on a CPU")


def profiled(builder: Any, config: Any, **ranges: Any) -> None:
    profile = builder.create_optimization_profile()
    for name, (low, best, high) in ranges.items():
        profile.set_shape(name, low, best, high)
    config.add_optimization_profile(profile)


@both
def test_elementwise_with_tactics(trt: ModuleType) -> None:
    log = logger(trt)
    builder, network, config = started(trt, log)
    x, y = (network.add_input(n, trt.float32, (-1, 3)) for n in "xy")
    table = np.float32([0.25, 9])
    layer = network.add_plugin(trtp.op.decorated.add_scaled(x, y, by=2.5, label="é", table=table, on=True, times=3))
    assert layer.type == trt.LayerType.PLUGIN_V3 and layer.get_output(0).shape == (-1, 3)
    layer.get_output(0).name = "z"
    network.mark_output(layer.get_output(0))
    profiled(builder, config, x=((1, 3), (2, 3), (4, 3)), y=((1, 3), (2, 3), (4, 3)))
    engine = engine_of(trt, builder, network, config, log)
    RUNS.clear()
    a, b = np.float32([[1, 2, 3], [4, 5, 6]]), np.float32([[-1, 0, 1], [2, 3, 4]])
    z = run(engine.create_execution_context(), x=a, y=b)["z"]
    np.testing.assert_array_equal(z, (a + b * np.float32(2.5)) * 3 + np.float32(0.25))
    assert RUNS == [(2, 2.5, "é", [0.25, 9.0], True, 3, 0)]             # the quicker tactic


@both
def test_shapes_are_computed_with_symbols(trt: ModuleType) -> None:
    builder, network, config = started(trt)
    x = network.add_input("x", trt.float32, (2, -1))
    layer = network.add_plugin(trtp.op.decorated.columns(x, 4), aot=False)
    for i, name in enumerate(("blocks", "wide")):
        layer.get_output(i).name = name
        network.mark_output(layer.get_output(i))
    profiled(builder, config, x=((2, 1), (2, 4), (2, 9)))
    context = engine_of(trt, builder, network, config).create_execution_context()
    for n in (1, 3, 4, 5, 9):
        a = np.arange(2 * n, dtype=np.float32).reshape(2, n)
        results, wide = run(context, x=a), (2, max(min(2 * n - 1, 7), 3))
        np.testing.assert_array_equal(results["blocks"], np.full((-(-n // 4), 2), 4))
        np.testing.assert_array_equal(results["wide"], np.resize(a, wide))


@both
def test_a_size_that_the_run_decides(trt: ModuleType) -> None:
    builder, network, config = started(trt)
    layer = network.add_plugin(trtp.op.decorated.nonzero(network.add_input("x", trt.float32, (3, 4))))
    for i, name in enumerate(("where", "count")):
        layer.get_output(i).name = name
        network.mark_output(layer.get_output(i))
    context = engine_of(trt, builder, network, config).create_execution_context()
    for x in (np.eye(3, 4, dtype=np.float32), np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32)):
        results = run(context, x=x)
        np.testing.assert_array_equal(results["where"], np.argwhere(x))
        assert results["count"] == np.count_nonzero(x)


@both
def test_in_place(trt: ModuleType) -> None:
    builder, network, config = started(trt)
    if hasattr(config, "set_preview_feature"):
        config.set_preview_feature(trt.PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)
    layer = network.add_plugin(trtp.op.decorated.increase(network.add_input("x", trt.int32, (2, 2)), delta=7))
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    context = engine_of(trt, builder, network, config).create_execution_context()
    a = np.int32([[1, 2], [3, 4]])
    np.testing.assert_array_equal(run(context, x=a)["y"], a + 7)


def test_a_model_names_it_and_the_tuple_form_works() -> None:
    node = onnx.helper.make_node("columns", ["x"], ["a", "b"], "c", domain="d", block=4, plugin_namespace="decorated")
    values = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", (2, 5)), ("b", None))]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    engine = tensorwright.build(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("d", 1)],
                                                       ir_version=8))
    x = np.arange(10, dtype=np.float32).reshape(2, 5)
    np.testing.assert_array_equal(engine(x), np.resize(x, (2, 7)))
    _, network, _ = started(v10)
    inputs, shape_inputs, plugin = trtp.op.decorated.columns(network.add_input("x", v10.float32, (2, 5)), block=4)
    layer = network.add_plugin((inputs, shape_inputs, plugin))
    assert layer.num_outputs == 2 and layer.plugin is plugin and layer.get_output(1).shape == (2, 7)


@both
def test_kernels_for_a_gpu_are_refused_or_replaced(trt: ModuleType) -> None:
    log = logger(trt)
    _, network, _ = started(trt, log)
    x = network.add_input("x", trt.float32, (2,))
    assert network.add_plugin(trtp.op.decorated.compiled(x)) is None
    assert "decorated::compiled" in log.errors() and '@trt.plugin.impl("decorated::compiled")' in log.errors()
    assert network.add_plugin(trtp.op.decorated.columns(x, 2), aot=True) is None
    plan = trtp.op.decorated.compiled._plan
    try:
        trtp.impl("decorated::compiled")(lambda x, outputs, stream: None)
        assert network.add_plugin(trtp.op.decorated.compiled(x)) is not None
        assert any("its impl runs instead" in text for _, text in log.lines)
    finally:
        plan.impl = None


def test_what_the_decorators_refuse() -> None:
    def desc(x: trtp.TensorDesc, n: int) -> trtp.TensorDesc:
        return x.like()

    def untyped(x: trtp.TensorDesc, n) -> trtp.TensorDesc:  # type: ignore[no-untyped-def]
        return x.like()

    def late(n: int, x: trtp.TensorDesc) -> trtp.TensorDesc:
        return x.like()

    def bare(x: trtp.TensorDesc):  # type: ignore[no-untyped-def]
        return x.like()

    def listed(x: trtp.TensorDesc, n: list[int]) -> trtp.TensorDesc:
        return x.like()

    for function, words in ((untyped, "has no type"), (late, "tensor after an attribute"),
                            (bare, "annotated to return"), (listed, "no attribute has")):
        with pytest.raises(ValueError, match=words):
            trtp.register("decorated::refused")(function)
    with pytest.raises(ValueError, match="namespace::name"):
        trtp.register("refused")(desc)
    with pytest.raises(ValueError, match="registered already"):
        trtp.register("decorated::columns")(desc)
    with pytest.raises(ValueError, match="is not registered"):
        trtp.impl("decorated::unknown")(lambda x, outputs, stream: None)
    with pytest.raises(ValueError, match="'outputs'"):
        trtp.impl("decorated::compiled")(lambda x, stream: None)
    with pytest.raises(ValueError, match="parameter 'size'"):
        trtp.impl("decorated::compiled")(lambda x, size, outputs, stream: None)
    with pytest.raises(AttributeError, match="no plugin 'nothing'"):
        _ = trtp.op.decorated.nothing
    _, network, _ = started(v10)
    x = network.add_input("x", v10.float32, (2, 5))
    for call, kind, words in ((lambda: trtp.op.decorated.columns(x), ValueError, "needs the attribute 'block'"),
                              (lambda: trtp.op.decorated.columns(x, block=2.5), TypeError, "of type int, not float"),
                              (lambda: trtp.op.decorated.columns(block=2), ValueError, "needs the tensor 'x'"),
                              (lambda: trtp.op.decorated.columns(x, 2, size=3), ValueError, "no attribute 'size'"),
                              (lambda: trtp.op.decorated.columns(3, 2), TypeError, "'x' is an ITensor")):
        with pytest.raises(kind, match=words):
            call()
    with pytest.raises(ValueError, match="must be a ShapeExpr"):
        trtp.cdiv(7, 2)


def test_a_lazy_one_is_announced_when_it_is_used() -> None:
    registry = v10.get_plugin_registry()

    @trtp.register("decorated::lazy", lazy_register=True)
    def lazy(x: trtp.TensorDesc) -> trtp.TensorDesc:
        return x.like()

    trtp.impl("decorated::lazy")(lambda x, outputs, stream: None)
    assert registry.get_creator("lazy", "1", "decorated") is None
    _, network, _ = started(v10)
    assert network.add_plugin(trtp.op.decorated.lazy(network.add_input("x", v10.float32, (2,)))) is not None
    assert isinstance(registry.get_creator("lazy", "1", "decorated"), tensorwright.IPluginCreatorV3Quick)


def test_symbols() -> None:
    fake = trtp.ShapeExpr()
    assert fake.is_fake and (fake + 1).is_fake and isinstance(2 * fake, trtp.ShapeExpr)
    with pytest.raises(ValueError, match="is_fake"):
        _ = fake.is_constant
    seven = trtp.ShapeExpr(7)
    assert (seven // 2 * 2 - 1 + seven).constant_value() == 12 and (10 - seven).constant_value() == 3
    assert (seven == 7).constant_value() == 1 and bool(seven < 8) and not bool(seven < 7)
    assert trtp.cdiv(seven, 2).constant_value() == 4 and trtp.max(3, seven).constant_value() == 7
    shape = trtp.ShapeExprs.from_tuple((seven, 3))
    assert shape.numel().constant_value() == 21 and len(shape) == 2 and [e.constant_value() for e in shape] == [7, 3]
    with pytest.raises(TypeError):
        shape[0] = "7"
    params = trtp.KernelLaunchParams(grid_x=trtp.cdiv(seven, 4), block_x=4)
    assert isinstance(params.grid_x, trtp.SymInt32) and params.grid_x.constant_value() == 2
    assert params.block_x.constant_value() == 4 and params.shared_mem.constant_value() == 0
    assert [type(e) for e in trtp.SymIntExprs.from_tuple((trtp.SymInt8(1), 2))] == [trtp.SymInt8, trtp.SymInt32]


@pytest.mark.parametrize(("types", "layouts", "count", "expected"), [
    ("FP32|FP16, FP32|FP16", "LINEAR", 2, ["FLOAT FLOAT LINEAR LINEAR", "HALF HALF LINEAR LINEAR"]),
    ("FP32*FP16, INT32", "LINEAR", 2, ["FLOAT INT32 LINEAR LINEAR", "HALF INT32 LINEAR LINEAR"]),
    ("FP32*FP16", "LINEAR", 2, [f"{a} {b} LINEAR LINEAR" for a in ("FLOAT", "HALF") for b in ("FLOAT", "HALF")]),
    ("FP32, FP32", "LINEAR*HWC, LINEAR", 2, ["FLOAT FLOAT LINEAR LINEAR", "FLOAT FLOAT HWC LINEAR"])])
def test_combinations(types: str, layouts: str, count: int, expected: list[str]) -> None:
    found = trtp.AutoTuneCombination(types, layouts)._combinations(count)
    assert [" ".join(m.name for m in (*t, *f)) for t, f in found] == expected


def test_combinations_by_position_and_broken_ones() -> None:
    by_position = trtp.AutoTuneCombination()
    by_position.pos([0, 2], "FP32|FP16", "LINEAR")
    by_position.pos(1, "INT8")
    by_position.tactics([3, 4])
    assert [[m.name for m in t] for t, _ in by_position._combinations(3)] == [
        ["FLOAT", "INT8", "FLOAT"], ["HALF", "INT8", "HALF"]]
    for bad, words in ((trtp.AutoTuneCombination("FP32, FP31"), "no element type"),
                       (trtp.AutoTuneCombination("FP32", "ROUND"), "no format"),
                       (trtp.AutoTuneCombination("FP32|FP16, FP32|FP16|INT8"), "differ in number"),
                       (trtp.AutoTuneCombination("FP32|FP16*INT8, FP32"), "both"),
                       (trtp.AutoTuneCombination("FP32, FP32, FP32"), "3 entries for 2"),
                       (trtp.AutoTuneCombination(), "nothing of the types")):
        with pytest.raises(ValueError, match=words):
            bad._combinations(2)


def test_the_submodule_is_where_scripts_look_for_it() -> None:
    assert v10.plugin is v11.plugin is trtp and tensorwright.plugin is trtp and not hasattr(v8, "plugin")
    text = ("import tensorrt as trt\nimport tensorrt.plugin as trtp\nassert trt.plugin is trtp\n"
            "from tensorrt.plugin import register, TensorDesc\nprint(trt.__version__)")
    for generation in ("10", "11"):
        done = subprocess.run([sys.executable, "-c", text], env=compat.environment(generation), capture_output=True,
                              text=True, check=False)
        assert done.stdout.startswith(generation), done.stderr
    done = subprocess.run([sys.executable, "-c", text], env=compat.environment("8"), capture_output=True, text=True,
                          check=False)
    assert "No module named 'tensorrt.plugin'" in done.stderr
