"""TW311 and TW312: what nobody reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...rewire import inside
from ...structure.unused import remove_unused
from ..context import Context, plural
from ..record import Found, Severity, rule


@rule("TW311", "unused", Severity.WARNING, "Weights and nodes that nothing reads", why="""
    They make the file larger, load slower and are kept in memory by engines that do not look. Cutting a model, or an
    exporter that keeps the parameters of layers that were not called, leaves them.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx", dynamo=False, keep_initializers_as_inputs=True)
    onnx.save(cut, "half.onnx")               # the other half's weights are still in it
    """, good="""
    torch.onnx.export(model, (x,), "model.onnx")
    """, fixed="""
    They are removed, with what only they read. Weights that can be fed as inputs are kept.
    """, fixes=True)
def unused(context: Context) -> Iterator[Found]:
    alive = living(context)
    for graph in context.model.graphs():
        values = [v for v in getattr(graph, "initializers", {}).values() if v not in alive and not v.is_graph_input()]
        if values:
            size = sum(v.const_value.nbytes for v in values if v.const_value is not None)
            yield Found(f"{plural(len(values), 'initialiser')} ({size:,} bytes) {'is' if len(values) == 1 else 'are'} "
                        f"not read: {', '.join(str(v.name) for v in values[:3])}{', ...' if len(values) > 3 else ''}",
                        None, str(values[0].name), lambda: bool(remove_unused(context.model)))
    dead = [n for n in context.everywhere if n.outputs and not any(v in alive for v in n.outputs)]
    if dead:
        yield Found(f"the {'results' if len(dead) > 1 else 'result'} of {plural(len(dead), 'node')} "
                    f"{'is' if len(dead) == 1 else 'are'} not read", dead[0], str(dead[0].outputs[0].name),
                    lambda: bool(remove_unused(context.model)))


def living(context: Context) -> set[Any]:
    """Values that an output of their graph needs."""
    alive: set[Any] = set()
    waiting: list[Any] = []
    for graph in context.model.graphs():
        waiting += list(graph.outputs)
    while waiting:
        value = waiting.pop()
        if value is None or value in alive:
            continue
        alive.add(value)
        if (maker := value.producer()) is not None:
            waiting += [v for n in inside(maker) for v in n.inputs]
            alive.update(maker.outputs)
    return alive


@rule("TW312", "unused-input", Severity.WARNING, "An input that nothing reads", why="""
    A caller must make and pass data that has no effect, and engines drop such inputs, or fail on them. The exporter
    keeps every argument of `forward`; one that is not read is often a sign that a Python `if` was decided at export.
    """, bad="""
    def forward(self, x, mask=None):
        return self.body(x)                   # mask is not used
    """, good="""
    def forward(self, x):
        return self.body(x)
    """, fixed="""
    Inputs are the model's interface. Export again without the argument.
    """)
def unused_input(context: Context) -> Iterator[Found]:
    for value in context.model.inputs:
        if not value.uses() and not value.is_graph_output():
            yield Found(f"input {value.name!r} is not read", None, str(value.name))
