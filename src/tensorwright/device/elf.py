"""Object code (relocatable ELF for x86-64) → executable memory, without LLVM.

What a static linker does, for the little that our code generator emits: lay out the sections, resolve symbols among the
objects and in this process, apply the relocations, protect the pages. A process that only runs plans so needs no LLVM,
whose library alone occupies 43 MB.

    code      sections that are executed, then stubs: jumps to functions of the process, which may lie anywhere
    data      all other sections, on pages of their own; read-only unless a section says otherwise

Sources: System V ABI, chapter 4 (object files); its AMD64 supplement, 4.4 (relocation types).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQq")
STUB = struct.Struct("<6sQ2x")                       # jmp *[rip + 0]; address
JUMP = b"\xff\x25\0\0\0\0"
IDENT = b"\x7fELF\2\1\1"                             # 64 bits, little-endian, version 1
RELOCATABLE, AMD64 = 1, 62
SYMTAB, RELA, NOBITS = 2, 4, 8
WRITE, ALLOC, EXECUTE = 1, 2, 4
UNDEFINED, ABSOLUTE = 0, 0xFFF1
LOCAL, GLOBAL, WEAK = 0, 1, 2
R_64, R_PC32, R_PLT32, R_PC64 = 1, 2, 4, 24
READ_EXECUTE, READ = 5, 1                            # mprotect's


class LinkError(Exception):
    """What is wrong with the objects, in words."""


@dataclass
class Section:
    """One section of one object. address: where it is in memory, once it is laid out."""

    kind: int
    flags: int
    data: memoryview
    size: int
    link: int
    info: int
    align: int
    address: int = 0


@dataclass
class Object:
    sections: list[Section]
    symbols: list[tuple[str, int, int, int]] = field(default_factory=list)      # name, binding, section, value


def is_ours(image: bytes) -> bool:
    """Whether this loader takes such object code."""
    return image[:7] == IDENT and len(image) >= HEADER.size and HEADER.unpack_from(image)[1:3] == (RELOCATABLE, AMD64)


class Image:
    """Objects linked with each other and with this process. Its memory is freed with it.

    process   name → address of a function that no object defines, None when there is none
    Raises LinkError for damaged objects, for what is defined twice or nowhere, for relocations of other kinds.
    """

    def __init__(self, objects: Sequence[bytes], process: Callable[[str], int | None]) -> None:
        try:
            parsed = [parse(image) for image in objects]
        except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
            raise LinkError(f"the object code is damaged: {error}") from None
        self.symbols: dict[str, int] = {}
        missing = sorted({name for o in parsed for name, binding, at, _ in o.symbols
                          if at == UNDEFINED and binding != LOCAL} - _defined(parsed))
        loaded = [s for o in parsed for s in o.sections if s.flags & ALLOC]
        code = [s for s in loaded if s.flags & EXECUTE]
        data = [s for s in loaded if not s.flags & EXECUTE]
        stubs = lay_out(code, 0)
        end = stubs + len(missing) * STUB.size
        end += -end % mmap.PAGESIZE
        size = lay_out(data, end)
        try:
            self._memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError, ValueError) as error:
            raise LinkError(f"no memory for {size} bytes of code and constants: {error}") from None
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        outside: dict[str, int] = {}
        for number, name in enumerate(missing):
            found = process(name)
            if found is None:
                raise LinkError(f"{name!r} is defined neither in the objects nor in this process")
            at = stubs + number * STUB.size
            STUB.pack_into(self._memory, at, JUMP, found)
            outside[name] = self.address + at
        for section in loaded:
            if section.kind != NOBITS:
                self._memory[section.address:section.address + section.size] = section.data
            section.address += self.address
        for one in parsed:
            self.symbols.update((name, one.sections[at].address + value) for name, binding, at, value in one.symbols
                                if binding != LOCAL and 0 < at < len(one.sections))
        try:
            for one in parsed:
                self._relocate(one, outside)
        except (struct.error, IndexError) as error:
            raise LinkError(f"a relocation is damaged: {error}") from None
        _protect(self.address, end, READ_EXECUTE)
        if size > end and not any(s.flags & WRITE for s in data):
            _protect(self.address + end, size - end, READ)

    def _relocate(self, one: Object, outside: dict[str, int]) -> None:
        for section in one.sections:
            target = one.sections[section.info] if section.kind == RELA else None
            if target is None or not target.flags & ALLOC:
                continue
            for offset, info, addend in RELOCATION.iter_unpack(section.data):
                name, _, at, value = one.symbols[info >> 32]
                kind, place = info & 0xFFFFFFFF, target.address + offset
                if at == UNDEFINED:
                    symbol = self.symbols[name] if name in self.symbols else outside.get(name, 0)
                else:
                    symbol = value if at == ABSOLUTE else one.sections[at].address + value
                width = "<q" if kind in (R_64, R_PC64) else "<i"
                if kind not in (R_64, R_PC32, R_PLT32, R_PC64) or (kind != R_PLT32 and name in outside):
                    raise LinkError(f"relocation {kind} against {name!r} is of a kind that is not known here")
                if offset + struct.calcsize(width) > target.size:
                    raise LinkError(f"a relocation at {offset} of a section of {target.size} bytes")
                struct.pack_into(width, self._memory, place - self.address,
                                 symbol + addend - (0 if kind == R_64 else place))


def parse(image: bytes) -> Object:
    """Sections and symbols of one object. struct.error, IndexError, ValueError when it is damaged."""
    if not is_ours(image):
        raise ValueError("this is no relocatable ELF file for x86-64")
    view = memoryview(image)
    header = HEADER.unpack_from(image)
    table, count = header[6], header[12]
    one = Object([])
    for number in range(count):
        _, kind, flags, _, offset, size, link, info, align, _ = SECTION.unpack_from(
            image, table + number * SECTION.size)
        if kind != NOBITS and offset + size > len(image):
            raise ValueError(f"section {number} ends at {offset + size} of {len(image)} bytes")
        if size > 1 << 32 or align > mmap.PAGESIZE or align & (align - 1):
            raise ValueError(f"section {number} has {size} bytes, aligned to {align}")
        data = view[:0] if kind == NOBITS else view[offset:offset + size]
        one.sections.append(Section(kind, flags, data, size, link, info, max(align, 1)))
    for section in one.sections:
        if section.kind == SYMTAB:
            names = bytes(one.sections[section.link].data)
            one.symbols = list(_symbols(section.data, names, count))
    return one


def _symbols(data: memoryview, names: bytes, sections: int) -> Iterator[tuple[str, int, int, int]]:
    for name, info, _, at, value, _ in SYMBOL.iter_unpack(data):
        if sections <= at != ABSOLUTE:
            raise ValueError(f"a symbol lies in section {at} of {sections}")
        yield names[name:names.index(b"\0", name)].decode(), info >> 4, at, value


def _defined(objects: Sequence[Object]) -> set[str]:
    """Names that other objects may use. LinkError when two define the same."""
    found: set[str] = set()
    for one in objects:
        for name, binding, at, _ in one.symbols:
            if binding != LOCAL and at != UNDEFINED:
                if name in found:
                    raise LinkError(f"{name!r} is defined twice")
                found.add(name)
    return found


def lay_out(sections: Sequence[Section], end: int) -> int:
    """Give sections their places, as offsets, from `end` on; where the last one ends."""
    for section in sections:
        section.address = end + -end % section.align
        end = section.address + section.size
    return end + -end % 16


def _protect(address: int, size: int, protection: int) -> None:
    change = ctypes.CDLL(None, use_errno=True).mprotect
    if change(ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_int(protection)):
        raise LinkError(f"memory cannot be made executable: {os.strerror(ctypes.get_errno())}")


def in_process(name: str) -> int | None:
    """Address of a function of this process: libc, libm, whatever its executable brings along."""
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
    except AttributeError:
        return None
