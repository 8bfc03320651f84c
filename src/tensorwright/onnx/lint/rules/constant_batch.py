"""TW102: the batch size of the export, written into the graph as a number."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ....dims import Dim, Expr, product, symbols
from ...fold import stored
from ...rewire import Names, drop
from ...structure.settle import sort
from ..context import Context, integer, operand, standard
from ..record import Found, Severity, rule
from .expand import BROADCASTING
from .targets import write

if TYPE_CHECKING:
    import onnx_ir


@rule("TW102", "constant-batch", Severity.ERROR, "A batch size written as a number in a model of dynamic batch", why="""
    The model says that its batch is dynamic, and a Reshape or Expand in it holds the batch size of the example it was
    exported with. It runs with that one size and fails with every other, or, where a -1 absorbs the difference, mixes
    the images of a batch. Python numbers do that: `x.view(8, -1)`, `int(x.shape[0])`, a batch size kept in `self`.
    """, bad="""
    def forward(self, x):
        x = x.reshape(self.batch_size, 4, 64)                 # a number at export
        token = self.token.expand(self.batch_size, -1, -1)
        return torch.cat([token, x], 1)
    """, good="""
    def forward(self, x):
        x = x.reshape(-1, 4, 64)                              # or x.flatten(2)
        token = self.token.expand(x.shape[0], -1, -1)         # x.shape[0], without int(...)
        return torch.cat([token, x], 1)
    """, fixed="""
    A Reshape whose numbers leave no dimension open gets -1 in the place of its batch, and an Expand the batch of the
    tensor it is joined with: both mean the same at the one size that worked. Where a -1 takes what the batch brings,
    other sizes have run and given something, so that the choice is yours.
    """, fixes=True)
def constant_batch(context: Context) -> Iterator[Found]:
    pinned: set[int] = set()
    for node in context.nodes:
        if context.batch and standard(node, "Reshape") and (found := pinned_reshape(context, node, pinned)) is not None:
            yield found
    for node in context.nodes:
        if context.batch and standard(node, "Expand") and (found := pinned_expand(context, node, pinned)) is not None:
            yield found


def pinned_reshape(context: Context, node: onnx_ir.Node, pinned: set[int]) -> Found | None:
    source, written = context.shape(node.inputs[0]), context.constant(operand(node, 1))
    if not source or written is None or written.ndim != 1 or not written.size:
        return None
    target = [int(d) for d in written]
    moving = set().union(*(symbols(d) for d in source)) & context.batch
    if not moving or target[0] <= 0:
        return None
    batch = str(source[0])
    if -1 not in target and (0 not in target or integer(node, "allowzero", 0)):
        only = only_value(product(source), product(target))
        pinned.add(target[0])
        said = f"only {batch} = {only} fits" if only is not None else "at most one batch size fits"
        return Found(f"reshapes ({', '.join(map(str, source))}) to {target}: {said}", node, str(node.outputs[0].name),
                     lambda: open_batch(context, node, target), [node])
    if batch in context.batch and -1 in target:
        pinned.add(target[0])
        return Found(f"reshapes ({', '.join(map(str, source))}) to {target}: axis 0 is {target[0]} for every {batch}, "
                     "and -1 takes what the batch brings", node, str(node.outputs[0].name))
    return None


def only_value(volume: Dim, size: Dim) -> int | None:
    """The value of a single symbol for which volume = k · symbol is size."""
    if isinstance(volume, Expr) and isinstance(size, int) and len(volume.terms) == 1:
        (monomial, k), = volume.terms
        if len(monomial) == 1 and monomial[0][1] == 1 and size % k == 0:
            return size // k
    return None


def open_batch(context: Context, node: onnx_ir.Node, target: list[int]) -> bool:
    write(context, node, 1, np.array([-1, *target[1:]], np.int64), "shape")
    return True


def pinned_expand(context: Context, node: onnx_ir.Node, pinned: Container[int] = ()) -> Found | None:
    source, written = context.shape(node.inputs[0]), context.constant(operand(node, 1))
    if not source or written is None or written.size != len(source) or source[0] != 1 or int(written[0]) <= 1:
        return None
    size = int(written[0])
    beside = [v for reader in context.readers(node.outputs[0]) if standard(reader, "Concat", *BROADCASTING)
              for v in reader.inputs if v is not None and v is not node.outputs[0]]
    batched = [v for v in beside if (shape := context.shape(v)) and len(shape) == len(source)
               and str(shape[0]) in context.batch and v.producer() is not None]
    if not batched and size not in pinned:
        return None
    possible = bool(batched) and context.model.opset >= 10
    return Found(f"expands axis 0 of ({', '.join(map(str, source))}) to the number {size}; the batch is dynamic", node,
                 str(node.outputs[0].name), (lambda: as_many_as(context, node, batched[0])) if possible else None,
                 [node, *context.readers(node.outputs[0])] if possible else [])


def as_many_as(context: Context, node: onnx_ir.Node, other: onnx_ir.Value) -> bool:
    """Expand axis 0 to the batch of another tensor: Concat(Shape(other)[:1], the numbers of the other axes)."""
    import onnx_ir
    old = node.inputs[1]
    numbers = context.constant(old)
    assert numbers is not None and node.graph is not None and old is not None
    names, title = Names(context.model), node.name or "Expand"

    def number(what: str, *content: int) -> onnx_ir.Value:
        name = names.fresh(f"{title}_{what}")
        return stored(node.graph, node, name, onnx_ir.tensor(np.array(content, np.int64), name=name))

    def step(op_type: str, *inputs: onnx_ir.Value, **attributes: int) -> onnx_ir.Value:
        made = onnx_ir.Value(name=names.fresh(f"{title}_{op_type.lower()}"),
                             type=onnx_ir.TensorType(onnx_ir.DataType.INT64))
        node.graph.insert_before(node, onnx_ir.Node(  # type: ignore[union-attr]
            "", op_type, inputs, [onnx_ir.AttrInt64(k, v) for k, v in attributes.items()], outputs=[made],
            name=names.fresh(f"{title}_{op_type}"), metadata_props=dict(node.metadata_props)))
        return made
    batch = step("Slice", step("Shape", other), number("start", 0), number("stop", 1))
    shape = step("Concat", batch, number("sizes", *map(int, numbers[1:])), axis=0) if numbers.size > 1 else batch
    node.replace_input_with(1, shape)
    drop(context.model, old)
    sort(context.model)                                  # the other tensor may be made behind this node
    return True
