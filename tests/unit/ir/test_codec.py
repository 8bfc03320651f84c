"""Records and networks through JSON and back, and every kind of damage on the way."""

import copy
import dataclasses
import json
import random

import numpy as np
import pytest

from tensorwright.dims import maximum, symbol
from tensorwright.dtypes import DType
from tensorwright.errors import PlanError
from tensorwright.ir import NetworkEditor, OpaqueType, TensorType
from tensorwright.ir.codec import decode, encode, fits, loads
from tensorwright.ir.network_codec import decode_network, encode_network
from tensorwright.ops import (
    Convolution,
    Fill,
    Fused,
    Host,
    Iota,
    MatMul,
    Pad,
    Pointwise,
    Recurrent,
    Reshape,
    Resize,
    Softmax,
    TopK,
    expr,
)
from tensorwright.ops.registry import REGISTRY

F, N, M = DType.float32, symbol("N"), symbol("M")
X, Y = expr.In(0, F), expr.In(1, F)
GELU = expr.Apply("mul", (X, expr.Apply("erf", (X,), F)), F)
RECORDS = [
    Convolution((1, 2), ((0, 1), (2, 3)), (1, 1), 4), Softmax(1, True), Reshape((N, 3 * N + M // 2, maximum(N, M))),
    Fused(Convolution((1,), ((0, 0),), (1,)), GELU, 3), Pointwise(expr.Const(float("nan"), F)),
    Pointwise(expr.Apply("where", (expr.Const(True, DType.bool), expr.Const(-0.0, F), expr.Const(3, F)), F)),
    Host(b"\x00\xffmodel", "NonZero"), Resize((N, 5), scales=(1.0, 2.5), roi=None),
    Pad(((0, N), (-1, 2)), "constant", 1), Iota((N,), 0, DType.int64, N - 1, -1), Iota((3,), 0, F, 0.5, float("-inf")),
    Fill((2,), False, DType.bool), TopK(N, 0),
    Recurrent("lstm", 5, activations=("tanh",) * 3, clip=0.5), TensorType((), DType.bfloat16), OpaqueType("text", None),
]


def through_json(record):
    return decode(loads(json.dumps(encode(record), allow_nan=False)), REGISTRY)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_records_come_back_equal(record):
    back = through_json(record)
    assert type(back) is type(record) and repr(back) == repr(record)
    assert back == record or "nan" in repr(record)


def test_every_registered_class_is_a_frozen_record_with_checkable_fields():
    for name, cls in REGISTRY.items():
        assert cls.__name__ == name and cls.__dataclass_params__.frozen
    assert {f.name for f in dataclasses.fields(Convolution)} == {"strides", "pads", "dilations", "groups"}


def test_numpy_scalars_in_parameters_become_plain_numbers():
    back = through_json(Softmax(np.int64(1), np.bool_(True)))
    assert back == Softmax(1, True) and type(back.axis) is int and type(back.log) is bool


def test_what_is_no_parameter_cannot_be_written():
    with pytest.raises(TypeError, match="list"):
        encode(Softmax([1]))


def test_shared_parts_are_written_once():
    e = X
    for _ in range(60):                          # as a tree this would have 2⁶⁰ nodes
        e = expr.Apply("add", (e, e), F)
    data = encode(Pointwise(e))
    assert len(data["entries"]) == 62
    back = decode(data, REGISTRY).expr
    assert back.args[0] is back.args[1] and back.fn == "add"


def test_long_chains_need_no_recursion():
    e = X
    for _ in range(20_000):
        e = expr.Apply("neg", (e,), F)
    assert decode(encode(Pointwise(e)), REGISTRY).expr.fn == "neg"


@pytest.mark.parametrize("data", [
    None, [], {}, {"entries": [], "root": 0}, {"entries": {}, "root": 0}, {"entries": [], "root": True},
    {"entries": [["os.system", {}]], "root": 0}, {"entries": [["Softmax", {}]], "root": 0},
    {"entries": [["Softmax", {"axis": 1, "log": False, "__class__": 3}]], "root": 0},
    {"entries": [["Softmax", {"axis": "1", "log": False}]], "root": 0},
    {"entries": [["Softmax", {"axis": True, "log": False}]], "root": 0},
    {"entries": [["Softmax", {"axis": 1.0, "log": False}]], "root": 0},
    {"entries": [["Softmax", {"axis": 1 << 70, "log": False}]], "root": 0},
    {"entries": [["Softmax", {"axis": {"ref": 0}, "log": False}]], "root": 0},
    {"entries": [["Softmax", {"axis": {"ref": -1}, "log": False}]], "root": 0},
    {"entries": [["Reshape", {"shape": [{"dim": "N"}, "3"]}]], "root": 0},
    {"entries": [["Reshape", {"shape": [{"dim": "__import__('os')"}]}]], "root": 0},
    {"entries": [["Reshape", {"shape": [{"dim": "N+0"}]}]], "root": 0},
    {"entries": [["Reshape", {"shape": [{"dim": "(N // 0)"}]}]], "root": 0},
    {"entries": [["Reshape", {"shape": [{"dim": "N", "x": 1}]}]], "root": 0},
    {"entries": [["Reshape", {"shape": {"dim": "N"}}]], "root": 0},
    {"entries": [["Reshape", {"shape": [[[[[[[[[[1]]]]]]]]]]}]], "root": 0},
    {"entries": [["Convolution", {"strides": [1], "pads": [[0, 0, 0]], "dilations": [1], "groups": 1}]], "root": 0},
    {"entries": [["TensorType", {"shape": [1], "dtype": {"dtype": "float31"}}]], "root": 0},
    {"entries": [["Host", {"model": {"bytes": "*"}, "node": "x"}]], "root": 0},
    {"entries": [["Fused", {"core": {"dim": "N"}, "epilogue": 1, "arity": 1}]], "root": 0},
    {"entries": [["Normalize", {"axes": [0], "epsilon": {"float": "1"}, "center": True}]], "root": 0},
])
def test_damaged_records_are_plan_errors(data):
    with pytest.raises(PlanError):
        decode(data, REGISTRY)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "1" * 10_000 + "x", b"\xff\xfe\xfd"])
