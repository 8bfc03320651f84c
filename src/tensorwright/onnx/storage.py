"""Reading and writing model files: `load`, `save`. Weights are mapped when read and streamed when written.

A file is parsed without its large tensors (wire.strip), which become arrays over the mapped file; external data is
mapped alike, inside the model's folder only. To write, the model is encoded without its large tensors, and their bytes
are put into the stream where they belong. A gigabyte of weights costs no memory in either direction.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError, TensorwrightError
from ..files import whole_file
from ..importer.source import LARGEST_FILE, ModelSource, elements, load_model
from . import wire
from .model import Model
from .sparse import write_out

if TYPE_CHECKING:
    import onnx
    import onnx_ir

#: Tensors of at least this many bytes stay in the file when it is read, and out of messages for onnx's own functions.
LARGE = 1 << 10
#: External data starts at multiples of a page, so that it can be mapped.
PAGE = 4096


# reading -------------------------------------------------------------------------------------------------------------
def load(model: str | os.PathLike[str] | bytes | onnx.ModelProto | onnx_ir.Model | Model,
         base_dir: str | os.PathLike[str] | None = None) -> Model:
    """A model from a path, the bytes of a file, a ModelProto or an onnx_ir.Model.

    base_dir   where external data lies; the file's own folder when None
    Raises     ModelError when the file is damaged, or refers to files outside its folder.
    """
    import onnx_ir

    if isinstance(model, Model):
        return model
    if isinstance(model, onnx_ir.Model):
        return Model(model)
    inside: dict[str, memoryview] = {}
    if isinstance(model, (str, os.PathLike)) and (path := Path(model)).is_file() and path.stat().st_size > LARGE:
        slim, inside = _without_weights(path)
        source = load_model(slim, base_dir if base_dir is not None else path.parent)
        source.label = path.name
    else:
        source = load_model(model, base_dir)
        if source.proto is model:                        # tensors are renamed where they are: not in the caller's model
            source.proto = type(source.proto)()
            source.proto.CopyFrom(model)
    write_out(source)
    try:
        result = Model(onnx_ir.from_proto(source.proto), source.label, source.base)
    except Exception as error:                           # onnx_ir raises whatever its parts raise
        raise ModelError(f"not a well-formed ONNX model: {reason(error)}", at=source.label,
                         try_="export or download the model again") from error
    _names_are_text(result)
    _give_weights(result, source, inside)
    return result


def _names_are_text(model: Model) -> None:
    """Strings of a message that are no UTF-8 arrive as bytes. ModelError for names of nodes and tensors among them."""
    for graph in model.graphs():
        values = [*graph.inputs, *getattr(graph, "initializers", {}).values()]
        names: list[object] = [v.name for v in values]
        for node in graph:
            names += (node.name, node.op_type, node.domain, *node.attributes)
            names += [v.name for v in (*node.inputs, *node.outputs) if v is not None]
        if wrong := [n for n in names if isinstance(n, bytes)]:
            raise ModelError(f"a name is no text: {wrong[0][:60]!r}", at=model.label,
                             try_="export or download the model again")


def _without_weights(path: Path) -> tuple[bytes, dict[str, memoryview]]:
    try:
        with path.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return wire.strip(whole, LARGE, secrets.token_hex(16) + "/")
    except OSError as error:
        raise ModelError(f"cannot read the model: {error}", at=path.name) from error
    except ModelError as error:
        raise error.located(path.name) from None


def _give_weights(model: Model, source: ModelSource, inside: Mapping[str, memoryview]) -> None:
    """Tensors that are elsewhere become arrays over the mapped files."""
    import onnx_ir

    def content(tensor: Any) -> Any:
        if not isinstance(tensor, onnx_ir.ExternalTensor):
            return tensor
        name, where = tensor.name or "", str(tensor.location)
        shape = tuple(int(d) for d in tensor.shape.numpy())
        count = elements(shape, f"tensor {name!r}")
        need = -(-count * tensor.dtype.bitwidth // 8)
        if where in inside:
            if len(inside[where]) != need:
                raise ModelError(f"tensor {name!r} holds {len(inside[where])} bytes, its shape and type need {need}",
                                 at=source.label, shape=shape, type=tensor.dtype.name)
            raw = np.frombuffer(inside[where], np.uint8)
        else:
            model.external = model.external or where
            length = need if tensor.length is None else int(tensor.length)
            raw = source.external_bytes(where, name, need, int(tensor.offset or 0), length)
        return from_bytes(raw, tensor.dtype, shape, name, tensor.doc_string, tensor.metadata_props)

    replace_tensors(model, content)


def from_bytes(raw: np.ndarray, dtype: onnx_ir.DataType, shape: Sequence[int], name: str | None,
               doc: str | None = None, metadata: Mapping[str, str] | None = None) -> onnx_ir.TensorProtocol:
    """A tensor over its little-endian bytes, uint8 (n,), not copied where their place in memory allows."""
    import onnx_ir
    place = onnx_ir.Shape(list(shape))
    if dtype.bitwidth < 8:
        return onnx_ir.PackedTensor(raw, dtype, shape=place, name=name, doc_string=doc,
                                    metadata_props=dict(metadata or {}))
    array = np.frombuffer(raw, dtype.numpy()).reshape(tuple(shape))
    return onnx_ir.Tensor(array, dtype, shape=place, name=name, doc_string=doc, metadata_props=dict(metadata or {}))


# writing -------------------------------------------------------------------------------------------------------------
def save(model: Model, path: str | os.PathLike[str], *, external: bool | str | None = None,
         shard: int | None = None) -> Path:
    """Write the model; the file appears whole or not at all. Returns its path.

    external   True: weights go to the file "<name>.data" beside it; a name: to that file; False: into the model file;
               None: as they were when the model was loaded, and beside it when one file would exceed 2 GiB.
    shard      external data in several files of at most this many bytes (a larger tensor has a file of its own):
               "<name>-00001-of-00003.data"
    Raises     ModelError when external=False and the model exceeds 2 GiB, or the folder cannot be written.
    """
    path = Path(path)
    proto, held = message(model)
    total = proto.ByteSize() + sum(map(len, held.values()))
    if shard is not None and (shard < 1 or external is False):
        raise ModelError(f"shards of {shard} bytes" + " inside the model file" * (external is False), at=str(path),
                         try_="a size of 1 and more, and external data")
    if external is None:
        external = shard is not None or model.external is not None or total > LARGEST_FILE
    if external is False and total > LARGEST_FILE:
        raise ModelError(f"the model needs {total} bytes; one ONNX file has at most {LARGEST_FILE}", at=str(path),
                         try_="external=True")
    try:
        if external is False:
            with whole_file(path) as out:
                out.writelines(wire.expand(proto.SerializeToString(), held))
        else:
            name = external if isinstance(external, str) else f"{path.name}.data"
            if Path(name).name != name or name in ("", ".", "..", path.name):
                raise ModelError(f"external data goes to a file beside the model, not to {name!r}", at=str(path))
            for file, part in _parts(held, name, shard).items():
                _refer(proto, part, file)
                with whole_file(path.parent / file) as out:
                    out.writelines(_padded(part.values()))
            with whole_file(path) as out:
                out.write(proto.SerializeToString())
    except OSError as error:
        raise ModelError(f"cannot write the model: {error}", at=str(path)) from error
    return path


def message(model: Model) -> tuple[onnx.ModelProto, dict[str, wire.Buffer]]:
    """The model with its large tensors as references to external data, and the bytes at those locations."""
    import onnx_ir

    held: dict[str, wire.Buffer] = {}
    token = secrets.token_hex(16) + "/"

    def stub(tensor: Any) -> Any:
        if tensor.dtype == onnx_ir.DataType.STRING or tensor.nbytes < LARGE:
            return tensor
        held[where := f"{token}{len(held)}"] = to_bytes(tensor)
        return onnx_ir.ExternalTensor(where, None, None, tensor.dtype, shape=tensor.shape, name=tensor.name or "",
                                      doc_string=tensor.doc_string, metadata_props=dict(tensor.metadata_props))
    undo: list[tuple[Any, ...]] = []
    try:
        undo = replace_tensors(model, stub)
        return onnx_ir.to_proto(model.ir), held
    except Exception as error:                           # a damaged small tensor is noticed only now, in many ways
        raise ModelError(f"the model cannot be encoded: {reason(error)}", at=model.label) from error
    finally:
        put_back(undo)


def to_bytes(tensor: onnx_ir.TensorProtocol) -> wire.Buffer:
    """A tensor's little-endian bytes as the file holds them; a view where it can be one."""
    import onnx_ir
    if isinstance(tensor, onnx_ir.Tensor) and tensor.dtype.bitwidth >= 8:
        array = np.ascontiguousarray(tensor.numpy())
        if array.dtype.byteorder in "=<|":
            return memoryview(array.reshape(-1).view(np.uint8).data)
    return tensor.tobytes()


