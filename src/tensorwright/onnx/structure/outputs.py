"""Outputs of a model: adding, removing; and cutting a part of a model out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...errors import ModelError
from ..check import infer
from ..edit import edit, editing
from ..model import Model
from .schema import element_type
from .unused import remove_unused
from .walk import Names, captured, named, owners, readers, type_text, value_of

if TYPE_CHECKING:
    import onnx_ir

    from .walk import TensorKey


@edit
def add_output(model: Model, tensor: TensorKey, *, name: str | None = None, dtype: str | None = None,
               shape: Sequence[int | str | None] | None = None) -> onnx_ir.Value:
    """Make a tensor an output of the model, after those it has.

    name     of the output; the tensor keeps its own, and an Identity copies it. None: the tensor's name
    dtype    the element type, and shape, where inference does not know them: results of custom operators. Sizes are
             numbers, names, or None
    Inputs and weights become outputs through an Identity, too, so they need a name.
    Raises   ModelError for tensors inside subgraphs and functions, and for those that are outputs already.
    """
    import onnx_ir
    value = value_of(model, tensor)
    if value.graph is not model.graph:
        owner = owners(model).get(value.graph)           # type: ignore[arg-type]
        raise ModelError(f"{value.name!r} lies inside " + (named(owner) if owner is not None else "a function")
                         + ": only tensors of the main graph can be outputs", at=model.label,
                         try_="make it a result of that node first" if owner is not None else None)
    if value.is_graph_output() and name in (None, value.name):
        raise ModelError(f"{value.name!r} is an output already", at=model.label)
    if value.producer() is None and name in (None, value.name):
        what = "input" if value.is_graph_input() else "initialiser"
        raise ModelError(f"{value.name!r} is an {what}: as an output it "
                         "needs a name of its own", at=model.label, try_=f"name='{value.name}_copy'")
    if name is not None and name != value.name and name in model.values():
        raise ModelError(f"there is a tensor {name!r} already", at=model.label)
    if value.type is None or value.shape is None:
        infer(model)
    if value.type is None and dtype is not None:
        value.type = onnx_ir.TensorType(element_type(dtype))
    if value.shape is None and shape is not None:
        value.shape = onnx_ir.Shape(shape)
    if value.type is None or value.shape is None:
        raise ModelError(f"{value.name!r} is {type_text(value)}: an output's type must be known", at=model.label,
                         try_='dtype="float32", shape=["batch", None], or whatever they are')
    if name is not None and name != value.name:
        copy = onnx_ir.Value(name=name, type=value.type, shape=value.shape)
        model.graph.append(onnx_ir.Node("", "Identity", [value], outputs=[copy], name=Names.of(model).node(name)))
        value = copy
    model.graph.outputs.append(value)
    return value


@edit
def remove_output(model: Model, name: TensorKey, *, prune: bool = True) -> None:
    """Remove an output; with it (prune) the nodes and weights that only it needed.

    Raises   ModelError when there is no such output, or it is the only one.
    """
    value = _output(model, name)
    if len(set(model.graph.outputs)) == 1:
        raise ModelError(f"{value.name!r} is the model's only output", at=model.label)
    for k in reversed([k for k, v in enumerate(model.graph.outputs) if v is value]):
        model.graph.outputs.pop(k)
    if prune:
        remove_unused(model)


@edit
def reorder_outputs(model: Model, names: Sequence[str]) -> None:
    """Put the outputs into this order; all of them must be named."""
    values = [_output(model, name) for name in names]
    if len(values) != len(model.graph.outputs) or set(values) != set(model.graph.outputs):
        raise ModelError("the order must name every output once", at=model.label,
                         outputs=", ".join(str(v.name) for v in model.outputs))
    model.graph.outputs[:] = values


def _output(model: Model, key: TensorKey) -> onnx_ir.Value:
    names = ", ".join(str(v.name) for v in model.outputs)
    value = value_of(model, key) if not isinstance(key, str) or key in model.values() else None
    if value is None or value not in model.graph.outputs:
        raise ModelError(f"there is no output {key if isinstance(key, str) else key.name!r}"
                         + (f": {readers(value)}" if value is not None else ""), at=model.label, outputs=names)
    return value


def extract(model: Model, inputs: Iterable[str] | None, outputs: Iterable[str]) -> Model:
    """The part of a model that computes `outputs` from `inputs`, as a model of its own that shares the weights' bytes.

    inputs    names of tensors anywhere in the main graph; those that nodes made are fed by the user now. None: the
              inputs of the model that the outputs need
    Raises    ModelError when the outputs need inputs that are not named (it names them), when an input leads to none of
              the outputs, and when an input's type is not known.
    """
    part = model.clone()
    outputs, given = list(outputs), None if inputs is None else list(inputs)
    if not outputs:
        raise ModelError("a model needs an output", at=model.label)
    results = [_main(part, name) for name in outputs]
    if len(set(results)) != len(results):
        raise ModelError("an output is named twice", at=model.label, outputs=", ".join(outputs))
    cut = [_main(part, name) for name in given or []]
    if any(v.type is None or v.shape is None for v in (*cut, *results)):
        infer(part)
    need, read = _needed(results, set(cut))
    if given is not None and need:
        raise ModelError(f"{', '.join(map(repr, outputs))} cannot be computed from "
                         f"{', '.join(map(repr, given)) or 'nothing'}", at=model.label,
                         missing=", ".join(f"{v.name!r} {type_text(v)}" for v in need),
                         try_="name them as inputs, too, or cut at tensors behind them")
    for value in cut:
        if value not in read:
            raise ModelError(f"{value.name!r} leads to none of the outputs", at=model.label, try_="leave it out")
    for value in (*cut, *results):
        if value.type is None or value.shape is None:
            raise ModelError(f"{value.name!r} is {type_text(value)}: the type of an input or output must be known",
                             at=model.label, try_="cut at another tensor")
    with editing(part):
        _cut(part, cut if given is not None else need, results)
        remove_unused(part)
    return part


def _main(model: Model, name: str) -> onnx_ir.Value:
    value = value_of(model, name)
    if value.graph is not model.graph:
        raise ModelError(f"{name!r} lies inside a subgraph or a function: a model is cut in its main graph",
                         at=model.label)
    return value


def _needed(results: Iterable[onnx_ir.Value], cut: set[onnx_ir.Value],
            ) -> tuple[list[onnx_ir.Value], set[onnx_ir.Value]]:
    """(what the user must feed to compute the results, `cut` apart; all tensors on the way)."""
    need: dict[onnx_ir.Value, None] = {}
    seen: set[onnx_ir.Value] = set()
    rest = list(results)
    while rest:
        value = rest.pop()
        if value in seen:
            continue
        seen.add(value)
        if value in cut:
            continue
        made = value.producer()
        if made is not None:
            rest += captured(made)
        elif value.is_graph_input() and not value.is_initializer():
            need[value] = None
    return list(need), seen


def _cut(model: Model, inputs: Sequence[onnx_ir.Value], results: Sequence[onnx_ir.Value]) -> None:
    """Make these tensors the graph's inputs and outputs. Inputs that nodes made are new tensors of the same name."""
    import onnx_ir
    graph = model.graph
    names = Names(model)
    fresh: dict[onnx_ir.Value, onnx_ir.Value] = {}
    graph.outputs.clear()
    for value in inputs:
        if value.producer() is None:
            graph.initializers.pop(str(value.name), None)
            fresh[value] = value
            continue
        name = value.name
        new = fresh[value] = onnx_ir.Value(name=name, type=value.type, shape=value.shape, doc_string=value.doc_string,
                                           metadata_props=dict(value.metadata_props))
        new.meta.update(value.meta)
        for user, index in value.uses():
            user.replace_input_with(index, new)
        value.name = names.tensor(f"{name}_before")
    kept = [v for v in graph.inputs if v.is_initializer() and v not in fresh.values()]
    graph.inputs[:] = [*fresh.values(), *kept]
    for value in results:
        taker = fresh.get(value, value)
        if taker.producer() is None:                     # an input or a weight: a copy, so that both have a name
            name = str(taker.name)
            copy = onnx_ir.Value(name=names.tensor(f"{name}_out"), type=taker.type, shape=taker.shape)
            graph.append(onnx_ir.Node("", "Identity", [taker], outputs=[copy], name=names.node(f"{name}_out")))
            taker = copy
        graph.outputs.append(taker)
