"""Pages of documentation as tests: their code blocks, and what it takes to run them."""

import doctest
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tensorwright.cli.main import main

ROOT = Path(__file__).parents[1]
LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """One fenced block. line: of its first line of code; section: the "## heading" it stands under."""

    language: str
    text: str
    line: int
    section: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """(command line, the output that the page shows, "" when none) of a console block."""
        yield from re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", self.text, re.MULTILINE)


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in these languages (all when none is given), in order."""
    text, found = page.read_text(), []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        before = text[: match.start(2)]
        headings = re.findall(r"^## (.*)$", re.sub(r"^```.*?^```$", "", before, flags=re.MULTILINE | re.DOTALL),
                              re.MULTILINE)
        if not languages or match[1] in languages:
            found.append(Block(match[1], match[2], before.count("\n") + 1, headings[-1] if headings else ""))
    return found


def run_python(page: Path, block: Block, names: dict[str, Any]) -> None:
    """Execute a Python block; errors show the page's own line."""
    names.setdefault("__name__", page.stem)
    exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)


def run_section(page: Path, section: str, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Run the Python and the commands of one section, in the order of the page, in the current folder.

    From its first block that imports torch on, a section is skipped where PyTorch is not installed.
    """
    for block in blocks(page, "python", "console"):
        if block.section == section and block.language == "python":
            if "import torch" in block.text:
                pytest.importorskip("torch")
                pytest.importorskip("onnxscript")
            run_python(page, block, names)
        elif block.section == section:
            for line, shown in block.commands():
                run_command(line, capsys, shown)


def run_command(line: str, capsys: pytest.CaptureFixture[str], shown: str = "") -> None:
    """Run a `wright` command: it must succeed and print something, and what the page shows ("..." stands for any)."""
    program, *arguments = shlex.split(line)
    assert program == "wright", line
    if "--vs" in arguments:                              # only peers that are here, and briefly
        place = arguments.index("--vs") + 1
        installed = [name for name in arguments[place].split(",") if find_spec(name)]
        arguments[place:place + 1] = [",".join(installed), "--seconds", "0.2"]
    capsys.readouterr()
    code = main([*arguments, "--quiet"])
    out, err = capsys.readouterr()
    assert code == 0, f"{line}\n{out}{err}"
    assert out, line
    if shown:
        same = doctest.OutputChecker().check_output(shown, out, LOOSELY)
        assert same, f"{line}\nthe page shows\n{shown}\nit is\n{out}"
