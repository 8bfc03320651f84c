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
    Chain,
    Concat,
    Convolution,
    ConvTranspose,
    Expand,
    Fused,
    Gather,
    GatherElements,
    GatherND,
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
from .layout import Order, attached, canonical, channels_last, core
from .placement import Placement
from .storage import Border, Place, expanded, order_of, reshaped, sliced, strides_of, transposed
from .work import HostWork, KernelWork, Work, make_problem

#: Types that are stored and converted, not computed in; operators whose kernels only move elements.
HALF = frozenset({DType.float16, DType.bfloat16})
MOVES = (Gather, GatherElements, GatherND, Pad)
SPATIAL = (Convolution, ConvTranspose, Pool, Resize)


class Lowering(Placement):
    """State of one lowering. Read `works`, `buffers`, `output_values` and `constants` when `run()` is done.

    refused   names of chains that no kernel executes: lower again with their layers apart
    """

    def __init__(self, network: Network, cpu: CpuSpec, tuned: Mapping[str, int]) -> None:
        super().__init__(network)
        self.cpu, self.tuned = cpu, tuned
        self.works: list[Work] = []
        self.output_values: list[int | str] = []
        self.refused: set[str] = set()

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
        if layer.op.on_host or opaque:
            self.host(layer, layer.op.on_host or f"the shape of {opaque[0]!r} is only known at run time")
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
            if isinstance(op, Chain):
                self.refused.add(layer.name)
            self.host(layer, f"no kernel for {type(core(op)).__name__} of this type and layout")

    def _compute(
        self, name: str, op: Op, inputs: tuple[Place | None, ...], outputs: tuple[Place, ...], origin: tuple[str, ...]
    ) -> bool:
        """Emit the work in the first of several ways that kernels accept; False when there is none."""
        inputs = self._broadcast(op, inputs, outputs)
        if self.emit(name, op, inputs, outputs, origin):
            return True
        mark = len(self.works)
        ranked = self._preferred(op, inputs, f"{name} (layout)", origin)
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
        return isinstance(op, Fused) and self._apart(name, op, inputs, outputs[0], origin)

    def _apart(
        self, name: str, op: Fused, inputs: tuple[Place | None, ...], y: Place, origin: tuple[str, ...]
    ) -> bool:
        """The core, then its epilogue."""
        arity = op.arity
        t = op.core.infer(*[None if p is None else TensorType(p.shape, p.dtype) for p in inputs[:arity]])
        assert isinstance(t, TensorType)
        middle = self.buffers.ordered(t.shape, t.dtype, order_of(y) if not y.is_dense else canonical(t.rank))
        return self._compute(name, op.core, inputs[:arity], (middle,), origin) and self._compute(
            f"{name} (epilogue)", Pointwise(op.epilogue), (middle, *inputs[arity:]), (y,), origin
        )

    def _compute_into(
        self, name: str, op: Op, inputs: tuple, ranked: tuple, y: Place, origin: tuple, mark: int
    ) -> bool:
        if self.emit(name, op, self._broadcast(op, inputs, (y,)), (y,), origin):
            return True
        ranked = self._preferred(op, inputs, f"{name} (layout)", origin)
        if self.emit(name, op, ranked, (y,), origin):
            return True
        del self.works[mark:]
        return False

    def _broadcast(
        self, op: Op, inputs: tuple[Place | None, ...], outputs: tuple[Place, ...]
    ) -> tuple[Place | None, ...]:
        """Pointwise operands and epilogue extras, expanded to what their stage writes; big constants laid like that."""
        y, result = outputs[0], list(inputs)
        stages = [(y.shape, order_of(y))]
        if isinstance(op, Chain):
            types = op.types([None if p is None else TensorType(p.shape, p.dtype) for p in inputs])
            stages = [*((t.shape, channels_last(t.rank)) for t in types[:-1]), *stages]
        for (shape, order), own in zip(stages, attached(op, len(inputs)), strict=True):
            for i in own:
                p = inputs[i]
                assert p is not None
                result[i] = replace(expanded(self._laid(p, order), shape), border=())
        return tuple(result)

    def _laid(self, p: Place, order: Order) -> Place:
        """A constant of two or more real axes laid out anew with its axes in the order of the result's."""
        array = self._constant_of_buffer.get(p.buffer)
        if array is None or array.shape != p.shape or not p.is_dense or sum(d != 1 for d in array.shape) < 2:
            return p
        own = tuple(a - (len(order) - array.ndim) for a in order)
        own = tuple(a for a in own if a >= 0)
        if own == canonical(array.ndim):
            return p
        name = self.buffers.records[p.buffer].name + "@" + "".join(map(str, own))
        moved = self.constant(np.ascontiguousarray(array.transpose(own)), name)
        return transposed(moved, tuple(own.index(a) for a in range(array.ndim)))

    def _preferred(
        self, op: Op, inputs: tuple[Place | None, ...], name: str, origin: tuple[str, ...]
    ) -> tuple[Place | None, ...]:
        """Variable operands copied into the layout the family works best in; those of epilogues stay."""
        extras = {i for stage in attached(op, len(inputs)) for i in stage} if not isinstance(op, Pointwise) else set()
        result: list[Place | None] = []
        for i, p in enumerate(inputs):
            if p is None or i in extras or p.buffer in self._constant_of_buffer or _reads_rows(core(op), i, p):
                result.append(p)
                continue
            order, border = _wanted(core(op), i, len(p.shape))
            if p.strides == strides_of(p.shape, order) and not any(map(any, border)):
                result.append(p)
                continue
            target = self.buffers.ordered(p.shape, p.dtype, order, border)
            self.copy(p, target, name, origin)
            result.append(target)
        return tuple(result)

    def _output_order(self, op: Op, rank: int) -> Order:
        spatial = isinstance(op, Chain) or isinstance(core(op), SPATIAL)
        return channels_last(rank) if spatial and rank >= 3 else canonical(rank)

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


def _wanted(family: Op, i: int, rank: int) -> tuple[Order, Border]:
    """The layout in which an operator's family reads its input i best."""
    if not isinstance(family, SPATIAL) or i > 0 or rank < 3:
        return canonical(rank), ()
    pads = family.pads if isinstance(family, Convolution) else ()
    return channels_last(rank), ((0, 0), (0, 0), *pads) if pads else ()


def _reads_rows(family: Op, i: int, p: Place) -> bool:
    """Matrix products read their second operand in place when its rows or its columns are dense."""
    return isinstance(family, MatMul) and i == 1 and (p.strides[-1] == 1 or (len(p.shape) > 1 and p.strides[-2] == 1))
