"""Each command on the model that ships with the package: what it prints, its JSON, its exit code."""

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import __version__
from tensorwright.cli.console import BAD_INPUT, CANNOT, FAILED, OK, USAGE
from tensorwright.cli.main import COMMANDS, main

DATA = resources.files("tensorwright") / "data"
SHAPES = ["--shapes", "image=1x1x8x8:2x1x8x8:8x1x8x8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    (path / "digits.onnx").write_bytes((DATA / "digits.onnx").read_bytes())
    test = np.load((DATA / "digits_test.npz").open("rb"))
    np.save(path / "images.npy", test["image"][:8])
    np.save(path / "labels.npy", test["label"][:8])
    arguments = ["build", f"{path}/digits.onnx", "-o", f"{path}/digits.plan", "--tune-budget", "0", "--quiet", *SHAPES]
    assert main(arguments) == OK
    return path


def wright(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = OK) -> tuple[str, str]:
    """(standard output, standard error) of a command that ends with `code`."""
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == code, capsys.readouterr()
    return capsys.readouterr()


def answer(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = OK) -> Any:
    """The JSON of a command."""
    return json.loads(wright(capsys, *arguments, "--json", "--quiet", code=code)[0])


def test_help_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = wright(capsys, "--help")
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2]
        assert f"    {name} " in out and "examples:" in module.EPILOG + "examples:"
        text, _ = wright(capsys, name, "--help")
        assert module.DESCRIPTION.split()[0] in text and ("--json" in text) == (not hasattr(module, "COMMANDS"))
    assert __version__ in wright(capsys, "--version")[0]


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["build"], ["run", "x.plan", "--threads", "0"],
                                       ["build", "x.onnx", "--tune-budget", "-1"], ["inspect", "x", "--profile", "-1"]])
def test_wrong_command_lines(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert wright(capsys, *arguments, code=USAGE)[1].startswith("usage: wright")


def test_build_tells_what_it_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "build", folder / "digits.onnx", "-o", folder / "again.plan", "--tune-budget", 0, *SHAPES)
    assert told["verification"]["ok"] and told["steps"] > 5 and told["host_steps"] == []
    assert told["bytes"] == (folder / "again.plan").stat().st_size
    out, err = wright(capsys, "build", folder / "digits.onnx", "--tune-budget", 0, "--no-verify", *SHAPES)
    assert "digits.plan" in out and "not verified" in out and "passes" in err


def test_a_build_that_is_not_exact_enough_writes_no_plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("build", folder / "digits.onnx", "-o", folder / "strict.plan", "--tune-budget", 0, "--tolerance", 0)
    _, err = wright(capsys, *arguments, *SHAPES, code=FAILED)
    assert "VerificationError" in err and not (folder / "strict.plan").exists()


