"""Finding patterns in graphs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..model import Model
from ..structure.attributes import default_values, plain
from ..structure.settle import typed
from ..structure.tensors import array
from ..structure.walk import named, readers
from .conditions import accepts, equals, fixed, is_of
from .language import parse
from .terms import Call, Condition, Either, Literal, Operand, Pattern, Statement, Term, names_in

if TYPE_CHECKING:
    import onnx_ir

#: Operators whose operands may stand in any order.
COMMUTATIVE = frozenset({"Add", "Mul", "And", "Or", "Xor", "Equal", "Max", "Min", "Sum", "Mean", "BitwiseAnd",
                         "BitwiseOr", "BitwiseXor"})
#: Orders of more operands are not tried: the first one has to do.
MOST_ORDERED = 5


@dataclass(frozen=True)
class Match:
    """A place in the model where the pattern fits.

    nodes       the matched nodes, in the order of the graph
    values      name → tensor; None for an optional operand that is absent
    attributes  name → what a condition took
    results     the tensors that are the pattern's results
    blocked     why the nodes cannot be replaced, or None
    """

    nodes: tuple[onnx_ir.Node, ...]
    values: dict[str, onnx_ir.Value | None]
    attributes: dict[str, Any]
    results: tuple[onnx_ir.Value, ...]
    blocked: str | None = None

    def __getitem__(self, name: str) -> Any:
        """The tensor or attribute of this name."""
        return self.values[name] if name in self.values else self.attributes[name]

    def constant(self, name: str) -> np.ndarray:
        """The content of a tensor that is constant."""
        content = fixed(self.values[name])
        if content is None:
            raise ModelError(f"{name!r} of the pattern is not constant here",
                             try_=f"write {name}: const in the pattern")
        return array(content)

    def __str__(self) -> str:
        tensors = ", ".join(f"{k} = {v.name if v is not None else 'absent'}" for k, v in self.values.items())
        taken = ", ".join(f"{k} = {v}" for k, v in self.attributes.items())
        return " -> ".join(named(n) for n in self.nodes) + f": {', '.join(filter(None, [tensors, taken]))}"


@dataclass(frozen=True)
class State:
    """What is known on the way to a match."""

    values: dict[str, onnx_ir.Value | None]
    attributes: dict[str, Any]
    calls: dict[Call, onnx_ir.Node]

    def bind(self, name: str, value: onnx_ir.Value | None) -> State:
        return State({**self.values, name: value}, self.attributes, self.calls)

    def place(self, call: Call, node: onnx_ir.Node) -> State:
        return State(self.values, self.attributes, {**self.calls, call: node})


def find_pattern(model: Model, pattern: str, *, where: Callable[[Match], bool] | None = None) -> list[Match]:
    """All places where a pattern fits, in all graphs and functions, in the order of their last nodes; they may overlap.

    pattern   text; tensorwright.onnx.pattern.language describes the form
    where     a further condition
    A match whose inner tensors are read from outside, or are outputs of the graph, says so in `blocked`.
    """
    matcher = Matcher(model, parse(pattern))
    if ":" in pattern or where is not None:
        typed(model)                                     # kinds ask for types and shapes
    return [m for node in model.all_nodes() if (m := matcher.at(node, where)) is not None]


class Matcher:
    """One pattern, to be tried at many nodes. `closest` is how far the best failure came, and why."""

    def __init__(self, model: Model, pattern: Pattern) -> None:
        self.model, self.pattern = model, pattern
        self.closest: tuple[int, str] = (-1, "")
        self._defaults: dict[tuple[str, str, Any], dict[str, Any]] = {}
        for statement in pattern.statements:
            if not isinstance(statement.term, (Call, Either)):
                raise ModelError("a pattern consists of operators; this line has none", pattern=pattern.text)
            if (copied := next(_copies(statement.term), None)) is not None:
                raise ModelError(f"**{copied} copies attributes: that is for replacements", pattern=pattern.text)
        if (circle := in_circle(pattern)) is not None:
            raise ModelError(f"the lines of the pattern make {circle!r} from itself", pattern=pattern.text)
        bound = set(names_in(pattern.roots[0].term)) | set(pattern.roots[0].results)
        bound |= {n for name in list(bound) if name in pattern.made for n in names_in(pattern.made[name][0])}
        for statement in pattern.roots[1:]:
            if not bound & set(names_in(statement.term)):
                raise ModelError("the lines of the pattern have no tensor in common", pattern=pattern.text)
            bound |= set(names_in(statement.term))

    def at(self, node: onnx_ir.Node, where: Callable[[Match], bool] | None = None, kept: Sequence[str] = (),
           ) -> Match | None:
        """The first match whose first root is this node, one that is not blocked if there is; None: there is none.

        kept   results inside the pattern that whoever replaces it makes again: others may read them
        """
        blocked = None
        for state in self._roots(self.pattern.roots, State({}, {}, {}), node):
            match = self._match(state, kept)
            if where is not None and not where(match):
                self._missed(90, f"at {named(node)} the condition `where` does not hold")
            elif match.blocked is None:
                return match
            else:
                blocked = blocked or match
        return blocked

    def _roots(self, roots: Sequence[Statement], state: State, node: onnx_ir.Node | None) -> Iterator[State]:
        """States in which all roots have their node; the first one's is given."""
        if not roots:
            yield state
            return
        candidates = [node] if node is not None else self._near(roots[0].term, state)
        for candidate in candidates:
            for found in self._node(roots[0].term, candidate, self._named(roots[0], candidate, state)):
                yield from self._roots(roots[1:], found, None)

    def _near(self, term: Term, state: State) -> list[onnx_ir.Node]:
        """Nodes that may be this root: those that a tensor bound already leads to, in as many steps as the term has."""
        depth, start = min(((d, n) for n, d in _depths(term) if state.values.get(n) is not None), default=(0, ""))
        level: list[onnx_ir.Node] = list(state.values[start].consumers()) if start else []  # type: ignore[union-attr]
        for _ in range(depth - 1):
            level = list(dict.fromkeys(after for n in level for after in n.successors()))
        return [n for n in level if n not in state.calls.values()]

    def _named(self, statement: Statement, node: onnx_ir.Node, state: State) -> State:
        for k, name in enumerate(statement.results):
            if name != "_" and k < len(node.outputs):
                state = state.bind(name, node.outputs[k])
        return state

    # terms -----------------------------------------------------------------------------------------------------------
    def _operand(self, term: Term, value: onnx_ir.Value | None, reader: onnx_ir.Node, state: State) -> Iterator[State]:
        if isinstance(term, Either):
            for option in term.options:
                yield from self._operand(option, value, reader, state)
        elif isinstance(term, Literal):
            if equals(term, value):
                yield state
            else:
                self._missed(len(state.calls), f"{named(reader)} does not have the constant {term.value} as an operand")
        elif isinstance(term, Call):
            made = value.producer() if value is not None else None
            if made is not None and made.graph is reader.graph and made.outputs[0] is value:
                yield from self._node(term, made, state)
            else:
                self._missed(len(state.calls), f"an operand of {named(reader)} is not made by {term}")
        elif value is None:
            if term.optional and (term.name is None or state.values.get(term.name) is None):
                yield state if term.name is None else state.bind(term.name, None)
            else:
                self._missed(len(state.calls), f"{named(reader)} lacks an operand")
        elif term.exact:
            if value.name == term.name and is_of(term.kind, value):
                yield state
        else:
            yield from self._tensor(term, value, reader, state)

    def _tensor(self, term: Operand, value: onnx_ir.Value, reader: onnx_ir.Node, state: State) -> Iterator[State]:
        """A named tensor, or any."""
        name = term.name
        if not is_of(term.kind, value):
            self._missed(len(state.calls), f"{value.name!r}, which {named(reader)} reads, is not of the kind asked for")
        elif name is None:
            yield state
        elif name in state.values:
            if state.values[name] is value:
                yield state
            else:
                self._missed(len(state.calls), f"{named(reader)} reads {value.name!r}, and not again what {name!r} is")
        elif name in self.pattern.made:
            call, index = self.pattern.made[name]
            made = value.producer()
            if made is not None and made.graph is reader.graph and index < len(made.outputs) \
                    and made.outputs[index] is value:
                statement = next(s for s in self.pattern.statements if name in s.results)
                yield from self._node(call, made, self._named(statement, made, state))
            else:
                self._missed(len(state.calls), f"{named(reader)} does not read what {name!r} makes")
        else:
            yield state.bind(name, value)

    def _node(self, term: Term, node: onnx_ir.Node, state: State) -> Iterator[State]:
        if isinstance(term, Either):
            for option in term.options:
                yield from self._node(option, node, state)
            return
        if not isinstance(term, Call):
            return
        if term in state.calls:
            if state.calls[term] is node:
                yield state
            return
        if term.ops and (node.domain, node.op_type) not in term.ops:
            self._missed(len(state.calls), f"{named(node)} stands where {term} should" if state.calls else "")
            return
        after: State | None = state.place(term, node)
        for condition in term.conditions:
            after = self._condition(condition, node, after) if after is not None else None
        if after is None:
            return
        inputs = list(node.inputs)
        while inputs and inputs[-1] is None:
            inputs.pop()
        if len(inputs) > len(term.operands) and not term.rest:
            self._missed(len(after.calls), f"{named(node)} has {len(inputs)} operands, the pattern "
                                           f"{len(term.operands)} and no ...")
            return
        for order in orders(node, inputs):
            yield from self._operands(term.operands, order, node, after)

    def _operands(self, terms: Sequence[Term], inputs: Sequence[onnx_ir.Value | None], node: onnx_ir.Node, state: State,
                  ) -> Iterator[State]:
        if not terms:
            yield state
            return
        first = inputs[0] if inputs else None
        for found in self._operand(terms[0], first, node, state):
            yield from self._operands(terms[1:], inputs[1:], node, found)

    def _condition(self, condition: Condition, node: onnx_ir.Node, state: State) -> State | None:
        """The state, with what the condition takes; None when it does not hold."""
        key = (node.domain, node.op_type, node.graph)
        if key not in self._defaults:
            self._defaults[key] = default_values(self.model, node)
        name = condition.name
        value = plain(node.attributes[name]) if name in node.attributes else self._defaults[key].get(name)
        taken = accepts(condition, value, state.attributes)
        if taken is None:
            self._missed(len(state.calls), f"{named(node)} has {name} = {value}")
            return None
        return State(state.values, {**state.attributes, **taken}, state.calls)

    def _match(self, state: State, kept: Sequence[str]) -> Match:
        inside = set(state.calls.values())
        first = next(iter(inside)).graph
        assert first is not None
        nodes = tuple(n for n in first if n in inside) if len(inside) > 1 else tuple(inside)
        results = []
        for statement in self.pattern.roots:
            made = state.calls[_chosen(statement.term, state)]
            results += list(made.outputs[: max(1, len(statement.results))])
        again = {state.values.get(name) for name in kept}
        blocked = None
        for node in nodes:
            for value in node.outputs:
                if value in results or value in again:
                    continue
                outside = [u for u in value.consumers() if u not in inside]
                if outside or value.is_graph_output():
                    blocked = blocked or f"{value.name!r}, inside the match, is needed: {readers(value)}"
        return Match(nodes, state.values, state.attributes, tuple(results), blocked)

    def _missed(self, depth: int, reason: str) -> None:
        if depth > self.closest[0]:
            self.closest = (depth, reason)


