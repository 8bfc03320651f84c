"""Operators that are always host steps, and why. Control flow that constants decide is unrolled by `unroll`."""

from __future__ import annotations

from .node import Node
from .registry import operator
from .values import Decline, Value

REASONS = {
    "NonZero": "the output's size depends on the data",
    "Unique": "the output's size depends on the data",
    "Compress": "the output's size depends on the data",
    "NonMaxSuppression": "the output's size depends on the data",
    "RandomNormal": "random numbers", "RandomNormalLike": "random numbers", "RandomUniform": "random numbers",
    "RandomUniformLike": "random numbers", "Multinomial": "random numbers", "Bernoulli": "random numbers",
    **dict.fromkeys(["SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert",
                     "SequenceLength", "SequenceMap", "SplitToSequence", "ConcatFromSequence"], "sequences are lists"),
    **dict.fromkeys(["Optional", "OptionalGetElement", "OptionalHasElement"], "optionals may be empty"),
    **dict.fromkeys(["StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"],
                    "text is not computed in kernels"),
}


@operator(*REASONS, any_type=True)
def on_the_host(n: Node) -> Value:
    raise Decline(REASONS[n.op_type])
