"""wright exec on small models: its report as existing readers take it apart, its files, its outputs, its refusals."""

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import tensorwright
from tensorwright.cli.console import FAILED, OK, USAGE, UsageError
from tensorwright.cli.exec.flags import State
from tensorwright.cli.exec.inventory import FLAGS
from tensorwright.cli.exec.syntax import signed
from tensorwright.cli.main import main
from tensorwright.generations import v10
from tensorwright.runtime import store

MODEL = resources.files("tensorwright") / "data" / "digits.onnx"
QUICK = ["--duration=0.05", "--warmUp=5", "--iterations=3", "--builderOptimizationLevel=0"]
RANGE = ["--minShapes=image:1x1x8x8", "--optShapes=image:4x1x8x8", "--maxShapes=image:8x1x8x8"]
STAMP = re.compile(r"^\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[[IVWE]\] ?")


def execute(*arguments: object, code: int = OK) -> tuple[str, str]:
    """(standard output, standard error) of `wright exec`, which ends with `code`."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        ended = main(["exec", *map(str, arguments)])
    assert ended == code, out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exec")
    (path / "digits.onnx").write_bytes(MODEL.read_bytes())
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> str:
    """A build with everything that can be written, in the spelling of old scripts."""
    out, err = execute(f"--onnx={folder}/digits.onnx", f"--saveEngine={folder}/digits.plan", *RANGE, *QUICK,
                       "--explicitBatch", "--fp16", "--workspace=64", "--useCudaGraph", "--noTF32", "--avgRuns=5",
                       "--profilingVerbosity=detailed", "--dumpProfile", "--dumpLayerInfo",
                       "--dumpOptimizationProfile", f"--exportTimes={folder}/times.json",
                       f"--exportProfile={folder}/profile.json", f"--exportLayerInfo={folder}/layers.json",
                       f"--exportOutput={folder}/output.json", "--percentile=50,99")
    assert "BuilderFlag.FP16 permits" in err
    return out


def read(path: Path) -> Any:
    return json.loads(path.read_text())


# ---- the report

def test_first_and_last_line(report: str) -> None:
    first, *lines, last = report.splitlines()
    head = r"&&&& (RUNNING|PASSED) TensorRT\.trtexec \[TensorRT v(\d+)\] \[tensorwright [\w.]+\] # wright exec --onnx="
    running, passed = re.match(head, first), re.match(head, last)
    assert running and passed and (running[1], passed[1]) == ("RUNNING", "PASSED")
    major, minor, patch = v10.__version__.split(".")[:3]
    assert int(running[2]) == int(major) * 10000 + int(minor) * 100 + int(patch)
    assert all(STAMP.match(line) for line in lines)
    assert not any("explicitBatch" in line for line in lines)          # silently
    assert sum("--useCudaGraph" in line for line in lines) == 1        # said once


def test_latency_as_readers_take_it_apart(report: str) -> None:
    """The first line with "Latency:", by commas and equals signs."""
    line = next(text for text in report.splitlines() if "Latency:" in text)
    fields = dict(part.split(" = ") for part in STAMP.sub("", line).split(": ", 1)[1].split(", "))
    assert list(fields) == ["min", "max", "mean", "median", "percentile(50%)", "percentile(99%)"]
    values = {name: float(text.removesuffix(" ms")) for name, text in fields.items()}
    assert 0 < values["min"] <= values["percentile(50%)"] <= values["percentile(99%)"] <= values["max"]
    assert values["min"] <= values["median"] <= values["max"]


def test_summary_agrees_with_the_exported_times(report: str, folder: Path) -> None:
    plain = "\n".join(STAMP.sub("", line) for line in report.splitlines())
    times = read(folder / "times.json")
    assert set(times[0]) == {"startEnqMs", "endEnqMs", "startH2dMs", "endH2dMs", "startComputeMs", "endComputeMs",
                             "startD2hMs", "endD2hMs", "h2dMs", "computeMs", "d2hMs", "latencyMs"}
    wall = (times[-1]["endComputeMs"] - times[0]["startEnqMs"]) / 1e3
    qps = re.search(r"^Throughput: ([\d.e+]+) qps$", plain, re.MULTILINE)
    assert qps and float(qps[1]) == pytest.approx(len(times) / wall, rel=1e-4)
    mean = re.search(r"^GPU Compute Time: .* mean = ([\d.e+-]+) ms", plain, re.MULTILINE)
    assert mean and float(mean[1]) == pytest.approx(np.mean([t["computeMs"] for t in times]), rel=1e-4)
    assert all(t["latencyMs"] == pytest.approx(t["h2dMs"] + t["computeMs"] + t["d2hMs"]) for t in times)
    assert wall >= 0.045 and re.search(rf"^Timing trace has {len(times)} queries over ", plain, re.MULTILINE)
    assert re.search(r"^H2D Latency: min = 0 ms, max = 0 ms", plain, re.MULTILINE)
    for title in ("Model Options", "Build Options", "System Options", "Inference Options", "Reporting Options",
                  "Device Information", "Trace details", "Performance summary"):
        assert f"=== {title} ===" in plain
    assert len(re.findall(r"^Average on 5 runs - GPU latency: \S+ ms - Host latency: \S+ ms \(enqueue \S+ ms\)$",
                          plain, re.MULTILINE)) == min(len(times) // 5, 400)
    assert "Optimization Profile 0: image: min=1x1x8x8, opt=4x1x8x8, max=8x1x8x8" in plain


def test_profile_and_layers(report: str, folder: Path) -> None:
    count, *rows = read(folder / "profile.json")
    assert count["count"] >= 3 and set(rows[0]) == {"name", "timeMs", "averageMs", "medianMs", "percentage"}
    assert sum(row["percentage"] for row in rows) == pytest.approx(100)
    assert rows[0]["averageMs"] == pytest.approx(rows[0]["timeMs"] / count["count"])
    layers = read(folder / "layers.json")
    assert set(layers) == {"Layers", "Bindings"} and layers["Bindings"] == ["image", "logits"]
    assert [layer["Name"] for layer in layers["Layers"]] == [row["name"] for row in rows]
    assert f"=== Profile ({count['count']} iterations ) ===" in report and rows[0]["name"] in report


# ---- what it computes

def test_saved_engine_gives_the_outputs_of_onnxruntime(report: str, folder: Path) -> None:
    image = np.random.default_rng(3).standard_normal((7, 1, 8, 8), np.float32)
    image.tofile(folder / "image.raw")
    out, _ = execute(f"--loadEngine={folder}/digits.plan", "--shapes=image:7x1x8x8", *QUICK, "--streams=2",
                     f"--loadInputs=image:{folder}/image.raw", f"--exportOutput={folder}/logits.json")
    assert f"Using values loaded from {folder}/image.raw for input image" in out
    [logits] = read(folder / "logits.json")
    [expected] = onnxruntime.InferenceSession(str(folder / "digits.onnx")).run(None, {"image": image})
    assert (logits["name"], logits["dimensions"]) == ("logits", "7x10")
    np.testing.assert_allclose(np.reshape(logits["values"], (7, 10)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(tensorwright.load(folder / "digits.plan")(image), expected, rtol=1e-4, atol=1e-4)
    assert read(folder / "output.json")[0]["dimensions"] == "4x10"     # the fixture ran at the usual shape


def test_outputs_whose_size_the_data_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = helper.make_graph([helper.make_node("NonZero", ["x"], ["places"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.BOOL, [3, 4])],
                              [helper.make_tensor_value_info("places", TensorProto.INT64, [2, "n"])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    x = np.random.default_rng(1).random((3, 4)) > 0.5
    x.tofile(tmp_path / "x.raw")
    monkeypatch.chdir(tmp_path)
    execute("--onnx=m.onnx", "--loadInputs=x:x.raw", "--exportOutput=o.json", "--dumpRawBindingsToFile", *QUICK)
    expected = np.stack(np.nonzero(x))
    [places] = read(tmp_path / "o.json")
    assert places["dimensions"] == f"2x{x.sum()}" and places["values"] == expected.reshape(-1).tolist()
    written = np.fromfile(tmp_path / f"places.output.2.{x.sum()}.int64.raw", np.int64)
    np.testing.assert_array_equal(written.reshape(2, -1), expected)


def test_values_of_shape_tensors_are_given_like_shapes(tmp_path: Path) -> None:
    graph = helper.make_graph([helper.make_node("Expand", ["x", "sizes"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 1]),
                               helper.make_tensor_value_info("sizes", TensorProto.INT64, [2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    execute(f"--onnx={tmp_path}/m.onnx", "--minShapes=sizes:3x1", "--optShapes=sizes:3x4", "--maxShapes=sizes:3x9",
            "--shapes=sizes:3x7", f"--exportOutput={tmp_path}/o.json", *QUICK)
    [y] = read(tmp_path / "o.json")
    assert y["dimensions"] == "3x7"


def product(path: Path) -> None:
    """x float (2, 8) → y (2, 8): a matrix product and a sigmoid."""
    weights = onnx.numpy_helper.from_array(np.random.default_rng(0).standard_normal((8, 8), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["h"], name="product"),
                               helper.make_node("Sigmoid", ["h"], ["y"], name="gate")], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 8])], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_timing_cache_is_written_and_read(tmp_path: Path) -> None:
    product(tmp_path / "m.onnx")
    arguments = [f"--onnx={tmp_path}/m.onnx", f"--timingCacheFile={tmp_path}/timings", "--skipInference"]
    execute(*arguments)
    first = (tmp_path / "timings").read_bytes()
    assert json.loads(first)
    execute(*arguments)
    assert (tmp_path / "timings").read_bytes() == first               # nothing had to be timed again
    execute(*arguments, "--noBuilderCache", code=FAILED)


def test_layer_output_types_change_what_is_computed(tmp_path: Path) -> None:
    """An output of half precision has values that half precision holds."""
    product(tmp_path / "m.onnx")
    x = 4 * np.random.default_rng(5).standard_normal((2, 8)).astype(np.float32)
    x.tofile(tmp_path / "x.raw")
    execute(f"--onnx={tmp_path}/m.onnx", "--layerOutputTypes=gate*:fp16", f"--loadInputs=x:{tmp_path}/x.raw",
            f"--exportOutput={tmp_path}/o.json", *QUICK)
    [expected] = onnxruntime.InferenceSession(str(tmp_path / "m.onnx")).run(None, {"x": x})
    [y] = read(tmp_path / "o.json")
    halves = np.array(y["values"], np.float32)
    np.testing.assert_array_equal(halves, halves.astype(np.float16))
    np.testing.assert_allclose(halves.reshape(2, 8), expected, atol=1e-3)


def test_profiles_by_number(folder: Path) -> None:
    out, _ = execute(f"--onnx={folder}/digits.onnx", "--profile=0", "--optShapes=image:2x1x8x8", "--profile=1",
                     "--minShapes=image:3x1x8x8", "--optShapes=image:4x1x8x8", "--maxShapes=image:5x1x8x8",
                     "--useProfile=1", "--shapes=image:5x1x8x8", f"--exportOutput={folder}/five.json",
                     f"--saveEngine={folder}/two.plan", *QUICK)
    assert "Input build shape (profile 1): image=3x1x8x8+4x1x8x8+5x1x8x8" in out
    assert read(folder / "five.json")[0]["dimensions"] == "5x10"
    assert [p.ranges[0][1] for p in tensorwright.load(folder / "two.plan").profiles] == [(2, 2, 2), (3, 4, 5)]


def test_build_flags_beside_a_loaded_engine_are_warned_about(report: str, folder: Path) -> None:
    _, err = execute(f"--loadEngine={folder}/digits.plan", "--skipInference", "--workspace=64")
    assert "--workspace is for building" in err


def test_json(report: str, folder: Path) -> None:
    out, _ = execute(f"--loadEngine={folder}/digits.plan", *QUICK, "--json", "--quiet")
    answer = json.loads(out)
    assert answer["passed"] and answer["queries"] >= 3
    assert list(answer["latency_ms"]["percentiles"]) == ["90", "95", "99"]
    out, _ = execute(f"--loadEngine={folder}/digits.plan", "--safe", "--json", "--quiet", code=FAILED)
    assert json.loads(out)["passed"] is False


def test_plan_version_and_loading_time(report: str, folder: Path) -> None:
    out, _ = execute(f"--loadEngine={folder}/digits.plan", "--getPlanVersionOnly")
    assert re.search(r"Plan was created with: kernel generators [0-9a-f]+, as here", out)
    out, _ = execute(f"--loadEngine={folder}/digits.plan", "--timeDeserialize")
    assert re.search(r"Average deserialization time = \S+ ms over 20 iterations", out) and "Throughput" not in out
    out, _ = execute(f"--loadEngine={folder}/digits.plan", "--skipInference")
    assert "Skipped inference" in out and "Throughput" not in out


# ---- refusals

@pytest.mark.parametrize("flag", [f for f in FLAGS if f.state is State.UNSUPPORTED], ids=lambda f: f.name)
def test_unsupported_flags_are_named_with_the_way_out(flag: Any) -> None:
    text = f"--{flag.name}" + ("=x:1" if flag.read else "")
    out, err = execute("--onnx=nowhere.onnx", text, code=FAILED)
    assert f"--{flag.name} is not supported" in err and flag.note.split(":")[0] in err
    assert out.splitlines()[0].startswith("&&&& RUNNING") and out.splitlines()[-1].startswith("&&&& FAILED")


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--onnx=m", "--warm=5"], ["--fp16=1"], ["--onnx"],
                                       ["--iterations=-1"], ["--shapes=image"], ["--shapes=image:1x-1"],
                                       ["--percentile=101"], ["--memPoolSize=workspace:much"], ["--duration=soon"],
                                       ["--sparsity=some"], ["--inputIOFormats=fp31:chw"], ["--shapes=a:1,a:2"],
                                       ["--tacticSources=+BOGUS"], ["--preview=nonsense"], ["--preview=+"],
                                       ["--tacticSources="]])
def test_command_lines_that_cannot_be_read(arguments: list[str]) -> None:
    assert execute(*arguments, code=USAGE)[1].startswith("usage: wright")


@pytest.mark.parametrize(("arguments", "says"), [
    ([], "--onnx=FILE"), (["--onnx={}/none.onnx"], "none.onnx"), (["--loadEngine={}/none.plan"], "none.plan"),
    (["--onnx={}/digits.onnx", "--loadEngine={}/digits.plan"], "not both"), (["--onnx={}/digits.onnx", "--device=1"],
                                                                             "--device=1"),
    (["--onnx={}/digits.onnx", "--saveEngine={}/no/where.plan"], "--saveEngine"),
    (["--onnx={}/digits.onnx", "--shapes=img:1x1x8x8"], "'img'"),
    (["--onnx={}/digits.onnx", "--minShapes=image:1x1x8x8"], "--optShapes"),
    (["--onnx={}/digits.onnx", "--shapes=image:1x1x9x9"], "9"),
    (["--onnx={}/digits.onnx", "--optShapes=image:1x1x8x8", "--optShapes=image:2x1x8x8"], "--profile=N"),
    (["--onnx={}/digits.onnx", "--duration=-0.5"], "-1 means endlessly"),
    (["--onnx={}/digits.onnx", "--skipInference", "--exportTimes=t.json"], "--exportTimes"),
    (["--onnx={}/digits.onnx", "--memPoolSize=stack:1"], "'stack'"),
    (["--onnx={}/digits.onnx", "--sparsity=force"], "--sparsity=force"),
    (["--onnx={}/digits.onnx", "--inputIOFormats=fp16:chw"], "cannot be made HALF"),
    (["--onnx={}/digits.onnx", "--inputIOFormats=fp32:chw16", "--skipInference"], "TensorFormat.LINEAR"),
    (["--onnx={}/digits.onnx", "--precisionConstraints=obey", "--layerPrecisions=*:fp16", "--skipInference"], "HALF"),
    (["--onnx={}/digits.onnx", "--layerPrecisions=nobody:fp16"], "'nobody'"),
    (["--onnx={}/digits.onnx", "--stronglyTyped", "--precisionConstraints=obey", "--skipInference"],
     "OBEY_PRECISION_CONSTRAINTS is set"),
    (["--loadEngine={}/digits.plan", "--shapes=image:9x1x8x8"], "profile"),
    (["--loadEngine={}/digits.plan", "--useProfile=1"], "--useProfile=1"),
    (["--loadEngine={}/digits.plan", "--minShapes=image:1x1x8x8"], "--minShapes"),
    (["--loadEngine={}/digits.plan", "--loadInputs=image:{}/digits.onnx"], "bytes"),
    (["--loadEngine={}/digits.onnx"], "could not be loaded")])
def test_failures_say_why(report: str, folder: Path, arguments: list[str], says: str) -> None:
    before = sorted(folder.iterdir())
    out, err = execute(*(a.format(folder) for a in arguments), code=FAILED)
    assert says in err and out.splitlines()[-1].startswith("&&&& FAILED")
    assert all(STAMP.match(line) for line in err.splitlines())
    assert sorted(folder.iterdir()) == before


def test_help_lists_every_flag_with_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    text = re.sub(r"\s+", " ", execute("--help")[0])
    for flag in FLAGS:
        assert f"[{flag.state.value}]" in flag.help
        said = re.escape(flag.help.replace("%%", "%"))
        assert re.search(rf"--{flag.name}[ ,][^\[\]]{{0,150}}?{said}", text), flag.name


def test_the_flags_that_people_use() -> None:
    """Those that public code bases pass, in any generation's spelling; all but plugin libraries are taken."""
    names = {n for f in FLAGS if f.state is not State.UNSUPPORTED for n in (f.name, *f.others)}
    used = """onnx minShapes optShapes maxShapes inputIOFormats outputIOFormats fp16 bf16 int8 best precisionConstraints
        layerPrecisions stronglyTyped noTF32 saveEngine loadEngine skipInference buildOnly memPoolSize workspace
        timingCacheFile builderOptimizationLevel profilingVerbosity device shapes loadInputs iterations duration warmUp
        infStreams streams noCudaGraph useCudaGraph noSpinWait useSpinWait includeDataTransfers noDataTransfers
        separateProfileRun verbose avgRuns dumpProfile dumpLayerInfo exportTimes exportProfile exportLayerInfo
        exportOutput explicitBatch minTiming""".split()
    assert set(used) <= names
    spelled = [n for f in FLAGS for n in (f.name, *f.others)]
    assert len(spelled) == len(set(spelled))


