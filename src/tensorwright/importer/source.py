"""Reading ONNX models: from a path, bytes or a ModelProto; tensors inside the file or in external data files.

A model is untrusted. Sizes and offsets are checked before anything is read, and external data must lie, after
resolving symbolic links, below the model's own folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import DType
from ..errors import ModelError

if TYPE_CHECKING:
    import onnx

#: Protocol buffers cannot be longer; larger models keep their tensors in external files.
LARGEST_FILE = (1 << 31) - 1
#: Symbolic links and devices apart, a tensor of more elements than this is a damaged header, not a tensor.
MOST_ELEMENTS = 1 << 48
#: A sparse tensor is written out when it has at most this many elements.
MOST_DENSE = 1 << 30


@dataclass
class ModelSource:
    """A parsed model, and where its external data lies.

    proto    the model as stored
    label    for error messages: the file's name, or "model"
    base     the folder external data is read from; None when the model came without one
    """

    proto: onnx.ModelProto
    label: str = "model"
    base: Path | None = None
    _files: dict[Path, np.ndarray] = field(default_factory=dict, repr=False)

    def array(self, tensor: onnx.TensorProto) -> np.ndarray:
        """The tensor's content. External data is mapped, not copied. ModelError when sizes contradict each other."""
        import onnx

        where = f"tensor {tensor.name!r}" if tensor.name else "tensor"
        dtype, shape = element_type(tensor.data_type, where), tuple(tensor.dims)
        count = elements(shape, where)
        try:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                return self._external(tensor, dtype, shape, count)
            if tensor.HasField("raw_data") and bits_of(tensor.data_type) % 8 == 0 and dtype is not DType.string:
                raw = tensor.raw_data
                if len(raw) != (need := count * dtype.itemsize):
                    raise ModelError(f"{where} holds {len(raw)} bytes, its shape and type need {need}",
                                     at=self.label, shape=shape, type=dtype)
                return np.frombuffer(raw, dtype.numpy.newbyteorder("<") if dtype.numpy.kind in "iufc" else dtype.numpy
                                     ).reshape(shape)
            return onnx.numpy_helper.to_array(tensor)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"{where} cannot be decoded: {error}", at=self.label, shape=shape, type=dtype,
                             try_="export the model again; the file is damaged") from error

    def dense(self, sparse: onnx.SparseTensorProto) -> np.ndarray:
        """A sparse tensor written out: values at linear indices, or at rows of coordinates."""
        shape = tuple(sparse.dims)
        if elements(shape, "sparse tensor") > MOST_DENSE:
            raise ModelError(f"sparse tensor of shape {shape} is too large to write out", at=self.label)
        values, indices = self.array(sparse.values).reshape(-1), self.array(sparse.indices)
        result = np.zeros(shape, values.dtype)
        try:
            if indices.ndim == 2:
                result[tuple(indices.T)] = values
            else:
                result.reshape(-1)[indices] = values
        except (IndexError, ValueError) as error:
            raise ModelError(f"sparse tensor: {error}", at=self.label, shape=shape) from error
        return result

    def _external(self, tensor: onnx.TensorProto, dtype: DType, shape: tuple[int, ...], count: int) -> np.ndarray:
        import onnx

        entries = {e.key: e.value for e in tensor.external_data}
        bits = bits_of(tensor.data_type)
        offset = _number(entries, "offset", 0, tensor.name)
        length = _number(entries, "length", need := (count * bits + 7) // 8, tensor.name)
        raw = self.external_bytes(entries.get("location", ""), tensor.name, need, offset, length)
        if bits % 8:
            inline = onnx.TensorProto(data_type=tensor.data_type, dims=shape, raw_data=raw.tobytes())
            return onnx.numpy_helper.to_array(inline)
        return raw.view(dtype.numpy).reshape(shape) if offset % dtype.itemsize == 0 else \
            np.frombuffer(raw.tobytes(), dtype.numpy).reshape(shape)

    def external_bytes(self, location: str, name: str, need: int, offset: int, length: int) -> np.ndarray:
        """uint8 (need,): a tensor's bytes in its file, mapped. ModelError when they are not there, or not that many."""
        path = self.external_path(location, name)
        stored = _mapped(path, self._files)
        if length != need or offset < 0 or offset + length > stored.size:
            raise ModelError(f"external tensor {name!r} needs {need} bytes at offset {offset}; its entry says "
                             f"{length} and the file has {stored.size}", at=f"{self.label}, {path.name}",
                             try_="copy the data file that belongs to this model next to it")
        return stored[offset : offset + length]

    def external_path(self, location: str, name: str) -> Path:
        """The file external data lies in; ModelError unless it is inside the model's folder."""
        if self.base is None:
            raise ModelError(f"tensor {name!r} lies in the external file {location[:200]!r}, and the model's folder is "
                             "not known", at=self.label, try_="pass base_dir, or load the model by its path")
        parts = PurePosixPath(location).parts
        if not location or "\0" in location or location.startswith(("/", "\\")) or ".." in parts or "\\" in location \
                or PureWindowsPath(location).drive:
            raise ModelError(f"tensor {name!r} refers to the file {location[:200]!r}: only files inside the model's "
                             "folder may be read", at=self.label, try_="store external data next to the model")
        root = self.base.resolve()
        path = (root / location).resolve()
        if not path.is_relative_to(root):
            raise ModelError(f"external file {location!r} of tensor {name!r} is a link to outside the model's folder",
                             at=self.label, try_="copy the data file into the model's folder")
        if not path.is_file():
            raise ModelError(f"external file {location!r} of tensor {name!r} does not exist", at=self.label,
                             try_="copy the data file that belongs to this model next to it", folder=str(self.base))
        return path


def _mapped(path: Path, cache: dict[Path, np.ndarray]) -> np.ndarray:
    if path not in cache:
        size = path.stat().st_size
        cache[path] = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    return cache[path]


def _number(entries: Mapping[str, str], key: str, default: int, name: str) -> int:
    text = entries.get(key, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ModelError(f"external tensor {name!r}: {key} is {text[:40]!r}, not a number of bytes")
    return int(text)


def elements(shape: tuple[int, ...], where: str) -> int:
    """Number of elements of a stored shape; ModelError when negative or absurd."""
    count = 1
    for d in shape:
        count *= d
        if d < 0 or count > MOST_ELEMENTS:
            raise ModelError(f"{where} has the impossible shape {shape}")
    return count


def element_type(code: int, where: str) -> DType:
    """ONNX's number of an element type → ours."""
    import onnx

    try:
        name = onnx.TensorProto.DataType.Name(code).lower()
    except ValueError:
        name = "undefined"
    name = {"float": "float32", "double": "float64", "float8e4m3fn": "float8_e4m3fn",
            "float8e4m3fnuz": "float8_e4m3fnuz", "float8e5m2": "float8_e5m2", "float8e5m2fnuz": "float8_e5m2fnuz",
            "float8e8m0": "float8_e8m0", "float4e2m1": "float4_e2m1"}.get(name, name)
    try:
        return DType(name)
    except ValueError:
        raise ModelError(f"{where} has element type {code}, which this version does not know",
                         try_="update tensorwright and the onnx package") from None


def bits_of(code: int) -> int:
    """Stored bits per element: 4 or 2 for the packed types, else 8 per byte."""
    dtype = element_type(code, "tensor")
    packed = {DType.int4: 4, DType.uint4: 4, DType.float4_e2m1: 4, DType.int2: 2, DType.uint2: 2}
    return packed.get(dtype, dtype.itemsize * 8)


def load_model(model: str | os.PathLike[str] | bytes | Any, base_dir: str | os.PathLike[str] | None = None,
               ) -> ModelSource:
    """Parse a model given as a path, as the bytes of a file, or as a ModelProto (or an onnx-ir model)."""
    import onnx

    base = Path(base_dir) if base_dir is not None else None
    if isinstance(model, onnx.ModelProto):
        return _checked(ModelSource(model, "model", base))
    if isinstance(model, (bytes, bytearray, memoryview)):
        return _checked(ModelSource(_parse(bytes(model), "model"), "model", base))
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        return _checked(ModelSource(_parse(_read(path), path.name), path.name, base or path.parent))
    if type(model).__module__.startswith("onnx_ir"):
        import onnx_ir
        return _checked(ModelSource(onnx_ir.to_proto(model), "model", base))
    raise ModelError(f"a model is a path, bytes or a ModelProto, not {type(model).__name__}")


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ModelError(f"{path.name or '.'!r} is {'not a file' if path.exists() else 'not there'}", at=str(path))
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise ModelError(f"the file has {size} bytes; an ONNX file has at most {LARGEST_FILE}", at=path.name,
                             try_="save it with external data: onnx.save(model, path, save_as_external_data=True)")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model: {error}", at=path.name) from error


def _parse(data: bytes, label: str) -> onnx.ModelProto:
    import google.protobuf.message
    import onnx

    if not data:
        raise ModelError("the model is empty (0 bytes)", at=label)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except (google.protobuf.message.DecodeError, RuntimeError, UnicodeDecodeError, ValueError) as error:
        raise ModelError(f"not an ONNX model, or damaged: {error}", at=label, bytes=len(data),
                         try_="export or download the model again") from error
    return proto


def _checked(source: ModelSource) -> ModelSource:
    proto = source.proto
    if not proto.HasField("graph"):
        raise ModelError("the model has no graph: not an ONNX model, or damaged", at=source.label,
                         try_="export or download the model again")
    if not proto.opset_import and proto.ir_version >= 3:
        raise ModelError("the model does not say which operator set it uses (opset_import is empty)", at=source.label)
    return source
