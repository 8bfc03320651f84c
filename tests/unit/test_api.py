"""The short door: models in every form, shapes in every spelling, plans from this machine and from others."""

import logging
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import pytest

import tensorwright
from tensorwright.builder.profiles import fixed_shapes, profiles_of, ranges_of
from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.errors import InputError, PlanError, UnsupportedError
from tensorwright.ir import Network, NetworkEditor, TensorType
from tensorwright.ops import Pointwise
from tensorwright.ops.expr import Apply, In

DATA = resources.files("tensorwright") / "data"
MODEL = (DATA / "digits.onnx").read_bytes()
QUICK = {"tune_budget": 0, "verify": False}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.load((DATA / "digits_test.npz").open("rb"))["image"][:3]


def adder() -> Network:
    """z = x + y over (batch, width) and (batch, 4)"""
    editor = NetworkEditor("adder")
    x = editor.input("x", TensorType((symbol("batch"), symbol("width")), DType.float32))
    y = editor.input("y", TensorType((symbol("batch"), 1), DType.float32))
    args = (In(0, DType.float32), In(1, DType.float32))
    editor.outputs.append(str(editor.add(Pointwise(Apply("add", args, DType.float32)), x, y, outputs=["z"])))
    return editor.finish()


def test_models_in_every_form(tmp_path: Path, images: np.ndarray) -> None:
    path = tmp_path / "digits.onnx"
    path.write_bytes(MODEL)
    shapes = {"image": (3, 1, 8, 8)}
    results = [tensorwright.build(model, shapes=shapes, **QUICK)(images)
               for model in (path, str(path), MODEL, onnx.load_from_string(MODEL))]
    assert tensorwright.build(path, shapes=shapes, **QUICK).name == "digits"
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    engine = tensorwright.build(adder(), shapes={"x": ((1, 1), (2, 3), (4, 5))}, name="mine", **QUICK)
    x, y = np.ones((2, 3), np.float32), np.full((2, 1), 2, np.float32)
    assert engine.name == "mine" and (engine(x, y) == 3).all() and (engine(y=y, x=x) == 3).all()


def test_inputs_through_dlpack(images: np.ndarray) -> None:
    class Foreign:
        def __dlpack__(self, **options: object) -> object:
            return images.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return images.__dlpack_device__()
    engine = tensorwright.build(MODEL, shapes={"image": (3, 1, 8, 8)}, **QUICK)
    np.testing.assert_array_equal(engine(Foreign()), engine(images))


def test_several_profiles(images: np.ndarray) -> None:
    ranges = [((n, 1, 8, 8), (n, 1, 8, 8), (2 * n, 1, 8, 8)) for n in (1, 8)]
    engine = tensorwright.build(MODEL, shapes={"image": ranges}, **QUICK)
    assert [p.ranges for p in engine.profiles] == [(("batch", (1, 1, 2)),), (("batch", (8, 8, 16)),)]
    assert engine(images[:2]).shape == (2, 10) and engine(np.repeat(images, 3, 0)).shape == (9, 10)
    with pytest.raises(InputError):
        engine(images)                                   # 3 lies in neither


