"""Deformable convolution and attention, and PointPillars' plugins, beside loops in float64 and onnx's DeformConv."""

import math
from typing import Any

import numpy as np
import pytest

from tensorwright.errors import InputError, ShapeError

from .run import run


def sample(image: np.ndarray, y: float, x: float) -> float:
    """Bilinear, 0 outside: of a channel (H, W)."""
    h, w = image.shape
    total = 0.0
    for i in (math.floor(y), math.floor(y) + 1):
        for j in (math.floor(x), math.floor(x) + 1):
            if 0 <= i < h and 0 <= j < w:
                total += float(image[i, j]) * (1 - abs(y - i)) * (1 - abs(x - j))
    return total


CONVOLUTIONS = [{}, {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}, {"group": 2, "deformable_group": 2}]


@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("images", [1, 3])
def test_modulated_deform_conv(settings: dict[str, Any], images: int) -> None:
    (sw, sh), (pw, ph) = settings.get("stride", (1, 1)), settings.get("padding", (0, 0))
    (dw, dh), group, D = settings.get("dilation", (1, 1)), settings.get("group", 1), settings.get("deformable_group", 1)
    g = np.random.default_rng(images)
    x = g.normal(0, 1, (images, 4, 6, 7)).astype(np.float32)
    weight = g.normal(0, 1, (6, 4 // group, 2, 3)).astype(np.float32)
    P, Q = (6 + 2 * ph - dh - 1) // sh + 1, (7 + 2 * pw - 2 * dw - 1) // sw + 1
    offset = g.normal(0, 1.5, (images, D * 12, P, Q)).astype(np.float32)
    mask = g.uniform(0, 1, (images, D * 6, P, Q)).astype(np.float32)
    bias = g.normal(0, 1, 6).astype(np.float32)
    got = run("ModulatedDeformConv2d", x, offset, mask, weight, bias, version="2", **settings)
    for n, k, p, q in np.ndindex(images, 6, P, Q):
        total = float(bias[k])
        for c, r, s in np.ndindex(4 // group, 2, 3):
            channel = k // (6 // group) * (4 // group) + c
            d, tap = channel // (4 // D), r * 3 + s
            y = p * sh - ph + r * dh + float(offset[n, d * 12 + 2 * tap, p, q])
            z = q * sw - pw + s * dw + float(offset[n, d * 12 + 2 * tap + 1, p, q])
            total += sample(x[n, channel], y, z) * float(mask[n, d * 6 + tap, p, q]) * float(weight[k, c, r, s])
        assert got[n, k, p, q] == pytest.approx(total, rel=1e-4, abs=1e-4)


def test_modulated_deform_conv_is_what_onnx_calls_deform_conv() -> None:
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator
    g = np.random.default_rng(7)
    x, weight = g.normal(0, 1, (2, 4, 6, 6)).astype(np.float32), g.normal(0, 1, (4, 4, 3, 3)).astype(np.float32)
    offset = g.normal(0, 1, (2, 18, 6, 6)).astype(np.float32)
    mask = g.uniform(0, 1, (2, 9, 6, 6)).astype(np.float32)
    h = onnx.helper
    node = h.make_node("DeformConv", ["x", "w", "o", "", "m"], ["y"], pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    infos = [h.make_tensor_value_info(k, 1, None) for k in "xwom"]
    model = h.make_model(h.make_graph([node], "g", infos, [h.make_tensor_value_info("y", 1, None)]),
                         opset_imports=[h.make_opsetid("", 19)])
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x, "w": weight, "o": offset, "m": mask})
    got = run("ModulatedDeformConv2d", x, offset, mask, weight, padding=(1, 1))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_multiscale_deformable_attention(images: int, kind: Any) -> None:
    g = np.random.default_rng(images)
    shapes, starts = np.array([[5, 4], [3, 2]], kind), np.array([0, 20], kind)
    value = g.normal(0, 1, (images, 26, 2, 3)).astype(np.float32)
    places = g.uniform(-0.3, 1.3, (images, 4, 2, 2, 3, 2)).astype(np.float32)
    weights = g.uniform(0, 1, (images, 4, 2, 2, 3)).astype(np.float32)
    got = run("MultiscaleDeformableAttnPlugin_TRT", value, shapes, starts, places, weights)
    for n, q, m, d in np.ndindex(images, 4, 2, 3):
        total = 0.0
        for level, p in np.ndindex(2, 3):
            height, width = shapes[level]
            image = value[n, starts[level] : starts[level] + height * width, m, d].reshape(height, width)
            x, y = (float(v) for v in places[n, q, m, level, p])
            total += sample(image, y * height - 0.5, x * width - 0.5) * float(weights[n, q, m, level, p])
        assert got[n, q, m, d] == pytest.approx(total, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("channels", [4, 5])
@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("height_too", [0, 1])
def test_voxel_generator(channels: int, images: int, height_too: int) -> None:
    g = np.random.default_rng(channels)
    points = g.uniform(-1, 9, (images, 60, channels)).astype(np.float32)
    points[:, :, 2] = g.uniform(-4, 2, (images, 60))
    count = np.array([60, 0, 25][:images], np.int32)
    span, size, F = (0.0, 0.0, -3.0, 8.0, 6.0, 1.0), (2.0, 1.5, 4.0), channels + 5 + height_too
    got, cells, number = run("VoxelGeneratorPlugin", points, count, max_num_points_per_voxel=3, max_voxels=9,
                             point_cloud_range=span, voxel_feature_num=F, voxel_size=size)
    for n in range(images):
        pillars: dict[tuple[int, int], list[np.ndarray]] = {}
        for p in points[n, : count[n]].astype(float):
            if all(span[k] <= p[k] < span[k + 3] for k in range(3)):
                pillars.setdefault((int(p[1] // 1.5), int(p[0] // 2)), []).append(p)
        keys = sorted(pillars)[:9]
        assert number[n] == len(keys) and cells[n].tolist() == [[0, 0, *k] for k in keys] + [[0] * 4] * (9 - len(keys))
        wanted = np.zeros((9, 3, F))
        for v, (row, column) in enumerate(keys):
            inside = pillars[row, column][:3]
            mean = sum(p[:3] for p in inside) / len(inside)
            middle = np.array([(column + 0.5) * 2, (row + 0.5) * 1.5, 2.0 - 3.0])
            for i, p in enumerate(inside):
                wanted[v, i] = [*p, *(p[:3] - mean), *(p[:3] - middle)][:F]
        np.testing.assert_allclose(got[n], wanted, rtol=1e-5, atol=1e-5)


def test_pillar_scatter() -> None:
    g = np.random.default_rng(0)
    pillars = g.normal(0, 1, (3, 5, 7)).astype(np.float32)
    cells = np.zeros((3, 5, 4), np.int32)
    for n in range(3):
        flat = g.permutation(12)[:5]
        cells[n, :, 2], cells[n, :, 3] = flat // 4, flat % 4
    count = np.array([5, 0, 2], np.int32)
    got = run("PillarScatterPlugin", pillars, cells, count, dense_shape=(3, 4))
    wanted = np.zeros((3, 7, 3, 4))
    for n in range(3):
        for v in range(count[n]):
            wanted[n, :, cells[n, v, 2], cells[n, v, 3]] = pillars[n, v]
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_decode_bbox_3d(threshold: float) -> None:
    g = np.random.default_rng(1)
    H, W, C = 3, 4, 2
    classes = g.normal(0, 1, (2, H, W, 8)).astype(np.float32)
    boxes = g.normal(0, 0.5, (2, H, W, 28)).astype(np.float32)
    directions = g.normal(0, 1, (2, H, W, 8)).astype(np.float32)
    anchors = [3.9, 1.6, 1.56, 0, 3.9, 1.6, 1.56, 1.57, 0.8, 0.6, 1.73, 0, 0.8, 0.6, 1.73, 1.57]
    heights = [-1.78, -0.6]
    got, number = run("DecodeBbox3DPlugin", classes, boxes, directions, point_cloud_range=(0, -40, -3, 70, 40, 1),
                      anchors=anchors, anchor_bottom_height=heights, score_thresh=threshold)
    for n in range(2):
        rows = []
        for i, j, a in np.ndindex(H, W, 2 * C):
            scores = [1 / (1 + math.exp(-float(v))) for v in classes[n, i, j, a * C : a * C + C]]
            kind = scores.index(max(scores))
            if scores[kind] < threshold:
                continue
            dx, dy, dz, turn = anchors[4 * a : 4 * a + 4]
            t = [float(v) for v in boxes[n, i, j, 7 * a : 7 * a + 7]]
            diagonal = math.hypot(dx, dy)
            x, y = t[0] * diagonal + 70 * j / (W - 1), t[1] * diagonal - 40 + 80 * i / (H - 1)
            z = t[2] * dz + dz / 2 + heights[a // 2]
            first, second = (float(v) for v in directions[n, i, j, 2 * a : 2 * a + 2])
            angle = t[6] + turn - 0.78539
            angle = angle - math.floor(angle / math.pi) * math.pi + 0.78539 + (0 if first > second else math.pi)
            sizes = [math.exp(t[3]) * dx, math.exp(t[4]) * dy, math.exp(t[5]) * dz]
            rows.append([x, y, z, *sizes, angle, kind, scores[kind]])
        assert number[n] == len(rows)
        np.testing.assert_allclose(got[n], rows + [[0] * 9] * (H * W * 2 * C - len(rows)), rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_is_refused() -> None:
    x = np.zeros((1, 4, 5, 5), np.float32)
    with pytest.raises(ShapeError, match="offset"):
        run("ModulatedDeformConv2d", x, x, x, np.zeros((4, 4, 3, 3), np.float32))
    with pytest.raises(InputError, match="'stride' has 1 values; 2 are needed"):
        run("ModulatedDeformConv2d", x, x, x, x, stride=(1,))
    with pytest.raises(InputError, match="'voxel_feature_num' is 12; 9 and 10"):
        run("VoxelGeneratorPlugin", np.zeros((1, 5, 4), np.float32), np.zeros(1, np.int32), max_num_points_per_voxel=3,
            max_voxels=9, point_cloud_range=(0, 0, 0, 1, 1, 1), voxel_feature_num=12, voxel_size=(0.5, 0.5, 1))
