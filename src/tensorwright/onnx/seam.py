"""The seam between two models: which tensors are connected, and whether they fit.

Dimensions are unified: a size in one model and a symbol in the other make the size; two symbols become one. Symbols of
the two models that happen to share a name and are not connected stay two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

from ..errors import ModelError
from .check import infer
from .model import Model

if TYPE_CHECKING:
    import onnx_ir

#: out → in, or out → several inputs: names of the first and of the second model
Connections = Mapping[str, Union[str, Sequence[str]]]


def connections(first: Model, second: Model, connect: Connections | None,
                ) -> list[tuple[onnx_ir.Value, onnx_ir.Value]]:
    """Pairs of a tensor of `first` and an input of `second` that it feeds.

    connect   names; a tensor of the first model is one of its outputs, inputs, or any other tensor of its main graph.
              None: the only output goes to the only input; else equal names are connected when all inputs of the
              second, or all outputs of the first, find theirs.
    Raises    ModelError when a name is unknown, an input is fed twice, or it is not clear what to connect.
    """
    if connect is None:
        connect = _obvious(first, second)
    given = {v.name: v for v in (*first.graph.inputs, *first.graph.initializers.values(),
                                 *(v for n in first.graph for v in n.outputs)) if v.name}
    taken = {v.name: v for v in second.graph.inputs}
    pairs: list[tuple[onnx_ir.Value, onnx_ir.Value]] = []
    for out, targets in connect.items():
        for target in [targets] if isinstance(targets, str) else targets:
            if out not in given:
                raise ModelError(f"there is no tensor {out!r} in the first model", at=first.label,
                                 outputs=_names(first.outputs))
            if target not in taken:
                raise ModelError(f"there is no input {target!r} in the second model", at=second.label,
                                 inputs=_names(second.inputs))
            if any(taken[target] is fed for _, fed in pairs):
                raise ModelError(f"input {target!r} of the second model would be fed twice", at=second.label)
            pairs.append((given[out], taken[target]))
    return pairs


def _obvious(first: Model, second: Model) -> dict[str, str]:
    outputs, inputs = [str(v.name) for v in first.outputs], [str(v.name) for v in second.inputs]
    if len(outputs) == 1 and len(inputs) == 1:
        return {outputs[0]: inputs[0]}
    same = set(outputs) & set(inputs)
    if same and (same == set(inputs) or same == set(outputs)):
        return {name: name for name in outputs if name in same}
    raise ModelError("it is not clear which output feeds which input", at=f"{first.label} → {second.label}",
                     outputs=_names(first.outputs), inputs=_names(second.inputs),
                     try_='connect={"output": "input"}, or --connect output=input')


class Dimensions:
    """What the dimensions of two models are in the model made of both.

    A dimension is a number, or (model, symbol) with model 0 or 1; `same` says that two are one.
    """

    def __init__(self) -> None:
        self.parent: dict[Any, Any] = {}

    def find(self, dim: Any) -> Any:
        while dim in self.parent:
            dim = self.parent[dim]
        return dim

    def same(self, a: Any, b: Any) -> bool:
        """False: they are different numbers."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        if isinstance(a, int) and isinstance(b, int):
            return False
        if isinstance(a, int) or (not isinstance(b, int) and a[0] < b[0]):
            a, b = b, a
        self.parent[a] = b                               # numbers win over symbols, the first model's over the second's
        return True


def unify(first: Model, second: Model, pairs: Sequence[tuple[onnx_ir.Value, onnx_ir.Value]]) -> None:
    """Check element types, ranks and shapes of the pairs, and write the unified dimensions into both models.

    Raises   ModelError with both sides of the seam when they do not fit.
    """
    if any(v.type is None or v.shape is None for v, _ in pairs):
        infer(first)
    dims = Dimensions()
    for given, taken in pairs:
        if given.type is not None and taken.type is not None and given.type != taken.type:
            raise _misfit(given, taken, "element types differ", "put a Cast between them")
        if given.shape is None or taken.shape is None:
            continue
        if len(given.shape) != len(taken.shape):
            raise _misfit(given, taken, f"{len(given.shape)} axes meet {len(taken.shape)}",
                          "reshape the tensor between them")
        for axis, (a, b) in enumerate(zip(given.shape, taken.shape, strict=True)):
            if (p := _key(0, a)) is None or (q := _key(1, b)) is None:
                continue
            if not dims.same(p, q):
                why = f"axis {axis} is {dims.find(p)} in one and {dims.find(q)} in the other"
                if not (isinstance(a, int) and isinstance(b, int)):
                    why += ", given the dimensions before it"
                raise _misfit(given, taken, why, _advice(given, taken))
    _rewrite(first, second, dims)


