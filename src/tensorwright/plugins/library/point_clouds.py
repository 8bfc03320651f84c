"""PointPillars: points gathered in pillars, pillars spread over a map, boxes read from maps.

Source: plugins VoxelGeneratorPlugin, PillarScatterPlugin and DecodeBbox3DPlugin, version 1 each, of
github.com/NVIDIA/TensorRT. Where the originals leave an order open, it is that of the cells, row by row, and of the
points in the input.
"""

from __future__ import annotations

import numpy as np

from ...dtypes import DType
from ...errors import InputError
from ...ir import TensorType
from ...ops.suppression import rank_within, sigmoid, wide
from .rules import FLOAT, FLOATS, INT, INTS, at_least, default, dims_are, floating, length, library, ranks, whole


def voxels(points: np.ndarray, num_points: np.ndarray, *, max_num_points_per_voxel: int, max_voxels: int,
           point_cloud_range: tuple[float, ...], voxel_feature_num: int, voxel_size: tuple[float, ...],
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """points (N, M, 4 or 5) of which num_points (N,) count → pillars (N, V, P, F), their cells (N, V, 4) as
    (0, 0, row, column) int32, and how many there are (N,) int32.

    The features of a point are its own, its (x, y, z) relative to the mean of its pillar's points, and relative to the
    middle of the cell: the first F of them. Points beyond P in a pillar, and pillars beyond V, are left out.
    """
    N = len(points)
    low, high, cell = (np.array(v, np.float32) for v in (point_cloud_range[:3], point_cloud_range[3:], voxel_size))
    width = int(_grid(point_cloud_range, voxel_size)[0])
    result = np.zeros((N, max_voxels, max_num_points_per_voxel, voxel_feature_num), points.dtype)
    cells, count = np.zeros((N, max_voxels, 4), np.int32), np.zeros(N, np.int32)
    for n in range(N):
        cloud = wide(points[n, : int(num_points[n])])
        cloud = cloud[((cloud[:, :3] >= low) & (cloud[:, :3] < high)).all(1)]
        column, row = np.floor((cloud[:, :2] - low[:2]) / cell[:2]).astype(np.int64).T
        index = row * width + column
        order = np.argsort(index, kind="stable")
        order = order[rank_within(index[order]) < max_num_points_per_voxel]
        cloud, index = cloud[order], index[order]
        pillar = np.cumsum(np.append(0, index[1:] != index[:-1])) if len(index) else index
        keep = pillar < max_voxels
        cloud, index, pillar = cloud[keep], index[keep], pillar[keep]
        count[n] = pillar[-1] + 1 if len(pillar) else 0
        sums = np.zeros((count[n], 3), np.float32)
        np.add.at(sums, pillar, cloud[:, :3])
        mean = sums / np.bincount(pillar, minlength=count[n]).reshape(-1, 1)
        at = np.stack([index % width, index // width, np.zeros_like(index)], 1)
        middle = (at + np.float32(0.5)) * cell + low
        features = np.concatenate([cloud, cloud[:, :3] - mean[pillar], cloud[:, :3] - middle], 1, dtype=np.float32)
        result[n, pillar, rank_within(pillar)] = features[:, :voxel_feature_num]
        cells[n, pillar, 2:] = at[:, 1::-1]
    return result, cells, count


def _grid(point_cloud_range: tuple[float, ...], voxel_size: tuple[float, ...]) -> np.ndarray:
    """Cells along x and y."""
    span = np.array(point_cloud_range[3:5]) - np.array(point_cloud_range[:2])
    return np.round(span / np.array(voxel_size[:2])).astype(int)


def voxels_types(points: TensorType, num_points: TensorType, *, max_num_points_per_voxel: int, max_voxels: int,
                 point_cloud_range: tuple[float, ...], voxel_feature_num: int, voxel_size: tuple[float, ...],
                 ) -> tuple[TensorType, TensorType, TensorType]:
    at_least("max_num_points_per_voxel", max_num_points_per_voxel, 1)
    at_least("max_voxels", max_voxels, 1)
    length("point_cloud_range", point_cloud_range, 6)
    length("voxel_size", voxel_size, 3)
    if min(voxel_size) <= 0 or min(_grid(point_cloud_range, voxel_size)) < 1:
        raise InputError(f"attribute 'voxel_size' is {voxel_size}, which gives no cells in {point_cloud_range}")
    floating("points", points)
    whole("num_points", num_points)
    ranks("points", points, 3)
    N, _, C = points.shape
    dims_are("num_points", num_points, N)
    if not isinstance(C, int) or C not in (4, 5):
        raise InputError(f"points are {points}: four or five numbers per point are supported")
    if not C + 5 <= voxel_feature_num <= C + 6:
        raise InputError(f"attribute 'voxel_feature_num' is {voxel_feature_num}; {C + 5} and {C + 6} are supported")
    return (TensorType((N, max_voxels, max_num_points_per_voxel, voxel_feature_num), points.dtype),
            TensorType((N, max_voxels, 4), DType.int32), TensorType((N,), DType.int32))


def pillar_scatter(pillars: np.ndarray, cells: np.ndarray, count: np.ndarray, *, dense_shape: tuple[int, ...]
                   ) -> np.ndarray:
    """pillars (N, V, C), cells (N, V, 4) of (…, row, column), count (N,) → map (N, C, H, W), 0 where no pillar is."""
    N, V, C = pillars.shape
    result = np.zeros((N, *dense_shape, C), pillars.dtype)
    image, pillar = np.nonzero(np.arange(V) < count.reshape(N, 1))
    result[image, cells[image, pillar, 2], cells[image, pillar, 3]] = pillars[image, pillar]
    return np.ascontiguousarray(result.transpose(0, 3, 1, 2))


def pillar_scatter_types(pillars: TensorType, cells: TensorType, count: TensorType, *, dense_shape: tuple[int, ...]
                         ) -> TensorType:
    length("dense_shape", dense_shape, 2)
    at_least("dense_shape", min(dense_shape), 1)
    floating("pillars", pillars)
    whole("cells", cells)
    whole("count", count)
    ranks("pillars", pillars, 3)
    N, V, C = pillars.shape
    dims_are("cells", cells, N, V, 4)
    dims_are("count", count, N)
    return TensorType((N, C, *dense_shape), pillars.dtype)


def decode_boxes(classes: np.ndarray, boxes: np.ndarray, directions: np.ndarray, *,
                 point_cloud_range: tuple[float, ...], anchors: tuple[float, ...],
                 anchor_bottom_height: tuple[float, ...], dir_offset: float, dir_limit_offset: float, num_dir_bins: int,
                 score_thresh: float) -> tuple[np.ndarray, np.ndarray]:
    """classes (N, H, W, A·C), boxes (N, H, W, A·7), directions (N, H, W, A·2) → (N, H·W·A, 9), and how many int32 (N,).

    A row is (x, y, z, dx, dy, dz, rotation, class, score); rows beyond the number are 0. There are two anchors
    (dx, dy, dz, rotation) for each class, one after the other.
    """
    N, H, W, _ = classes.shape
    C = len(anchor_bottom_height)
    A = 2 * C
    size = np.array(anchors, np.float32).reshape(A, 4)
    low, high = np.array(point_cloud_range[:2], np.float32), np.array(point_cloud_range[3:5], np.float32)
    scores = sigmoid(wide(classes).reshape(N, H, W, A, C))
    kind = scores.argmax(-1)
    score = np.take_along_axis(scores, kind[..., None], -1)[..., 0]
    image, row, column, anchor = np.nonzero(score >= np.float32(score_thresh))
    at = image, row, column, anchor
    code, box = wide(boxes).reshape(N, H, W, A, 7)[at], size[anchor]
    last = np.maximum(np.array([W - 1, H - 1], np.float32), 1)
    center = low + np.stack([column, row], 1) * (high - low) / last
    bottom = np.array(anchor_bottom_height, np.float32)[anchor // 2]
    diagonal = np.sqrt(box[:, 0] ** 2 + box[:, 1] ** 2)[:, None]
    height = code[:, 2] * box[:, 2] + box[:, 2] / 2 + bottom
    place = np.concatenate([code[:, :2] * diagonal + center, height[:, None]], 1)
    votes = wide(directions).reshape(N, H, W, A, 2)[at]
    period = np.float32(2 * np.pi / num_dir_bins)
    turn = code[:, 6] + box[:, 3] - np.float32(dir_offset)
    turn = turn - np.floor(turn / period + np.float32(dir_limit_offset)) * period
    turn += np.float32(dir_offset) + period * (votes[:, 0] <= votes[:, 1])
    rows = np.concatenate([place, np.exp(code[:, 3:6]) * box[:, :3],
                           np.stack([turn, kind[at], score[at]], 1)], 1)
    result = np.zeros((N, H * W * A, 9), classes.dtype)
    result[image, rank_within(image)] = rows
    return result, np.bincount(image, minlength=N).astype(np.int32)


def decode_boxes_types(classes: TensorType, boxes: TensorType, directions: TensorType, *,
                       point_cloud_range: tuple[float, ...], anchors: tuple[float, ...],
                       anchor_bottom_height: tuple[float, ...], num_dir_bins: int, dir_offset: float,
                       dir_limit_offset: float, score_thresh: float) -> tuple[TensorType, TensorType]:
    length("point_cloud_range", point_cloud_range, 6)
    C = len(anchor_bottom_height)
    at_least("num_dir_bins", num_dir_bins, 1)
    if not C or len(anchors) != 8 * C:
        raise InputError(f"attribute 'anchors' has {len(anchors)} values; two anchors of four values for each of the "
                         f"{C} values of anchor_bottom_height are needed")
    floating("inputs", classes, boxes, directions)
    ranks("classes", classes, 4)
    N, H, W, _ = classes.shape
    for what, t, each in (("classes", classes, C), ("boxes", boxes, 7), ("directions", directions, 2)):
        dims_are(what, t, N, H, W, 2 * C * each)
    return TensorType((N, H * W * 2 * C, 9), classes.dtype), TensorType((N,), DType.int32)


library("VoxelGeneratorPlugin", voxels, voxels_types, {
    "max_num_points_per_voxel": INT, "max_voxels": INT, "point_cloud_range": FLOATS, "voxel_feature_num": INT,
    "voxel_size": FLOATS}, (2, 2))
library("PillarScatterPlugin", pillar_scatter, pillar_scatter_types, {"dense_shape": INTS}, (3, 3))
library("DecodeBbox3DPlugin", decode_boxes, decode_boxes_types, {
    "point_cloud_range": FLOATS, "anchors": FLOATS, "anchor_bottom_height": FLOATS, "dir_offset": default(0.78539),
    "dir_limit_offset": default(0.0), "num_dir_bins": default(2), "score_thresh": FLOAT}, (3, 3))
