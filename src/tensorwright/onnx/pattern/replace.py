"""Replacing what a pattern finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from ...errors import ModelError
from ..edit import edit, settle_later
from ..model import Model, subgraphs
from ..structure.build import Builder
from ..structure.nodes import redirect
from ..structure.settle import typed
from ..structure.tensors import constant
from ..structure.walk import Names, detach, named, node_of
from .language import parse
from .match import Match, Matcher
from .terms import ANY, Capture, Either, Literal, Operand, Pattern, Term, names_in

if TYPE_CHECKING:
    import onnx_ir

    from ..structure.walk import NodeKey

    Built = Union[onnx_ir.Value, Sequence[onnx_ir.Value], str, None]
    #: In the pattern language, or a function of the match and a Builder: the new tensors in the place of the results;
    #: None or a text (the reason) to leave this match alone.
    Replacement = Union[str, Callable[[Match, Builder], Built]]


@dataclass(frozen=True)
class Replaced:
    """What `replace_pattern` did. done: a line per replaced match; refused: the same for those left alone, and why."""

    done: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    closest: str = ""

    def __len__(self) -> int:
        return len(self.done)

    def __str__(self) -> str:
        lines = [f"replaced {len(self.done)} match{'es' * (len(self.done) != 1)}"]
        lines += [f"left alone: {match}: {why}" for match, why in self.refused]
        if not self.done and not self.refused:
            lines.append(f"nothing matches{'; closest: ' + self.closest if self.closest else ''}")
        return "\n".join(lines)


@edit
def replace_pattern(model: Model, pattern: str, replacement: Replacement, *,
                    where: Callable[[Match], bool] | None = None) -> Replaced:
    """Replace every match of a pattern, in all graphs and functions, from first to last; matches do not overlap.

    pattern      text; tensorwright.onnx.pattern.language describes the form
    replacement  text in the same form, over the names that the pattern found; its results take the places of the
                 pattern's, by name, or else in order. Or a function: match, Builder → new tensors.
    where        a further condition on matches
    Constants that only replaced nodes read go with them. A match stays when nodes outside it read its inner tensors, or
    these are outputs of the graph, unless the replacement makes a tensor of the inner one's name.
    """
    read = parse(pattern)
    new = parse(replacement) if isinstance(replacement, str) else None
    matcher = Matcher(model, read)
    if new is not None:
        _check(read, new)
    kept = [r for s in new.statements for r in s.results if r in read.made and r not in read.results] if new else []
    typed(model)
    done: list[str] = []
    refused: list[tuple[str, str]] = []
    names = Names.of(model)
    for node in model.all_nodes():
        match = matcher.at(node, where, kept) if node.graph is not None else None
        if match is None:
            continue
        shown = str(match)
        reason = match.blocked or _apply(model, match, names, read, new, replacement, kept)
        if reason:
            refused.append((shown, reason))
        else:
            done.append(shown)
    if done:
        settle_later(model)
    return Replaced(tuple(done), tuple(refused), matcher.closest[1])


@edit
def replace_node(model: Model, node: NodeKey, replacement: Replacement) -> None:
    """Replace one node. In a text, names are those of the operator's schema and of the model's tensors.

    replace_node(model, "relu", "Clip(X, 0, 6)")        X: Relu's operand, by the schema
    replace_node(model, "conv1", 'Conv("image", W, B, **node)')
    `**node` copies the node's attributes. A function gets a Match whose values have the schema's names.
    """
    from ..structure.schema import schema
    old = node_of(model, node)
    typed(model)
    known = schema(model, old.op_type, old.domain, old.graph)
    formals = [p.name for p in known.inputs] if known else []
    values: dict[str, onnx_ir.Value | None] = dict.fromkeys(formals)
    for k, value in enumerate(old.inputs):
        values[formals[k] if k < len(formals) else f"input{k}"] = value
    values["node"] = old.outputs[0]
    read = [v for v in old.outputs if v.uses() or v.is_graph_output()] or list(old.outputs[:1])
    match = Match((old,), values, {}, tuple(read))
    new = parse(replacement) if isinstance(replacement, str) else None
    if new is not None:
        known_names = {k for k, v in values.items() if v is not None or k in formals}
        for name in _free_names(new):
            if name not in known_names:
                raise ModelError(f"{named(old)} has no operand {name!r}", at=model.label,
                                 try_=", ".join(sorted(known_names - {"node"}))
                                 + '; a tensor of the model is named in quotes: "name"')
    reason = _apply(model, match, Names.of(model), None, new, replacement, [])
    if reason:
        raise ModelError(f"{named(old)} was not replaced: {reason}", at=model.label)
    settle_later(model)


def _free_names(new: Pattern) -> list[str]:
    made: set[str] = set()
    found = []
    for statement in new.statements:
        found += [n for n in names_in(statement.term) if n not in made]
        made |= set(statement.results)
    return found


def _check(old: Pattern, new: Pattern) -> None:
    """ModelError when the replacement reads names that the pattern does not bind, or gives other results."""
    bound = set(old.made) | {n for s in old.statements for n in names_in(s.term)}
    for name in _free_names(new):
        if name not in bound:
            raise ModelError(f"the replacement reads {name!r}, which the pattern does not name", pattern=old.text,
                             replacement=new.text, try_=", ".join(sorted(bound)))
        if name in old.made:
            raise ModelError(f"the replacement reads {name!r}, which the replaced nodes make", pattern=old.text,
                             replacement=new.text, try_=f"make {name!r} again in the replacement")
    many = sum(max(1, len(s.results)) for s in old.roots)
    given = [s for s in new.statements if not set(s.results) & {n for t in new.statements for n in names_in(t.term)}]
    by_name = set(old.results) <= {r for s in new.statements for r in s.results} and old.results
    if not by_name and sum(max(1, len(s.results)) for s in given) != many:
        raise ModelError(f"the pattern has {many} result{'s' * (many != 1)}, the replacement "
                         f"{sum(max(1, len(s.results)) for s in given)}", pattern=old.text, replacement=new.text)


def _apply(model: Model, match: Match, names: Names, old: Pattern | None, new: Pattern | None, replacement: Replacement,
           kept: Sequence[str]) -> str | None:
    """Put the replacement in the place of a match. Returns the reason when a function declines."""
    import onnx_ir
    graph = match.nodes[0].graph
    assert graph is not None
    build = Builder(model, graph, names)
    before = set(graph.initializers)
    made: dict[str, onnx_ir.Value | None] = {}
    results: list[Any]
    if new is not None:
        results = _build(model, build, match, new, old, made)
    else:
        answer = replacement(match, build)               # type: ignore[operator]
        if answer is None or isinstance(answer, str):
            for name in set(graph.initializers) - before:
                del graph.initializers[name]
            for node in build.nodes:
                detach(node)
            return answer or "the replacement function declines"
        results = list(answer) if isinstance(answer, (list, tuple)) else [answer]
    present = [v for v in results if v is not None]
    targets = match.results
    if old is None and len(present) == len(match.nodes[0].outputs):
        targets = tuple(match.nodes[0].outputs)          # of one node all results may be given, or those that are read
    if len(results) != len(targets) or len(present) != len(results):
        raise ModelError(f"{len(targets)} result{'s' * (len(targets) != 1)} must be replaced, there are "
                         f"{len(present)} new ones", at=model.label, match=str(match))
    last = match.nodes[-1]
    pairs: list[tuple[Any, Any]] = list(zip(targets, present, strict=True))
    pairs += [(match.values[name], made[name]) for name in kept]
    pairs = [(value, taker if isinstance(taker, onnx_ir.Value) else _constant(build, value, taker))
             for value, taker in pairs]
    last.prepend(build.nodes)
    for value, taker in pairs:
        if taker.producer() in build.nodes:
            taker.type, taker.shape = taker.type or value.type, taker.shape or value.shape
            _take_over(value, taker, names)
        else:
            redirect(model, value, taker, last, names)
    _dress(build.nodes, last)
    inputs = [v for n in match.nodes for v in n.inputs if v is not None]
    for node in match.nodes:
        detach(node)
    graph.remove(match.nodes)
    _drop_idle(inputs)
    return None


def _constant(build: Builder, old: onnx_ir.Value, values: Any) -> onnx_ir.Value:
    """A constant in the place of a tensor: plain numbers take its element type."""
    plain = not isinstance(values, (np.ndarray, np.generic))
    return build.weight(values, f"{old.name}_value", old.dtype if plain else None)


def _take_over(old: onnx_ir.Value, new: onnx_ir.Value, names: Names) -> None:
    """A new node's result takes the name and the readers of an old one, and its place among the graph's outputs."""
    if new.is_graph_output():
        raise ModelError(f"one tensor cannot be two outputs of the graph, {new.name!r} and {old.name!r}")
    name = old.name
    for user, index in old.uses():
        user.replace_input_with(index, new)
    graph = old.graph
    if old.is_graph_output() and graph is not None:
        for k, value in enumerate(graph.outputs):
            if value is old:
                graph.outputs[k] = new
    old.name = names.tensor(f"{name}_before")
    new.name = name
    new.metadata_props.update(old.metadata_props)


def _dress(nodes: Sequence[onnx_ir.Node], old: onnx_ir.Node) -> None:
    """The last new node has the old one's name, all have its metadata (where in the exporting code it comes from)."""
    real = [n for n in nodes if n.op_type != "Constant"]
    if real:
        real[-1].name = old.name
        old.name = None
    for node in nodes:
        for key, text in old.metadata_props.items():
            node.metadata_props.setdefault(key, text)


