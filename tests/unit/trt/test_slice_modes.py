"""Slices that leave their tensor, zero strides, slices of some axes, gathering with batch axes; refusals."""

import itertools
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v8, v10
from tests.unit.trt.test_standard_layers import run

RANDOM = np.random.default_rng(3)
BOTH = pytest.mark.parametrize("module", [v8, v10])


def data(dtype: str, *shape: int) -> np.ndarray:
    return RANDOM.permutation(int(np.prod(shape))).reshape(shape).astype(dtype) + np.asarray(1, dtype)


def reflected(i: int, d: int) -> int:
    """i walked back into [0, d), turning at the first and the last element."""
    while d > 1 and not 0 <= i < d:
        i = -i if i < 0 else 2 * (d - 1) - i
    return i if d > 1 else 0


def expected(x: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...], stride: tuple[int, ...], mode: str,
             fill: float = 0) -> np.ndarray:
    y = np.empty(shape, x.dtype)
    for place in itertools.product(*map(range, shape)):
        index = [s + i * step for s, i, step in zip(start, place, stride, strict=True)]
        inside = all(0 <= i < d for i, d in zip(index, x.shape, strict=True))
        if mode == "FILL":
            y[place] = x[tuple(index)] if inside else fill
        elif mode == "REFLECT":
            y[place] = x[tuple(reflected(i, d) for i, d in zip(index, x.shape, strict=True))]
        else:
            for axis, i in enumerate(index):
                index[axis] = int(np.take(np.arange(x.shape[axis]), i, mode=mode.lower().replace("clamp", "clip")))
            y[place] = x[tuple(index)]
    return y


def sliced(module: Any, x: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...], stride: tuple[int, ...],
           mode: str, fill: np.ndarray | None = None, dynamic: tuple[int, ...] = ()) -> np.ndarray:
    def make(network: Any, inputs: list[Any]) -> Any:
        layer = network.add_slice(inputs[0], start, shape, stride)
        layer.mode = getattr(module.SampleMode, mode)
        if fill is not None:
            layer.set_input(4, network.add_constant(fill.shape, fill).get_output(0))
        return layer
    return run(make, x, module=module, dynamic=dynamic)[0]


SLICES = [((-3, 1), (7, 2), (1, 2)),             # before and after the first axis, the second inside
          ((6, -9), (5, 4), (-2, 5)),            # from behind backwards, and far from before
          ((9, -1), (3, 1), (0, 0)),             # repeated elements, all outside
          ((2, 11), (4, 9), (0, -3))]            # one repeated inside, the other walks through all of it


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("mode", ["WRAP", "CLAMP", "REFLECT", "FILL"])
def test_slices_that_leave_their_tensor(module: Any, dtype: str, mode: str) -> None:
    x = data(dtype, 4, 5)
    for start, shape, stride in SLICES:
        y = sliced(module, x, start, shape, stride, mode)
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y, expected(x, start, shape, stride, mode), str((start, shape, stride)))


@pytest.mark.parametrize("mode", ["WRAP", "CLAMP", "REFLECT"])
def test_an_axis_of_one_element_gives_that_element(mode: str) -> None:
    x = data("float32", 1, 3)
    np.testing.assert_array_equal(sliced(trt, x, (-2, 0), (4, 3), (1, 1), mode), np.repeat(x, 4, 0))


def test_fill_values_are_converted_to_the_type_of_the_input() -> None:
    x, where = data("float32", 4, 5), ((-1, 3), (6, 4), (1, 1))
    for fill in (np.float32([7.5]), np.asarray(-3, np.int32)):
        y = expected(x, *where, "FILL", float(fill.flat[0]))
        np.testing.assert_array_equal(sliced(v8, x, *where, "FILL", fill), y)
    many = np.float32([1, 2])
    with pytest.raises(AssertionError, match="a fill value is one number"):
        sliced(v8, x, *where, "FILL", many)


def test_strides_of_zero_repeat_an_element_also_along_sizes_that_only_run_time_knows() -> None:
    x = data("float32", 3, 4)
    np.testing.assert_array_equal(sliced(trt, x, (2, 3), (5, 4), (0, -1), "STRICT_BOUNDS"),
                                  np.repeat(x[2:3, ::-1], 5, 0))

    def as_many_as_the_other(network: Any, inputs: list[Any]) -> Any:
        layer = network.add_slice(inputs[1], (0, 0), (0, 0), (0, 1))
        sizes = network.add_shape(inputs[0])
        if trt.DataType(sizes.get_output(0).dtype) != trt.int64:
            sizes = network.add_cast(sizes.get_output(0), trt.int64)
        layer.set_input(2, sizes.get_output(0))
        return layer
    row = data("float32", 1, 4)
    y, = run(as_many_as_the_other, x, row, dynamic=(0,))
    np.testing.assert_array_equal(y, np.repeat(row, 3, 0))


