"""Object code (relocatable ELF for x86-64) → a shared library, without a linker on the machine.

What `ld -shared` does, for one object whose code reaches everything relative to itself: sections are laid out, its own
references are resolved, and what only the loader can know is left to it.

    R    ELF header, program headers, .hash, .dynsym, .dynstr, .rela, and the object's read-only sections
    R X  its code
    RW   its other sections, the table of addresses of other libraries' symbols (GOT), .dynamic

File offsets are addresses. Undefined symbols must be weak: the loader gives 0 where nobody defines them.

Sources: System V ABI, chapter 5 (program loading, dynamic linking); its AMD64 supplement, 4.4 and 5.2.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence

from .elf import (
    ABSOLUTE,
    ALLOC,
    AMD64,
    EXECUTE,
    GLOBAL,
    HEADER,
    IDENT,
    LOCAL,
    NOBITS,
    R_64,
    R_PC32,
    R_PLT32,
    RELA,
    RELOCATION,
    SYMBOL,
    UNDEFINED,
    WEAK,
    WRITE,
    LinkError,
    Object,
    Section,
    lay_out,
    parse,
)

#: Changes when the same object code gives another file.
FORMAT = 1
SEGMENT = struct.Struct("<IIQQQQQQ")
ENTRY = struct.Struct("<qQ")                          # of .dynamic
SHARED = 3                                            # ELF header: a file of type ET_DYN
LOAD, DYNAMIC, STACK = 1, 2, 0x6474E551               # segments; the last says that the stack is not executed
NULL, HASH, STRTAB, SYMTAB_, RELATAB, RELASZ, RELAENT, STRSZ, SYMENT, SONAME = 0, 4, 5, 6, 7, 8, 9, 10, 11, 14
R_GLOB_DAT, R_RELATIVE = 6, 8                         # what the loader is asked to do
R_GOT = (9, 41, 42)                                   # GOTPCREL, GOTPCRELX, REX_GOTPCRELX
FUNCTION = 2
SEGMENTS = 5


def shared_object(image: bytes, soname: str) -> bytes:
    """The library's file. It exports the object's global symbols.

    Raises LinkError for damaged objects, for undefined symbols that are not weak, for relocations that need a linker.
    """
    try:
        one = parse(image)
        relative = _relative(one)
    except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
        raise LinkError(f"the object code is damaged: {error}") from None
    outside = list(dict.fromkeys(n for n, binding, at, _ in one.symbols if at == UNDEFINED and binding == WEAK))
    if missing := [n for n, binding, at, _ in one.symbols if at == UNDEFINED and binding == GLOBAL]:
        raise LinkError(f"{', '.join(missing)}: nothing defines them")
    exported = [(n, at, value) for n, binding, at, value in one.symbols
                if binding != LOCAL and 0 < at < len(one.sections)]
    names = [*outside, *(n for n, _, _ in exported)]
    text, places = _strings([*names, soname])
    loaded = [s for s in one.sections if s.flags & ALLOC]
    hashes = _hash_table(names)

    at_hash = HEADER.size + SEGMENTS * SEGMENT.size
    at_symbols = at_hash + len(hashes) + -len(hashes) % 8
    at_text = at_symbols + SYMBOL.size * (1 + len(names))
    at_relocations = at_text + len(text) + -len(text) % 8
    read = lay_out([s for s in loaded if not s.flags & (WRITE | EXECUTE)],
                  at_relocations + RELOCATION.size * (len(outside) + relative))
    code = _page(read)
    code_end = lay_out([s for s in loaded if s.flags & EXECUTE], code)
    data = _page(code_end)
    got = lay_out([s for s in loaded if s.flags & WRITE], data)
    dynamic = got + 8 * len(outside)
    slots = {name: got + 8 * i for i, name in enumerate(outside)}

    symbols = b"".join([bytes(SYMBOL.size), *(SYMBOL.pack(places[n], WEAK << 4, 0, UNDEFINED, 0, 0) for n in outside),
                        *(SYMBOL.pack(places[n], GLOBAL << 4 | FUNCTION, 0, at, one.sections[at].address + value, 0)
                          for n, at, value in exported)])
    entries = b"".join(ENTRY.pack(*e) for e in (
        (SONAME, places[soname]), (HASH, at_hash), (STRTAB, at_text), (STRSZ, len(text)), (SYMTAB_, at_symbols),
        (SYMENT, SYMBOL.size), (RELATAB, at_relocations), (RELASZ, RELOCATION.size * (len(outside) + relative)),
        (RELAENT, RELOCATION.size), (NULL, 0)))
    end = dynamic + len(entries)
    file = bytearray(end)
    for section in loaded:
        if section.kind != NOBITS:
            file[section.address:section.address + section.size] = section.data
    kept = [RELOCATION.pack(slots[name], i + 1 << 32 | R_GLOB_DAT, 0) for i, name in enumerate(outside)]
    try:
        kept += _relocate(one, file, slots)
    except (struct.error, IndexError) as error:
        raise LinkError(f"a relocation is damaged: {error}") from None
    header = HEADER.pack(IDENT.ljust(16, b"\0"), SHARED, AMD64, 1, 0, HEADER.size, 0, 0, HEADER.size, SEGMENT.size,
                         SEGMENTS, 0, 0, 0)
    for place, part in ((0, header + _segments(read, (code, code_end), (data, end), dynamic)), (at_hash, hashes),
                        (at_symbols, symbols), (at_text, text), (at_relocations, b"".join(kept)), (dynamic, entries)):
        file[place:place + len(part)] = part
    return bytes(file)


def _relocate(one: Object, file: bytearray, slots: dict[str, int]) -> list[bytes]:
    """Resolve what is inside the library; the relocations that the loader must apply to the rest."""
    kept: list[bytes] = []
    for section in one.sections:
        target: Section | None = one.sections[section.info] if section.kind == RELA else None
        if target is None or not target.flags & ALLOC:
            continue
        for offset, info, addend in RELOCATION.iter_unpack(section.data):
            name, _, at, value = one.symbols[info >> 32]
            kind, place = info & 0xFFFFFFFF, target.address + offset
            if kind in R_GOT and name in slots:
                struct.pack_into("<i", file, place, slots[name] + addend - place)
            elif at in (UNDEFINED, ABSOLUTE) or kind not in (R_64, R_PC32, R_PLT32):
                raise LinkError(f"relocation {kind} against {name!r} is of a kind that is not known here")
            elif kind == R_64:
                kept.append(RELOCATION.pack(place, R_RELATIVE, one.sections[at].address + value + addend))
            else:
                struct.pack_into("<i", file, place, one.sections[at].address + value + addend - place)
    return kept


def _relative(one: Object) -> int:
    """How many addresses the loader must adjust."""
    kinds = [info & 0xFFFFFFFF for s in one.sections if s.kind == RELA and one.sections[s.info].flags & ALLOC
             for _, info, _ in RELOCATION.iter_unpack(s.data)]
    return kinds.count(R_64)


def _segments(read: int, code: tuple[int, int], data: tuple[int, int], dynamic: int) -> bytes:
    """The program headers: [0, read) R, code R X, data RW, .dynamic at the end of data."""
    rows = [(LOAD, 4, 0, read), (LOAD, 5, code[0], code[1] - code[0]), (LOAD, 6, data[0], data[1] - data[0]),
            (DYNAMIC, 6, dynamic, data[1] - dynamic), (STACK, 6, 0, 0)]
    return b"".join(SEGMENT.pack(kind, flags, at, at, at, size, size, mmap.PAGESIZE if kind == LOAD else 8)
                    for kind, flags, at, size in rows)


def _page(offset: int) -> int:
    return offset + -offset % mmap.PAGESIZE


def _strings(names: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    """A string table, and where each name is in it."""
    text, places = b"\0", {}
    for name in names:
        places[name] = len(text)
        text += name.encode() + b"\0"
    return text, places


def _hash_table(names: Sequence[str]) -> bytes:
    """.hash of symbols 1, 2, ...: how many buckets and symbols, each bucket's first symbol, each symbol's next."""
    buckets, chains = [0] * max(1, len(names)), [0] * (1 + len(names))
    for number, name in enumerate(names, 1):
        at = _hash(name) % len(buckets)
        chains[number], buckets[at] = buckets[at], number
    return struct.pack(f"<{2 + len(buckets) + len(chains)}I", len(buckets), len(chains), *buckets, *chains)


def _hash(name: str) -> int:
    """The ABI's hash function."""
    h = 0
    for byte in name.encode():
        h = (h << 4) + byte
        high = h & 0xF0000000
        h = (h ^ high >> 24) & ~high
    return h & 0xFFFFFFFF
