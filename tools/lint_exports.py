"""Writes the exports that the lint rules are tested on: small PyTorch modules, each written the way a rule warns of.

    python -m tools.lint_exports tests/data/lint

Each function below makes one module; `CASES` says which rule must find something in its export, and with which of
PyTorch's exporters it was made: "script", the older, or "dynamo". Where the two differ, both are there.
"""

from __future__ import annotations

import io
import math
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).parents[1]
IMAGE = (torch.arange(2 * 4 * 8 * 8, dtype=torch.float32).reshape(2, 4, 8, 8) % 17) / 17
IDS = torch.tensor([[1, 2, 3], [4, 5, 0]])


@dataclass(frozen=True)
class Case:
    """rules: those that find something. dynamic: the batch is. options: of the exporter. after: done to the model."""

    rules: tuple[str, ...]
    make: Callable[[], nn.Module]
    exporter: str
    arguments: tuple[torch.Tensor, ...] = (IMAGE,)
    dynamic: bool = True
    train: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    after: Callable[[onnx.ModelProto], None] = lambda model: None


class Call(nn.Module):
    """A module of a function and its parts."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, torch.Tensor) else part)

    def forward(self, *arguments: torch.Tensor) -> Any:
        return self.function(self, *arguments)


def shape_arithmetic() -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        return self.linear(x.view(n, c, h * w).transpose(1, 2))
    return Call(forward, linear=nn.Linear(4, 3))


def constant_batch() -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.reshape(2, 4, 64).transpose(1, 2)
        return torch.cat([self.token.expand(2, -1, -1), x], 1)
    return Call(forward, token=torch.ones(1, 1, 4))


def convolution() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())


def high_rank() -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        return self.conv(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))
    return Call(forward, conv=nn.Conv2d(4, 2, 1))


def high_rank_sum() -> nn.Module:
    return Call(lambda self, x: (x.view(-1, 2, 2, 8, 8) + self.bias).flatten(1), bias=torch.ones(2, 1, 8, 8))


def resize_sizes() -> nn.Module:
    return Call(lambda self, x: F.interpolate(self.conv(x), size=(x.shape[2] * 2, x.shape[3] * 2), mode="bilinear"),
                conv=nn.Conv2d(4, 2, 1))


def expand() -> nn.Module:
    scale = torch.linspace(1, 2, 4).view(1, 4, 1, 1)
    return Call(lambda self, x: x * self.scale.expand(x.shape[0], 4, 8, 8), scale=scale)


def slice_assignment() -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[:, 1:3] = y[:, 1:3] * 2
        return y
    return Call(forward)


def last_assignment() -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[..., 0] = torch.sigmoid(y[..., 0])
        return y
    return Call(forward)


def float64() -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        frequencies = torch.arange(4, dtype=torch.float64).view(1, 4, 1, 1) / 3
        return (x * frequencies).float()
    return Call(forward)


def int64() -> nn.Module:
    def forward(self: Any, ids: torch.Tensor) -> torch.Tensor:
        return self.words(ids) + self.kinds((ids != 0).long())
    return Call(forward, words=nn.Embedding(10, 4), kinds=nn.Embedding(2, 4))


def redundant_cast() -> nn.Module:
    return Call(lambda self, ids: self.words(ids) * (ids != 0).long().float().unsqueeze(-1), words=nn.Embedding(10, 4))


def redundant_transpose() -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.relu(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    return Call(forward, conv=nn.Conv2d(4, 2, 1))


def identity() -> nn.Module:
    one, other = nn.Linear(8, 8), nn.Linear(8, 8)
    other.weight = one.weight
    return nn.Sequential(one, nn.ReLU(), other)


def dropout() -> nn.Module:
    return Call(lambda self, x: torch.relu(F.dropout(self.conv(x), 0.5, self.training)), conv=nn.Conv2d(4, 2, 1))


class ScriptedDropout(nn.Module):
    """An autograd function that writes Dropout as exports for inference had it for years."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def symbolic(g: Any, x: Any) -> Any:
            return g.op("Dropout", x)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.Function.apply(self.conv(x)))


def training_mode() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))


def training_output() -> nn.Module:
    def head() -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))

    def forward(self: Any, x: torch.Tensor) -> Any:
        x = self.stem(x)
        return self.main(self.body(x)), self.side(x)
    body = nn.Sequential(*(layer for _ in range(3) for layer in (nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())))
    return Call(forward, stem=nn.Conv2d(4, 4, 1), body=body, main=head(), side=head())


def foldable() -> nn.Module:
    return Call(lambda self, x: x @ (self.weight.t() * 2 + 1), weight=torch.ones(8, 8) / 8)


