"""What an export tells: the model, how far it is from the module, and what to know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..onnx import Model


@dataclass(frozen=True)
class Note:
    """Something about the module that its ONNX model does not have, or may not.

    what    the construct and what became of it
    where   file and line in the user's code; "" when it is not known
    try_    what to do about it
    """

    what: str
    where: str = ""
    try_: str = ""

    def __str__(self) -> str:
        lines = [self.what, *(f"  {key:<4} {text}" for key, text in (("at", self.where), ("try", self.try_)) if text)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Check:
    """One comparison with the module.

    batch         examples in it; None when the batch is not dynamic
    differences   output → largest absolute difference, in units of the larger of 1 and the largest magnitude expected
    shapes        output → shape, of both
    """

    batch: int | None
    differences: Mapping[str, float]
    shapes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Report:
    """The result of `export`.

    model      the ONNX model, independent of the module
    path       where it was written; None: it was not
    exporter   "dynamo" or "script": which of PyTorch's exporters made it
    runtime    what ran it for the checks: "onnxruntime", or "tensorwright" (our NumPy reference)
    checks     comparisons with the module, one for each batch size
    notes      what the exporter froze or dropped, and why an exporter tried first was not used
    findings   of the linter
    """

    model: Model
    path: Path | None
    exporter: str
    runtime: str
    checks: tuple[Check, ...]
    notes: tuple[Note, ...]
    findings: tuple[Any, ...]

    @property
    def difference(self) -> float:
        """The largest of all differences."""
        return max((d for c in self.checks for d in c.differences.values()), default=0.0)

    def __str__(self) -> str:
        from ..onnx.seam import described
        lines = [f"{self.path or 'model'}: operator set {self.model.opset}, by PyTorch's {self.exporter} exporter"]
        for kind, values in (("input", self.model.inputs), ("output", self.model.outputs)):
            lines += [f"  {kind:<7}{v.name}  {described(v)}" for v in values]
        for check in self.checks:
            batch = "" if check.batch is None else f"batch {check.batch}: "
            differences = ", ".join(f"{n} differs by {d:.1e}" for n, d in check.differences.items())
            lines.append(f"  checked {batch}{differences} ({self.runtime})")
        lines += [f"  note   {line}" for note in self.notes for line in str(note).splitlines()]
        lines += [f"  lint   {finding}" for finding in self.findings]
        return "\n".join(lines)
