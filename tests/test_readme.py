"""The README is true: its Python runs, its commands run, its tables agree with the code."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright.cli import console
from tensorwright.cli.main import COMMANDS, parser
from tensorwright.cli.resnet50 import resnet

from .documents import ROOT, blocks, run_command, run_python

PAGE = ROOT / "README.md"
README = PAGE.read_text()
COMMAND_LINES = [line for block in blocks(PAGE, "console") for line, _ in block.commands()]
PYTHON = blocks(PAGE, "python")


def tagger() -> onnx.ModelProto:
    """tokens int64 (batch, length) → tags int64 (batch, length): an embedding, a matrix product, an argmax"""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
               for name, shape in (("embedding", (50, 16)), ("head", (16, 7)))]
    nodes = [helper.make_node("Gather", ["embedding", "tokens"], ["x"]),
             helper.make_node("MatMul", ["x", "head"], ["y"]),
             helper.make_node("ArgMax", ["y"], ["tags"], axis=-1, keepdims=0)]
    shape = ["batch", "length"]
    graph = helper.make_graph(nodes, "tagger", [helper.make_tensor_value_info("tokens", TensorProto.INT64, shape)],
                              [helper.make_tensor_value_info("tags", TensorProto.INT64, shape)], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the README names: a residual network that is quick to build, and a tagger."""
    path = tmp_path_factory.mktemp("readme")
    onnx.save(resnet(blocks=(1, 1), width=8), path / "resnet50.onnx")
    onnx.save(tagger(), path / "tagger.onnx")
    np.save(path / "photo.npy", np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32))
    before = Path.cwd()
    os.chdir(path)
    yield path
    os.chdir(before)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_command(folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(line, capsys)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python(folder: Path, number: int) -> None:
    run_python(PAGE, PYTHON[number], {})


def test_install_commands_are_those_of_the_issue() -> None:
    assert [block.text for block in blocks(PAGE, "sh")] == ["pip install . && wright demo\n",
                                                            "pip install '.[test]' && pytest\n"]


def test_every_command_is_shown() -> None:
    for module in COMMANDS:
        assert f"wright {module.__name__.rpartition('.')[2]}" in README


def test_exit_codes() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert listed == {console.OK, console.FAILED, console.USAGE, console.BAD_INPUT, console.CANNOT, console.DEFECT,
                      console.INTERRUPTED}


def test_options_named_exist() -> None:
    actions = [a for p in parser()._subparsers._group_actions[0].choices.values() for a in p._actions]  # type: ignore
    known = {option for action in actions for option in action.option_strings}
    for script in (ROOT / "bench").glob("*.py"):
        known |= set(re.findall(r'add_argument\("(--[a-z-]+)"', script.read_text()))
    assert set(re.findall(r"(?<![\w-])--[a-z][A-Za-z0-9-]*", README)) <= known


def test_environment_variables_named_exist() -> None:
    source = "".join(p.read_text() for p in (ROOT / "src").rglob("*.py"))
    for name in set(re.findall(r"TENSORWRIGHT_\w+", README)):
        assert f'"{name}"' in source, name


def test_files_linked_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
