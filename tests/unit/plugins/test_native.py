"""Compiled functions as plugins: what they are called with, what they may answer."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from typing import Any

import numpy as np
import onnx
import pytest

import tensorwright
from tensorwright import InputError, ShapeError, plugins
from tensorwright.builder import BuildOptions, build
from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.ir import Network, NetworkEditor, TensorType
from tensorwright.plan.records import Profile
from tensorwright.plugins import Attribute, UpTo, from_address
from tensorwright.plugins.native import PROTOTYPE
from tensorwright.runtime import Engine

N = symbol("N")


def engine(definition: Any, *types: TensorType | None, attributes: dict | None = None) -> Engine:
    e = NetworkEditor("net")
    names = [None if t is None else e.input(f"x{i}", t) for i, t in enumerate(types)]
    made = e.add(plugins.use(definition, attributes, types), *names, name="custom")
    e.outputs = [made] if isinstance(made, str) else list(made)
    net: Network = e.finish()
    profile = Profile((("N", (0, 2, 8)),)) if net.symbols() else Profile()
    return Engine(build(net, BuildOptions(profiles=(profile,), tune_budget=0.0, timing_cache=False, threads=1)))


def array_of(t: Any, dtype: Any) -> np.ndarray:
    """A struct tensor as an array, as C would see it."""
    shape = [t.dims[a] for a in range(t.rank)]
    count = int(np.prod(shape))
    if not count:
        return np.zeros(shape, dtype)
    raw = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(t.data)
    return np.frombuffer(raw, dtype).reshape(shape)


@PROTOTYPE
def scale(inputs: Any, n_inputs: int, outputs: Any, n_outputs: int, attributes: int) -> int:
    """y = x · factor + bias where there is one; type 1 only."""
    if n_outputs != 1 or inputs[0].type != onnx.TensorProto.FLOAT:
        return 3
    factor = ctypes.cast(attributes, ctypes.POINTER(ctypes.c_double))[0]
    y = array_of(inputs[0], np.float32) * np.float32(factor)
    if n_inputs > 1 and inputs[1].data:
        y = y + array_of(inputs[1], np.float32)
    array_of(outputs[0], np.float32)[...] = y
    return 0


def test_a_function_gets_dense_inputs_and_writes_its_output(tmp_path) -> None:
    definition = from_address("acme::scale", scale, inputs=(1, 2), attributes={"factor": float}, package="acme")
    e = engine(definition, TensorType((N, 3), DType.float32), TensorType((3,), DType.float32),
               attributes={"factor": -2})
    e.save(tmp_path / "p.plan")
    text = (tmp_path / "p.plan").read_bytes()
    assert str(ctypes.cast(scale, ctypes.c_void_p).value).encode() not in text         # the plan names it, no more
    bias = np.float32([1, 2, 3])
    for n in (0, 1, 5):
        x = np.random.default_rng(n).standard_normal((3, n)).astype(np.float32).T       # not dense
        np.testing.assert_array_equal(tensorwright.load(tmp_path / "p.plan")(x, bias), x * np.float32(-2) + bias)
    plugins.unregister(definition)
    with pytest.raises(tensorwright.PlanError, match="scale"):
        tensorwright.load(tmp_path / "p.plan")


def test_absent_inputs_are_null_and_errors_of_the_function_are_ours() -> None:
    definition = from_address("scale", ctypes.cast(scale, ctypes.c_void_p).value, inputs=(1, 2),
                              attributes={"factor": Attribute("float", 2.0)})
    op = plugins.use(definition, {}, (TensorType((2,), DType.float32), None))
    np.testing.assert_array_equal(op.reference(np.float32([1, 2]), None), [2, 4])
    with pytest.raises(InputError, match="returned 3"):
        op.reference(np.float64([1, 2]))


def test_attributes_are_a_struct_of_eight_byte_members() -> None:
    kinds = {"b": bool, "i": int, "f": float, "s": str, "raw": bytes, "many": tuple[int, ...], "fs": list[float],
             "names": list[str], "table": Attribute("array")}
    got: dict = {}

    class Struct(ctypes.Structure):
        _fields_ = [("b", ctypes.c_int64), ("i", ctypes.c_int64), ("f", ctypes.c_double), ("s", ctypes.c_char_p),
                    ("raw", ctypes.c_void_p), ("raw_n", ctypes.c_int64),
                    ("many", ctypes.POINTER(ctypes.c_int64)), ("many_n", ctypes.c_int64),
                    ("fs", ctypes.POINTER(ctypes.c_double)), ("fs_n", ctypes.c_int64),
                    ("names", ctypes.POINTER(ctypes.c_char_p)), ("names_n", ctypes.c_int64),
                    ("table", ctypes.POINTER(ctypes.c_int16)), ("table_n", ctypes.c_int64)]

    @PROTOTYPE
    def read(inputs: Any, n_inputs: int, outputs: Any, n_outputs: int, attributes: int) -> int:
        a = Struct.from_address(attributes)
        got.update(b=a.b, i=a.i, f=a.f, s=a.s, raw=ctypes.string_at(a.raw, a.raw_n), many=a.many[:a.many_n],
                   fs=a.fs[:a.fs_n], names=a.names[:a.names_n], table=a.table[:a.table_n])
        return 0

    definition = from_address("read", read, attributes=kinds)
    given = {"b": True, "i": -5, "f": 0.5, "s": "ü", "raw": b"a\0b", "many": [1, -2], "fs": [], "names": ["p", "qq"],
             "table": np.int16([[1, 2], [3, 4]]).T}
    plugins.use(definition, given, (TensorType((1,), DType.float32),)).reference(np.zeros(1, np.float32))
    assert got == {"b": 1, "i": -5, "f": 0.5, "s": "ü".encode(), "raw": b"a\0b", "many": [1, -2], "fs": [],
                   "names": [b"p", b"qq"], "table": [1, 3, 2, 4]}


def test_strided_inputs_are_made_dense() -> None:
    definition = from_address("scale", scale, inputs=(1, 2), attributes={"factor": Attribute("float", 2.0)})
    x = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
    op = plugins.use(definition, {}, (TensorType((2, 3), DType.float32),))
    np.testing.assert_array_equal(op.reference(x), x * 2)


@pytest.mark.parametrize("kept, width, ok", [(2, 3, True), (0, 3, True), (5, 3, False), (-1, 3, False), (2, 2, False)])
def test_sizes_that_the_function_decides(kept: int, width: int, ok: bool) -> None:
    @PROTOTYPE
    def first(inputs: Any, n_inputs: int, outputs: Any, n_outputs: int, attributes: int) -> int:
        x, y = array_of(inputs[0], np.int64), array_of(outputs[0], np.int64)
        assert y.shape == (4, 3)
        y.reshape(-1)[: max(0, min(kept, 4)) * 3] = x[: max(0, kept)].reshape(-1)[: 12]
        outputs[0].dims[0], outputs[0].dims[1] = kept, width
        return 0

    definition = from_address("first", first, shape=lambda x: (UpTo(x.shape[0]), x.shape[1]))
    op = plugins.use(definition, {}, (TensorType((4, 3), DType.int64),))
    x = np.arange(12).reshape(4, 3)
    if ok:
        np.testing.assert_array_equal(op.reference(x), x[:kept])
    else:
        with pytest.raises(ShapeError, match="gave output 0 the shape"):
            op.reference(x)


def test_wrong_registrations() -> None:
    for address in (0, "f", None, -1, True):
        with pytest.raises(InputError, match="address"):
            from_address("f", address)
    with pytest.raises(InputError, match="optional"):
        from_address("f", scale, attributes={"a": Attribute("float", None)})
    with pytest.raises(InputError, match="'a' has the type"):
        from_address("f", scale, attributes={"a": dict})
    open_ended = from_address("f", scale, shape=lambda x: (None,), attributes={"factor": float})
    with pytest.raises(ShapeError, match="no bound"):
        plugins.use(open_ended, {"factor": 1}, (TensorType((1,), DType.float32),)).reference(np.zeros(1, np.float32))


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_documented_header_compiles_and_runs(tmp_path) -> None:
    (tmp_path / "relu.c").write_text("""
        #include <stdint.h>
        struct tensor { void *data; int64_t *dims; int32_t rank; int32_t type; };
        int32_t clipped(const struct tensor *inputs, int32_t n_inputs,
                        const struct tensor *outputs, int32_t n_outputs, const void *attributes) {
            const struct { double limit; int64_t sign; } *a = attributes;
            const float *x = inputs[0].data;
            float *y = outputs[0].data;
            int64_t n = 1;
            for (int32_t i = 0; i < inputs[0].rank; i++) n *= inputs[0].dims[i];
            for (int64_t i = 0; i < n; i++) y[i] = a->sign * (x[i] > a->limit ? (float)a->limit : x[i]);
            return n_inputs == 1 && n_outputs == 1 ? 0 : 1;
        }""")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", tmp_path / "relu.so", tmp_path / "relu.c"], check=True)
    library = ctypes.CDLL(str(tmp_path / "relu.so"))
    definition = from_address("acme::clipped", library.clipped, attributes={"limit": float, "sign": int})
    x = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    y = engine(definition, TensorType((N, 7), DType.float32), attributes={"limit": 0.5, "sign": -1})(x)
    np.testing.assert_array_equal(y, -np.minimum(x, np.float32(0.5)))
