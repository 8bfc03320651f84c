"""Layers that read and write by index: gather and scatter; and resizing, which reads by computed index."""

from __future__ import annotations

from typing import Any

from ...dims import Dim, floordiv, mul
from ...errors import ShapeError, UnsupportedError
from ...ops import Gather, GatherElements, GatherND, Reshape, Resize, ScatterElements, ScatterND, Transpose
from ..enums import (
    GatherMode,
    InterpolationMode,
    LayerType,
    ResizeCoordinateTransformation,
    ResizeRoundMode,
    ResizeSelector,
    ScatterMode,
)
from ..layer import ILayer, Lowering, Param
from .nodes import node
from .window import sizes


class IGatherLayer(ILayer):
    """DEFAULT takes slices along an axis, ELEMENT single elements, ND by index vectors. With DEFAULT and ND the first
    num_elementwise_dims axes of data and indices are the same: each of their rows is gathered from on its own."""

    _layer_type = LayerType.GATHER
    _implicit_batch = False
    axis = Param(0, int)
    mode = Param(GatherMode.DEFAULT)
    num_elementwise_dims = Param(0, int)

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        plain = self.mode == GatherMode.DEFAULT and not self.num_elementwise_dims
        return [node("Gather", "x0 x1", axis=self.axis)] if plain else []

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        axis = self.axis % max(to.type(values[0]).rank, 1)
        if self.mode == GatherMode.ELEMENT:
            return self._last(to, GatherElements(axis), *values)
        if self.mode == GatherMode.ND:
            return self._last(to, GatherND(self.num_elementwise_dims), *values)
        if self.num_elementwise_dims:
            return self._batched(to, values, axis, self.num_elementwise_dims)
        return self._last(to, Gather(axis), *values)

    def _batched(self, to: Lowering, values: list[Any], axis: int, batch: int) -> list[str]:
        """y[n, a..., i..., b...] = data[n, a..., indices[n, i...], b...]: `axis` moves next to the batch axes, index
        vectors of length 1 take from there, and what lay before it (a) moves back."""
        data, indices = to.type(values[0]), to.type(values[1])
        if not 0 < batch <= min(axis, indices.rank):
            raise ShapeError(f"{batch} batch axes must come before axis {axis}, and be axes of the indices", data=data,
                             indices=indices)
        before, after = range(batch, axis), range(axis + 1, data.rank)
        moved = self._also(to, Transpose((*range(batch), axis, *before, *after)), values[0])
        rows = self._also(to, Reshape((*indices.shape, 1)), values[1])
        taken = self._also(to, GatherND(batch), moved, rows)
        ends = indices.rank, indices.rank + len(before), data.rank + indices.rank - batch - 1
        return self._last(to, Transpose((*range(batch), *range(ends[0], ends[1]), *range(batch, ends[0]),
                                         *range(ends[1], ends[2]))), taken)


class IScatterLayer(ILayer):
    """Data with updates written at indices: ELEMENT along an axis, ND by index vectors."""

    _layer_type = LayerType.SCATTER
    _implicit_batch = False
    axis = Param(0, int)
    mode = Param(ScatterMode.ELEMENT)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        if self.mode == ScatterMode.ND:
            return self._last(to, ScatterND(), *values)
        return self._last(to, ScatterElements(self.axis % to.type(values[0]).rank), *values)


_MODES = {InterpolationMode.NEAREST: "nearest", InterpolationMode.LINEAR: "linear", InterpolationMode.CUBIC: "cubic"}
_COORDINATES = {ResizeCoordinateTransformation.ALIGN_CORNERS: "align_corners",
                ResizeCoordinateTransformation.ASYMMETRIC: "asymmetric",
                ResizeCoordinateTransformation.HALF_PIXEL: "half_pixel"}
_ROUNDING = {ResizeRoundMode.HALF_UP: "round_prefer_ceil", ResizeRoundMode.HALF_DOWN: "round_prefer_floor",
             ResizeRoundMode.FLOOR: "floor", ResizeRoundMode.CEIL: "ceil"}


class IResizeLayer(ILayer):
    """Resampling to `shape`, or by `scales` (output size ⌊size · scale⌋), or to the sizes that input 1 gives."""

    _layer_type = LayerType.RESIZE
    _optional_inputs = 1
    _size_inputs = (1,)
    shape = Param(None, sizes)
    scales = Param((), tuple)
    resize_mode = Param(InterpolationMode.NEAREST)
    coordinate_transformation = Param(ResizeCoordinateTransformation.ASYMMETRIC)
    selector_for_single_pixel = Param(ResizeSelector.FORMULA)
    nearest_rounding = Param(ResizeRoundMode.FLOOR)
    exclude_outside = Param(False, bool)
    cubic_coeff = Param(-0.75, float)

    @property
    def align_corners(self) -> bool:
        """coordinate_transformation ALIGN_CORNERS, as generations 6 and 7 say it."""
        return self.coordinate_transformation == ResizeCoordinateTransformation.ALIGN_CORNERS

    @align_corners.setter
    def align_corners(self, value: bool) -> None:
        kinds = ResizeCoordinateTransformation
        self.coordinate_transformation = kinds.ALIGN_CORNERS if value else kinds.ASYMMETRIC

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = to.type(values[0])
        scales = ((1.0,) * to.lead + tuple(float(s) for s in self.scales)) if self.scales else None
        given = to.sizes(values, 1, self.name)
        if given is not None:
            shape, scales = given, None
        elif scales is not None:
            if len(scales) != x.rank:
                raise ShapeError(f"{len(scales)} scales for {x.rank} dimensions", x=x)
            shape = tuple(scaled(d, s) for d, s in zip(x.shape, scales, strict=True))
        elif self.shape is not None:
            wanted = (-1,) * to.lead + tuple(self.shape)
            shape = tuple(d if w == -1 else w for d, w in zip(x.shape, wanted, strict=True))
        else:
            raise ShapeError("a resize layer needs a shape or scales")
        if self.selector_for_single_pixel == ResizeSelector.UPPER and any(isinstance(d, int) and d == 1 for d in shape):
            raise UnsupportedError("ResizeSelector.UPPER with an axis of one pixel is not in this version")
        return self._last(to, Resize(shape, _MODES[self.resize_mode], _COORDINATES[self.coordinate_transformation],
                                     _ROUNDING[self.nearest_rounding], self.cubic_coeff, self.exclude_outside, False,
                                     scales), values[0])


def scaled(d: Dim, scale: float) -> Dim:
    """⌊d · scale⌋. Symbolic sizes take scales that are fractions with a power of two below 2¹⁶ underneath."""
    if isinstance(d, int):
        return int(d * scale)
    numerator, denominator = scale.as_integer_ratio()
    if denominator > 1 << 16:
        raise UnsupportedError(f"scale {scale} of a run-time size is not a simple fraction")
    return floordiv(mul(d, numerator), denominator)
