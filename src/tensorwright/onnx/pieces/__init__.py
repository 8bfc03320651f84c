"""Ready-made models to put before and behind a model, each made to fit it, with its batch dimension.

    from tensorwright import onnx
    from tensorwright.onnx import pieces

    onnx.prepend(model, pieces.image(model, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), swap=True))
    onnx.append(model, pieces.softmax(model))

    onnx.append(detector, pieces.yolo(detector, "v8"))
    onnx.append(detector, pieces.nms(detector, iou=0.5))

Each function looks at the model's inputs or outputs and returns a Model in the same operator set (or the first one that
has what it needs); the model itself is not changed.
"""

from .image import image
from .nms import nms
from .tails import argmax, softmax
from .yolo import yolo

__all__ = ["argmax", "image", "nms", "softmax", "yolo"]
