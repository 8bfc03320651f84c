"""docs/tensorrt.md is true: its Python runs, in the order of the page."""

import sys

import pytest

from .documents import ROOT, blocks, run_python

PAGE = ROOT / "docs" / "tensorrt.md"


def test_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n == "tensorrt" or n.startswith("tensorrt.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names: dict[str, object] = {}
    for block in blocks(PAGE, "python"):
        run_python(PAGE, block, names)
    for name in [n for n in sys.modules if n == "tensorrt" or n.startswith("tensorrt.")]:
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_its_links_lead_somewhere() -> None:
    import re
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
