"""The long door: TensorRT's sequence with two optimization profiles and two contexts of one engine.

    python examples/dynamic_shapes.py
"""

from __future__ import annotations

from importlib import resources

import numpy as np

import tensorwright as trt

DATA = resources.files("tensorwright") / "data"


def build(logger: trt.Logger) -> bytes:
    """The plan of the digits model: one profile for single images, one for batches."""
    builder = trt.Builder(logger)
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    if not parser.parse((DATA / "digits.onnx").read_bytes()):
        raise SystemExit("\n".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
    config = builder.create_builder_config()
    for smallest, usual, largest in ((1, 1, 1), (2, 32, 64)):
        profile = builder.create_optimization_profile()
        profile.set_shape("image", (smallest, 1, 8, 8), (usual, 1, 8, 8), (largest, 1, 8, 8))
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SystemExit("the build failed: see the log")
    return plan


def classify(context: trt.IExecutionContext, images: np.ndarray) -> np.ndarray:
    """The class of each image: (N, 1, 8, 8) → (N,)"""
    assert context.set_input_shape("image", images.shape)
    logits = np.empty(tuple(context.get_tensor_shape("logits")), np.float32)
    assert context.set_tensor_address("image", images.ctypes.data)
    assert context.set_tensor_address("logits", logits.ctypes.data)
    assert context.execute_async_v3(stream_handle=0)
    return logits.argmax(axis=1)


def main() -> None:
    logger = trt.Logger(trt.Logger.WARNING)
    engine = trt.Runtime(logger).deserialize_cuda_engine(build(logger))
    one, many = engine.create_execution_context(), engine.create_execution_context()
    many.set_optimization_profile_async(1, 0)
    test = np.load((DATA / "digits_test.npz").open("rb"))
    images, labels = np.ascontiguousarray(test["image"][:64]), test["label"][:64]
    singly = np.concatenate([classify(one, images[i:i + 1]) for i in range(64)])
    together = classify(many, images)
    print(f"one at a time {np.mean(singly == labels):.1%}, together {np.mean(together == labels):.1%}")
    assert (singly == together).all() and np.mean(together == labels) > 0.95


if __name__ == "__main__":
    main()
