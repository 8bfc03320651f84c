"""Views, joins and copies: Transpose, Reshape and its kin, Expand, Concat, Pad, Tile, DepthToSpace."""

from __future__ import annotations

from ..dims import Dim, product
from ..errors import ModelError, ShapeError
from ..ops import Concat, Expand, Pad
from ..ops.rules import broadcast_shapes
from .node import Node
from .registry import operator
from .values import Decline, Value, axis_of


@operator("Transpose")
def transpose(n: Node) -> Value:
    x = n[0]
    perm = n.ints("perm", tuple(reversed(range(x.rank))))
    if sorted(perm) != list(range(x.rank)):
        raise ShapeError(f"perm {perm} is not an order of {x.rank} axes", x=x.type)
    return n.transpose(x, perm)


@operator("Reshape")
def reshape(n: Node) -> Value:
    wanted = n.ints("shape") if n.since < 5 else n.dims(1)
    return n.reshape(n[0], resolved_shape(n[0], wanted, n.flag("allowzero")))


def resolved_shape(x: Value, wanted: tuple[Dim, ...], allow_zero: bool = False) -> tuple[Dim, ...]:
    """The shape that 0 (copy the dimension) and −1 (what is left) stand for."""
    shape: list[Dim] = []
    for i, d in enumerate(wanted):
        if isinstance(d, int) and (d < -1 or (d == 0 and not allow_zero and i >= x.rank)):
            raise ShapeError(f"dimension {i} of shape {wanted} is {d}", x=x.type)
        shape.append(x.shape[i] if isinstance(d, int) and d == 0 and not allow_zero else d)
    free = [i for i, d in enumerate(shape) if isinstance(d, int) and d == -1]
    if len(free) > 1:
        raise ShapeError(f"shape {wanted} leaves more than one dimension open")
    if free:
        rest = product(d for i, d in enumerate(shape) if i != free[0])
        if isinstance(rest, int) and rest == 0:
            raise Decline("a tensor without elements is reshaped to an open dimension")
        size = x.tensor.size
        if isinstance(size, int) and isinstance(rest, int) and size % rest:
            raise ShapeError(f"{size} elements are not divided by {rest}", x=x.type, shape=wanted)
        shape[free[0]] = size // rest
    return tuple(shape)


