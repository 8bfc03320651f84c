"""The module and its ONNX model on the same data."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ExportError, InputError
from ..onnx import Model
from ..onnx.storage import reason
from .call import Call, replaced, walk
from .report import Check, Note

if TYPE_CHECKING:
    import torch

Arrays = Mapping[str, np.ndarray]


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode, without gradients; afterwards every part of it is in the mode it was in."""
    import torch
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in before.items():
            part.training = training


def called(module: torch.nn.Module, call: Call) -> tuple[Any, list[Note]]:
    """What forward returns for copies of the call's tensors, and notes on what else it did. Buffers are put back."""
    import torch
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    arguments = _copied(call)
    given = [t.clone() for _, t in walk(arguments.bound.arguments)]
    result = module(*arguments.args, **arguments.kwargs)
    notes = []
    for name, (_, after), was in zip(call.names, walk(arguments.bound.arguments), given, strict=True):
        if not torch.equal(torch.nan_to_num(after), torch.nan_to_num(was)) if after.is_floating_point() else \
                not torch.equal(after, was):
            notes.append(Note(f"forward changes its input {name!r} in place; the ONNX model leaves its inputs alone",
                              try_="if the caller needs the change, return it as an output"))
    for name, buffer in module.named_buffers():
        if name in before and not torch.equal(buffer, before[name]):
            notes.append(Note(f"forward changes the buffer {name!r}; an ONNX model keeps nothing between calls",
                              try_="make it an input and an output"))
            buffer.copy_(before[name])
    return result, notes


def _copied(call: Call) -> Call:
    return Call(inspect.BoundArguments(call.bound.signature, replaced(call.bound.arguments, lambda t: t.clone())),
                call.names, call.axes, call.batch)


def outputs_of(result: Any) -> dict[str, Any]:
    """Tensors of what forward returned, by name: "output", "output_0", ..., or the keys of a dict or named tuple."""
    if hasattr(result, "__dataclass_fields__") and not isinstance(result, Mapping):
        result = {name: getattr(result, name) for name in result.__dataclass_fields__}
    named = isinstance(result, Mapping) or hasattr(result, "_fields")
    try:
        found = dict(walk(result, "" if named else "output"))
    except InputError as error:
        raise ExportError(f"forward returns something that is not a tensor: {error.what}",
                          try_="return tensors, or lists, tuples and dicts of them") from None
    if not found:
        raise ExportError("forward returns no tensor")
    return found


def array(tensor: torch.Tensor) -> np.ndarray:
    import torch
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def runner(model: Model) -> tuple[str, Callable[[Arrays], Arrays]]:
    """What runs the model: ONNX Runtime where it is installed and has no plugins to run, else our NumPy reference."""
    from .. import plugins
    try:
        import onnxruntime
    except ImportError:
        onnxruntime = None  # type: ignore[assignment]
    if onnxruntime is None or any(n.domain and (plugins.find(n.op_type, None, n.domain) or plugins.find(n.op_type))
                                  for n in model.graph):
        from .. import importer
        from ..ops.evaluate import evaluate
        network = importer.load(model.proto())
        return "tensorwright", lambda feeds: evaluate(network, feeds)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    encoded = model.proto().SerializeToString()
    session = onnxruntime.InferenceSession(encoded, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return "onnxruntime", lambda feeds: dict(zip(names, session.run(names, dict(feeds)), strict=True))


def check(module: torch.nn.Module, call: Call, run: Callable[[Arrays], Arrays], outputs: Sequence[str]) -> Check:
    """The call on both; `outputs` are the ONNX model's names. ExportError when it fails or gives other shapes."""
    batch = call.batch
    at = None if batch is None else f"batch {batch}"
    try:
        result, _ = called(module, call)
    except Exception as error:
        raise ExportError(f"the module itself cannot run {at or 'the example with other values'}: {error}", at=at,
                          try_="check_batches=(...) names the batch sizes it can run; other dynamic axes are tried one "
                          "shorter") from error
    feeds = {name: array(t) for name, t in call.tensors().items()}
    try:
        got = run(feeds)
    except Exception as error:
        raise ExportError(f"the ONNX model cannot run {at or 'other values than the example'}: "
                          f"{reason(error)}", at=at, try_=_why(batch)) from error
    differences, shapes = {}, {}
    for name, expected in zip(outputs, outputs_of(result).values(), strict=True):
        want, have = array(expected), np.asarray(got[name])
        if want.shape != have.shape:
            raise ExportError(f"output {name!r} of the ONNX model has the shape {have.shape}, of the module "
                              f"{want.shape}", at=at, try_=_why(batch))
        differences[name], shapes[name] = difference(have, want), want.shape
    return Check(batch, differences, shapes)


def _why(batch: int | None) -> str:
    return "the export took a value or a size of the example for a constant" + (
        ": a number in a reshape, a loop over the batch, or a branch" if batch is not None else "")


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest |got − expected| over the larger of 1 and the largest finite |expected|; infinite if only one is NaN."""
    if not expected.size:
        return 0.0
    a, b = got.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        largest = float(np.where(same, 0.0, np.abs(a - b)).max())
    scale = np.abs(b[np.isfinite(b)]).max(initial=1.0)
    return float("inf") if np.isnan(largest) else largest / float(scale)
