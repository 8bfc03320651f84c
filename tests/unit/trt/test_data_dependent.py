"""Outputs whose sizes the data decide, and layers that read them, in networks made by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v8, v10, v11

from .test_loops import network_of

X = np.array([[1, 0, 2], [0, 3, 0]], np.float32)
BOXES = np.array([[[0, 0, 1, 1], [0, 0, 1, 1.05], [2, 2, 3, 3]]], np.float32)
SCORES = np.array([[[0.9], [0.8], [0.7]]], np.float32)


def executed(module: Any, make: Callable[[Any, list[Any]], list[Any]], *arrays: np.ndarray) -> list[np.ndarray]:
    """Outputs, each in memory that an output allocator gave."""
    class Allocator(module.IOutputAllocator):
        def __init__(self) -> None:
            super().__init__()
            self.memory, self.shape = np.empty(0, np.uint8), (-1,)

        def reallocate_output(self, name: str, memory: int, size: int, alignment: int) -> int:
            self.memory = np.zeros(max(size, 1), np.uint8)
            return self.memory.ctypes.data

        def notify_shape(self, name: str, shape: Any) -> None:
            self.shape = tuple(shape)
    builder, (network, config), lines = network_of(make, list(arrays), (), module)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, lines
    engine = module.Runtime(module.Logger()).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    for i, a in enumerate(arrays):
        context.set_tensor_address(f"x{i}", a.ctypes.data)
    places = [Allocator() for _ in range(network.num_outputs)]
    for i, place in enumerate(places):
        assert context.set_output_allocator(f"out{i}", place)
        assert tuple(engine.get_tensor_shape(f"out{i}")) == tuple(network.get_output(i).shape)
    assert context.execute_async_v3(0), lines
    kinds = [np.dtype(trt.nptype(engine.get_tensor_dtype(f"out{i}"))) for i in range(len(places))]
    return [p.memory[: int(np.prod(p.shape)) * k.itemsize].view(k).reshape(p.shape)
            for p, k in zip(places, kinds, strict=True)]


@pytest.mark.parametrize("module", [v8, v10, v11])
def test_nonzero(module: Any) -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        found = n.add_non_zero(x[0]).get_output(0)
        assert found.shape == (2, -1)
        return [found]
    (places,) = executed(module, make, X)
    np.testing.assert_array_equal(places, np.stack(np.nonzero(X)))
    assert executed(module, make, np.zeros((2, 3), np.float32))[0].shape == (2, 0)


def suppressed(n: Any, x: list[Any]) -> Any:
    layer = n.add_nms(x[0], x[1], n.add_constant((), np.array(2, np.int32)).get_output(0))
    layer.set_input(3, n.add_constant((), np.array(0.5, np.float32)).get_output(0))
    return layer


@pytest.mark.parametrize("module", [v8, v10, v11])
def test_nms(module: Any) -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        layer = suppressed(n, x)
        assert layer.get_output(0).shape == (-1, 3) and layer.get_output(1).shape == ()
        return [layer.get_output(0), layer.get_output(1)]
    boxes, count = executed(module, make, BOXES, SCORES)
    assert boxes.tolist() == [[0, 0, 0], [0, 0, 2]] and int(count) == 2


def test_layers_after_nonzero_run_when_their_operands_are_there() -> None:
    """The elements that are not zero, negated, and their sum: whose shape is known again."""
    def make(n: Any, x: list[Any]) -> list[Any]:
        places = n.add_shuffle(n.add_non_zero(x[0]).get_output(0))
        places.first_transpose = (1, 0)
        taken = n.add_gather_v2(x[0], places.get_output(0), trt.GatherMode.ND)
        negative = n.add_unary(taken.get_output(0), trt.UnaryOperation.NEG).get_output(0)
        total = n.add_reduce(negative, trt.ReduceOperation.SUM, 1, False).get_output(0)
        size = n.add_shape(negative).get_output(0)
        assert negative.shape == (-1,) and total.shape == () and size.shape == (1,)
        return [negative, total, size]
    for x in (X, np.zeros((2, 3), np.float32)):
        negative, total, size = executed(v10, make, x)
        np.testing.assert_array_equal(negative, -x[x != 0])
        assert float(total) == -x.sum() and size.tolist() == [np.count_nonzero(x)]


def test_the_boxes_that_are_kept() -> None:
    """Indices from NMS gather rows of the boxes, which are then scaled by a matrix product."""
    def make(n: Any, x: list[Any]) -> list[Any]:
        last = n.add_constant((1,), np.array([2], np.int32)).get_output(0)
        rows = n.add_gather(suppressed(n, x).get_output(0), last, 1).get_output(0)
        flat = n.add_shuffle(rows)
        flat.reshape_dims = (-1,)
        table = n.add_shuffle(x[0])
        table.reshape_dims = (3, 4)
        kept = n.add_gather(table.get_output(0), flat.get_output(0), 0).get_output(0)
        scale = n.add_constant((4, 4), 2 * np.eye(4, dtype=np.float32)).get_output(0)
        none = trt.MatrixOperation.NONE
        return [n.add_matrix_multiply(kept, none, scale, none).get_output(0)]
    (boxes,) = executed(v10, make, BOXES, SCORES)
    np.testing.assert_allclose(boxes, 2 * BOXES[0][[0, 2]])
