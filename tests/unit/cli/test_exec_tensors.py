"""wright exec: debug tensors in files, outputs against references, working memory, and how kernels are timed."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tensorwright.cli.console import FAILED, USAGE
from tensorwright.cli.exec.accuracy import distance
from tensorwright.cli.exec.tuning import knobs, search

from .test_exec import QUICK, execute


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = softmax(relu(x @ w)) for x (n, 8), with random weights that tests know."""
    folder = tmp_path_factory.mktemp("tensors")
    weight = np.random.default_rng(0).standard_normal((8, 8), dtype=np.float32)
    proto = onnx.parser.parse_model('<ir_version: 9, opset_import: ["" : 18]> g (float[n, 8] x, float[8, 8] w) => '
                                    "(float[n, 8] y) { product = MatMul(x, w) \n relu = Relu(product) \n "
                                    "y = Softmax(relu) }")
    del proto.graph.input[1]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(proto, folder / "m.onnx")
    x = np.random.default_rng(1).standard_normal((3, 8), dtype=np.float32)
    x.tofile(folder / "x.raw")
    relu = np.maximum(x.astype(np.float64) @ weight, 0)
    e = np.exp(relu - relu.max(1, keepdims=True))
    for name, value in (("relu", relu), ("y", e / e.sum(1, keepdims=True))):
        value.astype(np.float32).tofile(folder / f"{name}.raw")
    return folder


def arguments(model: Path, *more: Any) -> list[str]:
    return [f"--onnx={model}/m.onnx", "--shapes=x:3x8", f"--loadInputs=x:{model}/x.raw", *QUICK, *map(str, more)]


