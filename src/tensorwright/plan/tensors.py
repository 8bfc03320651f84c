"""Arrays in a plan file: an index as JSON, the bytes page-aligned, mapped into memory and verified piece by piece.

No array is handed out before the checksums of all pieces it lies in were found right. So opening a plan costs nothing
for weights that are not used, and nothing that is used was not verified.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..dtypes import DType
from ..errors import PlanError
from .container import CHUNK, Container, Draft, chunk_digests
from .fields import Fields

ALIGN = 64
_MAX_RANK = 32


def encode(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], Draft, Draft]:
    """(index, section "weights", section "digests"). Equal arrays are stored once."""
    index: dict[str, Any] = {}
    parts: list[bytes | memoryview] = []
    stored: dict[tuple[bytes, int], int] = {}
    by_id: dict[int, bytes] = {}
    end = 0
    for name, array in arrays.items():
        dtype = DType.of(array)
        if dtype is DType.string:
            data: bytes | memoryview = json.dumps([str(x) for x in array.ravel()]).encode()
        else:
            dense = np.ascontiguousarray(array)
            data = dense.reshape(-1).view(np.uint8).data if dense.size else b""
        size = memoryview(data).nbytes
        digest = by_id.get(id(array)) or hashlib.sha256(data).digest()
        by_id[id(array)] = digest
        at = stored.get((digest, size))
        if at is None:
            gap = (-end) % ALIGN
            parts += [bytes(gap), data]
            at = stored[digest, size] = end + gap
            end = at + size
        index[name] = {"dtype": dtype.value, "shape": list(array.shape), "offset": at, "bytes": size}
    digests = chunk_digests(parts)
    return index, Draft("weights", parts, digests), Draft("digests", [b"".join(digests)])


class StoredTensors(Mapping[str, np.ndarray]):
    """The arrays of a plan file, read-only and without a copy.

    Raises PlanError at an array's first use when its bytes are damaged. Thread-safe.
    """

    def __init__(self, container: Container, index: Mapping[str, Any]) -> None:
        self._container = container
        self._section = container["weights"]
        self._digests = container.digests("digests", "weights")
        self._good = bytearray(len(self._digests))
        self._lock = threading.Lock()
        self._index = {name: _entry(Fields(entry, f"tensor {name!r}"), self._section.size)
                       for name, entry in index.items()}
        self._arrays: dict[str, np.ndarray] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def nbytes(self, name: str) -> int:
        """Size of an array in memory, without reading it."""
        dtype, shape, _, _ = self._index[name]
        return math.prod(shape) * dtype.itemsize

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array, without reading it."""
        return self._index[name][1]

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._arrays.get(name)
        if array is None:
            self.verify([name])
            array = self._arrays[name] = self._open(name)
        return array

    def _open(self, name: str) -> np.ndarray:
        dtype, shape, offset, size = self._index[name]
        at = self._section.offset + offset
        if dtype is DType.string:
            return self._strings(name, shape, self._container.memory[at:at + size])
        if not size:
            return np.empty(shape, dtype.numpy)
        return np.ndarray(shape, dtype.numpy, self._container.memory, at)

    def _strings(self, name: str, shape: tuple[int, ...], data: bytes) -> np.ndarray:
        try:
            items = json.loads(data)
        except (ValueError, RecursionError):
            items = None
        if not isinstance(items, list) or len(items) != math.prod(shape) or not all(isinstance(x, str) for x in items):
            raise PlanError(f"tensor {name!r} does not hold {math.prod(shape)} strings", at=self._container.path)
        array = np.empty(len(items), object)
        array[:] = items
        return array.reshape(shape)

    def forget(self, name: str) -> None:
        """Give back the memory of the pages an array lies in; they are read again when they are touched."""
        _, _, offset, size = self._index[name]
        if size and hasattr(mmap, "MADV_DONTNEED"):
            begin = self._section.offset + offset
            first = begin - begin % mmap.PAGESIZE
            self._container.memory.madvise(mmap.MADV_DONTNEED, first, begin + size - first)

    def verify(self, names: Iterable[str] | None = None) -> None:
        """Check the pieces these arrays lie in (default: all pieces), those not checked yet; on several cores."""
        wanted: set[int] = set()
        if names is None:
            wanted.update(range(len(self._digests)))
        else:
            for name in names:
                _, _, offset, size = self._index[name]
                if size:
                    wanted.update(range(offset // CHUNK, (offset + size - 1) // CHUNK + 1))
        pieces = sorted(p for p in wanted if not self._good[p])
        if len(pieces) < 8:
            results: Iterable[bool] = map(self._check, pieces)
        else:
            with ThreadPoolExecutor(4, thread_name_prefix="tensorwright-verify") as pool:
                results = list(pool.map(self._check, pieces))
        for piece, good in zip(pieces, results, strict=True):
            if not good:
                raise PlanError(f"the checksum of bytes {piece * CHUNK} to {(piece + 1) * CHUNK} of the weights is "
                                "wrong: the file is damaged", at=self._container.path, try_="copy or build it again")
            self._good[piece] = 1

    def _check(self, piece: int) -> bool:
        begin = self._section.offset + piece * CHUNK
        end = min(begin + CHUNK, self._section.offset + self._section.size)
        return hashlib.sha256(memoryview(self._container.memory)[begin:end]).digest() == self._digests[piece]


def _entry(fields: Fields, section: int) -> tuple[DType, tuple[int, ...], int, int]:
    dtype = fields.dtype("dtype")
    shape = tuple(fields.wholes("shape", low=0, high=1 << 47))
    offset, size = fields.whole("offset", 0, section), fields.whole("bytes", 0, section)
    if len(shape) > _MAX_RANK or offset % ALIGN or offset + size > section:
        raise PlanError(f"{size} bytes at {offset} in a section of {section}, shape {shape}", at=fields.where)
    if dtype is not DType.string and math.prod(shape) * dtype.itemsize != size:
        raise PlanError(f"{dtype} {shape} has {math.prod(shape) * dtype.itemsize} bytes, not {size}", at=fields.where)
    return dtype, shape, offset, size
