"""IPluginV3: every hook is asked of the capability that has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...dims import Dim
from ...dtypes import DType
from ...errors import InputError
from ..enums import DataType, PluginCapabilityType
from .adapters import Adapter, Formats, Kept, Operand, call
from .exprs import IExprBuilder
from .interfaces import IPluginResourceContext
from .tensors import PluginTensorDesc
from .v3 import IPluginV3OneBuild

DEFAULT_LIMIT = IPluginV3OneBuild.DEFAULT_FORMAT_COMBINATION_LIMIT


class ThreeAdapter(Adapter):
    """IPluginV3 with the capabilities OneCore, OneBuild and OneRuntime."""

    interface = "v3"

    def __init__(self, plugin: Any) -> None:
        super().__init__(plugin)
        self._capabilities: dict[PluginCapabilityType, Any] = {}

    def capability(self, kind: PluginCapabilityType) -> Any:
        """The plugin's object for a capability. InputError when it has none."""
        if kind not in self._capabilities:
            found = self.made("get_capability_interface", self.kind(PluginCapabilityType)[kind.name])
            self._capabilities[kind] = found
        return self._capabilities[kind]

    @property
    def core(self) -> Any:
        return self.capability(PluginCapabilityType.CORE)

    @property
    def build(self) -> Any:
        return self.capability(PluginCapabilityType.BUILD)

    @property
    def runtime(self) -> Any:
        return self.capability(PluginCapabilityType.RUNTIME)

    @property
    def name(self) -> str:
        core = call(self.plugin, "get_capability_interface", self.kind(PluginCapabilityType).CORE,
                    title=type(self.plugin).__name__)
        return str(getattr(core, "plugin_name", "")) or type(self.plugin).__name__

    @property
    def version(self) -> str:
        return str(self.core.plugin_version)

    @property
    def namespace(self) -> str:
        return str(self.core.plugin_namespace)

    @property
    def count(self) -> int:
        return int(self.build.num_outputs)

    def output_types(self, types: Sequence[DType], ranks: Sequence[int]) -> list[DataType]:
        found = self.made("get_output_data_types", [self.data_type(t) for t in types], on=self.build)
        return self.many(found, "get_output_data_types")

    def many(self, found: Any, hook: str) -> list[Any]:
        """A hook's answer for all outputs. InputError for another number of them."""
        items = list(found)
        if len(items) != self.count:
            raise InputError(f"plugin {self.name}: {hook} gave {len(items)} answers for {self.count} outputs")
        return items

    def output_shapes(self, inputs: Sequence[tuple[Dim, ...]], values: Sequence[tuple[Dim, ...]],
                      builder: IExprBuilder) -> list[tuple[Dim, ...]]:
        found = self.made("get_output_shapes", self.exprs(inputs), self.exprs(values), builder, on=self.build)
        return [self.dims(shape, "get_output_shapes") for shape in self.many(found, "get_output_shapes")]

    def supports(self, position: int, operands: Sequence[Operand], inputs: int, formats: Formats) -> bool:
        descs = [self.dynamic(o, f) for o, f in zip(operands, formats, strict=True)]
        return bool(self.call("supports_format_combination", position, descs, inputs, on=self.build))

    def configure(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        self.call("configure_plugin", [self.dynamic(o) for o in inputs], [self.dynamic(o) for o in outputs],
                  on=self.build)

    def workspace(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> int:
        return int(self.call("get_workspace_size", [self.dynamic(o) for o in inputs],
                             [self.dynamic(o) for o in outputs], on=self.build) or 0)

    def tactics(self) -> list[int]:
        return [int(t) for t in self.call("get_valid_tactics", on=self.build) or ()]

    def aliased(self, output: int) -> int:
        build = self.build
        return int(self.call("get_aliased_input", output, on=build)) if hasattr(build, "get_aliased_input") else -1

    def without_effect(self) -> list[str]:
        build = self.build
        made = {"timing_cache_id": getattr(build, "timing_cache_id", "") != "", "format_combination_limit": getattr(
            build, "format_combination_limit", DEFAULT_LIMIT) != DEFAULT_LIMIT}
        return [name for name, is_made in made.items() if is_made]

    @property
    def metadata(self) -> str:
        return str(getattr(self.build, "metadata_string", ""))

    def kept(self) -> Kept:
        return Kept(fields=tuple((f.name, f.type.name, int(f.size), f._bytes()) for f in
                                 self.made("get_fields_to_serialize", on=self.runtime)))

    def attach(self, resources: IPluginResourceContext) -> Adapter:
        return type(self)(self.made("attach_to_context", resources, on=self.runtime))

    def set_tactic(self, tactic: int) -> None:
        self.call("set_tactic", tactic, on=self.runtime)

    def shapes(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        self.call("on_shape_change", [self.desc(o) for o in inputs], [self.desc(o) for o in outputs], on=self.runtime)

    def enqueue(self, inputs: list[PluginTensorDesc], outputs: list[PluginTensorDesc], sources: list[int],
                targets: list[int], workspace: int, stream: int, batch: int) -> None:
        self.call("enqueue", inputs, outputs, sources, targets, workspace, stream, on=self.runtime)
