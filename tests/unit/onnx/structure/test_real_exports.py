"""Every structural edit on real exports, a detector, a ResNet and a BERT; ONNX Runtime runs them before and after."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError

from ..random_models import run
from ..test_exports import EXPORTS, feeds

NAMES = ["detector", "resnet", "bert"]
Arrays = dict[str, np.ndarray]


def results(model: toolkit.Model, inputs: Arrays) -> Arrays:
    proto = model.proto()
    onnx.checker.check_model(proto, full_check=True)
    return run(proto, inputs)


def close(got: Arrays, expected: Arrays, tolerance: float = 1e-5) -> None:
    assert list(got) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, tolerance, tolerance, err_msg=name)


def set_weights(model: toolkit.Model) -> None:
    for name in list(toolkit.weights(model)):
        toolkit.set_weight(model, name, toolkit.get_weight(model, name).copy())


def set_attributes(model: toolkit.Model) -> None:
    for node in model.nodes:
        for name, value in toolkit.get_attributes(model, node, defaults=True).items():
            toolkit.set_attribute(model, node, name, value)


def rename_all(model: toolkit.Model) -> None:
    kept = {v.name for v in (*model.inputs, *model.outputs)}
    toolkit.rename_tensors(model, {name: f"t.{k}" for k, name in enumerate(model.values()) if name not in kept})
    toolkit.rename_by(model, "^", "n.", tensors=False, nodes=True)


def insert_and_delete(model: toolkit.Model) -> None:
    for node in model.find("Conv", "MatMul", "Gemm"):
        toolkit.insert_after(model, node, "Identity")
        toolkit.insert_before(model, node, "Identity", input=0)
    for node in model.find("Identity"):
        toolkit.delete_node(model, node)
    assert not model.find("Identity")


def rewrite(model: toolkit.Model) -> None:
    toolkit.replace_pattern(model, "Relu(x)", "Max(x, 0)")
    toolkit.replace_pattern(model, "Mul(x, Sigmoid(x))", "Div(x, Add(Exp(Neg(x)), 1))")
    toolkit.replace_pattern(model, "Add(a, b: const)", "Sub(a, Neg(b))")
    toolkit.replace_pattern(model, "y = Conv(x, w, b)", lambda match, build: build.Add(
        build.Conv(match["x"], match["w"], **match.nodes[0].attributes), match.constant("b").reshape(1, -1, 1, 1)))


def replace_nodes(model: toolkit.Model) -> None:
    for node in model.find("Gemm"):
        toolkit.replace_node(model, node, "Gemm(A, B, C, **node)")
    for node in model.find("Softmax", "LayerNormalization", "Concat", "Split"):
        toolkit.replace_node(model, node, lambda match, build: build(
            match.nodes[0].op_type, *match.nodes[0].inputs, outputs=len(match.nodes[0].outputs),
            **match.nodes[0].attributes))


def outputs_back_and_forth(model: toolkit.Model) -> None:
    names = [v.name for v in model.outputs]
    toolkit.add_output(model, model.nodes[len(model.nodes) // 2].outputs[0], name="middle")
    toolkit.reorder_outputs(model, ["middle", *names])
    toolkit.remove_output(model, "middle")
    toolkit.remove_unused(model)


@pytest.mark.parametrize("task", [set_weights, set_attributes, rename_all, insert_and_delete, rewrite, replace_nodes,
                                  outputs_back_and_forth], ids=lambda task: task.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_edits_that_leave_the_meaning(name: str, task: Callable[[toolkit.Model], None]) -> None:
    model = toolkit.load(EXPORTS / f"{name}.onnx")
    expected = results(model, feeds(name, 2))
    with toolkit.editing(model):
        task(model)
    close(results(model, feeds(name, 2)), expected)


@pytest.mark.parametrize(("name", "cut"), [("detector", "/stem/stem.1/Mul_output_0"), ("resnet", "relu_9"),
                                           ("bert", "layer_norm_2")])
def test_two_parts_compute_what_the_whole_does(name: str, cut: str) -> None:
    model = toolkit.load(EXPORTS / f"{name}.onnx")
    whole, inputs = results(model, feeds(name, 2)), feeds(name, 2)
    first = toolkit.extract(model, None, [cut])
    between = results(first, {v.name: inputs[v.name] for v in first.inputs})
    more = []
    if name == "bert":                                   # the mask is needed again, and named
        with pytest.raises(ModelError) as caught:
            toolkit.extract(model, [cut], list(whole))
        assert "'attention_mask' int64" in caught.value.facts["missing"]
        more = ["attention_mask", "token_type_ids"]
    second = toolkit.extract(model, [cut, *more], list(whole))
    later = {v.name: between.get(v.name, inputs.get(v.name)) for v in second.inputs}
    close(results(second, later), whole)


def test_changed_weights_and_attributes_change_the_result_as_they_should() -> None:
    model = toolkit.load(EXPORTS / "resnet.onnx")
    before = results(model, feeds("resnet", 2))["logits"]
    toolkit.set_weight(model, "fc.weight", toolkit.get_weight(model, "fc.weight") * 2)
    toolkit.set_weight(model, "fc.bias", [0.0] * 10)
    doubled = results(model, feeds("resnet", 2))["logits"]
    bias = toolkit.get_weight(toolkit.load(EXPORTS / "resnet.onnx"), "fc.bias")
    np.testing.assert_allclose(doubled, 2 * (before - bias), 1e-4, 1e-5)
    toolkit.set_attribute(model, "node_linear", "alpha", 0.5)
    np.testing.assert_allclose(results(model, feeds("resnet", 2))["logits"], before - bias, 1e-4, 1e-5)
    toolkit.delete_node(model, "node_linear", through="view")
    assert results(model, feeds("resnet", 2))["logits"].shape[1] > 10


def test_a_relu_that_becomes_a_clip_is_clipped() -> None:
    model = toolkit.load(EXPORTS / "resnet.onnx")
    plain = results(toolkit.extract(model, None, ["relu"]), feeds("resnet", 1))["relu"]
    toolkit.insert_between(model, "relu", "node_max_pool2d", "Clip", inputs=[0, 0.5])
    toolkit.add_output(model, "relu")
    got = results(model, feeds("resnet", 1))
    np.testing.assert_allclose(got["relu"], plain, 1e-5, 1e-6)
    clip = toolkit.producers(model, "node_max_pool2d")[0]
    toolkit.add_output(model, clip.outputs[0], name="clipped")
    np.testing.assert_allclose(results(model, feeds("resnet", 1))["clipped"], np.clip(plain, 0, 0.5), 1e-5, 1e-6)
