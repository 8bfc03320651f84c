"""Two models become one: `merge`, and `prepend` and `append` for what comes before and after a model.

    both = onnx.merge(detector, tracker, {"boxes": "detections"})
    onnx.prepend(model, onnx.pieces.image(model, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
    onnx.append(model, onnx.pieces.softmax(model))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .check import check, infer
from .edit import edit
from .levels import level
from .model import Model
from .seam import Connections, connections, unify

if TYPE_CHECKING:
    import onnx_ir


def merge(first: Model, second: Model, connect: Connections | None = None, *, prefix: str | None = None,
          keep: Sequence[str] = ()) -> Model:
    """A new model: `first`, whose outputs feed inputs of `second`. Both stay as they are.

    Its inputs are those of the first and the unconnected ones of the second; its outputs the unconnected ones of the
    first, then those of the second.

    connect   {output of the first: input of the second, or several}. The key may also be an input of the first, for
              one both shall read, or any other tensor of its main graph. {}: side by side. None: the only output to the
              only input, or equal names when all of one side find theirs.
    prefix    put before every name of the second model; None: only before names that the first model has as well
    keep      connected outputs of the first model that stay outputs
    Raises    ModelError when element types, ranks or shapes disagree at the seam, operator sets cannot be brought to
              one version, or it is not clear what to connect.
    """
    return _joined(first, second, connect, 1, prefix, keep)


@edit
def prepend(model: Model, pre: Model, connect: Connections | None = None, *, prefix: str | None = None,
            keep: Sequence[str] = ()) -> None:
    """Put `pre` before the model: its outputs feed the model's inputs. Arguments as for `merge`, connect from `pre` to
    the model; on a clash the names of `pre` give way."""
    model.ir = _joined(pre, model, connect, 0, prefix, keep).ir


@edit
def append(model: Model, post: Model, connect: Connections | None = None, *, prefix: str | None = None,
           keep: Sequence[str] = ()) -> None:
    """Put `post` behind the model: the model's outputs feed its inputs. Arguments as for `merge`."""
    model.ir = _joined(model, post, connect, 1, prefix, keep).ir


def _joined(first: Model, second: Model, connect: Connections | None, guest: int, prefix: str | None,
            keep: Sequence[str]) -> Model:
    """guest: which of the two (0, 1) gives way when names clash; the other lends label and metadata."""
    first, second = first.clone(), second.clone()
    host = (second, first)[guest]
    level(first, second)
    pairs = connections(first, second, connect)
    _check_kept(first, keep)
    unify(first, second, pairs)
    _rename(host, (first, second)[guest], {v for _, v in pairs}, prefix)
    _adopt_functions(first, second)
    for given, taken in pairs:
        _reroute(second, given, taken)
    fed = {given for given, _ in pairs}
    outputs = [v for v in first.outputs if v not in fed or v.name in keep] + list(second.outputs)
    inputs = [v for v in second.graph.inputs if not any(v is taken for _, taken in pairs)]
    _move(second, first, inputs)
    first.graph.outputs.clear()
    first.graph.outputs.extend(outputs)
    _describe(first, second, host)
    result = Model(first.ir, host.label, host.base, host.external)
    infer(result)
    check(result)
    return result


def _check_kept(first: Model, keep: Sequence[str]) -> None:
    outputs = [v.name for v in first.outputs]
    for name in keep:
        if name not in outputs:
            raise ModelError(f"cannot keep {name!r}: the first model has no such output", at=first.label,
                             outputs=outputs)


def _reroute(second: Model, given: onnx_ir.Value, taken: onnx_ir.Value) -> None:
    """What read the input `taken` reads `given`; an output that was the input itself becomes an Identity of it."""
    import onnx_ir
    for place, output in enumerate(second.graph.outputs):
        if output is taken:
            copy = onnx_ir.Node("", "Identity", [given], name=f"{taken.name}/Identity")
            copy.outputs[0].name, copy.outputs[0].type, copy.outputs[0].shape = taken.name, taken.type, taken.shape
            second.graph.append(copy)
            second.graph.outputs[place] = copy.outputs[0]
    taken.replace_all_uses_with(given)
    second.graph.initializers.pop(str(taken.name), None)   # its default value is of no use any more


