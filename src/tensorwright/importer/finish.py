"""The end of an import: unread layers go, outputs and intermediate values get the model's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..ir import Network, OpaqueType
from ..ops import Host, Pointwise
from ..ops.expr import In
from .layers import LayerWriter
from .values import Value


def finished(writer: LayerWriter, outputs: Sequence[tuple[str, Value]], titles: Mapping[str, str]) -> Network:
    """The network with these outputs. titles: value name → the name it has in the model."""
    editor = writer.editor
    fixed: dict[str, str] = {name: name for name in editor.inputs}
    for title, value in outputs:
        name = writer.name(value)
        if name in fixed and fixed[name] != title:          # an input, or an output under a second name: a copy
            name = _copy(writer, value, title)
        fixed[name] = title
        editor.outputs.append(name)
    return _renamed(_pruned(editor.finish()), fixed, titles)


def _copy(writer: LayerWriter, value: Value, title: str) -> str:
    if isinstance(value.type, OpaqueType):
        import onnx
        node = onnx.helper.make_node("Identity", ["x"], ["y"])
        graph = onnx.helper.make_graph([node], "Identity", [onnx.ValueInfoProto(name="x")],
                                       [onnx.ValueInfoProto(name="y")])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
        op = Host(model.SerializeToString(deterministic=True), "Identity")
        return writer.name(writer.add_host(op, [value], [value.type], title, f"output {title!r}")[0])
    op_copy = Pointwise(In(0, value.dtype))
    return str(writer.editor.add(op_copy, writer.name(value), name=title, origin=(f"output {title!r}",)))


def _pruned(network: Network) -> Network:
    """The network without layers and constants that no output needs."""
    needed = set(network.outputs)
    kept = []
    for layer in reversed(network.layers):
        if needed.intersection(layer.outputs):
            kept.append(layer)
            needed.update(i for i in layer.inputs if i is not None)
    constants = {n: a for n, a in network.constants.items() if n in needed}
    written = {o for layer in kept for o in layer.outputs if o}
    types = {n: t for n, t in network.types.items() if n in constants or n in written or n in network.inputs}
    return network.with_changes(layers=tuple(reversed(kept)), constants=constants, types=types)


def _renamed(network: Network, fixed: Mapping[str, str], titles: Mapping[str, str]) -> Network:
    """Every value under its final name: inputs and outputs exactly, others like in the model, all different."""
    final = {n: t for n, t in fixed.items() if n in network.types}
    used = set(final.values())
    for name in network.types:
        if name not in final:
            wish = titles.get(name, name)
            title, n = wish, 1
            while title in used:
                title, n = f"{wish}.{n}", n + 1
            final[name] = title
            used.add(title)
    layers = tuple(replace(layer, inputs=tuple(None if i is None else final[i] for i in layer.inputs),
                           outputs=tuple(final[o] if o else "" for o in layer.outputs)) for layer in network.layers)
    return network.with_changes(
        layers=layers, outputs=tuple(final[o] for o in network.outputs), inputs=network.inputs,
        constants={final[n]: a for n, a in network.constants.items()},
        types={final[n]: t for n, t in network.types.items()}).check()
