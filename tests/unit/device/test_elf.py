"""The linker: what it lays out runs and equals what LLVM's own loads; damaged and wrong objects are told."""

from __future__ import annotations

import ctypes
import random
import re

import numpy as np
import pytest

from tensorwright.device import cpu, elf

pytestmark = pytest.mark.skipif(not cpu.describe().triple.startswith("x86_64"), reason="object code of another machine")

TEXT = """
@table = internal constant [4 x double] [double 2.0, double 3.0, double 5.0, double 7.0], align 64
@ready = constant i32 11
@count = internal global i64 40
declare double @sqrt(double)
declare double @pow(double, double)
declare i64 @imported(i64)
define internal double @pick(i64 %i) {
  %at = getelementptr [4 x double], ptr @table, i64 0, i64 %i
  %x = load double, ptr %at
  ret double %x
}
define double @root(i64 %i) {
  %x = call double @pick(i64 %i)
  %p = call double @pow(double %x, double 4.0)
  %r = call double @sqrt(double %p)
  %t = fmul double %r, 1.0e-3
  ret double %t
}
define i64 @next() {
  %n = load i64, ptr @count
  %m = call i64 @imported(i64 %n)
  store i64 %m, ptr @count
  ret i64 %m
}
"""
OTHER = "define i64 @imported(i64 %x) {\n  %y = add i64 %x, 1\n  ret i64 %y\n}"


def image(*texts: str) -> elf.Image:
    return elf.Image([cpu.compile(t, cpu.describe()) for t in texts], elf.in_process)


def test_code_constants_variables_and_the_process():
    linked = image(TEXT, OTHER)
    root = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)(linked.symbols["root"])
    assert [root(i) for i in range(4)] == pytest.approx([4e-3, 9e-3, 25e-3, 49e-3])
    following = ctypes.CFUNCTYPE(ctypes.c_int64)(linked.symbols["next"])
    assert [following() for _ in range(3)] == [41, 42, 43]
    assert ctypes.c_int32.from_address(linked.symbols["ready"]).value == 11
    assert set(linked.symbols) == {"root", "next", "ready", "imported"}      # what is internal stays so


def test_pages_are_either_written_or_executed():
    linked, other = image(OTHER), image("@k = constant i32 3\n" + OTHER)
    modes = {}
    with open("/proc/self/maps") as maps:
        for line in maps:
            low, high, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()  # type: ignore[union-attr]
            for name, at in (("code", linked.symbols["imported"]), ("constant", other.symbols["k"])):
                if int(low, 16) <= at < int(high, 16):
                    modes[name] = mode
    assert modes == {"code": "r-xp", "constant": "r--p"}


def test_sections_are_aligned():
    lanes = ", ".join(f"i32 {i}" for i in range(16))
    linked = image(f"""@v = internal constant <16 x i32> <{lanes}>, align 64
define void @copy(ptr %to) {{
  %x = load <16 x i32>, ptr @v, align 64
  store <16 x i32> %x, ptr %to, align 4
  ret void
}}""")
    found = np.zeros(16, np.int32)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(linked.symbols["copy"])(found.ctypes.data)
    np.testing.assert_array_equal(found, np.arange(16))


@pytest.mark.parametrize("texts, words", [
    ((TEXT,), "'imported' is defined neither"),
    ((OTHER, OTHER), "'imported' is defined twice"),
    (("@errno_like = external global i32\ndefine i32 @f() {\n  %x = load i32, ptr @errno_like\n  ret i32 %x\n}",),
     "errno_like"),
    (("@environ = external global ptr\ndefine ptr @f() {\n  %x = load ptr, ptr @environ\n  ret ptr %x\n}",),
     "of a kind that is not known"),
])
def test_what_cannot_be_linked_is_told(texts, words):
    with pytest.raises(elf.LinkError, match=words):
        image(*texts)


def test_damaged_objects_are_linked_or_refused():
    good, other = cpu.compile(TEXT, cpu.describe()), cpu.compile(OTHER, cpu.describe())
    rng, refused = random.Random(0), 0
    for turn in range(400):
        bad = bytearray(good[:rng.randrange(len(good))] if turn % 4 == 0 else good)
        for _ in range(rng.randint(1, 4) if bad else 0):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        try:
            elf.Image([bytes(bad), other], elf.in_process)
        except elf.LinkError:
            refused += 1
    assert refused > 100


def test_memory_is_given_back():
    def mapped() -> int:
        with open("/proc/self/maps") as maps:
            return len(maps.readlines())
    image(OTHER)
    before = mapped()
    for _ in range(20):
        image(TEXT, OTHER)
    assert mapped() <= before + 4
