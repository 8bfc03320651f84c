"""Loading and saving: nothing is lost, nothing is copied, damaged and hostile files are ModelErrors."""

import random
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError, TensorwrightError
from tensorwright.onnx import storage, wire

from . import models


def run(model: onnx.ModelProto | Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, feeds)


def contents(proto: onnx.ModelProto) -> dict[str, bytes]:
    return {f"{i} {t.name}": onnx.numpy_helper.to_array(t).tobytes()
            for i, t in enumerate(storage.tensor_messages(proto))}


@pytest.mark.parametrize("external", [None, False, True, "weights.bin"])
@pytest.mark.parametrize("make", [models.perceptron, models.every_storage])
def test_saved_model_is_the_model(tmp_path: Path, make, external) -> None:
    proto = make()
    onnx.save(proto, tmp_path / "in.onnx")
    out = toolkit.save(toolkit.load(tmp_path / "in.onnx"), tmp_path / "out.onnx", external=external)
    read = onnx.load(out)
    assert sorted(contents(proto).values()) == sorted(contents(read).values())
    assert read.doc_string == proto.doc_string and list(read.graph.metadata_props) == list(proto.graph.metadata_props)
    assert [n.op_type for n in read.graph.node] == [n.op_type for n in proto.graph.node]
    assert (len(list(tmp_path.iterdir())) == 3) == bool(external), "external data is one file, and no other is left"
    feeds = {"flag": np.array(True)} if make is models.every_storage else {"x": np.ones((3, 16), np.float32)}
    for a, b in zip(run(proto, feeds), run(out, feeds), strict=True):
        np.testing.assert_array_equal(a, b)


def test_external_model_stays_external_and_can_be_embedded(tmp_path: Path) -> None:
    onnx.save(models.perceptron(), tmp_path / "in.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    model = toolkit.load(tmp_path / "in.onnx")
    assert model.external == "w.bin"
    toolkit.save(model, tmp_path / "in.onnx")                                   # over itself
    toolkit.save(toolkit.load(tmp_path / "in.onnx"), tmp_path / "one.onnx", external=False)
    for path in tmp_path.glob("*.data"):
        path.unlink()
    assert contents(onnx.load(tmp_path / "one.onnx")) == contents(models.perceptron())


def test_names_that_are_no_text_are_refused() -> None:
    whole = models.perceptron().SerializeToString()
    for name in (b"Gemm", b"relu", b"b2"):
        with pytest.raises(ModelError, match=r"a name is no text|must be a string"):
            toolkit.load(whole.replace(name, b"\xff\xfe" + name[2:]))


def test_large_weights_are_not_parsed(tmp_path: Path) -> None:
    onnx.save(models.perceptron(), tmp_path / "m.onnx")
    slim, data = storage._without_weights(tmp_path / "m.onnx")
    assert len(data) == 1 and len(slim) < 1200 and len(next(iter(data.values()))) == 2048
    whole = b"".join(wire.expand(slim, data))
    assert onnx.load_model_from_string(whole) == models.perceptron()


def test_skeleton_has_types_of_the_weights_it_leaves_out() -> None:
    proto = toolkit.load(models.perceptron()).skeleton()
    assert [t.name for t in proto.graph.initializer] == ["b1", "w2", "b2"]
    assert {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in proto.graph.input}["w1"] == [16, 32]
    assert toolkit.problem(toolkit.load(models.every_storage())) is None


@pytest.mark.parametrize("make", [models.perceptron, models.every_storage])
def test_damaged_bytes_are_errors_of_ours(tmp_path: Path, make) -> None:
    whole, dice = bytearray(make().SerializeToString()), random.Random(0)
    path = tmp_path / "m.onnx"
    for trial in range(150):
        data = bytearray(whole)
        if trial % 3 == 0:
            data = data[: dice.randrange(len(data))]
        for _ in range(dice.choice([1, 3, 20])):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data)
        try:
            model = toolkit.load(path)
            toolkit.problem(model)
            toolkit.save(model, tmp_path / "out.onnx")
        except TensorwrightError:
            pass


def test_tensor_of_wrong_size_is_refused(tmp_path: Path) -> None:
    proto = models.perceptron()
    proto.graph.initializer[0].dims[0] = 15
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="holds 2048 bytes, its shape and type need 1920"):
        toolkit.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2000], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [],
                              [helper.make_tensor_value_info("y", 1, [2000])], [tensor])
    (tmp_path / "secret").write_bytes(bytes(8000))
    (folder := tmp_path / "model").mkdir()
    (folder / "m.onnx").write_bytes(helper.make_model(graph, doc_string="x" * 2000).SerializeToString())
    with pytest.raises(ModelError, match="only files inside"):
        toolkit.load(folder / "m.onnx")


def test_save_refuses_places_it_may_not_write(tmp_path: Path) -> None:
    model = toolkit.load(models.perceptron())
    with pytest.raises(ModelError, match="cannot write"):
        toolkit.save(model, tmp_path / "no" / "m.onnx")
    with pytest.raises(ModelError, match="beside the model"):
        toolkit.save(model, tmp_path / "m.onnx", external="../w.bin")
    assert not list(tmp_path.iterdir())


def test_edits_are_undone_when_they_break_the_model() -> None:
    model = toolkit.load(models.perceptron())

    @toolkit.edit
    def cut(model: toolkit.Model) -> None:
        model.node("relu").replace_input_with(0, None)
    with pytest.raises(ModelError, match="would leave an invalid model"):
        cut(model)
    assert model.node("relu").inputs[0].name == "h" and toolkit.problem(model) is None
    with pytest.raises(KeyError), toolkit.editing(model):
        model.node("relu").name = "other"
        raise KeyError
    assert model.node("relu")


def test_a_message_given_is_left_alone() -> None:
    proto = models.perceptron()
    model = toolkit.load(proto)
    model.value("w1").name = "renamed"
    model.node("relu").name = "other"
    assert proto == models.perceptron()


def test_unknown_names_get_the_near_ones() -> None:
    model = toolkit.load(models.perceptron())
    with pytest.raises(ModelError, match="'first'"):
        model.node("frist")
    assert model.node("h") is model.node("first") is model.node(0)
    assert model.value("w1").const_value.shape.numpy() == (16, 32)
    assert numpy_helper.to_array(models.perceptron().graph.initializer[1]).shape == (32,)


def test_inference_fills_in_and_follows_changed_inputs() -> None:
    model = toolkit.load(models.perceptron())
    toolkit.infer(model)
    assert [str(d) for d in model.value("r").shape] == ["batch", "32"]
    model.inputs[0].shape = onnx_ir.Shape([7, 16])
    toolkit.infer(model, afresh=True)
    assert list(model.value("r").shape) == [7, 32] and list(model.outputs[0].shape) == [7, 4]
