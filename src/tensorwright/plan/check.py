"""Whether a program's records fit together: every number, name and reference, so that running them touches only
memory that is theirs. Applied to everything read from a file, and again with exact numbers when shapes are set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..dims import Dim, evaluate, symbols
from ..dtypes import DType
from ..errors import PlanError
from .records import Launch, Program, View
from .refit import Hollow
from .tensors import StoredTensors

LIMIT = 1 << 47                                             # bytes, elements, chunks: more than any machine addresses
_KINDS = ("arena", "input", "output", "constant")


class Values:
    """Evaluates dimensions, each distinct expression once."""

    def __init__(self, env: Mapping[str, int]) -> None:
        self.env, self.known = env, dict[Dim, int]()

    def __call__(self, dim: Dim, at: str = "") -> int:
        if isinstance(dim, int):
            return dim
        found = self.known.get(dim)
        if found is None:
            try:
                found = self.known[dim] = evaluate(dim, self.env)
            except (KeyError, ZeroDivisionError) as error:
                raise PlanError(f"{dim} has no value: {error!r}", at=at or None, shapes=dict(self.env)) from None
            if abs(found) > LIMIT:
                raise PlanError(f"{dim} is {found}", at=at or None, shapes=dict(self.env))
        return found


class Place(NamedTuple):
    """A view with its numbers known. base: address of the buffer, None for the user's memory. strides in bytes."""

    base: int | None
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def locate(view: View, sizes: Sequence[int], value: Values, layer: str, bases: Sequence[int | None] = ()) -> Place:
    """The place of a view. PlanError when any of its elements lies outside its buffer of sizes[view.buffer] bytes."""
    item = view.dtype.itemsize
    offset = value(view.offset, layer)
    shape = tuple([value(d, layer) for d in view.shape])
    strides = tuple([value(s, layer) * item for s in view.strides])
    low = high = offset
    for n, s in zip(shape, strides):  # noqa: B905 (lengths were checked with the program; this is the hot loop)
        if s < 0:
            low += (n - 1) * s
        else:
            high += (n - 1) * s
    if min(shape, default=1) < 1:
        if min(shape) < 0:
            raise PlanError(f"a view has the shape {shape}", at=layer, shapes=dict(value.env))
        low = high = offset = 0                              # no elements: any address does
    elif low < 0 or high + item > sizes[view.buffer]:
        raise PlanError(f"a view of buffer {view.buffer} reaches from byte {low} to {high + item}, the buffer has "
                        f"{sizes[view.buffer]}", at=layer, shape=shape, strides=strides, shapes=dict(value.env))
    return Place(bases[view.buffer] if bases else None, offset, shape, strides)


def check_program(program: Program, weights: Mapping[str, np.ndarray]) -> None:
    """PlanError unless all references lead somewhere and all views lie in their buffers at the profile's maximum."""
    _check_frame(program)
    known = {name for name, _ in program.profile.ranges}
    value = Values(program.profile.maximum())
    for c in program.conditions:
        _check_symbols(c.dim, known, c.layer)
    # shapes that break a condition never run: then only the exact check, when shapes are set, can say
    possible = all(0 <= value(c.dim, c.layer) <= (0 if c.kind == "zero" else LIMIT) for c in program.conditions)
    used = _used_buffers(program)
    sizes = []
    for i, buffer in enumerate(program.buffers):
        where = f"buffer {i}"
        if i in used or isinstance(buffer.bytes, int):
            _check_symbols(buffer.bytes, known, where)
            sizes.append(value(buffer.bytes, where))
        else:
            sizes.append(0)
        if not 0 <= sizes[-1] <= LIMIT:
            raise PlanError(f"a buffer has {sizes[-1]} bytes", at=where)
        offset = program.offsets[i]
        if buffer.kind == "arena" and (i in used or buffer.zero) and not \
                0 <= offset <= program.arena_bytes - sizes[-1]:
            raise PlanError(f"{sizes[-1]} bytes at offset {offset} are not in the arena of {program.arena_bytes}",
                            at=where)
        if buffer.kind == "constant" and i in used:
            if buffer.name not in weights:
                raise PlanError(f"there is no constant {buffer.name!r}", at=where)
            if (held := bytes_of(weights, buffer.name)) < sizes[-1]:
                raise PlanError(f"constant {buffer.name!r} has {held} bytes, {sizes[-1]} are expected", at=where)
        if buffer.kind == "output" and i in used and i not in program.output_values:
            raise PlanError("a buffer of the user's that is no output: nobody gives its memory", at=where)
    kernels = {k.id: k for k in program.kernels}
    written = {info.name for info in program.inputs}
    for step in program.steps:
        views = step.args if isinstance(step, Launch) else (*step.inputs, *step.outputs)
        for view in views:
            if isinstance(view, View):
                for dim in (view.offset, *view.shape, *view.strides):
                    _check_symbols(dim, known, step.layer)
                if possible:
                    locate(view, sizes, value, step.layer)
        if isinstance(step, Launch):
            if step.kernel not in kernels:
                raise PlanError(f"there is no kernel {step.kernel!r}", at=step.layer)
            if len(kernels[step.kernel].entries) != len(step.chunks):
                raise PlanError(f"kernel {step.kernel!r} has {len(kernels[step.kernel].entries)} phases, the launch "
                                f"{len(step.chunks)}", at=step.layer)
            for dim in (*step.dims, *step.chunks):
                _check_symbols(dim, known, step.layer)
            if any(value(c, step.layer) < 0 for c in step.chunks):
                raise PlanError(f"a launch has a negative number of chunks: {step.chunks}", at=step.layer)
        else:
            for x in step.inputs:
                if isinstance(x, str) and x not in written:
                    raise PlanError(f"host step reads {x!r}, which nothing wrote before", at=step.layer)
            for x in step.outputs:
                if isinstance(x, View) and program.buffers[x.buffer].kind not in ("arena", "output"):
                    raise PlanError(f"host step writes into a buffer of kind {program.buffers[x.buffer].kind!r}",
                                    at=step.layer)
            written |= {x for x in step.outputs if isinstance(x, str)}
    _check_outputs(program, sizes, value, written)


