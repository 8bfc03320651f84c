"""Network → work: every layer becomes a view, a kernel's problem, or a host step; every value gets its place.

Layers are lowered in order. A layer whose kernels refuse the operands' layouts is tried again with the operands
copied into the layout its family prefers, then with the result written to a plain buffer, then with its epilogue
taken apart; only what no kernel does at all becomes a host step, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..dims import Dim
from ..dtypes import NATIVE, DType
from ..ir import Layer, Network, Op, TensorType
from ..kernels.cpu import tactics
from ..ops import (
    Concat,
    Convolution,
    ConvTranspose,
    Expand,
    Fused,
    Gather,
    GatherElements,
    GatherND,
    Host,
    MatMul,
    Pad,
    Pointwise,
    Pool,
    Reshape,
    Resize,
    Slice,
    Transpose,
)
from ..ops.expr import In
from ..targets import CpuSpec
from .layout import Order, canonical, channels_last, choose_orders, core
from .storage import Border, Buffers, Place, expanded, order_of, reshaped, sliced, strides_of, transposed
from .work import HostWork, KernelWork, Work, make_problem

#: Types that are stored and converted, not computed in; operators whose kernels only move elements.
HALF = frozenset({DType.float16, DType.bfloat16})
MOVES = (Gather, GatherElements, GatherND, Pad)
SPATIAL = (Convolution, ConvTranspose, Pool, Resize)


class Lowering:
    """State of one lowering. Read `works`, `buffers`, `output_values` and `constants` when `run()` is done."""

    def __init__(self, network: Network, cpu: CpuSpec, tuned: Mapping[str, int]) -> None:
        self.network, self.cpu, self.tuned = network, cpu, tuned
        self.buffers = Buffers()
        self.works: list[Work] = []
        self.places: dict[str, Place] = {}
        self.constants: dict[str, np.ndarray] = {}  # weight name → array, as constant buffers name them
        self.output_values: list[int | str] = []
        self.orders = choose_orders(network)
        self.producers, self.readers = network.producers(), network.readers()
        self.targets = self._concat_targets()
        self.borders = self._borders()
        self._constant_of_buffer: dict[int, np.ndarray] = {}

    # where results go ---------------------------------------------------------------------------------------------
    def _is_computed(self, name: str) -> bool:
        """Whether a kernel writes the value itself, so that we choose where."""
        layer = self.producers.get(name)
        return (
            layer is not None
            and not isinstance(layer.op, (Transpose, Reshape, Slice, Expand, Host))
            and all(isinstance(self.network.types[v], TensorType) for v in (*layer.inputs, *layer.outputs) if v)
        )

    def _concat_targets(self) -> dict[str, tuple[str, int, Dim]]:
        """value → (concatenation it is written into, axis, start): such a Concat costs nothing for it."""
        found: dict[str, tuple[str, int, Dim]] = {}
        for layer in reversed(self.network.layers):
            if not isinstance(layer.op, Concat) or not isinstance(self.network.types[layer.outputs[0]], TensorType):
                continue
            out = layer.outputs[0]
            start: Dim = 0
            for name in layer.inputs:
                assert name is not None
                t = self.network.tensor(name)
                if (
                    self._is_computed(name)
                    and name not in found
                    and name not in self.network.outputs
                    and layer.inputs.count(name) == 1
                    and self.orders[name] == self.orders[out]
                ):
                    found[name] = (out, layer.op.axis, start)
                start = start + t.shape[layer.op.axis]
        return found

    def _borders(self) -> dict[str, Border]:
        """value → zero border that convolutions reading it (or a channel slice of it) would like around it."""
        found: dict[str, list[list[int]]] = {}

        def ask(name: str, pads: tuple[tuple[int, int], ...]) -> None:
            if name in self.targets:
                return ask(self.targets[name][0], pads)
            layer = self.producers.get(name)
            if layer is not None and isinstance(layer.op, Slice) and layer.inputs[0]:
                t = self.network.tensor(layer.inputs[0])
                if layer.op.sizes[2:] == t.shape[2:] and all(step == 1 for step in layer.op.steps[2:]):
                    return ask(layer.inputs[0], pads)
            reshaped_ = layer is not None and isinstance(layer.op, Reshape)  # if it turns out to need a copy
            if (self._is_computed(name) or reshaped_) and not (name in self.network.outputs and self._is_c_order(name)):
                have = found.setdefault(name, [[0, 0] for _ in range(len(pads) + 2)])
                for axis, (before, after) in enumerate(pads):
                    have[axis + 2] = [max(have[axis + 2][0], before), max(have[axis + 2][1], after)]

        for layer in self.network.layers:
            op = core(layer)
            if isinstance(op, Convolution) and layer.inputs[0] and any(map(any, op.pads)):
                if isinstance(self.network.types[layer.inputs[0]], TensorType):
                    ask(layer.inputs[0], op.pads)
        return {name: tuple((b, a) for b, a in border) for name, border in found.items()}

    def _is_c_order(self, name: str) -> bool:
        return self.orders[name] == canonical(len(self.orders[name]))

    def allocate(self, name: str) -> Place:
        """The place a layer writes value `name` to."""
        if name in self.places:
            return self.places[name]
        t = self.network.tensor(name)
        if name in self.targets:
            parent_name, axis, start = self.targets[name]
            parent = self.allocate(parent_name)
            starts: tuple[Dim, ...] = tuple(start if a == axis else 0 for a in range(t.rank))
            place = sliced(parent, starts, t.shape, (1,) * t.rank)
        elif name in self.network.outputs and self._is_c_order(name):
            place = self.buffers.dense("output", t.shape, t.dtype, name)
            self.buffers.user[name] = place.buffer
        else:
            place = self.buffers.ordered(t.shape, t.dtype, self.orders[name], self.borders.get(name, ()))
        self.places[name] = place
        return place

    def constant(self, array: np.ndarray, name: str) -> Place:
        """A constant buffer for the array, in C order."""
        array = np.asarray(array, order="C")  # unlike ascontiguousarray: scalars stay scalars
        key, n = name, 1
        while key in self.constants and self.constants[key] is not array:
            key, n = f"{name}~{n}", n + 1
        self.constants[key] = array

        place = self.buffers.dense("constant", array.shape, DType.of(array), key)
        self._constant_of_buffer[place.buffer] = array
        return place

    def place(self, name: str) -> Place:
        """Where value `name` is; constants get their buffer when first read."""
        if name not in self.places:
            assert name in self.network.constants, name
            self.places[name] = self.constant(self.network.constants[name], name)
        return self.places[name]

    # layers -------------------------------------------------------------------------------------------------------
    def run(self) -> Lowering:
        for name in self.network.inputs:
            t = self.network.types[name]
            if isinstance(t, TensorType):
                self.places[name] = self.buffers.dense("input", t.shape, t.dtype, name)
        for layer in self.network.layers:
            self.lower(layer)
        for name in self.network.outputs:
            self.output_values.append(self.finish_output(name))
        return self

    def finish_output(self, name: str) -> int | str:
        """Bring an output into the user's memory: buffer number, or the name of an opaque value."""
        if not isinstance(self.network.types[name], TensorType):
            return name
        if name in self.buffers.user:
            return self.buffers.user[name]
        t = self.network.tensor(name)
        target = self.buffers.dense("output", t.shape, t.dtype, name)
        self.buffers.user[name] = target.buffer
        self.copy(self.place(name), target, f"{name} (output)")
        return target.buffer

    def lower(self, layer: Layer) -> None:
        values = [v for v in (*layer.inputs, *layer.outputs) if v]
        opaque = [v for v in values if not isinstance(self.network.types[v], TensorType)]
        if isinstance(layer.op, Host) or opaque:
            reason = (
                f"{layer.op.node} has no kernel"
                if isinstance(layer.op, Host)
                else (f"the shape of {opaque[0]!r} is only known at run time")
            )
            self.host(layer, reason)
        elif isinstance(layer.op, (Transpose, Reshape, Slice, Expand)):
            self.view(layer)
        elif isinstance(layer.op, Concat):
            self.concat(layer)
        else:
            self.compute(layer)

    def view(self, layer: Layer) -> None:
        source, out = layer.inputs[0], layer.outputs[0]
        assert source is not None
        p, t = self.place(source), self.network.tensor(out)
        match layer.op:
            case Transpose(perm=perm):
                self.places[out] = transposed(p, perm)
            case Slice(starts=starts, sizes=sizes, steps=steps):
                self.places[out] = sliced(p, starts, sizes, steps)  # type: ignore[arg-type]
            case Expand():
                self.places[out] = expanded(p, t.shape)
            case Reshape():
                seen = reshaped(p, t.shape)
                if seen is None:
                    result = self.allocate(out)
                    back = reshaped(result, p.shape)
                    if back is not None:
                        self.copy(p, back, layer.name, layer.origin)
                        return
                    dense = result if result.is_dense else self.buffers.dense("arena", p.shape, p.dtype)
                    whole = replace(dense, shape=p.shape, strides=strides_of(p.shape, canonical(len(p.shape))))
                    self.copy(p, whole, layer.name, layer.origin)
                    seen = replace(dense, shape=t.shape, strides=strides_of(t.shape, canonical(t.rank)))
                    if dense is not result:
                        self.copy(seen, result, layer.name, layer.origin)
                        seen = result
                self.places[out] = seen

    def concat(self, layer: Layer) -> None:
        assert isinstance(layer.op, Concat)
        out = layer.outputs[0]
        whole = self.allocate(out)
        start: Dim = 0
        for k, name in enumerate(layer.inputs):
            assert name is not None
            t = self.network.tensor(name)
            if self.targets.get(name, ("",))[0] != out:
                starts: tuple[Dim, ...] = tuple(start if a == layer.op.axis else 0 for a in range(t.rank))
                self.copy(
                    self.place(name), sliced(whole, starts, t.shape, (1,) * t.rank), f"{layer.name}[{k}]", layer.origin
                )
            start = start + t.shape[layer.op.axis]

    def copy(self, source: Place, target: Place, name: str, origin: tuple[str, ...] = ()) -> None:
        if any(d == 0 for d in target.shape):
            return
        plain = replace(source, border=())
        if not self.emit(name, Pointwise(In(0, source.dtype)), (plain,), (target,), origin, "Copy"):
            self.works.append(
                HostWork(
                    name,
                    Pointwise(In(0, source.dtype)),
                    (source,),
                    (target,),
                    f"no kernel copies {source.dtype}",
                    origin,
                )
            )

    def host(self, layer: Layer, reason: str) -> None:
        inputs: list[Place | str | None] = []
        for v in layer.inputs:
            inputs.append(None if v is None else self.place(v) if isinstance(self.network.types[v], TensorType) else v)
        outputs: list[Place | str | None] = []
        for v in layer.outputs:
            outputs.append(None if not v else self.allocate(v) if isinstance(self.network.types[v], TensorType) else v)
        self.works.append(HostWork(layer.name, layer.op, tuple(inputs), tuple(outputs), reason, layer.origin))

    def unwanted(self, layer: Layer, k: int) -> Place:
        """Memory for output k, which nobody reads but the kernel writes."""
        types = layer.op.infer(*[None if i is None else self.network.tensor(i) for i in layer.inputs])
        t = types[k] if isinstance(types, tuple) else types
        assert isinstance(t, TensorType)
        return self.buffers.dense("arena", t.shape, t.dtype)

    # kernels ------------------------------------------------------------------------------------------------------
    def compute(self, layer: Layer) -> None:
        op = layer.op
        inputs = tuple(None if v is None else self.place(v) for v in layer.inputs)
        outputs = [self.allocate(v) if v else self.unwanted(layer, k) for k, v in enumerate(layer.outputs)]
        known = NATIVE | HALF if isinstance(op, (Pointwise, *MOVES)) else NATIVE
        foreign = [p.dtype for p in (*inputs, *outputs) if p is not None and p.dtype not in known]
        if foreign:
            self.host(layer, f"no kernel computes in {foreign[0]}")
            return
        if not self._compute(layer.name, op, inputs, tuple(outputs), layer.origin):
            self.host(layer, f"no kernel for {type(core(layer)).__name__} of this type and layout")

    def _compute(
        self, name: str, op: Op, inputs: tuple[Place | None, ...], outputs: tuple[Place, ...], origin: tuple[str, ...]
    ) -> bool:
        """Emit the work in the first of several ways that kernels accept; False when there is none."""
        inputs = self._broadcast(op, inputs, outputs)
        if self.emit(name, op, inputs, outputs, origin):
            return True
        mark = len(self.works)
        arity = op.arity if isinstance(op, Fused) else len(inputs)
        ranked = self._preferred(op, inputs[:arity], f"{name} (layout)", origin) + inputs[arity:]
        if self.emit(name, op, ranked, outputs, origin):
            return True
        del self.works[mark:]
        plain_order = self._output_order(op, len(outputs[0].shape))
        if len(outputs) == 1 and order_of(outputs[0]) != plain_order:
            y = outputs[0]
            temporary = self.buffers.ordered(y.shape, y.dtype, plain_order)
            if self._compute_into(name, op, inputs, ranked, temporary, origin, mark):
                self.copy(temporary, y, f"{name} (result)", origin)
                return True
            del self.works[mark:]
        if isinstance(op, Fused):
            y = outputs[0]
            t = op.core.infer(*[None if p is None else TensorType(p.shape, p.dtype) for p in inputs[:arity]])
            assert isinstance(t, TensorType)
            middle = self.buffers.ordered(t.shape, t.dtype, order_of(y) if not y.is_dense else canonical(t.rank))
            if self._compute(name, op.core, inputs[:arity], (middle,), origin):
                return self._compute(
                    f"{name} (epilogue)", Pointwise(op.epilogue), (middle, *inputs[arity:]), (y,), origin
                )
        return False

    def _compute_into(
        self, name: str, op: Op, inputs: tuple, ranked: tuple, y: Place, origin: tuple, mark: int
    ) -> bool:
        if self.emit(name, op, self._broadcast(op, inputs, (y,)), (y,), origin):
            return True
        arity = op.arity if isinstance(op, Fused) else len(inputs)
        ranked = self._preferred(op, inputs[:arity], f"{name} (layout)", origin) + inputs[arity:]
        if self.emit(name, op, ranked, (y,), origin):
            return True
        del self.works[mark:]
        return False

    def _broadcast(
        self, op: Op, inputs: tuple[Place | None, ...], outputs: tuple[Place, ...]
    ) -> tuple[Place | None, ...]:
        """Pointwise operands and epilogue extras, expanded to the output's shape; big constants laid like it."""
        first = 0 if isinstance(op, Pointwise) else op.arity if isinstance(op, Fused) else len(inputs)
        y = outputs[0]
        result = list(inputs)
        for i in range(first, len(inputs)):
            p = inputs[i]
            assert p is not None
            array = self._constant_of_buffer.get(p.buffer)
            whole = array is not None and array.shape == p.shape and p.is_dense
            if array is not None and whole and sum(d != 1 for d in array.shape) > 1:
                order = tuple(a - (len(y.shape) - array.ndim) for a in order_of(y))
                order = tuple(a for a in order if a >= 0)
                if order != canonical(array.ndim):
                    moved = self.constant(
                        np.ascontiguousarray(array.transpose(order)),
                        self.buffers.records[p.buffer].name + "@" + "".join(map(str, order)),
                    )
                    p = transposed(moved, tuple(order.index(a) for a in range(array.ndim)))
            result[i] = replace(expanded(p, y.shape), border=())
        return tuple(result)

    def _preferred(
        self, op: Op, inputs: tuple[Place | None, ...], name: str, origin: tuple[str, ...]
    ) -> tuple[Place | None, ...]:
        """Variable operands copied into the layout the family works best in."""
        inner = op.core if isinstance(op, Fused) else op
        result: list[Place | None] = []
        for i, p in enumerate(inputs):
            if p is None or p.buffer in self._constant_of_buffer:
                result.append(p)
                continue
            order: Order = canonical(len(p.shape))
            border: Border = ()
            if isinstance(inner, SPATIAL) and i == 0 and len(p.shape) >= 3:
                order = channels_last(len(p.shape))
                if isinstance(inner, Convolution):
                    border = ((0, 0), (0, 0), *inner.pads)
            if (
                isinstance(inner, MatMul)
                and i == 1
                and (p.strides[-1] == 1 or (len(p.shape) > 1 and p.strides[-2] == 1))
            ):
                result.append(p)
                continue
            wanted = strides_of(p.shape, order)
            if p.strides == wanted and not any(map(any, border)):
                result.append(p)
                continue
            target = self.buffers.ordered(p.shape, p.dtype, order, border)
            self.copy(p, target, name, origin)
            result.append(target)
        return tuple(result)

    def _output_order(self, op: Op, rank: int) -> Order:
        inner = op.core if isinstance(op, Fused) else op
        return channels_last(rank) if isinstance(inner, SPATIAL) and rank >= 3 else canonical(rank)

    def emit(
        self,
        name: str,
        op: Op,
        inputs: tuple[Place | None, ...],
        outputs: tuple[Place, ...],
        origin: tuple[str, ...],
        kind: str = "",
    ) -> bool:
        """Append the work if any kernel accepts the problem."""
        if any(d == 0 for p in outputs for d in p.shape):
            return True
        constants = {
            i: self._constant_of_buffer[p.buffer]
            for i, p in enumerate(inputs)
            if p is not None
            and p.buffer in self._constant_of_buffer
            and self._constant_of_buffer[p.buffer].shape == p.shape
            and p.is_dense
        }
        problem, back = make_problem(
            op,
            tuple(None if p is None else p.operand(i in constants) for i, p in enumerate(inputs)),
            tuple(p.operand() for p in outputs),
            self.tuned,
        )
        if next(iter(tactics(problem, self.cpu)), None) is None:
            return False
        self.works.append(KernelWork(name, problem, inputs, outputs, back, constants, origin, kind))
        return True
