"""Every function of ops.expr as vector code, against float64 NumPy over the whole range of its arguments."""

from __future__ import annotations

import ctypes
import math
from dataclasses import replace

import numpy as np
import pytest

from tensorwright.device import cpu as device
from tensorwright.dtypes import NATIVE, DType
from tensorwright.kernels import llvm
from tensorwright.kernels.cpu.pointwise_printer import emit
from tensorwright.ops.expr import FUNCTIONS, Apply, Const, Expr, In, evaluate, operands

HOST = device.describe()
CPUS = {"host": HOST, "avx2": replace(HOST, name="x86-64-v3", features="", vector_bits=256, vector_registers=16),
        "baseline": replace(HOST, name="x86-64", features="", vector_bits=128, vector_registers=16, fma=False)}
if not HOST.triple.startswith("x86_64") or HOST.vector_bits < 256:
    CPUS = {"host": HOST}
F32, F64, BOOL = DType.float32, DType.float64, DType.bool


def run(e: Expr, *arrays: np.ndarray, cpu=HOST, lanes: int | None = None) -> np.ndarray:
    """e over equally long arrays, in vectors of `lanes`."""
    lanes = lanes or cpu.lanes
    n = -(-len(arrays[0]) // lanes) * lanes
    padded = [np.pad(a, (0, n - len(a)), mode="edge") for a in arrays]
    types = {node.index: node.dtype for node in operands(e)}
    f = llvm.entry("kernel")
    pointers = [llvm.arg(f, i) for i in range(len(arrays) + 1)]
    with f.loop("i", 0, n, lanes) as i:
        loaded = [""] * len(arrays)
        for k, t in types.items():
            loaded[k] = f.load(llvm.vector(llvm.SCALAR[t], lanes), f.at(pointers[k], f.mul(i, t.itemsize)), t.itemsize)
        y = emit(f, e, loaded, lanes, cpu)
        f.store(llvm.vector(llvm.SCALAR[e.dtype], lanes), y, f.at(pointers[-1], f.mul(i, e.dtype.itemsize)),
                e.dtype.itemsize)
    library = device.load([device.compile(llvm.module(f), cpu)])
    out = np.empty(n, e.dtype.numpy)
    args = np.array([a.ctypes.data for a in [*padded, out]], np.uint64)
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3)(library.address("kernel"))
    entry(args.ctypes.data, 0, 0, 1, 0)
    return out[:len(arrays[0])]


def all_floats(count: int = 60_000) -> np.ndarray:
    """float32 values of every size: evenly spaced bit patterns of both signs, ordinary ones, and the special ones."""
    bits = np.linspace(0, 0x7F800000, count // 2).astype(np.uint32).view(np.float32)
    dense = np.linspace(-20, 20, count // 2, dtype=np.float32)
    special = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, 0.5, 2,
                        88.72, 88.73, -87.4, -103.9, -104.1, 1e6, 1e9, 3e38, math.pi, math.pi / 2], np.float32)
    return np.concatenate([bits, -bits, dense, special])