def test_shapes_by_the_name_of_a_dimension(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("build", folder / "digits.onnx", "-o", folder / "named.plan", "--tune-budget", 0, "--shapes")
    wright(capsys, *arguments, "batch=1:2:4")
    assert answer(capsys, "inspect", folder / "named.plan")["profile"] == {"batch": [1, 2, 4]}
    wright(capsys, *arguments, "batch=4")
    assert answer(capsys, "inspect", folder / "named.plan")["inputs"][0]["shape"] == [4, 1, 8, 8]


def test_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = folder / "results"
    told = answer(capsys, "run", folder / "digits.plan", "--input", f"image={folder}/images.npy", "-o", results)
    assert told["outputs"]["logits"] == {"type": "float32", "shape": [8, 10], "file": str(results / "logits.npy")}
    assert (np.load(results / "logits.npy").argmax(1) == np.load(folder / "labels.npy")).all()
    out, _ = wright(capsys, "run", folder / "digits.plan", "--random", "--threads", 1)
    assert "(2, 10)" in out and "1 thread" in out


def test_run_refuses_what_does_not_fit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(folder / "large.npy", np.zeros((9, 1, 8, 8), np.float32))
    _, err = wright(capsys, "run", folder / "digits.plan", "--input", f"image={folder}/large.npy", code=BAD_INPUT)
    assert "InputError" in err and "Traceback" not in err
    assert "--random" in wright(capsys, "run", folder / "digits.plan", code=USAGE)[1]
    told = answer(capsys, "run", folder / "digits.plan", "--input", f"image={folder}/large.npy", code=BAD_INPUT)
    assert told["error"]["type"] == "InputError" and told["error"]["what"]
    wright(capsys, "run", folder / "missing.plan", "--random", code=BAD_INPUT)


def test_debug_shows_the_traceback(folder: Path, capsys: pytest.CaptureFixture[str],
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORWRIGHT_DEBUG", "1")
    assert "Traceback" in wright(capsys, "run", folder / "missing.plan", "--random", code=BAD_INPUT)[1]


def test_inspect_a_plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = wright(capsys, "inspect", folder / "digits.plan")
    assert "image: float32 (batch, 1, 8, 8)" in out and "Convolution" in out
    told = answer(capsys, "inspect", folder / "digits.plan")
    assert told["profile"] == {"batch": [1, 2, 8]} and told["host_steps"] == [] and told["layers"][0]["tactic"]
    assert "there are 1" in wright(capsys, "inspect", folder / "digits.plan", "--profile", 1, code=USAGE)[1]


def test_inspect_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "inspect", folder / "digits.onnx")
    assert told["operators"]["Conv"] == {"native": 12, "expanded": 0, "host": 0} and told["host_steps"] == {}
    assert "Conv" in wright(capsys, "inspect", folder / "digits.onnx")[0]


def test_inspect_a_damaged_plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((folder / "digits.plan").read_bytes())
    (folder / "short.plan").write_bytes(content[:5000])
    (folder / "text.plan").write_text("hello")
    for name in ("short.plan", "text.plan"):
        assert "PlanError" in wright(capsys, "inspect", folder / name, code=BAD_INPUT)[1]


def test_verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "verify", folder / "digits.plan", "--model", folder / "digits.onnx")
    assert told["ok"] and told["checks"] == 3 and told["largest error"] < 1e-4
    out, _ = wright(capsys, "verify", folder / "digits.plan")
    assert "agrees" in out and "8x1x8x8" in out


def test_verify_a_plan_of_fixed_shape_by_its_dynamic_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = ("--shapes", "image=2x1x8x8", "--tune-budget", 0)
    wright(capsys, "build", folder / "digits.onnx", "-o", folder / "fixed.plan", *fixed)
    told = answer(capsys, "verify", folder / "fixed.plan", "--model", folder / "digits.onnx")
    assert told["ok"] and told["checks"] == 1


def test_verify_finds_a_plan_of_another_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = onnx.load(folder / "digits.onnx")
    bias = next(t for t in other.graph.initializer if list(t.dims) == [10])
    array = onnx.numpy_helper.to_array(bias) + 1
    bias.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), bias.name))
    onnx.save(other, folder / "other.onnx")
    out, _ = wright(capsys, "verify", folder / "digits.plan", "--model", folder / "other.onnx", code=FAILED)
    assert "WRONG" in out and "NOT agree" in out


