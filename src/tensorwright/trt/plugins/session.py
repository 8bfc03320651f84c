"""A plugin at work for one context: attached, told its tactic and its shapes, enqueued, and in the end destroyed."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from ...cuda.memory import lent
from ...dims import evaluate, parse
from ...dtypes import DType
from ...errors import InputError
from ...ir import TensorType
from ...plugins import Output, UpTo
from .adapters import Adapter, Operand
from .interfaces import IPluginResourceContext
from .plans import Use
from .tensors import PluginTensorDesc

#: Alignment of memory handed to plugins, in bytes, as on a device.
ALIGNMENT = 256


#: The stream that the thread's execution was submitted to, as a number: what plugins are told.
STREAM: ContextVar[int] = ContextVar("STREAM", default=0)


def submitted(stream: Any) -> None:
    """The thread's next execution is submitted to this stream: a number, or an object that is one; else the default."""
    try:
        STREAM.set(int(stream))
    except (TypeError, ValueError):
        STREAM.set(0)


class Session:
    """Runs one use of a plugin, for one thread at a time.

    plugin   as the engine holds it; the session attaches a plugin of its own
    """

    def __init__(self, use: Use, plugin: Adapter) -> None:
        self.use = use
        self.plugin = plugin.attach(plugin.kind(IPluginResourceContext)())
        self.plugin.start()
        if use.tactic:
            self.plugin.set_tactic(use.tactic)
        self._key: Any = None                              # what the plugin was told last
        self._types: list[TensorType] = []
        self._declared: Sequence[TensorType | Output] = ()
        self._descs: tuple[list[PluginTensorDesc], list[PluginTensorDesc]] = [], []
        self._batch = 1
        self._workspace = np.empty(0, np.uint8)
        self._open = True

    def run(self, arrays: Sequence[np.ndarray], values: Sequence[Sequence[int]],
            targets: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """The outputs. arrays: what the plugin sees. values: of its shape inputs. targets: where outputs may be
        written, dense arrays of their shapes; those whose size the plugin decides are made here."""
        key = [(a.shape, a.dtype) for a in arrays], values
        if key != self._key:
            self._told([TensorType(a.shape, DType.of(a)) for a in arrays], values)
            self._key = key
        sources = [aligned(a) for a in arrays]
        results = [self._room(d, t) for d, t in zip(self._declared, targets, strict=True)]
        for result, source in zip(results, self.use.aliased, strict=False):
            if source >= 0:
                result.reshape(-1)[...] = sources[source].reshape(-1)
        inside = [self._aliased_by(i, results, s) for i, s in enumerate(sources)]
        workspace = address(self._workspace) if self._workspace.size else 0
        given, made = [address(a) for a in inside], [address(a) for a in results]
        shown = [(p, a.nbytes) for p, a in zip((*given, *made), (*inside, *results), strict=True)]
        with lent(*shown, (workspace, self._workspace.size)):     # scripts may copy it as they copy a device's memory
            self.plugin.enqueue(*self._descs, given, made, workspace, STREAM.get(), self._batch)
        return self._cut(results, values) if self.use.sizes else results

    def close(self) -> None:
        """The plugin ends. Once."""
        if self._open:
            self._open = False
            self.plugin.stop()

    def _told(self, types: list[TensorType], values: Sequence[Sequence[int]]) -> None:
        """Tell the plugin shapes that are new, and have scratch memory for them."""
        lead, self._types = self.use.lead, types
        self._declared = self.use.outputs(types, values)
        self._batch = int(types[0].shape[0]) if lead and types else 1  # type: ignore[arg-type]
        inputs = [Operand.exactly(t.dtype, tuple(map(int, t.shape[lead:]))) for t in types]  # type: ignore[arg-type]
        outputs = [Operand.exactly(d.dtype, sizes(d)[lead:]) for d in self._declared]
        self.plugin.shapes(inputs, outputs, self._batch)
        self._descs = [self.plugin.desc(o) for o in inputs], [self.plugin.desc(o) for o in outputs]
        needed = self.use.workspace
        if self.use.interface not in ("v3", "quick"):        # those of version 3 have said it when they were built
            needed = max(needed, self.plugin.workspace(inputs, outputs, self._batch))
        if needed > self._workspace.size:
            self._workspace = room((needed,), np.dtype(np.uint8))

    @staticmethod
    def _room(declared: TensorType | Output, target: np.ndarray | None) -> np.ndarray:
        shape, dtype = sizes(declared), declared.dtype.numpy
        if target is not None and target.flags.c_contiguous and target.shape == shape and target.dtype == dtype \
                and target.flags.writeable:
            return target
        return room(shape, dtype)

    def _aliased_by(self, number: int, results: Sequence[np.ndarray], source: np.ndarray) -> np.ndarray:
        """The memory of an input: that of the output that lies in it, if there is one."""
        shared = [r for r, i in zip(results, self.use.aliased, strict=False) if i == number]
        return shared[0] if shared else source

    def _cut(self, results: list[np.ndarray], values: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Outputs whose size the plugin decided, in the shape it said: its elements lie densely from the start."""
        found = {name: int(results[o].reshape(-1)[0]) for name, (o, _) in self.use.sizes.items()}
        env = {k: int(d) for k, d in self.use.environment(self._types, values).items()}  # type: ignore[arg-type]
        for name, (output, upper) in self.use.sizes.items():
            if not 0 <= found[name] <= (most := evaluate(parse(upper), env)):
                raise InputError(f"plugin {self.plugin.name}: output {output}, a size tensor, says {found[name]}; "
                                 f"declared was at most {most}")
        made = []
        for result, rule in zip(results, self.use.rules, strict=True):
            shape = tuple(evaluate(parse(d), {**env, **found}) for d in rule.shape)
            count = math.prod(shape)
            if count > result.size:
                raise InputError(f"plugin {self.plugin.name}: an output of shape {shape} has more elements than the "
                                 f"{result.size} declared", at=self.use.layer)
            made.append(result if shape == result.shape else result.reshape(-1)[:count].reshape(shape))
        return made


def sizes(declared: TensorType | Output) -> tuple[int, ...]:
    """A shape of plain integers, upper bounds where the plugin decides."""
    return tuple(int(d.bound if isinstance(d, UpTo) else d) for d in declared.shape)  # type: ignore[arg-type]


def room(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A dense array at an address that is a multiple of ALIGNMENT."""
    count = math.prod(shape) * dtype.itemsize
    raw = np.empty(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start:start + count].view(dtype).reshape(shape)


def aligned(array: np.ndarray) -> np.ndarray:
    """The array if it is dense and begins on its element's boundary, else a dense copy."""
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    copy = room(array.shape, array.dtype)
    copy[...] = array
    return copy


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def array_of(desc: Any, pointer: int) -> np.ndarray:
    """The tensor that a PluginTensorDesc describes, at an address: a NumPy array over its memory."""
    from ..foundation import ours
    dtype = ours(desc.type).numpy
    shape = tuple(desc.dims)
    count = math.prod(shape)
    if not count:
        return np.empty(shape, dtype)
    memory = (ctypes.c_uint8 * (count * dtype.itemsize)).from_address(int(pointer))
    return np.frombuffer(memory, dtype).reshape(shape)
