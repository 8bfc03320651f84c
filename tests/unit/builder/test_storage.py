"""Views of buffers against NumPy's own views of an index array."""

import itertools

import numpy as np
import pytest

from tensorwright.builder.layout import canonical, channels_last, reshape_groups
from tensorwright.builder.storage import (
    Buffers,
    Place,
    expanded,
    reshaped,
    sliced,
    strides_of,
    transposed,
)
from tensorwright.dims import symbol
from tensorwright.dtypes import DType

B = symbol("b")


def dense(*shape: int) -> Place:
    return Place(0, 0, shape, strides_of(shape, canonical(len(shape))), DType.float32)


def elements(p: Place, total: int) -> np.ndarray:
    """Which element of the buffer each element of the view is."""
    data = np.arange(total)[p.offset :]
    return np.lib.stride_tricks.as_strided(data, p.shape, [s * data.itemsize for s in p.strides])


def test_transposing_slicing_and_broadcasting_are_numpy_views() -> None:
    x = np.arange(2 * 6 * 5).reshape(2, 6, 5)
    p = dense(2, 6, 5)
    assert np.array_equal(elements(transposed(p, (2, 0, 1)), 60), x.transpose(2, 0, 1))
    assert np.array_equal(elements(sliced(p, (0, 1, 3), (2, 3, 2), (1, 2, -1)), 60), x[:, 1:7:2, 3:1:-1])
    assert np.array_equal(
        elements(expanded(dense(1, 6, 1), (4, 6, 3)), 6), np.broadcast_to(np.arange(6).reshape(1, 6, 1), (4, 6, 3))
    )


SHAPES = [(24,), (4, 6), (2, 3, 4), (1, 24), (2, 2, 6), (2, 12, 1), (3, 2, 2, 2)]


@pytest.mark.parametrize(("old", "new"), list(itertools.permutations(SHAPES, 2)))
@pytest.mark.parametrize("flip", [False, True])
def test_reshaped_is_right_or_declines(old: tuple[int, ...], new: tuple[int, ...], flip: bool) -> None:
    p = dense(*old)
    x = np.arange(24).reshape(old)
    if flip and len(old) > 1:
        perm = (*range(1, len(old)), 0)
        p, x = transposed(p, perm), x.transpose(perm)
    q = reshaped(p, new)
    if q is not None:
        assert np.array_equal(elements(q, 24), x.reshape(new))
    else:
        assert flip, "a dense tensor can be viewed in any shape"


def test_reshape_of_symbolic_shapes() -> None:
    assert reshape_groups((B, 7, 768), (B, 7, 12, 64)) == [([0], [0]), ([1], [1]), ([2], [2, 3])]
    assert reshape_groups((B, symbol("t"), 8), (B * symbol("t"), 8)) == [([0, 1], [0]), ([2], [1])]
    assert reshape_groups((B, 4), (7, 3)) is None
    heads = reshaped(Place(0, 0, (B, 7, 768), (7 * 768, 768, 1), DType.float32), (B, 7, 12, 64))
    assert heads is not None and heads.strides == (7 * 768, 768, 64, 1)


def test_a_border_is_room_around_the_interior() -> None:
    buffers = Buffers()
    p = buffers.ordered((2, 3, 4, 5), DType.float32, channels_last(4), ((0, 0), (0, 0), (1, 2), (1, 1)))
    assert p.strides == (7 * 7 * 3, 1, 7 * 3, 3) and p.offset == 7 * 3 + 3
    assert buffers.records[p.buffer].zero and buffers.records[p.buffer].bytes == 2 * 7 * 7 * 3 * 4
    part = sliced(p, (0, 1, 0, 0), (2, 2, 4, 5), (1, 1, 1, 1))
    assert part.border == p.border, "cutting channels keeps the border of the rows"
    assert sliced(p, (0, 0, 1, 0), (2, 3, 2, 5), (1, 1, 1, 1)).border[2] == (0, 0)
    assert sliced(p, (0, 0, 3, 0), (2, 3, 4, 5), (1, 1, -1, 1)).border[2] == (0, 0), "its sides are exchanged"
