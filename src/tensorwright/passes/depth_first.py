"""Depth first: neighbouring layers become chains, executed band by band, where what flows between them is large.

Layer by layer, a tensor larger than the threads' L2 caches is written to the shared cache, or to memory, and read from
there again. A chain computes some rows of it, uses them while they are near, and never stores it as a whole.
Whether that pays depends on the machine: unlike the other passes this one runs when a program is made, with its sizes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..dims import evaluate
from ..dtypes import NATIVE
from ..ir import Layer, Network, Op
from ..ops import Chain, Convolution, Fused, Pointwise, Pool
from ..targets import CpuSpec
from .graph import Graph, merged_origin
from .report import Report

RULE = "depth first"
#: A value that flows is worth chaining when it is larger than this share of the threads' L2 caches together.
LARGE_SHARE = 0.25
#: What may follow each other. Left out, because they were measured to lose: all that ends in a window, whose rows are
#: needed several times and whose work Winograd's algorithm reduces, and pooling after a 1x1 convolution.
CHAINS = frozenset({
    ("1x1", "depthwise"), ("depthwise", "1x1"), ("1x1", "depthwise", "1x1"),       # inverted residuals
    ("window", "depthwise"), ("window", "depthwise", "1x1"),                        # their first block
    ("1x1", "grouped"),                                                             # RegNet's bottlenecks
    ("pointwise", "1x1"), ("window", "pool"),                                       # squeeze and excite; stems
})


def form_chains(network: Network, cpu: CpuSpec, threads: int, sizes: Mapping[str, int],
                apart: Collection[str] = ()) -> tuple[Network, Report]:
    """a(x, v) with one reader b(·, w) → Chain(a, b)(x, v, w), largest flow first, up to the lengths in CHAINS

    sizes   of the symbols, to judge at
    apart   names of chains that are not to be formed: their layers stay as they are
    """
    graph, report = Graph(network), Report()
    limit = LARGE_SHARE * cpu.l2 * threads
    group: dict[str, list[Layer]] = {}                              # layer → the chain it is in
    for value, size in sorted(_flows(graph, sizes).items(), key=lambda item: -item[1]):
        source, reader = graph.producer(value), graph.readers(value)[0]
        assert source is not None
        joined = group.get(source.name, [source]) + group.get(reader.name, [reader])
        if (reason := _obstacle(graph, value, joined, size, limit)) is not None:
            report.decline(RULE, reader.name, reason)
            continue
        for layer in joined:
            group[layer.name] = joined
    for layers in {id(g): g for g in group.values()}.values():
        name = " + ".join(layer.name for layer in layers)
        if name in apart:
            report.decline(RULE, layers[-1].name, "layer by layer is faster here")
            continue
        _merge(graph, layers, name)
        report.fire(RULE, name)
    report.keep_declined(graph.layers)
    return graph.freeze(), report


def _flows(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """Values that only one layer reads, as its main operand alone → bytes."""
    found = {}
    for reader in graph.ordered():
        value = reader.inputs[0] if reader.inputs else None
        source = graph.producer(value) if value else None
        if value is None or source is None or role(graph, source) is None or role(graph, reader) is None:
            continue
        t = graph.tensor(value)
        assert t is not None
        if len(graph.readers(value)) == 1 and reader.inputs.count(value) == 1 and not graph.is_output(value):
            found[value] = int(evaluate(t.size, sizes)) * t.dtype.itemsize
    return found


def role(graph: Graph, layer: Layer) -> str | None:
    """The part that a layer can play in a chain; None for all that works otherwise than row by row of an image."""
    op: Op = layer.op.core if isinstance(layer.op, Fused) else layer.op
    types = [graph.tensor(v) for v in (*layer.inputs, *layer.outputs) if v]
    if any(t is None or t.dtype not in NATIVE for t in types):
        return None
    y = graph.tensor(layer.outputs[0]) if layer.outputs[0] else None
    if y is None or y.rank != 4 or not all(isinstance(d, int) for d in y.shape[1:]):
        return None
    if isinstance(op, Pointwise):
        return "pointwise"
    if isinstance(op, Pool):
        return "pool"
    w = graph.constants.get(layer.inputs[1] or "") if isinstance(op, Convolution) else None
    if w is None or not isinstance(op, Convolution):
        return None
    k, c, *window = w.shape
    if op.groups == k and c == 1 and k > 1:
        return "depthwise"
    if op.groups > 1:
        return "grouped"
    plain = set(window) == {1} and set(op.strides) == {1} and not any(map(any, op.pads))
    return "1x1" if plain else "window"


def _obstacle(graph: Graph, value: str, layers: list[Layer], size: int, limit: float) -> str | None:
    """Why these layers, which `value` of `size` bytes would join, do not become a chain, or None."""
    roles = tuple(role(graph, layer) for layer in layers)
    if roles not in CHAINS:
        return f"{', '.join(map(str, roles))} is no chain"
    source = graph.producer(value)
    assert source is not None
    if size < limit and len(layers) == 2:
        return f"the result of {source.name} has {size / 2**20:.1f} MiB: it stays in the caches"
    return None


def _merge(graph: Graph, layers: list[Layer], name: str) -> None:
    """Put one layer, which does the work of all, in the place of the last."""
    inputs = [*layers[0].inputs, *(v for layer in layers[1:] for v in layer.inputs[1:])]
    arities = tuple(len(layer.inputs) for layer in layers)
    op = Chain(tuple(layer.op for layer in layers), arities, (0,) * (len(layers) - 1))
    graph.merge(layers, Layer(op, tuple(inputs), layers[-1].outputs, name, merged_origin(*layers)))
