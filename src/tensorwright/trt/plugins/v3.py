"""Plugins of version 3: one object with up to three capabilities, core, build and runtime.

A plugin's class derives from IPluginV3 and from the classes of its capabilities, and calls each __init__.
"""

from __future__ import annotations

from typing import Any

from ..enums import DataType, PluginCapabilityType
from ..versioned import IVersionedInterface
from .exprs import DimsExprs, IExprBuilder
from .fields import PluginFieldCollection
from .interfaces import IPluginCapability, IPluginResourceContext, copied
from .tensors import DynamicPluginTensorDesc, PluginTensorDesc
from .v2 import undefined


class IPluginV3(IVersionedInterface):
    """The plugin itself: hands out its capabilities, usually itself, and makes copies of itself."""

    _kind = "PLUGIN V3"

    def __init__(self, other: IPluginV3 | None = None) -> None:
        copied(self, other)

    def get_capability_interface(self, type: PluginCapabilityType) -> Any:
        raise undefined(self, "get_capability_interface(type)")

    def clone(self) -> IPluginV3:
        raise undefined(self, "clone()")

    def destroy(self) -> None:
        """The plugin is not needed any more."""


class IPluginV3OneCore(IPluginCapability):
    """Who the plugin is: the name, version and namespace by which its creator is found."""

    _kind = "PLUGIN_V3ONE_CORE"
    plugin_name = ""
    plugin_version = ""
    plugin_namespace = ""

    def __init__(self, other: IPluginV3OneCore | None = None) -> None:
        copied(self, other)


class IPluginV3OneBuild(IPluginCapability):
    """How the plugin takes part in a build.

    Asked in this order: get_output_data_types, get_output_shapes, supports_format_combination, configure_plugin,
    get_valid_tactics, and get_workspace_size.
    """

    _kind = "PLUGIN_V3ONE_BUILD"
    DEFAULT_FORMAT_COMBINATION_LIMIT = 100
    num_outputs = 1
    format_combination_limit = DEFAULT_FORMAT_COMBINATION_LIMIT
    metadata_string = ""
    timing_cache_id = ""

    def __init__(self, other: IPluginV3OneBuild | None = None) -> None:
        copied(self, other)

    def get_output_data_types(self, input_types: list[DataType]) -> list[DataType]:
        return self.get_output_datatypes(input_types)

    def get_output_datatypes(self, input_types: list[DataType]) -> list[DataType]:
        """get_output_data_types, as TensorRT 10.0 to 10.2 spell it."""
        raise undefined(self, "get_output_data_types(input_types)")

    def get_output_shapes(self, inputs: list[DimsExprs], shape_inputs: list[DimsExprs],
                          expr_builder: IExprBuilder) -> list[DimsExprs]:
        raise undefined(self, "get_output_shapes(inputs, shape_inputs, expr_builder)")

    def get_workspace_size(self, in_: list[DynamicPluginTensorDesc], out: list[DynamicPluginTensorDesc]) -> int:
        """Bytes of scratch memory that enqueue needs."""
        return 0

    def configure_plugin(self, in_: list[DynamicPluginTensorDesc], out: list[DynamicPluginTensorDesc]) -> None:
        raise undefined(self, "configure_plugin(inputs, outputs)")

    def supports_format_combination(self, pos: int, in_out: list[DynamicPluginTensorDesc], num_inputs: int) -> bool:
        raise undefined(self, "supports_format_combination(pos, in_out, num_inputs)")

    def get_valid_tactics(self) -> list[int]:
        """Positive numbers of ways to compute; none: there is one way, tactic 0, and set_tactic is not called."""
        return []


class IPluginV3OneBuildV2(IPluginV3OneBuild):
    """A build capability that may say that an output lies in the memory of an input."""

    def __init__(self, other: IPluginV3OneBuildV2 | None = None) -> None:
        super().__init__(other)

    def get_aliased_input(self, output_index: int) -> int:
        """The input whose memory the output shares; -1: none."""
        return -1


class IPluginV3OneRuntime(IPluginCapability):
    """How the plugin runs. For each context: attach_to_context, whose clone is used; set_tactic; on_shape_change when
    shapes are new; enqueue."""

    _kind = "PLUGIN_V3ONE_RUNTIME"

    def __init__(self, other: IPluginV3OneRuntime | None = None) -> None:
        copied(self, other)

    def on_shape_change(self, in_: list[PluginTensorDesc], out: list[PluginTensorDesc]) -> None:
        raise undefined(self, "on_shape_change(inputs, outputs)")

    def set_tactic(self, tactic: int) -> None:
        """Told the tactic to use: one of get_valid_tactics."""

    def get_fields_to_serialize(self) -> PluginFieldCollection:
        raise undefined(self, "get_fields_to_serialize()")

    def enqueue(self, input_desc: list[PluginTensorDesc], output_desc: list[PluginTensorDesc], inputs: list[int],
                outputs: list[int], workspace: int, stream: int) -> None:
        raise undefined(self, "enqueue(input_desc, output_desc, inputs, outputs, workspace, stream)")

    def attach_to_context(self, resource_context: IPluginResourceContext) -> IPluginV3:
        raise undefined(self, "attach_to_context(resource_context)")
