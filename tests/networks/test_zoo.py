"""Whole networks with random weights: they build, verify, run natively, and agree with ONNX Runtime."""

import numpy as np
import onnxruntime as ort
import pytest

import tensorwright
from tensorwright.plan.records import HostStep
from tools.zoo import ZOO, inputs, with_logits

#: symbol → (min, opt, max)
RANGES = {"batch": (1, 1, 4), "tokens": (1, 16, 24), "new": (1, 1, 5), "past": (1, 12, 20)}
#: sizes of the other symbols at batch 1, 2, 3 and 4
SIZES = [{"tokens": 16, "new": 1, "past": 12}, {"tokens": 1, "new": 5, "past": 1}, {"tokens": 7, "new": 3, "past": 20},
         {"tokens": 24, "new": 2, "past": 9}]
#: networks that take seconds to verify: batch 1 and 2 only
LARGE = ("convnext_tiny", "swin_tiny", "deeplab_mobilenet", "unet", "whisper_tiny_encoder")


@pytest.mark.parametrize("name", list(ZOO))
def test_network(name: str) -> None:
    network = ZOO[name]
    model = with_logits(network.model())
    ranges = {**RANGES, "batch": (1, 1, 2)} if name in LARGE else RANGES
    corners = [inputs(model, {s: r[k] for s, r in ranges.items()}, network.limits) for k in range(3)]
    shapes = {i: tuple(c[i].shape for c in corners) for i in corners[0]}
    engine = tensorwright.build(model, shapes=shapes, threads=2, tune_budget=0, timing_cache=False)
    assert engine.plan.verification["ok"]
    program = engine.plan.programs[0]
    assert [s.layer for s in program.steps if isinstance(s, HostStep)] == []
    settings = ort.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 2, 3
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    for batch, sizes in enumerate(SIZES[: ranges["batch"][2]], 1):
        feeds = inputs(model, {"batch": batch, **sizes}, network.limits, seed=batch)
        expected = session.run(None, feeds)
        got = engine.run(feeds)
        for info, y in zip(session.get_outputs(), expected, strict=True):
            scale = np.abs(y).max()
            assert got[info.name].shape == y.shape
            assert np.abs(got[info.name] - y).max() <= 1e-4 * scale, f"{info.name} at batch {batch}"
