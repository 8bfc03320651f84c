"""Contexts: setting shapes, binding addresses, executing."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from tensorwright.dims import parse
from tensorwright.dtypes import DType
from tensorwright.errors import InputError
from tensorwright.plan.records import Profile, TensorInfo
from tensorwright.runtime import Engine
from tensorwright.runtime.memory import SHELF, Arena, Shelf, address_of, aligned, array_at, shelved
from tensorwright.runtime.shapes import bind, outside

from .programs import add3, chain, chain_reference, hosted


def test_shapes_addresses_execute():
    context = Engine(chain()).context()
    assert context.input_shape("x") is None and context.output_shape("y") is None
    with pytest.raises(InputError, match="shapes are not set: x"):
        context.execute()
    for n in (7, 100, 7):
        context.set_input_shape("x", (n,))
        assert context.input_shape("x") == (n,) and context.output_shape("y") == (n,)
        x, y = np.arange(n, dtype=np.float32), np.empty(n, np.float32)
        context.bind("x", x.ctypes.data)
        context.bind("y", y.ctypes.data)
        context.execute()
        np.testing.assert_array_equal(y, chain_reference(x))
        x += 1
        context.execute()                                        # addresses stay bound
        np.testing.assert_array_equal(y, chain_reference(x))


def test_run_and_execute_mix():
    context = Engine(chain()).context()
    x, y = np.ones(5, np.float32), np.empty(5, np.float32)
    context.set_input_shape("x", [5])
    context.bind("x", x.ctypes.data)
    context.bind("y", y.ctypes.data)
    other = np.ones(9, np.float32)
    np.testing.assert_array_equal(context.run([other])["y"], chain_reference(other))
    context.set_input_shape("x", [5])
    context.execute()
    np.testing.assert_array_equal(y, chain_reference(x))


def test_execute_again_after_runs_of_the_same_shapes():
    """A run points the same launches at other arrays: what was bound must be in place again."""
    context = Engine(chain()).context()
    x, y, z = np.ones(5, np.float32), np.empty(5, np.float32), np.empty(5, np.float32)
    context.set_input_shape("x", [5])
    context.bind("x", x.ctypes.data)
    context.bind("y", y.ctypes.data)
    for turn in range(3):
        x[:], other = turn, np.full(5, 10.0 + turn, np.float32)
        context.execute()
        context.execute()
        np.testing.assert_array_equal(y, chain_reference(x))
        kept = context.run([other])["y"]
        y[:] = -1
        context.execute()
        np.testing.assert_array_equal(y, chain_reference(x))
        np.testing.assert_array_equal(kept, chain_reference(other))
    context.bind("y", z.ctypes.data)
    y[:] = -1
    context.execute()
    np.testing.assert_array_equal(z, chain_reference(x))
    assert (y == -1).all()


def test_wrong_use_is_refused():
    context = Engine(add3()).context()
    with pytest.raises(InputError, match="no input 'z'"):
        context.set_input_shape("z", (1,))
    with pytest.raises(InputError, match="2 dimensions"):
        context.set_input_shape("a", (1, 2))
    context.set_input_shape("a", (4,))
    context.set_input_shape("b", (4,))
    assert context.output_shape("y") is None
    with pytest.raises(InputError, match="N is 4"):
        context.set_input_shape("c", (5,))
    context.set_input_shape("c", (4,))
    assert context.output_shape("y") == (4,)
    with pytest.raises(InputError, match="not bound"):
        context.execute()
    with pytest.raises(InputError, match="not aligned"):
        context.bind("a", 3)
    with pytest.raises(InputError, match="no tensor 'q'"):
        context.bind("q", 64)
    with pytest.raises(InputError, match="2000"):
        for name in "abc":
            context.set_input_shape(name, (2000,))
    with pytest.raises(InputError, match="known only after running"):
        Engine(hosted()).context().bind("where", 64)


# shapes --------------------------------------------------------------------------------------------------------------
def inputs(**shapes: str) -> list[TensorInfo]:
    return [TensorInfo(name, tuple(parse(d) for d in text.split(",")), DType.float32) for name, text in shapes.items()]


@pytest.mark.parametrize("takes, given, env", [
    (inputs(x="N,3"), {"x": (4, 3)}, {"N": 4}),
    (inputs(x="N,M", y="N*M"), {"x": (4, 3), "y": (12,)}, {"N": 4, "M": 3}),
    (inputs(y="2*N + 1"), {"y": (9,)}, {"N": 4}),
    (inputs(y="N*M", x="M"), {"x": (3,), "y": (12,)}, {"N": 4, "M": 3})])
def test_symbols_from_shapes(takes, given, env):
    assert bind(takes, given) == env


@pytest.mark.parametrize("takes, given, message", [
    (inputs(x="N,3"), {"x": (4, 2)}, "dimension 1 is 2, the engine takes 3"),
    (inputs(x="N,N"), {"x": (4, 5)}, "is 5, but N is 4"),
    (inputs(y="2*N + 1"), {"y": (8,)}, "N cannot be found"),
    (inputs(x="N,M", y="N*M"), {"x": (4, 3), "y": (13,)}, r"N\*M|M\*N"),
    (inputs(y="N // 2"), {"y": (4,)}, "N cannot be found")])
def test_shapes_that_do_not_fit(takes, given, message):
    with pytest.raises(InputError, match=message):
        bind(takes, given)


def test_profile_ranges():
    profile = Profile((("N", (2, 4, 8)),))
    assert outside(profile, {"N": 2}) is None and outside(profile, {"N": 8}) is None
    assert outside(profile, {"N": 9}) == "N is 9, the profile has 2 to 8"


# memory --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, 4097, 9 << 20])
def test_arena_is_zero_and_aligned(size):
    arena = Arena(size)
    assert arena.address % 4096 == 0 and not arena.bytes(0, size).any() and len(arena.bytes(0, size)) == size
    assert address_of(arena.bytes(0, size)) == arena.address


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's list of mappings")
def test_arenas_are_private_memory():
    """Shared memory, which mmap gives unless asked otherwise, gets no huge pages."""
    arena = Arena(8 << 20)
    areas = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    here = [flags for span, flags, *_ in areas
            if int(span.split("-")[0], 16) <= arena.address < int(span.split("-")[1], 16)]
    assert here == ["rw-p"]


def test_a_shelf_keeps_arrays_side_by_side_and_its_arenas_as_long_as_they():
    shelf = Shelf()
    taken = [shelf.take(n) for n in (20, 4000, 0, 28, SHELF - 8192, 5000, SHELF + 64)]
    for i, room in enumerate(taken):
        assert not room.any() and (not room.size or address_of(room) % 64 == 0)
        room[...] = i + 1
    assert all((room == i + 1).all() for i, room in enumerate(taken))
    assert 0 < address_of(taken[4]) - address_of(taken[0]) < 8192
    first = weakref.ref(taken[0].base.base if isinstance(taken[0].base, np.ndarray) else taken[0].base)
    assert first() is not None
    del taken[0:5], room
    gc.collect()
    assert first() is None and (taken[0] == 6).all() and (taken[1] == 7).all()


def test_shelved_is_a_dense_read_only_copy():
    for array in (np.arange(12.0).reshape(3, 4).T, np.array(3.0), np.zeros((0, 4), np.int8), np.array([True, False])):
        copy = shelved(array)
        np.testing.assert_array_equal(copy, array)
        assert copy.dtype == array.dtype and copy.flags.c_contiguous and not copy.flags.writeable


def test_constants_begin_on_cache_lines():
    memory = np.arange(4096 + 16, dtype=np.float32)
    shift = -memory.ctypes.data // 4 % 16
    good, bad = memory[shift:shift + 4096], memory[shift + 1:shift + 4001]
    assert aligned(good) is good and aligned(bad[:4])[0] == bad[0]
    copy = aligned(bad)
    assert copy.ctypes.data % 64 == 0 and aligned(bad) is copy and not copy.flags.writeable
    np.testing.assert_array_equal(copy, bad)
    np.testing.assert_array_equal(aligned(memory[:4000].reshape(40, 100).T), memory[:4000].reshape(40, 100).T)
    from tensorwright.runtime.memory import _copies
    kept = len(_copies)
    del bad
    assert len(_copies) == kept - 1


def test_arrays_over_addresses():
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (x, x[::-1, 1:], x[:, ::-2], x.T, x[0, 0, ...], x[:0]):
        again = array_at(address_of(view), view.shape, view.strides, view.dtype)
        np.testing.assert_array_equal(again, view)
        assert not again.flags.writeable or again.size == 0
