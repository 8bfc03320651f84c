"""The plan file as a container: a header, a table of sections, the sections. Knows nothing of what they mean.

All numbers are little-endian. See docs/plan_format.md.

    header    64 bytes: magic, major, minor, number of sections, file size, SHA-256 of the header so far and the table
    table     96 bytes per section: name, offset, size, flags, reserved, SHA-256
    sections  each aligned to 64 bytes, big ones to 4096
"""

from __future__ import annotations

import hashlib
import hmac
import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import PlanError

MAGIC = b"\x89TWP\r\n\x1a\n"                       # a file mangled as text does not begin with it any more
MAJOR, MINOR = 1, 0
HEADER = struct.Struct("<8sHHIQ8x32s")
ENTRY = struct.Struct("<32sQQQQ32s")
MAX_SECTIONS = 64
CHUNK = 1 << 20
CHUNKED = 1                                        # flag: the digest is that of the digests of CHUNK-sized pieces


@dataclass(frozen=True)
class Section:
    """name: lower-case ASCII. chunked: verified piece by piece, as it is used; page-aligned."""

    name: str
    offset: int
    size: int
    chunked: bool
    digest: bytes

    @property
    def identity(self) -> bytes:
        """What a signature covers of it: everything but where it lies."""
        return ENTRY.pack(self.name.encode(), 0, self.size, CHUNKED if self.chunked else 0, 0, self.digest)


def chunk_digests(parts: Iterable[bytes | memoryview]) -> list[bytes]:
    """SHA-256 of every CHUNK bytes of the concatenation."""
    digests, state, room = [], hashlib.sha256(), CHUNK
    for part in parts:
        view = memoryview(part).cast("B")
        while len(view):
            state.update(view[:room])
            taken = min(room, len(view))
            room, view = room - taken, view[taken:]
            if not room:
                digests.append(state.digest())
                state, room = hashlib.sha256(), CHUNK
    if room < CHUNK:
        digests.append(state.digest())
    return digests


# writing -----------------------------------------------------------------------------------------------------------
@dataclass
class Draft:
    """A section to be written: its parts in order. chunked needs the digests of its pieces."""

    name: str
    parts: Sequence[bytes | memoryview]
    digests: Sequence[bytes] | None = None

    def section(self, offset: int = 0) -> Section:
        size = sum(memoryview(p).nbytes for p in self.parts)
        if self.digests is not None:
            return Section(self.name, offset, size, True, hashlib.sha256(b"".join(self.digests)).digest())
        state = hashlib.sha256()
        for part in self.parts:
            state.update(part)
        return Section(self.name, offset, size, False, state.digest())


def write(path: str | os.PathLike[str], drafts: Sequence[Draft]) -> None:
    """Write the file under a temporary name beside it, flush it to the disk, and move it into place."""
    path, end, sections = Path(path), HEADER.size + ENTRY.size * len(drafts), []
    for draft in drafts:
        align = 4096 if draft.digests is not None else 64
        section = draft.section(end + (-end) % align)
        sections.append(section)
        end = section.offset + section.size
    table = b"".join(ENTRY.pack(s.name.encode(), s.offset, s.size, CHUNKED if s.chunked else 0, 0, s.digest)
                     for s in sections)
    bare = HEADER.pack(MAGIC, MAJOR, MINOR, len(sections), end, bytes(32))[:-32]
    header = bare + hashlib.sha256(bare + table).digest()
    temporary = path.with_name(f".{secrets.token_hex(8)}.plan.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise PlanError(f"cannot write beside {path}: {error.strerror}", at=str(path),
                        try_="give a place in a folder that exists and can be written to") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(header + table)
            for draft, section in zip(drafts, sections, strict=True):
                file.write(bytes(section.offset - file.tell()))
                file.writelines(draft.parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise PlanError(f"writing failed: {error.strerror or error}", at=str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a power cut; where folders can be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


# reading -----------------------------------------------------------------------------------------------------------
class Container:
    """An open plan file, mapped into memory: header and table are checked, sections when they are asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(path)
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < HEADER.size:
                    raise PlanError(f"the file has {size} bytes, a plan's header has {HEADER.size}")
                self.memory = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise PlanError(f"cannot read the file: {error}", at=self.path,
                            try_="check the path; wright build MODEL.onnx -o PLAN makes a plan") from None
        except PlanError as error:
            raise error.located(self.path) from None
        self.sections: dict[str, Section] = self._table(size)

    def _table(self, size: int) -> dict[str, Section]:
        magic, major, minor, count, told, digest = HEADER.unpack_from(self.memory)
        if magic != MAGIC:
            raise PlanError("this is not a plan file", at=self.path, begins=repr(bytes(magic)))
        if major != MAJOR:
            raise PlanError(f"the file has format {major}.{minor}, this version reads {MAJOR}.x", at=self.path,
                            try_="build the plan anew, or read it with the version that wrote it")
        end = HEADER.size + ENTRY.size * count
        if told != size or count > MAX_SECTIONS or end > size:
            raise PlanError(f"the file has {size} bytes, its header says {told} in {count} sections", at=self.path,
                            try_="copy it again: it is cut off or damaged")
        head = self.memory[:HEADER.size - 32] + self.memory[HEADER.size:end]
        if not hmac.compare_digest(hashlib.sha256(head).digest(), digest):
            raise PlanError("the checksum of the header is wrong: the file is damaged", at=self.path)
        sections: dict[str, Section] = {}
        for at in range(HEADER.size, end, ENTRY.size):
            raw, offset, length, flags, reserved, digest = ENTRY.unpack_from(self.memory, at)
            name = raw.rstrip(b"\0").decode("ascii", "replace")
            if offset < end or offset % (4096 if flags & CHUNKED else 64) or offset + length > size:
                raise PlanError(f"section {name!r} lies at {offset} to {offset + length} of {size} bytes", at=self.path)
            if not name.isidentifier() or name in sections or flags & ~CHUNKED or reserved:
                raise PlanError(f"section {name!r} is there twice or has unknown properties", at=self.path)
            sections[name] = Section(name, offset, length, bool(flags & CHUNKED), digest)
            end = offset + length
        return sections

    def __getitem__(self, name: str) -> Section:
        if name not in self.sections:
            raise PlanError(f"the plan has no section {name!r}", at=self.path)
        return self.sections[name]

    def read(self, name: str) -> bytes:
        """A section's bytes, checked."""
        section = self[name]
        data = self.memory[section.offset:section.offset + section.size]
        if section.chunked:
            raise PlanError(f"section {name!r} cannot be in pieces", at=self.path)
        if hashlib.sha256(data).digest() != section.digest:
            raise PlanError(f"the checksum of section {name!r} is wrong: the file is damaged", at=self.path)
        return data

    def digests(self, name: str, of: str) -> list[bytes]:
        """The digests of the pieces of section `of`, kept in section `name`."""
        section, joined = self[of], self.read(name)
        pieces = -(-section.size // CHUNK)
        if not section.chunked or len(joined) != 32 * pieces or hashlib.sha256(joined).digest() != section.digest:
            raise PlanError(f"the checksums of section {of!r} are wrong: the file is damaged", at=self.path)
        return [joined[i:i + 32] for i in range(0, len(joined), 32)]

    def identity(self, without: str) -> bytes:
        """What a signature covers: the name, size and digest of every section but the signature itself."""
        return identity(self.sections, without)


def identity(sections: Mapping[str, Section], without: str) -> bytes:
    return b"".join(s.identity for n, s in sorted(sections.items()) if n != without)
