"""Narrow floating-point types: computed in float32, rounded once at the end."""

import ml_dtypes
import numpy as np
import pytest
from op_checks import agree, floats

from tensorwright.ops import (
    ArgReduce,
    Attention,
    Concat,
    Convolution,
    ConvTranspose,
    CumSum,
    Gather,
    GatherElements,
    MatMul,
    Normalize,
    Pad,
    Pool,
    Recurrent,
    Reduce,
    Resize,
    ScatterElements,
    ScatterND,
    Slice,
    Softmax,
    TopK,
)

RNG = np.random.default_rng(0)
IMAGE, INDEX = floats(RNG, 2, 4, 7, 6), np.array([[1, -1], [0, 2]])
SQUARE = ((1, 1), ((1, 1), (1, 0)), (1, 1))
CASES = [
    (Convolution(*SQUARE, 2), [IMAGE, floats(RNG, 6, 2, 3, 3), floats(RNG, 6)]),
    (Convolution(*SQUARE, 4), [IMAGE, floats(RNG, 4, 1, 3, 3), None]),
    (ConvTranspose(*SQUARE), [IMAGE, floats(RNG, 4, 3, 3, 3), floats(RNG, 3)]),
    (MatMul(), [floats(RNG, 3, 5), floats(RNG, 5, 2)]),
    (Pool("max", (2, 2), (2, 2), ((1, 0), (0, 1)), (1, 1)), [IMAGE]),
    (Pool("average", (3, 2), (2, 2), ((1, 0), (0, 1)), (1, 1)), [IMAGE]),
    (Reduce("sum", (1, 3)), [IMAGE]), (Reduce("mean", (2,)), [IMAGE]), (Reduce("max", (0, 1, 2, 3)), [IMAGE]),
    (ArgReduce("min", 2), [IMAGE]), (Softmax(1), [IMAGE]), (Softmax(3, True), [IMAGE]),
    (Normalize((3,), 1e-5), [IMAGE]),
    (Attention(0.5), [floats(RNG, 3, 4), floats(RNG, 5, 4), floats(RNG, 5, 2), floats(RNG, 3, 5)]),
    (Pad(((0, 0), (1, -1), (2, 3), (0, 0)), "reflect"), [IMAGE]), (Pad(((1, 0),) * 4, "constant", 1.5), [IMAGE]),
    (Slice((0, 3, 1, 0), (2, 2, 3, 6), (1, -1, 2, 1)), [IMAGE]), (Concat(2), [IMAGE, IMAGE]),
    (Gather(1), [IMAGE, INDEX]), (GatherElements(0), [floats(RNG, 3, 2), INDEX]),
    (ScatterElements(0, "mul"), [floats(RNG, 3, 2), INDEX, floats(RNG, 2, 2)]),
    (ScatterND("add"), [floats(RNG, 3, 4, 2), INDEX, floats(RNG, 2, 2)]),
    (Resize((2, 4, 3, 9), "cubic"), [IMAGE]), (Resize((2, 4, 3, 9)), [IMAGE]),
    (CumSum(1), [IMAGE]), (TopK(3, 2), [IMAGE]),
    (Recurrent("gru", 3), [floats(RNG, 4, 2, 5), floats(RNG, 1, 9, 5), floats(RNG, 1, 9, 3)]),
]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("op", "inputs"), CASES, ids=[f"{i}-{type(c[0]).__name__}" for i, c in enumerate(CASES)])
def test_narrow_types_round_the_float32_result(op, inputs, dtype):
    narrow = [x.astype(dtype) if x is not None and x.dtype == np.float32 else x for x in inputs]
    wide = [x.astype(np.float32) if x is not None and x.dtype == dtype else x for x in narrow]
    results = op.reference(*wide)
    results = results if isinstance(results, tuple) else (results,)
    agree(op, narrow, [y.astype(dtype) if y.dtype == np.float32 else y for y in results], 0)
