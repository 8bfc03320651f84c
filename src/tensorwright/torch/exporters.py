"""PyTorch's two exporters, quietly: the one on torch.export ("dynamo") and the one on TorchScript ("script")."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import onnx as toolkit
from ..onnx import Model
from ..onnx.storage import from_bytes, replace_tensors
from .call import Call, replaced
from .explain import explained, from_warning
from .plugin import refusals
from .quiet import quiet
from .report import Note

if TYPE_CHECKING:
    import torch

EXPORTERS = ("dynamo", "script")


def run(exporter: str, module: torch.nn.Module, call: Call, outputs: Sequence[str], opset: int, verbose: bool,
        ) -> tuple[Model, list[Note]]:
    """The model one exporter makes, and what it warned of. Raises ExportError with what its error means."""
    by = by_dynamo if exporter == "dynamo" else by_script
    heard = None
    try:
        with quiet(verbose) as heard:
            model = by(module, call, outputs, opset)
    except Exception as error:                           # exporters raise whatever they and what they call raise
        raise explained(error, exporter, module, call, heard.text if heard else "") from error
    notes = [note for w in heard.warnings if (note := from_warning(w)) is not None]
    return model, list(dict.fromkeys(notes))


def by_dynamo(module: torch.nn.Module, call: Call, outputs: Sequence[str], opset: int) -> Model:
    import torch
    from torch.export import Dim

    dimensions: dict[str, Any] = {}
    with refusals() as refused:
        program = torch.onnx.export(
            module, call.args, kwargs=call.kwargs or None, dynamo=True, opset_version=opset, verbose=False,
            input_names=list(call.names), output_names=list(outputs),
            dynamic_shapes=call.shapes(lambda n: dimensions.setdefault(n, Dim(n))) if call.axes else None)
    if refused:                              # the exporter tried again, and looked into the function instead
        raise refused[0]
    assert program is not None
    model = toolkit.load(program.model)
    replace_tensors(model, own)
    return model


def own(tensor: Any) -> Any:
    """A copy of the tensor: the module's weights may be trained on."""
    import onnx_ir
    if tensor.dtype == onnx_ir.DataType.STRING:
        return tensor
    raw = np.frombuffer(tensor.tobytes(), np.uint8)
    return from_bytes(raw, tensor.dtype, [int(d) for d in tensor.shape], tensor.name, tensor.doc_string,
                      tensor.metadata_props)


def by_script(module: torch.nn.Module, call: Call, outputs: Sequence[str], opset: int) -> Model:
    import torch
    kinds = {p.kind for p in call.bound.signature.parameters.values()}
    wrapped = bool(kinds & {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD})
    with tempfile.TemporaryDirectory(prefix="tensorwright-") as folder:
        path = os.path.join(folder, "model.onnx")

        def export(**options: Any) -> None:
            torch.onnx.export(positional(module, call) if wrapped else module,
                              tuple(call.tensors().values()) if wrapped else call.args, path, dynamo=False,
                              opset_version=opset, input_names=list(call.names), output_names=list(outputs),
                              dynamic_axes={name: dict(axes) for name, axes in call.axes.items()}, **options)
        try:
            export()
        except IndexError as error:          # PyTorch loses numbers in the forward of functions that have a symbolic
            if "not in the map" not in str(error):
                raise
            export(autograd_inlining=False)
        model = toolkit.load(path)                       # its weights stay mapped when the file is gone
    model.base = model.external = None
    if wrapped:
        toolkit.rename_tensors(model, {v: v.removeprefix("module.") for v in map(str, model.graph.initializers)
                                       if v.startswith("module.")})
    return model


def positional(module: torch.nn.Module, call: Call) -> torch.nn.Module:
    """The module as one that takes tensors by position: this exporter passes keyword arguments by position."""
    import torch

    class Positional(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: torch.Tensor) -> Any:
            given = iter(tensors)
            bound = inspect.BoundArguments(call.bound.signature, replaced(call.bound.arguments, lambda _: next(given)))
            return self.module(*bound.args, **bound.kwargs)
    return Positional().eval()
