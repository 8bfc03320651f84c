"""One way to speak with plugins of every interface: what a build asks them, and what a run tells them.

An Adapter calls a plugin's hooks with the classes of the plugin's own generation. What a hook raises is printed to
standard error, as TensorRT does, and becomes an InputError that names the plugin and the hook.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from ...dims import Dim
from ...dtypes import DType
from ...errors import InputError
from ..enums import DataType, TensorFormat
from ..foundation import Dims, theirs
from .exprs import DimsExprs, IDimensionExpr, IExprBuilder
from .fields import PluginField, PluginFieldCollection_
from .interfaces import IPluginResourceContext
from .tensors import DynamicPluginTensorDesc, PluginTensorDesc

T = TypeVar("T")
Formats = Sequence[TensorFormat]


@dataclass(frozen=True)
class Operand:
    """A tensor as a plugin is told of it: its shape (-1 where unknown), and the ranges of a profile."""

    dtype: DType
    shape: tuple[int, ...]
    low: tuple[int, ...]
    best: tuple[int, ...]
    high: tuple[int, ...]

    @classmethod
    def exactly(cls, dtype: DType, shape: tuple[int, ...]) -> Operand:
        return cls(dtype, shape, shape, shape, shape)


@dataclass(frozen=True)
class Kept:
    """What a plan keeps of a plugin: bytes (version 2), or fields as (name, PluginFieldType's name, count, bytes)."""

    data: bytes = b""
    fields: tuple[tuple[str, str, int, bytes], ...] = ()


class Adapter:
    """A plugin, behind one interface for all of theirs. Subclasses say how each kind of plugin is spoken with."""

    interface: ClassVar[str] = ""
    #: Whether the build and the run know the shapes without their batch.
    per_sample: ClassVar[bool] = False

    def __init__(self, plugin: Any) -> None:
        self.plugin = plugin

    # ---- who it is

    @property
    def name(self) -> str:
        return str(self.plugin.plugin_type)

    @property
    def version(self) -> str:
        return str(self.plugin.plugin_version)

    @property
    def namespace(self) -> str:
        return str(self.plugin.plugin_namespace)

    @property
    def count(self) -> int:
        """How many outputs it has."""
        return int(self.plugin.num_outputs)

    # ---- what a build asks

    def output_types(self, types: Sequence[DType], ranks: Sequence[int]) -> list[DataType]:
        raise NotImplementedError

    def output_shapes(self, inputs: Sequence[tuple[Dim, ...]], values: Sequence[tuple[Dim, ...]],
                      builder: IExprBuilder) -> list[tuple[Dim, ...]]:
        raise NotImplementedError

    def supports(self, position: int, operands: Sequence[Operand], inputs: int, formats: Formats) -> bool:
        raise NotImplementedError

    def configure(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        raise NotImplementedError

    def workspace(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> int:
        raise NotImplementedError

    def tactics(self) -> list[int]:
        return []

    def aliased(self, output: int) -> int:
        return -1

    def without_effect(self) -> list[str]:
        """Names of settings that the plugin has made and that change nothing here."""
        return []

    @property
    def metadata(self) -> str:
        """What the plugin says of itself, for its layer."""
        return ""

    def kept(self) -> Kept:
        raise NotImplementedError

    def cloned(self) -> Adapter:
        return type(self)(self.made("clone"))

    # ---- what a run tells

    def attach(self, resources: IPluginResourceContext) -> Adapter:
        """The plugin that one context uses."""
        return self.cloned()

    def start(self) -> None:
        """Before the first execution."""

    def set_tactic(self, tactic: int) -> None:
        """Which of its tactics to use."""

    def shapes(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        """Shapes are new."""

    def enqueue(self, inputs: list[PluginTensorDesc], outputs: list[PluginTensorDesc], sources: list[int],
                targets: list[int], workspace: int, stream: int, batch: int) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """After the last execution."""
        self.call("destroy")

    def discard(self) -> None:
        """A copy that a build configured is not needed any more."""
        self.call("destroy")

    # ---- helpers

    def kind(self, cls: type[T]) -> type[T]:
        """A class of ours in the plugin's generation."""
        return self.plugin._class(cls)  # type: ignore[no-any-return]

    def call(self, hook: str, *args: Any, on: Any = None) -> Any:
        return call(self.plugin if on is None else on, hook, *args, title=self.name)

    def made(self, hook: str, *args: Any, on: Any = None) -> Any:
        """What a hook gives, which must not be None."""
        result = self.call(hook, *args, on=on)
        if result is None:
            raise InputError(f"plugin {self.name}: {hook} gave None")
        return result

    def data_type(self, dtype: DType) -> DataType:
        ours = theirs(dtype)
        found: DataType = self.kind(DataType).__members__.get(ours.name, ours)
        return found

    def desc(self, operand: Operand, shape: Sequence[int] | None = None,
             format: TensorFormat = TensorFormat.LINEAR) -> PluginTensorDesc:
        found = self.kind(PluginTensorDesc)()
        found.dims = Dims(operand.shape if shape is None else shape)
        found.type, found.scale = self.data_type(operand.dtype), 1.0
        found.format = self.kind(TensorFormat).__members__.get(format.name, format)
        return found

    def dynamic(self, operand: Operand, format: TensorFormat = TensorFormat.LINEAR) -> DynamicPluginTensorDesc:
        found = self.kind(DynamicPluginTensorDesc)()
        found.desc = self.desc(operand, format=format)
        found.min, found.opt, found.max = Dims(operand.low), Dims(operand.best), Dims(operand.high)
        return found

    def exprs(self, shapes: Sequence[tuple[Dim, ...]]) -> list[DimsExprs]:
        one = self.kind(IDimensionExpr)
        return [self.kind(DimsExprs)([one(d) for d in shape]) for shape in shapes]

    def dims(self, shape: Any, hook: str) -> tuple[Dim, ...]:
        """The dimensions of a DimsExprs that a hook gave. InputError for anything else."""
        items: list[Any] = [shape[i] for i in range(len(shape))] if isinstance(shape, (DimsExprs, list, tuple)) else [0]
        if not all(isinstance(d, IDimensionExpr) for d in items):
            raise InputError(f"plugin {self.name}: {hook} gave {shape!r} where a DimsExprs is needed, each of whose "
                             "dimensions is an IDimensionExpr")
        return tuple(d._dim for d in items)


def call(target: Any, hook: str, *args: Any, title: str) -> Any:
    """Call a hook. InputError, after printing the traceback, for whatever it raises."""
    try:
        return getattr(target, hook)(*args)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        raise InputError(f"plugin {title}: {hook} raised {type(error).__name__}: {error}") from error


class DynamicAdapter(Adapter):
    """IPluginV2DynamicExt."""

    interface = "v2 dynamic"

    def output_types(self, types: Sequence[DType], ranks: Sequence[int]) -> list[DataType]:
        given = [self.data_type(t) for t in types]
        return [self.made("get_output_datatype", i, list(given)) for i in range(self.count)]

    def output_shapes(self, inputs: Sequence[tuple[Dim, ...]], values: Sequence[tuple[Dim, ...]],
                      builder: IExprBuilder) -> list[tuple[Dim, ...]]:
        return [self.dims(self.made("get_output_dimensions", i, self.exprs(inputs), builder), "get_output_dimensions")
                for i in range(self.count)]

    def supports(self, position: int, operands: Sequence[Operand], inputs: int, formats: Formats) -> bool:
        descs = [self.desc(o, format=f) for o, f in zip(operands, formats, strict=True)]
        return bool(self.call("supports_format_combination", position, descs, inputs))

    def configure(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        self.call("configure_plugin", [self.dynamic(o) for o in inputs], [self.dynamic(o) for o in outputs])

    def workspace(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> int:
        return int(self.call("get_workspace_size", [self.desc(o, o.high) for o in inputs],
                             [self.desc(o, o.high) for o in outputs]) or 0)

    def kept(self) -> Kept:
        data = bytes(self.made("serialize"))
        if (told := self.call("get_serialization_size")) != len(data):
            raise InputError(f"plugin {self.name}: serialize gave {len(data)} bytes, get_serialization_size says "
                             f"{told}")
        return Kept(data)

    def start(self) -> None:
        failed(self.name, "initialize", self.call("initialize"))

    def shapes(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        self.configure(inputs, outputs, batch)

    def enqueue(self, inputs: list[PluginTensorDesc], outputs: list[PluginTensorDesc], sources: list[int],
                targets: list[int], workspace: int, stream: int, batch: int) -> None:
        self.call("enqueue", inputs, outputs, sources, targets, workspace, stream)

    def stop(self) -> None:
        self.call("terminate")
        self.call("destroy")


def failed(title: str, hook: str, status: Any) -> None:
    """InputError for a status that a hook returned other than None and 0."""
    if status not in (None, 0, False):
        raise InputError(f"plugin {title}: {hook} returned {status!r}: a failure")


def fields_of(kept: Kept, kind: type[PluginField], types: Any) -> PluginFieldCollection_:
    """The fields that a plugin gave to be kept, for its creator. types: PluginFieldType of the creator's generation."""
    import numpy as np
    return PluginFieldCollection_(_sized(kind(name, np.frombuffer(data, np.uint8), types[type_]), count)
                                  for name, type_, count, data in kept.fields)


def _sized(field: PluginField, count: int) -> PluginField:
    field.size = count
    return field
