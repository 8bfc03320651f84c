"""An engine gets its weights after it was built (engine_refit_onnx_bidaf): false ones first, then those
of the model, by name, with two profiles. Prints the largest differences from NumPy.

refit.py PLAN: where the plan is kept.
"""

import sys
from pathlib import Path

import numpy as np
import tensorrt as trt
from buffers import allocate, infer, release
from onnx import TensorProto, helper, numpy_helper

LOGGER = trt.Logger(trt.Logger.WARNING)
RNG = np.random.default_rng(5)
WEIGHTS = {"W_0": RNG.normal(size=(16, 8)).astype(np.float32), "B_0": RNG.normal(size=8).astype(np.float32)}


def model():
    """scores = softmax(tanh(words · W_0 + B_0) · queryᵀ), both of run-time length."""
    nodes = [helper.make_node("MatMul", ["words", "W_0"], ["h"]), helper.make_node("Add", ["h", "B_0"], ["k"]),
             helper.make_node("Tanh", ["k"], ["t"]), helper.make_node("Transpose", ["query"], ["q"], perm=[1, 0]),
             helper.make_node("MatMul", ["t", "q"], ["s"]), helper.make_node("Softmax", ["s"], ["scores"], axis=-1)]
    inputs = [helper.make_tensor_value_info("words", TensorProto.FLOAT, ["n", 16]),
              helper.make_tensor_value_info("query", TensorProto.FLOAT, ["m", 8])]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "m"])
    graph = helper.make_graph(nodes, "match", inputs, [output],
                              [numpy_helper.from_array(w, name) for name, w in WEIGHTS.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def expected(words, query, weights):
    s = np.tanh(words.astype(np.float64) @ weights["W_0"] + weights["B_0"]) @ query.T
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def build():
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1)
    parser = trt.OnnxParser(network, LOGGER)
    assert parser.parse(model())
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.REFIT)
    for usual in (6, 10):
        profile = builder.create_optimization_profile()
        profile.set_shape("words", min=(1, 16), opt=(usual, 16), max=(15, 16))
        profile.set_shape("query", min=(1, 8), opt=(usual, 8), max=(15, 8))
        config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config)


def main():
    plan = Path(sys.argv[1])
    plan.write_bytes(build())
    engine = trt.Runtime(LOGGER).deserialize_cuda_engine(plan.read_bytes())
    assert engine.refittable
    refitter = trt.Refitter(engine, LOGGER)
    assert set(refitter.get_all_weights()) == set(WEIGHTS)
    worst = []
    for weights in ({name: np.ones_like(w) for name, w in WEIGHTS.items()}, WEIGHTS):
        for name in WEIGHTS:
            assert refitter.set_named_weights(name, weights[name])
        assert refitter.get_missing_weights() == []
        assert refitter.refit_cuda_engine()
        for profile in range(engine.num_optimization_profiles):
            inputs, outputs, addresses, stream = allocate(engine, profile)
            words, query = RNG.normal(size=(10, 16)).astype(np.float32), RNG.normal(size=(6, 8)).astype(np.float32)
            for pair, array in zip(inputs, (words, query), strict=True):
                pair.host[: array.size] = array.ravel()
            context = engine.create_execution_context()
            context.set_optimization_profile_async(profile, stream)
            assert context.set_input_shape("words", (10, 16)) and context.set_input_shape("query", (6, 8))
            # generations with bindings have a block of them for each profile
            before = [0] * (len(addresses) * profile) if hasattr(context, "execute_async_v2") else []
            scores, = infer(engine, context, inputs, outputs, [*before, *addresses], stream)
            worst.append(abs(scores[:60].reshape(10, 6) - expected(words, query, weights)).max())
            release(inputs, outputs, stream)
    assert max(worst) < 1e-5, worst
    print(f"refitted {len(worst) // 2} times")


if __name__ == "__main__":
    main()
