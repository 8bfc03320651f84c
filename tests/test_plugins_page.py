"""docs/plugins.md is true: its sections run in order, in one folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tensorwright import plugins

from .documents import ROOT, blocks, run_section

PAGE = ROOT / "docs" / "plugins.md"
SECTIONS = list(dict.fromkeys(block.section for block in blocks(PAGE, "python", "console")))


@pytest.fixture(scope="module")
def names() -> Iterator[dict[str, Any]]:
    """What the sections define for those that follow; their plugins are gone after them."""
    before = set(plugins.every())
    yield {}
    for definition in plugins.every():
        if definition not in before:
            plugins.unregister(definition)


@pytest.mark.parametrize("section", SECTIONS)
def test_section(section: str, names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run_section(PAGE, section, names, capsys)
