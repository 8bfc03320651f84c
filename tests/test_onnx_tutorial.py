"""docs/onnx_tutorial.md is true: every section's Python and commands run on the real exports, in a folder of their own.

What the section "Start" defines is there for all others.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from .documents import ROOT, blocks, run_python, run_section

PAGE = ROOT / "docs" / "onnx_tutorial.md"
EXPORTS = ROOT / "tests" / "data" / "exports"
START = "Start"
SECTIONS = list(dict.fromkeys(block.section for block in blocks(PAGE, "python", "console")))


@pytest.fixture(scope="module")
def start() -> dict[str, Any]:
    """The names that the page's first section defines."""
    onnxruntime.set_default_logger_severity(3)
    names: dict[str, Any] = {}
    for block in blocks(PAGE, "python"):
        if block.section == START:
            run_python(PAGE, block, names)
    return names


@pytest.mark.parametrize("section", [s for s in SECTIONS if s != START])
def test_section(section: str, start: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                 capsys: pytest.CaptureFixture[str]) -> None:
    for path in EXPORTS.glob("*.onnx"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    run_section(PAGE, section, dict(start), capsys)


def test_every_section_asks_onnx_runtime() -> None:
    """A task without a check by ONNX Runtime is no task of this page; looking changes nothing."""
    text = "".join(f"## {part}" for part in PAGE.read_text().split("\n## ")[1:])
    for section in SECTIONS:
        if section not in (START, "Look first"):
            body = text.partition(f"## {section}\n")[2].partition("## ")[0]
            assert re.search(r"\b(same|answers)\(", body), section


def test_files_linked_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
