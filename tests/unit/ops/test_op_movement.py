"""Views, copies, joins, padding and created tensors against NumPy and ONNX Runtime."""

import random

import numpy as np
import pytest
from op_checks import agree, by_runtime, floats

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError, TypeMismatch
from tensorwright.ir import TensorType
from tensorwright.ops import Concat, Expand, Fill, Iota, Pad, Reshape, ShapeVector, Slice, Transpose

X = floats(np.random.default_rng(0), 3, 4, 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8, np.bool_, object])
def test_movement_keeps_every_type(dtype):
    x = X.astype(dtype) if dtype is not object else np.array([f"{v:.2f}" for v in X.flat], object).reshape(X.shape)
    for op, expected in ((Transpose((2, 0, 1)), x.transpose(2, 0, 1)), (Reshape((2, 30)), x.reshape(2, 30)),
                         (Expand((2, 3, 4, 5)), np.stack([x, x])), (Slice((1, 3, 0), (2, 4, 2), (1, -1, 3)),
                                                                    x[1:, ::-1, ::3][:, :, :2])):
        agree(op, [x], [expected])
    agree(Concat(1), [x, x[:, :1], x], [np.concatenate([x, x[:, :1], x], 1)])


@pytest.mark.parametrize("seed", range(30))
def test_slices(seed):
    r = random.Random(seed)
    starts, sizes, steps, index = [], [], [], []
    for d in X.shape:
        every = slice(r.choice([None, r.randint(-d, d)]), r.choice([None, r.randint(-d, d)]), r.choice([1, 2, -1, -2]))
        start, stop, step = every.indices(d)
        starts.append(max(start, 0))
        sizes.append(len(range(start, stop, step)))
        steps.append(step)
        index.append(every)
    agree(Slice(tuple(starts), tuple(sizes), tuple(steps)), [X], [X[tuple(index)]])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("pads", [(0, 1, 2, 2, 3, 0), (0, 0, 4, 0, 2, 3), (2, 2, 0, 1, 1, 1)])
def test_pad(mode, pads):
    value = [np.array(1.5, np.float32)] if mode == "constant" else []
    expected = by_runtime("Pad", [X, np.array(pads), *value], mode=mode, opset=19)
    agree(Pad(tuple(zip(pads[:3], pads[3:], strict=True)), mode, 1.5), [X], expected)


def test_padding_reaches_further_than_the_tensor_and_crops():
    x = np.array([1, 2, 3])
    assert Pad(((4, 5),), "reflect").reference(x).tolist() == [1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2]
    assert Pad(((4, 2),), "wrap").reference(x).tolist() == [3, 1, 2, 3, 1, 2, 3, 1, 2]
    assert Pad(((-1, 2),), "constant", 9).reference(x).tolist() == [2, 3, 9, 9]
    assert Pad(((2, 1),), "reflect").reference(x[:1]).tolist() == [1, 1, 1, 1]
    with pytest.raises(ShapeError, match="cannot be cropped"):
        Pad(((-2, -2),)).infer(TensorType((3,), DType.float32))
    with pytest.raises(ShapeError, match="no element to repeat"):
        Pad(((1, 0),), "edge").infer(TensorType((0,), DType.float32))


def test_iota():
    agree(Iota((2, 4), 1, DType.float32, 0.5, 0.25), [], [np.array([[0.5, 0.75, 1, 1.25]] * 2, np.float32)])
    agree(Iota((4, 2), 0, DType.int64, 5, -2), [], [np.array([[5, 5], [3, 3], [1, 1], [-1, -1]])])
    assert Iota((4,), 0, DType.uint8, 254, 1).reference().tolist() == [254, 255, 0, 1]


def test_created_tensors_follow_symbols():
    N = symbol("N")
    for op, expected in ((Fill((N, 2), 3, DType.int8), np.full((4, 2), 3, np.int8)),
                         (ShapeVector((N, 2 * N + 1, 7)), np.array([4, 9, 7])),
                         (Fill((N,), True, DType.bool), np.ones(4, np.bool_)),
                         (Iota((N,), 0, DType.int64, N - 1, -1), np.arange(3, -1, -1))):
        assert op.symbols() == {"N"}
        agree(op.bind({"N": 4}), [], [expected])
        with pytest.raises((ShapeError, TypeError)):
            op.reference()


@pytest.mark.parametrize(("op", "shape"), [
    (Transpose((0, 0)), (2, 3)), (Transpose((0,)), (2, 3)), (Reshape((7,)), (2, 3)), (Expand((2, 4)), (2, 3)),
    (Expand((3,)), (2, 3)), (Slice((0, 2), (2, 2), (1, 1)), (2, 3)), (Slice((0,), (2,), (1,)), (2, 3)),
    (Slice((0, 0), (2, 2), (1, -1)), (2, 3)), (Slice((0, 0), (2, 2), (1, 0)), (2, 3)), (Pad(((0, 0),)), (2, 3)),
    (Pad(((0, 0), (0, 0)), "mirror"), (2, 3)), (Concat(2), (2, 3))])
def test_parameters_that_do_not_fit_are_refused(op, shape):
    with pytest.raises(ShapeError):
        op.infer(TensorType(shape, DType.float32))


def test_joined_tensors_must_match():
    f = DType.float32
    with pytest.raises(ShapeError, match="axis 1"):
        Concat(0).infer(TensorType((1, 2), f), TensorType((1, 3), f))
    with pytest.raises(ShapeError, match="rank"):
        Concat(0).infer(TensorType((1, 2), f), TensorType((1,), f))
    with pytest.raises(TypeMismatch):
        Concat(0).infer(TensorType((1, 2), f), TensorType((1, 2), DType.int32))


def test_a_slice_that_leaves_the_tensor_at_run_time_is_refused():
    with pytest.raises(ShapeError, match="leaves the tensor"):
        Slice((2,), (3,), (1,)).reference(np.arange(4))
