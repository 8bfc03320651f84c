"""Random models and random edits: the model stays valid, or the edit is refused and nothing has changed; edits that
promise it leave what the model computes as it was."""

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError

from ..random_models import feeds, random_models, run

Choose = Callable[[list], object]
EASY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def results(model: toolkit.Model) -> list[onnx_ir.Value]:
    """Tensors that nodes make, in all graphs."""
    return [v for n in model.all_nodes() for v in n.outputs if v.name]


def delete(model: toolkit.Model, pick: Choose) -> None:
    toolkit.delete_node(model, pick(model.all_nodes()))


def delete_through(model: toolkit.Model, pick: Choose) -> None:
    node = pick(model.all_nodes())
    toolkit.delete_node(model, node, through=pick([v for v in node.inputs if v is not None] or [""]))


def insert_after(model: toolkit.Model, pick: Choose) -> None:
    value = pick([*model.values().values()])
    toolkit.insert_after(model, value, pick(["Relu", "Neg", "Identity", "Transpose", "Cast"]))


def insert_before(model: toolkit.Model, pick: Choose) -> None:
    node = pick(model.all_nodes())
    toolkit.insert_before(model, node, "Mul", input=pick([0, 1, None]), inputs=[2.0], at=pick([0, 1]))


def insert_between(model: toolkit.Model, pick: Choose) -> None:
    toolkit.insert_between(model, pick(results(model)), pick(model.all_nodes()), "Abs")


def connect(model: toolkit.Model, pick: Choose) -> None:
    toolkit.set_input(model, pick(model.all_nodes()), pick([0, 1, 2]), pick([None, 1.0, *model.values()]))


def replace_tensor(model: toolkit.Model, pick: Choose) -> None:
    names = list(model.values())
    toolkit.replace_tensor(model, pick(names), pick(names))


def set_attribute(model: toolkit.Model, pick: Choose) -> None:
    node = pick(model.all_nodes())
    name = pick([*toolkit.get_attributes(model, node, defaults=True), "axis"])
    toolkit.set_attribute(model, node, name, pick([0, 1, -1, 1.5, "a", [0, 1, 2], [0, 2, 1], 7]))


def set_weight(model: toolkit.Model, pick: Choose) -> None:
    name = pick([*toolkit.weights(model), "x"])
    values = pick([0, 1.5, [1.0, 2.0, 3.0], np.ones((2, 3), np.float32)])
    toolkit.set_weight(model, name, values, dtype=pick([None, "same"]))


def rename(model: toolkit.Model, pick: Choose) -> None:
    names = [*model.values(), "new"]
    toolkit.rename_tensors(model, {pick(names): pick(names), pick(names): "newer"})


def promote(model: toolkit.Model, pick: Choose) -> None:
    toolkit.add_output(model, pick(list(model.values())), name=pick([None, "extra", "x"]))


def demote(model: toolkit.Model, pick: Choose) -> None:
    toolkit.remove_output(model, pick(list(model.outputs)))


def sweep(model: toolkit.Model, pick: Choose) -> None:
    toolkit.remove_unused(model, inputs=pick([False, True]))


def replace_any(model: toolkit.Model, pick: Choose) -> None:
    toolkit.replace_pattern(model, pick(["Relu|Tanh|Neg(x)", "h = *(x, ...); y = Tanh(h)", "Add(x, _)", "Split(x)"]),
                            pick(["x", "Abs(x)", "Add(x, 1)", "Identity(Identity(x))"]))


CHANGES = [delete, delete_through, insert_after, insert_before, insert_between, connect, replace_tensor, set_attribute,
           set_weight, rename, promote, demote, sweep, replace_any]


@EASY
@given(random_models(), st.data())
def test_valid_or_refused_and_unchanged(proto: onnx.ModelProto, data: st.DataObject) -> None:
    model = toolkit.load(proto)

    def pick(options: list) -> object:
        return options[data.draw(st.integers(0, len(options) - 1))]
    for _ in range(data.draw(st.integers(1, 5))):
        before = model.proto().SerializeToString(deterministic=True)
        try:
            pick(CHANGES)(model, pick)
        except ModelError:
            assert model.proto().SerializeToString(deterministic=True) == before
        else:
            assert toolkit.problem(model) is None
    onnx.checker.check_model(model.proto())
    assert toolkit.problem(toolkit.load(model.proto())) is None


# edits that leave the meaning ---------------------------------------------------------------------------------------
def same_rename(model: toolkit.Model, pick: Choose) -> None:
    kept = {v.name for v in (*model.inputs, *model.outputs)}
    toolkit.rename_tensors(model, {n: f"renamed/{n}" for n in model.values() if n not in kept and pick([0, 1])})
    toolkit.rename_by(model, "^n_", "node.", tensors=False, nodes=True)


def same_identity_after(model: toolkit.Model, pick: Choose) -> None:
    toolkit.insert_after(model, pick(list(model.values().values())), "Identity")


