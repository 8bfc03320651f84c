"""The networks that tests and benchmarks use, by name: models with random weights, and inputs for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from tools.light import fill

MODELS = Path(__file__).parents[1] / "tests" / "networks" / "models"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@dataclass(frozen=True)
class Network:
    """file: the light model. sizes: value per symbol for benchmarks, `batch` aside. limits: input → upper bound."""

    file: Path
    sizes: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)

    def model(self, seed: int = 0) -> onnx.ModelProto:
        return with_dynamic_batch(fill(onnx.load(self.file), seed))


def _ours(name: str, sizes: Mapping[str, int] | None = None, limits: Mapping[str, int] | None = None) -> Network:
    return Network(MODELS / f"{name}.onnx", sizes or {}, limits or {})


ZOO: dict[str, Network] = {
    **{
        name: Network(LIGHT / f"light_{name}.onnx")
        for name in (
            "resnet50",
            "densenet121",
            "inception_v1",
            "inception_v2",
            "shufflenet",
            "squeezenet",
            "vgg19",
            "bvlc_alexnet",
            "zfnet512",
        )
    },
    "mobilenet_v2": _ours("mobilenet_v2"),
    "efficientnet_b0": _ours("efficientnet_b0"),
    "mobilenet_v3_large": _ours("mobilenet_v3_large"),
    "regnety_400mf": _ours("regnety_400mf"),
    "convnext_tiny": _ours("convnext_tiny"),
    "swin_tiny": _ours("swin_tiny"),
    "vit_b16": _ours("vit_b16"),
    "yolov8n": _ours("yolov8n"),
    "deeplab_mobilenet": _ours("deeplab_mobilenet"),
    "unet": _ours("unet"),
    "whisper_tiny_encoder": _ours("whisper_tiny_encoder"),
    "bert_base": _ours("bert_base", {"tokens": 128}, {"ids": 30522, "mask": 2}),
    "gpt_small": _ours("gpt_small", {"new": 1, "past": 127}, {"ids": 8192}),
    "lstm_tagger": _ours("lstm_tagger", {}, {"ids": 10000}),
}


def with_dynamic_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """The light models of the onnx package have batch 1 written into inputs and Reshape constants: free both."""
    initial = {t.name: t for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in initial]
    if all(i.type.tensor_type.shape.dim[0].dim_param for i in inputs):
        return model
    for info in (*inputs, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_param = "batch"
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[1] in initial:
            shape = onnx.numpy_helper.to_array(initial[node.input[1]]).copy()
            if shape.size > 1 and shape[0] == 1 and node.input[0] not in initial:
                shape[0] = 0 if -1 in shape[1:] else -1
                initial[node.input[1]].CopyFrom(onnx.numpy_helper.from_array(shape, node.input[1]))
    del model.graph.value_info[:]
    return model


def inputs(
    model: onnx.ModelProto, sizes: Mapping[str, int], limits: Mapping[str, int], seed: int = 0
) -> dict[str, np.ndarray]:
    """Random inputs at the given sizes: normal floats, integers below the limit; positions follow the past."""
    rng = np.random.default_rng(seed)
    constants = {t.name for t in model.graph.initializer}
    feeds: dict[str, np.ndarray] = {}
    for info in model.graph.input:
        if info.name in constants:
            continue
        t = info.type.tensor_type
        shape = tuple(sizes[d.dim_param] if d.dim_param else d.dim_value for d in t.shape.dim)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(t.elem_type)
        if info.name == "positions":
            feeds[info.name] = np.arange(sizes["past"], sizes["past"] + shape[0], dtype=dtype)
        elif dtype.kind == "f":
            feeds[info.name] = rng.standard_normal(shape).astype(dtype)
        else:
            feeds[info.name] = rng.integers(0, limits.get(info.name, 2), shape).astype(dtype)
    return feeds


def with_logits(model: onnx.ModelProto) -> onnx.ModelProto:
    """The input of a final Softmax as a further output: with random weights the softmax itself hides differences."""
    last = next((n for n in model.graph.node if n.output[0] == model.graph.output[0].name), None)
    if last is not None and last.op_type == "Softmax":
        model.graph.output.append(
            onnx.ValueInfoProto(
                name=last.input[0],
                type=onnx.TypeProto(tensor_type=onnx.TypeProto.Tensor(elem_type=onnx.TensorProto.FLOAT)),
            )
        )
    return model
