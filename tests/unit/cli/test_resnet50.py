"""The generated residual network is a sound model, with the size of the published one."""

import numpy as np
import onnx
import onnxruntime

from tensorwright.cli.resnet50 import resnet


def test_resnet50_has_the_published_number_of_parameters() -> None:
    model = resnet()
    onnx.checker.check_model(model)
    learned = sum(int(np.prod(t.dims)) for t in model.graph.initializer if not t.name.endswith((".mean", ".var")))
    assert learned == 25_557_032
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 53


def test_small_variants_run_and_are_seeded() -> None:
    model = resnet(None, blocks=(1, 2), width=4, image=32, classes=5)
    assert model == resnet(None, blocks=(1, 2), width=4, image=32, classes=5)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    scores, = session.run(None, {"image": np.ones((3, 3, 32, 32), np.float32)})
    assert scores.shape == (3, 5) and np.isfinite(scores).all() and scores.std() > 1e-3