def bytes_of(weights: Mapping[str, np.ndarray], name: str) -> int:
    """Size of a constant. Those of a file know it without reading (and verifying) the array."""
    return weights.nbytes(name) if isinstance(weights, (StoredTensors, Hollow)) else weights[name].nbytes


def _used_buffers(program: Program) -> set[int]:
    used = {w for w in program.output_values if isinstance(w, int)}
    for step in program.steps:
        for view in step.args if isinstance(step, Launch) else (*step.inputs, *step.outputs):
            if isinstance(view, View):
                if not 0 <= view.buffer < len(program.buffers):
                    raise PlanError(f"a view names buffer {view.buffer} of {len(program.buffers)}", at=step.layer)
                if len(view.shape) != len(view.strides):
                    raise PlanError(f"a view has {len(view.shape)} dimensions and {len(view.strides)} strides",
                                    at=step.layer)
                if view.dtype is DType.string:
                    raise PlanError("a view of strings: they have no memory of their own", at=step.layer)
                used.add(view.buffer)
    if any(not 0 <= w < len(program.buffers) for w in used):
        raise PlanError("an output names a buffer that does not exist")
    return used


def _check_frame(program: Program) -> None:
    if len(program.offsets) != len(program.buffers):
        raise PlanError(f"{len(program.buffers)} buffers have {len(program.offsets)} offsets")
    if len(program.output_values) != len(program.outputs):
        raise PlanError(f"{len(program.outputs)} outputs have {len(program.output_values)} values")
    if not 0 <= program.arena_bytes <= LIMIT:
        raise PlanError(f"the arena has {program.arena_bytes} bytes")
    if not 1 <= program.threads <= 1024:
        raise PlanError(f"the program is for {program.threads} threads")
    for name, (low, best, high) in program.profile.ranges:
        if not 0 <= low <= best <= high <= LIMIT:
            raise PlanError(f"the range of {name} is {low}, {best}, {high}")
    for infos, what in ((program.inputs, "inputs"), (program.outputs, "outputs")):
        names = [info.name for info in infos]
        if what == "inputs" and len(set(names)) != len(names):
            raise PlanError(f"two {what} have the same name: {names}")
    inputs = {info.name: info for info in program.inputs}
    for i, buffer in enumerate(program.buffers):
        if buffer.kind not in _KINDS:
            raise PlanError(f"a buffer of kind {buffer.kind!r}", at=f"buffer {i}")
        if buffer.kind == "input":
            info = inputs.get(buffer.name)
            if info is None or info.shape is None or info.dtype is None:
                raise PlanError(f"a buffer for {buffer.name!r}, which is no input tensor", at=f"buffer {i}")
    for kernel in program.kernels:
        if not kernel.entries:
            raise PlanError(f"kernel {kernel.id!r} has no phases")


def _check_outputs(program: Program, sizes: list[int], value: Values, written: set[str]) -> None:
    owners: dict[str, int] = {}
    for number, buffer in enumerate(program.buffers):
        if buffer.kind == "input":
            info = next(i for i in program.inputs if i.name == buffer.name)
            _check_size(info.name, info.shape, info.dtype, sizes[number], value)
            if owners.setdefault(buffer.name, number) != number:
                raise PlanError(f"two buffers are for input {buffer.name!r}")
    for info, where in zip(program.outputs, program.output_values, strict=True):
        if isinstance(where, str):
            if where not in written:
                raise PlanError(f"output {info.name!r} is {where!r}, which nothing writes")
        elif info.shape is None or info.dtype is None or info.dtype is DType.string:
            raise PlanError(f"output {info.name!r} has memory but no shape or type")
        else:
            _check_size(info.name, info.shape, info.dtype, sizes[where], value)


def _check_size(name: str, shape: Sequence[Dim] | None, dtype: DType | None, size: int, value: Values) -> None:
    assert shape is not None and dtype is not None
    numbers = [value(d, name) for d in shape]
    if any(n < 0 for n in numbers) or (size != 0 and math.prod(numbers) * dtype.itemsize != size):
        raise PlanError(f"{name!r} of shape {tuple(numbers)} and type {dtype} does not fill its buffer of {size} bytes")


def _check_symbols(dim: Dim, known: set[str], where: str) -> None:
    if not isinstance(dim, int) and not symbols(dim) <= known:
        raise PlanError(f"{dim} names {sorted(symbols(dim) - known)}, which the profile has no range for", at=where)

