"""docs/onnx_compared.md tells no tales about us: what its tables name in our column exists."""

import argparse
import importlib
import re

import pytest

import tensorwright.onnx
from tensorwright.cli.main import parser

from .documents import ROOT

PAGE = (ROOT / "docs" / "onnx_compared.md").read_text()
TABLES = PAGE.partition("## Size and speed")[0]
ROWS = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in TABLES.splitlines()
        if line.startswith("| ") and not line.startswith("| |")]
OURS = {row[0]: row[1] for row in ROWS}
NAMES = sorted({name for cell in OURS.values() for name in re.findall(r"`([^`]+)`", cell)})


def subcommands(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {name: found for action in of._actions if isinstance(action, argparse._SubParsersAction)
            for name, found in action.choices.items()}


def test_tables_are_whole() -> None:
    headers = [line for line in TABLES.splitlines() if line.startswith("| |")]
    assert len(headers) == 5 and len(set(headers)) == 1 and len(ROWS) > 40
    for row in ROWS:
        assert len(row) == 8 and all(row), row
    assert len(OURS) == len(ROWS), "a task is listed twice"


@pytest.mark.parametrize("task", OURS)
def test_what_we_say_we_do_has_a_name(task: str) -> None:
    assert "`" in OURS[task] or OURS[task].startswith("–"), OURS[task]


@pytest.mark.parametrize("name", NAMES)
def test_name_exists(name: str) -> None:
    if name.startswith("wright "):
        found, words = parser(), name.split()[1:]
        while words and not words[0].startswith("-"):
            found = subcommands(found)[words.pop(0)]
        for option in words:
            assert any(option in action.option_strings for action in found._actions), option
        return
    module, _, attribute = name.rpartition(".")
    if module == "":
        assert name in tensorwright.onnx.__all__
    elif module == "tensorwright.torch":                 # which imports without PyTorch
        assert attribute in importlib.import_module(module).__all__
    else:
        assert attribute in importlib.import_module(f"tensorwright.onnx.{module}").__all__
    if module != "tensorwright.torch":
        owner = importlib.import_module(f"tensorwright.onnx.{module}" if module else "tensorwright.onnx")
        assert callable(getattr(owner, attribute))


def test_every_command_of_the_family_has_a_row_or_is_an_edit_of_one() -> None:
    """A new command that nobody compares: add a row. The ones left out do what a call in the same row does."""
    named = {name.split()[2] for name in NAMES if name.startswith("wright onnx ")}
    beside = {"get-weight", "get-attributes", "set-input", "remove-output", "remove-unused", "prepend", "append"}
    commands = set(subcommands(subcommands(parser())["onnx"]))
    assert commands == named | beside, commands ^ (named | beside)


def test_files_linked_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
