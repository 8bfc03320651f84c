"""NonMaxSuppression for the reference evaluator: the onnx package's own visits every pair of boxes in Python, and fails
where the thresholds are left out.

Classes are named like the operators: the evaluator looks them up so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from .suppression import best_first, ordered, overlap, survivors


class NonMaxSuppression(OpRun):
    """Rows (batch, class, box) of boxes that no better one of their class overlaps, the best first within a class."""

    def _run(self, boxes: np.ndarray, scores: np.ndarray, max_output_boxes_per_class: Any = None,
             iou_threshold: Any = None, score_threshold: Any = None, center_point_box: int | None = None
             ) -> tuple[np.ndarray]:
        most, limit, least = (None if x is None or not np.size(x) else np.asarray(x).reshape(-1)[0] for x in
                              (max_output_boxes_per_class, iou_threshold, score_threshold))
        if most is None or most <= 0:
            return (np.zeros((0, 3), np.int64),)
        if center_point_box:
            centre, half = boxes[..., :2], boxes[..., 2:] / 2
            corners = np.concatenate([centre - half, centre + half], -1)
        else:
            corners = ordered(boxes)
        image, kind, box = np.nonzero(np.ones(scores.shape, bool) if least is None else scores > least)
        group = image * scores.shape[1] + kind
        order = best_first(scores[image, kind, box], group)
        image, kind, box, group = (x[order] for x in (image, kind, box, group))
        near = np.float32(0 if limit is None else limit)
        keep = survivors(corners[image, box], group, lambda a, b: overlap(a, b) > near, int(most))
        return (np.stack([image, kind, box], 1)[keep].astype(np.int64),)


CORRECTED: list[Any] = [NonMaxSuppression]
