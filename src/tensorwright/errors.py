"""The error tree. Every message says what went wrong with the numbers, where, the facts, and what to try."""

from __future__ import annotations

from typing import Any


class TensorwrightError(Exception):
    """Base of all errors raised by tensorwright.

    what     one line with the numbers that disagree
    at       where: the file, node or layer, outermost first
    facts    name → value lines shown under the message
    try_     what the reader can do about it
    """

    def __init__(self, what: str, *, at: str | None = None, try_: str | None = None, **facts: Any) -> None:
        super().__init__(what)
        self.what = what
        self.at: list[str] = [at] if at else []
        self.facts: dict[str, Any] = dict(facts)
        self.try_ = try_

    def located(self, place: str) -> TensorwrightError:
        """The same error, one place further out: the operator knows the numbers, its callers add the names."""
        self.at.insert(0, place)
        return self

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {self.what}"]
        if self.at:
            lines.append(f"  at   {', '.join(self.at)}")
        width = max((len(name) for name in self.facts), default=0)
        lines += [f"  {name:<{max(width, 4)}} {value}" for name, value in self.facts.items()]
        if self.try_:
            lines.append(f"  try  {self.try_}")
        return "\n".join(lines)


class ShapeError(TensorwrightError):
    """Shapes of a layer's operands do not fit together."""


class TypeMismatch(TensorwrightError):
    """Element types of a layer's operands do not fit together."""


class ModelError(TensorwrightError):
    """The model file is damaged, inconsistent, or refers to files it may not read."""


class UnsupportedError(TensorwrightError):
    """A well-formed request that this version cannot fulfil."""


class ExportError(UnsupportedError):
    """A PyTorch module could not be exported, or its ONNX model does not compute what it does."""


class BuildError(TensorwrightError):
    """The compiler could not make an engine of the network."""


class VerificationError(BuildError):
    """The built engine's outputs differ from the reference by more than the tolerance."""


class PlanError(TensorwrightError):
    """The plan file is damaged, hostile, or made for something this process cannot run."""


class InputError(TensorwrightError):
    """Data given to an engine has the wrong name, shape, type or layout."""


class DeviceError(TensorwrightError):
    """The device, its compiler or its loader refused."""