def test_text_that_is_not_json_is_a_plan_error(text):
    with pytest.raises(PlanError):
        loads(text)


def test_values_are_checked_against_annotations():
    assert fits((1, 2), tuple[int, ...]) and not fits((1, True), tuple[int, ...]) and not fits([1], tuple[int, ...])
    assert fits(1, float) and not fits(True, float) and not fits(1.0, int)
    assert fits(None, float | None) and not fits("x", float | None)
    assert fits(((1, 2),), tuple[tuple[int, int], ...]) and not fits(((1,),), tuple[tuple[int, int], ...])


def network():
    e = NetworkEditor("net")
    x = e.input("x", TensorType((N, 4), F))
    w = e.constant(np.ones((4, 4), np.float32), "w")
    h = e.add(Pointwise(GELU), e.add(MatMul(), x, w, name="fc", origin=("a", "b")))
    nonzero = e.add(Host(b"", "NonZero"), h, types=(OpaqueType("int64 (2, ?)", DType.int64),))
    values, _ = e.add(TopK(2, 1), h, outputs=["values", ""], types=(TensorType((N, 2), F), TensorType((N, 2), F)))
    e.outputs, e.metadata = [values, nonzero, "x"], {"author": "me"}
    return e.finish()


def test_networks_come_back_equal():
    before = network()
    data, constants = encode_network(before)
    after = decode_network(loads(json.dumps(data, allow_nan=False)), constants, REGISTRY)
    for part in ("inputs", "outputs", "layers", "name", "metadata", "types"):
        assert getattr(after, part) == getattr(before, part), part
    assert after.constants["w"] is before.constants["w"] and list(constants) == ["w"]


def entry(data, cls):
    return next(e[1] for e in data["entries"] if e[0] == cls)


@pytest.mark.parametrize(("damage", "what"), [
    (lambda d: d.update(format=2), "format 2"), (lambda d: d.pop("types"), "keys"),
    (lambda d: d["types"].pop("w"), "'w' has no"), (lambda d: d["types"].update(x=99), "record 99"),
    (lambda d: d["constants"].append("v"), "'v' has no array"), (lambda d: d["inputs"].append("w"), "constants too"),
    (lambda d: d["layers"].reverse(), "before it is written"), (lambda d: d["outputs"].append("q"), "'q' is never"),
    (lambda d: d["layers"][0].pop(), "not a layer"), (lambda d: d["layers"][0].__setitem__(0, 0), "operator of 'fc'"),
    (lambda d: d["layers"][0][1].pop(), "does not take these operands"),
    (lambda d: d["layers"][0][1].__setitem__(0, None), "does not take these operands"),
    (lambda d: d["layers"][0][2].append("extra"), "has no type"),
    (lambda d: entry(d, "Apply").update(fn="system"), "no function 'system'"),
    (lambda d: entry(d, "Apply").update(args=[]), "of 0 arguments"),
    (lambda d: entry(d, "In").update(index=5), "reads input 5"),
    (lambda d: entry(d, "TopK").update(k=3), "'values' is float32 (N, 2) in the plan, TopK makes float32 (N, 3)"),
    (lambda d: d["metadata"].update(author=3), "metadata"),
    (lambda d: entry(d, "TensorType").update(shape=[-1, 4]), "negative dimension"),
    (lambda d: d.update(layers=[d["layers"][0]] * 2), "written twice"),
])
def test_networks_that_were_tampered_with_are_plan_errors(damage, what):
    data, constants = encode_network(network())
    data = copy.deepcopy(data)
    damage(data)
    with pytest.raises(PlanError) as caught:
        decode_network(data, constants, REGISTRY)
    assert what in str(caught.value)


def test_constants_must_be_what_the_network_says():
    data, _ = encode_network(network())
    for array in (np.ones((4, 5), np.float32), np.ones((4, 4))):
        with pytest.raises(PlanError, match="the network says float32"):
            decode_network(data, {"w": array}, REGISTRY)


def test_random_damage_is_found_or_harmless():
    """Any edit of any value gives a network that checks, or a PlanError: nothing else."""
    text = json.dumps(encode_network(network())[0])
    constants, r = dict(network().constants), random.Random(0)
    replacements = (None, True, -1, 1 << 65, 0.5, "", "x", [], {}, [[]], {"ref": 0}, {"dim": "N"}, {"dtype": "int8"})
    for _ in range(400):
        data = json.loads(text)
        place = data
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = r.choice(keys)
            if not isinstance(place[key], (dict, list)) or not place[key] or r.random() < 0.2:
                break
            place = place[key]
        place[key] = r.choice(replacements)
        try:
            decode_network(data, constants, REGISTRY).check()
        except PlanError:
            pass