def ulps(y: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Error in units in the last place of float32; infinite where only one is NaN or infinite."""
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
    unit = np.spacing(np.minimum(np.abs(near), np.float32(3.4e38))).astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.abs(y.astype(np.float64) - exact) / unit
    same = (y == near) | (np.isnan(y) & np.isnan(near))
    return np.where(same, 0, np.where(np.isnan(error), np.inf, error))


#: the errors that vector_math states, in units in the last place
ERRORS = {"exp": 1.1, "expm1": 2, "log": 2, "log1p": 2, "sin": 2, "cos": 2, "tan": 4, "asin": 3, "acos": 2, "atan": 3,
          "sinh": 2.1, "cosh": 2, "tanh": 3, "asinh": 4, "acosh": 4, "atanh": 4, "erf": 5, "sigmoid": 3, "softplus": 3,
          "sqrt": 0.5, "rsqrt": 1.5, "recip": 0.5}


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("fn", ERRORS)
def test_float32_functions_are_within_their_stated_error_everywhere(fn, cpu):
    x = all_floats()
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[fn][1](x.astype(np.float64))
    error = ulps(run(Apply(fn, (In(0, F32),), F32), x, cpu=CPUS[cpu]), exact)
    worst = int(np.argmax(error))
    slack = 0 if CPUS[cpu].fma else 2                    # without fused multiply-add every step rounds twice
    assert error[worst] <= ERRORS[fn] + slack, f"{fn}({x[worst]!r}): {error[worst]:.2f} ulp"


@pytest.mark.parametrize("cpu", CPUS)
def test_x_times_its_sigmoid_is_one_function(cpu):
    x = all_floats()
    silu = Apply("mul", (In(0, F32), Apply("sigmoid", (In(0, F32),), F32)), F32)
    y = run(silu, x, cpu=CPUS[cpu])
    with np.errstate(all="ignore"):
        exact = x * FUNCTIONS["sigmoid"][1](x.astype(np.float64))
    far = x < -87
    assert ulps(y, exact)[~far].max() <= 5 + (0 if CPUS[cpu].fma else 2)
    np.testing.assert_allclose(y[far], exact[far], rtol=0, atol=1.5e-36)


@pytest.mark.parametrize("cpu", CPUS)
def test_the_factors_of_gelu(cpu):
    x = all_floats(200_000)
    wide, plain = x.astype(np.float64), CPUS[cpu].vector_bits < 512
    y = run(Apply("add", (Const(1.0, F32), Apply("erf", (In(0, F32),), F32)), F32), x, cpu=CPUS[cpu])
    assert np.nanmax(np.abs(y - (FUNCTIONS["erf"][1](wide) + 1))) < (4e-7 if plain else 1.5e-7)
    assert np.array_equal(np.isnan(y), np.isnan(x)) and (y[x < -4] == 0).all() and (y[x > 4] == 2).all()
    y = run(Apply("add", (Apply("tanh", (In(0, F32),), F32), Const(1.0, F32)), F32), x, cpu=CPUS[cpu])
    with np.errstate(all="ignore"):
        exact = 2 / (1 + np.exp(-2 * wide))
    assert ulps(y, exact)[~(x < -43)].max() <= 4 + 2 * (not CPUS[cpu].fma)
    assert np.abs(y[x < -43] - exact[x < -43]).max() < 1e-36


@pytest.mark.parametrize("fn", ["exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
                                "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "sigmoid", "softplus", "sqrt",
                                "rsqrt", "recip", "floor", "ceil", "round", "trunc", "abs", "neg", "sign"])
def test_float64_functions_follow_numpy(fn):
    x = np.concatenate([all_floats(4000).astype(np.float64), np.linspace(-3, 3, 999)])
    expected = evaluate(Apply(fn, (In(0, F64),), F64), [x])
    np.testing.assert_allclose(run(Apply(fn, (In(0, F64),), F64), x), expected, rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("cpu", CPUS)
def test_powers_of_float32(cpu):
    rng = np.random.default_rng(0)
    special = np.array([0.0, -0.0, 1, -1, 2, -2, 3, 0.5, -0.5, 1e-40, np.inf, -np.inf, np.nan, 1e30, -1e30, 2.5, -3,
                        16777216, 16777217.0, 1e9], np.float32)
    x, y = (a.ravel() for a in np.meshgrid(special, special))
    x = np.concatenate([x, np.exp(rng.uniform(-80, 80, 20_000)), rng.uniform(0.9, 1.1, 5000)]).astype(np.float32)
    y = np.concatenate([y, rng.uniform(-3, 3, 20_000), rng.uniform(-900, 900, 5000)]).astype(np.float32)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64))
    error = ulps(run(Apply("pow", (In(0, F32), In(1, F32)), F32), x, y, cpu=CPUS[cpu]), exact)
    worst = int(np.argmax(error))
    assert error[worst] <= 1, f"{x[worst]!r} ** {y[worst]!r}: {error[worst]} ulp"


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, -1.0, 0.5, -0.5, 1.7])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_constant_powers(exponent, dtype):
    x = np.concatenate([all_floats(2000), np.linspace(-3, 3, 99, dtype=np.float32)]).astype(dtype.numpy)
    e = Apply("pow", (In(0, dtype), Const(exponent, dtype)), dtype)
    np.testing.assert_allclose(run(e, x), evaluate(e, [x]), rtol=1e-6 if dtype is F32 else 1e-14)


def values_of(dtype: DType, rng: np.random.Generator, count: int = 700) -> np.ndarray:
    if dtype is BOOL:
        return rng.integers(0, 2, count).astype(bool)
    if dtype.is_float:
        special = [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 1e-40, 3, 7]
        ordinary = rng.standard_normal(count - count // 2) * 4
        return np.concatenate([rng.choice(special, count // 2), ordinary]).astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    edges = np.array([info.min, info.max, 0, 1, 2, 3, 7, info.max - 1, info.min + 1, -1 if dtype.is_signed else 5],
                     dtype.numpy)
    wide = rng.integers(info.min, info.max, count // 2, dtype=dtype.numpy, endpoint=True)
    return np.concatenate([rng.choice(edges, count - count // 2), wide])


def supports(fn: str, dtype: DType) -> bool:
    """Whether NumPy defines fn on dtype."""
    if dtype is BOOL:
        return fn in ("add", "mul", "min", "max", "abs", "not", "isnan", "isinf", *TWO[8:17], "bitnot")
    return not (dtype.is_float and fn in ("bitand", "bitor", "bitxor", "bitnot", "shl", "shr"))


TWO = ["add", "sub", "mul", "div", "mod", "fmod", "min", "max", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor",
       "bitand", "bitor", "bitxor", "shl", "shr", "pow"]
ONE = ["neg", "abs", "sign", "floor", "ceil", "round", "trunc", "not", "bitnot", "isnan", "isinf"]
TO_BOOL = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "not", "isnan", "isinf"})


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", sorted(NATIVE, key=str), ids=str)
def test_exact_functions_equal_numpy(dtype, cpu):
    rng = np.random.default_rng(7)
    a, b, c = (rng.permutation(values_of(dtype, rng)) for _ in range(3))
    for fn in TWO + ONE:
        if not supports(fn, dtype) or (fn == "pow" and dtype.is_float):
            continue
        x, y = a, b
        if fn in ("shl", "shr", "pow"):
            y = (b.astype(np.int64) % (12 if fn == "pow" else 70)).astype(dtype.numpy)
        args = (In(0, dtype), In(1, dtype))[:FUNCTIONS[fn][0]]
        e = Apply(fn, args, BOOL if fn in TO_BOOL else dtype)
        expected = x if fn == "round" and not dtype.is_float else evaluate(e, [x, y])     # NumPy's goes through float64
        np.testing.assert_array_equal(run(e, x, y, cpu=CPUS[cpu]), expected, err_msg=fn)
        if fn == "add":
            np.testing.assert_array_equal(run(e, x, y, cpu=CPUS[cpu], lanes=1), expected)
    flags = rng.integers(0, 2, len(a)).astype(bool)
    e = Apply("where", (In(0, BOOL), In(1, dtype), In(2, dtype)), dtype)
    np.testing.assert_array_equal(run(e, flags, a, b, cpu=CPUS[cpu]), np.where(flags, a, b))
    if dtype.is_float:
        e = Apply("add", (Apply("mul", (In(0, dtype), In(1, dtype)), dtype), In(2, dtype)), dtype)
        np.testing.assert_allclose(run(e, a, b, c, cpu=CPUS[cpu]), evaluate(e, [a, b, c]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fn", ["div", "mod", "fmod", "max"])
@pytest.mark.parametrize("dtype", sorted(NATIVE - {BOOL}, key=str), ids=str)
def test_constant_second_arguments(fn, dtype):
    a = values_of(dtype, np.random.default_rng(3))
    for constant in (0, 1, 3, *([-1, -7] if dtype.is_signed else [])):
        e = Apply(fn, (In(0, dtype), Const(float(constant) if dtype.is_float else constant, dtype)), dtype)
        np.testing.assert_array_equal(run(e, a), evaluate(e, [a]), err_msg=str(constant))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("source", sorted(NATIVE | {DType.float16, DType.bfloat16}, key=str), ids=str)
def test_casts_equal_numpy_within_range(source, cpu):
    rng = np.random.default_rng(5)
    for target in sorted(NATIVE | {DType.float16, DType.bfloat16}, key=str):
        x = values_of(source, rng, 300)
        if source.is_float and target.is_int:
            x = np.nan_to_num(x.astype(np.float64), posinf=90, neginf=-90).astype(source.numpy)
            x = x if target.is_signed else np.abs(x)
        elif source.is_float and target.is_float:
            x = np.concatenate([x, rng.uniform(-6.5e4, 6.5e4, 200).astype(source.numpy),
                                (rng.standard_normal(400) * 1e-6).astype(source.numpy)])
        with np.errstate(all="ignore"):
            expected = x.astype(target.numpy)
        got = run(Apply("cast", (In(0, source),), target), x, cpu=CPUS[cpu])
        np.testing.assert_array_equal(got.astype(np.float64) if target.is_float else got,
                                      expected.astype(np.float64) if target.is_float else expected, err_msg=str(target))


@pytest.mark.parametrize("dtype", [DType.float16, DType.bfloat16], ids=str)
def test_halves_compute_in_float32_and_round_every_step(dtype):
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal(500).astype(dtype.numpy) for _ in range(2))
    e = Apply("mul", (Apply("add", (In(0, dtype), In(1, dtype)), dtype), Const(0.3, dtype)), dtype)
    np.testing.assert_array_equal(run(e, a, b).astype(np.float32), evaluate(e, [a, b]).astype(np.float32))


def test_functions_of_integers_go_through_float64():
    x = np.arange(-5, 9, dtype=np.int32)
    square = Apply("mul", (In(0, DType.int32),) * 2, DType.int32)
    np.testing.assert_array_equal(run(Apply("sqrt", (square,), DType.int32), x), np.abs(x))


@pytest.mark.parametrize("cpu", CPUS)
def test_the_factor_of_mish_needs_no_logarithm(cpu):
    x = all_floats()
    with np.errstate(all="ignore"):
        exact = np.tanh(np.logaddexp(x.astype(np.float64), 0))
    error = ulps(run(Apply("tanh", (Apply("softplus", (In(0, F32),), F32),), F32), x, cpu=CPUS[cpu]), exact)
    assert error.max() <= 5


def test_shared_nodes_are_printed_once_and_long_chains_do_not_recurse():
    e: Expr = In(0, F32)
    for _ in range(3000):
        e = Apply("add", (e, Const(1.0, F32)), F32)
    f = llvm.Function("k", x="<16 x float>")
    emit(f, Apply("mul", (e, e), F32), ["%x"], 16, HOST)
    assert sum("fadd" in line for line in f.body) == 3000


def test_every_function_of_the_table_is_printed():
    assert set(FUNCTIONS) == set(ERRORS) | set(TWO) | set(ONE) | {"where", "cast"}


def test_other_architectures_compile():
    arm = replace(HOST, name="generic", features="+neon", triple="aarch64-unknown-linux-gnu", vector_bits=128,
                  vector_registers=32, fma=True)
    for fn, dtype in [*((fn, F32) for fn in ERRORS), ("div", DType.int8), ("div", DType.uint32), ("pow", DType.int64)]:
        f = llvm.entry("k")
        args = (In(0, dtype), In(1, dtype))[:FUNCTIONS[fn][0]]
        t = llvm.vector(llvm.SCALAR[dtype], 4)
        f.store(t, emit(f, Apply(fn, args, dtype), [f.load(t, "%args")] * 2, 4, arm), "%args")
        assert device.compile(llvm.module(f), arm)
