"""Attributes follow the operator's schema."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError

from .. import models

F = TensorProto.FLOAT


def pooled() -> toolkit.Model:
    nodes = [helper.make_node("MaxPool", ["x"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("Resize", ["p", "", "s"], ["r"], "resize", mode="nearest"),
             helper.make_node("Cast", ["r"], ["y"], "cast", to=F),
             helper.make_node("Mine", ["x"], ["z"], "mine", domain="my.own", level=3)]
    made = models.model(nodes, {"x": (F, [1, 3, 8, 8])}, {"y": (F, [1, 3, 8, 8]), "z": (F, ["a", "b"])},
                        {"s": np.array([1, 1, 2, 2], np.float32)})
    made.opset_import.append(helper.make_opsetid("my.own", 1))
    return toolkit.load(made)


def test_read() -> None:
    model = pooled()
    assert toolkit.get_attributes(model, "pool") == {"kernel_shape": (2, 2), "strides": (2, 2)}
    assert toolkit.get_attributes(model, "pool", defaults=True)["auto_pad"] == "NOTSET"
    assert toolkit.get_attribute(model, "pool", "ceil_mode") == 0 and toolkit.get_attribute(model, "mine", "level") == 3
    with pytest.raises(ModelError, match="does not set 'pads'"):
        toolkit.get_attribute(model, "pool", "pads")
    with pytest.raises(ModelError, match="no attribute 'group'"):
        toolkit.get_attribute(model, "pool", "group")


def test_set_refreshes_shapes() -> None:
    model = pooled()
    toolkit.set_attribute(model, "pool", "strides", [4, 4])
    assert list(model.value("p").shape) == [1, 3, 2, 2] and list(model.outputs[0].shape) == [1, 3, 4, 4]
    toolkit.set_attribute(model, "pool", "auto_pad", "SAME_UPPER")
    toolkit.set_attribute(model, "mine", "level", 4)
    toolkit.set_attribute(model, "mine", "new", [0.5, 1])
    read = toolkit.load(model.proto())
    assert toolkit.get_attributes(read, "mine") == {"level": 4, "new": (0.5, 1.0)}
    onnx.checker.check_model(model.proto(), full_check=True)


@pytest.mark.parametrize("node,name,value,message,hint", [
    ("pool", "stride", [1, 1], "MaxPool has no attribute 'stride'", "strides"),
    ("pool", "strides", 2, "a list of integers, not 2", None),
    ("pool", "strides", [0.5, 1], "an integer is needed", None),
    ("pool", "strides", [2], "do not fit together", None),
    ("pool", "auto_pad", "SAME", "cannot be 'SAME'", "SAME_UPPER"),
    ("pool", "ceil_mode", 1 << 70, "exceeds 64 bits", None), ("resize", "mode", 3, "is a string", "nearest"),
    ("resize", "cubic_coeff_a", 1e60, "exceeds float32", None), ("cast", "to", "flaot16", "no element type", "float16"),
    ("cast", "to", 99, "there is no 99", None), ("cast", "to", "int32", "do not fit together", None)])
def test_wrong_ones_are_refused_with_the_right_ones(node, name, value, message, hint) -> None:
    model = pooled()
    before = toolkit.get_attributes(model, node)
    with pytest.raises(ModelError, match=message) as caught:
        toolkit.set_attribute(model, node, name, value)
    assert hint is None or hint in caught.value.try_
    assert toolkit.get_attributes(model, node) == before


def test_delete() -> None:
    model = pooled()
    toolkit.delete_attribute(model, "pool", "strides")
    assert list(model.value("p").shape) == [1, 3, 7, 7]
    for name, message in (("kernel_shape", "requires it"), ("strides", "does not set")):
        with pytest.raises(ModelError, match=message):
            toolkit.delete_attribute(model, "pool", name)


def test_function_calls_know_the_functions_attributes() -> None:
    model = toolkit.load(models.every_storage())
    with pytest.raises(ModelError, match="Twice has no attribute 'k'"):
        toolkit.set_attribute(model, "y", "k", 1)
    toolkit.set_attribute(model, "constant", "value_floats", [1.0] * 300)
    assert list(model.node("constant").attributes) == ["value_floats"]
