"""Anchor boxes of SSD: constants that follow from the shapes of feature maps.

Source: plugins GridAnchor_TRT, GridAnchorRect_TRT and PriorBox_TRT, version 1 each, of github.com/NVIDIA/TensorRT. An
output is (1, 2, 4·A, 1): the boxes (x1, y1, x2, y2) from 0 to 1 of A anchors, and the variances of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import DType
from ...errors import InputError
from ...ir import TensorType
from ..attributes import Attribute
from ..graph import Tensor, ops
from .expressions import expression, ramp, shape, size
from .rules import FLOATS, INT, INTS, at_least, default, length, ranks

#: Ratios that the first map of an SSD network has.
FIRST = 3


def _sides(layer: int, layers: int, low: float, high: float, ratios: tuple[float, ...]) -> np.ndarray:
    """Half widths and heights of a map's anchors: float32 (A, 2)."""
    def scale(i: int) -> float:
        return low + (high - low) * i / (layers - 1) if layers > 1 else low
    if layer == 0:
        scales, shapes = np.array([0.1, low, low]), np.array(ratios[:FIRST])
    else:
        after = 1.0 if layer == layers - 1 else scale(layer + 1)
        scales = np.array([scale(layer)] * len(ratios) + [np.sqrt(scale(layer) * after)])
        shapes = np.array([*ratios, 1.0])
    root = np.sqrt(shapes)
    return (np.stack([scales * root, scales / root], 1) / 2).astype(np.float32)


def grid_anchors(*, minSize: float, maxSize: float, aspectRatios: tuple[float, ...], featureMapShapes: tuple[int, ...],
                 variance: tuple[float, ...], numLayers: int) -> Any:
    """One output per map. Boxes stand on the middles of its cells; their sizes grow from map to map."""
    each = len(featureMapShapes) // numLayers
    found = []
    for i in range(numLayers):
        H, W = featureMapShapes[each * i], featureMapShapes[each * i + each - 1]
        x, y = np.meshgrid((np.arange(W) + 0.5) / W, (np.arange(H) + 0.5) / H)
        middle = np.stack([x, y], -1)[:, :, None].astype(np.float32)
        half = _sides(i, numLayers, minSize, maxSize, aspectRatios)
        boxes = np.concatenate([middle - half, middle + half], -1).reshape(-1)
        both = np.stack([boxes, np.resize(np.array(variance, np.float32), boxes.size)])
        found.append(ops.Identity(both.reshape(1, 2, -1, 1)))
    return tuple(found)


def grid_anchors_types(*, aspectRatios: tuple[float, ...], featureMapShapes: tuple[int, ...],
                       variance: tuple[float, ...], numLayers: int, minSize: float, maxSize: float
                       ) -> tuple[TensorType, ...]:
    at_least("numLayers", numLayers, 1)
    length("variance", variance, 4)
    if len(aspectRatios) < FIRST or min(aspectRatios) <= 0:
        raise InputError(f"attribute 'aspectRatios' is {aspectRatios}; three ratios at least are needed")
    length("featureMapShapes", featureMapShapes, numLayers, 2 * numLayers)
    at_least("featureMapShapes", min(featureMapShapes), 1)
    each, result = len(featureMapShapes) // numLayers, []
    for i in range(numLayers):
        cells = featureMapShapes[each * i] * featureMapShapes[each * i + each - 1]
        count = FIRST if i == 0 else len(aspectRatios) + 1
        result.append(TensorType((1, 2, 4 * cells * count, 1), DType.float32))
    return tuple(result)


def grid_types_of(sides: int) -> Any:
    """The rule of the plugin whose maps are given by so many numbers each: 1 for squares, 2 for height and width."""
    def rule(*, numLayers: int, featureMapShapes: tuple[int, ...], **others: Any) -> tuple[TensorType, ...]:
        at_least("numLayers", numLayers, 1)
        length("featureMapShapes", featureMapShapes, sides * numLayers)
        return grid_anchors_types(numLayers=numLayers, featureMapShapes=featureMapShapes, **others)
    return rule


def _ratios(given: tuple[float, ...], flip: int) -> list[float]:
    """1, and each ratio that is not there yet, with its inverse where flipped."""
    found = [1.0]
    for r in given:
        if all(abs(r - other) >= 1e-6 for other in found):
            found += [r, 1 / r] if flip else [r]
    return found


