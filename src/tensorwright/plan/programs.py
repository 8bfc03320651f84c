"""Programs as JSON and back. Equal views are written once; dimensions are numbers, or expressions as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..dims import Dim
from ..dtypes import DType
from ..errors import PlanError
from .fields import DimReader, Fields, shown
from .records import Buffer, Condition, HostStep, Kernel, Launch, LayerInfo, Profile, Program, Step, TensorInfo, View

EncodeOp = Callable[[Any], Any]
DecodeOp = Callable[[Any], Any]


# writing -----------------------------------------------------------------------------------------------------------
def encode(programs: Sequence[Program], encode_op: EncodeOp) -> tuple[list[dict[str, Any]], list[bytes]]:
    """(programs as JSON, machine code of all kernels in order). Kernels of equal code share it."""
    code: dict[bytes, int] = {}
    end = 0
    for program in programs:
        for kernel in (*program.kernels, *([program.driver] if program.driver is not None else [])):
            if kernel.code not in code:
                code[kernel.code] = end
                end += len(kernel.code)
    return [_program(p, code, encode_op) for p in programs], list(code)


def _program(p: Program, code: dict[bytes, int], encode_op: EncodeOp) -> dict[str, Any]:
    views: dict[View, int] = {}

    def ref(x: View | str | None) -> int | str | None:
        return views.setdefault(x, len(views)) if isinstance(x, View) else x

    steps: list[dict[str, Any]] = []
    for s in p.steps:
        if isinstance(s, Launch):
            steps.append({"layer": s.layer, "kernel": s.kernel, "args": [ref(a) for a in s.args],
                          "dims": _dims(s.dims), "chunks": _dims(s.chunks), "serial": s.serial})
        else:
            steps.append({"layer": s.layer, "host": encode_op(s.op), "inputs": [ref(x) for x in s.inputs],
                          "outputs": [ref(x) for x in s.outputs], "reason": s.reason})
    return {
        "profile": [[name, *r] for name, r in p.profile.ranges], "target": p.target, "threads": p.threads,
        "conditions": [[c.kind, _dim(c.dim), c.layer] for c in p.conditions],
        "arena": p.arena_bytes,
        "inputs": [_info(i) for i in p.inputs], "outputs": [_info(i) for i in p.outputs],
        "values": list(p.output_values),
        "buffers": [{"kind": b.kind, "bytes": _dim(b.bytes), "name": b.name, "zero": b.zero, "offset": o}
                    for b, o in zip(p.buffers, p.offsets, strict=True)],
        "kernels": [_kernel(k, code) for k in p.kernels],
        "driver": None if p.driver is None else _kernel(p.driver, code),
        "steps": steps,
        "views": [[v.buffer, _dim(v.offset), _dims(v.shape), _dims(v.strides), v.dtype.value] for v in views],
        "layers": [{"name": x.name, "kind": x.kind, "origin": list(x.origin), "tactic": x.tactic, "seconds": x.seconds,
                    "flops": int(x.flops), "bytes": int(x.bytes), "note": x.note, "types": list(x.types),
                    "reads": x.reads, "attributes": dict(x.attributes)}
                   for x in p.layers]}


def _kernel(k: Kernel, code: dict[bytes, int]) -> dict[str, Any]:
    return {"id": k.id, "entries": list(k.entries), "offset": code[k.code], "bytes": len(k.code)}


def _dim(d: Dim) -> int | str:
    return int(d) if isinstance(d, int) else str(d)


def _dims(dims: Sequence[Dim]) -> list[int | str]:
    return [_dim(d) for d in dims]


def _info(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "shape": None if info.shape is None else _dims(info.shape),
            "dtype": None if info.dtype is None else info.dtype.value}


# reading -----------------------------------------------------------------------------------------------------------
def decode(data: Any, code: bytes | None, decode_op: DecodeOp) -> tuple[Program, ...]:
    """The programs, still to be checked against each other and the weights. code None: kernels carry none."""
    if not isinstance(data, list) or not 1 <= len(data) <= 1024:
        raise PlanError(f"1 to 1024 programs are expected, not {shown(data)}")
    return tuple([_read_program(Fields(x, f"program {i}"), code, decode_op) for i, x in enumerate(data)])


def _read_program(f: Fields, code: bytes | None, decode_op: DecodeOp) -> Program:
    dim = DimReader()
    views = [_read_view(x, dim, f"{f.where}, view {i}") for i, x in enumerate(f.items("views"))]
    buffers = f.each("buffers", lambda b: Buffer(b.text("kind"), dim(b.get("bytes"), b.where), b.text("name"),
                                                 b.flag("zero")))
    values = f.items("values")
    if not all(type(x) in (int, str) for x in values):
        raise f.wrong("values", "numbers of buffers or names")
    return Program(
        profile=_read_profile(f), target=f.text("target"), buffers=buffers,
        offsets=f.each("buffers", lambda b: b.whole("offset", -1)), arena_bytes=f.whole("arena", 0),
        steps=f.each("steps", lambda s: _read_step(s, views, dim, decode_op)),
        kernels=f.each("kernels", lambda k: _read_kernel(k, code)),
        inputs=f.each("inputs", lambda i: _read_info(i, dim)), outputs=f.each("outputs", lambda i: _read_info(i, dim)),
        output_values=tuple(values), layers=f.each("layers", _read_layer), threads=f.whole("threads", 1, 1024),
        conditions=tuple([_read_condition(x, dim, f) for x in f.items("conditions")]),
        driver=None if f.data.get("driver") is None else _read_kernel(Fields(f.data["driver"], f"{f.where}, driver"),
                                                                      code))


def _read_condition(x: Any, dim: DimReader, f: Fields) -> Condition:
    match x:
        case ["zero" | "natural" as kind, int() | str() as d, str() as layer]:
            return Condition(kind, dim(d, f.where), layer)
    raise f.wrong("conditions", "arrays of a kind, a dimension and a layer")


def _read_profile(f: Fields) -> Profile:
    ranges = []
    for x in f.items("profile", 4096):
        match x:
            case [str() as name, int() as low, int() as best, int() as high] if bool not in map(type, x):
                ranges.append((name, (low, best, high)))
            case _:
                raise f.wrong("profile", "arrays of a name and three numbers")
    return Profile(tuple(ranges))


def _read_view(x: Any, dim: DimReader, where: str) -> View:
    if not isinstance(x, list) or len(x) != 5 or type(x[0]) is not int:
        raise PlanError(f"{shown(x)} is not a view", at=where)
    try:
        dtype = DType(x[4])
    except ValueError:
        raise PlanError(f"{shown(x[4])} is not an element type", at=where) from None
    return View(x[0], dim(x[1], where), dim.all(x[2], where), dim.all(x[3], where), dtype)


def _read_step(s: Fields, views: list[View], dim: DimReader, decode_op: DecodeOp) -> Step:
    def operand(x: Any, named: bool) -> View | str | None:
        if x is None or (named and isinstance(x, str)):
            return x
        if type(x) is not int or not 0 <= x < len(views):
            raise PlanError(f"{shown(x)} is not one of {len(views)} views", at=s.where)
        return views[x]

    if "kernel" in s.data:
        args = tuple([operand(x, False) for x in s.items("args", 4096)])
        return Launch(s.text("layer"), s.text("kernel"), args,  # type: ignore[arg-type]
                      dim.all(s.get("dims"), s.where), dim.all(s.get("chunks"), s.where), s.flag("serial"))
    inputs, outputs = (tuple([operand(x, True) for x in s.items(k, 65536)]) for k in ("inputs", "outputs"))
    try:
        op = decode_op(s.get("host"))
    except PlanError as error:
        raise error.located(s.where) from None
    return HostStep(s.text("layer"), op, inputs, outputs, s.text("reason"))


def _read_kernel(k: Fields, code: bytes | None) -> Kernel:
    size = len(code) if code is not None else 1 << 47
    offset, length = k.whole("offset", 0, size), k.whole("bytes", 0, size)
    if offset + length > size:
        raise PlanError(f"{length} bytes at {offset} of {size} bytes of code", at=k.where)
    return Kernel(k.text("id"), k.texts("entries"), code[offset:offset + length] if code is not None else b"")


def _read_info(f: Fields, dim: DimReader) -> TensorInfo:
    shape = None if f.get("shape") is None else dim.all(f.get("shape"), f.where)
    return TensorInfo(f.text("name"), shape, None if f.get("dtype") is None else f.dtype("dtype"))


def _read_layer(f: Fields) -> LayerInfo:
    return LayerInfo(f.text("name"), f.text("kind"), f.texts("origin"), f.text("tactic"), f.number("seconds"),
                     f.whole("flops", 0, 1 << 62), f.whole("bytes", 0, 1 << 62), f.text("note"), f.texts("types"),
                     f.whole("reads", 0) if "reads" in f.data else 0,
                     Fields(f.data.get("attributes", {}), f.where).data)