def test_strong_types_leave_out_permissions(folder: Path) -> None:
    _, err = execute(f"--onnx={folder}/digits.onnx", "--stronglyTyped", "--fp16", "--best", *RANGE, "--skipInference",
                     "--builderOptimizationLevel=0", "--tacticSources=-CUDNN,+cublasLt",
                     "--preview=-profileSharing0806,+runtimeActivationResize")
    assert "--fp16 is left out" in err and "--best is left out" in err and "permits a lower precision" not in err
    assert "RUNTIME_ACTIVATION_RESIZE_10_10 has no effect" in err


def test_names_of_sources_and_features_are_known() -> None:
    assert signed("TacticSource")("-CUDNN,+EDGE_MASK_CONVOLUTIONS,jit_convolutions") == {
        "CUDNN": False, "EDGE_MASK_CONVOLUTIONS": True, "JIT_CONVOLUTIONS": True}
    assert signed("PreviewFeature")("+aliasedPluginIO1003,-PROFILE_SHARING_0806") == {
        "ALIASED_PLUGIN_IO_10_03": True, "PROFILE_SHARING_0806": False}
    for wrong in ("+BOGUS", "CUBLAS,-", "++CUBLAS"):
        with pytest.raises(UsageError, match="CUBLAS, CUBLAS_LT, CUDNN, EDGE_MASK_CONVOLUTIONS, JIT_CONVOLUTIONS"):
            signed("TacticSource")(wrong)
    with pytest.raises(UsageError, match="'nonsense' is none of PROFILE_SHARING_0806"):
        signed("PreviewFeature")("nonsense")


