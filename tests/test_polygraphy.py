"""NVIDIA's Polygraphy as it is on the package index, through `wright shim`: it builds, compares, inspects, debugs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright.cuda import cudart
from tensorwright.cuda.present import gpu_is_present
from tools.zoo import ZOO

pytest.importorskip("polygraphy")
pytestmark = [pytest.mark.skipif(gpu_is_present(), reason="with a GPU the real libcudart is left alone"),
              pytest.mark.skipif(not cudart.supported(), reason="libcudart stands in on Linux on x86-64")]

ROOT = Path(__file__).parents[1]
DIGITS = str(ROOT / "src/tensorwright/data/digits.onnx")
EXPORTS = ROOT / "tests/data/exports"
FAST = ("--builder-optimization-level", "0")              # nothing is timed
MARK = "##### "

#: Several command lines of Polygraphy in one process, which saves the time it takes to start.
DRIVER = f'''
import json, sys
from polygraphy.tools._main import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["polygraphy", *words]
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    except Exception as error:
        code = repr(error)
    print("\\n{MARK}", json.dumps(code), flush=True)
'''


def shimmed(generation: str, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tensorwright.cli.main", "shim", "--generation", generation, "--",
                           *command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def outcomes(generation: str, cwd: Path, *commands: Sequence[str]) -> list[tuple[str, str]]:
    """The exit status of each command line, as text, and what it printed."""
    printed = shimmed(generation, sys.executable, "-c", DRIVER, json.dumps(commands), cwd=cwd).stdout
    found = []
    for _ in commands:
        output, _, printed = printed.partition(f"\n{MARK}")
        code, _, printed = printed.partition("\n")
        found.append((code.strip(), output))
    return found


def polygraphy(generation: str, cwd: Path, *commands: Sequence[str]) -> list[str]:
    """What each command line printed. They all succeed."""
    found = outcomes(generation, cwd, *commands)
    for command, (code, output) in zip(commands, found, strict=True):
        assert code == "0", f"{' '.join(command)}: {code}\n{output[-4000:]}"
    return [output for _, output in found]


def shapes(kind: str, sizes: str, *names: str) -> list[str]:
    """One of Polygraphy's shape options, the same sizes for every input."""
    return [f"--{kind}", *(f"{name}:[{sizes}]" for name in names)]


def profile(low: str, usual: str, high: str, *names: str) -> list[str]:
    return [*shapes("trt-min-shapes", low, *names), *shapes("trt-opt-shapes", usual, *names),
            *shapes("trt-max-shapes", high, *names)]


def save(file: Path, nodes: list[onnx.NodeProto], x: list[int], dtype: int, y: list[int | None] | None,
         weights: Sequence[onnx.TensorProto] = ()) -> None:
    """A model of one input x, float32, and one output y."""
    graph = helper.make_graph(nodes, file.stem, [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
                              [helper.make_tensor_value_info("y", dtype, y)], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)


def save_small(file: Path) -> None:
    w = numpy_helper.from_array(np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32), "w")
    save(file, [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])], [1, 4, 12, 12],
         TensorProto.FLOAT, None, [w])


def test_five_networks_agree_with_onnx_runtime(tmp_path: Path) -> None:
    texts = ("input_ids", "attention_mask", "token_type_ids")
    onnx.save(ZOO["lstm_tagger"].model(), tmp_path / "lstm.onnx")
    networks = {
        DIGITS: [*profile("1,1,8,8", "2,1,8,8", "4,1,8,8", "image"), *shapes("input-shapes", "3,1,8,8", "image")],
        str(EXPORTS / "resnet.onnx"): [],
        str(EXPORTS / "detector.onnx"): ["--atol", "1e-4"],
        str(EXPORTS / "bert.onnx"): [
            *profile("1,4", "1,8", "2,16", *texts), *shapes("input-shapes", "2,6", *texts),
            "--val-range", "input_ids:[0,50]", "attention_mask:[1,1]", "token_type_ids:[0,1]"],
        "lstm.onnx": [*profile("1,24", "1,24", "2,24", "ids"), *shapes("input-shapes", "2,24", "ids"), "--val-range",
                      "ids:[0,9999]"],
    }
    for network, output in zip(networks, polygraphy("11", tmp_path, *(
            ["run", network, "--trt", "--onnxrt", *FAST, *options] for network, options in networks.items())),
            strict=True):
        assert "Passed: 1/1 iterations | Pass Rate: 100.00%" in output, f"{network}\n{output}"