def in_circle(pattern: Pattern) -> str | None:
    """A name that the line making it reads, directly or through other lines."""
    for name, (term, _) in pattern.made.items():
        seen: set[str] = set()
        rest = list(names_in(term))
        for read in rest:
            if read == name:
                return name
            if read in pattern.made and read not in seen:
                seen.add(read)
                rest += names_in(pattern.made[read][0])
    return None


def orders(node: onnx_ir.Node, inputs: list[onnx_ir.Value | None]) -> Iterator[Sequence[onnx_ir.Value | None]]:
    """The orders in which a node's operands may be read."""
    if node.op_type in COMMUTATIVE and node.domain == "" and 1 < len(inputs) <= MOST_ORDERED:
        yield from itertools.permutations(inputs)
    else:
        yield inputs


def _chosen(term: Term, state: State) -> Call:
    """The call that a root was matched by."""
    if isinstance(term, Call):
        return term
    assert isinstance(term, Either)
    return next(_chosen(o, state) for o in term.options if _calls(o) & set(state.calls))


def _calls(term: Term) -> set[Call]:
    if isinstance(term, Call):
        return {term}
    return set().union(*(_calls(o) for o in term.options)) if isinstance(term, Either) else set()


def _depths(term: Term, depth: int = 0) -> Iterator[tuple[str, int]]:
    """name → how many nodes from its tensor to the root."""
    if isinstance(term, Operand) and term.name and not term.exact:
        yield term.name, depth
    for inner in term.operands if isinstance(term, Call) else term.options if isinstance(term, Either) else ():
        yield from _depths(inner, depth + isinstance(term, Call))


def _copies(term: Term) -> Iterator[str]:
    if isinstance(term, Call):
        yield from term.copied
        for operand in term.operands:
            yield from _copies(operand)
    elif isinstance(term, Either):
        for option in term.options:
            yield from _copies(option)
