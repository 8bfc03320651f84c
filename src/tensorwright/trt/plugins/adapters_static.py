"""Plugins that see shapes without the batch, or fixed ones: IPlugin, IPluginExt, IPluginV2 and IPluginV2Ext."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from ...dims import Dim
from ...dtypes import DType
from ...errors import UnsupportedError
from ..enums import DataType, TensorFormat
from ..foundation import Dims
from .adapters import Adapter, Formats, Kept, Operand, failed
from .elder import IPlugin, IPluginExt
from .exprs import IExprBuilder
from .tensors import PluginTensorDesc
from .v2 import IPluginV2Ext


class StaticAdapter(Adapter):
    """IPluginV2 and IPluginV2Ext. In a network of explicit batch the batch is one more axis, and batch_size 1."""

    interface = "v2"
    per_sample = True

    @property
    def typed(self) -> bool:
        return isinstance(self.plugin, IPluginV2Ext)

    def output_types(self, types: Sequence[DType], ranks: Sequence[int]) -> list[DataType]:
        given = [self.data_type(t) for t in types]
        if not self.typed:
            return [given[0] if given else DataType.FLOAT] * self.count
        return [self.made("get_output_data_type", i, list(given)) for i in range(self.count)]

    def output_shapes(self, inputs: Sequence[tuple[Dim, ...]], values: Sequence[tuple[Dim, ...]],
                      builder: IExprBuilder) -> list[tuple[Dim, ...]]:
        given = [Dims(self._fixed(shape)) for shape in inputs]
        return [tuple(int(d) for d in self.made("get_output_shape", i, list(given))) for i in range(self.count)]

    def _fixed(self, shape: tuple[Dim, ...]) -> list[int]:
        if not all(isinstance(d, int) for d in shape):
            raise UnsupportedError(f"plugin {self.name} takes fixed shapes, not ({', '.join(map(str, shape))})",
                                   try_="an IPluginV2DynamicExt or IPluginV3 takes shapes that vary")
        return [d for d in shape if isinstance(d, int)]

    def supports(self, position: int, operands: Sequence[Operand], inputs: int, formats: Formats) -> bool:
        return bool(self.call("supports_format", self.data_type(operands[position].dtype),
                              self.kind(TensorFormat).__members__.get(formats[position].name, formats[position])))

    def configure(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        shapes = [Dims(o.high) for o in inputs], [Dims(o.high) for o in outputs]
        types = [self.data_type(o.dtype) for o in inputs], [self.data_type(o.dtype) for o in outputs]
        linear = self.kind(TensorFormat).LINEAR
        if self.typed:
            self.call("configure_plugin", *shapes, *types, [False] * len(inputs), [False] * len(outputs), linear, batch)
        else:
            first = types[0][0] if inputs else self.data_type(DType.float32)
            self.call("configure_with_format", *shapes, first, linear, batch)

    def workspace(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> int:
        return int(self.call("get_workspace_size", batch) or 0)

    def kept(self) -> Kept:
        return Kept(bytes(self.made("serialize")))

    def attach(self, resources: Any) -> Adapter:
        made = self.cloned()
        if self.typed:
            made.call("attach_to_context", None, None, None)
        return made

    def start(self) -> None:
        failed(self.name, "initialize", self.call("initialize"))

    def enqueue(self, inputs: list[PluginTensorDesc], outputs: list[PluginTensorDesc], sources: list[int],
                targets: list[int], workspace: int, stream: int, batch: int) -> None:
        failed(self.name, "execute_async",
               self.call("execute_async", batch, sources, targets, workspace, stream))

    def stop(self) -> None:
        if self.typed:
            self.call("detach_from_context")
        self.call("terminate")
        self.call("destroy")


class ElderAdapter(StaticAdapter):
    """IPlugin and IPluginExt. They have no name, and are not copied: all contexts of an engine use the one there is."""

    interface = "elder"

    @property
    def name(self) -> str:
        return type(self.plugin).__name__

    version, namespace = "1", ""

    @property
    def extended(self) -> bool:
        return isinstance(self.plugin, IPluginExt)

    @property
    def typed(self) -> bool:
        return False

    def supports(self, position: int, operands: Sequence[Operand], inputs: int, formats: Formats) -> bool:
        if self.extended:
            return super().supports(position, operands, inputs, formats)
        return operands[position].dtype is DType.float32 and formats[position] == TensorFormat.LINEAR

    def configure(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        if self.extended:
            super().configure(inputs, outputs, batch)
        else:
            self.call("configure", [Dims(o.high) for o in inputs], [Dims(o.high) for o in outputs], batch)

    def kept(self) -> Kept:
        size = int(self.plugin.serialization_size)
        room = ctypes.create_string_buffer(max(size, 1))
        self.call("serialize", ctypes.addressof(room))
        return Kept(room.raw[:size])

    def cloned(self) -> Adapter:
        return self

    def attach(self, resources: Any) -> Adapter:
        return self

    def stop(self) -> None:
        self.call("terminate")

    def discard(self) -> None:
        """Nothing: there is one object, which is the user's."""


def elder(plugin: Any) -> bool:
    return isinstance(plugin, IPlugin)
