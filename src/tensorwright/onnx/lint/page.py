"""A rule's page: what `wright onnx lint --explain` prints and docs/lint/<ID>.md holds."""

from __future__ import annotations

from .record import Rule
from .run import rule_named


def explain(key: str) -> str:
    """The page of the rule with this identifier or name. InputError when there is none."""
    return page(rule_named(key))


def page(rule: Rule) -> str:
    repair = "repaired by `--fix`" if rule.fixes else "not repaired automatically"
    return f"""\
# {rule.id} {rule.name}

{rule.title}

*{rule.group} · {rule.severity} · {repair}*

## Why

{rule.why}

## Bad

```python
{rule.bad}
```

## Good

```python
{rule.good}
```

## Repair

{rule.fixed}
"""


def index(rules: list[Rule]) -> str:
    """docs/lint/README.md: all rules in a table."""
    lines = ["# Lint rules", "",
             "`wright onnx lint model.onnx` applies them; `wright onnx lint --explain TW101` prints a page.",
             "Errors: wrong results, or no engine. Warnings: slower or more fragile than need be. Infos, shown with",
             "`--level info`: they matter on some engines, or are about tidiness.", "",
             "| rule | about | severity | repaired | finds |", "|---|---|---|---|---|"]
    lines += [f"| [{r.id} {r.name}]({r.id}.md) | {r.group} | {r.severity} | {'yes' if r.fixes else ''} | {r.title} |"
              for r in rules]
    return "\n".join(lines) + "\n"
