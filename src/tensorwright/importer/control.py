"""Control flow. An If with a constant condition is inlined by the graph importer; the rest are host steps."""

from __future__ import annotations

from .node import Node
from .registry import operator
from .values import Decline, Value

REASONS = {
    "Loop": "the number of iterations is known at run time only",
    "Scan": "its body is a graph",
    "NonZero": "the output's size depends on the data",
    "Unique": "the output's size depends on the data",
    "Compress": "the output's size depends on the data",
    "NonMaxSuppression": "the output's size depends on the data",
    "RandomNormal": "random numbers", "RandomNormalLike": "random numbers", "RandomUniform": "random numbers",
    "RandomUniformLike": "random numbers", "Multinomial": "random numbers", "Bernoulli": "random numbers",
}


@operator(*REASONS, any_type=True)
def on_the_host(n: Node) -> Value:
    raise Decline(REASONS[n.op_type])
