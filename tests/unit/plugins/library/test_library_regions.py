"""ROIAlign and its relatives of the plugin library, beside loops over samples in float64 and onnx's RoiAlign."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tensorwright.errors import InputError, ShapeError

from .run import run


def bilinear(image: np.ndarray, y: float, x: float) -> float:
    """Of one channel (H, W), at a position inside."""
    i, j = math.floor(y), math.floor(x)
    u, v = min(i + 1, image.shape[0] - 1), min(j + 1, image.shape[1] - 1)
    a, b = y - i, x - j
    return float((1 - a) * ((1 - b) * image[i, j] + b * image[i, v]) + a * ((1 - b) * image[u, j] + b * image[u, v]))


def clamp(v: float, low: float, high: float) -> float:
    return min(max(v, low), high)


def pooled(image: np.ndarray, ys: list[list[float]], xs: list[list[float]], value: Callable[..., float], reduce: Any
           ) -> np.ndarray:
    """image (C, H, W); ys and xs: for each output its sample positions."""
    result = np.zeros((len(image), len(ys), len(xs)))
    for c, p, q in np.ndindex(*result.shape):
        samples = [value(image[c], y, x) for y in ys[p] for x in xs[q]]
        result[c, p, q] = reduce(samples) if samples else 0.0
    return result


def average(samples: list[float]) -> float:
    return sum(samples) / len(samples)


def feature(images: int, channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (images, channels, height, width)).astype(np.float32)


ROIS = np.array([[0, 0, 8, 6], [2.3, 1.1, 5.9, 10.4], [-7, -5, 3, 2], [9, 7, 30, 30], [4, 4, 4.2, 4.2], [6, 6, 3, 2]],
                np.float32)
INDICES = np.array([0, 1, 1, 0, 1, 0], np.int32)


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_averages_as_onnx_does(half: int, ratio: int) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator
    x = feature(2, 3, 9, 11)
    rois, indices = (ROIS[:5], INDICES[:5]) if half and not ratio else (ROIS, INDICES)   # onnx divides by 0 samples
    h = onnx.helper
    node = h.make_node("RoiAlign", ["x", "r", "b"], ["y"], output_height=3, output_width=2, sampling_ratio=ratio,
                       spatial_scale=0.75,
                       coordinate_transformation_mode="half_pixel" if half else "output_half_pixel")
    infos = [h.make_tensor_value_info("x", 1, None), h.make_tensor_value_info("r", 1, None),
             h.make_tensor_value_info("b", 7, None)]
    model = h.make_model(h.make_graph([node], "g", infos, [h.make_tensor_value_info("y", 1, None)]),
                         opset_imports=[h.make_opsetid("", 16)])
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x, "r": rois, "b": indices.astype(np.int64)})
    for version in ("1", "2"):
        got = run("ROIAlign_TRT", x, rois, indices, version=version, coordinate_transformation_mode=half,
                  output_height=3, output_width=2, sampling_ratio=ratio, spatial_scale=0.75)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", [0, 1])
def test_roi_align_beside_a_loop(mode: int) -> None:
    """Mode 0 takes the largest weighted neighbour of all samples."""
    x = feature(2, 2, 9, 11, 1)

    def value(image: np.ndarray, y: float, x: float) -> float:
        h, w = image.shape
        if y < -1 or y > h or x < -1 or x > w:
            return 0.0
        y, x = clamp(y, 0, h - 1), clamp(x, 0, w - 1)
        if mode == 1:
            return bilinear(image, y, x)
        i, j = int(y), int(x)
        u, v, a, b = min(i + 1, h - 1), min(j + 1, w - 1), y - int(y), x - int(x)
        return max((1 - a) * (1 - b) * image[i, j], (1 - a) * b * image[i, v], a * (1 - b) * image[u, j],
                   a * b * image[u, v])

    got = run("ROIAlign_TRT", x, ROIS, INDICES, mode=mode, output_height=2, output_width=3)
    for r, (x1, y1, x2, y2) in enumerate(ROIS.astype(float) - 0.5):
        axes = []
        for low, high, cells in ((y1, y2, 2), (x1, x2, 3)):
            step = (high - low) / cells
            n = max(math.ceil(step), 0)
            axes.append([[low + step * (p + (i + 0.5) / n) for i in range(n)] for p in range(cells)])
        wanted = pooled(x[INDICES[r]].astype(float), *axes, value, average if mode else max)
        np.testing.assert_allclose(got[r], wanted, rtol=1e-4, atol=1e-5)


def test_roi_align_of_no_regions_and_in_half_precision() -> None:
    x = feature(1, 3, 5, 5)
    assert run("ROIAlign_TRT", x, ROIS[:0], INDICES[:0]).shape == (0, 3, 1, 1)
    exact = run("ROIAlign_TRT", x, ROIS[:2], INDICES[:2] * 0, output_height=2)
    half = run("ROIAlign_TRT", x.astype(np.float16), ROIS[:2].astype(np.float16), INDICES[:2] * 0, output_height=2)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, exact, atol=5e-3)


@pytest.mark.parametrize("settings", [
    {}, {"roi_coords_transform": 1, "roi_coords_plusone": 1, "sampling_ratio": 2}, {"roi_coords_transform": 0},
    {"roi_coords_swap": 1, "roi_coords_absolute": 0}, {"legacy": 1}], ids=str)
@pytest.mark.parametrize("images", [1, 3])
def test_pyramid_roi_align(settings: dict[str, int], images: int) -> None:
    maps = [feature(images, 2, 64 >> i, 48 >> i, i) for i in range(4)]
    g = np.random.default_rng(3)
    rois = g.uniform(-20, 280, (images, 7, 4)).astype(np.float32)
    whole = {"roi_coords_transform": 2, "roi_coords_plusone": 0, "roi_coords_swap": 0, "roi_coords_absolute": 1,
             "sampling_ratio": 0, **settings}
    if settings.get("legacy"):
        whole = {"roi_coords_transform": -1, "roi_coords_plusone": 0, "roi_coords_swap": 1, "roi_coords_absolute": 0,
                 "sampling_ratio": 1}
    if not whole["roi_coords_absolute"]:
        rois /= 256
    got = run("PyramidROIAlign_TRT", rois, *maps, pooled_size=3, image_size=(256, 192), fpn_scale=100, **settings)
    first = 2 * 224 ** 2 / 1024 ** 2 / 16 if settings.get("legacy") else 100 * 100 / (256 * 192) / 4
    for n, r in np.ndindex(images, 7):
        a = [float(v) for v in rois[n, r]]
        y, x = ([a[0], a[2]], [a[1], a[3]]) if whole["roi_coords_swap"] else ([a[1], a[3]], [a[0], a[2]])
        scale = (256, 192) if whole["roi_coords_absolute"] else (1, 1)
        (y1, y2), (x1, x2) = (sorted(clamp(v, 0, s) / s for v in axis) for axis, s in zip((y, x), scale, strict=True))
        more = (1 / 256, 1 / 192) if whole["roi_coords_plusone"] else (0, 0)
        area = (y2 - y1 + more[0]) * (x2 - x1 + more[1])
        source = maps[(area > first) + (area > 4 * first) + (area > 16 * first)][n].astype(float)
        axes = []
        for low, high, size in ((y1, y2, source.shape[1]), (x1, x2, source.shape[2])):
            kind = whole["roi_coords_transform"]
            before, offset = (0.5 if kind == 2 else 0), (0.5 if kind >= 1 else 0)
            span = size - 1 if kind == -1 else size
            start, end = low * span - before, high * span - before
            step = (end - start) / (2 if kind == -1 else 3)
            per = whole["sampling_ratio"] or max(1, math.ceil((end - start) / 3))
            axes.append([[clamp(start + step * (p + (i + offset) / per), 0, size - 1) for i in range(per)]
                         for p in range(3)])
        np.testing.assert_allclose(got[n, r], pooled(source, *axes, bilinear, average), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("images", [1, 2])
def test_multilevel_crop_and_resize(images: int) -> None:
    maps = [feature(images, 3, 128 >> i, 96 >> i, i) for i in range(5)]
    rois = np.array([[0, 0, 512, 384], [10, 20, 60, 50], [100, 50, 350, 380], [30, 30, 230, 200], [50, 60, 50, 80],
                     [-1, 0, 20, 20]], np.float32)
    rois = np.stack([np.roll(rois, n, 0) for n in range(images)])
    got = run("MultilevelCropAndResize_TRT", rois, *maps, pooled_size=2, image_size=(3, 512, 384))
    for n, r in np.ndindex(images, 6):
        y1, x1, y2, x2 = (float(v) for v in rois[n, r])
        if y1 >= y2 or x1 >= x2 or y1 < 0:
            assert not got[n, r].any()
            continue
        level = sum((y2 - y1) * (x2 - x1) > 224 ** 2 / 4 * 4 ** i for i in range(4))
        source, stride = maps[level][n].astype(float), 4 * 2 ** level
        axes = [[[clamp((low + (high - low) * (p + 0.5) / 2) / stride, 0, size - 1)] for p in range(2)]
                for low, high, size in ((y1, y2, source.shape[1]), (x1, x2, source.shape[2]))]
        np.testing.assert_allclose(got[n, r], pooled(source, *axes, bilinear, average), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(3, 2), (1, 1)])
def test_crop_and_resize(height: int, width: int) -> None:
    maps = feature(2, 3, 7, 9)
    rois = np.array([[0, 0, 1, 1], [0.1, 0.2, 0.7, 0.5], [-0.2, 0.5, 0.4, 1.3], [0.9, 0.9, 0.1, 0.2]], np.float32)
    rois = np.stack([rois, rois[::-1]])[..., None]
    got = run("CropAndResizeDynamic", maps, rois, version="2", crop_height=height, crop_width=width)

    def value(image: np.ndarray, y: float, x: float) -> float:
        outside = not (0 <= y <= image.shape[0] - 1 and 0 <= x <= image.shape[1] - 1)
        return 0.0 if outside else bilinear(image, y, x)

    for n, r in np.ndindex(2, 4):
        y1, x1, y2, x2 = (float(v) for v in rois[n, r, :, 0])
        axes = [[[(low + (high - low) * (p / (cells - 1) if cells > 1 else 0.5)) * (size - 1)] for p in range(cells)]
                for low, high, cells, size in ((y1, y2, height, 7), (x1, x2, width, 9))]
        wanted = pooled(maps[n].astype(float), *axes, value, average)
        np.testing.assert_allclose(got[n, r], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(got, run("CropAndResize", maps, rois, crop_height=height, crop_width=width))


def test_what_regions_do_not_support_is_refused() -> None:
    x = feature(1, 3, 5, 5)
    with pytest.raises(InputError, match="'mode' is 2; 0, 1 are supported"):
        run("ROIAlign_TRT", x, ROIS, INDICES, mode=2)
    with pytest.raises(ShapeError, match="batch_indices"):
        run("ROIAlign_TRT", x, ROIS, INDICES[:2])
    with pytest.raises(InputError, match="'roi_coords_transform' is 3"):
        run("PyramidROIAlign_TRT", ROIS[None], x, x, x, x, roi_coords_transform=3)
