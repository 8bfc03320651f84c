"""Layers that slide a window: convolution, its transpose, pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import Dim
from ...errors import ShapeError, TypeMismatch
from ...ir import TensorType
from ...ops import Convolution, ConvTranspose, Pointwise, Pool, Slice
from ...ops.expr import Apply, Const, In
from ..enums import LayerType, PaddingMode, PoolingType
from ..foundation import Dims, DimsHW
from ..layer import ILayer, Lowering, Param, WeightsParam, number, spatial
from .formulas import cropped, wanted_size, widened

#: Modes in which a window that is only partly inside counts.
UP = (PaddingMode.EXPLICIT_ROUND_UP, PaddingMode.CAFFE_ROUND_UP)


def sizes(value: Any) -> Dims:
    return Dims(value)


def same_padding(size: int, span: int, stride: int) -> int:
    """Total padding that makes ⌈size / stride⌉ window positions."""
    return max(0, (size - 1) // stride * stride + span - size)


def flat(name: str) -> property:
    """The two-dimensional form of a parameter, (height, width), as generations up to 8 have it."""
    def read(layer: Any) -> DimsHW:
        value = getattr(layer, name)
        filler = 0 if "padding" in name else 1
        return DimsHW(value if value is not None and len(value) == 2 else (filler, filler))

    def write(layer: Any, value: Any) -> None:
        setattr(layer, name, DimsHW(value))
    return property(read, write, doc=f"{name} of two axes.")


class PerAxis(Param):
    """A number for each axis of the window; until it is set, the same for all of them."""

    def __init__(self, filler: int) -> None:
        super().__init__(None, sizes)
        self.filler = filler

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        value = super().__get__(layer, owner)
        return Dims((self.filler,) * len(layer._window())) if value is None else value


class _Windowed(ILayer):
    """Padding, stride and dilation over the trailing spatial axes."""

    pre_padding = PerAxis(0)
    post_padding = PerAxis(0)
    padding_mode = Param(PaddingMode.EXPLICIT_ROUND_DOWN)
    stride_nd = PerAxis(1)

    def _window(self) -> Dims:
        raise NotImplementedError

    stride = flat("stride_nd")
    padding = flat("padding_nd")

    @property
    def padding_nd(self) -> Dims:
        """Symmetric padding: setting it sets pre_padding and post_padding."""
        return self.pre_padding

    @padding_nd.setter
    def padding_nd(self, value: Any) -> None:
        self.pre_padding = self.post_padding = value

    def _explicit(self, rank: int) -> tuple[tuple[int, int], ...]:
        return tuple(zip(spatial(self.pre_padding, rank, 0), spatial(self.post_padding, rank, 0), strict=True))

    def _first(self, to: Lowering, value: str, wanted: tuple[int, ...]) -> list[str]:
        """The first window positions along each axis, as many as wanted."""
        t = to.type(value)
        return self._last(to, Slice((0,) * t.rank, (*t.shape[:2], *wanted), (1,) * t.rank), value)

    def _pads(self, x: TensorType, window: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...],
              round_up: bool = False) -> tuple[tuple[int, int], ...]:
        """(before, after) per axis under the padding mode. round_up: widen `after` so that no input is left over."""
        pads = []
        given = self._explicit(len(window))
        for explicit, size, k, s, d in zip(given, x.shape[2:], window, strides, dilations, strict=True):
            span = 1 + d * (k - 1)
            if self.padding_mode in (PaddingMode.SAME_UPPER, PaddingMode.SAME_LOWER):
                total = span - 1 if s == 1 else same_padding(number(size, "a SAME-padded axis"), span, s)
                small, large = total // 2, total - total // 2
                explicit = (small, large) if self.padding_mode == PaddingMode.SAME_UPPER else (large, small)
            elif round_up and self.padding_mode in UP and s > 1:
                covered = number(size, "an axis rounded up") + sum(explicit) - span
                explicit = (explicit[0], explicit[1] + -covered % s)
            pads.append(explicit)
        return tuple(pads)


class _Filtered(_Windowed):
    """A window with weights. Inputs 1 and 2 may give kernel and bias as tensors, when the weights are empty."""

    _optional_inputs = 2
    num_output_maps = Param(0, int)
    kernel_size_nd = Param((), sizes)
    dilation_nd = PerAxis(1)
    num_groups = Param(1, int)
    kernel = WeightsParam()
    bias = WeightsParam()
    kernel_size = flat("kernel_size_nd")

    def _window(self) -> Dims:
        return Dims(self.kernel_size_nd)

    def _weights(self, to: Lowering, values: list[Any], x: TensorType,
                 shape: tuple[Dim, ...]) -> tuple[str, str | None]:
        kernel = values[1] if len(values) > 1 and values[1] else None
        bias = values[2] if len(values) > 2 and values[2] else None
        if kernel is None:
            fixed = tuple(number(d, "the number of channels") for d in shape)
            if self.kernel.size != (count := int(np.prod(fixed))):
                raise ShapeError(f"kernel has {self.kernel.size} weights, shape {fixed} takes {count}", x=x)
            kernel = to.given(self, "kernel", fixed, x.dtype)
        if bias is None and self.bias.size:
            if self.bias.size != self.num_output_maps:
                raise ShapeError(f"bias has {self.bias.size} weights for {self.num_output_maps} output maps")
            bias = to.given(self, "bias", (-1,), x.dtype)
        return kernel, bias

    def _input(self, to: Lowering, value: str) -> tuple[TensorType, int, int]:
        """The input's type, its channels, and its spatial rank."""
        x, rank = to.type(value), len(self.kernel_size_nd)
        if x.rank != rank + 2:
            raise ShapeError(f"a window of {rank} dimensions takes an input of {rank + 2}", x=x)
        if not x.dtype.is_float:
            raise TypeMismatch(f"weights are floating point, the input is {x.dtype}", x=x)
        return x, number(x.shape[1], "the number of channels"), rank


