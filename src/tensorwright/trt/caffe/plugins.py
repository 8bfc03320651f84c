"""Caffe layers that are plugins: which plugin of the library, and its fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .weights import Weights

Fields = list[tuple[str, np.ndarray]]


def floats(*values: Any) -> np.ndarray:
    return np.array(values, np.float32)


def integers(*values: Any) -> np.ndarray:
    return np.array([int(v) for v in values], np.int32)


def either(p: Any, name: str, other: str) -> Any:
    return getattr(p, name) if p.HasField(name) else getattr(p, other)


def normalize(layer: Any, weights: Weights) -> Fields:
    p, scales = layer.norm_param, weights.all(layer.name)
    return [("acrossSpatial", integers(p.across_spatial)), ("channelShared", integers(p.channel_shared)),
            ("eps", floats(p.eps)), *(("weights", s) for s in scales[:1]), ("nbWeights", integers(len(scales)))]


def prior_box(layer: Any, weights: Weights) -> Fields:
    p = layer.prior_box_param
    return [("minSize", floats(*p.min_size)), ("maxSize", floats(*p.max_size)),
            ("aspectRatios", floats(*p.aspect_ratio)), ("variance", floats(*p.variance)), ("flip", integers(p.flip)),
            ("clip", integers(p.clip)), ("imgH", integers(either(p, "img_h", "img_size"))),
            ("imgW", integers(either(p, "img_w", "img_size"))), ("stepH", floats(either(p, "step_h", "step"))),
            ("stepW", floats(either(p, "step_w", "step"))), ("offset", floats(p.offset))]


def detection_output(layer: Any, weights: Weights) -> Fields:
    """Code types are numbered from 0 by the plugin, from 1 by Caffe."""
    p = layer.detection_output_param
    return [("shareLocation", integers(p.share_location)),
            ("varianceEncodedInTarget", integers(p.variance_encoded_in_target)),
            ("backgroundLabelId", integers(p.background_label_id)), ("numClasses", integers(p.num_classes)),
            ("topK", integers(p.nms_param.top_k)), ("keepTopK", integers(p.keep_top_k)),
            ("confidenceThreshold", floats(p.confidence_threshold)),
            ("nmsThreshold", floats(p.nms_param.nms_threshold)),
            ("inputOrder", integers(0, 1, 2)), ("confSigmoid", integers(0)), ("isNormalized", integers(1)),
            ("codeType", integers(p.code_type - 1))]


def region_proposals(layer: Any, weights: Weights) -> Fields:
    pool, p = layer.roi_pooling_param, layer.region_proposal_param
    return [("poolingH", integers(pool.pooled_h)), ("poolingW", integers(pool.pooled_w)),
            ("spatialScale", floats(pool.spatial_scale)), ("preNmsTop", integers(p.prenms_top)),
            ("nmsMaxOut", integers(p.nms_max_out)), ("iouThreshold", floats(p.iou_threshold)),
            ("minBoxSize", floats(p.min_box_size)), ("featureStride", integers(p.feature_stride)),
            ("anchorsRatioCount", integers(p.anchor_ratio_count)),
            ("anchorsScaleCount", integers(p.anchor_scale_count)), ("anchorsRatios", floats(*p.anchor_ratio)),
            ("anchorsScales", floats(*p.anchor_scale))]


#: Type of a Caffe layer → plugin, and its fields.
PLUGINS: dict[str, tuple[str, Callable[[Any, Weights], Fields]]] = {
    "Normalize": ("Normalize_TRT", normalize), "PriorBox": ("PriorBox_TRT", prior_box),
    "DetectionOutput": ("NMS_TRT", detection_output), "RPROI": ("RPROI_TRT", region_proposals)}
