"""From PyTorch to ONNX, checked: `tensorwright.torch.export`. Needs PyTorch: pip install 'tensorwright[torch]'.

    import tensorwright.torch

    report = tensorwright.torch.export(module, torch.randn(1, 3, 224, 224), "model.onnx")
    print(report)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

#: Public name → the module that defines it.
_HOME = {"Check": "report", "Note": "report", "Report": "report", "check_plugin": "plugin",
         "custom": "plugin", "export": "exporting"}

if TYPE_CHECKING:
    from .exporting import export
    from .plugin import check_plugin, custom
    from .report import Check, Note, Report

__all__ = ["Check", "Note", "Report", "check_plugin", "custom", "export"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