@operator("Flatten")
def flatten(n: Node) -> Value:
    x, axis = n[0], n.integer("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise ShapeError(f"axis {axis} is outside {x.type}")
    axis += x.rank if axis < 0 else 0
    return n.reshape(x, (product(x.shape[:axis]), product(x.shape[axis:])))


@operator("Squeeze")
def squeeze(n: Node) -> Value:
    x = n[0]
    return n.reshape(x, squeezed(n, x))


def squeezed(n: Node, x: Value) -> list[Dim]:
    axes = n.axes(x.rank)
    if axes is None:
        if not all(isinstance(d, int) for d in x.shape):
            raise Decline("which dimensions are 1 is known at run time only")
        axes = tuple(i for i, d in enumerate(x.shape) if d == 1)
    if any(isinstance(x.shape[a], int) and x.shape[a] != 1 for a in axes):
        raise ShapeError(f"axes {axes} of {x.type} are not all 1")
    return [d for i, d in enumerate(x.shape) if i not in axes]


@operator("Unsqueeze")
def unsqueeze(n: Node) -> Value:
    return n.reshape(n[0], unsqueezed(n, n[0]))


def unsqueezed(n: Node, x: Value) -> list[Dim]:
    count = len(n.ints("axes")) if n.has("axes") else len(n.whole(1))
    rank = x.rank + count
    axes = n.axes(rank) or ()
    rest = iter(x.shape)
    return [1 if i in axes else next(rest) for i in range(rank)]


@operator("Expand")
def expand(n: Node) -> Value:
    x, wanted = n[0], n.dims(1)
    return expanded(n, x, broadcast_shapes(x.shape, wanted))


def expanded(n: Node, x: Value, shape: tuple[Dim, ...]) -> Value:
    return x if shape == x.shape else n.add(Expand(shape), x)


@operator("Concat")
def concat(n: Node) -> Value:
    values = [n[i] for i in range(len(n.inputs))]
    if not values:
        raise ModelError("nothing to join")
    if len(values) == 1:
        return values[0]
    return n.add(Concat(axis_of(n.integer("axis", 1 if n.since < 4 else None), values[0].rank)), *values)


@operator("Tile")
def tile(n: Node) -> Value:
    """Repeats become axes of their own, which Expand fills and Reshape joins to the axes they repeat."""
    x = n[0]
    if n.since < 6:
        raise Decline("tiles and axis are separate inputs before version 6")
    return tiled(n, x, n.dims(1))


def tiled(n: Node, x: Value, repeats: tuple[Dim, ...]) -> Value:
    if len(repeats) != x.rank:
        raise ShapeError(f"{len(repeats)} repeats for {x.type}")
    apart: list[Dim] = []
    filled: list[Dim] = []
    for r, d in zip(repeats, x.shape, strict=True):
        if not (isinstance(r, int) and r == 1):
            apart.append(1)
            filled.append(r)
        apart.append(d)
        filled.append(d)
    y = n.reshape(x, apart)
    y = expanded(n, y, tuple(filled))
    return n.reshape(y, [r * d for r, d in zip(repeats, x.shape, strict=True)])


@operator("Pad")
def pad(n: Node) -> Value:
    x, mode = n[0], n.text("mode", "constant")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise ModelError(f"mode is {mode!r}", try_="constant, edge, reflect or wrap")
    fill = n.optional(2) if n.since >= 11 else n.constant(n.number("value", 0.0))
    if fill is not None and fill.array is None and mode == "constant":
        raise Decline("the padding value is computed at run time")
    amounts = n.dims(1) if n.since >= 11 else n.ints("pads" if n.since >= 2 else "paddings")
    if n.since >= 18 and n.optional(3) is not None:
        axes = tuple(axis_of(a, x.rank) for a in n.whole(3))
    else:
        axes = tuple(range(x.rank))
    if len(amounts) != 2 * len(axes):
        raise ShapeError(f"{len(amounts)} pads for {len(axes)} axes", x=x.type)
    pads: list[tuple[Dim, Dim]] = [(0, 0)] * x.rank
    for i, axis in enumerate(axes):
        pads[axis] = (amounts[i], amounts[i + len(axes)])
    value = 0.0 if fill is None or fill.array is None else fill.array.reshape(-1)[0].item()
    if all(isinstance(d, int) and d == 0 for pair in pads for d in pair):
        return x
    return n.add(Pad(tuple(pads), mode, value if x.dtype.is_float else int(value)), x)


@operator("DepthToSpace")
def depth_to_space(n: Node) -> Value:
    x, b = blocks(n)
    N, C, H, W = x.shape
    mode = n.text("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise ModelError(f"mode is {mode!r}, DCR or CRD is needed")
    if isinstance(C, int) and C % (b * b):
        raise ShapeError(f"{C} channels are not divided by blocks of {b}×{b}")
    c = C // (b * b)
    if mode == "DCR":
        y = n.transpose(n.reshape(x, (N, b, b, c, H, W)), (0, 3, 4, 1, 5, 2))
    else:
        y = n.transpose(n.reshape(x, (N, c, b, b, H, W)), (0, 1, 4, 2, 5, 3))
    return n.reshape(y, (N, c, H * b, W * b))


@operator("SpaceToDepth")
def space_to_depth(n: Node) -> Value:
    x, b = blocks(n)
    N, C, H, W = x.shape
    if n.text("mode", "DCR") not in ("DCR", "CRD"):
        raise ModelError(f"mode is {n.text('mode')!r}, DCR or CRD is needed")
    if any(isinstance(d, int) and d % b for d in (H, W)):
        raise ShapeError(f"an image of {H}×{W} is not divided by blocks of {b}×{b}")
    y = n.reshape(x, (N, C, H // b, b, W // b, b))
    if n.text("mode", "DCR") == "DCR":
        y = n.transpose(y, (0, 3, 5, 1, 2, 4))
    else:
        y = n.transpose(y, (0, 1, 3, 5, 2, 4))
    return n.reshape(y, (N, C * (b * b), H // b, W // b))


def blocks(n: Node) -> tuple[Value, int]:
    x, b = n[0], n.integer("blocksize")
    if x.rank != 4 or b < 1:
        raise ShapeError(f"blocks of {b} in {x.type}; (N, C, H, W) is needed")
    return x, b


@operator("CenterCropPad")
def center_crop_pad(n: Node) -> Value:
    """Crops or pads each axis around its centre; the odd element goes to the end."""
    x, wanted = n[0], n.whole(1)
    axes = tuple(axis_of(a, x.rank) for a in n.ints("axes", tuple(range(x.rank))))
    if len(wanted) != len(axes):
        raise ShapeError(f"{len(wanted)} extents for {len(axes)} axes")
    pads: list[tuple[Dim, Dim]] = [(0, 0)] * x.rank
    for axis, size in zip(axes, wanted, strict=True):
        d = x.shape[axis]
        if not isinstance(d, int):
            raise Decline("whether to crop or to pad is known at run time only")
        before = (size - d) // 2 if size > d else -((d - size) // 2)
        pads[axis] = (before, size - d - before)
    return n.add(Pad(tuple(pads)), x) if any(p != (0, 0) for p in pads) else x


