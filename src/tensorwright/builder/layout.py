"""The order in which each value's axes lie in memory: channels last around convolutions, as the model says elsewhere.

An order lists logical axes from the outermost to the innermost in memory: (0, 2, 3, 1) is channels last for
(N, C, H, W). Only orders are chosen here; strides, offsets and borders follow in `storage`.
"""

from __future__ import annotations

from collections import deque

from ..dims import Dim, floordiv, mul
from ..ir import Layer, Network, Op, TensorType
from ..ops import (
    Attention,
    Chain,
    Concat,
    Convolution,
    ConvTranspose,
    Fused,
    MatMul,
    Normalize,
    Pad,
    Pointwise,
    Pool,
    Reduce,
    Resize,
    Slice,
    Softmax,
    Transpose,
)

Order = tuple[int, ...]


def core(op: Op) -> Op:
    """The operator that decides how the main operand is read: the core of a fused one, of a chain's first stage."""
    op = op.stages[0] if isinstance(op, Chain) else op
    return op.core if isinstance(op, Fused) else op


def attached(op: Op, count: int) -> list[list[int]]:
    """Which of `count` inputs are expanded to the result of each stage: Pointwise operands and those of epilogues.

    A plain operator is one stage.
    """
    stages = zip(op.stages, op.split(range(count)), strict=True) if isinstance(op, Chain) else [(op, range(count))]
    found = []
    for stage, inputs in stages:
        first = 0 if isinstance(stage, Pointwise) else stage.arity if isinstance(stage, Fused) else len(inputs)
        found.append([i for i in inputs[first:] if i is not None])
    return found


def channels_last(rank: int) -> Order:
    return (0, *range(2, rank), 1)


def canonical(rank: int) -> Order:
    return tuple(range(rank))


def choose_orders(network: Network) -> dict[str, Order]:
    """An order for every tensor value.

    Graph inputs, graph outputs and constants stay in C order: they are the user's memory. Convolution inputs and
    outputs are channels last, and the wish spreads through operators that work in any order until it meets something
    decided. A value that is only transposed afterwards is written so that the transposed value is in C order, and a
    resized image of few channels that is a result is written in C order at once; so is a concatenation that is one.
    """
    types = network.types
    decided: dict[str, Order] = {}
    for name in network.inputs:
        if isinstance(types[name], TensorType):
            decided[name] = canonical(network.tensor(name).rank)
    fixed = set(decided) | set(network.constants)

    def rank(name: str) -> int:
        return network.tensor(name).rank

    def is_tensor(name: str | None) -> bool:
        return bool(name) and isinstance(types[name], TensorType)  # type: ignore[index]

    producers, readers = network.producers(), network.readers()
    for name in network.outputs:
        layer = producers.get(name)
        if layer is not None and is_tensor(name) and not readers.get(name) and _is_wide_image(name, layer, network):
            decided[name] = canonical(rank(name))
            fixed.add(name)
    queue: deque[str] = deque()

    def wish(name: str, order: Order) -> None:
        if name not in fixed and name not in decided and is_tensor(name) and len(order) == rank(name):
            decided[name] = order
            queue.append(name)

    for layer in network.layers:
        if isinstance(core(layer.op), (Convolution, ConvTranspose)) or isinstance(layer.op, Chain):
            for value in (layer.inputs[0], layer.outputs[0]):
                if value and is_tensor(value) and rank(value) >= 3:
                    wish(value, channels_last(rank(value)))
    while queue:
        name = queue.popleft()
        for layer in [*([producers[name]] if name in producers else []), *readers.get(name, [])]:
            for other in _same_order_values(layer, network):
                if other != name and name in _same_order_values(layer, network):
                    wish(other, decided[name])

    for layer in reversed(network.layers):  # writers serve the transposed reader
        if isinstance(layer.op, Transpose) and isinstance(layer.inputs[0], str):
            source, result = layer.inputs[0], layer.outputs[0]
            if source in decided or source in fixed or len(readers.get(source, [])) != 1 or source not in producers:
                continue
            target = decided.get(result, canonical(rank(result)))
            order = tuple(layer.op.perm[a] for a in target)
            if _can_write(producers[source], order):
                decided[source] = order
    for name in network.outputs:  # joined where the user wants it, not somewhere else first
        layer = producers.get(name)
        if layer is not None and name not in decided and is_tensor(name) and isinstance(layer.op, Concat):
            decided[name] = canonical(rank(name))
    for layer in network.layers:  # what is left follows its inputs
        for out in layer.outputs:
            if is_tensor(out) and out not in decided:
                same = [i for i in _same_order_values(layer, network) if i in decided and i != out and i not in fixed]
                decided[out] = decided[same[0]] if same else canonical(rank(out))
                if isinstance(layer.op, Transpose) and layer.inputs[0] in decided:
                    source_order = decided[layer.inputs[0]]  # type: ignore[index]
                    decided[out] = tuple(layer.op.perm.index(a) for a in source_order)
    for name in network.constants:
        decided[name] = canonical(rank(name))
    return decided


