"""The blobs of a .caffemodel, by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ModelError

#: BlobProto.raw_data_type → type. NVIDIA's fork writes weights as raw bytes.
RAW = {0: np.float64, 1: np.float32, 2: np.float16}


def array(blob: Any) -> np.ndarray:
    """A blob as float32, in its shape. ModelError when its data do not fill it."""
    if blob.raw_data:
        if blob.raw_data_type not in RAW:
            raise ModelError(f"a blob has raw data of type {blob.raw_data_type}", allowed="double, float, half")
        kind = np.dtype(RAW[blob.raw_data_type])
        if len(blob.raw_data) % kind.itemsize:
            raise ModelError(f"a blob of {kind} has {len(blob.raw_data)} bytes")
        data = np.frombuffer(blob.raw_data, kind.newbyteorder("<"))
    else:
        data = np.asarray(blob.data if len(blob.data) else blob.double_data)
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    if not blob.HasField("shape") and not any(shape):
        shape = (data.size,)
    if any(d < 0 for d in shape) or data.size != int(np.prod([int(d) for d in shape], dtype=object)):
        raise ModelError(f"a blob of shape {shape} has {data.size} values")
    return data.astype(np.float32).reshape(shape)


class Weights:
    """The blobs of each layer, rounded to an element type. Without a model file they are random, from a fixed seed.

    model   NetParameter with blobs, or None
    dtype   NumPy's type that values are rounded to
    """

    def __init__(self, model: Any, dtype: Any = np.float32) -> None:
        self.known = model is not None
        self.dtype = np.dtype(dtype)
        self._blobs: dict[str, list[Any]] = {}
        self._random = np.random.default_rng(0)
        for layer in (*model.layer, *model.layers) if model is not None else ():
            if len(layer.blobs):
                self._blobs[layer.name] = list(layer.blobs)

    def count(self, layer: str) -> int:
        return len(self._blobs.get(layer, ()))

    def __call__(self, layer: str, index: int, count: int, spread: float = 0.0, centre: float = 0.0) -> np.ndarray:
        """Blob `index` of a layer, flat, of `count` values. ModelError when the file lacks it, or it has others.

        spread, centre   of the normal distribution that stands in when there is no file
        """
        if not self.known:
            return self._rounded(self._random.normal(centre, spread, count).astype(np.float32))
        blobs = self._blobs.get(layer, [])
        if index >= len(blobs):
            raise ModelError(f"the model file has {len(blobs)} blobs for layer {layer!r}, number {index} is needed")
        found = array(blobs[index]).reshape(-1)
        if found.size != count:
            raise ModelError(f"blob {index} of layer {layer!r} has {found.size} values, {count} are needed")
        return self._rounded(found)

    def all(self, layer: str) -> list[np.ndarray]:
        """All blobs of a layer, flat."""
        return [self._rounded(array(b).reshape(-1)) for b in self._blobs.get(layer, [])]

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return values.astype(self.dtype).astype(np.float32)