def constant_branch() -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(torch.squeeze(x.reshape(x.shape[0], x.shape[1] // 4, 4 * x.shape[2], x.shape[3]), 1))
    return Call(forward)


def trivial_output() -> nn.Module:
    return Call(lambda self, x: (x, torch.relu(x), torch.ones(3)))


def numbers() -> nn.Module:
    """Weights with all that weights should not have: NaN, denormals, more than float16 holds."""
    conv = nn.Conv2d(4, 8, 3, padding=1)
    with torch.no_grad():
        conv.weight[0, 0, 0, 0] = math.nan
        conv.weight[1, 0, 0, :2] = 1e-40
        conv.weight[2, 0, 0, 0] = 1e5
    return conv


def denormals() -> nn.Module:
    conv = nn.Conv2d(4, 8, 3, padding=1)
    with torch.no_grad():
        conv.weight[1] = 1e-40
    return conv


def copies() -> nn.Module:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(64, 64)
            self.words.weight.data = (torch.arange(64 * 64) % 7).float().view(64, 64)
            self.decoder = nn.Linear(64, 64, bias=False)
            self.decoder.weight = self.words.weight
            self.again = nn.Parameter(self.words.weight.detach().clone())

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.words(ids) + F.embedding(ids, self.again)
    return Tied()


def quantised(position: str) -> nn.Module:
    """Fake quantisation: of a convolution's input and weight, and around its Relu."""
    def quant(t: torch.Tensor) -> torch.Tensor:
        return torch.fake_quantize_per_tensor_affine(t, 0.1, 0, -128, 127)

    def weight(self: Any) -> torch.Tensor:
        scale, zero = torch.full((4,), 0.01), torch.zeros(4, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(self.conv.weight, scale, zero, 0, -128, 127)

    def between(self: Any, x: torch.Tensor) -> torch.Tensor:
        return quant(torch.relu(quant(F.conv2d(quant(x), weight(self), self.conv.bias))))

    def repeated(self: Any, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(quant(quant(x)), weight(self), self.conv.bias)

    def half(self: Any, x: torch.Tensor) -> torch.Tensor:
        return quant(F.conv2d(quant(x), self.conv.weight, self.conv.bias))
    return Call({"between": between, "repeated": repeated, "half": half}[position], conv=nn.Conv2d(4, 4, 3))


def host_step() -> nn.Module:
    return Call(lambda self, x: torch.nonzero(x > 0.5))


class Foreign(nn.Module):
    """An operator of a domain that nobody else has."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def symbolic(g: Any, x: Any) -> Any:
            return g.op("mine::Act", x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.Function.apply(x)


class Masked(nn.Module):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.relu(x)


def without_side(model: onnx.ModelProto) -> None:
    """Takes an output away, the way people do, and leaves the nodes and weights that only it needed."""
    del model.graph.output[1]


def without_names(model: onnx.ModelProto) -> None:
    """As several rewriting tools leave a model."""
    for node in model.graph.node:
        node.name = ""


NAMES = {"input_names": ["x"], "output_names": ["y"]}
CASES: dict[str, Case] = {
    "shape_arithmetic_script": Case(("TW101",), shape_arithmetic, "script"),
    "shape_arithmetic_dynamo": Case((), shape_arithmetic, "dynamo"),
    "constant_batch": Case(("TW102",), constant_batch, "script"),
    "dynamic_axes": Case(("TW103",), convolution, "script", options={"dynamic_axes": {"x": {0: "n", 2: "h", 3: "w"}}}),
    "high_rank_script": Case(("TW104",), high_rank, "script"),
    "high_rank_dynamo": Case(("TW104",), high_rank, "dynamo"),
    "high_rank_sum": Case(("TW104",), high_rank_sum, "dynamo"),
    "resize_sizes_script": Case(("TW105",), resize_sizes, "script"),
    "resize_sizes_dynamo": Case(("TW105",), resize_sizes, "dynamo"),
    "expand_script": Case(("TW106",), expand, "script"),
    "expand_dynamo": Case(("TW106",), expand, "dynamo"),
    "slice_assignment_script": Case(("TW107",), slice_assignment, "script"),
    "slice_assignment_static": Case(("TW107",), slice_assignment, "script", dynamic=False),
    "slice_assignment_dynamo": Case(("TW107",), slice_assignment, "dynamo"),
    "last_assignment_dynamo": Case(("TW107",), last_assignment, "dynamo"),
    "float64_script": Case(("TW201",), float64, "script"),
    "float64_dynamo": Case(("TW201",), float64, "dynamo"),
    "int64": Case(("TW202",), int64, "script", (IDS,)),
    "redundant_cast_script": Case(("TW203",), redundant_cast, "script", (IDS,)),
    "redundant_cast_dynamo": Case(("TW203",), redundant_cast, "dynamo", (IDS,)),
    "redundant_transpose_script": Case(("TW301",), redundant_transpose, "script"),
    "redundant_transpose_dynamo": Case(("TW301",), redundant_transpose, "dynamo"),
    "identity": Case(("TW302",), identity, "script"),
    "dropout": Case(("TW303",), ScriptedDropout, "script"),
    "training_mode": Case(("TW304",), training_mode, "script", train=True,
                          options={"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False}),
    "training_output": Case(("TW305",), training_output, "script", options={"output_names": ["y", "side"]}),
    "foldable": Case(("TW306",), foldable, "script", options={"do_constant_folding": False}),
    "constant_branch": Case(("TW307",), constant_branch, "script"),
    "trivial_output": Case(("TW308",), trivial_output, "script", options={"output_names": ["same", "y", "ones"]}),
    "generated_names": Case(("TW309",), convolution, "script", options={"input_names": None, "output_names": None}),
    "unnamed_nodes": Case(("TW310",), convolution, "script", after=without_names),
    "unused": Case(("TW311",), training_output, "script", options={"output_names": ["y", "side"]}, after=without_side),
    "unused_input": Case(("TW312",), Masked, "dynamo", (IMAGE, IMAGE + 1), options={"input_names": ["x", "mask"]}),
    "old_opset": Case(("TW002", "TW003"), lambda: nn.Upsample(scale_factor=2), "script", options={"opset_version": 9}),
    "numbers": Case(("TW401", "TW402", "TW403"), numbers, "script"),
    "denormals": Case(("TW402",), denormals, "dynamo"),
    "duplicate_weights": Case(("TW404",), copies, "dynamo", (IDS,)),
    "qdq_between": Case(("TW501",), lambda: quantised("between"), "script"),
    "qdq_repeated": Case(("TW502",), lambda: quantised("repeated"), "script"),
    "half_quantised": Case(("TW503",), lambda: quantised("half"), "script"),
    "host_step": Case(("TW601",), host_step, "script"),
    "unreadable_operator": Case(("TW602",), Foreign, "script",
                                options={"custom_opsets": {"mine": 1}}),
}


def export(case: Case) -> onnx.ModelProto:
    """The model as the case's exporter writes it, without this machine's folders in its metadata."""
    torch.manual_seed(0)
    module = case.make().train(case.train)
    options: dict[str, Any] = {**NAMES, "opset_version": 17 if case.exporter == "script" else 18, **case.options}
    names = options["input_names"] or []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if case.exporter == "script":
            axes = {n: {0: "batch"} for n in names} if case.dynamic else None
            file = io.BytesIO()
            torch.onnx.export(module, case.arguments, file, dynamo=False, verbose=True,
                              **{"dynamic_axes": axes, **options})
            return clean(onnx.load_model_from_string(file.getvalue()), case)
        batch = torch.export.Dim("batch")
        shapes = tuple({0: batch} for _ in case.arguments)
        if isinstance(module, Call):
            shapes = (shapes,)                           # forward takes *arguments
        program = torch.onnx.export(module, case.arguments, dynamo=True, verbose=False, optimize=True,
                                    dynamic_shapes=shapes if case.dynamic else None, **options)
    assert program is not None
    return clean(program.model_proto, case)


def clean(model: onnx.ModelProto, case: Case) -> onnx.ModelProto:
    """Folders of this machine out of stack traces and doc strings; what nobody needs out of the metadata."""
    def shorter(text: str) -> str:
        text = re.sub(r"[^\s\"(]*/site-packages/", "", text)
        return text.replace(f"{ROOT}/", "")

    def all_nodes(graph: Any) -> Any:
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from all_nodes(attribute.g)
    for node in [*all_nodes(model.graph), *(n for f in model.functions for n in f.node)]:
        inner = re.split(r"\n[^\n]*torch/jit/", shorter(node.doc_string))[0]        # outside of it is the exporter
        node.doc_string = "\n".join(line for line in inner.splitlines() if "modules/module.py" not in line)
        for p in list(node.metadata_props):
            p.value = shorter(p.value)
            if p.key in ("pkg.torch.onnx.fx_node", "pkg.torch.onnx.class_hierarchy"):
                node.metadata_props.remove(p)
    for part in (model, model.graph):
        del part.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    case.after(model)
    return model


def main(folder: Path) -> None:
    for name, case in CASES.items():
        model = export(case)
        onnx.save(model, folder / f"{name}.onnx")
        print(f"{name}: {model.ByteSize()} bytes, {len(model.graph.node)} nodes", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
