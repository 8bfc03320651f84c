"""From images as cameras and decoders give them (uint8, channels last) to what a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...errors import ModelError
from ..model import Model
from ..seam import described
from .writer import Writer, floating, pick, shape_of

Size = tuple[int, int]


def image(model: Model, input: str | None = None, *, mean: float | Sequence[float] = 0.0,
          std: float | Sequence[float] = 1.0, scale: float = 1 / 255, swap: bool = False, dtype: str = "uint8",
          resize: bool | Size = False, source: Size | None = None,
          interpolation: Literal["linear", "nearest", "cubic"] = "linear", antialias: bool = False,
          layout: Literal["NCHW", "NHWC"] | None = None) -> Model:
    """Images (batch, height, width, channels) → (pixel · scale − mean) / std in the input's type and layout.

    input           the input to feed; the only one when None
    mean, std       one number, or one per channel in the network's order, in units after `scale`
    scale           1/255 brings bytes to 0 … 1; 1 leaves them
    swap            the images' channels come in the reverse of the network's order (BGR and RGB)
    dtype           of the images: uint8, float16 or float32
    resize          True: images of any size are brought to the size the network takes; (height, width): to that size,
                    for a network of dynamic size. Aspect ratio is not kept: there is no letterbox.
    source          (height, width) of the images when it is fixed; only with `resize`
    interpolation   linear and cubic with half-pixel centres; nearest takes pixel floor(i · in / out)
    antialias       average over all pixels when it gets smaller, as Pillow does (operator set 18)
    layout          of the network's input; found by where 1, 3 or 4 channels are when None
    Raises          ModelError when the input is not a floating-point image, or sizes disagree.
    """
    import onnx

    value = pick(model, input, "input")
    shape, target = shape_of(model, value, 4), floating(model, value)
    layout = layout or _layout(model, value, shape)
    batch, channels, height, width = shape if layout == "NCHW" else (shape[i] for i in (0, 3, 1, 2))
    if not isinstance(channels, int):
        raise ModelError(f"{value.name!r} is {described(value)}: the number of channels must be fixed", at=model.label)
    types = {"uint8": onnx.TensorProto.UINT8, "float16": onnx.TensorProto.FLOAT16, "float32": onnx.TensorProto.FLOAT}
    if dtype not in types:
        raise ModelError(f"images are uint8, float16 or float32, not {dtype!r}")
    if swap and channels == 1:
        raise ModelError("one channel has no order to swap", at=model.label)
    factor, offset = _affine(mean, std, scale, channels)
    size = _size(model, value, (height, width), resize)
    if size is None and (source is not None or antialias or interpolation != "linear"):
        raise ModelError("source, interpolation and antialias are for images that are resized", try_="resize=True")

    writer = Writer("image", model, 18 if size and antialias else 13)
    rows, columns = source or (("height", "width") if size else (height, width))
    name = str(value.name)
    x = writer.input(name, types[dtype], [batch, rows, columns, channels])
    x = writer.node("Transpose", x, perm=[0, 3, 1, 2])
    if swap:
        x = writer.node("Gather", x, writer.constant(np.arange(channels)[::-1]), axis=1)
    work = np.float64 if target == np.float64 else np.float32
    code = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(work))
    if types[dtype] != code:
        x = writer.cast(x, code)
    if size and (rows, columns) != size:
        x = _resized(writer, x, size, interpolation, antialias)
    if np.any(factor != 1):
        x = writer.node("Mul", x, writer.constant(factor, work))
    if np.any(offset != 0):
        x = writer.node("Add", x, writer.constant(offset, work))
    assert value.dtype is not None
    if int(value.dtype) != code:
        x = writer.cast(x, int(value.dtype))
    if layout == "NHWC":
        x = writer.node("Transpose", x, perm=[0, 2, 3, 1])
    high, wide = size or (height, width)
    writer.output(x, f"{name}/normalised", int(value.dtype),
                  [batch, channels, high, wide] if layout == "NCHW" else [batch, high, wide, channels])
    return writer.model()


def _layout(model: Model, value: Any, shape: Sequence[Any]) -> Literal["NCHW", "NHWC"]:
    first, last = shape[1] in (1, 3, 4), shape[3] in (1, 3, 4)
    if first == last:
        raise ModelError(f"{value.name!r} is {described(value)}: it is not clear which axis is the channels",
                         at=model.label, try_='layout="NCHW" or "NHWC"')
    return "NCHW" if first else "NHWC"


def _affine(mean: float | Sequence[float], std: float | Sequence[float], scale: float, channels: int,
            ) -> tuple[np.ndarray, np.ndarray]:
    """float64 (channels, 1, 1) each: pixel · factor + offset is (pixel · scale − mean) / std"""
    numbers = []
    for name, given in (("mean", mean), ("std", std), ("scale", scale)):
        array = np.asarray(given, np.float64).reshape(-1)
        if array.size not in (1, channels) or not np.isfinite(array).all():
            raise ModelError(f"{name} needs 1 or {channels} finite numbers, not {given!r}")
        numbers.append(np.broadcast_to(array, (channels,)).reshape(channels, 1, 1))
    if not numbers[1].all():
        raise ModelError(f"std must not be 0: {std!r}")
    return numbers[2] / numbers[1], -numbers[0] / numbers[1]


def _size(model: Model, value: Any, own: tuple[Any, Any], resize: bool | Size) -> Size | None:
    if resize is False:
        return None
    fixed = all(isinstance(d, int) for d in own)
    if resize is True:
        if not fixed:
            raise ModelError(f"{value.name!r} is {described(value)}: its size is not fixed", at=model.label,
                             try_="resize=(height, width)")
        return own
    if len(resize) != 2 or any(d < 1 for d in resize):
        raise ModelError(f"resize is (height, width), not {resize!r}")
    if any(isinstance(d, int) and d != r for d, r in zip(own, resize, strict=True)):
        raise ModelError(f"{value.name!r} is {described(value)} and cannot take images of {resize[0]}×{resize[1]}",
                         at=model.label, try_="resize=True resizes to what it takes")
    return resize[0], resize[1]


def _resized(writer: Writer, x: str, size: Size, interpolation: str, antialias: bool) -> str:
    """x (batch, channels, height, width) resized to (batch, channels, *size)"""
    if interpolation not in ("linear", "nearest", "cubic"):
        raise ModelError(f"interpolation is linear, nearest or cubic, not {interpolation!r}")
    if interpolation == "nearest":
        if antialias:
            raise ModelError("antialias is for linear and cubic interpolation")
        how: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        how = {"coordinate_transformation_mode": "half_pixel"}
    if interpolation == "cubic":
        how["cubic_coeff_a"] = -0.5 if antialias else -0.75
    if antialias:
        how |= {"antialias": 1, "exclude_outside": 1}    # at the border, too, as Pillow does
    if writer.opset >= 18:
        return writer.node("Resize", x, "", "", writer.constant(size), mode=interpolation, axes=[2, 3], **how)
    outer = writer.node("Slice", writer.node("Shape", x), writer.constant([0]), writer.constant([2]))
    sizes = writer.node("Concat", outer, writer.constant(size), axis=0)
    return writer.node("Resize", x, "", "", sizes, mode=interpolation, **how)
