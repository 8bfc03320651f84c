"""Dimensions of the model's inputs: numbers ↔ names, other batches, and all that was computed from the old ones.

    set_dims(model, {"image": ["batch", 3, "height", "width"]})       static → dynamic
    set_dims(model, {"image": [8, 3, 224, 224]})                      dynamic → static
    set_batch(model, "batch")

Exporters write the shapes of the example into the model. The nodes are read twice, with the old and the new dimensions;
where a constant holds an old dimension it is repaired (repair.py), and what cannot be is refused, with node and reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

from ..dims import Dim, Expr, substitute, symbol, symbols
from ..errors import ModelError, TensorwrightError
from ..importer.expand import type_code
from ..importer.values import Decline
from ..ir import OpaqueType, TensorType
from .check import infer
from .edit import edit
from .fold import fix_initialisers
from .meaning import Meaning
from .model import Model, subgraphs
from .repair import Repair
from .rewire import label
from .storage import reason

if TYPE_CHECKING:
    import onnx_ir

#: What a user says of a dimension: a number, a name, or None to leave it.
UserDim = Union[int, str, None]


@dataclass
class Redimensioned:
    """repaired: node → what was changed there. shapes: inputs and outputs as they are now."""

    repaired: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int | str, ...]] = field(default_factory=dict)


@edit
def set_batch(model: Model, batch: int | str, *, inputs: Sequence[str] | None = None) -> Redimensioned:
    """Set the first dimension: of these inputs, or of all that have the first input's.

    Raises   ModelError where a shape in the model cannot follow, or an output loses the batch.
    """
    chosen = [v for v in model.inputs if inputs is None or v.name in inputs]
    if missing := set(inputs or ()) - {str(v.name) for v in chosen}:
        raise ModelError(f"{', '.join(sorted(missing))} is not an input", at=model.label,
                         inputs=", ".join(str(v.name) for v in model.inputs))
    chosen = [v for v in chosen if v.shape is not None and len(v.shape) > 0]
    if not chosen:
        raise ModelError("no input has a first dimension", at=model.label)
    if inputs is None:
        chosen = [v for v in chosen if v.shape[0] == chosen[0].shape[0]]  # type: ignore[index]
    report = set_dims(model, {str(v.name): [batch, *[None] * (len(v.shape) - 1)] for v in chosen})  # type: ignore[arg-type]
    for value in model.outputs:
        shape = report.shapes.get(str(value.name), ())
        if isinstance(batch, str) and shape and not any(isinstance(d, str) for d in shape):
            raise ModelError(f"output {value.name!r} {shape} does not depend on the batch", at=model.label,
                             try_="set_dims, when this is meant")
    return report


@edit
def set_dims(model: Model, dims: Mapping[str, Sequence[UserDim]]) -> Redimensioned:
    """Set dimensions of inputs, refresh all shapes, and repair the constants that hold the old ones.

    dims     input → one entry per axis: a number, a name (equal names are equal dimensions), None: as it is
    Raises   ModelError, naming the node, where the new dimensions do not fit or a constant cannot follow them.
    """
    import onnx_ir
    fix_initialisers(model)
    old = Meaning(model).walk()
    env = assign(model, dims)
    for node in model.all_nodes():                       # what was computed from the old shapes
        for value in node.outputs:
            value.shape = None if value.shape is None else onnx_ir.Shape([None] * len(value.shape))
    report = Redimensioned()
    new = Meaning(model)
    repair = Repair(model, old, new, report.repaired)
    failures: dict[str, str] = {}

    def before(node: onnx_ir.Node, scope: Any) -> None:
        try:
            repair.node(node)
        except (ModelError, Decline) as error:
            failures[label(node)] = f"{node.op_type}: {reason(error)}"

    def after(node: onnx_ir.Node, scope: Any) -> None:
        if label(node) in failures:
            return
        for value in node.outputs:
            was, now = old.of(value).type, new.of(value).type
            if isinstance(was, TensorType) and isinstance(now, OpaqueType):
                if why := objection(new, node, scope):
                    failures[label(node)] = f"{node.op_type}: {why}"
            elif isinstance(was, TensorType) and isinstance(now, TensorType) and not same_before(was, now, env):
                failures[label(node)] = f"{node.op_type}: its result was {was} and would be {now}"
    new.walk(before, after)
    failures = failures or probe(model, new, env)
    if failures:
        name, why = next(iter(failures.items()))
        raise ModelError(f"the model cannot have these dimensions: {name}: {why}", at=model.label,
                         try_="export the model again with these dimensions dynamic, or change the node first",
                         **{f"also {n}": w for n, w in list(failures.items())[1:6]})
    write(model, new)
    infer(model)
    for value in (*model.inputs, *model.outputs):
        if value.shape is not None:
            report.shapes[str(value.name)] = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
    return report


def assign(model: Model, dims: Mapping[str, Sequence[UserDim]]) -> dict[str, Dim]:
    """Give inputs their new shapes. Returns new symbol → what it was: to see whether all else stays."""
    import onnx_ir
    inputs = {str(v.name): v for v in model.inputs}
    renamed: dict[str, int | str] = {}
    env: dict[str, Dim] = {}
    for name, wanted in dims.items():
        if name not in inputs:
            raise ModelError(f"{name!r} is not an input", at=model.label, inputs=", ".join(inputs))
        value = inputs[name]
        if isinstance(wanted, str) or (value.shape is not None and len(value.shape) != len(wanted)):
            rank = 0 if value.shape is None else len(value.shape)
            raise ModelError(f"input {name!r} has {rank} dimensions, {len(wanted)} are given", at=model.label)
        shape: list[int | str | None] = []
        for axis, (d, was) in enumerate(zip(wanted, value.shape or [None] * len(wanted), strict=True)):
            number = was if isinstance(was, int) else None if was is None or was.value is None else str(was.value)
            if isinstance(d, bool) or not (d is None or isinstance(d, (int, str))) or (
                    isinstance(d, int) and d < 1) or (isinstance(d, str) and not d.isidentifier()):
                raise ModelError(f"{d!r} is not a dimension", at=f"{model.label}, input {name!r}, axis {axis}",
                                 try_="a number from 1 on, or a name of letters, digits and _")
            if d is not None and isinstance(number, str):
                if renamed.setdefault(number, d) != d:
                    raise ModelError(f"dimension {number!r} cannot be {d!r} and {renamed[number]!r}", at=model.label)
            if isinstance(d, str):
                before: Dim = number if isinstance(number, int) else \
                    symbol(number if number and number.isidentifier() else d)
                if env.setdefault(d, before) != before:
                    raise ModelError(f"{d!r} cannot name a dimension of {env[d]} and one of {before}", at=model.label)
            shape.append(number if d is None else d)
        value.shape = onnx_ir.Shape(shape)
    for value in model.inputs:                           # inputs that share a name share what it becomes
        if value.shape is not None:
            names = [d if isinstance(d, int) or d.value is None else str(d.value) for d in value.shape]
            value.shape = onnx_ir.Shape([renamed.get(d, d) if isinstance(d, str) else d for d in names])
    return env


def same_before(before: TensorType, after: TensorType, env: Mapping[str, Dim]) -> bool:
    """Whether the new shape, with the old dimensions put in, is the old one. Numbers that replace names may differ."""
    if before.dtype != after.dtype or before.rank != after.rank:
        return False
    for a, b in zip(before.shape, after.shape, strict=True):
        back = substitute(b, env)
        if isinstance(b, Expr) and symbols(b) & set(env) and isinstance(a, int) and back != a:
            return False
    return True


def probe(model: Model, new: Meaning, env: Mapping[str, Dim]) -> dict[str, str]:
    """Node → why it does not take other sizes: the model is read with multiples of the old ones, and must say what the
    symbols say. Operands may agree by their numbers: where a name meets a number, only this shows."""
    sizes = {name: was * (2 + i % 2) for i, (name, was) in enumerate(env.items()) if isinstance(was, int)}
    if not sizes:
        return {}
    shapes = {str(v.name): [substitute(d, sizes) if isinstance(d, Expr) else d for d in t.shape]
              for v in model.inputs if isinstance(t := new.of(v).type, TensorType)}
    read = Meaning(model, {n: [d if isinstance(d, int) else None for d in dims] for n, dims in shapes.items()})
    failures: dict[str, str] = {}
    with_sizes = ", ".join(f"{n} = {size}" for n, size in sizes.items())

    def after(node: onnx_ir.Node, scope: Any) -> None:
        for value in node.outputs if not failures else ():
            said, found = new.of(value).type, read.of(value).type
            if isinstance(said, TensorType) and isinstance(found, OpaqueType):
                if why := objection(read, node, scope):
                    failures[label(node)] = f"{node.op_type}: {why} (with {with_sizes})"
            elif isinstance(said, TensorType) and isinstance(found, TensorType) and any(
                    isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(
                    (substitute(d, sizes) for d in said.shape), found.shape, strict=True)):
                failures[label(node)] = f"{node.op_type}: its result would be {said}, and is {found} with {with_sizes}"
    read.walk(after=after)
    return failures


def objection(meaning: Meaning, node: onnx_ir.Node, scope: Any) -> str | None:
    """Why a node that was read before cannot be read now; None when that is not its own fault."""
    if subgraphs(node) or not all(v is None or isinstance(meaning.of(v).type, TensorType) for v in node.inputs):
        return None
    try:
        meaning.lowered(node, [None if v is None else meaning.of(v) for v in node.inputs], scope)
    except (TensorwrightError, Decline) as error:
        return reason(error)
    except Exception:                                    # not about shapes: onnx's inference has the last word
        return None
    return "the shape of its result is known no more"


def write(model: Model, meaning: Meaning) -> None:
    """Write the shapes that are known into the model."""
    import onnx_ir
    for node in model.all_nodes():
        for value in node.outputs:
            t = meaning.of(value).type
            if isinstance(t, TensorType) and value.name:
                value.shape = onnx_ir.Shape([d if isinstance(d, int) else str(d) for d in t.shape])
                value.type = value.type or onnx_ir.TensorType(onnx_ir.DataType(type_code(t.dtype)))
