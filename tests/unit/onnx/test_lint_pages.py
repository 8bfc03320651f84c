"""Each rule has a page, docs/lint/<ID>.md, written by tools/lint_pages.py from the rule; the command line speaks it."""

import json
import re
from pathlib import Path

import pytest

from tensorwright.cli import onnx as onnx_commands
from tensorwright.cli.main import main
from tensorwright.onnx.lint import RULES, selected
from tools.lint_pages import FOLDER, pages

DATA = Path(__file__).parents[2] / "data" / "lint"


def test_pages_are_those_of_the_rules() -> None:
    written = {path: path.read_text() for path in FOLDER.glob("*.md")}
    assert written == pages(), "python -m tools.lint_pages writes them"


@pytest.mark.parametrize("rule", selected(), ids=lambda r: r.id)
def test_a_rule_says_all_there_is_to_say(rule) -> None:
    assert len(rule.why) > 150 and rule.bad and rule.good and rule.fixed and rule.title[0].isupper()
    assert rule.name == rule.name.lower() and " " not in rule.name
    for code in (rule.bad, rule.good):
        compile("async def f():\n" + "\n".join(f"    {line}" for line in code.splitlines()), rule.id, "exec")


def test_commands_named_exist() -> None:
    known = {module.__name__.rpartition(".")[2].replace("_", "-") for module in onnx_commands.COMMANDS}
    for rule in selected():
        assert set(re.findall(r"`wright onnx ([a-z-]+)", rule.why + rule.fixed)) <= known, rule.id


def test_names_are_unique() -> None:
    selected()
    assert len({r.name for r in RULES.values()}) == len(RULES)


def test_exit_code_follows_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(DATA / "identity.onnx")
    assert main(["onnx", "lint", model]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert main(["onnx", "lint", model, "--level", "info"]) == 1
    assert "TW302 identity info: Identity 'Identity_0'" in capsys.readouterr().out
    assert main(["onnx", "lint", model, "--level", "info", "--ignore", "identity"]) == 0
    assert main(["onnx", "lint", str(DATA / "numbers.onnx"), "--rule", "TW4", "--level", "error"]) == 1


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["onnx", "lint", str(DATA / "redundant_transpose_dynamo.onnx"), "--json"]) == 1
    finding, = json.loads(capsys.readouterr().out)["findings"]
    assert finding["rule"] == "TW301" and finding["fixable"] and finding["source"]["line"]


def test_fix_writes_the_repaired_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = str(DATA / "redundant_transpose_script.onnx"), tmp_path / "out.onnx"
    assert main(["onnx", "lint", model, "--fix", "-o", str(out)]) == 0
    assert "repaired TW301" in capsys.readouterr().out
    assert main(["onnx", "lint", str(out), "--level", "info"]) == 0
    assert main(["onnx", "lint", str(DATA / "host_step.onnx"), "--fix", "-o", str(out)]) == 1


@pytest.mark.parametrize("arguments", [
    ["--fix"], ["-o", "x.onnx"], ["--in-place"], ["--explain", "TW101"], ["--list"], ["--fix", "-o", "x.plan"],
    ["--external"]])
def test_wrong_command_lines(arguments: list[str]) -> None:
    assert main(["onnx", "lint", str(DATA / "identity.onnx"), *arguments]) == 2
    assert not Path("x.onnx").exists()


def test_unknown_rules_and_no_model() -> None:
    assert main(["onnx", "lint"]) == 2
    assert main(["onnx", "lint", "--explain", "TW4"]) == 3
    assert main(["onnx", "lint", str(DATA / "identity.onnx"), "--rule", "TW999"]) == 3


def test_explain_and_list(capsys: pytest.CaptureFixture[str]) -> None:
    for rule in selected():
        assert main(["onnx", "lint", "--explain", rule.id.lower()]) == 0
        assert capsys.readouterr().out.strip() == (FOLDER / f"{rule.id}.md").read_text().strip()
    assert main(["onnx", "lint", "--list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rules"]) == len(selected())
