"""Network → network: every rewrite of the compiler, in the one order in which they run.

`form_chains` comes last and stands apart: it needs to know the machine and the sizes, so the builder calls it for each
program it makes, and keeps the network without chains in the plan.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Network
from .affine import AFFINE
from .attention import ATTENTION
from .constants import drop_empty_operands, fold_constants
from .depth_first import form_chains
from .duplicates import drop_dead, merge_duplicates
from .epilogue import fuse_epilogues
from .graph import Graph
from .heads import HEADS
from .identity import IDENTITIES
from .joins import JOINS
from .motion import MOTION, TRANSPOSES
from .movement import MOVEMENTS
from .normalization import recognise_normalization
from .padding import PADDING
from .parallel import merge_parallel_products
from .pointwise import fuse_pointwise
from .products import PRODUCTS
from .report import Report
from .rewrite import Rewrite, apply
from .taps import TAPS
from .tidy import simplify_expressions
from .types import widen_halves

Pass = Callable[[Graph, Report], None]


def rewrites(*rules: Rewrite) -> Pass:
    """A pass that applies rewrites until none fires."""
    return lambda graph, report: apply(graph, rules, report)


def clean(graph: Graph, report: Report) -> None:
    """Constants folded, no-ops dropped, movements merged, equal values computed once, dead layers removed."""
    drop_dead(graph, report)
    drop_empty_operands(graph, report)
    fold_constants(graph, report)
    simplify_expressions(graph, report)
    apply(graph, (*IDENTITIES, *MOVEMENTS), report)
    merge_duplicates(graph, report)


#: name for the trace → pass, in the order in which they run
PASSES: tuple[tuple[str, Pass], ...] = (
    ("types", widen_halves),
    ("clean", clean),
    ("normalisation", recognise_normalization),
    ("attention", rewrites(*IDENTITIES, *MOVEMENTS, *ATTENTION)),
    ("heads", rewrites(*HEADS, *MOVEMENTS, *IDENTITIES)),
    ("padding", rewrites(*PADDING, *TAPS)),
    ("elementwise", fuse_pointwise),
    ("affine", rewrites(*AFFINE)),
    ("parallel", merge_parallel_products),
    ("transposes", rewrites(*IDENTITIES, *MOVEMENTS, *TRANSPOSES, *PRODUCTS)),
    ("motion", rewrites(*IDENTITIES, *MOTION)),
    ("joins", rewrites(*JOINS)),
    ("clean again", clean),
    ("pointwise", fuse_pointwise),
    ("epilogues", fuse_epilogues),
)


def run(network: Network, trace: Callable[[str, Network], None] | None = None) -> tuple[Network, Report]:
    """The network after all passes, and what they did. trace gets each pass's name and the network after it.

    Values that survive keep their names, so results compare layer by layer with the original network's.
    """
    graph, report = Graph(network), Report()
    for name, step in PASSES:
        step(graph, report)
        if trace is not None:
            trace(name, graph.freeze())
    report.keep_declined(graph.layers)
    return graph.freeze(), report


__all__ = ["PASSES", "Report", "form_chains", "run"]
