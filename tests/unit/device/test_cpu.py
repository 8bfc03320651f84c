"""Describing, compiling for, and loading into the CPU."""

from __future__ import annotations

import ctypes
import dataclasses

import pytest

from tensorwright.device import cpu
from tensorwright.errors import DeviceError
from tensorwright.targets import CpuSpec

AXPY = """
declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
define void @axpy(ptr %x) {
  %v = load <8 x float>, ptr %x, align 4
  %r = call <8 x float> @llvm.fma.v8f32(<8 x float> %v, <8 x float> %v, <8 x float> %v)
  store <8 x float> %r, ptr %x, align 4
  ret void
}
"""
EXP = ("declare double @exp(double)\ndefine double @twice(double %x) {\n"
       "  %r = call double @exp(double %x)\n  ret double %r\n}")


def test_describe_is_plausible():
    spec = cpu.describe()
    assert spec.vector_bits in (128, 256, 512) and spec.vector_registers in (16, 32)
    assert 8 << 10 <= spec.l1 <= spec.l2 <= spec.l3 and spec.cores >= 1
    assert CpuSpec(**spec.to_json()) == spec


@pytest.mark.parametrize("override, bits", [("avx2", 256), ("baseline", 128)])
def test_override_lowers_the_isa(monkeypatch, override, bits):
    if override == "avx2" and cpu.describe().vector_bits < 256:
        pytest.skip("needs AVX2")
    monkeypatch.setenv("TENSORWRIGHT_CPU", override)
    spec = cpu.describe()
    assert spec.vector_bits == bits
    text = cpu.assembly(AXPY, spec)
    assert ("ymm" in text) == (bits == 256) and "zmm" not in text


def test_unknown_override_is_an_error(monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_CPU", "mmx")
    with pytest.raises(DeviceError, match="mmx"):
        cpu.describe()


def test_compiles_for_another_architecture():
    arm = CpuSpec("neoverse-n1", "+neon", "aarch64-unknown-linux-gnu", 128, 32, True)
    assert cpu.compile(AXPY, arm)[:4] == b"\x7fELF"
    assert "fmla" in cpu.assembly(AXPY, arm)


def test_unknown_architecture_is_an_error():
    with pytest.raises(DeviceError, match="pdp11"):
        cpu.compile(AXPY, dataclasses.replace(cpu.describe(), triple="pdp11-unknown-linux"))


def test_loads_and_resolves_libm():
    library = cpu.load([cpu.compile(EXP, cpu.describe())])
    twice = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address("twice"))
    assert twice(1.0) == pytest.approx(2.718281828459045)
    assert library.address("twice") == library.address("twice")


def test_errors_name_the_problem():
    with pytest.raises(DeviceError, match="expected"):
        cpu.compile("define void @f() { nonsense }", cpu.describe())
    with pytest.raises(DeviceError, match="'not_in_any_library'"):
        cpu.load([cpu.compile(EXP.replace("@exp(", "@not_in_any_library("), cpu.describe())]).address("twice")
    with pytest.raises(DeviceError, match="'missing'"):
        cpu.load([cpu.compile(EXP, cpu.describe())]).address("missing")
    with pytest.raises(DeviceError):
        cpu.load([b"not an object"]).address("f")


def test_what_our_linker_does_not_take_llvm_loads(monkeypatch):
    monkeypatch.setattr(cpu.elf, "is_ours", lambda image: False)
    library = cpu.load([cpu.compile(EXP, cpu.describe())])
    twice = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address("twice"))
    assert twice(1.0) == pytest.approx(2.718281828459045)
    with pytest.raises(DeviceError, match="'missing'"):
        library.address("missing")


def test_objects_link_with_each_other():
    one = cpu.compile("define i64 @one() {\n  ret i64 1\n}", cpu.describe())
    two = cpu.compile("declare i64 @one()\ndefine i64 @two() {\n  %a = call i64 @one()\n  %b = add i64 %a, 1\n"
                      "  ret i64 %b\n}", cpu.describe())
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(cpu.load([two, one]).address("two"))() == 2


def test_libraries_are_freed_and_many_may_exist():
    image = cpu.compile(EXP, cpu.describe())
    libraries = [cpu.load([image]) for _ in range(50)]          # the same names do not clash
    assert len({library.address("twice") for library in libraries}) == 50
