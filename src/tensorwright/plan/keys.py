"""Whether a plan's machine code fits a machine."""

from __future__ import annotations

from ..targets import CpuSpec
from .records import Plan


def same_code(target: str, key: str) -> bool:
    """Machine code for `target` runs on the machine `key`: all but the number of cores is equal."""
    return target.rpartition("|")[0] == key.rpartition("|")[0]


def why_rebuild(plan: Plan, cpu: CpuSpec, strict: bool = False) -> str | None:
    """Why the plan needs its code made anew to run on cpu; None when it runs as it is.

    strict   also when it was tuned for another number of cores
    """
    if plan.no_code:
        return plan.no_code
    targets = list(dict.fromkeys(p.target for p in plan.programs))
    if not targets:
        return "it has no program"
    fitting = [p for p in plan.programs if same_code(p.target, cpu.key)]
    if not fitting:
        return f"it is compiled for {difference(targets[0], cpu.key)}"
    missing = [k.id for p in fitting for k in p.kernels if not k.code]
    if missing:
        return f"kernel {missing[0]} has no machine code"
    if strict and not any(p.target == cpu.key for p in fitting):
        return f"it is tuned for {difference(fitting[0].target, cpu.key)}"
    return None


def difference(target: str, key: str) -> str:
    """What differs between two targets, in words: "vector_bits 256 (here 512)"."""
    names = ("triple", "CPU", "vector bits", "features", "cores")
    ours, theirs = key.split("|"), target.split("|")
    if len(theirs) != len(names) or len(ours) != len(names):
        return f"{target[:60]} (here {key[:60]})"
    told = []
    for name, a, b in zip(names, theirs, ours, strict=True):
        if a == b:
            continue
        if name == "features":
            has, lacks = set(a.split(",")) - set(b.split(",")), set(b.split(",")) - set(a.split(","))
            told.append(f"features {' '.join(sorted(has)[:6])} (here {' '.join(sorted(lacks)[:6])})")
        else:
            told.append(f"{name} {a or 'unknown'} (here {b})")
    return ", ".join(told) or target[:60]
