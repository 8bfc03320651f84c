"""Why an export failed: the construct at fault, where it is in the user's code, and what to try.

The exporters report in many forms. Known ones are recognised by their text; the place is the innermost frame outside
PyTorch, of the traceback or of the stack that the message quotes.
"""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ExportError, TensorwrightError
from .call import Call
from .quiet import quiet
from .report import Note

#: text in an exporter's message → what is at fault ({} is the first group), what to try
KNOWN: tuple[tuple[str, str, str], ...] = (
    (r"data-dependent|DataDependent|Dynamic control flow|cond.*not supported",
     "control flow depends on values: a Python if, while, or conversion to a number of a tensor",
     "torch.where for a choice between values, torch.cond for one between computations; exporter=\"script\" freezes "
     "the branch that the example takes"),
    (r"Constraints violated|specialized it to be a constant|ConstraintViolation|marked .* as dynamic but",
     "a dynamic dimension became a constant: the code uses it as a Python number",
     "use x.shape[0] only inside views, reshapes and torch functions; -1 for the batch in a reshape; no Python loop "
     "over it"),
    (r"No ONNX function found for <OpOverload\(op='([\w.:]+)'", "the operator {} has no ONNX form",
     "write it with other operators, or register one: torch.onnx.export's custom_translation_table"),
    (r"Exporting the operator '([\w.:]+)' to ONNX opset version \d+ is not supported",
     "the operator {} has no ONNX form in this operator set", "a higher opset, the other exporter, or other operators"),
    (r"Unsupported(?:Operator|FakeTensor)Exception'?>?:? *([\w.:]+)?", "the operator {} cannot be exported",
     "write it with other operators"),
    (r"[Ii]n-?place|[Mm]utat(?:es|ing|ion)", "a tensor is changed in place in a way the exporter cannot express",
     "write the result to a new tensor: x = x + 1, torch.where, torch.cat, index_put without the underscore"),
    (r"Unsupported (?:Python|op_call|method|context)|graph break|not traceable|torch\._dynamo",
     "the exporter cannot follow this Python construct", "move it out of forward, or write it with torch functions"),
)


def explained(error: BaseException, exporter: str, module: Any, call: Call, printed: str = "") -> ExportError:
    """What the exporter's error means. printed: what the exporter wrote meanwhile."""
    chain = list(_chain(error))
    for e in chain:
        if isinstance(e, TensorwrightError):             # of a plugin
            return ExportError(e.what, at=", ".join(e.at) or None, try_=e.try_, exporter=exporter, **e.facts)
    text = "\n".join(f"{type(e).__name__}: {e}" for e in chain)
    place = where(chain, f"{text}\n{printed}")
    for pattern, what, try_ in KNOWN:
        if match := re.search(pattern, text):
            groups = [g for g in match.groups() if g]
            name = groups[0].rstrip(".") if groups else ""
            if name and not place and exporter == "dynamo":
                place = operator_at(module, call, name)
            return ExportError(what.format(name).replace("  ", " "), at=place or None, try_=try_,
                               exporter=exporter, says=_first_line(chain[-1]))
    return ExportError(f"PyTorch's {exporter} exporter failed: {_first_line(chain[-1])}", at=place or None,
                       try_="verbose=True shows all that the exporter says", exporter=exporter)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def where(chain: list[BaseException], text: str) -> str:
    """The innermost place in the user's code; "" when none is to be seen."""
    frames = [(f.filename, f.lineno or 0) for e in reversed(chain)
              for f in _after_us(traceback.extract_tb(e.__traceback__))]
    quoted = [(m.group(1), int(m.group(2))) for m in re.finditer(r'File "([^"]+)", line (\d+)', text)]
    quoted += [(m.group(1), int(m.group(2))) for m in re.finditer(r"# (\S+\.py):(\d+):\d+", text)]
    for found in (frames, quoted):
        users = [(file, line) for file, line in found if not foreign(file)]
        if users:
            return f"{users[-1][0]}, line {users[-1][1]}"
    return ""