def same_identity_before(model: toolkit.Model, pick: Choose) -> None:
    toolkit.insert_before(model, pick(model.all_nodes()), "Identity", input=0)


def same_zero_added(model: toolkit.Model, pick: Choose) -> None:
    tensor = pick([v for v in results(model) if v.dtype == onnx_ir.DataType.FLOAT] or [""])
    toolkit.insert_after(model, tensor, "Sub", inputs=[0.0])


def same_less_identity(model: toolkit.Model, pick: Choose) -> None:
    toolkit.delete_node(model, pick(model.find("Identity", "Dropout", "Cast") or [""]))


def same_weights(model: toolkit.Model, pick: Choose) -> None:
    for name in list(toolkit.weights(model)):
        toolkit.set_weight(model, name, toolkit.get_weight(model, name).copy())


def same_sweep(model: toolkit.Model, pick: Choose) -> None:
    toolkit.remove_unused(model)


def same_defaults(model: toolkit.Model, pick: Choose) -> None:
    node = pick(model.find("Softmax", "Concat", "LeakyRelu", "Transpose", "Elu", "Split") or [""])
    for name, value in toolkit.get_attributes(model, node, defaults=True).items():
        toolkit.set_attribute(model, node, name, value)


def same_meaning(model: toolkit.Model, pick: Choose) -> None:
    pattern, replacement = pick([
        ("y = Relu(x)", "y = Max(x, 0)"), ("Sub(a, b)", "Add(a, Neg(b))"), ("Neg(x)", "Mul(x, -1)"),
        ("Identity(x)", "x"), ("h = MatMul(x, w); y = Add(h, b)", "t = MatMul(x, w); y = Add(b, t)"),
        ("x -> Transpose -> Transpose", "x")])
    toolkit.replace_pattern(model, pattern, replacement)


def same_node(model: toolkit.Model, pick: Choose) -> None:
    toolkit.replace_node(model, pick(model.find("Concat", "Max", "Tanh") or [""]),
                         lambda match, build: build(match.nodes[0].op_type, *match.nodes[0].inputs,
                                                    **match.nodes[0].attributes))


def same_more_outputs(model: toolkit.Model, pick: Choose) -> None:
    toolkit.add_output(model, pick(results(model)), name=f"extra{len(model.outputs)}")


def same_fewer_outputs(model: toolkit.Model, pick: Choose) -> None:
    toolkit.remove_output(model, pick(list(model.outputs)))


SAME = [same_rename, same_identity_after, same_identity_before, same_zero_added, same_less_identity, same_weights,
        same_sweep, same_defaults, same_meaning, same_node, same_more_outputs, same_fewer_outputs]


@EASY
@given(random_models(), st.data())
def test_same_results(proto: onnx.ModelProto, data: st.DataObject) -> None:
    model = toolkit.load(proto)
    expected = run(proto, feeds(proto))

    def pick(options: list) -> object:
        return options[data.draw(st.integers(0, len(options) - 1))]
    for _ in range(data.draw(st.integers(1, 5))):
        try:
            pick(SAME)(model, pick)
        except ModelError:
            continue
    after = model.proto()
    known = {i.name for i in after.graph.input}
    got = run(after, {n: v for n, v in feeds(proto).items() if n in known})
    for name in set(got) & set(expected):
        np.testing.assert_allclose(got[name], expected[name], 1e-6, 1e-6, err_msg=name)


@EASY
@given(random_models(), st.data())
def test_extracted_parts_compute_what_the_whole_does(proto: onnx.ModelProto, data: st.DataObject) -> None:
    model = toolkit.load(proto)
    toolkit.infer(model)                                 # results of branches may have no certain shape
    names = [v.name for n in model.nodes for v in n.outputs
             if v.shape is not None and n.op_type not in ("Constant", "Dropout")]
    if not names:
        return
    outputs = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    whole = toolkit.load(proto)
    for name in names:
        if name not in [v.name for v in whole.outputs]:
            toolkit.add_output(whole, name)
    everything = feeds(proto) | run(whole.proto(), feeds(proto))
    cuts = data.draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    for inputs in (None, cuts):
        try:
            part = toolkit.extract(model, inputs, outputs)
        except ModelError as error:
            assert inputs is not None and ("missing" in error.facts or "leads to none" in error.what), error
            continue
        got = run(part.proto(), {v.name: everything[v.name] for v in part.inputs})
        for (given_name, value) in zip(outputs, got.values(), strict=True):
            np.testing.assert_allclose(value, everything[given_name], 1e-5, 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_deleting_while_walking(seed: int) -> None:
    import random

    from ..random_models import make
    proto = make(random.Random(seed), 12)
    model = toolkit.load(proto)
    for node in model.nodes:
        if node.op_type in ("Identity", "Relu", "Tanh", "Sigmoid", "Neg", "Abs"):
            toolkit.delete_node(model, node)
    assert not {"Relu", "Tanh", "Sigmoid", "Neg", "Abs"} & {n.op_type for n in model.nodes}
    assert [o.name for o in model.outputs] == [o.name for o in proto.graph.output]