def _key(model: int, dim: Any) -> Any:
    """A number, (model, symbol), or None for an unknown dimension."""
    if isinstance(dim, int):
        return dim
    return None if dim.value is None else (model, dim.value)


def _misfit(given: onnx_ir.Value, taken: onnx_ir.Value, why: str, try_: str) -> ModelError:
    return ModelError(f"output {given.name!r} does not fit input {taken.name!r}: {why}", first=described(given),
                      second=described(taken), try_=try_)


def _advice(given: onnx_ir.Value, taken: onnx_ir.Value) -> str:
    a, b = [[str(d) for d in v.shape] for v in (given, taken) if v.shape is not None]
    if sorted(a) == sorted(b):
        return "the axes are in another order: put a Transpose between them"
    return "make the dimensions agree, or dynamic, in one of the models"


def described(value: onnx_ir.Value) -> str:
    """float32 (batch, 3, 224, 224)"""
    kind = value.dtype.name.lower() if value.dtype is not None else str(value.type or "unknown type")
    kind = {"float": "float32", "double": "float64"}.get(kind, kind)
    if value.shape is None:
        return f"{kind}, shape unknown"
    return f"{kind} ({', '.join(str(d) if isinstance(d, int) else d.value or '?' for d in value.shape)})"


def _names(values: Sequence[onnx_ir.Value]) -> str:
    return ", ".join(f"{v.name} {described(v)}" for v in values) or "none"


def _rewrite(first: Model, second: Model, dims: Dimensions) -> None:
    used = {s for s in symbols(first)}
    new: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for model in (first, second):
        side = 0 if model is first else 1
        for symbol in sorted(symbols(model)):
            root = dims.find((side, symbol))
            if isinstance(root, int):
                new[side][symbol] = root
            elif root[0] == 0:
                new[side][symbol] = root[1]
            else:                                        # the second model's own: it may not look like the first's
                name, count = root[1], 2
                while name in used:
                    name, count = f"{root[1]}_{count}", count + 1
                new[side][symbol] = name
    substitute(first, new[0])
    substitute(second, new[1])


def symbols(model: Model) -> set[str]:
    """Names of dynamic dimensions, expressions among them."""
    return {d.value for _, shape in _shapes(model) for d in shape if not isinstance(d, int) and d.value}


def substitute(model: Model, new: Mapping[str, Union[int, str]]) -> None:
    """Replace symbols by numbers or other symbols, in all shapes of the model.

    Inside an expression ("2*batch") names are exchanged; where a number would get into one, the dimension becomes
    unknown, and shape inference finds it again.
    """
    import onnx_ir

    new = {old: value for old, value in new.items() if old != value}
    if not new:
        return
    names = "|".join(re.escape(name) for name in sorted(new, key=len, reverse=True))
    words = re.compile(rf"(?<![\w.])({names})(?![\w.])")

    def changed(dim: Any) -> Any:
        if isinstance(dim, int) or dim.value is None:
            return dim
        if dim.value in new:
            found = new[dim.value]
            return found if isinstance(found, int) else onnx_ir.SymbolicDim(found)
        inner = words.findall(dim.value)
        if any(isinstance(new[w], int) for w in inner):
            return onnx_ir.SymbolicDim(None)
        return onnx_ir.SymbolicDim(words.sub(lambda m: str(new[m.group(1)]), dim.value)) if inner else dim

    for value, shape in list(_shapes(model)):
        value.shape = onnx_ir.Shape([changed(d) for d in shape], [shape.get_denotation(i) for i in range(len(shape))])


def _shapes(model: Model) -> Iterator[tuple[onnx_ir.Value, onnx_ir.Shape]]:
    for graph in model.graphs():
        for value in (*graph.inputs, *(v for n in graph for v in n.outputs)):
            if value.shape is not None:
                yield value, value.shape
