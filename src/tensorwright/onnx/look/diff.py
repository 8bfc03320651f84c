"""Two models compared: interface, nodes, attributes, edges, shapes, weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..check import infer
from ..model import Model
from ..structure.tensors import array, constant, named
from .difference import distance
from .inventory import storage_of
from .matching import Pairs, computing, pair
from .nodes import attribute_text, default_text, label, schema_for
from .overview import operator, text, type_text

if TYPE_CHECKING:
    import onnx_ir


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    kind     "opset", "input", "output", "node removed", "node added", "operator", "attribute", "edge", "type",
             "weight", "function", "name", "storage", "metadata"
    where    the node or tensor it is about
    a, b     what it is in each model; "" where it is absent
    numbers  of weights: elements that differ, largest difference, and that relative to the largest value
    """

    kind: str
    where: str
    a: str = ""
    b: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Diff:
    """changes: what makes the models different. notes: names, storage and metadata, which do not.

    matched   pairs of nodes
    """

    changes: tuple[Change, ...]
    notes: tuple[Change, ...]
    matched: int

    @property
    def same(self) -> bool:
        return not self.changes


def diff(a: Model, b: Model, *, tolerance: float = 0.0) -> Diff:
    """Compare two models; neither is changed.

    Nodes are matched by name and by structure, so that renamed models compare as the same. A default that is written
    out equals one that is not.
    tolerance   weights whose difference, relative to their largest value, is at most this are the same
    """
    return Comparison(a, b, tolerance).run()


