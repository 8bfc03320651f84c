"""Output sizes by a formula of the user's, as generations 5 to 7 let a network have one for each kind of window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ShapeError
from ...ir import TensorType
from ..callbacks import guarded
from ..foundation import DimsHW

if TYPE_CHECKING:
    from ..layer import ILayer

Pads = tuple[tuple[int, int], ...]


class IOutputDimensionsFormula:
    """Subclass it and define compute; then network.convolution_output_dimensions_formula = it, and so on."""

    def compute(self, input_shape: DimsHW, kernel_shape: DimsHW, stride: DimsHW, padding: DimsHW, dilation: DimsHW,
                layer_name: str) -> DimsHW:
        """The (height, width) of the output."""
        raise NotImplementedError("an output dimensions formula defines compute")


def wanted_size(layer: ILayer, what: str, x: TensorType, window: tuple[int, ...], strides: tuple[int, ...],
                dilations: tuple[int, ...], pads: Pads) -> tuple[int, int] | None:
    """What the network's formula says of a window over two axes; None when there is no formula."""
    formula: Any = layer._network._formulas.get(what)
    if formula is None or len(window) != 2:
        return None
    if not all(isinstance(d, int) for d in x.shape[2:]):
        raise ShapeError("a formula for output sizes needs sizes known when the network is built", x=x)
    answer = guarded(formula.compute, DimsHW(x.shape[2:]), DimsHW(window), DimsHW(strides),
                     DimsHW(before for before, _ in pads), DimsHW(dilations), layer.name)
    try:
        height, width = (int(d) for d in answer)
    except (TypeError, ValueError):
        raise ShapeError(f"the {what} formula gives {answer!r}, a height and a width are needed") from None
    if height < 1 or width < 1:
        raise ShapeError(f"the {what} formula gives {(height, width)}")
    return height, width


def widened(sizes: tuple[Any, ...], window: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...],
            pads: Pads, wanted: tuple[int, ...]) -> Pads:
    """The padding after the end enlarged until there are as many window positions as wanted; never made smaller."""
    found = []
    for size, k, s, d, (before, after), n in zip(sizes, window, strides, dilations, pads, wanted, strict=True):
        found.append((before, max(after, (n - 1) * s + d * (k - 1) + 1 - size - before)))
    return tuple(found)


def cropped(sizes: tuple[Any, ...], window: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...],
            pads: Pads, wanted: tuple[int, ...]) -> tuple[Pads, tuple[int, ...]]:
    """For a transposed window: what is cut off at the end, and what is added there, to make sizes as wanted."""
    cut, more = [], []
    for size, k, s, d, (before, _), n in zip(sizes, window, strides, dilations, pads, wanted, strict=True):
        excess = (size - 1) * s + d * (k - 1) + 1 - before - n
        cut.append((before, max(0, excess)))
        more.append(max(0, -excess))
    return tuple(cut), tuple(more)
