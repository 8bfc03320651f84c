"""TW308: outputs that nothing computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..context import Context, standard
from ..record import Found, Severity, rule


@rule("TW308", "trivial-output", Severity.WARNING, "An output that is an input, a constant or another output", why="""
    An output that repeats an input, holds a constant or is the same tensor as another output costs a copy per call and
    tells the caller nothing. Some engines refuse a model whose output is one of its inputs.
    """, bad="""
    def forward(self, x):
        return x, self.head(x), self.anchors
    """, good="""
    def forward(self, x):
        return self.head(x)
    """, fixed="""
    Outputs are the model's interface: `wright onnx remove-output` removes one when its readers can do without.
    """)
def trivial_output(context: Context) -> Iterator[Found]:
    first: dict[Any, str] = {}
    for value in context.model.outputs:
        origin = value
        while (maker := origin.producer()) is not None and standard(maker, "Identity") and maker.inputs[0] is not None:
            origin = maker.inputs[0]
        node = value.producer()
        if origin.producer() is None and origin.is_graph_input():
            yield Found(f"output {value.name!r} is the input {origin.name!r}", node, str(value.name))
        elif context.is_constant(origin):
            yield Found(f"output {value.name!r} is a constant", node, str(value.name))
        elif origin in first:
            yield Found(f"output {value.name!r} is the same tensor as {first[origin]!r}", node, str(value.name))
        first.setdefault(origin, str(value.name))
