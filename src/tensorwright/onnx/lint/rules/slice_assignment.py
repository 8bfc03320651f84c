"""TW107: assignment to a slice, which became a scatter."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...fold import stored
from ...rewire import Names, remove_unread, take_over
from ..context import Context, integer, standard, text
from ..record import Found, Severity, rule

if TYPE_CHECKING:
    import onnx_ir


@rule("TW107", "slice-assignment", Severity.WARNING, "Assignment to a slice, exported as ScatterND", why="""
    `y[:, 1:3] = z` changes a tensor in place; ONNX has no such thing. The exporter copies the tensor and scatters the
    new values into the copy, one by one, at indices that it computes with Range, Expand and Concat. A scatter is among
    the slowest ways to move memory, cannot be fused, and in some engines is not deterministic; a concatenation of the
    parts does the same with plain copies, or with none.
    """, bad="""
    y = x.clone()
    y[:, 1:3] = y[:, 1:3] * 2
    """, good="""
    y = torch.cat([x[:, :1], x[:, 1:3] * 2, x[:, 3:]], dim=1)
    """, fixed="""
    Where the indices are known to be one run of neighbours along one axis, the scatter becomes a Concat of what is
    before, the new values, and what is behind. The TorchScript exporter's indices depend on the dynamic batch; those
    stay: export with `dynamo=True`, or write `torch.cat`.
    """, fixes=True)
def slice_assignment(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        if not standard(node, "ScatterND", "ScatterElements", "Scatter") or len(node.inputs) < 3:
            continue
        data, indices, updates = node.inputs[:3]
        if data is None or indices is None or updates is None or indices not in context.free:
            continue
        run = None if text(node, "reduction", "none") != "none" else \
            rows(context, data, indices) if node.op_type == "ScatterND" else \
            elements(context, node, data, indices, updates)
        where = f"axis {run[0]}, {run[1]} to {run[2]}" if run else "known places"
        yield Found(f"writes into a copy of {shape_text(context, data)}: {where}, one element after the other", node,
                    str(node.outputs[0].name), (partial(concatenate, context, node, *run)) if run else None,
                    [node] if run else [])


Run = tuple[int, int, int]


def rows(context: Context, data: onnx_ir.Value, indices: onnx_ir.Value) -> Run | None:
    """(axis, start, stop) when ScatterND's indices are a full grid but for one axis, where they are neighbours."""
    shape, array = context.shape(data), context.constant(indices)
    if shape is None or array is None or array.ndim < 2 or not array.size:
        return None
    depth = array.shape[-1]
    if array.ndim - 1 != depth or depth > len(shape) or not all(isinstance(d, int) for d in shape[:depth]):
        return None
    sizes = [int(d) for d in shape[:depth]]  # type: ignore[arg-type]
    starts = [int(x) for x in array.reshape(-1, depth)[0]]
    grid = np.stack(np.meshgrid(*[s + np.arange(n) for s, n in zip(starts, array.shape[:-1], strict=True)],
                                indexing="ij"), -1)
    if not np.array_equal(grid, array):
        return None
    starts = [s + n if s < 0 else s for s, n in zip(starts, sizes, strict=True)]
    parts = [a for a in range(depth) if array.shape[a] != sizes[a]]
    if len(parts) > 1 or any(s < 0 or s + array.shape[a] > sizes[a] for a, s in enumerate(starts)):
        return None
    axis = parts[0] if parts else 0
    return axis, starts[axis], starts[axis] + array.shape[axis]


def elements(context: Context, node: onnx_ir.Node, data: onnx_ir.Value, indices: onnx_ir.Value, updates: onnx_ir.Value
             ) -> Run | None:
    """The same for ScatterElements, whose indices and updates are as large as the data but for one axis."""
    shape, new, at = context.shape(data), context.shape(updates), context.shape(indices)
    if shape is None or new is None or at != new or len(new) != len(shape):
        return None
    axis = integer(node, "axis", 0) % max(len(shape), 1)
    if any(a != axis and d != e for a, (d, e) in enumerate(zip(shape, new, strict=True))):
        return None
    size, count = shape[axis], new[axis]
    if not isinstance(size, int) or not isinstance(count, int):
        return None
    array = context.constant(indices)
    if array is None:                                    # one number, expanded to a dynamic shape
        maker = indices.producer()
        array = context.constant(maker.inputs[0]) if maker is not None and standard(maker, "Expand") else None
        if array is None or array.size != 1 or count != 1:
            return None
        start = int(array.reshape(())[()])
    else:
        line = np.moveaxis(array, axis, 0).reshape(count, -1)
        if not line.size or not np.array_equal(line, line[:1, :1] + np.arange(count)[:, None] + 0 * line):
            return None
        start = int(line[0, 0])
    start += size if start < 0 else 0
    return (axis, start, start + count) if 0 <= start and start + count <= size else None


def concatenate(context: Context, node: onnx_ir.Node, axis: int, start: int, stop: int) -> bool:
    import onnx_ir
    data, updates = node.inputs[0], node.inputs[2]
    size = context.shape(data)[axis]  # type: ignore[index]
    names = Names(context.model)
    title = node.name or node.op_type
    made: list[onnx_ir.Node] = []

    def part(begin: int, end: int) -> onnx_ir.Value:
        numbers = [stored(node.graph, node, name := names.fresh(f"{title}_{what}"),
                          onnx_ir.tensor(np.array([x], np.int64), name=name))
                   for what, x in (("start", begin), ("stop", end), ("axis", axis))]
        value = onnx_ir.Value(name=names.fresh(f"{title}_part"), type=data.type)  # type: ignore[union-attr]
        made.append(onnx_ir.Node("", "Slice", [data, *numbers], outputs=[value], name=names.fresh(f"{title}_slice")))
        return value

    if context.model.opset < 10:
        return False                                     # Slice takes its numbers as inputs from 10 on
    pieces = [part(0, start)] if start else []
    pieces.append(updates)  # type: ignore[arg-type]
    if stop != size:
        pieces.append(part(stop, int(size)))  # type: ignore[arg-type]
    result = onnx_ir.Value(name=names.fresh(f"{title}_joined"), type=node.outputs[0].type, shape=node.outputs[0].shape)
    made.append(onnx_ir.Node("", "Concat", pieces, [onnx_ir.AttrInt64("axis", axis)], outputs=[result],
                             name=names.fresh(f"{title}_concat"), metadata_props=dict(node.metadata_props)))
    assert node.graph is not None
    node.graph.insert_before(node, made)
    take_over(node, result)
    remove_unread(context.model, [node])
    return True


def shape_text(context: Context, value: onnx_ir.Value) -> str:
    shape = context.shape(value)
    return f"{value.name!r}" if shape is None else f"({', '.join(map(str, shape))})"

