"""ROIAlign, on one map or on the maps of a pyramid, and TensorFlow's crop_and_resize.

Source: plugins ROIAlign_TRT (versions 1 and 2), PyramidROIAlign_TRT, MultilevelCropAndResize_TRT, CropAndResize
(version 1) and CropAndResizeDynamic (versions 1 and 2) of github.com/NVIDIA/TensorRT. float16 is computed in float32.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from ...ir import TensorType
from ...ops.sampling import clamped, largest, mean, positions, region, strict
from ...ops.suppression import wide
from .rules import INT, agree, at_least, default, dims_are, floating, length, library, one_of, ranks, whole


def roi_align(x: np.ndarray, rois: np.ndarray, batch_indices: np.ndarray, *, coordinate_transformation_mode: int,
              mode: int, output_height: int, output_width: int, sampling_ratio: int, spatial_scale: float
              ) -> np.ndarray:
    """x (N, C, H, W), rois (R, 4) of (x1, y1, x2, y2), batch_indices (R,) → (R, C, output_height, output_width)."""
    boxes = wide(rois) * np.float32(spatial_scale) - np.float32(0.5 * coordinate_transformation_mode)
    if not coordinate_transformation_mode:
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    maps, cells, gather = wide(x), (output_height, output_width), mean if mode == 1 else largest
    result = np.zeros((len(rois), x.shape[1], *cells), x.dtype)
    for r, image in enumerate(batch_indices):
        if (found := region(maps[image], boxes[r, [1, 0, 3, 2]], cells, sampling_ratio, gather)) is not None:
            result[r] = found
    return result


def roi_align_types(x: TensorType, rois: TensorType, batch_indices: TensorType, *, output_height: int,
                    output_width: int, mode: int, coordinate_transformation_mode: int, sampling_ratio: int,
                    spatial_scale: float) -> TensorType:
    floating("x and rois", x, rois)
    whole("batch_indices", batch_indices)
    ranks("x", x, 4)
    dims_are("rois", rois, None, 4)
    dims_are("batch_indices", batch_indices, rois.shape[0])
    one_of("mode", mode, 0, 1)
    one_of("coordinate_transformation_mode", coordinate_transformation_mode, 0, 1)
    for name, value, low in (("output_height", output_height, 1), ("output_width", output_width, 1),
                             ("sampling_ratio", sampling_ratio, 0)):
        at_least(name, value, low)
    return TensorType((rois.shape[0], x.shape[1], output_height, output_width), x.dtype)


#: What `legacy` stands for: the behaviour of the plugin's first form.
LEGACY = {"roi_coords_transform": -1, "roi_coords_plusone": 0, "roi_coords_swap": 1, "roi_coords_absolute": 0,
          "sampling_ratio": 1}


def pyramid_roi_align(rois: np.ndarray, *maps: np.ndarray, fpn_scale: int, pooled_size: int,
                      image_size: tuple[int, ...], roi_coords_absolute: int, roi_coords_swap: int,
                      roi_coords_plusone: int, roi_coords_transform: int, sampling_ratio: int, legacy: int
                      ) -> np.ndarray:
    """rois (N, R, 4), four maps (N, C, H, W), finest first → (N, R, C, pooled_size, pooled_size)."""
    height, width = image_size
    first = fpn_scale ** 2 / (height * width) / 4
    if legacy:
        roi_coords_transform, roi_coords_plusone, roi_coords_swap, roi_coords_absolute, sampling_ratio = LEGACY.values()
        first = 224 * 224 * 2 / (1024 * 1024) / 16
    image = np.array([height, width], np.float32)
    corners = rois.reshape(*rois.shape[:2], 2, 2)
    if not roi_coords_swap:
        corners = corners[..., ::-1]
    corners = np.stack([corners.min(2), corners.max(2)], 2)
    corners = np.clip(corners, 0, image) / image if roi_coords_absolute else np.clip(corners, 0, 1)     # (N, R, 2, 2)
    sides = corners[:, :, 1] - corners[:, :, 0] + (1 / image if roi_coords_plusone else np.float32(0))
    level = sum((np.prod(sides, 2) > np.float32(first * 4 ** i)).astype(int) for i in range(3))
    before, offset = {-1: (0.0, 0.0), 0: (0.0, 0.0), 1: (0.0, 0.5), 2: (0.5, 0.5)}[roi_coords_transform]
    result = np.zeros((*rois.shape[:2], maps[0].shape[1], pooled_size, pooled_size), maps[0].dtype)
    for n, r in np.ndindex(*rois.shape[:2]):
        source = maps[level[n, r]][n]
        axes = []
        for axis, extent in enumerate(source.shape[1:]):
            inner = np.float32(extent - 1 if roi_coords_transform == -1 else extent)
            low, high = corners[n, r, :, axis] * inner - np.float32(before)
            cells = pooled_size - 1 if roi_coords_transform == -1 else pooled_size
            per = sampling_ratio if sampling_ratio > 0 else max(1, ceil((high - low) / np.float32(pooled_size)))
            step = (high - low) / np.float32(max(cells, 1))
            axes.append(clamped(positions(low, step, pooled_size, per, offset), extent, per))
        result[n, r] = mean(source, *axes)
    return result


def pyramid_roi_align_types(rois: TensorType, *maps: TensorType, fpn_scale: int, pooled_size: int,
                            image_size: tuple[int, ...], roi_coords_transform: int, sampling_ratio: int,
                            **_: Any) -> TensorType:
    at_least("fpn_scale", fpn_scale, 1)
    at_least("pooled_size", pooled_size, 1)
    at_least("sampling_ratio", sampling_ratio, 0)
    length("image_size", image_size, 2)
    at_least("image_size", min(image_size), 1)
    one_of("roi_coords_transform", roi_coords_transform, -1, 0, 1, 2)
    return _per_region(rois, maps, pooled_size)


def _per_region(rois: TensorType, maps: tuple[TensorType, ...], pooled_size: int) -> TensorType:
    floating("rois and maps", rois, *maps)
    dims_are("rois", rois, None, None, 4)
    for t in maps:
        ranks("a feature map", t, 4)
    agree("channels of the maps", *(t.shape[1] for t in maps))
    agree("batch", rois.shape[0], *(t.shape[0] for t in maps))
    return TensorType((*rois.shape[:2], maps[0].shape[1], pooled_size, pooled_size), maps[0].dtype)


def multilevel_crop(rois: np.ndarray, *maps: np.ndarray, pooled_size: int, image_size: tuple[int, ...]) -> np.ndarray:
    """rois (N, R, 4) of (y1, x1, y2, x2) pixels, five maps (N, C, H, W) at strides 4 … 64 → (N, R, C, size, size).

    Regions that are empty, or not inside the image, give 0.
    """
    regions, maps = wide(rois), tuple(wide(m) for m in maps)
    image = np.array(image_size[1:], np.float32)
    low, high = regions[..., :2], regions[..., 2:]
    good = ((low >= 0) & (low <= image) & (high >= 0) & (high <= image) & (low < high)).all(-1)
    area = np.prod(high - low, -1)
    level = sum((area > np.float32(224 * 224 / 4 * 4 ** i)).astype(int) for i in range(4))
    result = np.zeros((*rois.shape[:2], maps[0].shape[1], pooled_size, pooled_size), rois.dtype)
    for n, r in np.argwhere(good):
        source, stride = maps[level[n, r]][n], np.float32(4 << level[n, r])
        cell = np.float32(pooled_size) * stride
        axes = [clamped(positions(a / stride, (b - a) / cell, pooled_size, 1, 0.5), extent, 1)
                for a, b, extent in zip(low[n, r], high[n, r], source.shape[1:], strict=True)]
        result[n, r] = mean(source, *axes)
    return result


def multilevel_crop_types(rois: TensorType, *maps: TensorType, pooled_size: int, image_size: tuple[int, ...]
                          ) -> TensorType:
    at_least("pooled_size", pooled_size, 1)
    length("image_size", image_size, 3)
    return _per_region(rois, maps, pooled_size)


def crop_and_resize(maps: np.ndarray, rois: np.ndarray, *, crop_height: int, crop_width: int) -> np.ndarray:
    """maps (N, C, H, W), rois (N, R, 4, 1) of (y1, x1, y2, x2) from 0 to 1 → (N, R, C, crop_height, crop_width).

    Corners are the outer samples; what lies outside the map is 0.
    """
    corners = wide(rois).reshape(*rois.shape[:2], 2, 2)
    source = wide(maps)
    result = np.zeros((*rois.shape[:2], maps.shape[1], crop_height, crop_width), maps.dtype)
    for n, r in np.ndindex(*rois.shape[:2]):
        axes = []
        for axis, cells in enumerate((crop_height, crop_width)):
            extent = np.float32(maps.shape[2 + axis] - 1)
            low, high = corners[n, r, :, axis]
            if cells > 1:
                at = low * extent + np.arange(cells, dtype=np.float32) * ((high - low) * extent / np.float32(cells - 1))
            else:
                at = np.array([np.float32(0.5) * (low + high) * extent])
            axes.append(strict(at, maps.shape[2 + axis]))
        result[n, r] = mean(source[n], *axes)
    return result


def crop_and_resize_types(maps: TensorType, rois: TensorType, *, crop_height: int, crop_width: int) -> TensorType:
    at_least("crop_height", crop_height, 1)
    at_least("crop_width", crop_width, 1)
    floating("maps and rois", maps, rois)
    ranks("maps", maps, 4)
    dims_are("rois", rois, maps.shape[0], None, 4, 1)
    return TensorType((*rois.shape[:2], maps.shape[1], crop_height, crop_width), maps.dtype)


library("ROIAlign_TRT", roi_align, roi_align_types, {
    "coordinate_transformation_mode": default(1), "mode": default(1), "output_height": default(1),
    "output_width": default(1), "sampling_ratio": default(0), "spatial_scale": default(1.0)}, (3, 3), versions="12")
library("PyramidROIAlign_TRT", pyramid_roi_align, pyramid_roi_align_types, {
    "fpn_scale": default(224), "pooled_size": default(7), "image_size": default((1024, 1024)),
    "roi_coords_absolute": default(1), "roi_coords_swap": default(0), "roi_coords_plusone": default(0),
    "roi_coords_transform": default(2), "sampling_ratio": default(0), "legacy": default(0)}, (5, 5))
library("MultilevelCropAndResize_TRT", multilevel_crop, multilevel_crop_types, {
    "pooled_size": INT, "image_size": default((3, 832, 1344))}, (6, 6))
_CROP = {"crop_height": INT, "crop_width": INT}
library("CropAndResize", crop_and_resize, crop_and_resize_types, _CROP, (2, 2))
library("CropAndResizeDynamic", crop_and_resize, crop_and_resize_types, _CROP, (2, 2), versions="12")
