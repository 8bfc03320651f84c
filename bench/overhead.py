"""What a run costs beside the arithmetic: the engine's own microseconds, on networks that hardly compute.

    python bench/overhead.py [--seconds 0.3] [--vs onnxruntime]

Prints the best and the median time of a call in µs. "kernels" is the native part alone, timed inside native code.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def three_input_mlp() -> onnx.ModelProto:
    """y = relu(((a + b) · c) W0) W1 with 64, 128 and 32 features, any batch."""
    rng = np.random.default_rng(0)
    weights = {n: (0.1 * rng.standard_normal(s)).astype(np.float32) for n, s in (("W0", (64, 128)), ("W1", (128, 32)))}
    nodes = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("Mul", ["s", "c"], ["p"]),
             helper.make_node("MatMul", ["p", "W0"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("MatMul", ["r", "W1"], ["y"])]
    graph = helper.make_graph(
        nodes, "mlp", [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 64]) for n in "abc"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 32])],
        [numpy_helper.from_array(w, n) for n, w in weights.items()])
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def measure(call: Callable[[], object], seconds: float) -> tuple[float, float]:
    """(best, median) µs of one call, over bursts of 50."""
    call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(50):
            call()
        times.append((time.perf_counter() - begin) / 50 * 1e6)
    return min(times), statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.3, help="per line")
    parser.add_argument("--vs", default="", help="onnxruntime")
    args = parser.parse_args()

    from tensorwright import api
    from tensorwright.device import compile, describe, load
    from tensorwright.device.program import Call, Table
    model = three_input_mlp()
    engine = api.build(model, shapes={n: ((1, 64), (1, 64), (8, 64)) for n in "abc"}, tune_budget=1.0, threads=1)
    rng = np.random.default_rng(1)
    feeds = {n: rng.standard_normal((1, 64)).astype(np.float32) for n in "abc"}
    arrays, y = list(feeds.values()), np.empty((1, 32), np.float32)
    weights = [numpy_helper.to_array(w) for w in model.graph.initializer]

    context = engine.context()
    for name, array in feeds.items():
        context.set_input_shape(name, array.shape)
        context.bind(name, array.ctypes.data)
    context.bind("y", y.ctypes.data)

    def numpy_way() -> np.ndarray:
        return np.maximum(((feeds["a"] + feeds["b"]) * feeds["c"]) @ weights[0], 0) @ weights[1]

    lines: list[tuple[str, Callable[[], object]]] = [
        ("engine.run(dict)", lambda: engine.run(feeds)), ("engine.run(list)", lambda: engine.run(arrays)),
        ("engine(a, b, c)", lambda: engine(*arrays)),
        ("engine.run(dict, outputs)", lambda: engine.run(feeds, {"y": y})),
        ("context.execute(), bound before", context.execute), ("the same in NumPy", numpy_way)]
    if "onnxruntime" in args.vs:
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        lines.append(("onnxruntime", lambda: session.run(None, feeds)))
    kernels = min(sum(s for _, s in engine.profile(feeds, 50)) for _ in range(20)) * 1e6
    print(f"three-input MLP, batch 1            best    median  (µs; kernels {kernels:.2f})")
    for name, call in lines:
        print(f"  {name:<32} {measure(call, args.seconds)[0]:6.2f}    {measure(call, args.seconds)[1]:6.2f}")

    sizes = [{n: rng.standard_normal((k, 64)).astype(np.float32) for n in "abc"} for k in (1, 2)]
    other = iter(range(1 << 30))
    print(f"  {'shapes seen before':<32} {measure(lambda: engine.run(sizes[next(other) % 2]), args.seconds)[0]:6.2f}")

    library = load([compile("define void @nothing(ptr %a, ptr %d, i64 %b, i64 %e, i64 %t) nounwind {\n  ret void\n}",
                            describe())])
    call = Call((library.address("nothing"),), (8,), (0,))
    print("\na step of a network, launch and barrier  (µs)")
    for threads in (1, 2, 4):
        if threads <= describe().cores:
            few, many = (measure(Table([call] * n, threads).run, args.seconds)[0] for n in (10, 1010))
            print(f"  {threads} thread{'s' if threads > 1 else ' '}                    {(many - few) / 1000:9.4f}")


if __name__ == "__main__":
    main()
