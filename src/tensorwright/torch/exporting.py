"""`export`: a PyTorch module becomes an ONNX model that has been checked against it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import onnx as toolkit
from ..errors import ExportError, InputError, TensorwrightError
from ..onnx import Model
from ..onnx.seam import substitute
from ..onnx.storage import reason
from . import exporters
from .call import Call, Dynamic, call_of, installed
from .compare import called, check, evaluating, outputs_of, runner
from .explain import baked_at
from .quiet import quiet
from .report import Check, Note, Report

if TYPE_CHECKING:
    import torch


def export(model: torch.nn.Module, example: Any, path: str | os.PathLike[str] | None = None, *,
           names: tuple[Sequence[str] | None, Sequence[str] | None] | None = None, dynamic: Dynamic = "batch",
           opset: int = 18, exporter: Literal["auto", "dynamo", "script"] = "auto",
           check_batches: Sequence[int] = (1, 2, 3), tolerance: float | None = None, lint: bool = True,
           verbose: bool = False) -> Report:
    """Export a module in evaluation mode, check the model against it, and write it to `path`.

    example        what forward is called with: a tensor, a tuple of arguments, or a dict of named ones
    names          (names of the inputs, names of the outputs), either may be None. By default inputs are called as
                   forward's arguments, and outputs as the keys of what it returns, or "output", "output_0", ...
    dynamic        "batch": axis 0 of every input, and nothing else; None: all sizes are the example's;
                   {"input": {0: "batch", 1: "sequence"}}: these; the module must run with one less on each
    opset          version of ONNX's operator set
    exporter       "dynamo": PyTorch's exporter on torch.export; "script": that on TorchScript; "auto": dynamo, and
                   script where its result does not pass the check
    check_batches  batch sizes to compare with the module, with other data than the example's
    tolerance      largest difference allowed, in units of the larger of 1 and the largest magnitude of the output;
                   None: 1e-4, and 1e-2 where an output is half precision
    lint           run tensorwright.onnx.lint on the result
    verbose        show what the exporters print and warn of
    Raises         ExportError: what construct is at fault, where, and what to try. No file is written then.
    """
    torch = installed()
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"model is a {type(model).__name__}, not a torch.nn.Module")
    if exporter not in ("auto", *exporters.EXPORTERS):
        raise InputError(f'exporter is "auto", "dynamo" or "script", not {exporter!r}')
    inputs, outputs = names or (None, None)
    call = call_of(model, example, inputs, dynamic)
    failures: list[tuple[str, ExportError]] = []
    with evaluating(model):
        made, notes = _first_call(model, call)
        wanted = _output_names(made, outputs, call)
        for which in exporters.EXPORTERS if exporter == "auto" else (exporter,):
            try:
                result, more = _exported(which, model, call, wanted, opset, verbose)
                runtime, checks = _checked(model, result, call, wanted, check_batches,
                                           _tolerance(made, tolerance), verbose)
                break
            except ExportError as error:
                failures.append((which, error))
        else:
            raise _all_failed(failures)
    notes = [*notes, *more, *(Note(f"the {name} exporter was tried first: {e.what}", ", ".join(e.at), e.try_ or "")
                                 for name, e in failures)]
    findings = tuple(toolkit.lint(result)) if lint else ()
    written = None if path is None else toolkit.save(result, Path(path))
    return Report(result, written, which, runtime, tuple(checks), tuple(notes), findings)


def _first_call(module: Any, call: Call) -> tuple[dict[str, Any], list[Note]]:
    try:
        result, notes = called(module, call)
    except Exception as error:
        raise ExportError(f"forward fails with the example: {type(error).__name__}: {error}",
                          try_="call the module with the example first") from error
    return outputs_of(result), notes


def _output_names(made: dict[str, Any], outputs: Sequence[str] | None, call: Call) -> list[str]:
    if outputs is not None:
        if len(outputs) != len(made) or {*outputs} & {*call.names} or len({*outputs}) != len(outputs):
            raise InputError(f"the module returns {len(made)} tensors ({', '.join(made)}), and names has "
                             f"{len(outputs)}: {', '.join(outputs)}", try_="one for each, unlike all other names")
        return list(outputs)
    return [f"{name}_out" if name in call.names else name for name in made]


def _exported(which: str, module: Any, call: Call, outputs: Sequence[str], opset: int, verbose: bool,
              ) -> tuple[Model, list[Note]]:
    result, notes = exporters.run(which, module, call, outputs, opset, verbose)
    _check_inputs(which, module, result, call)
    try:
        toolkit.infer(result)
        toolkit.check(result)
    except TensorwrightError as error:
        raise ExportError(f"the {which} exporter wrote a model that is not valid: {error.what}",
                          exporter=which) from error
    return result, notes


def _check_inputs(which: str, module: Any, result: Model, call: Call) -> None:
    """All inputs are there, and their dynamic dimensions are dynamic and called as asked."""
    found = {v.name: v for v in result.inputs}
    renamed: dict[str, int | str] = {}
    for name, tensor in call.tensors().items():
        if name not in found:
            raise ExportError(f"the model has no input {name!r}: forward does not use it", exporter=which,
                              try_="leave it out of the example")
        dims: list[Any] = list(found[name].shape or [None] * tensor.ndim)
        for axis, size in enumerate(tensor.shape):
            wanted = call.axes.get(name, {}).get(axis)
            if wanted is not None and isinstance(dims[axis], int):
                raise ExportError(f"axis {axis} of {name!r} ({wanted}) became the constant {size}: the code uses it as "
                                  "a Python number", at=baked_at(module, call) or None, exporter=which,
                                  try_="use the size only inside views, reshapes and torch functions; -1 for the batch "
                                  "in a reshape; no Python loop over it")
            if wanted is not None and dims[axis] is not None and dims[axis].value not in (None, wanted):
                renamed[dims[axis].value] = wanted
    substitute(result, renamed)


def _checked(module: Any, result: Model, call: Call, outputs: Sequence[str], batches: Sequence[int], tolerance: float,
             verbose: bool) -> tuple[str, list[Check]]:
    with quiet(verbose):
        try:
            runtime, run = runner(result)
        except TensorwrightError:
            raise
        except Exception as error:
            raise ExportError(f"the exported model cannot be loaded: {reason(error)}") from error
        sizes: Sequence[int | None] = [None] if call.batch is None else list(batches)
        checks = []
        calls = [call.of_batch(size, seed) for seed, size in enumerate(sizes)]
        if (shorter := call.shortened()) is not None:
            calls.append(shorter)
        for other in calls:
            checks.append(check(module, other, run, outputs))
            at = None if other.batch is None else f"batch {other.batch}"
            for name, value in checks[-1].differences.items():
                if not value <= tolerance:
                    raise ExportError(f"output {name!r} of the ONNX model differs from the module's by {value:.2g}; "
                                      f"{tolerance:.2g} is allowed", at=at, try_="a branch or a value may be frozen, "
                                      "or an operator computed differently; tolerance=... allows more")
    _name_batch(result, checks)
    return runtime, checks


def _name_batch(result: Model, checks: Sequence[Check]) -> None:
    """Dimensions of outputs with a name of the exporter's, which were the batch in every check, are called so."""
    sizes = [c.batch for c in checks]
    if None in sizes or len(set(sizes)) < 2:
        return
    renamed: dict[str, int | str] = {}
    for value in result.outputs:
        for axis, dim in enumerate(value.shape or ()):
            if not isinstance(dim, int) and dim.value and [c.shapes[str(value.name)][axis] for c in checks] == sizes:
                renamed[dim.value] = "batch"
    own = {d.value for v in result.inputs for d in v.shape or () if not isinstance(d, int)}
    substitute(result, {old: new for old, new in renamed.items() if old not in own})


def _tolerance(made: dict[str, Any], tolerance: float | None) -> float:
    if tolerance is not None:
        return tolerance
    return 1e-2 if any(t.is_floating_point() and t.element_size() < 4 for t in made.values()) else 1e-4


def _all_failed(failures: Sequence[tuple[str, ExportError]]) -> ExportError:
    (_, first), *others = failures
    for name, other in others:
        first.facts[f"the {name} exporter"] = other.what + (f" ({', '.join(other.at)})" if other.at else "")
    return first
