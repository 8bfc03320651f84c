"""Lowerings against ONNX Runtime or NumPy where ONNX's own cases are thin."""

import numpy as np
import onnx
import pytest
from onnx import helper

from tensorwright import importer
from tensorwright.ops import Host
from tensorwright.ops.evaluate import evaluate


def run(op_type: str, feeds: dict[str, np.ndarray], constants: dict[str, np.ndarray] | None = None, opset: int = 18,
        outputs: int = 1, symbolic: bool = True, **attributes: object) -> list[np.ndarray]:
    """One node natively, its dimensions symbolic or not: no host step may be left."""
    names = [*feeds, *(constants or {})]
    node = helper.make_node(op_type, names, [f"y{i}" for i in range(outputs)], **attributes)
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype),
                                           [None] * a.ndim if symbolic else a.shape)
             for n, a in feeds.items()]
    graph = helper.make_graph([node], "g", infos, [onnx.ValueInfoProto(name=o) for o in node.output],
                              [onnx.numpy_helper.from_array(a, n) for n, a in (constants or {}).items()])
    network = importer.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]))
    assert not any(isinstance(layer.op, Host) for layer in network.layers), network
    found = evaluate(network, feeds)
    return [found[o] for o in network.outputs]


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("equation", ["bij,bjk->bik", "bhqd,bhkd->bhqk", "ij,ij->i", "i,j->ij", "...ij,...jk->...ik",
                                      "bqhd,hde->bqe", "ij->ji", "ij->", "bij,bj", "abc,cd,de->abe"])
def test_einsum(equation: str) -> None:
    sizes = dict(zip("abcdehijkq", range(2, 12), strict=True))
    shapes = [[sizes[c] for c in t.replace("...", "ab")] for t in equation.partition("->")[0].split(",")]
    arrays = {f"x{i}": floats(*s, seed=i) for i, s in enumerate(shapes)}
    (found,) = run("Einsum", arrays, equation=equation)
    np.testing.assert_allclose(found, np.einsum(equation, *arrays.values()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_and_back(mode: str) -> None:
    x = floats(2, 12, 3, 4)
    (wide,) = run("DepthToSpace", {"x": x}, blocksize=2, mode=mode)
    assert wide.shape == (2, 3, 6, 8)
    if mode == "DCR":
        (back,) = run("SpaceToDepth", {"x": wide}, blocksize=2)
        np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_before_version_13_is_over_a_matrix(axis: int) -> None:
    x = floats(2, 3, 4)
    (found,) = run("Softmax", {"x": x}, opset=11, axis=axis)
    flat = np.exp(x.reshape(int(np.prod(x.shape[:axis])), -1))
    np.testing.assert_allclose(found, (flat / flat.sum(1, keepdims=True)).reshape(x.shape), rtol=1e-5)


@pytest.mark.parametrize(("a", "b"), [(np.int32, np.float32), (np.float32, np.int64), (np.int64, np.int64)])
def test_power_has_the_type_of_its_base(a: type, b: type) -> None:
    x, y = np.array([1, 2, 3], a), np.array([2, 3, 2], b)
    (found,) = run("Pow", {"x": x, "y": y})
    assert found.dtype == a and found.tolist() == [1, 8, 9]


def test_integer_division_rounds_towards_zero() -> None:
    (found,) = run("Div", {"x": np.array([-7, 7, -7], np.int32), "y": np.array([2, -2, -2], np.int32)})
    assert found.tolist() == [-3, -3, 3]


def test_integer_convolution_is_exact() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (1, 300, 5, 5), np.uint8), rng.integers(-128, 128, (4, 300, 3, 3), np.int8)
    (found,) = run("ConvInteger", {"x": x}, {"w": w, "z": np.array(7, np.uint8)})
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.int64) - 7, (3, 3), (2, 3))
    np.testing.assert_array_equal(found, np.einsum("nchwrs,kcrs->nkhw", windows, w.astype(np.int64)))


@pytest.mark.parametrize("parts", [1, 2])
def test_dft_of_another_length(parts: int) -> None:
    x = floats(3, 10, parts)
    (found,) = run("DFT", {"x": x}, {"length": np.array(16)}, opset=17, symbolic=False, axis=1)
    spectrum = np.fft.fft(x[..., 0] + (1j * x[..., 1] if parts == 2 else 0), 16)
    np.testing.assert_allclose(found, np.stack([spectrum.real, spectrum.imag], -1), atol=1e-4)


def test_grid_sample_of_a_damaged_grid_reads_inside_the_image() -> None:
    grid = np.full((1, 1, 3, 2), np.nan, np.float32)
    grid[0, 0, 1:] = [[np.inf, 0], [0, -np.inf]]
    for mode in ("bilinear", "nearest"):
        node = helper.make_node("GridSample", ["x", "g"], ["y"], mode=mode, padding_mode="border")
        shapes = {"x": (1, 2, 4, 4), "g": grid.shape}
        infos = [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()]
        graph = helper.make_graph([node], "g", infos, [onnx.ValueInfoProto(name="y")])
        network = importer.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)]))
        assert evaluate(network, {"x": floats(1, 2, 4, 4), "g": grid})["y"].shape == (1, 2, 1, 3)


@pytest.mark.parametrize("layout", [0, 1])
def test_lstm_layouts(layout: int) -> None:
    x, w, r = floats(5, 2, 3), floats(1, 16, 3, seed=1), floats(1, 16, 4, seed=2)
    y, h, c = run("LSTM", {"x": x.transpose(1, 0, 2) if layout else x}, {"w": w, "r": r}, outputs=3, layout=layout,
                  hidden_size=4)
    plain = run("LSTM", {"x": x}, {"w": w, "r": r}, outputs=3, hidden_size=4)
    np.testing.assert_array_equal(y.transpose(1, 2, 0, 3) if layout else y, plain[0])
    for s, p in ((h, plain[1]), (c, plain[2])):
        np.testing.assert_array_equal(s.transpose(1, 0, 2) if layout else s, p)


@pytest.mark.parametrize("axis", [0, 1])
def test_blocked_dequantization(axis: int) -> None:
    x = np.arange(24, dtype=np.int8).reshape(4, 6)
    scale = floats(2, 6) if axis == 0 else floats(4, 3)
    (found,) = run("DequantizeLinear", {"x": x, "s": scale}, opset=21, axis=axis, block_size=2)
    np.testing.assert_allclose(found, x * np.repeat(scale, 2, axis), rtol=1e-6)
