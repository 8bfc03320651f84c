"""Applying the rules: `lint` lists what they find, `fix` repairs until nothing is left to repair."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from ...errors import InputError, ModelError, TensorwrightError
from ..check import problem
from ..edit import editing
from ..model import Model
from ..rewire import label
from .context import Context
from .record import RULES, Finding, Found, Rule, Severity
from .source import source_of

#: Repairs uncover others; this often everything is looked at again.
MOST_ROUNDS = 30


def lint(model: Model, rules: Iterable[str] | None = None, ignore: Iterable[str] = (),
         level: Severity | str = Severity.WARNING) -> list[Finding]:
    """What the rules find in a model, worst first.

    rules, ignore   identifiers ("TW301"), their beginnings ("TW3"), names ("redundant-transpose") or groups ("shapes");
                    None: all rules
    level           leave out findings below it: "error", "warning" or "info"
    Raises          InputError for a name that no rule has. The model is not changed.
    """
    least, context = severity_named(level), Context(model)
    found = [_finding(rule, f) for rule in selected(rules, ignore) for f in findings(rule, context)
             if (f.severity or rule.severity) >= least]
    return sorted(found, key=lambda f: -f.severity)


def fix(model: Model, rules: Iterable[str] | None = None, ignore: Iterable[str] = ()) -> list[Finding]:
    """Repair what can be repaired without changing what the model computes; returns the findings repaired.

    Findings of every severity are repaired. Names, types and shapes of the model's inputs and outputs stay. Either all
    of it happens or, with an error, nothing.
    """
    chosen = [r for r in selected(rules, ignore) if r.fixes]
    done: list[Finding] = []
    before = interface(model)
    with editing(model):
        for _ in range(MOST_ROUNDS):
            repaired = list(_round(model, chosen))
            done += repaired
            if not repaired:
                break
        if (after := interface(model)) != before:
            raise ModelError("a repair would change the model's inputs or outputs: nothing was repaired",
                             at=model.label, before=before, after=after,
                             try_="ignore=, to leave out the rule; and please report it")
    return done


def _round(model: Model, rules: list[Rule]) -> Iterator[Finding]:
    """Everything that can be repaired as the model is now; a repair whose operands another one changed waits."""
    context, ir = Context(model), model.ir
    found = [(rule, f, _state(f)) for rule in rules for f in findings(rule, context) if f.fix is not None]
    for rule, f, state in found:
        finding = _finding(rule, f)
        with _blamed(model):
            repaired = _state(f) == state and f.fix is not None and f.fix()
        if repaired:
            yield finding
        if model.ir is not ir:                           # all nodes are new ones: the next round looks at them
            return


def findings(rule: Rule, context: Context) -> Iterator[Found]:
    """What one rule finds."""
    with _blamed(context.model):
        yield from rule.check(context)


@contextlib.contextmanager
def _blamed(model: Model) -> Iterator[None]:
    """A model is untrusted: what goes wrong in an invalid one is its own fault."""
    try:
        yield
    except (TensorwrightError, GeneratorExit):
        raise
    except Exception as error:
        if (why := problem(model)) is None:
            raise
        raise ModelError(f"the model is not valid: {why}", at=model.label) from error


def _state(found: Found) -> list[Any]:
    """What a repair relies on: that its nodes are in the graph, with these operands and readers."""
    return [(id(n.graph), tuple(map(id, n.inputs)),
             [(id(v), v.name, v.is_graph_output(), [(id(u.node), u.idx) for u in v.uses()]) for v in n.outputs])
            for n in found.touches]


def _finding(rule: Rule, found: Found) -> Finding:
    node = found.node
    return Finding(rule.id, rule.name, found.severity or rule.severity, found.message,
                   str(label(node)) if node is not None else "", node.op_type if node is not None else "", found.tensor,
                   source_of(node) if node is not None else None, found.fix is not None)


def interface(model: Model) -> list[str]:
    """The names, types and ranks of inputs and outputs."""
    return [f"{v.name}: {v.dtype} {len(v.shape) if v.shape is not None else '?'}"
            for v in (*model.inputs, *model.outputs)]


# choosing rules ------------------------------------------------------------------------------------------------------
def selected(rules: Iterable[str] | None = None, ignore: Iterable[str] = ()) -> list[Rule]:
    """All rules, or those that `rules` names, without those that `ignore` names."""
    chosen = list(every()) if rules is None else _named(rules)
    dropped = {r.id for r in _named(ignore)}
    return [r for r in chosen if r.id not in dropped]


def every() -> list[Rule]:
    from . import rules
    assert rules.COUNT
    return [RULES[id] for id in sorted(RULES)]


def _named(keys: Iterable[str]) -> list[Rule]:
    found: dict[str, Rule] = {}
    for key in [keys] if isinstance(keys, str) else keys:
        matching = [r for r in every() if key.lower() in (r.name, r.group) or
                    (len(key) > 2 and r.id.startswith(key.upper()))]
        if not matching:
            raise InputError(f"there is no lint rule {key!r}", try_="`wright onnx lint --list` shows all rules")
        found.update({r.id: r for r in matching})
    return [found[id] for id in sorted(found)]


def rule_named(key: str) -> Rule:
    """The one rule of this identifier or name."""
    found = _named([key])
    if len(found) > 1:
        raise InputError(f"{key!r} names {len(found)} rules", rules=", ".join(r.id for r in found))
    return found[0]


def severity_named(level: Severity | str) -> Severity:
    try:
        return level if isinstance(level, Severity) else Severity[level.upper()]
    except KeyError:
        raise InputError(f"there is no severity {level!r}", try_="error, warning or info") from None