class IConvolutionLayer(_Filtered):
    """Cross-correlation; kernel laid out [output maps, channels / groups, *window]."""

    _layer_type = LayerType.CONVOLUTION
    dilation = flat("dilation_nd")

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x, channels, rank = self._input(to, values[0])
        window, groups = tuple(self.kernel_size_nd), self.num_groups
        strides, dilations = spatial(self.stride_nd, rank, 1), spatial(self.dilation_nd, rank, 1)
        kernel, bias = self._weights(to, values, x, (self.num_output_maps, channels // groups, *window))
        pads = self._pads(x, window, strides, dilations, round_up=True)
        wanted = wanted_size(self, "convolution", x, window, strides, dilations, self._explicit(rank))
        if wanted is None:
            return self._last(to, Convolution(strides, pads, dilations, groups), values[0], kernel, bias)
        pads = widened(x.shape[2:], window, strides, dilations, self._explicit(rank), wanted)
        return self._first(to, self._also(to, Convolution(strides, pads, dilations, groups), values[0], kernel, bias),
                           wanted)


class IDeconvolutionLayer(_Filtered):
    """Transposed convolution; kernel laid out [channels, output maps / groups, *window]. Padding crops the output."""

    _layer_type = LayerType.DECONVOLUTION

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x, channels, rank = self._input(to, values[0])
        window, groups = tuple(self.kernel_size_nd), self.num_groups
        strides, dilations = spatial(self.stride_nd, rank, 1), spatial(self.dilation_nd, rank, 1)
        kernel, bias = self._weights(to, values, x, (channels, self.num_output_maps // groups, *window))
        pads = self._explicit(rank)
        if self.padding_mode in (PaddingMode.SAME_UPPER, PaddingMode.SAME_LOWER):
            totals = [max(0, 1 + d * (k - 1) - s) for k, s, d in zip(window, strides, dilations, strict=True)]
            upper = self.padding_mode == PaddingMode.SAME_UPPER
            pads = tuple((t // 2, t - t // 2) if upper else (t - t // 2, t // 2) for t in totals)
        more: tuple[int, ...] = (0,) * rank
        wanted = wanted_size(self, "deconvolution", x, window, strides, dilations, self._explicit(rank))
        if wanted is not None:
            pads, more = cropped(x.shape[2:], window, strides, dilations, self._explicit(rank), wanted)
        op = ConvTranspose(strides, pads, dilations, groups, more)
        return self._last(to, op, values[0], kernel, bias)


class IPoolingLayer(_Windowed):
    """Maximum, average, or a blend of both over a window. `type` is a PoolingType once the layer has this class."""

    _layer_type = LayerType.POOLING
    type = Param(PoolingType.MAX)                    # type: ignore[assignment]
    window_size_nd = Param((), sizes)
    window_size = flat("window_size_nd")
    blend_factor = Param(0.0, float)
    average_count_excludes_padding = Param(True, bool)

    def _window(self) -> Dims:
        return Dims(self.window_size_nd)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x, rank = to.type(values[0]), len(self.window_size_nd)
        if x.rank != rank + 2:
            raise ShapeError(f"a window of {rank} dimensions takes an input of {rank + 2}", x=x)
        window, strides, ones = tuple(self.window_size_nd), spatial(self.stride_nd, rank, 1), (1,) * rank
        pads = self._pads(x, window, strides, ones)
        ceil = self.padding_mode in UP
        wanted = wanted_size(self, "pooling", x, window, strides, ones, self._explicit(rank))
        if wanted is not None:
            pads, ceil = widened(x.shape[2:], window, strides, ones, self._explicit(rank), wanted), False
        include = not self.average_count_excludes_padding
        maximum = Pool("max", window, strides, pads, ones, False, ceil)
        average = Pool("average", window, strides, pads, ones, include, ceil)
        kind = self._params.get("type", PoolingType.MAX)
        if kind != PoolingType.MAX_AVERAGE_BLEND:
            op = maximum if kind == PoolingType.MAX else average
            return self._last(to, op, values[0]) if wanted is None else \
                self._first(to, self._also(to, op, values[0]), wanted)
        parts = [self._also(to, op, values[0]) for op in (maximum, average)]
        t, b = x.dtype, self.blend_factor
        weighted = [Apply("mul", (In(i, t), Const(w, t)), t) for i, w in enumerate((1 - b, b))]
        blend = Apply("add", tuple(weighted), t)
        if wanted is not None:
            return self._first(to, self._also(to, Pointwise(blend), *parts), wanted)
        return self._last(to, Pointwise(blend), *parts)
