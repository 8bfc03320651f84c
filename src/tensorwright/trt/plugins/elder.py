"""Plugins of generations 5 to 7: IPlugin and its factory, by which an engine that has such layers is read again."""

from __future__ import annotations

from typing import Any

from ..enums import DataType, TensorFormat
from ..foundation import Closed, Dims
from .v2 import undefined


class IPlugin(Closed):
    """A float32 plugin over tensors whose shapes leave out the batch. It has no name: factories go by its layer's."""

    num_outputs = 1

    def get_output_shape(self, index: int, input_shapes: list[Dims]) -> Dims:
        raise undefined(self, "get_output_shape(index, input_shapes)")

    def configure(self, input_shapes: list[Dims], output_shapes: list[Dims], max_batch_size: int) -> None:
        """Told the shapes, before initialize."""

    def initialize(self) -> int:
        """Called before the first execution. A number other than 0 is a failure."""
        return 0

    def terminate(self) -> None:
        """Called after the last execution."""

    def get_workspace_size(self, max_batch_size: int) -> int:
        return 0

    def execute_async(self, batch_size: int, inputs: list[int], outputs: list[int], workspace: int,
                      stream_handle: int) -> int:
        """Compute outputs, at their addresses, from inputs. A number other than 0 is a failure."""
        raise undefined(self, "execute_async(batch_size, inputs, outputs, workspace, stream_handle)")

    @property
    def serialization_size(self) -> int:
        """Bytes that serialize writes."""
        return 0

    def serialize(self, buffer: int) -> None:
        """Write the plugin's parameters, serialization_size bytes, to an address."""


class IPluginExt(IPlugin):
    """An IPlugin that says which types and formats it takes."""

    @property
    def tensorrt_version(self) -> int:
        return (self._number or 7) * 1000

    def supports_format(self, dtype: DataType, format: TensorFormat) -> bool:
        return dtype == DataType.FLOAT and format == TensorFormat.LINEAR

    def configure_with_format(self, input_shapes: list[Dims], output_shapes: list[Dims], dtype: DataType,
                              format: TensorFormat, max_batch_size: int) -> None:
        """Told what was chosen, in place of configure."""


class IPluginFactory(Closed):
    """Makes the IPlugin of a layer again: the second argument of Runtime.deserialize_cuda_engine."""

    def create_plugin(self, layer_name: str, serialized_plugin: Any) -> IPlugin:
        raise undefined(self, "create_plugin(layer_name, serialized_plugin)")
