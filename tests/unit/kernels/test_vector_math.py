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
ERRORS = {"exp": 1, "expm1": 2, "log": 2, "log1p": 2, "sin": 2, "cos": 2, "tan": 4, "asin": 3, "acos": 2, "atan": 3,
          "sinh": 2, "cosh": 2, "tanh": 3, "asinh": 4, "acosh": 4, "atanh": 4, "erf": 5, "sigmoid": 3, "softplus": 3,
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