def test_defaults_for_dynamic_dimensions_are_announced(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tensorwright"):
        profile, = profiles_of(adder(), {})
    assert profile.ranges == (("batch", (1, 1, 8)), ("width", (1, 64, 512)))
    assert "batch 1 to 8 (tuned for 1), width 1 to 512 (tuned for 64)" in caplog.text
    with pytest.raises(InputError, match="no range"):
        profiles_of(adder(), {}, default=False)


def test_dimensions_by_name(images: np.ndarray) -> None:
    profile, = profiles_of(adder(), {"batch": (1, 2, 4), "width": 3})
    assert profile.ranges == (("batch", (1, 2, 4)), ("width", (3, 3, 3)))
    assert len(profiles_of(adder(), {"batch": [(1, 1, 1), (2, 3, 4)], "width": 3})) == 2
    engine = tensorwright.build(MODEL, shapes={"batch": (1, 2, 3)}, **QUICK)
    assert engine.profiles[0].ranges == (("batch", (1, 2, 3)),) and engine(images).shape == (3, 10)
    fixed = tensorwright.build(MODEL, shapes={"batch": 3}, **QUICK)
    assert fixed.inputs[0].shape == (3, 1, 8, 8) and fixed.profiles[0].ranges == ()
    for wrong in ({"batch": (3, 2, 1)}, {"batch": "many"}, {"width": 3}, {"batch": (1, 2)}):
        with pytest.raises(InputError):
            tensorwright.build(MODEL, shapes=wrong, **QUICK)  # type: ignore[arg-type]


def test_spellings_of_shapes() -> None:
    assert ranges_of("x", (1, 2)) == [((1, 2),) * 3] and ranges_of("x", ()) == [((),) * 3]
    assert ranges_of("x", [[1, 2], [2, 2], [3, 2]]) == [((1, 2), (2, 2), (3, 2))]
    assert len(ranges_of("x", [((1,), (1,), (1,)), ((2,), (3,), (4,))])) == 2
    assert fixed_shapes({"x": ((1, 5), (2, 5), (3, 5)), "y": (4,)}) == {"x": (-1, 5), "y": (4,)}


@pytest.mark.parametrize("given", ["text", ((1,), (2,)), ((2,), (1,), (3,)), ((1,), (1, 2), (3,)),
                                   ((-1,), (1,), (1,)), 5])
def test_shapes_that_make_no_sense(given: object) -> None:
    with pytest.raises(InputError):
        ranges_of("x", given)  # type: ignore[arg-type]


def test_shapes_that_contradict_the_model() -> None:
    for shapes in ({"nope": (1,)}, {"x": (1,)}, {"y": (1, 7)}, {"x": (2, 3), "y": (5, 1)},
                   {"x": [((1, 1),) * 3] * 2, "y": [((1, 1),) * 3] * 3}):
        with pytest.raises(InputError):
            profiles_of(adder(), shapes)  # type: ignore[arg-type]


def test_what_this_version_lacks_is_refused() -> None:
    for options in ({"precision": "int8"}, {"device": "cuda:0"}):
        with pytest.raises(UnsupportedError, match="not in this version"):
            tensorwright.build(MODEL, **options)  # type: ignore[arg-type]


def test_plans_from_another_machine_are_tuned_again(tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch,
                                                    caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "digits.plan"
    monkeypatch.setenv("TENSORWRIGHT_CPU", "baseline")
    engine = tensorwright.build(MODEL, shapes={"image": (3, 1, 8, 8)}, **QUICK)
    expected = engine(images)
    engine.save(path)
    monkeypatch.delenv("TENSORWRIGHT_CPU")
    with pytest.raises(PlanError, match="vector bits"):
        tensorwright.load(path, strict=True)
    with caplog.at_level(logging.WARNING, "tensorwright"):
        again = tensorwright.load(path)
    assert "tuned again for this machine" in caplog.text and "vector bits" in caplog.text
    np.testing.assert_allclose(again(images), expected, rtol=1e-4, atol=1e-5)


def test_code_that_is_not_trusted_is_made_again_from_the_recorded_choices(
        tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    from tensorwright.builder.tune import Tuner
    path = tmp_path / "theirs.plan"
    engine = tensorwright.build(MODEL, shapes={"image": (3, 1, 8, 8)}, timing_cache=False)
    engine.save(path, bytes(32))

    def refuse(*_: object) -> None:
        raise AssertionError("nothing is timed again")
    monkeypatch.setattr(Tuner, "_time", refuse)
    with caplog.at_level(logging.WARNING, "tensorwright"):
        again = tensorwright.load(path)
    assert "compiled again for this machine" in caplog.text and "does not trust" in caplog.text
    assert dict(again.plan.choices) == dict(engine.plan.choices)
    np.testing.assert_array_equal(again(images), engine(images))


def test_choices_that_do_not_fit_the_network_are_a_damaged_plan(tmp_path: Path) -> None:
    from dataclasses import replace

    from tensorwright.runtime import store
    plan = tensorwright.build(MODEL, shapes={"image": (3, 1, 8, 8)}, **QUICK).plan
    store.save(replace(plan, choices=dict.fromkeys(plan.choices, "Forged()")), tmp_path / "forged.plan", bytes(32))
    with pytest.raises(PlanError, match="Forged"):
        tensorwright.load(tmp_path / "forged.plan")


def test_plans_of_this_machine_load_as_they_are(tmp_path: Path, images: np.ndarray,
                                                caplog: pytest.LogCaptureFixture) -> None:
    engine = tensorwright.build(MODEL, shapes={"image": (3, 1, 8, 8)}, threads=1, **QUICK)
    engine.save(tmp_path / "digits.plan")
    again = tensorwright.load(tmp_path / "digits.plan", strict=True)
    np.testing.assert_array_equal(again(images), engine(images))
    assert caplog.text == "" and again.threads == 1


def test_all_names_are_there() -> None:
    for name in tensorwright.__all__:
        assert getattr(tensorwright, name) is not None
    assert set(tensorwright.__all__) <= set(dir(tensorwright))
    assert tensorwright.trt.Logger is tensorwright.Logger and tensorwright.errors.PlanError is PlanError
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tensorwright.nonsense  # noqa: B018


@pytest.mark.parametrize("module", ["runtime", "settings", "device.cpu", "kernels", "builder", "cli.bench", "trt"])
def test_every_part_can_be_imported_first(module: str) -> None:
    """Names of the package are looked up when they are used: that must not import parts that are being imported."""
    done = subprocess.run([sys.executable, "-c", f"import tensorwright.{module}"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
