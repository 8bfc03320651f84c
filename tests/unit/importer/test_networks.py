"""Whole networks import without a host step, and mean what ONNX Runtime computes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from tensorwright import importer
from tensorwright.ops.evaluate import evaluate
from tools.zoo import ZOO, inputs

SIZES = {"batch": 2, "tokens": 7, "new": 3, "past": 5}


@pytest.mark.parametrize("name", ["lstm_tagger", "gpt_small", "mobilenet_v2", "shufflenet", "squeezenet"])
def test_network(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    onnxruntime.set_default_logger_severity(4)
    model = ZOO[name].model()
    network = importer.load(model)
    assert json.loads(network.metadata["importer/host"]) == {}
    feeds = inputs(model, SIZES, ZOO[name].limits)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    found = evaluate(network, feeds)
    for output, e in zip(network.outputs, expected, strict=True):
        np.testing.assert_allclose(found[output], e, atol=2e-5 * np.abs(e).max())