def test_a_calibration_cache_gives_ranges(folder: Path) -> None:
    (folder / "ranges.cache").write_text("TRT-8601-EntropyCalibration2\nimage: 3c010a14\nrelu: 3d010a14\n")
    out, err = execute(f"--onnx={folder}/digits.onnx", "--int8", f"--calib={folder}/ranges.cache", *QUICK[3:], *RANGE,
                       "--skipInference", f"--saveEngine={folder}/int8.plan", "--builderOptimizationLevel=0")
    assert "2 tensors have ranges for 8-bit integers" in out + err
    ranges = json.loads(store.load(folder / "int8.plan").metadata["dynamic_ranges"])
    assert set(ranges) == {"image", "relu"} and ranges["image"][1] == pytest.approx(0.0078759 * 127, rel=1e-4)
    _, err = execute(f"--onnx={folder}/digits.onnx", f"--calib={folder}/ranges.cache", code=FAILED)
    assert "needs --int8" in err
    _, err = execute(f"--onnx={folder}/digits.onnx", "--int8", f"--calib={folder}/missing", code=FAILED)
    assert "missing" in err
    _, err = execute(f"--onnx={folder}/digits.onnx", "--int8", f"--calib={MODEL}", code=FAILED)
    assert "no calibration cache" in err


def test_weights_are_replaced_and_left_out(folder: Path) -> None:
    """Built without weights, given them by the model, whole or in pieces; the same answers as with them."""
    run = ("--shapes=image:2x1x8x8", f"--loadInputs=image:{folder}/image.bin", *QUICK)
    np.zeros((2, 1, 8, 8), np.float32).tofile(folder / "image.bin")
    out, err = execute(f"--onnx={folder}/digits.onnx", "--stripAllWeights", *RANGE, f"--saveEngine={folder}/bare.plan",
                       "--builderOptimizationLevel=0", "--dumpRefit")
    assert "Skipped inference phase: the engine has no weights" in out + err and "KERNEL" in out
    execute(f"--onnx={folder}/digits.onnx", "--refit", *RANGE, f"--saveEngine={folder}/whole.plan",
            f"--exportOutput={folder}/whole.json", "--builderOptimizationLevel=0", *run)
    assert (folder / "bare.plan").stat().st_size < (folder / "whole.plan").stat().st_size
    out, _ = execute(f"--loadEngine={folder}/bare.plan", f"--onnx={folder}/digits.onnx", "--refitFromOnnx",
                     "--asyncFileReader", f"--exportOutput={folder}/bare.json", *run)
    assert "Engine refitted from" in out
    assert read(folder / "bare.json") == read(folder / "whole.json")
    out, _ = execute(f"--loadEngine={folder}/whole.plan", "--timeRefit", "--skipInference")
    assert re.search(r"Refit took \S+ ms in average over 10 iterations", out)
    _, err = execute(f"--loadEngine={folder}/bare.plan", "--refitFromOnnx", "--skipInference", code=FAILED)
    assert "--refitFromOnnx needs --onnx" in err
    _, err = execute(f"--loadEngine={folder}/bare.plan", f"--onnx={folder}/digits.onnx", code=FAILED)
    assert "not both" in err


