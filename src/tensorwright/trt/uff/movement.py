"""UFF's operations that move elements. They count axes as the framework does; on constants they compute at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ModelError, UnsupportedError
from .messages import Fields
from .nodes import node
from .values import Making, Value

#: How many indices a Gather may have.
MOST_GATHERED = 64


@node("Shape")
def shape(make: Making, inputs: list[Value], fields: Fields) -> Value:
    """A constant, with -1 for an implicit batch."""
    return Value(array=np.array(make.shape(inputs[0]), np.int32))


@node("Reshape")
def reshape(make: Making, inputs: list[Value], fields: Fields) -> Value:
    x, wanted = make.plain(inputs[0]), [int(d) for d in make.constant(inputs[1]).reshape(-1)]
    if inputs[0].array is not None:
        return Value(array=inputs[0].array.reshape(wanted))
    if make.lead:
        whole, rest = int(np.prod(make.shape(x)[1:])), wanted[1:]
        if not wanted or (whole != abs(int(np.prod(rest))) and -1 not in rest):
            raise ModelError(f"a reshape of {make.shape(x)} to {wanted} changes the batch, which is implicit")
    return Value(make.shuffled(make.tensor(x), wanted))


@node("Flatten")
def flatten(make: Making, inputs: list[Value], fields: Fields) -> Value:
    return Value(make.shuffled(make.tensor(make.plain(inputs[0])), [0, -1]))


@node("Transpose")
def transpose(make: Making, inputs: list[Value], fields: Fields) -> Value:
    order = [int(a) for a in fields["permutation"]]
    if inputs[0].array is not None:
        return Value(array=inputs[0].array.transpose(order))
    return Value(make.shuffled(make.tensor(make.plain(inputs[0])), transpose=order))


@node("ExpandDims")
def expand(make: Making, inputs: list[Value], fields: Fields) -> Value:
    axis = int(fields["axis"])
    if inputs[0].array is not None:
        return Value(array=np.expand_dims(inputs[0].array, axis))
    x = make.plain(inputs[0])
    sizes = make.shape(x)
    at = axis + len(sizes) + 1 if axis < 0 else axis
    if at < make.lead:
        raise ModelError("an axis before the batch, which is implicit")
    return Value(make.shuffled(make.tensor(x), [*sizes[:at], 1, *sizes[at:]]))


@node("Squeeze")
def squeeze(make: Making, inputs: list[Value], fields: Fields) -> Value:
    if inputs[0].array is not None:
        return Value(array=np.squeeze(inputs[0].array, tuple(fields.get("axes", [])) or None))
    x = make.plain(inputs[0])
    sizes = make.shape(x)
    axes = [int(a) % len(sizes) for a in fields.get("axes", [])] or \
        [i for i, d in enumerate(sizes) if d == 1 and i >= make.lead]
    if any(sizes[a] != 1 for a in axes):
        raise ModelError(f"axes {axes} of {sizes} do not all have one element")
    return Value(make.shuffled(make.tensor(x), [d for i, d in enumerate(sizes) if i not in axes]))


@node("Concat")
def concat(make: Making, inputs: list[Value], fields: Fields) -> Value:
    axis = int(fields["axis"])
    if all(x.array is not None for x in inputs):
        return Value(array=np.concatenate([make.constant(x) for x in inputs], axis))
    last = any(x.last for x in inputs)
    layer: Any = make.network.add_concatenation([make.tensor(x) for x in inputs])
    layer.axis = make.axis(Value(inputs[0].tensor, last=last), axis)
    return Value(layer.get_output(0), last=last)


@node("Stack")
def stack(make: Making, inputs: list[Value], fields: Fields) -> Value:
    axis = int(fields.get("axis", 0))
    if all(x.array is not None for x in inputs):
        return Value(array=np.stack([make.constant(x) for x in inputs], axis))
    parts = [expand(make, [x], fields) for x in inputs]
    return concat(make, parts, fields)


@node("StridedSlice")
def strided_slice(make: Making, inputs: list[Value], fields: Fields) -> Value:
    begin, end, step = ([int(v) for v in make.constant(x).reshape(-1)] for x in inputs[1:])
    masks = {name: int(fields.get(f"{name}_mask", 0)) for name in ("begin", "end", "shrink_axis")}
    x = inputs[0] if inputs[0].array is not None else make.plain(inputs[0])
    sizes = list(x.array.shape) if x.array is not None else make.shape(x)
    if not len(begin) == len(end) == len(step) <= len(sizes) or 0 in step:
        raise ModelError(f"a slice from {begin} to {end} by {step} of {sizes}")
    start: list[int] = []
    count: list[int] = []
    stride: list[int] = []
    kept: list[int] = []
    for i, size in enumerate(sizes):
        if i >= len(begin) or (i < make.lead and x.array is None):
            if i < len(begin) and not (masks["begin"] >> i & 1 and masks["end"] >> i & 1 and step[i] == 1):
                raise ModelError("a slice of the batch, which is implicit")
            start, count, stride, kept = [*start, 0], [*count, size], [*stride, 1], [*kept, i]
            continue
        shrunk = bool(masks["shrink_axis"] >> i & 1)
        low = None if masks["begin"] >> i & 1 else begin[i]
        high = None if masks["end"] >> i & 1 else end[i]
        if shrunk:
            low, high = begin[i], begin[i] + 1 or None
        picked = range(size)[low:high:1 if shrunk else step[i]]
        if not len(picked):
            raise ModelError(f"a slice from {begin} to {end} of {sizes} is empty")
        start, count, stride = [*start, picked[0]], [*count, len(picked)], [*stride, 1 if shrunk else step[i]]
        kept += [] if shrunk else [i]
    if x.array is not None:
        grid = np.ix_(*(np.arange(n) * d + s for s, n, d in zip(start, count, stride, strict=True)))
        return Value(array=x.array[grid].reshape([count[i] for i in kept]))
    layer: Any = make.network.add_slice(make.tensor(x), start[make.lead:], count[make.lead:], stride[make.lead:])
    return Value(make.shuffled(layer.get_output(0), [count[i] for i in kept]))


@node("Pad")
def pad(make: Making, inputs: list[Value], fields: Fields) -> Value:
    amounts = make.constant(inputs[1]).reshape(-1, 2)
    x = inputs[0]
    spatial = (1, 2) if x.last else (2, 3)
    if make.rank(x) != 4 or any(amounts[i].any() for i in range(4) if i not in spatial):
        raise UnsupportedError(f"padding by {amounts.tolist()}: height and width of 4 axes can be padded")
    layer: Any = make.network.add_padding_nd(make.tensor(x), [int(amounts[i][0]) for i in spatial],
                                             [int(amounts[i][1]) for i in spatial])
    return Value(layer.get_output(0), last=x.last)


@node("Gather", "GatherV2")
def gather(make: Making, inputs: list[Value], fields: Fields) -> Value:
    axis = int(fields.get("axis", 0))
    if all(x.array is not None for x in inputs):
        return Value(array=np.take(make.constant(inputs[0]), make.constant(inputs[1]), axis))
    if inputs[0].array is not None and inputs[1].tensor is not None:
        raise UnsupportedError("rows of a constant picked by a tensor", try_="export the model to ONNX")
    x, indices = make.plain(inputs[0]), [int(i) for i in make.constant(inputs[1]).reshape(-1)]
    if inputs[1].array is None or inputs[1].array.ndim != 1 or not 0 < len(indices) <= MOST_GATHERED:
        raise UnsupportedError(f"{len(indices)} elements picked along axis {axis}",
                               try_=f"a vector of 1 to {MOST_GATHERED} indices")
    at, sizes = make.axis(x, axis), list(make.tensor(x).shape)
    if any(not -sizes[at] <= i < sizes[at] for i in indices):
        raise ModelError(f"indices {indices} reach beyond the {sizes[at]} elements of axis {axis}")
    parts = []
    for i in indices:                                     # gathering is not to be had with an implicit batch
        start, count = [0] * len(sizes), list(sizes)
        start[at], count[at] = i % sizes[at], 1
        one: Any = make.network.add_slice(make.tensor(x), start, count, [1] * len(sizes))
        parts.append(one.get_output(0))
    layer: Any = make.network.add_concatenation(parts)
    layer.axis = at
    return Value(layer.get_output(0))
