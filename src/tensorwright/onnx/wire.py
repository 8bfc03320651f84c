"""ONNX files without their weights: tensors' bytes stay in the file, the rest is a small message.

A model file is one protocol buffer. Most of it is the `raw_data` of tensors, which nothing needs to parse or copy.
`strip` walks the encoded message, leaves those bytes out and notes where in the file they lie; `expand` does the
reverse when a model is written. Both know only the way to the tensors: model → graph → initializer, and model → graph
or function → node → attribute → tensor or graph. All other fields are passed on as they are.

Source: the encoding of protocol buffers (protobuf.dev/programming-guides/encoding), and onnx.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Union

from ..errors import ModelError

Buffer = Union[bytes, memoryview]
#: Pieces of a file in order: encoded messages, and the bytes of tensors where they lie.
Pieces = list[Buffer]

#: message → field number → message that lies in it, on the way to tensors
PATHS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
}
RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 9, 13, 14
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
#: Graphs in attributes of nodes in graphs: as deep as the protocol buffer library goes.
DEEPEST = 100


@dataclass(frozen=True)
class Field:
    """One field of an encoded message: all of it is buffer[start:end], its content buffer[content:end]."""

    number: int
    kind: int
    start: int
    content: int
    end: int


def strip(file: memoryview, smallest: int, token: str) -> tuple[bytes, dict[str, memoryview]]:
    """The model without the raw data of tensors of `smallest` bytes and more, and those bytes by location.

    A stripped tensor says that its data is external, at the location `token` followed by a number: the caller makes a
    token that no file can know. ModelError when the encoding is damaged.
    """
    stripped: dict[str, memoryview] = {}

    def tensor(start: int, end: int) -> Pieces | None:
        for field in fields(file, start, end):
            if field.number == RAW_DATA and field.kind == BYTES and field.end - field.content >= smallest:
                location = f"{token}{len(stripped)}"
                stripped[location] = file[field.content : field.end]
                return [file[start : field.start], file[field.end : end], external(location)]
        return None

    return b"".join(rewritten(file, tensor)), stripped


def expand(model: bytes, data: Mapping[str, Buffer]) -> Pieces:
    """The reverse of `strip`: the pieces of a file in which tensors at those locations hold their bytes."""
    view = memoryview(model)

    def tensor(start: int, end: int) -> Pieces | None:
        kept: Pieces = []
        found = None
        for field in fields(view, start, end):
            if field.number == EXTERNAL_DATA:
                found = data.get(entry(view, field).get("location", ""), found)
            elif field.number != DATA_LOCATION:
                kept.append(view[field.start : field.end])
        return None if found is None else [*kept, header(RAW_DATA, len(found)), found]

    return rewritten(view, tensor)


def rewritten(model: memoryview, tensor: Callable[[int, int], Pieces | None]) -> Pieces:
    """The encoded model with its tensors replaced: `tensor` gives new content for one at [start, end), or None."""

    def message(name: str, start: int, end: int, depth: int) -> Pieces | None:
        if depth > DEEPEST:
            raise ModelError(f"graphs are nested more than {DEEPEST} deep")
        pieces: Pieces = []
        kept = start
        for field in fields(model, start, end):
            inner = PATHS[name].get(field.number) if field.kind == BYTES else None
            if inner is None:
                continue
            new = tensor(field.content, field.end) if inner == "tensor" else \
                message(inner, field.content, field.end, depth + 1)
            if new is not None:
                pieces += [model[kept : field.start], header(field.number, sum(map(len, new))), *new]
                kept = field.end
        return [*pieces, model[kept:end]] if pieces else None

    return message("model", 0, len(model), 0) or [model]


def entry(model: memoryview, field: Field) -> dict[str, str]:
    """One key → value of a tensor's external_data."""
    text = {f.number: bytes(model[f.content : f.end]).decode("utf8", "replace")
            for f in fields(model, field.content, field.end) if f.kind == BYTES}
    return {text.get(1, ""): text.get(2, "")}


def external(location: str) -> bytes:
    """The fields of a tensor that say where its data is: external_data {location}, data_location EXTERNAL."""
    name = location.encode()
    pair = b"\x0a\x08location" + header(2, len(name)) + name
    return header(EXTERNAL_DATA, len(pair)) + pair + bytes([DATA_LOCATION << 3 | VARINT, 1])


def fields(buffer: Buffer, start: int, end: int) -> Iterator[Field]:
    """The fields of the message buffer[start:end]. ModelError when they do not fill it exactly."""
    at = start
    while at < end:
        tag, content = varint(buffer, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, stop = varint(buffer, content, end)
        elif kind == BYTES:
            length, content = varint(buffer, content, end)
            stop = content + length
        elif kind in (FIXED64, FIXED32):
            stop = content + (8 if kind == FIXED64 else 4)
        else:
            raise damaged(at)
        if stop > end or number == 0:
            raise damaged(at)
        yield Field(number, kind, at, content, stop)
        at = stop


def varint(buffer: Buffer, at: int, end: int) -> tuple[int, int]:
    """A variable-length integer and the place after it."""
    value = shift = 0
    while at < end and shift < 64:
        byte = buffer[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise damaged(at)


def header(number: int, length: int) -> bytes:
    """Tag and length in front of a field of bytes."""
    return number_bytes(number << 3 | BYTES) + number_bytes(length)


def number_bytes(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def damaged(at: int) -> ModelError:
    return ModelError(f"not an ONNX model, or damaged: the encoding breaks at byte {at}",
                      try_="export or download the model again")
