"""RoiAlign and DeformConv as host steps, beside the onnx package's own, which are slow."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from tensorwright.ops.host_sampling import CORRECTED

RANDOM = np.random.default_rng(0)


def compare(node: onnx.NodeProto, feeds: dict[str, np.ndarray], opset: int) -> None:
    infos = [onnx.ValueInfoProto(name=n) for n in (*feeds, "y")]
    model = helper.make_model(helper.make_graph([node], "g", infos[:-1], infos[-1:]),
                              opset_imports=[helper.make_opsetid("", opset)])
    (wanted,), (got,) = (ReferenceEvaluator(model, **o).run(None, feeds) for o in ({}, {"new_ops": CORRECTED}))
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    near = 2e-3 if got.dtype == np.float16 else 2e-6
    np.testing.assert_allclose(got, wanted, rtol=near, atol=near)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize(("opset", "given"), [(10, {}), (16, {}), (22, {}), (
    22, {"coordinate_transformation_mode": "output_half_pixel", "sampling_ratio": 0})], ids=str)
def test_roi_align(kind: Any, mode: str, opset: int, given: dict[str, Any]) -> None:
    node = helper.make_node("RoiAlign", ["x", "r", "b"], ["y"], output_height=2, output_width=3, mode=mode,
                            spatial_scale=0.5, **{"sampling_ratio": 2, **given})
    regions = np.array([[0, 0, 8, 6], [-3, -2, 3, 20], [5, 5, 6, 7]], kind)
    compare(node, {"x": RANDOM.normal(0, 1, (2, 2, 6, 7)).astype(kind), "r": regions, "b": np.array([0, 1, 1])}, opset)


@pytest.mark.parametrize("given", [{}, {"pads": [1, 0, 0, 1], "strides": [2, 1], "dilations": [1, 2], "group": 2,
                                        "offset_group": 2}], ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_deform_conv(given: dict[str, Any], masked: bool) -> None:
    D, P, Q = given.get("offset_group", 1), *((3, 3) if given else (4, 4))
    feeds = {"x": (1, 4, 5, 6), "w": (4, 4 // given.get("group", 1), 2, 3), "o": (1, D * 12, P, Q), "c": (4,),
             "m": (1, D * 6, P, Q)}
    arrays = {k: RANDOM.normal(0, 1, s).astype(np.float32) for k, s in feeds.items() if masked or k in "xwo"}
    inputs = ["x", "w", "o", *(["c", "m"] if masked else [])]
    compare(helper.make_node("DeformConv", inputs, ["y"], kernel_shape=[2, 3], **given), arrays, 19)


