"""Every plugin of the library as the node of a model: built, saved, loaded, and run at two sizes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorwright
from tensorwright import importer, plugins
from tensorwright.dtypes import DType
from tensorwright.ir import TensorType

from .cases import CASES, Case
from .run import run

onnx = pytest.importorskip("onnx")


def model(case: Case) -> tuple[Any, dict[str, Any], list[list[np.ndarray]]]:
    """A model of the node, the shapes to build it for, and inputs of two sizes."""
    h = onnx.helper
    small, large = case.inputs(1, 4), case.inputs(3, 7)
    names = [f"x{i}" for i in range(len(small))]
    infos, shapes = [], {}
    for name, a, b in zip(names, small, large, strict=True):
        dims = [s if s == t else f"from_{s}_to_{t}" for s, t in zip(a.shape, b.shape, strict=True)]
        infos.append(h.make_tensor_value_info(name, h.np_dtype_to_tensor_dtype(a.dtype), dims))
        shapes[name] = (a.shape, a.shape, b.shape)
    found = run(case.name, *small, version=case.version, **case.attributes)
    count = len(found) if isinstance(found, tuple) else 1
    given = {k: onnx.numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in case.attributes.items()}
    node = h.make_node(case.name, names, [f"y{i}" for i in range(count)], domain="trt", plugin_version=case.version,
                       plugin_namespace="", **given)
    kinds = [h.np_dtype_to_tensor_dtype(y.dtype) for y in (found if count > 1 else (found,))]
    graph = h.make_graph([node], "g", infos, [h.make_tensor_value_info(f"y{i}", kinds[i], None) for i in range(count)])
    made = h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid("trt", 1)], ir_version=8)
    return made, shapes, [small, large]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_in_a_model_through_a_plan(case: Case, tmp_path: Path) -> None:
    made, shapes, sizes = model(case)
    path = tmp_path / "model.plan"
    compiled = not any(layer.op.on_host for layer in importer.load(made).layers)
    assert compiled == (plugins.registry.require(case.name, case.version).expand is not None)
    options: dict[str, Any] = {"shapes": shapes} if shapes else {}
    tensorwright.build(made, **options, tune_budget=0.0, timing_cache=False, threads=1,
                       verify=False).save(path)
    engine = tensorwright.load(path)
    for arrays in sizes:
        got = engine.run({f"x{i}": a for i, a in enumerate(arrays)})
        expected = run(case.name, *(a.copy() for a in arrays), version=case.version, **case.attributes)
        expected = expected if isinstance(expected, tuple) else (expected,)
        assert list(got) == [f"y{i}" for i in range(len(expected))]
        for y, wanted in zip(got.values(), expected, strict=True):
            assert y.dtype == wanted.dtype and y.shape == wanted.shape
            np.testing.assert_allclose(y, wanted, rtol=case.tolerance, atol=case.tolerance)


def test_expressions_are_computed_on_the_host_where_data_decide_the_sizes() -> None:
    h = onnx.helper
    nodes = [h.make_node("NonZero", ["x"], ["places"]), h.make_node("Cast", ["places"], ["numbers"], to=1),
             h.make_node("Clip_TRT", ["numbers"], ["y"], domain="trt", clipMin=0.5, clipMax=1.0)]
    x, y = h.make_tensor_value_info("x", 1, [3, 4]), h.make_tensor_value_info("y", 1, None)
    graph = h.make_graph(nodes, "g", [x], [y])
    made = h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid("trt", 1)], ir_version=8)
    engine = tensorwright.build(made, tune_budget=0.0, timing_cache=False, threads=1)
    for size in (3, 2):
        got = engine.run({"x": np.eye(3, 4, 3 - size, dtype=np.float32)})["y"]
        wanted = np.array(np.nonzero(np.eye(3, 4, 3 - size)))
        np.testing.assert_array_equal(got, np.clip(wanted, 0.5, 1))


@pytest.mark.parametrize("case", [c for c in CASES if c.name in {
    "CustomSkipLayerNormPluginDynamic", "CustomQKVToContextPluginDynamic", "YoloLayer_TRT", "CoordConvAC",
    "DisentangledAttention_TRT", "Normalize_TRT"} and c.version == "1"], ids=str)
def test_half_precision_in_a_model(case: Case) -> None:
    """Compiled in float16, beside float32."""
    halves = replace(case, inputs=lambda n, m: [a.astype(np.float16) if a.dtype == np.float32 else a
                                                for a in case.inputs(n, m)])
    made, shapes, sizes = model(halves)
    engine = tensorwright.build(made, shapes=shapes, tune_budget=0.0, timing_cache=False, threads=1, verify=False)
    for arrays in sizes:
        (got,) = engine.run({f"x{i}": a for i, a in enumerate(arrays)}).values()
        wide = [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
        assert got.dtype == np.float16
        np.testing.assert_allclose(got, run(case.name, *wide, **case.attributes), rtol=5e-3, atol=1e-2)


def test_every_plugin_of_the_library_has_a_case() -> None:
    registered = {(d.name, d.version) for d in plugins.every() if is_ours(d)}
    assert {(c.name, c.version) for c in CASES} == registered


def is_ours(definition: Any) -> bool:
    return definition.infer.__module__.startswith("tensorwright.plugins.library")


@pytest.mark.parametrize("case", [c for c in CASES if c.inputs(1, 4)], ids=str)
def test_shape_rules_hold_for_sizes_that_are_not_known_yet(case: Case) -> None:
    """What the rule says of symbols becomes, with numbers for them, what it says of the numbers."""
    from tensorwright.dims import evaluate, symbol
    small, large = case.inputs(1, 4), case.inputs(3, 7)
    symbols: dict[str, tuple[int, int]] = {}
    types = []
    for a, b in zip(small, large, strict=True):
        dims = []
        for s, t in zip(a.shape, b.shape, strict=True):
            name = f"from_{s}_to_{t}"
            symbols[name] = (s, t)
            dims.append(s if s == t else symbol(name))
        types.append(TensorType(tuple(dims), DType.of(a)))
    definition = plugins.registry.require(case.name, case.version)
    op = plugins.use(definition, case.attributes, tuple(types))
    found = op.infer(*types)
    for i, arrays in enumerate((small, large)):
        exact = op.infer(*(TensorType(a.shape, DType.of(a)) for a in arrays))
        for y, wanted in zip(*(v if isinstance(v, tuple) else (v,) for v in (found, exact)), strict=True):
            assert y.dtype == wanted.dtype
            assert tuple(evaluate(d, {k: v[i] for k, v in symbols.items()}) for d in y.shape) == wanted.shape
