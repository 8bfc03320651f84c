"""TW601 and TW602: what the compiler cannot compile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..context import Context, plural
from ..record import Found, Severity, rule


@rule("TW601", "host-step", Severity.WARNING, "Operators that run on the host", why="""
    tensorwright has no kernel for the operator, or for these operands of it: it is evaluated by the reference
    implementation, in Python, between the compiled parts. Correct, and a thousand times slower. Other engines have
    other lists, but the operators are the same rare ones: what depends on the contents of tensors (NonZero, Unique,
    non-maximum suppression), control flow, strings, linear algebra.
    """, bad="""
    boxes = boxes[scores > 0.5]                       # NonZero: as many rows as there happen to be
    """, good="""
    scores, order = scores.topk(100)                  # always 100 rows; the caller drops what is below 0.5
    boxes = boxes[order]
    """, fixed="""
    Not repaired. Move the operator out of the model, to its end (`wright onnx extract`), or write it with others.
    `docs/operators.md` says which way each operator runs.
    """)
def host_step(context: Context) -> Iterator[Found]:
    causes: dict[Any, Any] = {}
    behind: dict[Any, int] = {}
    for node, why in context.meaning.host.items():
        causes[node] = cause = cause_of(node, why, causes)
        behind[cause] = behind.get(cause, -1) + 1
    for node, count in behind.items():
        more = f", and with it {plural(count, 'node')} behind it, whose shapes it leaves open" if count else ""
        yield Found(f"runs on the host{more}: {context.meaning.host[node]}", node,
                    str(node.outputs[0].name) if node.outputs else "")


def cause_of(node: Any, why: str, causes: dict[Any, Any]) -> Any:
    """The node itself, or the host step above it that leaves the shape of its operand open."""
    above = (v.producer() for v in node.inputs if v is not None) if why.startswith("the shape of") else ()
    return next((causes[maker] for maker in above if maker in causes), node)


@rule("TW602", "unreadable-operator", Severity.ERROR, "A node that cannot be compiled", why="""
    The operator belongs to a domain that nobody here knows, is not part of the model's operator set, or its operands
    contradict each other. Building an engine fails at this node. Operators of `com.microsoft` and of your own
    `torch.library` run in the one runtime that has them.
    """, bad="""
    @torch.library.custom_op("mine::act", mutates_args=())
    def act(x: torch.Tensor) -> torch.Tensor: ...
    """, good="""
    def act(x):                                       # of operators that ONNX has
        return x * torch.sigmoid(1.702 * x)
    """, fixed="""
    Not repaired. Replace the node by operators of ONNX (`wright onnx replace-pattern`), or define it as a function in
    the model.
    """)
def unreadable_operator(context: Context) -> Iterator[Found]:
    for node, why in context.meaning.unread.items():
        yield Found(f"cannot be compiled: {why}", node, str(node.outputs[0].name) if node.outputs else "")