def _prior_sides(minSize: tuple[float, ...], maxSize: tuple[float, ...], ratios: list[float]) -> np.ndarray:
    """Half widths and heights in pixels: float32 (A, 2). Of each size a square, one of the mean with the largest size,
    and one of each further ratio."""
    sides = []
    for i, s in enumerate(minSize):
        sides.append((s, s))
        if maxSize:
            sides.append((np.sqrt(s * maxSize[i]),) * 2)
        sides += [(s * np.sqrt(r), s / np.sqrt(r)) for r in ratios[1:]]
    return np.array(sides, np.float32) / 2


def prior_boxes(maps: Tensor, image: Tensor, *, minSize: tuple[float, ...], maxSize: tuple[float, ...],
                aspectRatios: tuple[float, ...], flip: int, clip: int, variance: tuple[float, ...], imgH: int,
                imgW: int, stepH: float, stepW: float, offset: float) -> Any:
    """maps (N, C, H, W), image (N, C, height, width) → the boxes on the middles of the maps' cells.

    imgH, imgW    the image's size; 0: that of the input
    stepH, stepW  pixels from cell to cell; 0: the image's size divided by the maps'
    """
    half = _prior_sides(minSize, maxSize, _ratios(aspectRatios, flip))
    sides, axes = [size(maps, 2), size(maps, 3)], []
    for cells, extent, step, column in ((sides[1], imgW or size(image, 3), stepW, 0),
                                        (sides[0], imgH or size(image, 2), stepH, 1)):
        whole, count = (ops.Cast(shape(d), to=DType.float32) for d in (extent, cells))
        apart = np.array([step], np.float32) if step else whole / count
        middle = (ops.Cast(ramp(cells), to=DType.float32) + np.float32(offset)) * apart
        place = [1, 1, 1, 1]
        place[1 - column] = -1
        middle = ops.Reshape(middle, np.array(place))
        axes.append([ops.Expand((middle + sign * half[:, column].reshape(1, 1, -1, 1)) / whole,
                                shape(*sides, len(half), 1)) for sign in (np.float32(-1), np.float32(1))])
    boxes = ops.Reshape(ops.Concat(axes[0][0], axes[1][0], axes[0][1], axes[1][1], axis=3), np.array([1, 1, -1, 1]))
    if clip:
        boxes = ops.Clip(boxes, np.float32(0), np.float32(1))
    rows = ops.Reshape(np.array(variance, np.float32), np.array([1, 1, 1, 4]))
    variances = ops.Expand(rows, shape(1, 1, _count(sides, len(half)), 4))
    return ops.Concat(boxes, ops.Reshape(variances, np.array([1, 1, -1, 1])), axis=1)


def _count(sides: list[Any], anchors: int) -> Any:
    return sides[0] * sides[1] * anchors


def prior_boxes_types(maps: TensorType, image: TensorType, *, minSize: tuple[float, ...], maxSize: tuple[float, ...],
                      aspectRatios: tuple[float, ...], flip: int, variance: tuple[float, ...], **_: Any) -> TensorType:
    ranks("maps", maps, 4)
    ranks("image", image, 4)
    length("variance", variance, 4)
    length("maxSize", maxSize, 0, len(minSize))
    if not minSize or min(minSize) <= 0:
        raise InputError(f"attribute 'minSize' is {minSize}; sizes above 0 are needed")
    if min(aspectRatios, default=1) <= 0:
        raise InputError(f"attribute 'aspectRatios' is {aspectRatios}; ratios above 0 are needed")
    count = len(minSize) * (len(_ratios(aspectRatios, flip)) + bool(maxSize))
    return TensorType((1, 2, maps.shape[2] * maps.shape[3] * (4 * count), 1), DType.float32)


_GRID = {"minSize": default(0.2), "maxSize": default(0.95), "aspectRatios": FLOATS, "featureMapShapes": INTS,
         "variance": FLOATS, "numLayers": default(6)}
expression("GridAnchor_TRT", grid_anchors, grid_types_of(1), _GRID, (0, 0))
expression("GridAnchorRect_TRT", grid_anchors, grid_types_of(2), _GRID, (0, 0))
expression("PriorBox_TRT", prior_boxes, prior_boxes_types, {
    "minSize": FLOATS, "maxSize": Attribute("floats", ()), "aspectRatios": FLOATS, "flip": INT, "clip": INT,
    "variance": FLOATS, "imgH": INT, "imgW": INT, "stepH": default(0.0), "stepW": default(0.0),
    "offset": default(0.5)}, (2, 2))