class Comparison:
    def __init__(self, a: Model, b: Model, tolerance: float) -> None:
        self.a, self.b, self.tolerance = with_types(a), with_types(b), tolerance
        self.changes: list[Change] = []
        self.notes: list[Change] = []
        self.pairs: Pairs = {}
        self.back: dict[onnx_ir.Node, onnx_ir.Node] = {}
        self.ends: dict[onnx_ir.Value, onnx_ir.Value] = {}           # input of b → input of a
        self.compared: set[tuple[int, int]] = set()

    def run(self) -> Diff:
        a, b = self.a.ir, self.b.ir
        for domain in sorted({*a.opset_imports, *b.opset_imports}, key=text):
            versions = a.opset_imports.get(domain), b.opset_imports.get(domain)
            self.note_if("opset", text(domain) or "ai.onnx", *versions, counts=True)
        makers = [" ".join(filter(None, map(text, (m.producer_name, m.producer_version)))) for m in (a, b)]
        for key, x, y in (("producer", makers[0], makers[1]), ("IR version", a.ir_version, b.ir_version),
                          ("documentation", a.doc_string, b.doc_string), ("graph's name", a.graph.name, b.graph.name)):
            self.note_if("metadata", key, x, y)
        for key in sorted({*a.metadata_props, *b.metadata_props}, key=text):
            self.note_if("metadata", text(key), a.metadata_props.get(key), b.metadata_props.get(key))
        self.graphs(a.graph, b.graph, "")
        for name in sorted({*a.functions, *b.functions}, key=lambda key: [*map(text, key)]):
            f, g = a.functions.get(name), b.functions.get(name)
            if f is None or g is None:
                called = "::".join(filter(None, map(text, name)))
                there = ["" if x is None else "there" for x in (f, g)]
                self.changes.append(Change("function", called, there[0], there[1]))
            else:
                self.graphs(f, g, f"function {name[1]}, ")
        self.unread()
        return Diff(tuple(self.changes), tuple(self.notes), len(self.pairs))

    def note_if(self, kind: str, where: str, x: Any, y: Any, counts: bool = False) -> None:
        if x != y:
            entry = Change(kind, where, "" if x is None else str(x), "" if y is None else str(y))
            (self.changes if counts else self.notes).append(entry)

    # ---- graphs

    def graphs(self, a: Any, b: Any, where: str) -> None:
        self.inputs(a, b, where)
        found = pair(a, b)
        self.pairs.update(found)
        self.back.update({y: x for x, y in found.items()})
        self.changes += [Change("node removed", where + title(n), operator(n)) for n in computing(a) if n not in found]
        self.changes += [Change("node added", where + title(n), "", operator(n))
                         for n in computing(b) if n not in self.back]
        for x, y in found.items():
            self.nodes(x, y, where)
        self.outputs(a, b, where)

    def inputs(self, a: Any, b: Any, where: str) -> None:
        free_a = [v for v in a.inputs if constant(v) is None]
        free_b = [v for v in b.inputs if constant(v) is None]
        for x, y in same_names(free_a, free_b, by_place=bool(where)):
            if x is not None and y is not None:
                self.ends[y] = x
            self.interface("input", where, x, y)

    def outputs(self, a: Any, b: Any, where: str) -> None:
        for x, y in same_names(list(a.outputs), list(b.outputs), by_place=bool(where)):
            self.interface("output", where, x, y)
            if x is not None and y is not None:
                self.edge(x, y, f"{where}output {x.name}")

    def interface(self, kind: str, where: str, x: onnx_ir.Value | None, y: onnx_ir.Value | None) -> None:
        p, q = ("" if v is None else str(v.name) for v in (x, y))
        if x is None or y is None or (p != q and not where):
            self.changes.append(Change(kind, where + (p or q), p, q))
        elif type_text(x) != type_text(y):
            self.changes.append(Change("type", f"{where}{kind} {p}", type_text(x), type_text(y)))

    # ---- nodes

    def nodes(self, x: onnx_ir.Node, y: onnx_ir.Node, where: str) -> None:
        at = where + title(x)
        if x.name != y.name:
            self.notes.append(Change("name", at, x.name or "", y.name or ""))
        self.note_if("operator", at, operator(x), operator(y), True)
        self.attributes(x, y, at)
        for k in range(max(len(x.inputs), len(y.inputs))):
            v = x.inputs[k] if k < len(x.inputs) else None
            w = y.inputs[k] if k < len(y.inputs) else None
            self.edge(v, w, f"{at}, input {k}")
        for k in range(max(len(x.outputs), len(y.outputs))):
            v, w = (n.outputs[k] if k < len(n.outputs) and n.outputs[k].name else None for n in (x, y))
            if (v is None) != (w is None):
                self.changes.append(Change("edge", f"{at}, output {k}", "" if v is None else str(v.name),
                                           "" if w is None else str(w.name)))
            elif v is not None and w is not None and not v.is_graph_output() and types_differ(v, w):
                self.changes.append(Change("type", str(v.name), type_text(v), type_text(w)))

    def attributes(self, x: onnx_ir.Node, y: onnx_ir.Node, at: str) -> None:
        for name in sorted({*x.attributes, *y.attributes}):
            v, w = x.attributes.get(name), y.attributes.get(name)
            if v is not None and w is not None and graphs_of(v) and len(graphs_of(v)) == len(graphs_of(w)):
                for g, h in zip(graphs_of(v), graphs_of(w), strict=True):
                    self.graphs(g, h, f"{at}, {name}: ")
            elif v is None or w is None:
                p, q = (attribute_text(n) if n is not None else default(m, o, name)
                        for n, m, o in ((v, self.a, x), (w, self.b, y)))
                if p != q:
                    self.changes.append(Change("attribute", f"{at}, {name}", p, q))
            elif not same_attribute(v, w):
                self.changes.append(Change("attribute", f"{at}, {name}", attribute_text(v), attribute_text(w)))

    # ---- edges and weights

    def edge(self, v: onnx_ir.Value | None, w: onnx_ir.Value | None, at: str) -> None:
        p, q = (None if u is None else constant(u) for u in (v, w))
        if p is not None and q is not None:
            self.weight(v, w, p, q)                      # type: ignore[arg-type]
        elif self.source_a(v) != self.source_b(w):
            self.changes.append(Change("edge", at, self.text(v), self.text(w)))

    def source_a(self, v: onnx_ir.Value | None) -> Any:
        maker = None if v is None else v.producer()
        return (maker, v.index()) if maker is not None and v is not None else v

    def source_b(self, w: onnx_ir.Value | None) -> Any:
        maker = None if w is None else w.producer()
        if maker is not None and w is not None:
            return self.back.get(maker, maker), w.index()
        return None if w is None else self.ends.get(w, w)

    def text(self, v: onnx_ir.Value | None) -> str:
        if v is None or not v.name:
            return "absent"
        maker = v.producer()
        return f"weight {v.name}" if constant(v) is not None else f"input {v.name}" if maker is None else \
            f"{v.name} of {title(maker)}"

    def weight(self, v: onnx_ir.Value, w: onnx_ir.Value, p: Any, q: Any) -> None:
        if (id(p), id(q)) in self.compared:
            return
        self.compared.add((id(p), id(q)))
        if v.name != w.name:
            self.notes.append(Change("name", str(v.name), str(v.name), str(w.name)))
        forms = [("Constant node, " if u.producer() is not None else "initializer, ") + storage_of(t)
                 for u, t in ((v, p), (w, q))]
        self.note_if("storage", str(v.name), forms[0], forms[1])
        shapes = [tuple(int(d) for d in t.shape.numpy()) for t in (p, q)]
        kind, other = (f"{named(t.dtype)} {s}" for t, s in zip((p, q), shapes, strict=True))
        if shapes[0] != shapes[1]:
            self.changes.append(Change("weight", str(v.name), kind, other))
            return
        far = distance(p, q)
        numbers = {"elements": far.elements, "largest": far.largest, "relative": far.relative}
        if p.dtype != q.dtype:
            self.changes.append(Change("weight", str(v.name), kind, other, numbers))
        elif far.elements:
            near = far.relative <= self.tolerance
            (self.notes if near else self.changes).append(Change("weight", str(v.name), kind, other, numbers))

    def unread(self) -> None:
        """Initialisers that nobody reads make no difference: they are noted."""
        lists = [{str(v.name): v for v in m.graph.initializers.values() if not v.uses() and not v.is_graph_output()}
                 for m in (self.a, self.b)]
        for name in sorted({*lists[0], *lists[1]}):
            if name not in lists[0] or name not in lists[1]:
                self.notes.append(Change("weight", f"{name}, which nobody reads", "there" if name in lists[0] else "",
                                         "there" if name in lists[1] else ""))


