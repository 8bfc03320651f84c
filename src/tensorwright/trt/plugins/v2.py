"""Plugins of version 2: IPluginV2 and IPluginV2Ext know shapes without the batch, IPluginV2DynamicExt knows all.

Subclasses define the hooks; a hook signals failure by raising. What a base class leaves out raises NotImplementedError,
which fails the build, or the run, with the hook's name in the log.
"""

from __future__ import annotations

from typing import Any

from ..enums import DataType, TensorFormat
from ..foundation import Closed, Dims
from .exprs import DimsExprs, IExprBuilder
from .interfaces import copied
from .tensors import DynamicPluginTensorDesc, PluginTensorDesc


def undefined(plugin: Any, hook: str) -> NotImplementedError:
    return NotImplementedError(f"{type(plugin).__name__} does not define {hook}")


class IPluginV2(Closed):
    """A plugin over tensors whose shapes leave out the batch, run by execute_async: generations 5 to 8."""

    num_outputs = 1
    plugin_type = ""
    plugin_version = "1"
    plugin_namespace = ""

    @property
    def tensorrt_version(self) -> int:
        """The version of TensorRT that the plugin's interface is of: 1000 times the generation."""
        return (self._number or 10) * 1000

    def get_output_shape(self, index: int, input_shapes: list[Dims]) -> Dims:
        raise undefined(self, "get_output_shape(index, input_shapes)")

    def supports_format(self, dtype: DataType, format: TensorFormat) -> bool:
        """Whether inputs and outputs may be of this type and format. Default: float32, linear."""
        return dtype == DataType.FLOAT and format == TensorFormat.LINEAR

    def configure_with_format(self, input_shapes: list[Dims], output_shapes: list[Dims], dtype: DataType,
                              format: TensorFormat, max_batch_size: int) -> None:
        """Told what was chosen, before serialize and initialize."""

    def initialize(self) -> Any:
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
        return len(bytes(self.serialize()))

    def serialize(self) -> Any:
        """The plugin's parameters as bytes, from which its creator makes it again."""
        return b""

    def destroy(self) -> None:
        """The plugin is not needed any more."""

    def clone(self) -> Any:
        """A plugin of the same parameters."""
        made = type(self).__new__(type(self))
        copied(made, self)
        return made


class IPluginV2Ext(IPluginV2):
    """A plugin of version 2 that also says the types of its outputs and is told how it is used."""

    def get_output_data_type(self, index: int, input_types: list[DataType]) -> DataType:
        return input_types[0] if input_types else DataType.FLOAT

    def configure_plugin(self, input_shapes: list[Dims], output_shapes: list[Dims], input_types: list[DataType],
                         output_types: list[DataType], input_is_broadcasted: list[bool],
                         output_is_broacasted: list[bool], format: TensorFormat, max_batch_size: int) -> None:
        """Told what was chosen, in place of configure_with_format."""

    def attach_to_context(self, cudnn: Any, cublas: Any, allocator: Any) -> None:
        """A context begins to use this plugin. The three are None: there is no GPU library here."""

    def detach_from_context(self) -> None:
        """The context ends."""


class IPluginV2DynamicExtBase(IPluginV2):
    """What IPluginV2DynamicExt has from its base."""


class IPluginV2DynamicExt(IPluginV2DynamicExtBase):
    """A plugin whose shapes include the batch and may vary: set num_outputs, plugin_type, plugin_version and
    plugin_namespace in __init__, define the hooks that raise here, and more where the defaults do not fit.

    When a network is built: supports_format_combination, get_output_datatype, get_output_dimensions, configure_plugin,
    get_workspace_size, serialize. For each context: clone, initialize, enqueue, terminate, destroy.
    """

    #: How many positions a combination of formats may have.
    FORMAT_COMBINATION_LIMIT = 100

    def __init__(self, other: IPluginV2DynamicExt | None = None) -> None:
        copied(self, other)

    def initialize(self) -> None:
        pass

    def terminate(self) -> None:
        pass

    def destroy(self) -> None:
        pass

    def serialize(self) -> bytes:
        raise undefined(self, "serialize()")

    def get_serialization_size(self) -> int:
        """Bytes that serialize() gives."""
        return len(bytes(self.serialize()))

    def get_output_datatype(self, index: int, input_types: list[DataType]) -> DataType:
        raise undefined(self, "get_output_datatype(index, input_types)")

    def get_output_dimensions(self, output_index: int, inputs: list[DimsExprs],
                              expr_builder: IExprBuilder) -> DimsExprs:
        raise undefined(self, "get_output_dimensions(output_index, inputs, expr_builder)")

    def get_workspace_size(self, in_: list[PluginTensorDesc],  # type: ignore[override]
                           out: list[PluginTensorDesc]) -> int:
        """Bytes of scratch memory that enqueue needs."""
        return 0

    def configure_plugin(self, inputs: list[DynamicPluginTensorDesc], outputs: list[DynamicPluginTensorDesc]) -> None:
        raise undefined(self, "configure_plugin(inputs, outputs)")

    def supports_format_combination(self, pos: int, in_out: list[PluginTensorDesc], num_inputs: int) -> bool:
        raise undefined(self, "supports_format_combination(pos, in_out, num_inputs)")

    def enqueue(self, input_desc: list[PluginTensorDesc], output_desc: list[PluginTensorDesc], inputs: list[int],
                outputs: list[int], workspace: int, stream: int) -> None:
        raise undefined(self, "enqueue(input_desc, output_desc, inputs, outputs, workspace, stream)")

    def clone(self) -> IPluginV2DynamicExt:
        raise undefined(self, "clone()")
