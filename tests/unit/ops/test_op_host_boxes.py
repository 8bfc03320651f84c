"""NonMaxSuppression as a host step, beside the onnx package's own and ONNX Runtime."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import tensorwright
from tensorwright.ops.host_boxes import CORRECTED

RANDOM = np.random.default_rng(0)
NAMES = ("boxes", "scores", "most", "iou", "least")


def model(inputs: int, center: int, feeds: dict[str, np.ndarray], n: Any = 2) -> onnx.ModelProto:
    kinds = [TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT, TensorProto.FLOAT]
    infos = [helper.make_tensor_value_info(k, t, feeds[k].shape) for k, t in zip(NAMES[:inputs], kinds, strict=False)]
    node = helper.make_node("NonMaxSuppression", NAMES[:inputs], ["y"], center_point_box=center)
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", TensorProto.INT64, ["n", 3])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def feeds(batch: int, classes: int, count: int, most: int = 3, iou: float = 0.3, least: float = 0.2,
          ) -> dict[str, np.ndarray]:
    """Boxes of all sizes, some of them the same; corners in any order; scores with ties."""
    boxes = RANDOM.random((batch, count, 4), dtype=np.float32)
    boxes[:, count // 2:] = boxes[:, : count - count // 2] + np.float32(0.05)
    boxes[:, -1:] = boxes[:, :1]
    scores = np.round(RANDOM.random((batch, classes, count)), 1).astype(np.float32)
    return dict(zip(NAMES, (boxes, scores, np.array([most]), np.float32([iou]), np.float32([least])), strict=True))


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize(("batch", "classes", "count", "most"), [(1, 1, 6, 3), (2, 3, 11, 2), (3, 2, 1, 5),
                                                                 (1, 2, 9, 100)])
def test_like_the_onnx_package(center: int, batch: int, classes: int, count: int, most: int) -> None:
    for iou, least in ((0.3, 0.2), (0.0, 0.5), (1.0, -1.0), (0.5, 2.0)):
        given = feeds(batch, classes, count, most, iou, least)
        m = model(5, center, given)
        (wanted,), (got,) = (ReferenceEvaluator(m, **o).run(None, given) for o in ({}, {"new_ops": CORRECTED}))
        assert got.dtype == np.int64 and got.shape == wanted.reshape(-1, 3).shape
        np.testing.assert_array_equal(got, wanted.reshape(-1, 3))


@pytest.mark.parametrize("inputs", [2, 3, 4])
def test_inputs_that_are_left_out(inputs: int) -> None:
    """No limit of boxes means none at all; no thresholds mean that any overlap counts, and any score."""
    given = {k: v for k, v in feeds(2, 2, 8).items() if k in NAMES[:inputs]}
    m = model(inputs, 0, given)
    session = onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, given)
    engine = tensorwright.build(m)
    np.testing.assert_array_equal(engine.run(given)["y"], wanted)
    assert len(wanted) == 0 or inputs > 2