def with_types(model: Model) -> Model:
    """A copy that knows the types of its tensors; the model itself where inference cannot tell more."""
    try:
        infer(copy := model.clone())
    except ModelError:
        return model                                     # what the file says of them is all there is
    return copy


def same_names(a: list[onnx_ir.Value], b: list[onnx_ir.Value], by_place: bool
               ) -> Iterator[tuple[onnx_ir.Value | None, onnx_ir.Value | None]]:
    """Pairs by name, the others in their order; by order alone inside nodes and functions, where names mean nothing."""
    names = {} if by_place else {v.name: v for v in b}
    paired = {v: names[v.name] for v in a if v.name in names}
    rest = iter([v for v in b if v not in paired.values()])
    for v in a:
        yield v, paired[v] if v in paired else next(rest, None)
    for w in rest:
        yield None, w


def title(node: onnx_ir.Node) -> str:
    return f"{node.op_type} {label(node)!r}"


def default(model: Model, node: onnx_ir.Node, name: str) -> str:
    schema = schema_for(model, node)
    stored = schema.attributes.get(name) if schema is not None else None
    return default_text(stored.default_value) if stored is not None and stored.default_value.name else ""


def graphs_of(attribute: onnx_ir.Attr) -> list[onnx_ir.Graph]:
    import onnx_ir
    if attribute.is_ref():
        return []
    if attribute.type == onnx_ir.AttributeType.GRAPH:
        return [attribute.as_graph()]
    return list(attribute.as_graphs()) if attribute.type == onnx_ir.AttributeType.GRAPHS else []


def same_attribute(v: onnx_ir.Attr, w: onnx_ir.Attr) -> bool:
    import onnx_ir
    if v.type != w.type or v.is_ref() != w.is_ref():
        return False
    if v.is_ref():
        return v.ref_attr_name == w.ref_attr_name
    if v.type == onnx_ir.AttributeType.TENSOR:
        p, q = v.as_tensor(), w.as_tensor()
        return p.dtype == q.dtype and bool(np.array_equal(array(p), array(q)))
    return bool(v.value == w.value)


def types_differ(v: onnx_ir.Value, w: onnx_ir.Value) -> bool:
    """Whether two intermediate tensors are known to differ in type, rank or a number; symbols' names do not matter."""
    if v.dtype is not None and w.dtype is not None and v.dtype != w.dtype:
        return True
    if v.shape is None or w.shape is None:
        return False
    if len(v.shape) != len(w.shape):
        return True
    return any(isinstance(d, int) and isinstance(e, int) and d != e for d, e in zip(v.shape, w.shape, strict=True))