def test_every_value_agrees_and_wrong_results_are_found(tmp_path: Path) -> None:
    every = ["--trt-outputs", "mark", "all", "--onnx-outputs", "mark", "all"]
    model = onnx.load(DIGITS)
    weights = model.graph.initializer[0]
    weights.raw_data = bytes(len(weights.raw_data))
    onnx.save(model, tmp_path / "zeros.onnx")
    every = ["--trt-outputs", "mark", "all", "--onnx-outputs", "mark", "all"]
    right, debug, zeros, wrong = outcomes(
        "11", tmp_path, ["run", DIGITS, "--trt", "--onnxrt", *FAST, *every],
        ["run", DIGITS, "--trt", "--onnxrt", *FAST, "--mark-debug", "relu", "--onnx-outputs", "relu", "logits"],
        ["run", "zeros.onnx", "--onnxrt", "--save-outputs", "zeros.json"],
        ["run", DIGITS, "--trt", *FAST, "--load-outputs", "zeros.json"])
    assert right[0] == zeros[0] == debug[0] == "0", right[1] + debug[1]
    assert "PASSED | Output: 'relu'" in debug[1], "a debug tensor"
    assert right[1].count("PASSED | Output:") == len(model.graph.node), "a value for each node"
    assert wrong[0] == "1" and "FAILED | Output: 'logits'" in wrong[1], wrong[1]


@pytest.mark.parametrize("generation", ["8", "11"])        # 10 below
def test_engines_and_timings_are_saved_inspected_and_run(tmp_path: Path, generation: str) -> None:
    sizes = profile("1,1,8,8", "2,1,8,8", "4,1,8,8", "image")
    built, converted, engine, network, capability, again = polygraphy(
        generation, tmp_path,
        ["run", DIGITS, "--trt", "--onnxrt", *FAST, *sizes, "--save-engine", "a.engine"],
        ["convert", DIGITS, "-o", "b.engine", *FAST, *sizes],
        ["inspect", "model", "b.engine", "--show", "layers", "attrs", "weights"],
        ["inspect", "model", DIGITS, "--display-as=trt", "--show", "layers", "attrs", "weights"],
        ["inspect", "capability", DIGITS],
        ["run", "a.engine", "--model-type", "engine", "--trt", *shapes("input-shapes", "4,1,8,8", "image")])
    assert "Pass Rate: 100.00%" in built
    assert (tmp_path / "b.engine").stat().st_size and "Finished engine building" in converted
    assert "image [dtype=float32, shape=(-1, 1, 8, 8)]" in engine and "logits" in engine and "Profile: 0" in engine
    assert "Convolution" in engine, "the layers' kinds"
    assert "LayerType.CONVOLUTION" in network and "num_groups = 1" in network and "kernel_size_nd" in network
    assert "could not retrieve attribute" not in network and "._" not in network, "only the API's attributes"
    assert "fully supported" in capability
    assert "logits [dtype=float32, shape=(4, 10)]" in again


def test_lower_precisions_are_permissions_and_tactics_are_replayed(tmp_path: Path) -> None:
    """--fp16 and --int8 exist up to generation 10. Its calibrator is asked once; then its cache is enough."""
    save_small(tmp_path / "small.onnx")
    sizes = profile("1,1,8,8", "2,1,8,8", "4,1,8,8", "image")
    low = ["run", DIGITS, "--trt", "--onnxrt", *FAST, *sizes, "--int8", "--calibration-cache", "ranges.txt"]
    first, again, engine, other, recorded, replayed = polygraphy(
        "10", tmp_path, [*low, "--fp16", "--save-engine", "a.engine"], low,
        ["inspect", "model", "a.engine", "--show", "layers"],
        ["run", DIGITS, "--trt", *FAST, *sizes, "--int8", "--calib-base-cls", "IInt8MinMaxCalibrator"],
        ["run", "small.onnx", "--trt", "--onnxrt", *FAST, "--save-tactics", "tactics.json"],
        ["run", "small.onnx", "--trt", "--onnxrt", *FAST, "--load-tactics", "tactics.json"])
    assert all("Pass Rate: 100.00%" in output for output in (first, again, recorded, replayed))
    assert "FP16 permits a lower precision; this version computes in the types given" in first
    assert "Saving calibration cache" in first and "Loading calibration cache" in again
    assert (tmp_path / "ranges.txt").read_text().startswith("TRT-101600-EntropyCalibration2\nimage: ")
    assert "logits" in engine and "PASSED" in other
    assert len(json.loads((tmp_path / "tactics.json").read_text())["replay"]) >= 1


def test_debug_precision_and_timing_caches(tmp_path: Path) -> None:
    save_small(tmp_path / "small.onnx")
    save(tmp_path / "late.onnx", [helper.make_node("NonZero", ["x"], ["y"])], [4, 6], TensorProto.INT64, [2, None])
    check = [sys.executable, "-S", "-c", "import os; assert os.path.getsize('polygraphy_debug.engine')"]
    debugged, timed, known, late = polygraphy(
        "8", tmp_path, ["debug", "precision", "small.onnx", "--fp16", "--precision-constraints", "obey", *FAST,
                        "--mode", "linear", "--check", *check],
        ["run", "small.onnx", "--trt", "--save-timing-cache", "times"],
        ["run", "small.onnx", "--trt", "--onnxrt", "--load-timing-cache", "times"],
        ["run", "late.onnx", "--trt", "--onnxrt", "--val-range", "[-1,1]"])
    assert "try running" in debugged and "Pass Rate: 100.0%" in debugged
    assert (tmp_path / "times").stat().st_size and "Pass Rate: 100.00%" in known and "PASSED" in timed
    assert "y [dtype=int32, shape=(2," in late and "Pass Rate: 100.00%" in late, "there is no INT64 in generation 8"