def _is_wide_image(name: str, layer: Layer, network: Network) -> bool:
    """Whether `layer` resizes `name` to rows longer than pixels have channels: rows are then best written at once."""
    shape = network.tensor(name).shape
    if not isinstance(core(layer.op), Resize) or len(shape) < 3:
        return False
    channels, width = shape[1], shape[-1]
    return isinstance(channels, int) and isinstance(width, int) and width > channels


def _same_order_values(layer: Layer, network: Network) -> list[str]:
    """Values of a layer that want one order: operands of full rank of operators that work in any order."""
    op = core(layer.op)
    if isinstance(op, (Pool, Resize, Pad, Slice, Convolution, ConvTranspose, Softmax, Normalize)) or (
        isinstance(op, Reduce) and op.keepdims
    ):
        main = layer.inputs[:1]
    elif isinstance(op, (Pointwise, Concat)):
        main = () if isinstance(op, Pointwise) else layer.inputs
    else:
        return []
    extras = [layer.inputs[i] for stage in attached(layer.op, len(layer.inputs)) for i in stage]
    values = [v for v in (layer.outputs[0], *main, *extras) if v]
    out = network.types[layer.outputs[0]]
    if not isinstance(out, TensorType):
        return []
    full = []
    for v in values:
        t = network.types[v]
        if isinstance(t, TensorType) and t.rank == out.rank and sum(d != 1 for d in t.shape) >= min(2, out.rank):
            full.append(v)
    return full


def _can_write(layer: Layer, order: Order) -> bool:
    """Kernels that write rows can permute everything but the row."""
    op = core(layer.op)
    if isinstance(op, (Pointwise, Attention)):
        return order[-1] == len(order) - 1
    return isinstance(op, MatMul) and order[-1] == len(order) - 1


def reshape_groups(old: tuple[Dim, ...], new: tuple[Dim, ...]) -> list[tuple[list[int], list[int]]] | None:
    """Smallest runs of consecutive axes whose products are equal: [(old axes, new axes), ...]; None when unknown.

    Trailing axes of size 1 form runs of their own with nothing on the other side.
    """
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        a, b, mine, theirs = old[i], new[j], [i], [j]
        i, j = i + 1, j + 1
        while a != b:
            if i < len(old) and (_is_factor(a, b) or j >= len(new)):
                a = mul(a, old[i])
                mine.append(i)
                i += 1
            elif j < len(new):
                b = mul(b, new[j])
                theirs.append(j)
                j += 1
            else:
                return None
        groups.append((mine, theirs))
    if any(d != 1 for d in (*old[i:], *new[j:])):
        return None
    return groups + [([k], []) for k in range(i, len(old))] + [([], [k]) for k in range(j, len(new))]


def _is_factor(a: Dim, b: Dim) -> bool:
    """Whether b is a larger multiple of a, as far as can be told."""
    if isinstance(a, int) and isinstance(b, int):
        return a < b
    return a == 1 or mul(floordiv(b, a), a) == b
