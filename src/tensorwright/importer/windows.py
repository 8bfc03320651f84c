"""Windows over spatial axes: strides, dilations and padding of convolutions and pools, auto_pad resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dims import Dim, ceildiv, maximum
from ..errors import ModelError, ShapeError
from ..ops import Pad
from .node import Node
from .values import Decline, Value

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """What a sliding window needs, one entry per spatial axis. x: the input, padded already where `pads` cannot."""

    x: Value
    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pads

    @property
    def spans(self) -> tuple[int, ...]:
        return tuple((r - 1) * d + 1 for r, d in zip(self.size, self.dilations, strict=True))


def per_axis(n: Node, name: str, spatial: int, default: int) -> tuple[int, ...]:
    values = n.ints(name, (default,) * spatial)
    if len(values) != spatial:
        raise ShapeError(f"{name} has {len(values)} entries for {spatial} spatial axes")
    if min(values, default=1) < 1:
        raise ModelError(f"{name} {values} must be positive")
    return values


def spatial_rank(x: Value) -> int:
    if x.rank < 3:
        raise ShapeError(f"input {x.type} has no spatial axes; (N, C, ...) is needed")
    if x.rank > 5:
        raise Decline(f"{x.rank - 2} spatial axes; kernels take 1 to 3")
    return x.rank - 2


def stored_pads(n: Node, spatial: int) -> Pads:
    pads = n.ints("pads", (0,) * (2 * spatial))
    if len(pads) != 2 * spatial:
        raise ShapeError(f"pads has {len(pads)} entries for {spatial} spatial axes")
    return tuple(zip(pads[:spatial], pads[spatial:], strict=True))


def window_of(n: Node, x: Value, size: Sequence[int], fill: float | None) -> Window:
    """The node's window over x. fill: what padded elements are, None when padding is more than a value."""
    spatial = spatial_rank(x)
    if len(size) != spatial or min(size) < 1:
        raise ShapeError(f"window {tuple(size)} does not fit {spatial} spatial axes of {x.type}")
    strides, dilations = per_axis(n, "strides", spatial, 1), per_axis(n, "dilations", spatial, 1)
    spans = [(r - 1) * d + 1 for r, d in zip(size, dilations, strict=True)]
    auto = n.text("auto_pad", "NOTSET")
    pads: list[tuple[Dim, Dim]]
    if auto in ("NOTSET", ""):
        pads = list(stored_pads(n, spatial))
    elif auto == "VALID":
        pads = [(0, 0)] * spatial
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = [same_pads(d, s, span, auto) for d, s, span in zip(x.shape[2:], strides, spans, strict=True)]
    else:
        raise ModelError(f"auto_pad is {auto!r}", try_="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if not all(isinstance(p, int) and p >= 0 for pair in pads for p in pair):
        if fill is None:
            raise Decline("the padding depends on the input's size")
        x = n.add(Pad(((0, 0), (0, 0), *pads), "constant", fill), x)
        pads = [(0, 0)] * spatial
    fixed: Pads = tuple(pads)  # type: ignore[arg-type]
    return Window(x, tuple(size), strides, dilations, fixed)


def same_pads(d: Dim, stride: int, span: int, auto: str) -> tuple[Dim, Dim]:
    """Padding that makes ⌈d / stride⌉ windows; the odd element at the end (upper) or the beginning (lower)."""
    if stride == 1:
        total: Dim = span - 1
    else:
        total = maximum((ceildiv(d, stride) - 1) * stride + span - d, 0)
    half = total // 2
    return (half, total - half) if auto == "SAME_UPPER" else (total - half, half)
