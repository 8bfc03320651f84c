"""Engines that run the same model on the same inputs: each is a function without arguments that runs once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx

Run = Callable[[], object]


def ours(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], threads: int, timing_cache: str | None = None
) -> tuple[Run, object]:
    """tensorwright: (run once, engine)."""
    import tensorwright

    engine = tensorwright.build(
        model, shapes={k: v.shape for k, v in feeds.items()}, threads=threads, verify=True, timing_cache=timing_cache
    )
    return lambda: engine.run(feeds), engine


def onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], threads: int) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    given = {k: v for k, v in feeds.items() if k in wanted}
    return lambda: session.run(None, given)


def openvino(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], threads: int) -> Run:
    import io

    import openvino as ov

    core = ov.Core()
    net = core.read_model(io.BytesIO(model.SerializeToString()))
    net.reshape({k: list(v.shape) for k, v in feeds.items()})
    compiled = core.compile_model(
        net, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    )
    request = compiled.create_infer_request()
    return lambda: request.infer(dict(feeds), share_inputs=True, share_outputs=True)


PEERS: dict[str, Callable[[onnx.ModelProto, Mapping[str, np.ndarray], int], Run]] = {
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}
