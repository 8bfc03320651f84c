"""RoiAlign and DeformConv for the reference evaluator: the onnx package's own visit every element in Python.

Classes are named like the operators: the evaluator looks them up so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_deform_conv import DeformConv as OnnxDeformConv

from .sampling import deformed, largest, mean, region


class RoiAlign(OpRun):
    """Regions of maps, resampled; float16 is computed in float32."""

    def _run(self, x: np.ndarray, rois: np.ndarray, batch_indices: np.ndarray, mode: str | None = None,
             output_height: int | None = None, output_width: int | None = None, sampling_ratio: int | None = None,
             spatial_scale: float | None = None, coordinate_transformation_mode: str | None = None
             ) -> tuple[np.ndarray]:
        half = coordinate_transformation_mode or \
            ("half_pixel" if self.run_params["opsets"][""] >= 16 else "output_half_pixel")
        kind: Any = np.float64 if x.dtype == np.float64 else np.float32
        boxes = rois.astype(kind) * kind(1 if spatial_scale is None else spatial_scale)
        if half == "half_pixel":
            boxes -= kind(0.5)
        else:
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        maps, cells = x.astype(kind), (output_height or 1, output_width or 1)
        gather = largest if mode == "max" else mean
        result = np.zeros((len(rois), x.shape[1], *cells), x.dtype)
        for r, image in enumerate(batch_indices):
            found = region(maps[image], boxes[r, [1, 0, 3, 2]], cells, sampling_ratio or 0, gather)
            if found is not None:
                result[r] = found
        return (result,)


class DeformConv(OnnxDeformConv):
    """A convolution of maps that reads at learnt places; of other ranks as the package computes it."""

    def _run(self, X: np.ndarray, W: np.ndarray, offset: np.ndarray, B: np.ndarray | None = None,
             mask: np.ndarray | None = None, dilations: Any = None, group: int | None = None, kernel_shape: Any = None,
             offset_group: int | None = None, pads: Any = None, strides: Any = None) -> tuple[np.ndarray]:
        if X.ndim != 4:
            return super()._run(X, W, offset, B, mask, dilations, group, kernel_shape, offset_group, pads, strides)
        kind = np.float64 if X.dtype == np.float64 else np.float32
        arrays: list[Any] = [a if a is None else np.asarray(a, kind) for a in (X, W, offset, mask, B)]
        found = deformed(*arrays, strides=tuple(strides or (1, 1)), begin=tuple(pads or (0, 0))[:2],
                         dilations=tuple(dilations or (1, 1)), group=group or 1, offset_group=offset_group or 1)
        return (found.astype(X.dtype),)


CORRECTED: list[Any] = [RoiAlign, DeformConv]
