"""wright onnx lint: what makes engines of a model slow or wrong, why, and repairs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import FAILED, OK, Console, UsageError

if TYPE_CHECKING:
    from ...onnx.lint import Finding

HELP = "find what makes engines slow or wrong, say why, and repair it where that is safe"
DESCRIPTION = """Find what makes engines of a model slow or wrong: each finding with its rule (--explain says more), the
node, and the line of the exporting code as far as the exporter wrote it into the file. --fix repairs what can be
repaired without changing what the model computes, and lists what is left. The exit code is 1 when there are findings of
the level or worse."""
EPILOG = """examples:
  wright onnx lint model.onnx
  wright onnx lint model.onnx --level info --ignore TW202 --ignore names
  wright onnx lint model.onnx --fix -o clean.onnx
  wright onnx lint --explain TW107
  wright onnx lint model.onnx --json | jq -r '.findings[] | [.rule, .node, .message] | @tsv'"""

LEVELS = ("info", "warning", "error")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, nargs="?", help="ONNX file")
    parser.add_argument("--rule", action="append", metavar="ID", help="apply this rule only: an identifier (TW301), "
                        "its beginning (TW3), a name (redundant-transpose) or a group (shapes); may be repeated")
    parser.add_argument("--ignore", action="append", default=[], metavar="ID", help="leave a rule out; may be repeated")
    parser.add_argument("--level", choices=LEVELS, default="warning",
                        help="report findings of this severity and worse (default: warning)")
    parser.add_argument("--fix", action="store_true",
                        help="repair what can be repaired, of every severity; needs -o or --in-place")
    goes = parser.add_mutually_exclusive_group()
    goes.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the repaired model there")
    goes.add_argument("--in-place", action="store_true", help="replace the file by the repaired model")
    parser.add_argument("--external", action=argparse.BooleanOptionalAction, default=None,
                        help="keep weights in a file of their own, or in the model file (default: as they are)")
    parser.add_argument("--explain", metavar="ID", help="print a rule's page: why, a bad and a good example")
    parser.add_argument("--list", action="store_true", help="list the rules")


def run(options: argparse.Namespace, console: Console) -> int:
    if options.explain or options.list:
        if options.model or options.fix:
            raise UsageError("--explain and --list take no model")
        return explain(options.explain, console) if options.explain else listing(options, console)
    if options.model is None:
        raise UsageError("which model?")
    if options.fix != bool(options.output or options.in_place):
        raise UsageError("--fix needs -o FILE or --in-place" if options.fix else "-o and --in-place go with --fix")
    if options.external is not None and not options.fix:
        raise UsageError("--external goes with --fix")
    if options.output and options.output.suffix == ".plan":
        raise UsageError("-o names an ONNX file here; `wright build` makes plans")
    return check(options, console)


def check(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    from ...onnx.lint import fix, lint, selected
    chosen = [r.id for r in selected(options.rule, options.ignore)]           # unknown names, before any work
    model = onnx.load(options.model)
    if options.fix:
        repaired = fix(model, chosen)
        path = onnx.save(model, options.model if options.in_place else options.output, external=options.external)
        for finding in repaired:
            console.say(f"repaired {finding}")
        console.say(f"wrote {path}: {len(repaired)} repaired")
        console.result(output=str(path), repaired=[f.as_json() for f in repaired])
    found = lint(model, chosen, level=options.level)
    for finding in found:
        show(finding, console)
    console.say(summary(found, options))
    console.result(findings=[f.as_json() for f in found])
    return FAILED if found else OK


def show(finding: Finding, console: Console) -> None:
    console.say(str(finding))
    if finding.source:
        console.say(f"    from {finding.source}")


def summary(found: list[Finding], options: argparse.Namespace) -> str:
    if not found:
        return f"{options.model}: nothing found" if not options.fix else "nothing is left"
    fixable = sum(f.fixable for f in found)
    rules = sorted({f.rule for f in found})
    repair = f"; --fix repairs {fixable}" if fixable and not options.fix else ""
    return f"{len(found)} {'finding' if len(found) == 1 else 'findings'}{repair}; --explain {rules[0]} says why" \
        + (f" (also {', '.join(rules[1:])})" if rules[1:] else "")


def explain(key: str, console: Console) -> int:
    from ...onnx.lint import explain as page
    from ...onnx.lint.run import rule_named
    rule = rule_named(key)
    console.say(page(key).rstrip())
    console.result(rule=rule.id, name=rule.name, group=rule.group, severity=str(rule.severity), title=rule.title,
                   why=rule.why, bad=rule.bad, good=rule.good, repair=rule.fixed, fixes=rule.fixes)
    return OK


def listing(options: argparse.Namespace, console: Console) -> int:
    from ...onnx.lint import selected
    rules = selected(options.rule, options.ignore)
    console.table([("rule", "severity", "repaired", "finds"),
                   *((f"{r.id} {r.name}", str(r.severity), "yes" if r.fixes else "", r.title) for r in rules)])
    console.result(rules=[{"rule": r.id, "name": r.name, "group": r.group, "severity": str(r.severity),
                           "title": r.title, "fixes": r.fixes} for r in rules])
    return OK
