"""Shape inference with symbols, then bound, is shape inference of the bound operator on bound types."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorwright.dims import evaluate, symbol
from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError
from tensorwright.ir import OpaqueType, TensorType
from tensorwright.ir.op import bind_type
from tensorwright.ops import (
    ArgReduce,
    Attention,
    Concat,
    Convolution,
    ConvTranspose,
    CumSum,
    Expand,
    Fill,
    Fused,
    Gather,
    GatherElements,
    GatherND,
    Iota,
    MatMul,
    Normalize,
    Pad,
    Pointwise,
    Pool,
    Recurrent,
    Reduce,
    Reshape,
    Resize,
    ScatterElements,
    ScatterND,
    ShapeVector,
    Slice,
    Softmax,
    TopK,
    Transpose,
)
from tensorwright.ops.expr import Apply, In
from tensorwright.ops.rules import broadcast_shapes

N, H, W = symbol("N"), symbol("H"), symbol("W")
F, I64 = DType.float32, DType.int64


def t(*shape, dtype=F):
    return TensorType(shape, dtype)


IMAGE = t(N, 8, H, W)
ADD = Apply("add", (In(0, F), In(1, F)), F)
CASES = [
    (Convolution((2, 1), ((1, 2), (0, 0)), (1, 2)), [IMAGE, t(16, 8, 3, 2), t(16)]),
    (Convolution((1, 3), ((1, 1), (1, 1)), (1, 1), 8), [IMAGE, t(8, 1, 3, 3), None]),
    (Fused(Convolution((1, 1), ((1, 1), (1, 1)), (1, 1)), ADD, 3), [IMAGE, t(8, 8, 3, 3), None, IMAGE]),
    (ConvTranspose((2, 3), ((1, 0), (1, 1)), (1, 1), 1, (1, 0)), [IMAGE, t(8, 4, 3, 2)]),
    (Pool("max", (3, 2), (2, 3), ((1, 1), (0, 1)), (1, 1), ceil=True), [IMAGE]),
    (Pool("max", (2, 1), (3, 2), ((1, 4), (0, 2)), (1, 1), ceil=True), [IMAGE]),
    (Pool("average", (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), [IMAGE]),
    (MatMul(), [t(N, 1, H, W), t(8, W, 5)]),
    (Pointwise(ADD), [IMAGE, t(8, 1, W)]),
    (Pointwise(ADD), [t(H, 1), t(1, W)]),
    (Reduce("mean", (2, 3), False), [IMAGE]),
    (ArgReduce("max", 1), [IMAGE]),
    (Softmax(3), [IMAGE]),
    (Normalize((1, 2), 1e-5), [IMAGE]),
    (Transpose((0, 2, 3, 1)), [IMAGE]),
    (Reshape((N, 8, H * W)), [IMAGE]),
    (Reshape((N * H, 2, 4 * W)), [IMAGE]),
    (Expand((N, 3, H, W)), [t(3, 1, W)]),
    (Slice((0, 1, H // 2, W - 1), (N, 3, H - H // 2, W), (1, 2, 1, -1)), [IMAGE]),
    (Concat(1), [IMAGE, t(N, W, H, W), t(N, 1, H, W)]),
    (Pad(((0, 0), (0, H), (1, -1), (W, W)),), [IMAGE]),
    (Iota((H, W), 1, I64, N, 2), []),
    (ShapeVector((N, H * W)), []),
    (Fill((N, H + 1), 0.5, F), []),
    (Gather(1), [IMAGE, t(H, 3, dtype=I64)]),
    (GatherElements(2), [t(N, H, W), t(N, H, 4, dtype=I64)]),
    (GatherND(1), [t(N, H, W), t(N, 5, 1, dtype=I64)]),
    (ScatterElements(0), [t(H, W), t(3, W, dtype=I64), t(3, W)]),
    (ScatterND("add"), [t(H, W), t(N, 1, dtype=I64), t(N, W)]),
    (Resize((N, 8, 2 * H, W // 2 + 1), "linear"), [IMAGE]),
    (TopK(H, 2), [IMAGE]),
    (CumSum(0), [t(N)]),
    (Attention(0.1), [t(N, 4, H, 16), t(N, 1, W, 16), t(N, 1, W, 8), t(H, W, dtype=DType.bool)]),
    (Recurrent("lstm", 4, "bidirectional"), [t(H, N, 6), t(2, 16, 6), t(2, 16, 4)]),
]


@pytest.mark.parametrize(("op", "inputs"), CASES, ids=[f"{i}-{type(c[0]).__name__}" for i, c in enumerate(CASES)])
@settings(max_examples=20, deadline=None, derandomize=True)
@given(env=st.fixed_dictionaries({"N": st.integers(1, 4), "H": st.integers(4, 40), "W": st.integers(4, 40)}))
def test_inference_commutes_with_binding(op, inputs, env):
    symbolic = op.infer(*inputs)
    concrete = op.bind(env).infer(*(x and bind_type(x, env) for x in inputs))
    several = symbolic if isinstance(symbolic, tuple) else (symbolic,)
    bound = tuple(bind_type(y, env) for y in several)
    assert bound == (concrete if isinstance(concrete, tuple) else (concrete,))
    assert not any(isinstance(y, OpaqueType) for y in several)
    cost = op.cost(inputs, several)
    bound_cost = op.bind(env).cost([x and bind_type(x, env) for x in inputs], bound)
    assert evaluate(cost.bytes, env) == bound_cost.bytes > 0
    if not isinstance(op, TopK):                       # counts the levels of a symbolic extent as 8
        assert evaluate(cost.flops, env) == bound_cost.flops >= 0


def test_cost_of_a_convolution_is_counted_in_multiplications_and_additions():
    op = Convolution((2, 2), ((3, 3), (3, 3)), (1, 1))
    x, w = t(N, 3, 224, 224), t(64, 3, 7, 7)
    cost = op.cost([x, w, None], [op.infer(x, w)])
    assert cost.flops == N * 2 * 64 * 112 * 112 * 3 * 7 * 7
    assert cost.bytes == 4 * (N * 3 * 224 * 224 + 64 * 3 * 7 * 7 + N * 64 * 112 * 112)


def test_broadcasting_dimensions():
    assert broadcast_shapes((N, 1), (H,)) == (N, H)
    assert broadcast_shapes((N,), (7,)) == (7,)
    assert broadcast_shapes((), (N, 2)) == (N, 2)
    assert str(broadcast_shapes((N,), (H,))[0]) == "max(H, N)"
    with pytest.raises(ShapeError, match=r"\(3, 2\), \(4, 2\) do not broadcast"):
        broadcast_shapes((3, 2), (4, 2))


@pytest.mark.parametrize(("op", "inputs"), [
    (MatMul(), [t(N, H), t(H + 1, W)]),
    (Reshape((8 * N * H * W + 1,)), [IMAGE]),
    (Concat(1), [IMAGE, t(N, 3, H + 1, W)]),
    (Slice((0, 0, 0, 0), (N, 9, H, W), (1, 1, 1, 1)), [IMAGE]),
    (Attention(0.1), [t(N, H, 16), t(N, W, 16), t(N, W + 2, 8)]),
])
def test_certain_contradictions_between_symbols_are_found(op, inputs):
    with pytest.raises(ShapeError):
        op.infer(*inputs)