def _move(source: Model, target: Model, inputs: list[onnx_ir.Value]) -> None:
    """All nodes and initialisers of source's main graph, and these of its inputs, go to target's."""
    weights = list(source.graph.initializers.values())
    nodes = list(source.graph)
    source.graph.outputs.clear()
    source.graph.inputs.clear()
    source.graph.initializers.clear()
    source.graph.remove(nodes)
    target.graph.inputs.extend(inputs)
    for value in weights:
        target.graph.register_initializer(value)
    target.graph.extend(nodes)


# names ---------------------------------------------------------------------------------------------------------------
def _rename(host: Model, guest: Model, vanishing: set[onnx_ir.Value], prefix: str | None) -> None:
    """Give the guest's tensors and nodes names that the host does not have. `vanishing` inputs need none."""
    guests, hosts = _tensors(guest, vanishing), _tensors(host, vanishing)
    taken = {str(v.name) for v in hosts}
    before = prefix if prefix is not None else _own_prefix(guest, taken | {str(v.name) for v in guests})
    names = {str(v.name) for v in guests}
    new = {name: before + name for name in names if prefix is not None or name in taken}
    if clash := sorted((taken | names - set(new)) & set(new.values())):
        raise ModelError(f"with the prefix {prefix!r} both models have a tensor {clash[0]!r}", at=guest.label,
                         try_="another prefix, or none: names that clash are changed then")
    for value in guests:
        if value.name in new:
            value.name = new[value.name]
    nodes = {n.name for n in host.all_nodes()}
    for node in guest.all_nodes():
        if node.name and (prefix is not None or node.name in nodes):
            node.name = before + node.name


def _tensors(model: Model, without: set[onnx_ir.Value]) -> list[onnx_ir.Value]:
    """Named tensors of the main graph and the graphs inside its nodes; functions have names of their own."""
    functions = {id(g) for f in model.ir.functions.values() for g in [f, *_below(f)]}
    found: dict[int, onnx_ir.Value] = {}
    for graph in model.graphs():
        if id(graph) not in functions:
            for value in (*graph.inputs, *getattr(graph, "initializers", {}).values(),
                          *(v for n in graph for v in n.outputs)):
                if value.name and value not in without:
                    found[id(value)] = value
    return list(found.values())


def _below(graph: Any) -> Iterator[Any]:
    from .model import subgraphs
    for node in graph:
        for inner in subgraphs(node):
            yield inner
            yield from _below(inner)


def _own_prefix(guest: Model, names: set[str]) -> str:
    """The guest's name and a slash, with a number where a tensor begins like that already."""
    stem = PurePath(guest.label).stem if guest.label != "model" else guest.graph.name or "model"
    prefix, count = f"{stem}/", 2
    while any(n.startswith(prefix) for n in names):
        prefix, count = f"{stem}_{count}/", count + 1
    return prefix


# the rest of a model -------------------------------------------------------------------------------------------------
def _adopt_functions(first: Model, second: Model) -> None:
    """The second model's functions become the first's; one with the name of another and a different body is renamed."""
    functions = first.ir.functions
    renamed: dict[Any, str] = {}
    for key, function in list(second.ir.functions.items()):
        if key in functions and _encoded(functions[key]) != _encoded(function):
            count = 2
            while (key[0], f"{key[1]}_{count}", key[2]) in {*functions, *second.ir.functions}:
                count += 1
            renamed[key] = f"{key[1]}_{count}"
    for node in second.all_nodes() if renamed else ():
        if (other := renamed.get((node.domain, node.op_type, node.overload))) is not None:
            node.op_type = other
    for key, function in list(second.ir.functions.items()):
        if key in renamed:
            function.name = renamed[key]
        functions.setdefault(function.identifier(), function)


def _encoded(function: onnx_ir.Function) -> bytes:
    import onnx_ir
    return onnx_ir.to_proto(function).SerializeToString(deterministic=True)


def _describe(result: Model, second: Model, host: Model) -> None:
    """The host's description; of the other's metadata, what the host does not say itself."""
    other = second if host is result else result
    kept = {**other.ir.metadata_props, **host.ir.metadata_props}
    graph = {**other.graph.metadata_props, **host.graph.metadata_props}
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        setattr(result.ir, field, getattr(host.ir, field))
    result.graph.name, result.graph.doc_string = host.graph.name, host.graph.doc_string
    result.ir.metadata_props.update(kept)
    result.graph.metadata_props.update(graph)
