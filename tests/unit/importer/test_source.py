"""Reading models: external data stays inside the model's folder, damaged files are ModelErrors."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright.errors import ModelError
from tensorwright.importer.source import load_model


def model_with(tensor: onnx.TensorProto) -> onnx.ModelProto:
    info = helper.make_tensor_value_info("y", tensor.data_type, None)
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [info], [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def external(location: str, shape: tuple[int, ...] = (4,), **entries: int) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def read(tensor: onnx.TensorProto, folder: Path | None) -> np.ndarray:
    return load_model(model_with(tensor), folder).array(tensor)


def test_path_bytes_and_proto_are_one_model(tmp_path: Path) -> None:
    model = model_with(numpy_helper.from_array(np.float32([1, 2]), "w"))
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    for source in (str(path), path, path.read_bytes(), model):
        found = load_model(source)
        np.testing.assert_array_equal(found.array(found.proto.graph.initializer[0]), [1, 2])


def test_external_data_is_mapped(tmp_path: Path) -> None:
    data = np.arange(8, dtype=np.float32)
    data.tofile(tmp_path / "w.bin")
    found = read(external("w.bin", (2, 2), offset=8, length=16), tmp_path)
    np.testing.assert_array_equal(found, data[2:6].reshape(2, 2))
    assert not found.flags.owndata
    np.testing.assert_array_equal(read(external("w.bin", (3,), offset=2), tmp_path),
                                  np.frombuffer(data.tobytes()[2:14], np.float32))


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "", "C:\\w.bin", "..\\w.bin", "a\0b"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(ModelError, match="only files inside the model's folder"):
        read(external(location), tmp_path)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="a link to outside"):
        read(external("w.bin"), tmp_path / "model")


@pytest.mark.parametrize(("entries", "message"), [
    ({"offset": 8}, "needs 16 bytes at offset 8"), ({"length": 8}, "its entry says 8"),
    ({"offset": -4}, "not a number of bytes"), ({"offset": 10**30}, "not a number of bytes")])
def test_external_sizes_are_checked(tmp_path: Path, entries: dict[str, int], message: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    with pytest.raises(ModelError, match=message):
        read(external("w.bin", **entries), tmp_path)


def test_external_data_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model's folder is not known"):
        read(external("w.bin"), None)
    with pytest.raises(ModelError, match="does not exist"):
        read(external("w.bin"), tmp_path)


@pytest.mark.parametrize(("tensor", "message"), [
    (TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], raw_data=bytes(8)), "holds 8 bytes"),
    (TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-3], raw_data=bytes(12)), "impossible shape"),
    (TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**40, 2**40]), "impossible shape"),
    (TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], float_data=[1.0]), "cannot be decoded"),
    (TensorProto(name="w", data_type=99, dims=[2]), "element type 99")])
def test_damaged_tensors(tensor: onnx.TensorProto, message: str) -> None:
    model = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 18)], graph=onnx.GraphProto(name="g"))
    with pytest.raises(ModelError, match=message):
        load_model(model).array(tensor)


@pytest.mark.parametrize(("data", "message"), [
    (b"", "empty"), (b"\xff" * 40, "not an ONNX model"), (b"\x08\x07", "no graph")])
def test_files_that_are_no_models(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(ModelError, match=message):
            load_model(source)
    with pytest.raises(ModelError, match="not there"):
        load_model(tmp_path / "other.onnx")


def test_sparse_tensors_are_written_out() -> None:
    sparse = onnx.SparseTensorProto(dims=[2, 3], values=numpy_helper.from_array(np.float32([5, 7])),
                                    indices=numpy_helper.from_array(np.int64([1, 5])))
    source = load_model(model_with(numpy_helper.from_array(np.float32([1]), "w")))
    np.testing.assert_array_equal(source.dense(sparse), [[0, 5, 0], [0, 0, 7]])
    sparse.indices.CopyFrom(numpy_helper.from_array(np.int64([[0, 1], [1, 9]])))
    with pytest.raises(ModelError, match="sparse tensor"):
        source.dense(sparse)
