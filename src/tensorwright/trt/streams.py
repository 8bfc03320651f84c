"""Plans from and to streams that users implement: read a piece at a time, written a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import PlanError
from ..plan.container import HEADER, MAGIC, MAJOR
from .callbacks import guarded
from .enums import SeekPosition

#: Bytes asked for, and written, at a time.
PIECE = 16 << 20


class IStreamReader:
    """Subclass it and define read(size): at most `size` bytes, fewer where the stream has no more at the moment; none
    at its end."""

    def __init__(self) -> None:
        pass

    def read(self, size: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define read(size)")


class IStreamReaderV2:
    """Subclass it and define read(num_bytes, stream), as in IStreamReader, and seek.

    stream   a handle of the stream on which the bytes are wanted: always 0
    """

    def __init__(self) -> None:
        pass

    def read(self, num_bytes: int, stream: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define read(num_bytes, stream)")

    def seek(self, offset: int, where: SeekPosition) -> bool:
        """Plans are read from the first byte to the last: this is not called."""
        raise NotImplementedError


class IStreamWriter:
    """Subclass it and define write(data), which takes bytes and returns how many of them it wrote."""

    def __init__(self) -> None:
        pass

    def write(self, data: bytes) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define write(data)")


def received(reader: IStreamReader | IStreamReaderV2) -> Iterator[bytes]:
    """A plan's bytes in pieces. PlanError when the stream ends before the plan does, or does not begin with one."""
    head = b"".join(_exactly(reader, HEADER.size, HEADER.size))
    magic, major, _, _, size, _ = HEADER.unpack(head)
    if magic != MAGIC or major != MAJOR or size < HEADER.size:
        raise PlanError("the stream does not begin with a plan of this version", begins=repr(bytes(magic)))
    yield head
    yield from _exactly(reader, size - HEADER.size, size)


def _exactly(reader: IStreamReader | IStreamReaderV2, count: int, whole: int) -> Iterator[bytes]:
    while count:
        wanted = min(count, PIECE)
        args = (wanted, 0) if isinstance(reader, IStreamReaderV2) else (wanted,)
        data = guarded(reader.read, *args)
        try:
            piece = b"" if data is None else bytes(memoryview(data).cast("B"))
        except TypeError:
            raise PlanError(f"{type(reader).__name__}.read returned {type(data).__name__}, not bytes") from None
        if not piece:
            raise PlanError(f"the stream ended {count} bytes before the plan of at least {whole} bytes does",
                            reader=type(reader).__name__)
        if len(piece) > wanted:
            raise PlanError(f"{type(reader).__name__}.read returned {len(piece)} bytes, {wanted} were asked for")
        count -= len(piece)
        yield piece


def sent(data: bytes, writer: IStreamWriter) -> bool:
    """Write all of data. False when the writer fails, takes nothing, or answers with anything but a number of bytes."""
    at = 0
    while at < len(data):
        piece = data[at:at + PIECE]
        written = guarded(writer.write, piece)
        if not isinstance(written, int) or isinstance(written, bool) or not 0 < written <= len(piece):
            return False
        at += written
    return True
