"""The ONNX toolkit: look at models, edit, check, merge and export them.

    from tensorwright import onnx

    model = onnx.load("model.onnx")
    onnx.save(model, "new.onnx")

Every function takes a `Model`, whatever its size; weights are mapped and not copied. Functions that change a model
leave it valid or raise ModelError and leave it as it was. Names are looked up when they are first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

#: Public name → the module that defines it.
_HOME = {
    "Model": "model", "load": "storage", "save": "storage",
    "check": "check", "infer": "check", "problem": "check",
    "edit": "edit", "editing": "edit",
}

if TYPE_CHECKING:
    from .check import check, infer, problem
    from .edit import edit, editing
    from .model import Model
    from .storage import load, save

__all__ = ["Model", "check", "edit", "editing", "infer", "load", "problem", "save"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Python makes an imported submodule an attribute of its package: `check` stays the function, not its module."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