def _drop_idle(values: Sequence[onnx_ir.Value]) -> None:
    """Remove constants that nothing reads any more."""
    for value in dict.fromkeys(values):
        if value.uses() or value.is_graph_output() or value.is_graph_input() or constant(value) is None:
            continue
        node, graph = value.producer(), value.graph
        if graph is None:
            continue
        if node is not None:
            graph.remove(node)
        else:
            del graph.initializers[str(value.name)]


# building from text --------------------------------------------------------------------------------------------------
def _build(model: Model, build: Builder, match: Match, new: Pattern, old: Pattern | None,
           made: dict[str, onnx_ir.Value | None]) -> list[onnx_ir.Value | None]:
    """The nodes of a replacement. made: filled with its named results. Returns what replaces the match's results."""
    last: list[onnx_ir.Value | None] = []
    read = {n for s in new.statements for n in names_in(s.term)}
    for statement in new.statements:
        results = _term(model, build, match, statement.term, made, max(1, len(statement.results)))
        made.update((name, v) for name, v in zip(statement.results, results, strict=False) if name != "_")
        if not set(statement.results) & read:
            last += results
    if old is not None and old.results and all(name in made for name in old.results):
        return [made[name] for name in old.results]
    return last


def _term(model: Model, build: Builder, match: Match, term: Term, made: dict[str, onnx_ir.Value | None], count: int = 1,
          ) -> list[Any]:
    """The tensor (or plain numbers) of an operand; the results of a call."""
    if isinstance(term, Literal):
        return [build.weight(term.value, dtype=term.dtype) if term.dtype is not None else term.value]
    if isinstance(term, Operand):
        if term.name is None:
            raise ModelError("_ names nothing to build with", try_="name it in the pattern")
        if term.exact:
            return [build.operand(term.name)]
        return [made[term.name] if term.name in made else match.values.get(term.name)]
    if isinstance(term, Either) or len(term.ops) != 1 or term.rest:
        raise ModelError("a replacement says exactly what to build: no alternatives, no ... and no bare operators")
    operands = [_term(model, build, match, o, made)[0] for o in term.operands]
    attributes: dict[str, Any] = {}
    for name in term.copied:
        value = made.get(name, match.values.get(name))
        node = value.producer() if value is not None else None
        if node is None:
            raise ModelError(f"**{name}: no node makes it, there are no attributes to copy")
        if inner := subgraphs(node):
            raise ModelError(f"**{name}: {named(node)} holds the graph {inner[0].name!r}, which cannot be copied",
                             at=model.label, try_="a Python function as the replacement")
        attributes.update(node.attributes)
    for condition in term.conditions:
        value = condition.values[0]
        if condition.relation != "=" or len(condition.values) > 1 or value is ANY:
            raise ModelError(f"{condition.name}: a replacement sets attributes with =, to one value")
        if isinstance(value, Capture):
            if value.name not in match.attributes:
                raise ModelError(f"{condition.name}={value.name}: the pattern takes no attribute as {value.name!r}",
                                 try_="a text stands in quotes")
            value = match.attributes[value.name]
        attributes[condition.name] = value
    (domain, op_type), = term.ops
    node = build.node(op_type, operands, attributes, domain=domain, outputs=count)
    return list(node.outputs)
