"""A name is changed wherever it occurs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError

from .. import models
from ..random_models import run


def test_everywhere() -> None:
    proto = models.every_storage()
    proto.graph.value_info.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, [300]))
    note = proto.graph.quantization_annotation.add(tensor_name="raw")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="scale")
    model = toolkit.load(proto)
    toolkit.rename_tensors(model, {"flag": "choice", "y": "result", "raw": "weights", "scale": "step", "sum": "total"})
    new = model.proto()
    onnx.checker.check_model(new, full_check=True)
    text = str(new)
    for gone in ("flag", "raw", "scale", "sum"):
        assert f'"{gone}"' not in text
    assert new.graph.quantization_annotation[0].quant_parameter_tensor_names[0].value == "step"
    before, after = run(proto, {"flag": np.array(True)}), run(new, {"choice": np.array(True)})
    assert np.array_equal(before["y"], after["result"])


def test_swap_of_initialisers_and_inputs() -> None:
    model = toolkit.load(models.perceptron())
    b1 = toolkit.get_weight(model, "b1")
    toolkit.rename_tensors(model, {"w1": "b1", "b1": "w1", "x": "y", "y": "x"})
    assert np.array_equal(toolkit.get_weight(model, "w1"), b1)
    assert [v.name for v in (*model.inputs, *model.outputs)] == ["y", "x"]
    onnx.checker.check_model(model.proto(), full_check=True)


def test_branches_of_one_name() -> None:
    proto = models.every_storage()
    for attribute in proto.graph.node[1].attribute:      # both branches call their tensors alike
        label = attribute.g.name
        for node in attribute.g.node:
            for names in (node.input, node.output):
                names[:] = [n.replace(f"{label}_", "") for n in names]
        attribute.g.output[0].name = "y"
    proto.graph.node[3].output[0] = proto.graph.output[0].name = "last"
    model = toolkit.load(proto)
    toolkit.rename_tensor(model, "c", "inner")
    assert sum(v.name == "inner" for g in model.graphs() for n in g for v in n.outputs) == 2
    toolkit.rename_tensor(model, "k", "factor")          # inside the function
    for taken in ("raw", "inner", "picked"):
        with pytest.raises(ModelError, match="cannot be called"):
            toolkit.rename_tensor(model, "y", taken)
    toolkit.rename_tensor(model, "y", "factor")          # a function's names are its own


@pytest.mark.parametrize("names,message", [
    ({"h": "r"}, "there is such a tensor"), ({"h": "b1"}, "'b1' is an initialiser"), ({"h": "x"}, "is an input"),
    ({"h": "z", "r": "z"}, "cannot be called 'z'"), ({"h": ""}, "needs a name"), ({"hh": "z"}, "no tensor 'hh'")])
def test_clashes(names, message) -> None:
    model = toolkit.load(models.perceptron())
    with pytest.raises(ModelError) as caught:
        toolkit.rename_tensors(model, names)
    assert message in str(caught.value)
    assert model.node("first").outputs[0].name == "h"


def test_nodes_and_expressions() -> None:
    model = toolkit.load(models.perceptron())
    toolkit.rename_nodes(model, {"first": "second", "second": "first"})
    assert model.nodes[0].name == "second"
    with pytest.raises(ModelError, match="two nodes"):
        toolkit.rename_node(model, "relu", "first")
    assert toolkit.rename_by(model, r"^([wb])(\d)$", r"\g<1>.\2", nodes=True) == {
        "w1": "w.1", "b1": "b.1", "w2": "w.2", "b2": "b.2"}
    assert toolkit.rename_by(model, "^(first|second)$", r"gemm_\1", tensors=False, nodes=True) == {
        "first": "gemm_first", "second": "gemm_second"}
    for expression, message in (("(", "not a regular expression"), ("nothing", "matches"), (".*", "cannot be called")):
        with pytest.raises(ModelError, match=message):
            toolkit.rename_by(model, expression, "same")
