"""Walking a model's graph: every node becomes layers, by the first of three ways that can express it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import ModelError, TensorwrightError, UnsupportedError
from ..ir import Network, NetworkEditor, OpaqueType, TensorType
from ..ir.refittable import Refittable
from ..plugins import expansion, overrides, use
from ..plugins.bodies import check_bodies
from ..plugins.nodes import how_to_register, plugin_of
from ..plugins.op import keywords
from .expand import schema_of, standard_body, with_attributes
from .finish import finished
from .host import captured_names, domains_of, host_step
from .inputs import Shapes, input_types
from .keep import weights_of
from .layers import LayerWriter
from .node import Node
from .registry import ANY_TYPE, LOWERINGS, SHAPE_RULES
from .source import ModelSource
from .unroll import control_flow
from .value_inputs import add_companions, value_inputs, with_values
from .values import COMPUTABLE, Decline, Value, constant

if TYPE_CHECKING:
    import onnx

STANDARD = ("", "ai.onnx")
#: Operators whose results differ from run to run.
RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
                    "Bernoulli", "Dropout", "If", "Loop", "Scan", "SequenceMap"})
#: Functions and inlined branches may be nested this deep, and may add this many nodes to the model's own.
DEEPEST, MOST_NODES = 48, 50_000


@dataclass(frozen=True)
class Frame:
    """Where a node is read: its operator sets, the values it can see, and what it is part of.

    origin   the node of the model this one came from, None when it is one itself
    """

    opsets: Mapping[str, int]
    scope: dict[str, Value]
    depth: int = 0
    origin: str | None = None
    name: str = ""


@dataclass
class Ways:
    """Which way each node of the model took: counts per operator, and why the host steps are host steps."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def note(self, op_type: str, way: str) -> None:
        entry = self.counts.setdefault(op_type, {"native": 0, "expanded": 0, "host": 0})
        entry[way] += 1

    def metadata(self) -> dict[str, str]:
        return {"importer/ways": json.dumps(self.counts, sort_keys=True),
                "importer/host": json.dumps(self.reasons, sort_keys=True)}


