"""Proposals and detections of Faster and Mask R-CNN in the plugin library, beside loops in float64."""

import math
from typing import Any

import numpy as np
import pytest

from tensorwright.errors import InputError, ShapeError

from .run import run

SMALL = (3, 64, 96)


def iou(p: Any, q: Any, pixel: float = 0.0) -> float:
    h, w = min(p[2], q[2]) - max(p[0], q[0]) + pixel, min(p[3], q[3]) - max(p[1], q[1]) + pixel
    if h <= 0 or w <= 0:
        return 0.0
    area = [(b[2] - b[0] + pixel) * (b[3] - b[1] + pixel) for b in (p, q)]
    union = sum(area) - h * w
    return h * w / union if union > 0 else 0.0


def suppressed(candidates: list[tuple[float, list[float]]], before: int, after: int, limit: float, pixel: float = 0.0
               ) -> list[tuple[float, list[float]]]:
    kept: list[tuple[float, list[float]]] = []
    for score, box in sorted(candidates, key=lambda c: -c[0])[:before]:
        if len(kept) < after and not any(iou(box, k, pixel) > limit for _, k in kept):
            kept.append((score, box))
    return kept


def padded(boxes: list[list[float]], rows: int) -> np.ndarray:
    return np.array(boxes + [[0.0] * 4] * (rows - len(boxes))).reshape(rows, 4)


def move(a: Any, d: Any) -> list[float]:
    """ProposalLayer's box for an anchor and a delta."""
    h, w = a[2] - a[0], a[3] - a[1]
    cy, cx = (a[0] + a[2]) / 2 + d[0] * 0.1 * h, (a[1] + a[3]) / 2 + d[1] * 0.1 * w
    h, w = h * math.exp(d[2] * 0.2), w * math.exp(d[3] * 0.2)
    return [min(max(v, 0.0), 1.0) for v in (cy - h / 2, cx - w / 2, cy + h / 2, cx + w / 2)]


def move_pixels(a: Any, d: Any, weights: Any, image: Any) -> list[float]:
    """MultilevelProposeROI's."""
    h, w = a[2] - a[0] + 1, a[3] - a[1] + 1
    cy, cx = a[0] + h / 2 + d[0] / weights[0] * h, a[1] + w / 2 + d[1] / weights[1] * w
    most = math.log(1000 / 16)
    h, w = h * math.exp(min(d[2] / weights[2], most)), w * math.exp(min(d[3] / weights[3], most))
    y, x = cy - h / 2, cx - w / 2
    edge = (image[0] - 1, image[1] - 1) * 2
    return [min(max(v, 0.0), e) for v, e in zip((y, x, y + h - 1, x + w - 1), edge, strict=True)]


@pytest.mark.parametrize("images", [1, 2])
def test_proposal_layer(images: int) -> None:
    anchors = []
    for scale, stride in zip((32, 64, 128, 256, 512), (4, 8, 16, 32, 64), strict=True):
        for y in range(0, 64, stride):
            for x in range(0, 96, stride):
                for r in (0.5, 1.0, 2.0):
                    h, w = scale / math.sqrt(r), scale * math.sqrt(r)
                    anchors.append([(y - h / 2) / 63, (x - w / 2) / 95, (y + h / 2 - 1) / 63, (x + w / 2 - 1) / 95])
    g = np.random.default_rng(0)
    scores = g.uniform(0, 1, (images, len(anchors), 2, 1)).astype(np.float32)
    deltas = g.normal(0, 1, (images, len(anchors), 4, 1)).astype(np.float32)
    got = run("ProposalLayer_TRT", scores, deltas, prenms_topk=100, keep_topk=30, iou_threshold=0.6, image_size=SMALL)
    for n in range(images):
        moves = deltas[n, :, :, 0].astype(float)
        boxes = [(float(s), move(a, d)) for s, a, d in zip(scores[n, :, 1, 0], anchors, moves, strict=True)]
        np.testing.assert_allclose(got[n], padded([b for _, b in suppressed(boxes, 100, 30, 0.6)], 30), atol=2e-5)
    none = run("ProposalLayer_TRT", scores * 0.005, deltas, prenms_topk=9, keep_topk=3, iou_threshold=0.6,
               image_size=SMALL)
    assert not none.any()


