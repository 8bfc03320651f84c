"""What users write: shapes and inputs."""

from pathlib import Path

import numpy as np
import pytest

from tensorwright.cli.console import Console, UsageError
from tensorwright.cli.values import fitting, is_model, load_inputs, shapes
from tensorwright.dtypes import DType
from tensorwright.errors import InputError
from tensorwright.plan.records import TensorInfo


def test_shapes() -> None:
    assert shapes(["image=1x3x8x8"]) == {"image": [((1, 3, 8, 8),) * 3]}
    assert shapes(["a=1x2:3x2:4x2,b=5"]) == {"a": [((1, 2), (3, 2), (4, 2))], "b": [((5,),) * 3]}
    assert shapes(["a=1", "a=2:3:4"]) == {"a": [((1,),) * 3, ((2,), (3,), (4,))]}
    assert shapes(["scalar="]) == {"scalar": [((),) * 3]} and shapes([]) == {}
    assert shapes(["name:0=1x2"]) == {"name:0": [((1, 2),) * 3]}


@pytest.mark.parametrize("text", ["image", "=1x2", "a=1x2:3x4", "a=1xx2", "a=axb", "a=1,"])
def test_shapes_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError):
        shapes([text])


def test_inputs_from_files(tmp_path: Path) -> None:
    one, two = np.arange(3.0), np.ones((2, 2), np.int64)
    np.save(tmp_path / "one.npy", one)
    np.savez(tmp_path / "both.npz", one=one, two=two)
    assert (load_inputs([f"x={tmp_path}/one.npy"])["x"] == one).all()
    assert set(load_inputs([f"{tmp_path}/both.npz"])) == {"one", "two"}
    assert (load_inputs([f"two={tmp_path}/both.npz"])["two"] == two).all()
    with pytest.raises(UsageError):
        load_inputs([f"{tmp_path}/one.npy"])
    with pytest.raises(InputError, match="no array 'three'"):
        load_inputs([f"three={tmp_path}/both.npz"])
    (tmp_path / "bad.npy").write_bytes(b"not an array")
    with pytest.raises(InputError, match="no NumPy array"):
        load_inputs([f"x={tmp_path}/bad.npy"])


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        load_inputs([f"x={tmp_path}/objects.npy"])


def test_inputs_are_converted_when_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    takes = [TensorInfo("x", (3,), DType.float32), TensorInfo("i", (2,), DType.int32)]
    given = {"x": np.zeros(3), "i": np.array([1, 2])}
    fitted = fitting(given, takes, Console())
    assert fitted["x"].dtype == np.float32 and fitted["i"].dtype == np.int32
    assert "converted from float64 to float32" in capsys.readouterr().err
    kept = fitting({"i": np.array([1.5, 2.0])}, takes, Console())
    assert kept["i"].dtype == np.float64                 # 1.5 is no integer: the engine says so


def test_files_are_told_apart_by_suffix() -> None:
    assert is_model("a/b.onnx") and is_model(Path("B.ONNX")) and not is_model("a.plan")
