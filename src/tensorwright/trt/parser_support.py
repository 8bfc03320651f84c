"""The part of OnnxParser that says which parts of a model it can parse, and takes models in pieces."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..importer.survey import Fault, Survey, survey
from .enums import OnnxParserFlag
from .parser_error import ParserErrors

if TYPE_CHECKING:
    from .config import IBuilderConfig


class NodeIndices(list[int]):
    """Indices of nodes in a model's graph."""


class SubGraphCollection(list[tuple[NodeIndices, bool]]):
    """Groups of nodes, each with whether it is certain to be supported as it is."""


class ModelSupport(ParserErrors):
    """Nodes that cannot be parsed are in no group; they separate the groups. A group is not certain where types come
    from such a node and the model does not declare them: cut it out and ask again."""

    _groups: list[tuple[list[int], bool]]
    _config: IBuilderConfig | None

    def supports_model(self, model: Any, path: str | None = None) -> tuple[bool, SubGraphCollection]:
        """Whether the model can be parsed, and its groups of supported nodes."""
        worked = self._surveyed(model, path)
        node_indices, collection = self._class(NodeIndices), self._class(SubGraphCollection)
        return worked, collection((node_indices(nodes), certain) for nodes, certain in self._groups)

    def supports_model_v2(self, model: Any, path: str | None = None) -> bool:
        """Whether the model can be parsed. Its groups are then in num_subgraphs, get_subgraph_nodes and
        is_subgraph_supported, and the reasons in num_errors and get_error."""
        return self._surveyed(model, path)

    @property
    def num_subgraphs(self) -> int:
        return len(self._groups)

    def get_subgraph_nodes(self, index: int) -> list[int]:
        """IndexError for a group that there is not."""
        return list(self._group(index)[0])

    def is_subgraph_supported(self, index: int) -> bool:
        return self._group(index)[1]

    def _group(self, index: int) -> tuple[list[int], bool]:
        if not 0 <= index < len(self._groups):
            raise IndexError(f"group {index} was asked for, there are {len(self._groups)}")
        return self._groups[index]

    def _surveyed(self: Any, model: Any, path: str | None) -> bool:
        found = self._tried(bytes(model), os.path.dirname(path) or "." if path else None)
        if self.get_flag(OnnxParserFlag.REPORT_CAPABILITY_DLA):
            found = Survey(found.count, [Fault(InputError("this machine has no DLA"), n) for n in range(found.count)])
        self._object(found.faults)
        self._groups = found.groups()
        return not found.faults

    def _tried(self: Any, model: Any, base: Any) -> Survey:
        """What becomes of each node when the model is parsed."""
        return survey(model, base, self.get_flag(OnnxParserFlag.ENABLE_PLUGIN_OVERRIDE), values_are_sizes=True)

    # ---- models in pieces

    def parse_model_proto(self: Any) -> bool:
        """Parse the model that load_model_proto took."""
        if self._loaded is None:
            return bool(self._object([Fault(InputError("no model is loaded", try_="load_model_proto"))]))
        return bool(self._parse(self._loaded.proto, self._loaded.base))

    def parse_with_weight_descriptors(self: Any, model: Any) -> bool:
        """parse(model): weights are in the model itself."""
        return bool(self.parse(model))

    def set_builder_config(self, builder_config: IBuilderConfig) -> bool:
        """The configuration that the network will be built with. Kept; what can be parsed does not depend on it."""
        self._config = builder_config
        return True

    def get_used_vc_plugin_libraries(self) -> list[str]:
        """Empty: no plugin library that a version-compatible plan would have to carry is used by the parser."""
        return []


def get_nv_onnx_parser_version() -> int:
    """10000 · major + 100 · minor + patch of the parser's interface."""
    return 100


def shutdown_protobuf_library() -> None:
    """Nothing needs to be shut down: models are read by the onnx package."""
