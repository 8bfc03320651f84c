"""Requests that no build can fulfil: an error at once that says which number is wrong, never a guess."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tensorwright
from tensorwright.errors import BuildError, InputError


def product() -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.ones((4, 5), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("options", "text"), [
    ({"threads": 0}, "threads is 0"),
    ({"threads": -1}, "threads is -1"),
    ({"threads": 5000}, "from 1 to 1024"),
    ({"threads": "2"}, "threads is '2'"),
    ({"tune_budget": -1}, "tune_budget is -1"),
    ({"tune_budget": float("nan")}, "tune_budget is nan"),
    ({"tolerance": float("nan")}, "tolerance is nan"),
    ({"tolerance": -1}, "tolerance is -1"),
    ({"tolerance": "tight"}, "tolerance is 'tight'"),
    ({"shapes": (1, 4)}, "shapes is a tuple"),
    ({"shapes": {"x": (1.5, 4)}}, "neither a shape"),
    ({"shapes": {"x": (-2, 4)}}, "-2 is not a size"),
    ({"shapes": {"x": ((-1, 4), (1, 4), (2, 4))}}, "-1 is not a size"),
    ({"shapes": {"x": (10**30, 4)}}, "is not a size"),
    ({"shapes": {"n": 10**30}}, "neither a"),
])
def test_numbers_that_mean_nothing(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        tensorwright.build(product(), **{"tune_budget": 0, "timing_cache": False, **options})
    assert caught.value.try_


@pytest.mark.parametrize("threads", [0, -1, 5000, "2"])
def test_engines_of_impossible_teams(tmp_path: Path, threads: Any) -> None:
    tensorwright.build(product(), tune_budget=0, shapes={"n": 2}).save(tmp_path / "product.plan")
    with pytest.raises(InputError, match="threads is"):
        tensorwright.load(tmp_path / "product.plan", threads=threads)


def test_shapes_larger_than_the_memory() -> None:
    with pytest.raises(BuildError, match="more memory than there is") as caught:      # more than addresses reach
        tensorwright.build(product(), timing_cache=False, shapes={"x": (10**13, 4)})
    assert caught.value.try_ and caught.value.at == ["product"]


def test_tensors_of_no_device() -> None:
    class Shapeless:
        def __dlpack__(self, **options: object) -> object:
            raise AssertionError("the device is asked for first")

        def __dlpack_device__(self) -> tuple[int, int]:
            raise ValueError("Unknown device type meta for Dlpack")

    engine = tensorwright.build(product(), tune_budget=0, shapes={"n": 2})
    with pytest.raises(InputError, match=r"input 'x', a Shapeless, cannot be read.*meta") as caught:
        engine(Shapeless())
    assert caught.value.try_


def test_a_misspelt_option_is_named_beside_the_right_one() -> None:
    with pytest.raises(InputError, match="build has no option 'tune_buget'") as caught:
        tensorwright.build(product(), tune_buget=1.0)
    assert caught.value.try_ == "tune_budget=1.0" and "BuildOptions" not in str(caught.value)
    with pytest.raises(InputError, match="no option 'profiles'"):
        tensorwright.build(product(), profiles=())


def test_a_defect_of_ours_is_not_called_the_models_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorwright.errors import ModelError
    from tensorwright.importer import graph

    def defect(*_: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'dtype'")
    monkeypatch.setattr(graph.GraphImporter, "network", defect)
    with pytest.raises(AttributeError):
        tensorwright.build(product(), shapes={"n": 1})
    bad = product()
    bad.graph.node[0].op_type = ""
    with pytest.raises(ModelError, match="inconsistent"):
        tensorwright.build(bad.SerializeToString(), shapes={"x": (1, 4)})
