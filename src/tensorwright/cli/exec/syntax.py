"""How trtexec's flags spell their values: shapes by name, files by name, sizes of memory, formats, percentiles."""

from __future__ import annotations

from collections.abc import Callable

from ..console import UsageError

Shapes = dict[str, tuple[int, ...]]

#: Names of element types in flags → names of DataType.
TYPES = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16", "fp8": "FP8", "int4": "INT4", "int8": "INT8",
         "int32": "INT32", "int64": "INT64", "uint8": "UINT8", "bool": "BOOL"}
#: Names of layouts in flags → names of TensorFormat.
LAYOUTS = {"chw": "LINEAR", "chw2": "CHW2", "chw4": "CHW4", "hwc8": "HWC8", "chw16": "CHW16", "chw32": "CHW32",
           "dhwc8": "DHWC8", "cdhw32": "CDHW32", "hwc": "HWC", "dhwc": "DHWC", "dla_linear": "DLA_LINEAR",
           "dla_hwc4": "DLA_HWC4", "hwc16": "HWC16"}
UNITS = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
#: --weightStreamingBudget: all weights stay in memory; the engine chooses.
DISABLED, AUTOMATIC = -2, -1


def named(text: str) -> list[tuple[str, str]]:
    """[(name, value), ...] of "name:value,name:value". The last colon separates; a name may be in single quotes."""
    pairs: list[tuple[str, str]] = []
    for part in text.split(","):
        name, colon, value = part.rpartition(":")
        name = name[1:-1] if len(name) > 1 and name[0] == name[-1] == "'" else name
        if not colon or not name:
            raise UsageError(f"{part!r} is not NAME:VALUE")
        if any(name == other for other, _ in pairs):
            raise UsageError(f"{name!r} is named twice")
        pairs.append((name, value))
    return pairs


def shapes(text: str) -> Shapes:
    """name:1x3x224x224,other:8; name:scalar, or nothing behind the colon, for a tensor without axes."""
    return {name: shape(value) for name, value in named(text)}


def shape(text: str) -> tuple[int, ...]:
    if text in ("", "scalar"):
        return ()
    if not all(d.isdecimal() for d in text.split("x")):
        raise UsageError(f"{text!r} is not a shape like 1x3x224x224")
    return tuple(int(d) for d in text.split("x"))


def shown(dims: tuple[int, ...]) -> str:
    """A shape as trtexec writes it: 1x3x224x224."""
    return "x".join(map(str, dims)) if dims else "scalar"


def files(text: str) -> dict[str, str]:
    """{name: file} of "name:file,other:file". The first colon separates, as paths have more; a name that has one is put
    into single quotes."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, colon, file = part.partition(":")
        if part.startswith("'") and "':" in part:
            name, colon, file = part[1:].partition("':")
        if not colon or not name or not file:
            raise UsageError(f"{part!r} is not NAME:FILE")
        found[name] = file
    return found


def pools(text: str) -> dict[str, int]:
    """{pool: bytes} of "workspace:512,dlaSRAM:1G"; without a unit a size is in MiB."""
    return {name: size(value) for name, value in named(text)}


def size(text: str) -> int:
    """Bytes of a size in MiB, or with B, K, M or G behind it (powers of 1024)."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in UNITS else (text, "M")
    try:
        value = float(number)
    except ValueError:
        raise UsageError(f"{text!r} is not a size like 512, 64K or 1.5G") from None
    if not 0 <= value < 1 << 50:
        raise UsageError(f"{text!r} is not an amount of memory")
    return int(value * UNITS[unit])


def budget(text: str) -> Callable[[int], int] | int:
    """DISABLED, AUTOMATIC, bytes, or (for "40%") what gives bytes of the weights' size."""
    if text in ("-2", "-1"):
        return int(text)
    if text.endswith("%"):
        try:
            share = float(text[:-1])
        except ValueError:
            share = -1
        if not 0 <= share <= 100:
            raise UsageError(f"{text!r} is not a share of the weights from 0% to 100%")
        return lambda whole: int(whole * share / 100)
    return size(text if text[-1:].isalpha() else f"{text}B")


def formats(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """[(DataType's name, (TensorFormat's name, ...)), ...] of "fp32:chw,fp16:chw+hwc8"."""
    found = []
    for part in text.split(","):
        dtype, _, layouts = part.partition(":")
        unknown = [w for w, known in ((dtype, TYPES), *((x, LAYOUTS) for x in layouts.split("+"))) if w not in known]
        if unknown:
            raise UsageError(f"{part!r}: {unknown[0]!r} is neither a type ({', '.join(TYPES)}) nor a layout "
                             f"({', '.join(LAYOUTS)})")
        found.append((TYPES[dtype], tuple(LAYOUTS[x] for x in layouts.split("+"))))
    return found


def layer_types(text: str) -> dict[str, tuple[str, ...]]:
    """{layer's name, with * at its end for any ending: (DataType's name, ...)} of "conv_1:fp32,block*:fp16+fp32"."""
    found = {}
    for name, value in named(text):
        if unknown := [t for t in value.split("+") if t not in TYPES]:
            raise UsageError(f"{unknown[0]!r} is not a type: {', '.join(TYPES)}")
        found[name] = tuple(TYPES[t] for t in value.split("+"))
    return found


def percentiles(text: str) -> tuple[float, ...]:
    values = tuple(float(p) for p in text.split(","))
    if not all(0 <= p <= 100 for p in values):
        raise UsageError(f"{text!r}: percentiles are between 0 and 100")
    return values


def whole(low: int, high: int = 1 << 40) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise UsageError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise UsageError(f"{value} is {f'less than {low}' if value < low else f'greater than {high}'}")
        return value
    return read


def number(low: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value < float("inf"):
            raise UsageError(f"{text} is not a number of at least {low:g}")
        return value
    return read


def one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise UsageError(f"expected {', '.join(allowed[:-1])} or {allowed[-1]}")
        return text
    return read


def names(text: str) -> tuple[str, ...]:
    """NAME,NAME,..."""
    found = tuple(part for part in text.split(",") if part)
    if not found:
        raise UsageError("no name is given")
    return found


def signed(enumeration: str) -> Callable[[str], dict[str, bool]]:
    """{member's name: whether it is wanted} of "+NAME,-NAME", members of an enumeration of tensorwright.trt; + may be
    left out. Case and underscores do not count, so that trtexec's profileSharing0806 is PROFILE_SHARING_0806; a
    version at the end may be left out."""
    def plain(name: str) -> str:
        return name.replace("_", "").lower()

    def read(text: str) -> dict[str, bool]:
        from ... import trt  # not for help, which needs no enumerations
        known = list(getattr(trt, enumeration).__members__)
        found: dict[str, bool] = {}
        for part in filter(None, text.split(",")):
            wanted = plain(part[1:] if part[0] in "+-" else part)
            member = next((k for k in known if wanted in (plain(k), plain(k).rstrip("0123456789"))), None)
            if member is None:
                raise UsageError(f"{part!r} is none of {', '.join(known)}, with + or - before it")
            found[member] = not part.startswith("-")
        if not found:
            raise UsageError("no name is given")
        return found
    return read


def debug_forms(text: str) -> tuple[str, ...]:
    """Forms of debug tensors, separated by commas."""
    return tuple(map(one_of("summary", "numpy", "string", "raw"), text.split(",")))
