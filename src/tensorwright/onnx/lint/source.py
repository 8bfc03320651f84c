"""Where in the exporting code a node comes from, as far as the exporter wrote that into the file.

PyTorch's newer exporter keeps a stack trace and the modules' names in each node's metadata; the older one, asked with
verbose=True, keeps a trace in the doc string, and names nodes after their modules: "/layer1/conv/Conv".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir

#: Longer texts are not searched, and longer lines of code not shown.
LONGEST, LINE = 20_000, 160

_PYTHON = re.compile(r'File "([^"\n]+)", line (\d+), in [^\n]*(?:\n\s*([^\n]*))?')
_SCRIPT = re.compile(r"^([^\n(]+\.py)\((\d+)\): ", re.MULTILINE)
_SCOPE = re.compile(r"'([^']*)'")


@dataclass(frozen=True)
class Source:
    """module: "backbone.layer1". file, line, code: the author's line, not PyTorch's. "" or 0 where not known."""

    module: str = ""
    file: str = ""
    line: int = 0
    code: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else ""
        return ", ".join(t for t in (place, f"module {self.module}" if self.module else "", self.code) if t)

    def as_json(self) -> dict[str, Any]:
        return {"module": self.module or None, "file": self.file or None, "line": self.line or None,
                "code": self.code or None}


def source_of(node: onnx_ir.Node) -> Source | None:
    """None when the exporter left nothing."""
    metadata = node.metadata_props
    trace, scopes = metadata.get("pkg.torch.onnx.stack_trace"), metadata.get("pkg.torch.onnx.name_scopes")
    file, line, code = _frame(_text(trace), _text(node.doc_string))
    module = _module(_text(scopes), _text(node.name))
    return Source(module, file, line, code) if file or module else None


def _text(found: Any) -> str:
    """Strings that are no UTF-8 arrive as bytes."""
    return found if isinstance(found, str) else ""


def _frame(trace: str, doc: str) -> tuple[str, int, str]:
    """The innermost frame outside PyTorch: last in a Python trace, first in the older exporter's."""
    frames = [(f, int(n), c.strip()[:LINE]) for f, n, c in _PYTHON.findall(trace[-LONGEST:])][::-1]
    for name, number in _SCRIPT.findall(doc[:LONGEST]):
        if "torch/jit/" in name or "torch/onnx/" in name:  # from here on outwards it is the exporter and who called it
            break
        frames.append((name, int(number), ""))
    return next((f for f in frames if not _is_torch(f[0])), ("", 0, ""))


def _is_torch(file: str) -> bool:
    return "/torch/" in file.replace("\\", "/") or file.startswith("torch/")


def _module(scopes: str, name: str) -> str:
    """The innermost module's name; the last scope is the operation itself."""
    if found := _SCOPE.findall(scopes[:LONGEST]):
        return next((s for s in reversed(found[:-1]) if s), "")
    parts = name.split("/")
    return ".".join(parts[1:-1]) if name.startswith("/") and len(parts) > 2 else ""