class GraphImporter:
    """Reads one model into a network.

    plugins_first   nodes of standard operators, too, are computed by the plugin of their name where there is one
    """

    def __init__(self, source: ModelSource, plugins_first: bool = False, keep_weights: bool = False) -> None:
        self.source, self.proto, self.plugins_first = source, source.proto, plugins_first
        self.editor = NetworkEditor(self.proto.graph.name or "network")
        self.writer = LayerWriter(self.editor, source)
        self.functions = {(f.domain, f.name, getattr(f, "overload", "")): f for f in self.proto.functions}
        self.ways = Ways()
        self.budget = MOST_NODES + len(self.proto.graph.node)
        self.symbols: frozenset[str] = frozenset()
        self.titles: dict[str, str] = {}
        self.names: set[str] = set()
        self.weights = weights_of(self.proto.graph) if keep_weights else set()
        self.also: list[tuple[str, Value]] = []           # values to keep as outputs beside the graph's

    def network(self, shapes: Shapes, values_are_sizes: bool = False) -> Network:
        graph = self.proto.graph
        opsets = opset_versions(self.proto.opset_import or [])
        check_version(opsets)
        stored = {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
        types = input_types([i for i in graph.input if i.name not in stored], shapes)
        frame = Frame(opsets, {})
        for name, t in types.items():
            frame.scope[name] = Value(t, self.editor.input(name, t), hint=name)
        sizes = value_inputs(graph, types) if values_are_sizes else []
        for name in sizes:
            frame.scope[name] = with_values(frame.scope[name], name)
        self.symbols = frozenset(self.editor.finish().symbols()) | {
            str(d) for name in sizes for d in frame.scope[name].dims.flat}   # type: ignore[union-attr]
        outputs = self.graph(graph, frame)
        add_companions(self.editor, sizes)
        self.editor.metadata.update({p.key: p.value for p in self.proto.metadata_props})
        self.editor.metadata.update(self.ways.metadata())
        results = [(o.name, v) for o, v in zip(graph.output, outputs, strict=True)]
        return finished(self.writer, [*results, *self.also], self.titles)

    def graph(self, graph: onnx.GraphProto, frame: Frame) -> list[Value]:
        """Imports a graph's nodes; its outputs."""
        for t in graph.initializer:
            frame.scope[t.name] = self.kept(constant(self.source.array(t), t.name), frame)
        for s in graph.sparse_initializer:
            frame.scope[s.values.name] = constant(self.source.dense(s), s.values.name)
        self.nodes(graph.node, frame)
        return [self.value(o.name, frame, f"graph {graph.name!r} output") for o in graph.output]

    def kept(self, value: Value, frame: Frame) -> Value:
        """A constant, kept apart from what is computed from it when it is one of the model's weights."""
        if frame.depth == 0 and value.hint in self.weights and value.array is not None:
            value.array = Refittable.of(value.array)
        return value

    def nodes(self, nodes: Iterable[onnx.NodeProto], frame: Frame) -> None:
        for index, proto in enumerate(nodes):
            self.budget -= 1
            if self.budget < 0:
                raise ModelError(f"functions expand to more than {MOST_NODES} nodes", at=self.source.label)
            try:
                self.node(proto, index, frame)
            except TensorwrightError as error:
                name = proto.name or f"{proto.op_type}_{index}"
                what = f"{proto.op_type} {name!r}"
                if what not in error.at:
                    error.located(what)
                raise (error.located(f"{self.source.label}, node {index}") if frame.depth == 0 else error) from None
            except RecursionError:
                raise ModelError("subgraphs are nested too deeply", at=self.source.label) from None

    def value(self, name: str, frame: Frame, what: str) -> Value:
        if name not in frame.scope:
            raise ModelError(f"{what} {name!r} is never computed", try_="sort the graph's nodes, or export again")
        return frame.scope[name]

    # ---- one node ---------------------------------------------------------------------------------------------

    def node(self, proto: onnx.NodeProto, index: int, frame: Frame) -> None:
        inputs = [self.value(i, frame, "input") if i else None for i in proto.input]
        if proto.domain not in frame.opsets and not (proto.domain in STANDARD and set(STANDARD) & set(frame.opsets)) \
                and not self.function(proto):
            raise ModelError(f"operator {proto.op_type} is of domain {proto.domain!r}, which the model does not import")
        results, way = self.lowered(proto, inputs, index, frame)
        if frame.origin is None:
            self.ways.note(proto.op_type, way)
        if len(results) < sum(map(bool, proto.output)):
            raise ModelError(f"has {len(proto.output)} outputs, the operator has {len(results)}")
        for name, value in zip(proto.output, results, strict=False):
            if not name:
                continue
            if value is None:
                raise ModelError(f"output {name!r} is not defined by the operator")
            if name in frame.scope and frame.depth == 0:
                raise ModelError(f"value {name!r} is computed twice")
            frame.scope[name] = value = value if value.hint else replace_hint(value, name)
            if proto.op_type == "Constant" and name in self.weights:
                value.hint = name
                self.kept(value, frame)
            if frame.depth == 0 and value.name is not None:
                self.titles.setdefault(value.name, name)

    def lowered(self, proto: onnx.NodeProto, inputs: Sequence[Value | None], index: int, frame: Frame,
                ) -> tuple[tuple[Value | None, ...], str]:
        """The node's outputs, and which way it took: "native", "expanded" or "host"."""
        standard = proto.domain in STANDARD
        opset = frame.opsets.get(proto.domain, frame.opsets.get("", frame.opsets.get("ai.onnx", 1)))
        name = self.unique(proto.name or f"{proto.op_type}_{index}") if frame.origin is None else frame.name
        if function := self.function(proto):
            return self.expanded(proto, function.opset_import, with_attributes(function, proto, {}), function, inputs,
                                 name, frame), "expanded"
        schema = schema_of(proto.op_type, opset, "" if standard else proto.domain)
        if schema is None or self.plugins_first or overrides(proto.op_type):
            if (custom := self.plugin(proto, inputs, opset, name, frame)) is not None:
                return custom
        if schema is None:
            kind = ModelError if standard else UnsupportedError
            raise kind(f"operator {proto.op_type} is not in version {opset} of domain {proto.domain or 'ai.onnx'!r}",
                       try_=how_to_register(proto.op_type, "" if standard else proto.domain))
        node = Node(proto, inputs, opset=opset, since=schema.since_version, name=name, writer=self.writer,
                    origin=frame.origin or f"{proto.op_type} {name!r}")
        reason = "no kernel or expansion computes it"
        if standard:
            if (result := self.shape_value(node)) is not None:
                return result, "native"
            try:
                if (inline := self.unrolled(node, frame)) is not None:
                    return inline, "native"
                if (direct := self.native(node)) is not None:
                    return direct, "native"
            except Decline as declined:
                reason = str(declined)
        if all(v is None or (isinstance(v.type, TensorType) and v.dtype in COMPUTABLE) for v in inputs):
            body = standard_body(proto, schema, opset, inputs)
            if body is not None and frame.depth < DEEPEST:
                before = len(self.editor.layers)
                try:
                    nodes = with_attributes(body, proto, defaults_of(schema))
                    results = self.expanded(proto, body.opset_import, nodes, body, inputs, name, frame, node.origin)
                    if not any(layer.op.on_host for layer in self.editor.layers[before:]):
                        return results, "expanded"
                    reason = "its expansion needs a host step"
                except TensorwrightError as error:
                    reason = f"its expansion does not fit: {error.what}"
        return self.host(node, frame, reason)

    def plugin(self, proto: onnx.NodeProto, inputs: Sequence[Value | None], opset: int, name: str, frame: Frame,
               ) -> tuple[tuple[Value | None, ...], str] | None:
        """The outputs of a node that a registered plugin computes: its expression's layers, or a host step."""
        if (found := plugin_of(proto, self.source.array)) is None:
            return None
        definition, given = found
        origin = frame.origin or f"{proto.op_type} {name!r}"
        types = tuple(None if v is None else v.type for v in inputs)
        sized = not any(isinstance(t, OpaqueType) for t in types)
        if definition.expand is not None and (sized or definition.compute is None):
            body = expansion(definition, keywords(definition, given), types)
            return self.expanded(proto, body.opset_import, body.node, body, inputs, name, frame, origin), "expanded"
        op = use(definition, given, types, count=len(proto.output), layer=name)
        made = op.infer(*types)
        self.ways.reasons[origin] = op.on_host
        return self.writer.add_host(op, inputs, made if isinstance(made, tuple) else (made,), name, origin), "host"

    def unique(self, name: str) -> str:
        result, n = name, 1
        while result in self.names:
            result, n = f"{name}_{n}", n + 1
        self.names.add(result)
        return result

    def function(self, proto: onnx.NodeProto) -> onnx.FunctionProto | None:
        return self.functions.get((proto.domain, proto.op_type, getattr(proto, "overload", "")))

    def shape_value(self, node: Node) -> tuple[Value | None, ...] | None:
        """The outputs' content as dimensions, when the operator acts on shape values and all are known."""
        rule = SHAPE_RULES.get(node.op_type)
        if rule is None or not any(v is not None and v.dims is not None for v in node.inputs):
            return None
        try:
            result = rule(node)
        except Decline:
            return None
        return result if isinstance(result, tuple) else (result,)

    def native(self, node: Node) -> tuple[Value | None, ...] | None:
        lowering = LOWERINGS.get(node.op_type)
        if lowering is None:
            return None
        if node.op_type not in ANY_TYPE:
            for v in node.inputs:
                if v is not None and v.dtype not in COMPUTABLE:
                    raise Decline(f"no kernel takes element type {v.dtype}")
        result = lowering(node)
        return result if isinstance(result, tuple) else (result,)

    def unrolled(self, node: Node, frame: Frame) -> tuple[Value | None, ...] | None:
        """Control flow that constants and shapes decide: the bodies' layers, in line."""
        def run(graph: onnx.GraphProto, given: Mapping[str, Value]) -> list[Value]:
            if frame.depth >= DEEPEST:
                raise ModelError(f"graphs are nested more than {DEEPEST} deep")
            inner = replace(frame, scope={**frame.scope, **given}, depth=frame.depth + 1,
                            origin=frame.origin or node.origin, name=node.name)
            return self.graph(graph, inner)
        return control_flow(node, run)

    def expanded(self, proto: onnx.NodeProto, imports: Iterable[onnx.OperatorSetIdProto],
                 nodes: Sequence[onnx.NodeProto], body: onnx.FunctionProto, inputs: Sequence[Value | None], name: str,
                 frame: Frame, origin: str | None = None) -> tuple[Value | None, ...]:
        """The outputs of a function body whose formal inputs are the node's inputs."""
        if frame.depth >= DEEPEST:
            raise ModelError(f"functions are nested more than {DEEPEST} deep: {proto.op_type} may call itself")
        if len(inputs) > len(body.input):
            raise ModelError(f"function {proto.op_type} takes {len(body.input)} inputs, {len(inputs)} are given")
        formal = dict(zip(body.input, inputs, strict=False))
        absent = {i for i in body.input if formal.get(i) is None}
        scope = {i: v for i, v in formal.items() if v is not None}
        inner = Frame(opset_versions(imports) or frame.opsets, scope, frame.depth + 1,
                      frame.origin or origin or f"{proto.op_type} {name!r}", name)
        self.nodes([without_inputs(n, absent) for n in nodes] if absent else nodes, inner)
        wanted = [bool(o) for o in proto.output] + [False] * len(body.output)
        return tuple(self.value(o, inner, "function output") if w else None
                     for o, w in zip(body.output, wanted, strict=False))

    def host(self, node: Node, frame: Frame, reason: str) -> tuple[tuple[Value | None, ...], str]:
        """The outputs of a host step, or its results where all its inputs are constants."""
        check_bodies(node.proto, {(domain, name) for domain, name, _ in self.functions})
        captured = {n: self.value(n, frame, "captured value") for n in captured_names(node.proto)}
        foreign = domains_of(node.proto) - set(STANDARD)
        functions = self.proto.functions if foreign else ()
        op, types = host_step(node.proto, frame.opsets, functions, node.inputs, captured, self.symbols)
        operands = [*node.inputs, *captured.values()]
        if (folded := self.writer.folded_host(op, operands, random=node.op_type in RANDOM)) is not None:
            made = iter(folded)
            return tuple(next(made) if name else None for name in node.proto.output), "native"
        made = iter(self.writer.add_host(op, operands, types, node.name, node.origin))
        self.ways.reasons[node.origin] = reason
        return tuple(next(made) if name else None for name in node.proto.output), "host"


def check_version(opsets: Mapping[str, int]) -> None:
    """UnsupportedError for operator sets that the installed onnx package does not define."""
    import onnx
    newest = onnx.defs.onnx_opset_version()
    version = max((opsets[d] for d in STANDARD if d in opsets), default=0)
    if version > newest:
        raise UnsupportedError(f"the model uses operator set {version}, the newest known is {newest}",
                               try_="update the onnx package, or export with an older operator set")


def replace_hint(value: Value, name: str) -> Value:
    value.hint = name
    return value


def without_inputs(proto: onnx.NodeProto, absent: set[str]) -> onnx.NodeProto:
    """The node with inputs that the caller left out written as left out."""
    if not absent.intersection(proto.input):
        return proto
    import onnx
    copy = onnx.NodeProto()
    copy.CopyFrom(proto)
    copy.input[:] = ["" if i in absent else i for i in proto.input]
    return copy


def opset_versions(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {o.domain: int(o.version) for o in imports}


def defaults_of(schema: onnx.defs.OpSchema) -> dict[str, onnx.AttributeProto]:
    return {name: a.default_value for name, a in schema.attributes.items() if a.default_value.name}