def test_debug_tensors_are_written(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out, _ = execute(*arguments(model, "--markDebug=relu,product", "--saveDebugTensors=relu:r.bin",
                                "--saveAllDebugTensors=summary,numpy,string"))
    expected = np.fromfile(model / "relu.raw", np.float32).reshape(3, 8)
    np.testing.assert_allclose(np.fromfile("r.bin", np.float32).reshape(3, 8), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.load("relu.npy"), expected, rtol=1e-4, atol=1e-5)
    shape, *numbers = Path("relu.txt").read_text().split()
    assert shape == "3x8" and np.allclose(np.float32(numbers), expected.ravel(), atol=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["product.npy", "product.txt", "r.bin", "relu.npy", "relu.txt"]
    assert re.search(r"Debug tensor relu: float32 3x8 min = 0, max = \S+, mean = \S+, nan = 0", out)


def test_unfused_tensors_are_written(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    execute(*arguments(model, "--markUnfusedTensorsAsDebugTensors", "--saveAllDebugTensors=raw"))
    found = np.fromfile("relu.raw", np.float32).reshape(3, 8)        # the product is fused with it
    np.testing.assert_allclose(found.ravel(), np.fromfile(model / "relu.raw", np.float32), rtol=1e-4, atol=1e-5)
    assert not Path("product.raw").exists()


def test_tensors_that_are_not_there(model: Path) -> None:
    for given, says in (("--markDebug=nobody", "no layer makes 'nobody'"),
                        ("--saveDebugTensors=relu:f", "not a debug tensor"), ("--loadRefOutputs=z:f", "no output 'z'")):
        assert says in execute(*arguments(model, given), code=FAILED)[1]
    execute(*arguments(model, "--saveAllDebugTensors=pictures"), code=USAGE)
    assert "--loadRefOutputs" in execute(*arguments(model, "--atol=1"), code=FAILED)[1]


@pytest.mark.parametrize("algorithm", ["l0", "l1", "l2", "lInf", "cos"])
def test_outputs_are_compared_with_references(model: Path, tmp_path: Path, algorithm: str) -> None:
    good = arguments(model, f"--loadRefOutputs=y:{model}/y.raw", f"--accuracyAlgorithm={algorithm}")
    assert re.search(rf"Accuracy of y \(pair 0\): {algorithm} = \S+, threshold = \S+: PASSED", execute(*good)[0])
    wrong = np.fromfile(model / "y.raw", np.float32)
    wrong[3] += 0.25
    wrong.tofile(tmp_path / "wrong.raw")
    bad = arguments(model, f"--loadRefOutputs=y:{tmp_path}/wrong.raw", f"--accuracyAlgorithm={algorithm}")
    out, err = execute(*bad, code=FAILED)
    assert ": FAILED" in out and "1 outputs differ" in err
    execute(*bad, "--accuracyThreshold=1")


def test_pairs_of_inputs_and_references(model: Path, tmp_path: Path) -> None:
    np.zeros((3, 8), np.float32).tofile(tmp_path / "zeros.raw")
    np.full((3, 8), 1 / 8, np.float32).tofile(tmp_path / "even.raw")
    out, _ = execute(f"--onnx={model}/m.onnx", "--shapes=x:3x8", *QUICK, "--refPair=0", f"--loadInputs=x:{model}/x.raw",
                     f"--loadRefOutputs=y:{model}/y.raw", "--refPair=1", f"--loadInputs=x:{tmp_path}/zeros.raw",
                     f"--loadRefOutputs=y:{tmp_path}/even.raw", "--atol=1e-4")
    assert len(re.findall(r"Accuracy of y \(pair [01]\): l0 = 0, threshold = 0: PASSED", out)) == 2


def test_distances() -> None:
    a, b = np.float32([1, 2, 3, 4]), np.float32([1, 2, 3, 6])
    assert distance("l0", a, b, 0.1, 0.0) == 0.25 and distance("l0", a, b, 0.0, 0.5) == 0
    assert distance("l1", a, b, 0, 0) == 0.5 and distance("l2", a, b, 0, 0) == 1 and distance("lInf", a, b, 0, 0) == 2
    assert np.isclose(distance("cos", np.float32([1, 0]), np.float32([0, 1]), 0, 0), 1)
    assert abs(distance("cos", a, 2 * a, 0, 0)) < 1e-12 and distance("cos", 0 * a, 0 * a, 0, 0) == 0
    nan = np.float32([1, np.nan, 3, np.inf])
    assert distance("lInf", nan, nan, 0, 0) == 0 and distance("l0", a, nan, 9, 9) == float("inf")
    assert distance("l1", np.empty(0), np.empty(0), 0, 0) == 0


@pytest.mark.parametrize("strategy", ["static", "profile", "runtime"])
def test_working_memory_by_strategy(model: Path, strategy: str) -> None:
    execute(*arguments(model, f"--allocationStrategy={strategy}", f"--loadRefOutputs=y:{model}/y.raw"))


def test_how_kernels_are_timed(model: Path, tmp_path: Path) -> None:
    build = [f"--onnx={model}/m.onnx", "--shapes=x:3x8", "--skipInference", f"--timingCacheFile={tmp_path}/cache"]
    out, err = execute(*build, "--errorOnTimingCacheMiss", code=FAILED)
    assert "the timing cache lacks times" in err and not (tmp_path / "cache").exists()
    out, _ = execute(*build, "--maxTactics=1", "--avgTiming=8", "--monitorMemory")
    assert "[MemUsage] at most" in out
    execute(*build)
    execute(*build, "--errorOnTimingCacheMiss")
    tree = json.loads((tmp_path / "cache").read_text())
    scope = next(iter(tree["scopes"].values()))
    (tmp_path / "cache").write_text(json.dumps({**tree, "scopes": {"another machine": scope}}))
    out, _ = execute(*build)
    assert "has no timings of this machine" in out
    assert len(json.loads((tmp_path / "cache").read_text())["scopes"]) == 2


def test_build_routes(model: Path) -> None:
    out, _ = execute("--helpBuildRoute")
    assert "-max_num_tactics" in json.loads(out.splitlines()[-2])
    build = [f"--onnx={model}/m.onnx", "--shapes=x:3x8", "--skipInference"]
    execute(*build, "--setBuildRoute=-optimization_level=0 -threads=1")
    assert "build_route" in execute(*build, "--setBuildRoute=-nonsense=1", code=FAILED)[1]


def test_build_routes_are_tuned(model: Path, tmp_path: Path) -> None:
    tune = [f"--onnx={model}/m.onnx", "--shapes=x:3x8", *QUICK,
            "--tuneBuildRoutes=-optimization_level=0 -threads=[1|2]"]
    cache = tmp_path / "tuning"
    (tmp_path / "all").mkdir()
    out, _ = execute(*tune, f"--tuningCacheFile={cache}", f"--tuningResultFile={tmp_path}/best.json",
                     f"--saveAllEngines={tmp_path}/all", f"--saveEngine={tmp_path}/best.plan")
    header, *rows = map(json.loads, cache.read_text().splitlines())
    assert [row["route"] for row in rows] == [f"-optimization_level=0 -threads={n}" for n in (1, 2)]
    best = min(rows, key=lambda row: row["medianMs"])
    assert json.loads((tmp_path / "best.json").read_text()) == best and f"Best build route of 2: {best['route']}" in out
    assert len(list((tmp_path / "all").iterdir())) == 2 and header["knobs"].startswith("-optimization_level=[0]")
    execute(f"--loadEngine={tmp_path}/best.plan", *QUICK)
    before = cache.read_text()
    out, _ = execute(*tune, f"--tuningCacheFile={cache}", "--continue")
    assert cache.read_text() == before and "Engine built" not in out
    other = [a.replace("1|2", "1|2|4") for a in tune]
    assert "another search" in execute(*other, f"--tuningCacheFile={cache}", "--continue", code=FAILED)[1]
    out, _ = execute(*tune, "--dryRun")
    assert out.count("Build route: -optimization_level=0 -threads=") == 2 and "Engine built" not in out
    assert "no build route was measured" in execute(*tune, "--tuningTimeOut=0", code=FAILED)[1]
    for wrong, says in (("--tuneBuildRoutes=threads", "'threads'"), ("--dryRun", "--tuneBuildRoutes")):
        assert says in execute(f"--onnx={model}/m.onnx", wrong, code=FAILED)[1]


def test_searches() -> None:
    space = knobs("-a=[1|2|3] -b=[x|y|z]")
    cost = {"1": 3.0, "2": 1.0, "3": 2.0, "x": 0.3, "y": 0.2, "z": 0.1}
    counts = {}
    for kind in ("full", "fast", "mixed"):
        tried: dict[str, float] = {}

        def try_(route: str, tried: dict[str, float] = tried) -> float:
            return tried.setdefault(route, sum(cost[value] for value in re.findall(r"=(\w)", route)))
        search(kind, space, try_)
        counts[kind] = len(tried)
        assert min(tried, key=tried.__getitem__) == "-a=2 -b=z"
    assert counts == {"full": 9, "fast": 5, "mixed": 7}
