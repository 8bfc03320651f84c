"""Three small real exports that the toolkit's tests work on: python tools/exports.py [name ...]

A YOLO-style detector, a ResNet and a BERT encoder as PyTorch's exporters write them (detector: the one on TorchScript;
the others: the one on torch.export), narrow enough to keep each file below 300 kB. Weights come from a fixed seed.
Needs PyTorch and onnxscript. The files go to tests/data/exports; README.md there says which versions wrote them.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from tools.networks.detector import Detector
from tools.networks.text import BertLayer

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "data" / "exports"


class Bottleneck(nn.Module):
    """ResNet's block (arXiv 1512.03385): 1×1 down, 3×3, 1×1 up, and the input, projected where shapes differ."""

    def __init__(self, c: int, k: int, stride: int = 1, expansion: int = 4) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, k, 1, bias=False), nn.BatchNorm2d(k)
        self.conv2, self.bn2 = nn.Conv2d(k, k, 3, stride, 1, bias=False), nn.BatchNorm2d(k)
        self.conv3, self.bn3 = nn.Conv2d(k, expansion * k, 1, bias=False), nn.BatchNorm2d(expansion * k)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None if stride == 1 and c == expansion * k else nn.Sequential(
            nn.Conv2d(c, expansion * k, 1, stride, bias=False), nn.BatchNorm2d(expansion * k))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += identity
        return self.relu(y)


class ResNet(nn.Module):
    """image (batch, 3, 64, 64) → logits (batch, classes)"""

    def __init__(self, blocks: tuple[int, ...] = (2, 2, 1, 1), width: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        c, stages = width, []
        for stage, count in enumerate(blocks):
            k = width << stage
            stages.append(nn.Sequential(Bottleneck(c, k, 2 if stage else 1),
                                        *(Bottleneck(4 * k, k) for _ in range(count - 1))))
            c = 4 * k
        self.layers = nn.ModuleList(stages)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(c, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        for layer in self.layers:
            x = layer(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Bert(nn.Module):
    """BERT (arXiv 1810.04805): token ids, mask, segments (batch, sequence) → hidden states and the pooled first one."""

    def __init__(self, words: int = 200, width: int = 32, heads: int = 2, depth: int = 2, longest: int = 64) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(words, width, padding_idx=0), nn.Embedding(longest, width)
        self.segments, self.norm = nn.Embedding(2, width), nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("position_ids", torch.arange(longest)[None])
        self.layers = nn.ModuleList([BertLayer(width, heads) for _ in range(depth)])
        self.pooler = nn.Linear(width, width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        places = self.position_ids[:, : input_ids.shape[1]]
        x = self.words(input_ids) + self.segments(token_type_ids) + self.positions(places)
        x = self.dropout(self.norm(x))
        bias = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for layer in self.layers:
            x = layer(x, bias)
        return x, torch.tanh(self.pooler(x[:, 0]))


def seeded(module: nn.Module, seed: int) -> nn.Module:
    """The module in evaluation mode, with weights and running statistics from NumPy's generator, whatever the torch."""
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if not tensor.is_floating_point() or name.rpartition(".")[2] in ("points", "strides", "steps"):
                continue
            values = random.standard_normal(tuple(tensor.shape))
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                values = 1 + 0.1 * np.abs(values)
            elif tensor.ndim > 1:
                values = values * (1.5 / tensor[0].numel()) ** 0.5
            else:
                values = 0.1 * values
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(values)))
    return module.eval()


MODULES: dict[str, Callable[[], nn.Module]] = {
    "detector": lambda: seeded(Detector(64, 5, 2, 4), 1),
    "resnet": lambda: seeded(ResNet(), 2),
    "bert": lambda: seeded(Bert(), 3),
}


def detector() -> onnx.ModelProto:
    """images (batch, 3, 64, 64) → output0 (batch, 4 + 5, 84), boxes as centre and size in pixels, then scores."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(MODULES["detector"](), (torch.zeros(1, 3, 64, 64),), file, dynamo=False,
                          opset_version=17, input_names=["images"], output_names=["output0"],
                          dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}})
    return onnx.load_from_string(file.getvalue())


def resnet() -> onnx.ModelProto:
    """image (batch, 3, 64, 64) → logits (batch, 10)"""
    return by_dynamo("resnet", (torch.zeros(2, 3, 64, 64),), ["image"], ["logits"], ({0: Dim("batch")},))


def bert() -> onnx.ModelProto:
    """input_ids, attention_mask, token_type_ids int64 (batch, sequence) → last_hidden_state, pooler_output"""
    axes = {0: Dim("batch"), 1: Dim("sequence", min=2, max=64)}
    ids, mask, segments = (torch.ones(2, 12, dtype=torch.int64) for _ in range(3))  # one tensor thrice is one input
    return by_dynamo("bert", (ids, mask, segments), ["input_ids", "attention_mask", "token_type_ids"],
                     ["last_hidden_state", "pooler_output"], (axes, axes, axes))


def by_dynamo(name: str, args: tuple[Tensor, ...], inputs: list[str], outputs: list[str], shapes: object,
              ) -> onnx.ModelProto:
    """Stack traces in the metadata name files relative to this repository or to site-packages."""
    program = torch.onnx.export(MODULES[name](), args, dynamo=True, opset_version=18, input_names=inputs,
                                output_names=outputs, dynamic_shapes=shapes, verbose=False)
    assert program is not None
    model = program.model_proto
    packages = str(Path(torch.__file__).parents[1])
    for node in model.graph.node:
        for entry in node.metadata_props:
            entry.value = entry.value.replace(f"{ROOT}/", "").replace(f"{packages}/", "")
    return model


EXPORTS: dict[str, Callable[[], onnx.ModelProto]] = {"detector": detector, "resnet": resnet, "bert": bert}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for wanted in sys.argv[1:] or EXPORTS:
        model = EXPORTS[wanted]()
        onnx.checker.check_model(model, full_check=True)
        path = FOLDER / f"{wanted}.onnx"
        onnx.save(model, path)
        print(f"{path.name}: {path.stat().st_size} bytes, {len(model.graph.node)} nodes, {model.producer_name} "
              f"{model.producer_version}, opset {model.opset_import[0].version}")
