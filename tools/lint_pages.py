"""Writes the pages of the lint rules, docs/lint/<ID>.md and their index, from the rules themselves.

    python -m tools.lint_pages            write them
"""

from __future__ import annotations

from pathlib import Path

from tensorwright.onnx.lint import selected
from tensorwright.onnx.lint.page import index, page

FOLDER = Path(__file__).parents[1] / "docs" / "lint"


def pages() -> dict[Path, str]:
    """File → its content."""
    rules = selected()
    return {FOLDER / "README.md": index(rules), **{FOLDER / f"{r.id}.md": page(r) for r in rules}}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