def test_weights_are_streamed(folder: Path) -> None:
    out, _ = execute(f"--onnx={folder}/digits.onnx", "--allowWeightStreaming", "--weightStreamingBudget=50%", *RANGE,
                     f"--saveEngine={folder}/streamed.plan", "--builderOptimizationLevel=0", *QUICK)
    assert "Weight streaming has budget" in out and "Throughput" in out
    for budget in ("-2", "-1", "1K", "0"):
        out, _ = execute(f"--loadEngine={folder}/streamed.plan", f"--weightStreamingBudget={budget}", "--skipInference")
        assert "Weight streaming has budget" in out
    _, err = execute(f"--loadEngine={folder}/streamed.plan", "--weightStreamingBudget=120%", code=2)
    assert "share of the weights" in err
    execute(f"--onnx={folder}/digits.onnx", *RANGE, f"--saveEngine={folder}/plain.plan", "--skipInference",
            "--builderOptimizationLevel=0")
    _, err = execute(f"--loadEngine={folder}/plain.plan", "--weightStreamingBudget=0", code=FAILED)
    assert "cannot be streamed" in err
    _, err = execute(f"--loadEngine={folder}/plain.plan", "--dumpRefit", "--skipInference", code=FAILED)
    assert "cannot be refitted" in err


CAFFE = """
name: "tiny"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "flat" type: "Reshape" bottom: "pool" top: "flat"
        reshape_param { shape { dim: 0 dim: -1 dim: 1 dim: 1 } } }
layer { name: "half" type: "Power" bottom: "flat" top: "half" power_param { scale: 0.5 } }
"""


