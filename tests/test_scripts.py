"""Scripts in the style of TensorRT 5 to 8, under the generation they were written for; results against NumPy."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright.cuda.present import gpu_is_present

pytestmark = pytest.mark.skipif(gpu_is_present(), reason="with a GPU the real packages for CUDA are used")
SCRIPTS = Path(__file__).parent / "scripts"
RNG = np.random.default_rng(0)


def script(name: str, generation: str, *arguments: object, code: int = 0) -> str:
    """What a script prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tensorwright.cli.main", "shim", "--generation", generation, "--", sys.executable,
         str(SCRIPTS / name), *map(str, arguments)], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def convolved(x: np.ndarray, w: np.ndarray, pad: int) -> np.ndarray:
    """Cross-correlation at stride 1, in float64."""
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwrs,kcrs->nkhw", windows, w.astype(np.float64))


def write_wts(file: Path, tensors: dict[str, np.ndarray]) -> None:
    lines = [str(len(tensors))]
    for name, values in tensors.items():
        lines.append(" ".join([name, str(values.size), *(struct.pack(">f", v).hex() for v in values.ravel())]))
    file.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("generation", ["6", "8"])
def test_a_hand_written_mlp_is_built_saved_and_run(tmp_path: Path, generation: str) -> None:
    w, b = RNG.normal(size=(2, 3)).astype(np.float32), RNG.normal(size=2).astype(np.float32)
    write_wts(tmp_path / "mlp.wts", {"fc1.weight": w, "fc1.bias": b})
    script("mlp_build.py", generation, tmp_path / "mlp.wts", tmp_path / "mlp.engine")
    x = np.array([2.0, -4.5, 0.25])
    printed = script("mlp_run.py", generation, tmp_path / "mlp.engine", *x)
    result = [float(word) for word in printed.split("result:")[1].split()[:2]]
    assert result == pytest.approx(sigmoid(w.astype(np.float64) @ x + b), rel=1e-5)


def test_an_engine_that_is_damaged_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "mlp.engine").write_bytes(b"no engine")
    assert "failed to deserialize" in script("mlp_run.py", "8", tmp_path / "mlp.engine", 1, 2, 3, code=1)


@pytest.mark.parametrize("generation", ["5", "7"])
def test_an_implicit_batch(tmp_path: Path, generation: str) -> None:
    shapes = {"conv1.weight": (6, 1, 5, 5), "conv1.bias": (6,), "fc1.weight": (5, 96), "fc1.bias": (5,)}
    weights = {name: (RNG.normal(size=shape) * 0.2).astype(np.float32) for name, shape in shapes.items()}
    image = RNG.normal(size=(3, 1, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "weights.npz", **weights)
    np.save(tmp_path / "image.npy", image)
    script("implicit_batch.py", generation, tmp_path / "weights.npz", tmp_path / "image.npy", tmp_path / "out.npy")
    c = np.maximum(convolved(image, weights["conv1.weight"], 0) + weights["conv1.bias"][:, None, None], 0)
    pooled = c.reshape(3, 6, 4, 2, 4, 2).max((3, 5)).reshape(3, 96)
    logits = pooled @ weights["fc1.weight"].T.astype(np.float64) + weights["fc1.bias"]
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-4, atol=1e-6)


def conv_relu(file: Path, w: np.ndarray, *shape: object) -> None:
    """relu(conv(image)), padded to keep the size, as torch.onnx.export wrote it for opset 11."""
    nodes = [helper.make_node("Conv", ["image", "conv.weight", "conv.bias"], ["3"], name="Conv_0", pads=[1, 1, 1, 1],
                              group=1, dilations=[1, 1], kernel_shape=[3, 3], strides=[1, 1]),
             helper.make_node("Relu", ["3"], ["output"], name="Relu_1")]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name in ("image", "output")]
    graph = helper.make_graph(nodes, "graph", sides[:1], sides[1:], [
        numpy_helper.from_array(w, "conv.weight"), numpy_helper.from_array(np.full(1, 0.5, np.float32), "conv.bias")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), file)


def test_onnx_with_a_profile_and_shapes_that_change(tmp_path: Path) -> None:
    w = RNG.normal(size=(1, 1, 3, 3)).astype(np.float32)
    conv_relu(tmp_path / "demo.onnx", w, "batch", 1, "height", "width")
    images = [RNG.normal(size=shape).astype(np.float32) for shape in ((1, 1, 3, 3), (10, 1, 5, 5), (4, 1, 3, 5))]
    files = [tmp_path / f"{i}.npy" for i in range(len(images))]
    for file, image in zip(files, images, strict=True):
        np.save(file, image)
    for attempt in range(2):                              # built under 8, then read from its file under 7
        printed = script("onnx_profile.py", "87"[attempt], tmp_path / "demo.onnx", tmp_path / "demo.engine",
                         tmp_path / "out.npz", *files)
        assert ("reading the engine" in printed) == bool(attempt)
        for image, result in zip(images, np.load(tmp_path / "out.npz").values(), strict=True):
            assert np.allclose(result, np.maximum(convolved(image, w, 1) + 0.5, 0), rtol=1e-4, atol=1e-5)


def test_two_contexts_of_one_engine_on_a_device_of_choice(tmp_path: Path) -> None:
    import tensorwright
    w = RNG.normal(size=(1, 1, 3, 3)).astype(np.float32)
    conv_relu(tmp_path / "fixed.onnx", w, 1, 1, 6, 6)
    tensorwright.build(tmp_path / "fixed.onnx", tune_budget=0).save(tmp_path / "fixed.engine")
    images = [RNG.normal(size=(n, 1, 1, 6, 6)).astype(np.float32) for n in (20, 30)]
    for i, batch in enumerate(images):
        np.save(tmp_path / f"{i}.npy", batch)
    assert "devices: 1" in script("two_contexts.py", "8", tmp_path / "fixed.engine", tmp_path / "out.npz",
                                  tmp_path / "0.npy", tmp_path / "1.npy")
    for batch, results in zip(images, np.load(tmp_path / "out.npz").values(), strict=True):
        expected = np.maximum(convolved(batch[:, 0], w, 1) + 0.5, 0)
        assert np.allclose(results.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
