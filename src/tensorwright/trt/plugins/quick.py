"""The interfaces behind decorated plugins (`tensorwright.plugin`): all combinations of formats in one answer."""

from __future__ import annotations

from typing import Any

from ..enums import DataType
from .exprs import DimsExprs, IExprBuilder, ISymExprs, KernelLaunchParams
from .fields import PluginFieldCollection
from .interfaces import IPluginCapability, copied
from .tensors import DynamicPluginTensorDesc, PluginTensorDesc
from .v2 import undefined


class IPluginV3QuickCore(IPluginCapability):
    """Who the plugin is."""

    _kind = "PLUGIN_V3QUICK_CORE"
    plugin_name = ""
    plugin_version = ""
    plugin_namespace = ""

    def __init__(self, other: IPluginV3QuickCore | None = None) -> None:
        copied(self, other)


class IPluginV3QuickBuild(IPluginCapability):
    """How the plugin takes part in a build."""

    _kind = "PLUGIN_V3QUICK_BUILD"
    num_outputs = 1
    metadata_string = ""
    timing_cache_id = ""

    def __init__(self, other: IPluginV3QuickBuild | None = None) -> None:
        copied(self, other)

    def get_num_outputs(self) -> int:
        return self.num_outputs

    def get_output_data_types(self, input_types: list[DataType], ranks: list[int]) -> list[DataType]:
        raise undefined(self, "get_output_data_types(input_types, ranks)")

    def get_output_shapes(self, inputs: list[DimsExprs], shape_inputs: list[DimsExprs],
                          expr_builder: IExprBuilder) -> list[DimsExprs]:
        raise undefined(self, "get_output_shapes(inputs, shape_inputs, expr_builder)")

    def configure_plugin(self, inputs: list[DynamicPluginTensorDesc], outputs: list[DynamicPluginTensorDesc]) -> None:
        """Told the ranges of a profile, and the types and formats that were chosen."""

    def get_supported_format_combinations(self, in_out: list[DynamicPluginTensorDesc],
                                          num_inputs: int) -> list[PluginTensorDesc]:
        """One combination after the other: type and format of every input and output."""
        raise undefined(self, "get_supported_format_combinations(in_out, num_inputs)")

    def get_valid_tactics(self) -> list[int]:
        return []

    def get_aliased_input(self, output_index: int) -> int:
        return -1


class IPluginV3QuickAOTBuild(IPluginV3QuickBuild):
    """A build capability that gives a kernel compiled for a GPU: it cannot run on a CPU."""

    def __init__(self, other: IPluginV3QuickAOTBuild | None = None) -> None:
        super().__init__(other)

    def get_kernel(self, input_desc: list[PluginTensorDesc], output_desc: list[PluginTensorDesc]) -> tuple[str, bytes]:
        raise undefined(self, "get_kernel(input_desc, output_desc)")

    def get_launch_params(self, input_exprs: list[DimsExprs], in_out: list[DynamicPluginTensorDesc], num_inputs: int,
                          launch_params: KernelLaunchParams, extra_args: ISymExprs,
                          expr_builder: IExprBuilder) -> None:
        raise undefined(self, "get_launch_params(input_exprs, in_out, num_inputs, launch_params, extra_args, ...)")

    def set_tactic(self, tactic: int) -> None:
        """Told the tactic to compile."""


class IPluginV3QuickRuntime(IPluginCapability):
    """How the plugin runs."""

    _kind = "PLUGIN_V3QUICK_RUNTIME"

    def __init__(self, other: IPluginV3QuickRuntime | None = None) -> None:
        copied(self, other)

    def enqueue(self, input_desc: list[PluginTensorDesc], output_desc: list[PluginTensorDesc], inputs: list[int],
                outputs: list[int], in_strides: Any, out_strides: Any, stream: int) -> None:
        raise undefined(self, "enqueue(input_desc, output_desc, inputs, outputs, in_strides, out_strides, stream)")

    def set_tactic(self, tactic: int) -> None:
        """Told the tactic to use."""

    def get_fields_to_serialize(self) -> PluginFieldCollection:
        raise undefined(self, "get_fields_to_serialize()")