def _after_us(frames: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Frames that our call of the exporter made."""
    ours = [i for i, f in enumerate(frames) if Path(f.filename).parent == Path(__file__).parent]
    return list(frames[ours[-1] + 1:]) if ours else list(frames)


def foreign(file: str) -> bool:
    """Not the user's: PyTorch, the ONNX packages, Python's library, ours, or no file."""
    import contextlib

    import torch
    packages = Path(torch.__file__).parents[1]
    folders = (Path(torch.__file__).parent, packages / "onnxscript", packages / "onnx", packages / "onnx_ir",
               Path(contextlib.__file__).parent, Path(__file__).parent)
    path = Path(file)
    if file.startswith("<") or not path.is_absolute():
        return True
    inside = [folder for folder in folders if path.is_relative_to(folder)]
    return bool(inside) and not (inside == [Path(contextlib.__file__).parent] and "site-packages" in path.parts)


#: text of a TracerWarning → note
FROZEN = (
    (r"Python boolean", "an if or while on a tensor: the branch that the example took is the only one in the model",
     "torch.where, or torch.cond and exporter=\"dynamo\""),
    (r"Python (?:integer|index|float|number)|Iterating over a tensor|Using len",
     "a tensor became a Python number: the example's value is in the model as a constant",
     "keep it a tensor; exporter=\"dynamo\" may keep it too"),
    (r"NumPy array|from_numpy", "a tensor went through NumPy: the example's values are in the model as a constant",
     "use torch functions only"),
    (r"in-place|inplace", "a tensor is changed in place in a way the tracer may get wrong", "write to a new tensor"),
    (r"Trace had nondeterministic|Output nr", "two runs of the module with the same input differ", "remove randomness"),
)


def from_warning(warning: warnings.WarningMessage) -> Note | None:
    """A warning of the tracer that something was frozen into the model, as a note; None for all other warnings."""
    if warning.category.__name__ != "TracerWarning":
        return None
    text = str(warning.message)
    place = "" if foreign(warning.filename) else f"{warning.filename}, line {warning.lineno}"
    for pattern, what, try_ in FROZEN:
        if re.search(pattern, text):
            return Note(what, place, try_)
    return Note(text.splitlines()[0], place)


def operator_at(module: Any, call: Call, operator: str) -> str:
    """Where the user's code calls an operator ("prims.bessel_j0"), from PyTorch's trace of it; "" when not found."""
    try:
        with quiet(False):
            from torch.export import export as trace
            graph = trace(module, call.args, call.kwargs, strict=False).run_decompositions().graph
    except Exception:                                    # the trace is only to say more
        return ""
    for node in graph.nodes:
        if re.split(r"[.:]", operator)[-1] in str(node.target):
            return where([], str(node.meta.get("stack_trace", "")))
    return ""


def baked_at(module: Any, call: Call) -> str:
    """Where a dynamic dimension is used as a Python number: torch.export asks its symbols for one there.

    This watches a function of PyTorch's that may be called otherwise in other versions: "" then.
    """
    from torch.export import Dim
    from torch.export import export as trace
    try:
        from torch.fx.experimental.sym_node import SymNode
        original = SymNode.guard_int
    except (ImportError, AttributeError):
        return ""
    places: list[str] = []

    def watched(self: Any, *arguments: Any) -> Any:
        users = [f for f in traceback.extract_stack() if not foreign(f.filename)]
        if users:
            places.append(f"{users[-1].filename}, line {users[-1].lineno}")
        return original(self, *arguments)
    dimensions: dict[str, Any] = {}
    try:
        setattr(SymNode, "guard_int", watched)           # noqa: B010
        with quiet(False):
            trace(module, call.args, call.kwargs, dynamic_shapes=call.shapes(
                lambda n: dimensions.setdefault(n, Dim(n))), strict=False)
    except Exception as error:                           # that it fails is what we are here for
        if places:
            return places[-1]
        chain = list(_chain(error))
        return where(chain, "\n".join(map(str, chain)))
    finally:
        setattr(SymNode, "guard_int", original)          # noqa: B010
    return places[-1] if places else ""
