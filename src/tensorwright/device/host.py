"""What LLVM calls this machine: its target triple, the processor's name, its features. Remembered in the cache folder.

LLVM is only asked when the processor, as the kernel describes it, or the installed llvmlite are not those remembered:
importing it costs a tenth of a second and 43 MB.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
from functools import cache
from pathlib import Path

from .. import settings
from ..files import whole_file

Host = tuple[str, str, dict[str, bool]]              # triple, name, feature → whether it is there

#: Lines of /proc/cpuinfo that differ from one moment, or from one core, to the next.
PASSING = ("processor", "cpu MHz", "bogomips", "core id", "apicid", "initial apicid", "physical id")


@cache
def known() -> Host:
    identity, file = _identity(), settings.cache_home() / "host.json"
    found = _read(file, identity) if identity else None
    if found is None:
        found = _ask_llvm()
        if identity:
            _write(file, identity, found)
    return found


def _ask_llvm() -> Host:
    import llvmlite.binding as llvm

    from . import codegen
    codegen.initialize(native=True)
    return llvm.get_default_triple(), llvm.get_host_cpu_name(), dict(llvm.get_host_cpu_features())


def _identity() -> str:
    """Changes when LLVM's answer might; "" where the kernel does not describe the processor."""
    llvm = importlib.util.find_spec("llvmlite")
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
        changed = os.stat(llvm.origin).st_mtime_ns if llvm is not None and llvm.origin else 0
    except OSError:
        return ""
    lines = [line for line in first.splitlines() if line.split("\t")[0].strip() not in PASSING]
    facts = [platform.machine(), platform.system(), str(llvm and llvm.origin), str(changed), *lines]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _read(file: Path, identity: str) -> Host | None:
    try:
        match json.loads(file.read_text()):
            case {"identity": str(of), "triple": str(triple), "name": str(name), "features": dict(features)}:
                if of == identity and all(type(on) is bool for on in features.values()):
                    return triple, name, features
    except (OSError, ValueError):
        pass                                         # never written, or not by us: LLVM knows it
    return None


def _write(file: Path, identity: str, host: Host) -> None:
    """Where nothing can be kept, LLVM is asked again next time."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as out:
            out.write(json.dumps({"identity": identity, "triple": host[0], "name": host[1],
                                  "features": host[2]}).encode())
