"""One use of each plugin of the library: attributes, and inputs in two sizes where their shapes may vary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32)


def uniform(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(0, 1, shape).astype(np.float32)


def boxes(*shape: int) -> np.ndarray:
    """Two corners each, as the last axis."""
    low = uniform(*shape, 2) * np.float32(0.6)
    return np.concatenate([low, low + uniform(*shape, 3)[..., :2] * np.float32(0.4)], -1)


def whole(high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, high, shape).astype(np.int32)


@dataclass(frozen=True)
class Case:
    """inputs(n, m): arrays for a first size n (1 or 3, most often images) and a second one (4 or 7)."""

    name: str
    inputs: Callable[[int, int], list[np.ndarray]]
    attributes: dict[str, Any] = field(default_factory=dict)
    version: str = "1"
    tolerance: float = 1e-5

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"


SSD = {"shareLocation": 1, "backgroundLabelId": 0, "numClasses": 3, "topK": 6, "keepTopK": 4}
BATCHED = {**SSD, "scoreThreshold": 0.2, "iouThreshold": 0.5}
NMS = {**SSD, "varianceEncodedInTarget": 0, "confidenceThreshold": 0.2, "nmsThreshold": 0.5, "codeType": 1,
       "inputOrder": [0, 1, 2]}
TF = {"max_total_size": 5, "max_output_size_per_class": 2, "pad_per_class": 1, "score_threshold": 0.2}
PROPOSAL = {"input_height": 64, "input_width": 64, "rpn_stride": 16, "roi_min_size": 2.0, "nms_iou_threshold": 0.6,
            "pre_nms_top_n": 20, "post_nms_top_n": 6, "anchor_sizes": [16.0, 32.0], "anchor_ratios": [1.0, 2.0]}
SECOND = {"num_classes": 3, "keep_topk": 5, "score_threshold": 0.2, "iou_threshold": 0.5}
GRID = {"aspectRatios": [1.0, 2.0, 0.5], "variance": [0.1, 0.1, 0.2, 0.2], "numLayers": 2}
EMBEDDINGS = {f"bert_embeddings_{k}": normal(*s) for k, s in {
    "layernorm_beta": (6,), "layernorm_gamma": (6,), "word_embeddings": (11, 6), "token_type_embeddings": (2, 6),
    "position_embeddings": (9, 6)}.items()}
ATTENTION = {"type_id": 0, "hidden_size": 8, "num_heads": 2, "has_mask": 1}
SKIP = {"type_id": 0, "gamma": normal(6), "beta": normal(6), "bias": normal(6)}


def regions(n: int) -> np.ndarray:
    """(image, x1, y1, x2, y2) of n images."""
    return np.concatenate([whole(n, 2 * n, 1), boxes(2 * n) * 10], 1).astype(np.float32)


def levels(n: int) -> list[np.ndarray]:
    """Deltas and scores of the five levels of an image of 32 by 32."""
    counts = [3 * (-(-(32 - s // 2) // s)) ** 2 for s in (4, 8, 16, 32, 64)]
    return [a for c in counts for a in (normal(n, c, 4, 1) * np.float32(0.2), uniform(n, c, 1, 1))]


def deform(n: int, m: int) -> list[np.ndarray]:
    return [normal(n, 4, m, 5), normal(n, 18, m, 5), uniform(n, 9, m, 5), normal(6, 4, 3, 3), normal(6)]


CASES = [
    Case("EfficientNMS_TRT", lambda n, m: [boxes(n, m), uniform(n, m, 3)],
         {"score_threshold": 0.3, "iou_threshold": 0.5, "max_output_boxes": 4, "background_class": -1,
          "score_activation": 0, "box_coding": 0}),
    Case("EfficientNMS_ONNX_TRT", lambda n, m: [boxes(n, m), uniform(n, m, 3)], {"max_output_boxes_per_class": 3}),
    Case("EfficientNMS_Explicit_TF_TRT", lambda n, m: [boxes(n, m, 1), uniform(n, m, 3)], TF),
    Case("EfficientNMS_Implicit_TF_TRT", lambda n, m: [boxes(n, m, 1), uniform(n, m, 3)], TF),
    Case("BatchedNMS_TRT", lambda n, m: [boxes(n, m, 1), uniform(n, m, 3)], BATCHED),
    Case("BatchedNMSDynamic_TRT", lambda n, m: [boxes(n, m, 1), uniform(n, m, 3)], BATCHED),
    *(Case(name, lambda n, m: [normal(n, 4 * m, 1, 1), uniform(n, 3 * m, 1, 1), boxes(1, 2, m).reshape(1, 2, -1, 1)],
           {**NMS, "isBatchAgnostic": 1}) for name in ("NMS_TRT", "NMSDynamic_TRT")),
    Case("ProposalLayer_TRT", lambda n, m: [uniform(n, 258, 2, 1), normal(n, 258, 4, 1)],
         {"prenms_topk": 30, "keep_topk": 8, "iou_threshold": 0.6, "image_size": [3, 32, 32]}),
    Case("MultilevelProposeROI_TRT", lambda n, m: levels(n),
         {"prenms_topk": 30, "keep_topk": 8, "fg_threshold": 0.3, "iou_threshold": 0.6, "image_size": [3, 32, 32]}),
    Case("Proposal", lambda n, m: [uniform(n, 4, m, 5), normal(n, 16, m, 5) * np.float32(0.2)], PROPOSAL),
    Case("ProposalDynamic", lambda n, m: [uniform(n, 4, m, 5), normal(n, 16, m, 5) * np.float32(0.2)], PROPOSAL),
    Case("RPROI_TRT", lambda n, m: [uniform(n, 4, m, 5), normal(n, 8, m, 5) * np.float32(0.2), normal(n, 3, m, 5),
                                    np.tile(np.array([[64, 80, 1]], np.float32), (n, 1)).reshape(n, 1, 1, 3)],
         {"poolingH": 2, "poolingW": 3, "featureStride": 16, "preNmsTop": 20, "nmsMaxOut": 4, "anchorsRatioCount": 2,
          "anchorsScaleCount": 1, "iouThreshold": 0.6, "minBoxSize": 4.0, "spatialScale": 0.0625,
          "anchorsRatios": [0.5, 1.0], "anchorsScales": [2.0]}),
    Case("DetectionLayer_TRT", lambda n, m: [normal(n, m, 12, 1, 1), uniform(n, m, 3, 1, 1), boxes(n, m)], SECOND),
    Case("GenerateDetection_TRT", lambda n, m: [normal(n, m, 12, 1, 1), uniform(n, m, 3, 1, 1), boxes(n, m) * 32],
         {**SECOND, "image_size": [3, 32, 32]}),
    *(Case("ROIAlign_TRT", lambda n, m: [normal(n, 3, m, 6), boxes(2 * n) * 6, whole(n, 2 * n)],
           {"output_height": 2, "output_width": 3}, version) for version in "12"),
    Case("PyramidROIAlign_TRT", lambda n, m: [boxes(n, m) * 64, *(normal(n, 2, 16 >> i, 16 >> i) for i in range(4))],
         {"pooled_size": 2, "image_size": [64, 64], "fpn_scale": 30}),
    Case("MultilevelCropAndResize_TRT", lambda n, m: [boxes(n, m) * 64, *(normal(n, 2, 16 >> i, 16 >> i)
                                                                         for i in range(5))],
         {"pooled_size": 2, "image_size": [3, 64, 64]}),
    Case("CropAndResize", lambda n, m: [normal(n, 2, m, 5), boxes(n, 3)[..., None]],
         {"crop_height": 2, "crop_width": 3}),
    *(Case("CropAndResizeDynamic", lambda n, m: [normal(n, 2, m, 5), boxes(n, 3)[..., None]],
           {"crop_height": 2, "crop_width": 3}, version) for version in "12"),
    Case("GridAnchor_TRT", lambda n, m: [], {**GRID, "featureMapShapes": [3, 2]}),
    Case("GridAnchorRect_TRT", lambda n, m: [], {**GRID, "featureMapShapes": [3, 4, 2, 1]}),
    Case("PriorBox_TRT", lambda n, m: [normal(n, 2, m, 3), normal(n, 3, 8 * m, 24)],
         {"minSize": [4.0, 9.0], "maxSize": [12.0, 20.0], "aspectRatios": [2.0], "flip": 1, "clip": 1,
          "variance": [0.1, 0.1, 0.2, 0.2], "imgH": 0, "imgW": 0}),
    Case("Region_TRT", lambda n, m: [normal(n, 16, m, 5)], {"num": 2, "classes": 3}),
    Case("YoloLayer_TRT", lambda n, m: [normal(n, 18, 3, 4)],
         {"yoloWidth": 4, "yoloHeight": 3, "numAnchors": 2, "anchors": [10.0, 13.0, 16.0, 30.0], "numClasses": 4,
          "inputMultiplier": 8, "scaleXY": 1.1}),
    *(Case("InstanceNormalization_TRT", lambda n, m: [normal(n, 3, m, 5)],
           {"epsilon": 1e-3, "scales": normal(3), "bias": normal(3), "relu": 1, "alpha": 0.1}, version)
      for version in "123"),
    Case("GroupNormalizationPlugin", lambda n, m: [normal(n, 6, m, 5), normal(6), normal(6)], {"num_groups": 2}),
    *(Case("CustomSkipLayerNormPluginDynamic", lambda n, m: [normal(m, n, 6, 1, 1), uniform(m, n, 6, 1, 1)],
           {**SKIP, "ld": 6} if version in "15" else SKIP, version) for version in "1526"),
    Case("Normalize_TRT", lambda n, m: [normal(n, 3, m, 5)],
         {"weights": normal(3), "acrossSpatial": 0, "channelShared": 0, "eps": 0.01}),
    *(Case("CustomEmbLayerNormPluginDynamic", lambda n, m: [whole(11, m, n), whole(2, m, n), whole(2, m, n)],
           EMBEDDINGS, version) for version in "16"),
    *(Case("CustomQKVToContextPluginDynamic", lambda n, m: [normal(m, n, 24, 1, 1), 1 + whole(4, n, 1)], ATTENTION,
           version) for version in "1425"),
    Case("CustomFCPluginDynamic", lambda n, m: [normal(m, n, 6, 1, 1)],
         {"W": normal(6, 5), "out_dims": 5, "type_id": 0}),
    Case("CustomGeluPluginDynamic", lambda n, m: [normal(m, n, 6)], {"bias": normal(6), "type_id": 0}),
    *(Case("DisentangledAttention_TRT", lambda n, m: [normal(n, m, m), normal(n, m, 8), uniform(n, m, 8)],
           {"span": 4, "factor": 0.2}, version) for version in "12"),
    *(Case("ModulatedDeformConv2d", deform, {"padding": [1, 1]}, version) for version in "12"),
    *(Case("MultiscaleDeformableAttnPlugin_TRT",
           lambda n, m: [normal(n, 26, 2, 3), np.array([[5, 4], [3, 2]], np.int32), np.array([0, 20], np.int32),
                         uniform(n, m, 2, 2, 3, 2), uniform(n, m, 2, 2, 3)], {}, version) for version in "12"),
    Case("VoxelGeneratorPlugin", lambda n, m: [uniform(n, 9 * m, 4) * 8, np.full(n, 8 * m, np.int32)],
         {"max_num_points_per_voxel": 3, "max_voxels": 9, "point_cloud_range": [0.0, 0.0, 0.0, 8.0, 6.0, 8.0],
          "voxel_feature_num": 10, "voxel_size": [2.0, 1.5, 8.0]}, tolerance=1e-4),
    Case("PillarScatterPlugin", lambda n, m: [normal(n, m, 3), whole(3, n, m, 4), np.full(n, m - 1, np.int32)],
         {"dense_shape": [3, 4]}),
    Case("DecodeBbox3DPlugin", lambda n, m: [normal(n, m, 5, 2), normal(n, m, 5, 14), normal(n, m, 5, 4)],
         {"point_cloud_range": [0.0, -8.0, -3.0, 16.0, 8.0, 1.0], "anchors": [3.9, 1.6, 1.5, 0.0, 3.9, 1.6, 1.5, 1.57],
          "anchor_bottom_height": [-1.7], "score_thresh": 0.4}),
    Case("Clip_TRT", lambda n, m: [normal(n, m, 5)], {"clipMin": -0.5, "clipMax": 0.5}),
    Case("LReLU_TRT", lambda n, m: [normal(n, m, 5)], {"negSlope": 0.2}),
    Case("ResizeNearest_TRT", lambda n, m: [normal(n, 3, m, 5)], {"scale": 2.0}),
    Case("FlattenConcat_TRT", lambda n, m: [normal(n, 3, m, 5), uniform(n, 2, 1, m)]),
    Case("SpecialSlice_TRT", lambda n, m: [normal(n, m, 6)]),
    Case("BatchTilePlugin_TRT", lambda n, m: [normal(n, 2, 2, 2), normal(1, 3, m, 2)]),
    Case("CoordConvAC", lambda n, m: [normal(n, 3, m, 5)]),
    Case("Split", lambda n, m: [normal(n, m, 5)], {"axis": 2, "output_lengths": [2, 3]}),
    *(Case("Reorg_TRT", lambda n, m: [normal(n, 4, 2 * m, 6)], {"stride": 2}, version) for version in "12"),
    Case("ScatterND", lambda n, m: [normal(7, m), np.array([[1], [5], [2]], np.int32), uniform(3, m)]),
    *(Case("ScatterElements", lambda n, m: [normal(7, m), whole(4, 3, m).astype(np.int64), uniform(3, m)],
           {"axis": 0, "reduction": "add"}, version) for version in "12"),
    Case("TRTBatchedNMS", lambda n, m: [boxes(n, m, 1), uniform(n, m, 3)],
         {"background_label_id": -1, "num_classes": 3, "topk": -1, "keep_topk": 4, "score_threshold": 0.2,
          "iou_threshold": 0.5, "return_index": 1}),
    Case("MMCVRoiAlign", lambda n, m: [normal(n, 3, m, 6), regions(n)],
         {"output_height": 2, "output_width": 3, "spatial_scale": 0.5, "sampling_ratio": 2}),
    Case("MMCVMultiLevelRoiAlign", lambda n, m: [regions(n), normal(n, 3, 4 * m, 24), normal(n, 3, 2 * m, 12)],
         {"output_height": 2, "output_width": 3, "pool_mode": 1, "featmap_strides": [1.0, 2.0], "finest_scale": 1}),
    Case("MMCVModulatedDeformConv2d", deform, {"padding": [1, 1]}),
    Case("MMCVDeformConv2d", lambda n, m: [normal(n, 4, m, 5), normal(n, 18, m, 5), normal(6, 4, 3, 3)],
         {"padding": [1, 1]}),
    Case("MMCVMultiScaleDeformableAttention",
         lambda n, m: [normal(n, 26, 2, 3), np.array([[5, 4], [3, 2]], np.int32), np.array([0, 20], np.int32),
                       uniform(n, m, 2, 2, 3, 2), uniform(n, m, 2, 2, 3)]),
    Case("TRTInstanceNormalization", lambda n, m: [normal(n, 3, m, 5), normal(3), uniform(3)]),
    Case("grid_sampler", lambda n, m: [normal(n, 3, 6, 5), normal(n, 4, m, 2)],
         {"interpolation_mode": 0, "padding_mode": 0, "align_corners": 0}),
    Case("GatherTopk", lambda n, m: [normal(n, m, 5), whole(4, n, 3)]),
    Case("GridPriorsTRT", lambda n, m: [normal(3, 4), normal(m), normal(5)], {"stride_h": 8, "stride_w": 4}),
    Case("TRTBicubicInterpolate", lambda n, m: [normal(n, 3, m, 5)], {"scale_factor": [2.0, 3.0], "align_corners": 0}),
    Case("TopkLastDim", lambda n, m: [normal(n, m, 5)], {"type_id": 0, "k": 3, "is_largest": 1}),
]
