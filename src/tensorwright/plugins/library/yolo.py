"""YOLO's last layers: raw maps into boxes and probabilities.

Source: plugin Region_TRT, version 1, of github.com/NVIDIA/TensorRT, and plugin YoloLayer_TRT, version 1, of
github.com/jkjung-avt/tensorrt_demos.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import DType
from ...errors import InputError, UnsupportedError
from ...ir import TensorType
from ..attributes import Attribute
from ..graph import Tensor, ops
from .expressions import expression, shape, size
from .rules import FLOATS, INT, at_least, default, dims_are, floating, length, one_of


def region(x: Tensor, *, num: int, coords: int, classes: int, smTree: tuple[int, ...]) -> Any:
    """x (N, num·(5 + classes), H, W) → the same: x, y and objectness through sigmoid, classes through softmax."""
    each = ops.Reshape(x, shape(0, num, coords + 1 + classes, size(x, 2), size(x, 3)))
    at, sizes, object_, kinds = ops.Split(each, np.array([2, 2, 1, classes]), axis=2, outputs=4)
    parts = ops.Sigmoid(at), sizes, ops.Sigmoid(object_), ops.Softmax(kinds, axis=2)
    return ops.Reshape(ops.Concat(*parts, axis=2), ops.Shape(x))


def region_types(x: TensorType, *, num: int, coords: int, classes: int, smTree: tuple[int, ...]) -> TensorType:
    one_of("coords", coords, 4)
    at_least("num", num, 1)
    at_least("classes", classes, 1)
    if smTree:
        raise UnsupportedError("attribute 'smTree': classes in a tree are not supported",
                               try_="apply Softmax to each group of classes in the model")
    floating("x", x)
    dims_are("x", x, None, num * (5 + classes), None, None)
    return x


def yolo(x: Tensor, *, yoloWidth: int, yoloHeight: int, numAnchors: int, anchors: tuple[float, ...], numClasses: int,
         inputMultiplier: int, inputWidth: int, inputHeight: int, scaleXY: float, newCoords: int) -> Any:
    """x (N, A·(5 + C), H, W) → (N, 7·A·H·W, 1, 1): of each anchor at each place (x, y, w, h), the objectness, the class
    with the highest probability, and that.

    The box is from 0 to 1, its (x, y) the upper left corner.
    newCoords   x is of probabilities, not logits, and widths are squares, not exponentials
    """
    width, height = (inputMultiplier * s or given for s, given in ((yoloWidth, inputWidth), (yoloHeight, inputHeight)))
    wide = ops.Cast(x, to=DType.float32)
    each = ops.Reshape(wide, np.array([0, numAnchors, 5 + numClasses, yoloHeight, yoloWidth]))
    at, sizes, rest = ops.Split(each, np.array([2, 2, 1 + numClasses]), axis=2, outputs=3)
    if not newCoords:
        at, rest = ops.Sigmoid(at), ops.Sigmoid(rest)
    column, row = np.meshgrid(np.arange(yoloWidth), np.arange(yoloHeight))
    cell = np.stack([column, row]).astype(np.float32)                                           # (2, H, W)
    grid = np.array([yoloWidth, yoloHeight], np.float32).reshape(2, 1, 1)
    center = (at * scaleXY + (cell - np.float32((scaleXY - 1) / 2))) / grid
    image = np.array([width, height], np.float32).reshape(2, 1, 1)
    prior = np.array(anchors, np.float32).reshape(1, numAnchors, 2, 1, 1) / image
    sizes = sizes * sizes * (4 * prior) if newCoords else np.exp(sizes) * prior
    object_, kinds = ops.Split(rest, np.array([1, numClasses]), axis=2, outputs=2)
    kind = ops.Cast(ops.ArgMax(kinds, axis=2, keepdims=1), to=DType.float32)
    best = ops.ReduceMax(kinds, np.array([2]), keepdims=1)
    rows = ops.Concat(center - sizes * 0.5, sizes, object_, kind, best, axis=2)              # (N, A, 7, H, W)
    return ops.CastLike(ops.Reshape(ops.Transpose(rows, perm=[0, 1, 3, 4, 2]), np.array([0, -1, 1, 1])), x)


def yolo_types(x: TensorType, *, yoloWidth: int, yoloHeight: int, numAnchors: int, anchors: tuple[float, ...],
               numClasses: int, inputMultiplier: int, inputWidth: int, inputHeight: int, scaleXY: float, newCoords: int
               ) -> TensorType:
    for name, value in (("yoloWidth", yoloWidth), ("yoloHeight", yoloHeight), ("numAnchors", numAnchors),
                        ("numClasses", numClasses), ("scaleXY", scaleXY)):
        at_least(name, value, 1)
    length("anchors", anchors, 2 * numAnchors)
    one_of("newCoords", newCoords, 0, 1)
    if inputMultiplier < 1 and min(inputWidth, inputHeight) < 1:
        raise InputError("attributes 'inputWidth' and 'inputHeight', or 'inputMultiplier', are needed")
    floating("x", x)
    dims_are("x", x, None, numAnchors * (5 + numClasses), yoloHeight, yoloWidth)
    return TensorType((x.shape[0], 7 * numAnchors * yoloHeight * yoloWidth, 1, 1), x.dtype)


expression("Region_TRT", region, region_types, {
    "num": INT, "coords": default(4), "classes": INT, "smTree": Attribute("ints", ())}, (1, 1))
expression("YoloLayer_TRT", yolo, yolo_types, {
    "yoloWidth": INT, "yoloHeight": INT, "numAnchors": INT, "anchors": FLOATS, "numClasses": INT,
    "inputMultiplier": default(0), "inputWidth": default(0), "inputHeight": default(0), "scaleXY": default(1.0),
    "newCoords": default(0)}, (1, 1))