def test_bench_beside_onnxruntime(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "bench", folder / "digits.onnx", "--vs", "onnxruntime", "--batch", 2, "--seconds", 0.1,
                  "--tune-budget", 0, "--threads", 1, "--layers")
    assert told["inputs"] == {"image": [2, 1, 8, 8]} and told["threads"] == 1 and told["seconds"] > 0
    other = told["vs"]["onnxruntime"]
    assert other["difference"] < 1e-4 and other["ratio"] > 0
    slowest, *rest = told["layers"]
    assert all(slowest["seconds"] >= x["seconds"] > 0 for x in rest)
    assert slowest["limit"] in ("FMA", "L1", "L2", "L3", "memory")
    assert slowest["roofline"] > 0 and slowest["gflops"] > 0 and slowest["gbytes"] > 0
    assert 0 <= told["good_share"] <= 1 and 0 < len(told["lost"]) <= 5
    assert told["roofs"]["L1 gbytes"] > 0 and told["roofs"]["gflops"] == told["peak"]
    out, _ = wright(capsys, "bench", folder / "digits.plan", "--seconds", 0.1, "--layers", 2)
    assert "per second" in out and "of the roofline or more" in out
    table = out[out.index("layer"):].splitlines()
    assert table[0].split()[-3:] == ["GB/s", "roofline", "limit"] and table[3].startswith("  roofs of ")
    np.save(folder / "image.npy", np.zeros((1, 1, 8, 8), np.float32))
    out, err = wright(capsys, "bench", folder / "digits.plan", "--seconds", 0.1, "--layers", "-i",
                      f"image={folder / 'image.npy'}")
    assert "roofline" not in out and "leave -i out" in err


def test_options_for_building_do_not_go_with_a_plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--tune-budget", 0], ["--no-verify"], ["--tolerance", 1], SHAPES):
        assert "is a plan already" in wright(capsys, "run", folder / "digits.plan", "--random", *option, code=USAGE)[1]


def test_bench_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--model" in wright(capsys, "bench", folder / "digits.plan", "--vs", "onnxruntime", code=USAGE)[1]
    assert "the profile decides" in wright(capsys, "bench", folder / "digits.plan", "--batch", 2, code=USAGE)[1]
    wright(capsys, "bench", folder / "digits.onnx", "--vs", "unheard-of", "--tune-budget", 0, *SHAPES, code=BAD_INPUT)


def test_a_runtime_that_is_not_installed(folder: Path, capsys: pytest.CaptureFixture[str],
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    _, err = wright(capsys, "bench", folder / "digits.onnx", "--vs", "openvino", "--tune-budget", 0, *SHAPES,
                    code=CANNOT)
    assert "pip install openvino" in err


@pytest.mark.parametrize("arguments", [["--precision", "fp16"], ["--device", "cuda"]])
def test_what_is_not_supported_says_so(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    for command in (["build", folder / "digits.onnx", *SHAPES], ["run", folder / "digits.plan", "--random"]):
        _, err = wright(capsys, *command, *arguments, code=CANNOT)
        assert "UnsupportedError" in err and "  try  " in err


def test_a_model_that_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.onnx").write_bytes(b"\x08\x01broken")
    assert "ModelError" in wright(capsys, "build", folder / "broken.onnx", code=BAD_INPUT)[1]
    _, err = wright(capsys, "build", folder / "digits.onnx", "--shapes", "photo=1x1x8x8", code=BAD_INPUT)
    assert "'photo'" in err and "image" in err


def test_dynamic_dimensions_without_shapes_get_a_default_and_a_note(folder: Path,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    _, err = wright(capsys, "build", folder / "digits.onnx", "-o", folder / "default.plan", "--tune-budget", 0)
    assert "batch 1 to 8 (tuned for 1)" in err


def test_host_steps_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = helper.make_node("NonZero", ["x"], ["y"], name="find")
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
                              [helper.make_tensor_value_info("y", TensorProto.INT64, [1, None])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    out, _ = wright(capsys, "build", tmp_path / "m.onnx", "-o", tmp_path / "m.plan")
    assert "host step" in out
    assert "host" in wright(capsys, "inspect", tmp_path / "m.plan")[0]


def test_demo_on_the_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = wright(capsys, "demo", "--digits-only", "--keep", tmp_path, "--quiet")
    assert "accuracy 99." in out and "Conv + Add + Relu" in out and "wright inspect" in out
    assert {p.name for p in tmp_path.iterdir()} == {"digits.onnx", "digits.plan", "digits_images.npy"}
