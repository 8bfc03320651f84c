"""The CPU this process runs on: what it is, compiling LLVM IR for it (or for another CPU), loading the object code."""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import settings
from ..errors import DeviceError
from ..targets import CpuSpec
from . import elf, host

if TYPE_CHECKING:
    import llvmlite.binding as llvm

    from .codegen import Target

_lock = threading.RLock()


# describing ------------------------------------------------------------------------------------------------------
def describe() -> CpuSpec:
    """The machine as the kernel generators see it. TENSORWRIGHT_CPU=avx2 or baseline pretends it had less."""
    override = settings.cpu_override()
    if override not in (None, "avx2", "baseline"):
        raise DeviceError(f"TENSORWRIGHT_CPU is {override!r}", try_="use avx2, baseline, or leave it unset")
    return _describe(override, usable_cores())


@cache
def _describe(override: str | None, cores: int) -> CpuSpec:
    triple, own, has = host.known()
    l1, l2, l3 = cache_sizes()
    if not triple.startswith(("x86_64", "amd64")):             # 128-bit vectors; 32 registers on AArch64
        wide = triple.startswith(("aarch64", "arm64"))
        name, features = ("generic", "") if override == "baseline" else (own, flatten(has))
        return CpuSpec(name, features, triple, 128, 32 if wide else 16, wide, l1, l2, l3, cores)
    avx2 = bool(has.get("avx2") and has.get("fma"))
    avx512 = avx2 and all(has.get(f) for f in ("avx512f", "avx512vl", "avx512bw", "avx512dq"))
    if override == "baseline" or (override is None and not avx2):
        return CpuSpec("x86-64", "", triple, 128, 16, False, l1, l2, l3, cores)
    if override == "avx2":
        if not avx2:
            raise DeviceError("TENSORWRIGHT_CPU is avx2, but this CPU has no AVX2 with FMA", try_="use baseline")
        return CpuSpec("x86-64-v3", "", triple, 256, 16, True, l1, l2, l3, cores)
    return CpuSpec(own, flatten(has), triple, 512 if avx512 else 256, 32 if avx512 else 16, True,
                   l1, l2, l3, cores)


def flatten(features: dict[str, bool]) -> str:
    """LLVM's feature string, in a fixed order."""
    return ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))


def usable_cores() -> int:
    """Cores this process may use: its affinity, and its control group's quota if that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return max(1, cores)


@cache
def cache_sizes() -> tuple[int, int, int]:
    """(L1 data, L2, L3) in bytes of core 0, from sysfs; common sizes where that is silent. No L3 counts as L2."""
    found: dict[int, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / f).read_text().strip() for f in ("level", "type", "size"))
            if kind != "Instruction":
                scale = {"K": 10, "M": 20, "G": 30}.get(size[-1:], 0)
                found[int(level)] = int(size.rstrip("KMG")) << scale
        except (OSError, ValueError):
            continue
    l2 = found.get(2) or 1 << 20
    return found.get(1) or 32 << 10, l2, found.get(3) or (l2 if found else 16 << 20)


# compiling -------------------------------------------------------------------------------------------------------
# LLVM is imported when the first text is compiled: a process that only runs plans does without.
def target_of(cpu: CpuSpec) -> Target:
    return cpu.triple, cpu.name, cpu.features


def _machine(cpu: CpuSpec, opt: int = 3) -> llvm.TargetMachine:
    from . import codegen
    try:
        return codegen.machine(target_of(cpu), opt)
    except RuntimeError as error:
        raise DeviceError(f"LLVM has no code generator for {cpu.triple}: {error}",
                          try_="install an llvmlite that has it") from None


def refusal(words: str, cpu: CpuSpec) -> DeviceError:
    """What LLVM says against generated code, as our error."""
    return DeviceError(f"LLVM refuses the generated code: {words}", cpu=cpu.name,
                       try_="report this: TENSORWRIGHT_DEBUG=4 shows the code")


def compile(text: str, cpu: CpuSpec, opt: int = 3) -> bytes:
    """LLVM IR → position-independent object code for cpu, which need not be this machine.

    Only the code generator runs, no pass over the IR: kernels are written in final form.
    """
    from . import codegen
    with _lock:
        _machine(cpu, opt)
        try:
            return codegen.object_code(text, target_of(cpu), opt)
        except RuntimeError as error:
            raise refusal(str(error).strip(), cpu) from None


def assembly(text: str, cpu: CpuSpec, opt: int = 3) -> str:
    """LLVM IR → assembly text, for people."""
    from . import codegen
    with _lock:
        machine = _machine(cpu, opt)
        try:
            return str(machine.emit_assembly(codegen.parse(text, target_of(cpu), opt)))
        except RuntimeError as error:
            raise refusal(str(error).strip(), cpu) from None


# loading ---------------------------------------------------------------------------------------------------------
class Library:
    """Object code in executable memory. Addresses stay valid as long as the Library lives."""

    def __init__(self, image: elf.Image) -> None:
        self._image = image

    def address(self, name: str) -> int:
        """Address of a function or global. DeviceError when the objects do not define it."""
        found = self._image.symbols.get(name)
        if found is None:
            raise DeviceError(f"loading {name!r} failed: the object code does not define it",
                              defines=", ".join(sorted(self._image.symbols)[:8]))
        return found


class JitLibrary(Library):
    """The same by LLVM's linker, for machines whose object code our own does not take."""

    def __init__(self, dylib: str, tracker: object) -> None:
        self._dylib, self._trackers, self._found = dylib, [tracker], {}  # type: ignore[var-annotated]

    def address(self, name: str) -> int:
        if name not in self._found:
            with _lock:
                try:
                    tracker: Any = _jit().lookup(self._dylib, name)
                except RuntimeError as error:
                    raise DeviceError(f"loading {name!r} failed: {str(error).strip()}",
                                      try_="LLVM prints names of missing symbols on stderr") from None
                self._trackers.append(tracker)
                self._found[name] = int(tracker[name])
        return int(self._found[name])


@cache
def _jit() -> llvm.LLJIT:
    import llvmlite.binding as llvm
    return llvm.create_lljit_compiler(_machine(_describe(None, 1)))


_number = itertools.count()


def load(objects: Sequence[bytes]) -> Library:
    """Link objects with each other and with this process (libc, libm), ready to call."""
    try:
        if all(map(elf.is_ours, objects)):
            return Library(elf.Image(objects, elf.in_process))
        return _load_by_llvm(objects)
    except (RuntimeError, elf.LinkError) as error:
        raise DeviceError(f"linking {len(objects)} objects failed: {str(error).strip()}") from None


def _load_by_llvm(objects: Sequence[bytes]) -> Library:
    import llvmlite.binding as llvm
    with _lock:
        builder = llvm.JITLibraryBuilder().add_current_process()
        for image in objects:
            builder.add_object_img(image)
        name = f"tensorwright.{next(_number)}"
        return JitLibrary(name, builder.link(_jit(), name))
