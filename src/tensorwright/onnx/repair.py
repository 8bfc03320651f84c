"""Constants that hold an old dimension: found by reading nodes with the old and the new shapes, and written anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dims import Dim, Expr, mul
from ..errors import ModelError
from ..ir import TensorType
from .expressions import ShapeWriter
from .fold import stored
from .meaning import STANDARD, Meaning
from .model import Model
from .noops import content_of
from .regroup import regrouped
from .reshapes import reshape_numbers, whole_scales
from .rewire import Names, drop, label

if TYPE_CHECKING:
    import onnx_ir

END = (1 << 63) - 1


class Repair:
    """`node` repairs one node. old, new: the meaning of the model before and after; done: node → what was changed."""

    def __init__(self, model: Model, old: Meaning, new: Meaning, done: dict[str, str]) -> None:
        self.model, self.old, self.new, self.done = model, old, new, done
        self.names = Names(model)
        self._writer: ShapeWriter | None = None
        self.rules: dict[str, Callable[[onnx_ir.Node], None]] = {
            "Reshape": self.reshape, "Expand": self.expand, "Resize": self.resize, "Slice": self.slice,
            "Concat": self.concat, "LSTM": self.recurrent, "GRU": self.recurrent, "RNN": self.recurrent,
            "Tile": self.tile, "Split": self.split}

    @property
    def writer(self) -> ShapeWriter:
        self._writer = self._writer or ShapeWriter(self.model, self.new, self.names)
        return self._writer

    def node(self, node: onnx_ir.Node) -> None:
        if node.domain in STANDARD and node.op_type in self.rules and node.inputs and node.inputs[0] is not None:
            self.rules[node.op_type](node)

    # rules -----------------------------------------------------------------------------------------------------------
    def reshape(self, node: onnx_ir.Node) -> None:
        before, after = self.shapes(node.inputs[0])
        given = content_of(node.inputs[1]) if len(node.inputs) > 1 else None
        result = self.old.of(node.outputs[0]).type
        if before is None or after is None or given is None or not isinstance(result, TensorType) or before == after:
            return
        if not all(isinstance(d, int) and d > 0 for d in (*before, *result.shape)):
            return                                       # it was dynamic, and its target is written for that
        target = regrouped(before, after, list(result.shape))  # type: ignore[arg-type]
        if target is None:
            raise ModelError(f"its target {given.tolist()} for {text(before)} has no place for {text(after)}")
        if self.resolves(given, after, target):
            return
        self.put_shape(node, 1, target, after, str(given.tolist()))

    def put_shape(self, node: onnx_ir.Node, index: int, target: Sequence[Dim], x: Sequence[Dim], was: str) -> None:
        numbers = reshape_numbers(target, x)
        if numbers is not None:
            if 0 in numbers:
                node.attributes.pop("allowzero", None)   # no entry meant "no elements"
            self.put(node, index, np.array(numbers, np.int64), was, str(numbers))
            return
        self.put_computed(node, index, target, was)

    @staticmethod
    def resolves(given: np.ndarray, x: Sequence[Dim], target: Sequence[Dim]) -> bool:
        """Whether Reshape, given these numbers, already makes this target of x."""
        numbers = [x[i] if d == 0 and i < len(x) else int(d) for i, d in enumerate(given.tolist())]
        return len(numbers) == len(target) and all(a == b or a == -1 for a, b in zip(numbers, target, strict=True))

    def expand(self, node: onnx_ir.Node) -> None:
        """An entry that is the operand's own dimension becomes 1; one that repeats it the old batch's, the new one."""
        self.repeat(node, lambda d, old, new, changed: 1 if new != old and d == old else changed)

    def tile(self, node: onnx_ir.Node) -> None:
        self.repeat(node, lambda d, old, new, changed: d if old != 1 else changed)

    def repeat(self, node: onnx_ir.Node, rule: Callable[[int, Dim, Dim, Dim], Dim]) -> None:
        before, after = self.shapes(node.inputs[0])
        given = content_of(node.inputs[1]) if len(node.inputs) > 1 else None
        if before is None or after is None or given is None:
            return
        pad = given.size - len(before)
        target: list[Dim] = []
        for axis, d in enumerate(given.tolist()):
            old: Dim = before[axis - pad] if axis >= pad else 1
            new: Dim = after[axis - pad] if axis >= pad else 1
            target.append(rule(d, old, new, self.changed(axis, d)))
        if target == given.tolist():
            return
        if all(isinstance(d, int) for d in target):
            self.put(node, 1, np.array(target, np.int64), str(given.tolist()), str(target))
        else:
            self.put_computed(node, 1, target, str(given.tolist()))

    def changed(self, axis: int, d: int) -> Dim:
        """What a number written for this axis is now, where an input had it there and has not any more."""
        for value in self.model.inputs:
            before, after = self.shapes(value)
            if before and after and axis < len(before) and before[axis] == d > 1:
                return after[axis]
        return d

    def resize(self, node: onnx_ir.Node) -> None:
        before, after = self.shapes(node.inputs[0])
        given = content_of(node.inputs[3]) if len(node.inputs) > 3 else None
        if before is None or after is None or given is None or before == after or "axes" in node.attributes:
            return
        target: list[Dim] = []
        for d, old, new in zip(given.tolist(), before, after, strict=True):
            whole = isinstance(old, int) and d % old == 0
            target.append(d if new == old or not whole else mul(d // old, new))
        if (scales := whole_scales(target, after)) is not None:
            sizes = node.inputs[3]
            node.replace_input_with(3, None)
            drop(self.model, sizes)
            self.put(node, 2, np.array(scales, np.float32), f"sizes {given.tolist()}", f"scales {scales}")
        elif target != given.tolist():
            self.put_computed(node, 3, target, f"sizes {given.tolist()}")

    def slice(self, node: onnx_ir.Node) -> None:
        """An end that was the operand's own becomes "to the end"."""
        before, after = self.shapes(node.inputs[0])
        ends = content_of(node.inputs[2]) if len(node.inputs) > 2 else None
        if before is None or after is None or ends is None or before == after:
            return
        given = len(node.inputs) > 3 and node.inputs[3] is not None
        axes = content_of(node.inputs[3]) if given else np.arange(ends.size)
        if axes is None:
            return
        new = ends.copy()
        for i, axis in enumerate(axes.reshape(-1).tolist()):
            if before[axis] != after[axis] and ends.reshape(-1)[i] == before[axis]:
                new.reshape(-1)[i] = END if ends.dtype == np.int64 else np.iinfo(ends.dtype).max
        if (new != ends).any():
            self.put(node, 2, new, f"to {ends.tolist()}", "to the end")

    def concat(self, node: onnx_ir.Node) -> None:
        """An operand whose other dimensions are one (or hold the old batch, all the same) is repeated."""
        types = [self.new.of(v).type for v in node.inputs if v is not None]
        rank = max((t.rank for t in types if isinstance(t, TensorType)), default=0)
        if not rank or not all(isinstance(t, TensorType) and t.rank == rank for t in types):
            return
        axis = node.attributes["axis"].as_int() % rank
        wanted: list[Dim] = []
        for k in range(rank):
            found = {t.shape[k] for t in types}  # type: ignore[union-attr]
            moved: list[Dim] = [d for d in found if isinstance(d, Expr)]
            moved = moved or [t.shape[k] for t, v in zip(types, node.inputs, strict=True)  # type: ignore[union-attr]
                              if v is not None and t != self.old.of(v).type]
            wanted.append(moved[0] if k != axis and len(found) > 1 and moved else 1)
        for index, value in enumerate(node.inputs):
            shape = types[index].shape  # type: ignore[union-attr]
            short = [k for k in range(rank) if wanted[k] != 1 and shape[k] != wanted[k]]
            if short and value is not None:
                node.replace_input_with(index, self.repeated(node, value, shape, {k: wanted[k] for k in short}))

    def recurrent(self, node: onnx_ir.Node) -> None:
        """Initial states (directions, batch, hidden) that are constants are repeated along the batch."""
        after = self.shapes(node.inputs[0])[1]
        if after is None or len(after) != 3:
            return
        layout = node.attributes["layout"].as_int() if "layout" in node.attributes else 0
        for index in (5, 6):
            value = node.inputs[index] if index < len(node.inputs) else None
            shape = None if value is None else self.shapes(value)[1]
            batch, axis = (after[0], 0) if layout else (after[1], 1)
            if value is not None and shape is not None and shape[axis] != batch:
                node.replace_input_with(index, self.repeated(node, value, shape, {axis: batch}))

    def repeated(self, node: onnx_ir.Node, value: onnx_ir.Value, shape: Sequence[Dim], axes: dict[int, Dim]
                 ) -> onnx_ir.Value:
        """The tensor expanded along these axes, where it has one element, or the same ones again and again."""
        import onnx_ir

        from .meaning import array_of, constant_tensor
        for axis in axes:
            if shape[axis] != 1:
                tensor = constant_tensor(value)
                content = None if tensor is None else array_of(tensor)
                if content is None or not (content == content.take([0], axis)).all():
                    raise ModelError(f"operand {value.name!r} has {shape[axis]} elements along axis {axis}, "
                                     f"{axes[axis]} are needed")
                cut = onnx_ir.tensor(np.ascontiguousarray(content.take([0], axis)),
                                     name=self.names.fresh(f"{value.name}_one"))
                value = stored(node.graph, node, str(cut.name), cut)
        target = [axes.get(k, 1) for k in range(len(shape))]
        expand = onnx_ir.node("Expand", [value, self.writer.shape(target, node)],
                              name=self.names.fresh(f"{label(node)}_repeat"))
        expand.outputs[0].name = self.names.fresh(f"{expand.name}_out")
        node.graph.insert_before(node, expand)  # type: ignore[union-attr]
        self.read_new(node)
        self.done[label(node)] = f"{value.name} is repeated: {', '.join(f'axis {k} to {d}' for k, d in axes.items())}"
        return expand.outputs[0]

    def split(self, node: onnx_ir.Node) -> None:
        before, after = self.shapes(node.inputs[0])
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
        if before is not None and after is not None and before[axis] != after[axis] and (
                "split" in node.attributes or len(node.inputs) > 1):
            raise ModelError(f"its parts add up to {before[axis]}, the operand has {after[axis]} there now")

    # steps -----------------------------------------------------------------------------------------------------------
    def shapes(self, value: onnx_ir.Value | None) -> tuple[tuple[Dim, ...] | None, tuple[Dim, ...] | None]:
        """The shape before and now; None where it is not known."""
        if value is None:
            return None, None
        a, b = self.old.of(value).type, self.new.of(value).type
        return (a.shape if isinstance(a, TensorType) else None), (b.shape if isinstance(b, TensorType) else None)

    def put(self, node: onnx_ir.Node, index: int, content: np.ndarray, was: str, now: str) -> None:
        """Give the node a constant of its own: others may read the old one."""
        import onnx_ir
        old = node.inputs[index]
        tensor = onnx_ir.tensor(content, name=self.names.fresh(f"{getattr(old, 'name', None) or label(node)}_new"))
        node.replace_input_with(index, stored(node.graph, node, str(tensor.name), tensor))
        drop(self.model, old)
        self.done[label(node)] = f"{was} → {now}"

    def put_computed(self, node: onnx_ir.Node, index: int, target: Sequence[Dim], was: str) -> None:
        old = node.inputs[index]
        node.replace_input_with(index, self.writer.shape(target, node))
        self.read_new(node)
        drop(self.model, old)
        self.done[label(node)] = f"{was} → {text(target)}, computed"

    def read_new(self, node: onnx_ir.Node) -> None:
        """Read the nodes that were written for this one."""
        scope: dict[str, Any] = {}
        for made in list(self.model.graph):
            if made is node:
                break
            if any(v not in self.new.known for v in made.outputs):
                self.new.read(made, scope)


def text(dims: Sequence[Dim]) -> str:
    return "(" + ", ".join(map(str, dims)) + ")"


