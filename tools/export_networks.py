"""Exports the networks of `tools/networks` to light ONNX files: python tools/export_networks.py [name ...]

Needs PyTorch and onnxscript. The files go to tests/networks/models; tests and benchmarks fill in random weights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import onnx
import torch
from torch.export import Dim

from tools.light import strip
from tools.networks import audio, convnext, detector, mobile, segmentation, swin, text, vision

FOLDER = Path(__file__).parents[1] / "tests" / "networks" / "models"


def export(
    name: str, module: torch.nn.Module, args: tuple, inputs: list[str], outputs: list[str], dynamic: object
) -> None:
    torch.manual_seed(0)
    program = torch.onnx.export(
        module.eval(),
        args,
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=dynamic,
        dynamo=True,
        opset_version=18,
    )
    assert program is not None
    model = strip(program.model_proto)
    for node in model.graph.node:  # exporter metadata is larger than the graph
        del node.metadata_props[:]
        node.doc_string = ""
    for info in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del info.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    path = FOLDER / f"{name}.onnx"
    onnx.save(model, path)
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB, {len(model.graph.node)} nodes")


def image(name: str, module: torch.nn.Module, side: int = 224) -> None:
    batch = Dim("batch", min=1, max=64)
    export(name, module, (torch.randn(2, 3, side, side),), ["image"], ["output"], ({0: batch},))


def bert() -> None:
    batch, tokens = Dim("batch", min=1, max=64), Dim("tokens", min=2, max=512)
    ids, mask = torch.randint(0, 30522, (2, 12)), torch.ones(2, 12, dtype=torch.int64)
    export(
        "bert_base",
        text.Bert(),
        (ids, mask),
        ["ids", "mask"],
        ["hidden"],
        ({0: batch, 1: tokens}, {0: batch, 1: tokens}),
    )


def gpt() -> None:
    module = text.Gpt()
    batch, new, past = Dim("batch", min=1, max=64), Dim("new", min=1, max=128), Dim("past", min=1, max=384)
    cache = [torch.randn(2, module.heads, 5, module.size) for _ in range(2 * module.depth)]
    args = (torch.randint(0, 8192, (2, 3)), torch.arange(5, 8), *cache)
    caches = [f"past_{kind}{i}" for i in range(module.depth) for kind in "kv"]
    dynamic = ({0: batch, 1: new}, {0: new}, tuple({0: batch, 2: past} for _ in cache))
    export(
        "gpt_small",
        module,
        args,
        ["ids", "positions", *caches],
        ["logits", *(c.replace("past", "present") for c in caches)],
        dynamic,
    )


def tagger() -> None:
    batch = Dim("batch", min=1, max=64)
    export("lstm_tagger", text.LstmTagger(), (torch.randint(0, 10000, (2, 24)),), ["ids"], ["tags"], ({0: batch},))


def whisper() -> None:
    batch = Dim("batch", min=1, max=64)
    export(
        "whisper_tiny_encoder", audio.WhisperEncoder(), (torch.randn(2, 80, 3000),), ["mel"], ["hidden"], ({0: batch},)
    )


EXPORTS: dict[str, Callable[[], None]] = {
    "mobilenet_v2": lambda: image("mobilenet_v2", vision.MobileNetV2()),
    "efficientnet_b0": lambda: image("efficientnet_b0", vision.EfficientNetB0()),
    "mobilenet_v3_large": lambda: image("mobilenet_v3_large", mobile.MobileNetV3Large()),
    "regnety_400mf": lambda: image("regnety_400mf", mobile.RegNetY400MF()),
    "convnext_tiny": lambda: image("convnext_tiny", convnext.ConvNeXtTiny()),
    "swin_tiny": lambda: image("swin_tiny", swin.SwinTiny()),
    "vit_b16": lambda: image("vit_b16", vision.ViT()),
    "yolov8n": lambda: image("yolov8n", detector.Detector(320), 320),
    "deeplab_mobilenet": lambda: image("deeplab_mobilenet", segmentation.DeepLabV3(), 520),
    "unet": lambda: image("unet", segmentation.UNet(), 256),
    "whisper_tiny_encoder": whisper,
    "bert_base": bert,
    "gpt_small": gpt,
    "lstm_tagger": tagger,
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for wanted in sys.argv[1:] or EXPORTS:
        EXPORTS[wanted]()