@pytest.mark.parametrize("start, shape, stride", [((3, 0), (2, 2), (1, 1)), ((0, -1), (2, 2), (1, 1)),
                                                  ((4, 0), (2, 2), (0, 1)), ((1, 0), (3, 2), (-1, 1))])
def test_leaving_the_tensor_in_strict_bounds_is_an_error(start: Any, shape: Any, stride: Any) -> None:
    with pytest.raises(AssertionError, match=r"elements -?\d+ to \d+ are taken of \d"):
        sliced(trt, data("float32", 4, 5), start, shape, stride, "STRICT_BOUNDS")


def test_other_axes_may_vary_and_this_one_is_refused_with_a_way_out() -> None:
    def wrapped(axis: int) -> Any:
        def make(network: Any, inputs: list[Any]) -> Any:
            whole = network.add_shape(inputs[0]).get_output(0)
            layer = network.add_slice(inputs[0], (0, 0) if axis else (-1, 0), (0, 0), (1, 1))
            layer.mode = trt.SampleMode.WRAP
            if axis:
                more = network.add_constant((2,), np.array([0, 3], np.int64)).get_output(0)
                whole = network.add_elementwise(whole, more, trt.ElementWiseOperation.SUM).get_output(0)
            layer.set_input(2, whole)
            return layer
        return make
    x = data("float32", 3, 4)
    np.testing.assert_array_equal(run(wrapped(1), x, dynamic=(0,))[0], np.concatenate([x, x[:, :3]], 1))
    with pytest.raises(AssertionError, match="along axis 0 needs sizes known when the network is built"):
        run(wrapped(0), x, dynamic=(0,))


@pytest.mark.parametrize("as_input", [False, True])
def test_slices_of_some_axes_leave_the_others_whole(as_input: bool) -> None:
    x = data("float32", 2, 4, 5)

    def make(network: Any, inputs: list[Any]) -> Any:
        layer = network.add_slice(inputs[0], (-1, 2), (7, 3), (1, -1))
        layer.mode = trt.SampleMode.CLAMP
        if as_input:
            layer.set_input(5, network.add_constant((2,), np.array([2, -2], np.int32)).get_output(0))
        else:
            layer.axes = (2, 1)
        return layer
    y, = run(make, x)
    np.testing.assert_array_equal(y, x[:, [2, 1, 0]][:, :, [0, 0, 1, 2, 3, 4, 4]])


def test_sizes_are_sliced_in_all_modes_before_anything_runs() -> None:
    def make(network: Any, inputs: list[Any]) -> Any:
        sizes = network.add_shape(inputs[0]).get_output(0)
        swapped = network.add_slice(sizes, (1,), (2,), (1,))
        swapped.mode = trt.SampleMode.WRAP
        layer = network.add_shuffle(inputs[0])
        layer.set_input(1, swapped.get_output(0))
        return layer
    x = data("float32", 3, 4)
    np.testing.assert_array_equal(run(make, x, dynamic=(0,))[0], x.reshape(4, 3))


@BOTH
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_gather_with_a_batch_axis_takes_from_each_row_by_itself(module: Any, axis: int) -> None:
    x = data("float32", 2, 3, 4, 5)
    index = RANDOM.integers(-x.shape[axis], x.shape[axis], (2, 3, 2)).astype(np.int32)

    def make(network: Any, inputs: list[Any]) -> Any:
        layer = network.add_gather(inputs[0], inputs[1], axis)
        layer.num_elementwise_dims = 1
        return layer
    y, = run(make, x, index, module=module)
    np.testing.assert_array_equal(y, np.stack([np.take(a, i, axis - 1) for a, i in zip(x, index, strict=True)]))


def test_gather_cannot_have_a_batch_axis_that_it_gathers_along() -> None:
    def make(network: Any, inputs: list[Any]) -> Any:
        layer = network.add_gather(inputs[0], inputs[1], 0)
        layer.num_elementwise_dims = 1
        return layer
    with pytest.raises(AssertionError, match="1 batch axes must come before axis 0"):
        run(make, data("float32", 2, 3), np.zeros((2, 1), np.int32))


@BOTH
def test_what_add_refuses(module: Any) -> None:
    lines: list[str] = []

    class Log(module.ILogger):
        def log(self, severity: Any, msg: str) -> None:
            lines.append(msg)
    network = module.Builder(Log()).create_network(1 << int(module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    x = network.add_input("x", module.float32, (2, 5000))
    assert network.add_topk(x, module.TopKOperation.MAX, 3841, 1 << 1) is None
    assert "k is 3841, more than 3840" in lines[-1]
    assert network.add_concatenation([]) is None
    assert "nothing to concatenate" in lines[-1]
    for axes in (1 << 2, -1):
        assert network.add_reduce(x, module.ReduceOperation.SUM, axes, False) is None
        assert "beyond the 2 dimensions of 'x'" in lines[-1]
    assert network.num_layers == 0
    assert network.add_topk(x, module.TopKOperation.MAX, 3840, 1 << 1) is not None
    assert network.add_reduce(x, module.ReduceOperation.SUM, 0b11, False) is not None
