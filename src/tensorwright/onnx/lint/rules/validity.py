"""TW001: is it a valid model at all?"""

from __future__ import annotations

from collections.abc import Iterator

from ...check import problem
from ..context import Context
from ..record import Found, Severity, rule


@rule("TW001", "invalid-model", Severity.ERROR, "The model breaks ONNX's rules", why="""
    onnx's checker or its strict type and shape inference refuses the model. What other rules find in such a model may
    be beside the point: an engine may not read it, or read it as something else.
    """, bad="""
    graph.node[3].input[1] = "a_tensor_that_nobody_makes"
    """, good="""
    onnx.checker.check_model(model, full_check=True)          # after every edit; wright's own edits do it for you
    """, fixed="""
    Not repaired: the message says what is wrong.
    """)
def invalid_model(context: Context) -> Iterator[Found]:
    if found := problem(context.model):
        yield Found(found)