def _parts(held: Mapping[str, wire.Buffer], name: str, shard: int | None) -> dict[str, dict[str, wire.Buffer]]:
    """File name → the tensors it holds, in order."""
    if shard is None:
        return {name: dict(held)}
    parts: list[dict[str, wire.Buffer]] = []
    room = 0
    for where, raw in held.items():
        if not parts or len(raw) > room:
            parts.append({})
            room = shard
        parts[-1][where] = raw
        room -= len(raw) + -len(raw) % PAGE
    stem, suffix = Path(name).stem, Path(name).suffix
    return {f"{stem}-{i:05d}-of-{len(parts):05d}{suffix}": part for i, part in enumerate(parts, 1)}


def _refer(proto: onnx.ModelProto, held: Mapping[str, wire.Buffer], name: str) -> None:
    """Tensors with these locations lie in the file `name`, one after the other, each at the start of a page."""
    places, offset = {}, 0
    for where, raw in held.items():
        places[where], offset = (offset, len(raw)), offset + len(raw) + -len(raw) % PAGE
    for tensor in tensor_messages(proto) if places else ():
        if (where := location(tensor)) in places:
            del tensor.external_data[:]
            for key, value in zip(("location", "offset", "length"), (name, *places[where]), strict=True):
                tensor.external_data.add(key=key, value=str(value))