def test_a_caffe_model(tmp_path: Path) -> None:
    (tmp_path / "deploy.prototxt").write_text(CAFFE)
    x = np.arange(96, dtype=np.float32)
    x.tofile(tmp_path / "x.bin")
    out, _ = execute(f"--deploy={tmp_path}/deploy.prototxt", "--output=pool", "--output=half", "--batch=3", *QUICK,
                     f"--loadInputs=data:{tmp_path}/x.bin", f"--exportOutput={tmp_path}/y.json")
    assert "Format: Caffe" in out
    found = {entry["name"]: entry for entry in json.loads((tmp_path / "y.json").read_text())}
    means = x.reshape(3, 2, 2, 2, 2, 2).mean((3, 5))
    assert found["pool"]["dimensions"] == "3x2x2x2" and found["half"]["dimensions"] == "3x8x1x1"
    np.testing.assert_allclose(found["half"]["values"], means.reshape(-1) / 2)
    _, err = execute(f"--deploy={tmp_path}/deploy.prototxt", "--output=nothing", *QUICK, code=FAILED)
    assert "no blob 'nothing'" in err


def test_a_uff_model(tmp_path: Path) -> None:
    from tests.unit.trt.test_uff import Graph
    graph = Graph()
    graph.add("x", "Input")
    graph.add("y", "Unary", "x", func="abs")
    (tmp_path / "m.uff").write_bytes(graph.bytes())
    np.arange(-24, 24, dtype=np.float32).tofile(tmp_path / "x.bin")
    execute(f"--uff={tmp_path}/m.uff", "--uffInput=x,4,2,3", "--uffNHWC", "--output=y", "--maxBatch=2", *QUICK,
            f"--loadInputs=x:{tmp_path}/x.bin", f"--exportOutput={tmp_path}/y.json")
    found, = json.loads((tmp_path / "y.json").read_text())
    assert found["dimensions"] == "2x3x4x2"
    wanted = np.abs(np.arange(-24, 24)).reshape(2, 4, 2, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found["values"], wanted.reshape(-1))


@pytest.mark.parametrize("flags", [["--deploy=a", "--uff=b"], ["--deploy=a"], ["--uff=a", "--output=y"], ["--model=m"],
                                   ["--onnx=a", "--batch=2"], ["--onnx=a", "--deploy=b", "--output=y"]])
def test_flags_of_older_models_that_do_not_fit(flags: list[str]) -> None:
    _, err = execute(*flags, code=FAILED)
    assert "--" in err
    execute("--uff=a", "--output=y", "--uffInput=x,0,1", code=USAGE)
