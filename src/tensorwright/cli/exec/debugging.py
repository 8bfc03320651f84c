"""Debug tensors: marked when an engine is built, and written to files when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...builder.kept import KEPT
from ...errors import InputError
from ...runtime.memory import array_at
from ...trt import DataType, Dims, IDebugListener, IExecutionContext, INetworkDefinition, TensorLocation
from ...trt.foundation import ours
from . import files
from .syntax import shown

if TYPE_CHECKING:
    from .data import Stream
    from .flags import Asked
    from .log import Log


class Collector(IDebugListener):
    """Copies of what it is shown, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.arrays: dict[str, np.ndarray] = {}

    def process_debug_tensor(self, addr: int, location: TensorLocation, type: DataType, shape: Dims, name: str,
                             stream: int) -> None:
        dtype, sizes = ours(type).numpy, tuple(shape)
        strides = [int(np.prod(sizes[k + 1:], dtype=np.int64)) * dtype.itemsize for k in range(len(sizes))]
        self.arrays[name] = array_at(addr, sizes, strides, dtype).copy()


def mark_debug(asked: Asked, network: INetworkDefinition) -> None:
    """InputError for a tensor that no layer makes."""
    made = {t.name: t for layer in network for k in range(layer.num_outputs) if (t := layer.get_output(k)) is not None}
    for name in asked["markDebug"] or ():
        if name not in made or not network.mark_debug(made[name]):
            raise InputError(f"--markDebug: no layer makes {name!r}", tensors=", ".join(made)[:300])
    if asked["markUnfusedTensorsAsDebugTensors"]:
        network.mark_unfused_tensors_as_debug_tensors()


def save_debug_tensors(stream: Stream, asked: Asked, log: Log) -> None:
    """--saveDebugTensors and --saveAllDebugTensors: one more query, whose debug tensors are written. InputError for a
    tensor that was not marked when the engine was built."""
    named: dict[str, str] = asked["saveDebugTensors"] or {}
    forms: tuple[str, ...] = asked["saveAllDebugTensors"] or ()
    if not named and not forms:
        return
    context, collector = stream.context, Collector()
    for name in named:
        if not context.engine.is_debug_tensor(name):
            raise InputError(f"--saveDebugTensors: {name!r} is not a debug tensor of this engine",
                             try_="build it with --markDebug, or --markUnfusedTensorsAsDebugTensors")
    context.set_debug_listener(collector)
    switch(context, True)
    stream.query()
    switch(context, False)
    context.set_debug_listener(None)
    for name, file in named.items():
        if name not in collector.arrays:
            raise InputError(f"--saveDebugTensors: {name!r} was fused in the profile that is used",
                             try_="build the engine with --markDebug for it")
        put(Path(file), collector.arrays[name].tobytes(), name, log)
    for name, array in collector.arrays.items():
        stem = name.replace("/", "_")
        for form in forms:
            if form == "summary":
                log.info(summary(name, array))
            else:
                put(Path(f"{stem}.{FORMS[form][0]}"), FORMS[form][1](array), name, log)


def switch(context: IExecutionContext, on: bool) -> None:
    context.set_all_tensors_debug_state(on)
    if KEPT in context.engine._plan.metadata:
        context.unfused_tensors_debug_state = on


def put(path: Path, content: bytes, name: str, log: Log) -> None:
    files.write(path, content)
    log.info(f"Debug tensor {name} written to {path}")


def as_numpy(array: np.ndarray) -> bytes:
    """The bytes of an .npy file; types that NumPy lacks become float32."""
    import io
    file = io.BytesIO()
    np.save(file, array if array.dtype.type.__module__ == "numpy" else array.astype(np.float32), allow_pickle=False)
    return file.getvalue()


def as_text(array: np.ndarray) -> bytes:
    """The shape, then an element per line."""
    return "\n".join([shown(array.shape), *map(str, files.numbers(array)), ""]).encode()


def summary(name: str, array: np.ndarray) -> str:
    head = f"Debug tensor {name}: {array.dtype} {shown(array.shape)}"
    if not array.size or array.dtype.kind not in "fiub":
        return head
    values: Any = array.astype(np.float64)
    return f"{head} min = {values.min():.6g}, max = {values.max():.6g}, mean = {values.mean():.6g}, " \
           f"nan = {int(np.isnan(values).sum())}, inf = {int(np.isinf(values).sum())}"


#: Forms of --saveAllDebugTensors → the file's ending and content.
FORMS: dict[str, Any] = {"numpy": ("npy", as_numpy), "raw": ("raw", np.ndarray.tobytes), "string": ("txt", as_text)}
