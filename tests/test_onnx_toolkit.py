"""docs/onnx_toolkit.md is true: section by section, its Python and its commands run in the order of the page.

A section's blocks share their names and a folder of their own, which holds FILES and the exports of tests/data/exports.
Where a console block shows output, it is compared ("..." stands for anything). From its first block that imports torch
on, a section is skipped where PyTorch is not installed.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tensorwright.cli import onnx as commands

from .documents import ROOT, blocks, run_section
from .unit.onnx import models

PAGE = ROOT / "docs" / "onnx_toolkit.md"
BLOCKS = blocks(PAGE, "python", "console")
EXPORTS = ROOT / "tests" / "data" / "exports"
#: File the page names → what makes the model in it
FILES: dict[str, Callable[[], onnx.ModelProto]] = {"model.onnx": models.perceptron}


@pytest.mark.parametrize("section", dict.fromkeys(block.section for block in BLOCKS))
def test_section(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                 capsys: pytest.CaptureFixture[str]) -> None:
    for name, make in FILES.items():
        onnx.save(make(), tmp_path / name)
    for path in EXPORTS.glob("*"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    run_section(PAGE, section, {}, capsys)


def test_every_command_is_shown() -> None:
    for module in commands.COMMANDS:
        name = module.__name__.rpartition(".")[2].replace("_", "-")
        assert f"wright onnx {name}" in PAGE.read_text(), f"the page has no example of wright onnx {name}"


def test_files_linked_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
