"""What a lint rule is, and what it finds.

A rule looks at a whole model and yields findings; a finding that can be repaired without changing what the model
computes brings the repair along. The texts of a rule are its page: docs/lint/<ID>.md and `wright onnx lint --explain`.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir

    from .context import Context
    from .source import Source


class Severity(enum.IntEnum):
    """error: wrong results, or no engine. warning: slower or more fragile than need be. info: matters to some."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


#: The first digit of a rule's number → what it is about.
GROUPS = {"0": "model", "1": "shapes", "2": "types", "3": "structure", "4": "weights", "5": "quantisation",
          "6": "execution"}

#: A repair changes the model in place and returns whether it did.
Fix = Callable[[], bool]


@dataclass(frozen=True)
class Found:
    """What a rule's check yields.

    message   what, with the numbers
    node      where: the node, or a reader of the tensor; None for findings about the model as a whole
    tensor    the tensor's name, when the finding is about one
    fix       repairs it; None: not safe, or not possible. Called before anything in `touches` has changed only.
    touches   nodes whose operands the repair relies on
    severity  the rule's when None
    """

    message: str
    node: onnx_ir.Node | None = None
    tensor: str = ""
    fix: Fix | None = None
    touches: Sequence[Any] = ()
    severity: Severity | None = None


@dataclass(frozen=True)
class Rule:
    """id: "TW301". name: "redundant-transpose". fixed: what --fix does, or why there is no safe fix."""

    id: str
    name: str
    severity: Severity
    title: str
    why: str
    bad: str
    good: str
    fixed: str
    check: Callable[[Context], Iterator[Found]] = field(repr=False, compare=False)
    fixes: bool = False

    @property
    def group(self) -> str:
        return GROUPS[self.id[2]]


@dataclass(frozen=True)
class Finding:
    """One finding of `lint`.

    rule      the rule's identifier
    name      its readable name
    node      the node's name, or that of the first tensor it makes; "" for findings about the whole model
    operator  the node's operator, or ""
    tensor    the tensor the finding is about, or ""
    source    where the exporting code made the node, as far as the exporter wrote that into the file
    fixable   whether `fix` repairs it
    """

    rule: str
    name: str
    severity: Severity
    message: str
    node: str = ""
    operator: str = ""
    tensor: str = ""
    source: Source | None = None
    fixable: bool = False

    def __str__(self) -> str:
        where = f"{self.operator} {self.node!r}" if self.node else f"tensor {self.tensor!r}" if self.tensor else "model"
        return f"{self.rule} {self.name} {self.severity}: {where}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        return {"rule": self.rule, "name": self.name, "severity": str(self.severity), "message": self.message,
                "node": self.node or None, "operator": self.operator or None, "tensor": self.tensor or None,
                "source": self.source.as_json() if self.source else None, "fixable": self.fixable}


#: All rules by identifier, in order of their numbers once `rules` is imported.
RULES: dict[str, Rule] = {}

Check = Callable[["Context"], Iterator[Found]]


def rule(id: str, name: str, severity: Severity, title: str, *, why: str, bad: str, good: str, fixed: str,
         fixes: bool = False) -> Callable[[Check], Check]:
    """Makes a check a rule.

    bad, good   PyTorch code that leads to the finding, and code that does not
    fixes       whether its findings ever bring a repair
    """
    def register(check: Check) -> Check:
        assert id not in RULES and id[:2] == "TW" and id[2] in GROUPS, id
        clean = inspect.cleandoc
        RULES[id] = Rule(id, name, severity, title, clean(why), clean(bad), clean(good), clean(fixed), check, fixes)
        return check
    return register