def _padded(contents: Any) -> Iterator[wire.Buffer]:
    for raw in contents:
        yield raw
        yield bytes(-len(raw) % PAGE)


# for onnx's own functions --------------------------------------------------------------------------------------------
def skeleton(model: Model) -> onnx.ModelProto:
    """The model without large weights, for onnx's checker and shape inference: they became graph inputs.

    Large tensors inside branches and bodies stay: nothing can feed those.
    """
    import onnx

    proto, held = message(model)
    graph = proto.graph
    inputs = {i.name for i in graph.input}

    def feed(tensor: onnx.TensorProto, name: str) -> None:
        if name not in inputs:
            graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims)))
    weights = [t for t in graph.initializer if location(t) in held]
    constants = [(n, a.t) for n in graph.node if n.op_type == "Constant" and n.domain in ("", "ai.onnx")
                 for a in n.attribute if location(a.t) in held]
    for tensor in weights:
        feed(tensor, tensor.name)
    for node, tensor in constants:
        feed(tensor, node.output[0])
    if weights:
        kept = [t for t in graph.initializer if location(t) not in held]
        del graph.initializer[:]
        graph.initializer.extend(kept)
    for node, _ in constants:
        graph.node.remove(node)
    for tensor in tensor_messages(proto):
        if (where := location(tensor)) in held:
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = bytes(held[where])
    return proto


def location(tensor: onnx.TensorProto) -> str:
    """Where a tensor's external data is; "" when it has none."""
    return next((e.value for e in tensor.external_data if e.key == "location"), "")


def tensor_messages(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors of a model: initialisers and attributes of all graphs and functions."""
    def of_nodes(nodes: Any) -> Iterator[onnx.TensorProto]:
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                    yield from of_graph(graph)

    def of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
        yield from graph.initializer
        yield from of_nodes(graph.node)
    yield from of_graph(proto.graph)
    for function in proto.functions:
        yield from of_nodes(function.node)


# every tensor of a model ---------------------------------------------------------------------------------------------
def tensors(model: Model) -> list[onnx_ir.TensorProtocol]:
    """All weights and constants, wherever they are stored."""
    found: list[onnx_ir.TensorProtocol] = []

    def note(tensor: Any) -> Any:
        found.append(tensor)
        return tensor
    replace_tensors(model, note)
    return found


def replace_tensors(model: Model, new: Callable[[Any], Any]) -> list[tuple[Any, ...]]:
    """Put new(tensor) in the place of every tensor, in initialisers and attributes. Returns what `put_back` takes.

    Either all are replaced or, when `new` raises, none.
    """
    import onnx_ir
    undo: list[tuple[Any, ...]] = []
    try:
        for graph in model.graphs():
            for value in list(getattr(graph, "initializers", {}).values()):
                if value.const_value is not None and (other := new(value.const_value)) is not value.const_value:
                    undo.append((setattr, value, "const_value", value.const_value))
                    value.const_value = other
            for node in graph:
                for name, attribute in list(node.attributes.items()):
                    if attribute.is_ref() or attribute.value is None:
                        continue
                    if attribute.type == onnx_ir.AttributeType.TENSOR:
                        other = new(attribute.value)
                        changed = other is not attribute.value
                    elif attribute.type == onnx_ir.AttributeType.TENSORS:
                        other = tuple(map(new, attribute.value))
                        changed = any(a is not b for a, b in zip(other, attribute.value, strict=True))
                    else:
                        continue
                    if changed:
                        undo.append((type(node.attributes).__setitem__, node.attributes, name, attribute))
                        node.attributes[name] = onnx_ir.Attr(name, attribute.type, other,
                                                             doc_string=attribute.doc_string)
    except BaseException:
        put_back(undo)
        raise
    return undo


def put_back(undo: Sequence[tuple[Any, ...]]) -> None:
    for do, *arguments in undo:
        do(*arguments)


def reason(error: BaseException) -> str:
    """The first line of what an error says: one of ours itself, any other by the error it wraps."""
    if isinstance(error, TensorwrightError):
        return error.what
    inner = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return (str(inner).splitlines() or [type(inner).__name__])[0][:300]
