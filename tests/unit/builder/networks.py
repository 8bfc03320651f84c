"""Small networks for the builder's tests."""

import numpy as np

from tensorwright.dims import Dim, symbol
from tensorwright.dtypes import DType
from tensorwright.ir import Network, NetworkEditor, TensorType
from tensorwright.ops import Concat, Convolution, MatMul, Pointwise, Pool, Reduce, Reshape, Resize, Slice, Transpose
from tensorwright.ops.expr import Apply, Const, In

F = DType.float32
BATCH, TOKENS = symbol("batch"), symbol("tokens")


def relu() -> Pointwise:
    return Pointwise(Apply("max", (In(0, F), Const(0.0, F)), F))


def plus() -> Pointwise:
    return Pointwise(Apply("add", (In(0, F), In(1, F)), F))


def weight(e: NetworkEditor, *shape: int, seed: int = 0) -> str:
    rng = np.random.default_rng([seed, *shape])
    return e.constant(rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(np.prod(shape[1:]))), "w")


def conv(e: NetworkEditor, x: str, k: int, size: int = 3, stride: int = 1, groups: int = 1, name: str = "conv") -> str:
    c = e.types[x].shape[1]  # type: ignore[union-attr]
    assert isinstance(c, int)
    pad = size // 2
    op = Convolution((stride, stride), ((pad, pad), (pad, pad)), (1, 1), groups)
    y = e.add(op, x, weight(e, k, c // groups, size, size), weight(e, k, seed=1), name=name)
    assert isinstance(y, str)
    return y


def residual(batch: Dim = BATCH, side: int = 13) -> Network:
    """Convolutions with a residual, a channel shuffle, a concatenation, a split, pooling and a classifier."""
    e = NetworkEditor("residual")
    x = e.input("x", TensorType((batch, 3, side, side), F))
    a = e.add(relu(), conv(e, x, 16), name="relu")
    b = e.add(plus(), conv(e, a, 16), a, name="add")
    s = e.add(Reshape((batch, 4, 4, side, side)), b)
    s = e.add(Reshape((batch, 16, side, side)), e.add(Transpose((0, 2, 1, 3, 4)), s))
    left = e.add(Slice((0, 0, 0, 0), (batch, 8, side, side), (1, 1, 1, 1)), s)
    c = e.add(
        Concat(1), s, conv(e, left, 24, name="branch"), conv(e, s, 16, groups=16, name="depthwise"), name="concat"
    )
    d = conv(e, c, 10, size=1, name="squeeze")
    p = e.add(Pool("max", (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)), d, name="pool")
    g = e.add(Reduce("mean", (2, 3), False), p, name="mean")
    e.outputs = [e.add(MatMul(), g, weight(e, 10, 7), name="classifier", outputs=["scores"]), p]  # type: ignore[list-item]
    return e.finish()


def segmentation(batch: Dim = BATCH) -> Network:
    """A convolution whose result, enlarged, is a label for every pixel."""
    e = NetworkEditor("segmentation")
    y = conv(e, e.input("x", TensorType((batch, 3, 9, 7), F)), 5)
    shape = (batch, 5, 36, 35)
    y = e.add(Resize(shape, "linear", "half_pixel", "floor", -0.75, False, False, None, None, 0.0), y, name="resize")
    e.outputs = [y]  # type: ignore[list-item]
    return e.finish()


def attention(batch: Dim = BATCH, tokens: Dim = TOKENS, width: int = 24, heads: int = 3) -> Network:
    """Projections, heads split by reshape and transpose, scores, mixing, heads merged again."""
    e = NetworkEditor("attention")
    x = e.input("x", TensorType((batch, tokens, width), F))

    def split(name: str) -> str:
        y = e.add(MatMul(), x, weight(e, width, width, seed=len(name)), name=name)
        y = e.add(Reshape((batch, tokens, heads, width // heads)), y)
        return e.add(Transpose((0, 2, 1, 3)), y)  # type: ignore[return-value]

    q, k, v = split("q"), split("ke"), split("val")
    from tensorwright.ops import Softmax

    scores = e.add(Softmax(3), e.add(MatMul(), q, e.add(Transpose((0, 1, 3, 2)), k)))
    mixed = e.add(Transpose((0, 2, 1, 3)), e.add(MatMul(), scores, v))
    e.outputs = [e.add(Reshape((batch, tokens, width)), mixed, outputs=["y"])]  # type: ignore[list-item]
    return e.finish()


def key_cache(batch: Dim = BATCH) -> Network:
    """Keys of earlier tokens joined with those of a new one, which come as (batch, tokens, heads · width)."""
    e = NetworkEditor("key_cache")
    past, x = e.input("past", TensorType((batch, 3, 5, 4), F)), e.input("x", TensorType((batch, 1, 12), F))
    new = e.add(Reshape((batch, 1, 3, 4)), e.add(MatMul(), x, weight(e, 12, 12)))
    e.outputs = [e.add(Concat(2), past, e.add(Transpose((0, 2, 1, 3)), new), outputs=["present"])]  # type: ignore[list-item]
    return e.finish()