@pytest.mark.parametrize("images", [1, 2])
def test_multilevel_propose_roi(images: int) -> None:
    g = np.random.default_rng(1)
    inputs, candidates = [], [[] for _ in range(images)]       # type: ignore[var-annotated]
    for stride in (4, 8, 16, 32, 64):
        anchors = [[y - 4 * stride * h, x - 4 * stride * w, y + 4 * stride * h, x + 4 * stride * w]
                   for y in range(stride // 2, 64, stride) for x in range(stride // 2, 96, stride)
                   for w, h in ((1, 1), (1.4, 0.7), (0.7, 1.4))]
        deltas = g.normal(0, 0.3, (images, len(anchors), 4, 1)).astype(np.float32)
        scores = g.uniform(0, 1, (images, len(anchors), 1, 1)).astype(np.float32)
        inputs += [deltas, scores]
        for n in range(images):
            level = [(float(s), move_pixels(a, d, (1, 1, 1, 1), (64, 96)))
                     for s, a, d in zip(scores[n, :, 0, 0], anchors, deltas[n, :, :, 0].astype(float), strict=True)]
            level = sorted(level, key=lambda c: -c[0])[:50]
            candidates[n] += suppressed([c for c in level if c[0] >= 0.5], 50, 20, 0.5)
    got = run("MultilevelProposeROI_TRT", *inputs, prenms_topk=50, keep_topk=20, fg_threshold=0.5, iou_threshold=0.5,
              image_size=SMALL)
    for n in range(images):
        best = sorted(candidates[n], key=lambda c: -c[0])[:20]
        np.testing.assert_allclose(got[n], padded([b for _, b in best], 20), atol=2e-3)


def proposal_boxes(deltas: Any, centers: Any, sides: Any, image: Any) -> list[list[float]]:
    """Boxes (x1, y1, x2, y2) of one image, anchor by anchor, row by row."""
    result = []
    for a, (w, h) in enumerate(sides):
        for i, j in np.ndindex(*deltas.shape[1:]):
            dx, dy, dw, dh = (float(deltas[4 * a + k, i, j]) for k in range(4))
            cx, cy = centers(i, j)
            cx, cy, ww, hh = cx + dx * w, cy + dy * h, w * math.exp(dw), h * math.exp(dh)
            edge = (image[1] - 1, image[0] - 1) * 2
            box = (cx - ww / 2, cy - hh / 2, cx + ww / 2, cy + hh / 2)
            result.append([min(max(v, 0.0), e) for v, e in zip(box, edge, strict=True)])
    return result


@pytest.mark.parametrize("name", ["Proposal", "ProposalDynamic"])
def test_proposal(name: str) -> None:
    g = np.random.default_rng(2)
    scores = g.uniform(0, 1, (2, 4, 5, 6)).astype(np.float32)
    deltas = g.normal(0, 0.3, (2, 16, 5, 6)).astype(np.float32)
    got = run(name, scores, deltas, input_height=80, input_width=96, rpn_stride=16, roi_min_size=12.0,
              nms_iou_threshold=0.5, pre_nms_top_n=60, post_nms_top_n=15, anchor_sizes=(16.0, 40.0),
              anchor_ratios=(1.0, 1.5))
    assert got.shape == (2, 15, 4, 1)
    sides = [(s * r, s / r) for s in (16, 40) for r in (1, 1.5)]
    for n in range(2):
        boxes = proposal_boxes(deltas[n], lambda i, j: ((j + 0.5) * 16, (i + 0.5) * 16), sides, (80, 96))
        rated = [(-math.inf if b[2] - b[0] <= 12 or b[3] - b[1] <= 12 else float(s), b)
                 for s, b in zip(scores[n].reshape(-1), boxes, strict=True)]
        kept = [[b[1] / 79, b[0] / 95, b[3] / 79, b[2] / 95] for _, b in suppressed(rated, 60, 15, 0.5, 1.0)]
        np.testing.assert_allclose(got[n, :, :, 0], padded(kept, 15), atol=2e-5)


def test_region_proposals_with_their_pools() -> None:
    g = np.random.default_rng(3)
    scores = g.uniform(0, 1, (2, 8, 5, 6)).astype(np.float32)
    deltas = g.normal(0, 0.3, (2, 16, 5, 6)).astype(np.float32)
    maps = g.normal(0, 1, (2, 3, 5, 6)).astype(np.float32)
    info = np.array([[80, 96, 1], [70, 90, 0.8]], np.float32).reshape(2, 1, 1, 3)
    regions, pools = run("RPROI_TRT", scores, deltas, maps, info, poolingH=3, poolingW=2, featureStride=16,
                         preNmsTop=60, nmsMaxOut=12, anchorsRatioCount=2, anchorsScaleCount=2, iouThreshold=0.5,
                         minBoxSize=16.0, spatialScale=0.0625, anchorsRatios=(0.5, 1.0), anchorsScales=(1.0, 2.0))
    assert regions.shape == (2, 1, 12, 4) and pools.shape == (2, 12, 3, 3, 2)
    sides = []
    for r in (0.5, 1.0):
        w = math.floor(math.sqrt(256 / r) + 0.5)
        sides += [(w * s, math.floor(w * r + 0.5) * s) for s in (1, 2)]
    for n in range(2):
        height, width, scale = (float(v) for v in info[n, 0, 0])
        boxes = proposal_boxes(deltas[n], lambda i, j: (7.5 + 16 * j, 7.5 + 16 * i), sides, (height, width))
        small = [b[2] - b[0] + 1 < 16 * scale or b[3] - b[1] + 1 < 16 * scale for b in boxes]
        rated = [(-math.inf if bad else float(s), b) for s, b, bad in zip(scores[n, 4:].reshape(-1), boxes, small,
                                                                       strict=True)]
        wanted = padded([b for _, b in suppressed(rated, 60, 12, 0.5, 1.0)], 12)
        np.testing.assert_allclose(regions[n, 0], wanted, atol=1e-3)
        for r in range(12):
            x1, y1, x2, y2 = (math.floor(v / 16 + 0.5) for v in wanted[r])
            h, w = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
            for p, q in np.ndindex(3, 2):
                rows = range(max(math.floor(p * h / 3) + y1, 0), min(math.ceil((p + 1) * h / 3) + y1, 5))
                columns = range(max(math.floor(q * w / 2) + x1, 0), min(math.ceil((q + 1) * w / 2) + x1, 6))
                for c in range(3):
                    cell = [float(maps[n, c, i, j]) for i in rows for j in columns]
                    assert pools[n, r, c, p, q] == pytest.approx(max(cell) if cell else 0.0, abs=1e-6)


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("images", [1, 3])
def test_second_stage_detections(pixels: bool, images: int) -> None:
    g = np.random.default_rng(4)
    low = g.uniform(0, 0.6, (images, 25, 2))
    rois = np.concatenate([low, low + g.uniform(0.1, 0.4, (images, 25, 2))], -1).astype(np.float32)
    deltas = g.normal(0, 1, (images, 25, 16, 1, 1)).astype(np.float32)
    scores = g.uniform(0, 1, (images, 25, 4, 1, 1)).astype(np.float32)
    scores[0, :3] = 0.75                                        # ties
    settings: dict[str, Any] = {"num_classes": 4, "keep_topk": 12, "score_threshold": 0.6, "iou_threshold": 0.3}
    if pixels:
        rois, settings["image_size"] = rois * 90, SMALL
    got = run("GenerateDetection_TRT" if pixels else "DetectionLayer_TRT", deltas, scores, rois, **settings)
    for n in range(images):
        found: list[tuple[float, int, list[float]]] = []
        classes: dict[int, list[tuple[float, list[float]]]] = {}
        for r in range(25):
            s = [float(v) for v in scores[n, r, :, 0, 0]]
            c = max(range(1 if pixels else 0, 4), key=lambda i: s[i])
            d = deltas[n, r, 4 * c : 4 * c + 4, 0, 0].astype(float)
            box = move_pixels(rois[n, r].astype(float), d, (10, 10, 5, 5), SMALL[1:]) if pixels \
                else move(rois[n, r].astype(float), d)
            if c and s[c] >= 0.6:
                classes.setdefault(c, []).append((s[c], box))
        for c in sorted(classes):
            found += [(s, c, b) for s, b in suppressed(classes[c], 1000, 1000, 0.3)]
        found = sorted(found, key=lambda f: -f[0])[:12]
        wanted = [[*b, c, s] for s, c, b in found] + [[0, 0, 0, 0, -1, 0]] * (12 - len(found))
        np.testing.assert_allclose(got[n], wanted, rtol=1e-4, atol=1e-4)


def test_boxes_do_not_grow_without_bound() -> None:
    deltas = np.full((1, 1, 8, 1, 1), 100, np.float32) * np.array([0, 0, 1, 1] * 2, np.float32).reshape(8, 1, 1)
    got = run("GenerateDetection_TRT", deltas, np.array([0, 1], np.float32).reshape(1, 1, 2, 1, 1),
              np.full((1, 1, 4), 100, np.float32), num_classes=2, keep_topk=1, score_threshold=0.5, iou_threshold=0.5,
              image_size=(3, 300, 300))
    np.testing.assert_allclose(got[0, 0], [69.25, 69.25, 130.75, 130.75, 1, 1])


def test_detections_are_from_their_threshold_on_and_above_the_lowest() -> None:
    rois = np.array([[[0, 0, 0.3, 0.3], [0.6, 0.6, 1, 1]]], np.float32)
    scores = np.array([[[0, 0.25], [0, 0.01]]], np.float32)[..., None, None]
    for least in (0.25, 0.0):                   # 0.01 itself never comes out
        got = run("DetectionLayer_TRT", np.zeros((1, 2, 8, 1, 1), np.float32), scores, rois, num_classes=2, keep_topk=2,
                  score_threshold=least, iou_threshold=0.5)
        np.testing.assert_allclose(got[0], [[0, 0, 0.3, 0.3, 1, 0.25], [0, 0, 0, 0, -1, 0]], atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    x = np.zeros((1, 10, 2, 1), np.float32)
    with pytest.raises(ShapeError, match="1536"):
        run("ProposalLayer_TRT", x, np.zeros((1, 10, 4, 1), np.float32), prenms_topk=10, keep_topk=5, iou_threshold=0.5,
            image_size=SMALL)
    with pytest.raises(InputError, match="'prenms_topk' is 2000; 1 to 1024"):
        run("ProposalLayer_TRT", x, x, prenms_topk=2000, keep_topk=5, iou_threshold=0.5)
