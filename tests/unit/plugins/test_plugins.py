"""The core of plugins: registration, attributes, shape rules, and their way through network, plan and engine."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tensorwright
from tensorwright import InputError, PlanError, ShapeError, TypeMismatch, plugins
from tensorwright.builder import BuildOptions, build
from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.ir import Network, NetworkEditor, TensorType
from tensorwright.ops import Pointwise
from tensorwright.ops.evaluate import evaluate
from tensorwright.ops.expr import Apply, Const, In
from tensorwright.plan.inspect import as_text
from tensorwright.plan.records import Profile
from tensorwright.plugins import Attribute, Definition, UpTo
from tensorwright.runtime import Engine, store

N = symbol("N")
QUICK = {"tune_budget": 0.0, "timing_cache": False, "threads": 1}


def swish() -> Definition:
    @tensorwright.custom_op("acme::swish", package="acme-ops", version="2")
    def swish(x, beta: float = 1.0):
        return x / (1 + np.exp(-beta * x))
    return swish.definition                                        # type: ignore[attr-defined]


def network(definition: Definition, *types: TensorType, attributes: dict | None = None, after: bool = True) -> Network:
    """Inputs x0, x1, ... → plugin → y0, y1, ..."""
    e = NetworkEditor("net")
    names = [e.input(f"x{i}", t) for i, t in enumerate(types)]
    made = e.add(plugins.use(definition, attributes, types), *names, name="custom")
    e.outputs = [made] if isinstance(made, str) else list(made)
    return e.finish()


def built(net: Network, ranges: tuple = (), **options: object) -> Engine:
    return Engine(build(net, BuildOptions(profiles=(Profile(ranges),), **{**QUICK, **options})))  # type: ignore


def float32(*shape: object) -> TensorType:
    return TensorType(shape, DType.float32)                        # type: ignore[arg-type]


def test_a_function_becomes_a_layer_that_runs_at_every_size(tmp_path) -> None:
    engine = built(network(swish(), float32(N, 3), attributes={"beta": 2}), (("N", (0, 2, 5)),))
    engine.save(tmp_path / "p.plan")
    again = tensorwright.load(tmp_path / "p.plan")
    for n in (0, 1, 5):
        x = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32)
        expected = (x.astype(np.float64) / (1 + np.exp(-2.0 * x.astype(np.float64)))).astype(np.float32)
        np.testing.assert_allclose(engine(x), expected, rtol=1e-5)
        np.testing.assert_array_equal(again(x), engine(x))
    data = json.loads(again.inspect("json"))
    needed = {"name": "swish", "version": "2", "namespace": "acme", "package": "acme-ops"}
    assert data["plugins"] == [needed]
    assert [s["note"] for s in data["host_steps"]] == ["plugin acme::swish, version 2"]
    assert "plugin   acme::swish, version 2, from the package acme-ops" in again.inspect()
    assert any("its own reference" in text for text in data["verification"]["skipped"])


def test_a_plan_names_the_plugin_that_is_missing(tmp_path) -> None:
    definition = swish()
    built(network(definition, float32(2, 3))).save(tmp_path / "p.plan")
    plugins.unregister(definition)
    with pytest.raises(PlanError) as missing:
        tensorwright.load(tmp_path / "p.plan")
    for text in ("'swish'", "version 2", "namespace 'acme'", "not registered", "pip install acme-ops", "custom"):
        assert text in str(missing.value)
    plan = store.load(tmp_path / "p.plan")
    assert "acme::swish" in as_text(plan, plan.programs[0])
    plugins.register(Definition("acme::swish", np.negative, version="1"))
    with pytest.raises(PlanError, match="registered is version 1"):
        tensorwright.load(tmp_path / "p.plan")
    plugins.register(definition)
    assert tensorwright.load(tmp_path / "p.plan")(np.zeros((2, 3), np.float32)).shape == (2, 3)


def test_a_plan_for_another_machine_is_built_again_with_its_plugins(tmp_path) -> None:
    from tensorwright.builder.build import rebuild
    definition = swish()
    engine = built(network(definition, float32(2, 3), attributes={"beta": -0.5}))
    again = rebuild(engine.plan, BuildOptions(**QUICK))             # type: ignore[arg-type]
    x = np.linspace(-3, 3, 6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(Engine(again)(x), engine(x))
    plugins.unregister(definition)
    with pytest.raises(PlanError, match="acme"):
        rebuild(engine.plan, BuildOptions(**QUICK))                 # type: ignore[arg-type]


def test_two_outputs_of_other_types_and_an_optional_input() -> None:
    @tensorwright.custom_op("split_max", shape=lambda x, bias=None, *, k: [(x.shape[0], k), (x.shape[0],)],
                            dtype=("float32", "int64"))
    def split_max(x, bias=None, k: int = 1):
        x = x if bias is None else x + bias
        return -np.sort(-x, axis=1)[:, :k].astype(np.float32), x.argmax(axis=1)

    definition = split_max.definition                               # type: ignore[attr-defined]
    assert definition.inputs == (1, 2)
    for types in ((float32(N, 4),), (float32(N, 4), float32(4))):
        engine = built(network(definition, *types, attributes={"k": 2}), (("N", (1, 2, 3)),))
        feeds = [np.random.default_rng(i).standard_normal((3, 4)[i:]).astype(np.float32) for i in range(len(types))]
        best, where = engine(*feeds)
        x = sum(f.astype(np.float64) for f in feeds)
        np.testing.assert_allclose(best, np.sort(x, axis=1)[:, :-3:-1], rtol=1e-6)
        np.testing.assert_array_equal(where, np.argmax(x, axis=1))
        assert where.dtype == np.int64


def test_sizes_that_the_data_decide_are_bounded() -> None:
    @tensorwright.custom_op("positive", shape=lambda x: (UpTo(x.shape[0] // 2),))
    def positive(x):
        return x[x > 0]

    engine = built(network(positive.definition, float32(N)), (("N", (1, 4, 8)),), verify=False)  # type: ignore
    assert engine.outputs[0].shape is None
    np.testing.assert_array_equal(engine(np.float32([1, -1, 2, -3])), np.float32([1, 2]))
    assert engine(np.float32([-1, -1])).shape == (0,)
    with pytest.raises(ShapeError, match="≤"):
        engine(np.float32([1, 1, 2, -3]))


def test_layers_around_a_plugin_are_compiled_and_halves_reach_it_as_they_are() -> None:
    seen = []

    @tensorwright.custom_op("spy")
    def spy(x):
        seen.append(x.dtype)
        return x * 2

    e = NetworkEditor("net")
    x = e.input("x", TensorType((3, 4), DType.float16))
    half = In(0, DType.float16)
    y = e.add(Pointwise(Apply("add", (half, Const(1.0, DType.float16)), DType.float16)), x)
    y = e.add(plugins.use(spy.definition, {}, (e.types[str(y)],)), str(y))              # type: ignore
    y = e.add(Pointwise(Apply("neg", (half,), DType.float16)), str(y))
    e.outputs = [str(y)]
    a = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float16)
    engine = built(e.finish())
    np.testing.assert_allclose(engine(a), -2 * (a.astype(np.float64) + 1), rtol=2e-3)
    assert set(seen) == {np.dtype(np.float16)}
    assert len(json.loads(engine.inspect("json"))["host_steps"]) == 1


@pytest.mark.parametrize("given, text", [
    ({"beta": "much"}, "'beta' must be a number"), ({"beta": True}, "'beta' must be a number"),
    ({"k": 1.5}, "'k' must be a whole number"), ({"axes": 3}, "'axes' must be a sequence of whole numbers"),
    ({"axes": (1, "a")}, "'axes' must be"), ({"flag": 2}, "'flag' must be true or false"),
    ({"mode": 3}, "'mode' must be text"), ({"bata": 1.0}, "did you mean 'beta'"), ({"k": 1 << 63}, "64 bits"),
    ({"table": ["a"]}, "'table' must be an array")])
def test_wrong_attributes_are_named(given: dict, text: str) -> None:
    @tensorwright.custom_op("picky", attributes={"table": Attribute("array", np.zeros(2))})
    def picky(x, k: int = 1, beta: float = 0.0, axes: tuple[int, ...] = (), flag: bool = False, mode: str = "a",
              limit: float | None = None, **more):
        return x

    with pytest.raises(InputError, match="picky") as wrong:
        plugins.use(picky.definition, given, (float32(2),))        # type: ignore[attr-defined]
    assert text in str(wrong.value)


def test_attributes_of_all_types_arrive_and_travel(tmp_path) -> None:
    got: dict = {}
    table = np.arange(6, dtype=np.int16).reshape(2, 3)

    @tensorwright.custom_op("all_kinds", attributes={"table": Attribute("array"), "raw": Attribute("bytes")})
    def all_kinds(x, a: int, b: float, c: bool, d: str, e: tuple[int, ...], f: list[float], g: list[str],
                  h: list[bool], i: float | None = None, **more):
        got.update(a=a, b=b, c=c, d=d, e=e, f=f, g=g, h=h, i=i, **more)
        return x

    given = {"a": np.int8(-3), "b": np.array(2.0), "c": 1, "d": "ü", "e": np.array([1, 2]), "f": [1, float("inf")],
             "g": ["x"], "h": [True, False], "table": table[:, ::-1], "raw": b"\x00\xff"}
    built(network(all_kinds.definition, float32(2), attributes=given)).save(tmp_path / "p.plan")  # type: ignore
    got.clear()
    tensorwright.load(tmp_path / "p.plan")(np.zeros(2, np.float32))
    np.testing.assert_array_equal(got.pop("table"), table[:, ::-1])
    assert got == {"a": -3, "b": 2.0, "c": True, "d": "ü", "e": (1, 2), "f": (1.0, float("inf")), "g": ("x",),
                   "h": (True, False), "i": None, "raw": b"\x00\xff"}
    assert type(got["a"]) is int and type(got["b"]) is float and got["c"] is True


def test_state_is_loaded_once_and_saved(tmp_path) -> None:
    loads = []
    definition = plugins.register(Definition("scaled", lambda x, state: x * state, lambda x, state: x,
                                             load=lambda raw: loads.append(raw) or np.frombuffer(raw, np.float32)))
    e = NetworkEditor("net")
    x = e.input("x", float32(2))
    e.outputs = [str(e.add(plugins.use(definition, {}, (float32(2),), state=np.float32([3]).tobytes()), x))]
    built(e.finish()).save(tmp_path / "p.plan")
    engine = tensorwright.load(tmp_path / "p.plan")
    np.testing.assert_array_equal(engine(np.float32([1, 2])), np.float32([3, 6]))
    assert len(loads) == 1


@pytest.mark.parametrize("function, error, text", [
    (lambda x: x[:1], ShapeError, "float32 (1,), its shape rule says float32 (2,)"),
    (lambda x: (x, x), ShapeError, "gave 2 results"), (lambda x: x > 0, TypeMismatch, "is bool"),
    (lambda x: x + 1j, TypeMismatch, "complex"), (lambda x: 1 / 0, InputError, "ZeroDivisionError")])
def test_results_that_contradict_the_shape_rule_are_refused(function, error, text: str) -> None:
    if "bool" in text:
        text = "shape rule says float32"
        function = lambda x: np.array(["a", "b"])                  # noqa: E731
    definition = plugins.register(Definition("wrong", function))
    with pytest.raises(error) as wrong:
        built(network(definition, float32(2)), verify=False)(np.zeros(2, np.float32))
    assert text in str(wrong.value) and "wrong" in str(wrong.value)


def test_double_results_are_rounded_to_the_type_of_the_rule() -> None:
    definition = plugins.register(Definition("double", lambda x: x * np.float64(1.5)))
    y = built(network(definition, float32(2)))(np.float32([1, 3]))
    assert y.dtype == np.float32 and y.tolist() == [1.5, 4.5]


@pytest.mark.parametrize("pure, times", [(True, 1), (False, 3)])
def test_impure_plugins_are_called_each_time_pure_ones_once(pure: bool, times: int) -> None:
    calls = []
    definition = plugins.register(Definition("counted", lambda x: calls.append(1) or x + len(calls), pure=pure))
    e = NetworkEditor("net")
    c = e.constant(np.zeros(2, np.float32))
    x = e.input("x", float32(2))
    use = plugins.use(definition, {}, (float32(2),))
    total = Pointwise(Apply("add", (In(0, DType.float32), In(1, DType.float32)), DType.float32))
    a, b, c = (str(e.add(use, v)) for v in (x, x, c))
    e.outputs = [str(e.add(total, str(e.add(total, a, b)), c))]
    engine = built(e.finish(), verify=False)
    calls.clear()
    engine(np.zeros(2, np.float32))
    assert len(calls) == times


def test_zeros_of_both_signs_are_two_plugins() -> None:
    definition = plugins.register(Definition("sign", lambda x, v: np.copysign(x, v),
                                             attributes={"v": Attribute("float")}))
    e = NetworkEditor("net")
    x = e.input("x", float32(2))
    e.outputs = [str(e.add(plugins.use(definition, {"v": v}, (float32(2),)), x)) for v in (0.0, -0.0)]
    a, b = built(e.finish())(np.ones(2, np.float32))
    assert a.tolist() == [1, 1] and b.tolist() == [-1, -1]


def test_registering_twice_and_wrong_names() -> None:
    swish()
    with pytest.raises(InputError, match="registered already"):
        swish()
    with pytest.raises(InputError, match="cannot be the name"):
        plugins.register(Definition("a b", np.negative))
    with pytest.raises(InputError, match="another namespace"):
        Definition("acme::swish", np.negative, namespace="other")
    for package in ("acme; rm -rf /", "-r acme", "https://acme"):
        with pytest.raises(InputError, match="package"):
            Definition("f", np.negative, package=package)
    assert Definition("f", np.negative, package="acme-ops[cpu]>=1.2").package
    with pytest.raises(PlanError) as missing:
        plugins.require("f", "1", "", "acme; rm -rf /")
    assert "rm" not in str(missing.value)
    with pytest.raises(InputError, match="annotate"):
        tensorwright.custom_op("bad")(lambda x, beta=1.0: x)
    with pytest.raises(InputError, match="'beta' must be a number"):
        Definition("bad", np.negative, attributes={"beta": Attribute("float", "x")})
    with pytest.raises(ShapeError, match="takes 1 inputs, 2 are given"):
        plugins.use(plugins.find("acme::swish"), {}, (float32(1), float32(1)))


def test_versions_are_found_by_name_and_namespace() -> None:
    swish()
    one = plugins.register(Definition("acme::swish", np.negative, version="1"))
    assert plugins.find("swish") is None and plugins.find("swish", "3", "acme") is None
    assert plugins.find("swish", "2", "acme").version == "2" and plugins.find("acme::swish") is one
    plugins.unregister(one)
    assert plugins.find("acme::swish").version == "2"


@pytest.mark.parametrize("damage", [
    {"attributes": [["beta", "text"]]}, {"attributes": [["bets", 1.0]]}, {"count": 2}, {"version": 3}])
def test_damaged_plugins_in_plans_are_refused(damage: dict) -> None:
    from tensorwright.ir.network_codec import decode_network, encode_network
    from tensorwright.plugins.records import REGISTRY
    data, constants = encode_network(network(swish(), float32(2)))
    assert decode_network(data, constants, REGISTRY).layers[0].op.count == 1             # type: ignore[attr-defined]
    next(fields for name, fields in data["entries"] if name == "Plugin").update(damage)
    with pytest.raises(PlanError):
        decode_network(data, constants, REGISTRY)


def test_the_reference_of_a_network_calls_the_plugin() -> None:
    net = network(swish(), float32(N, 3))
    x = np.ones((4, 3), np.float32)
    np.testing.assert_allclose(next(iter(evaluate(net, {"x0": x}).values())), x / (1 + np.exp(-1)), rtol=1e-6)


def test_inputs_cannot_be_changed_by_a_plugin() -> None:
    def grown(x):
        x += 1
        return x
    op = plugins.use(plugins.register(Definition("grown", grown)), {}, (float32(2),))
    with pytest.raises(InputError, match="read-only"):
        op.reference(np.zeros(2, np.float32))


def test_results_that_differ_from_run_to_run_are_not_compared() -> None:
    noise = plugins.register(Definition("noise", lambda x: x + np.random.standard_normal(x.shape), pure=False))
    e = NetworkEditor("net")
    x = e.input("x", float32(3))
    y = str(e.add(plugins.use(noise, {}, (float32(3),)), x, name="noise"))
    double = Pointwise(Apply("mul", (In(0, DType.float32), Const(2.0, DType.float32)), DType.float32))
    e.outputs = [str(e.add(double, y)), str(e.add(double, x))]
    verification = built(e.finish()).plan.verification
    assert verification["ok"] and verification["checks"] == 1
    assert any("is computed by plugin noise, and there is nothing" in text for text in verification["skipped"])
    assert not any("from run to run" in text for text in verification["skipped"])


def test_random_numbers_and_results_of_plugins_have_reasons_of_their_own() -> None:
    """Random wins where both meet."""
    import onnx
    import onnx.parser

    from tensorwright import importer
    from tensorwright.builder.verify import unrepeatable
    plugins.register(Definition("acme::opaque", np.negative, pure=False))
    text = """<ir_version: 9, opset_import: ["": 21, "acme": 1]>
        g (float[3] x) => (float[3] p, float[3] r, float[3] both, float[3] z) {
          p0 = acme.opaque (x)
          p = Neg (p0)
          r = RandomNormalLike (x)
          both = Add (p, r)
          z = Neg (x)
        }"""
    reasons = unrepeatable(importer.load(onnx.parser.parse_model(text)))
    random = "differs from run to run: it is not compared"
    plugin = "is computed by plugin acme::opaque, and there is nothing to compare it with"
    assert [reasons.get(name) for name in ("p", "r", "both", "z")] == [plugin, random, random, None]


def test_packages_announce_modules_that_are_imported_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from tensorwright.plugins import registry
    points = [EntryPoint(name, f"announced_{i}", registry.GROUP)
              for i, name in enumerate(("announced", "other::thing", "short"))]
    loaded = []

    def load(point: EntryPoint) -> None:
        loaded.append(point.name)
        if point.name == "announced":
            plugins.register(Definition("announced::late", np.negative))
    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    assert plugins.find("announced::late") is not None and loaded == ["announced"]
    assert plugins.find("other::thing") is None and plugins.find("other::more") is None
    assert plugins.find("short") is None
    assert loaded == ["announced", "other::thing", "short"]


def test_annotations_may_be_text_and_may_name_what_is_not_there() -> None:
    def f(x: NotImported, y: NotImported | None = None, k: int = 1, beta: float | None = None):  # noqa: F821
        return x

    definition = tensorwright.custom_op("text")(f).definition       # type: ignore[attr-defined]
    assert definition.inputs == (1, 2)
    assert {n: a.kind for n, a in definition.attributes.items()} == {"k": "int", "beta": "float"}
    for untold in (dict, 3):
        with pytest.raises(InputError, match="parameters"):
            tensorwright.custom_op("untold")(untold)                # type: ignore[type-var]
