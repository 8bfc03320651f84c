"""IPluginV3 with the Quick capabilities: decorated plugins, and classes that users write for these interfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...dtypes import DType
from ...errors import InputError
from ..enums import DataType, TensorFormat
from .adapters import Adapter, Formats, Operand
from .adapters_three import ThreeAdapter
from .tensors import PluginTensorDesc


class QuickAdapter(ThreeAdapter):
    """Capabilities QuickCore, QuickBuild and QuickRuntime."""

    interface = "quick"

    @property
    def count(self) -> int:
        return int(self.call("get_num_outputs", on=self.build))

    def output_types(self, types: Sequence[DType], ranks: Sequence[int]) -> list[DataType]:
        found = self.made("get_output_data_types", [self.data_type(t) for t in types], list(ranks), on=self.build)
        return self.many(found, "get_output_data_types")

    def combinations(self, operands: Sequence[Operand], inputs: int) -> list[list[tuple[DataType, TensorFormat]]]:
        """Types and formats of all inputs and outputs, one combination after the other."""
        found = list(self.made("get_supported_format_combinations", [self.dynamic(o) for o in operands], inputs,
                               on=self.build))
        if len(found) % max(len(operands), 1):
            raise InputError(f"plugin {self.name}: get_supported_format_combinations gave {len(found)} descriptions "
                             f"for its {len(operands)} inputs and outputs")
        items = [(d.type, d.format) for d in found]
        return [items[i:i + len(operands)] for i in range(0, len(items), len(operands))]

    def supports(self, position: int, operands: Sequence[Operand], inputs: int, formats: Formats) -> bool:
        wanted = [(self.data_type(o.dtype), f) for o, f in zip(operands, formats, strict=True)][:position + 1]
        return any(one[:position + 1] == wanted for one in self.combinations(operands, inputs))

    def workspace(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> int:
        return 0

    def attach(self, resources: object) -> Adapter:
        return self.cloned()

    def shapes(self, inputs: Sequence[Operand], outputs: Sequence[Operand], batch: int) -> None:
        """It is told at enqueue."""

    def enqueue(self, inputs: list[PluginTensorDesc], outputs: list[PluginTensorDesc], sources: list[int],
                targets: list[int], workspace: int, stream: int, batch: int) -> None:
        strides = [[dense(tuple(d.dims)) for d in descs] for descs in (inputs, outputs)]
        self.call("enqueue", inputs, outputs, sources, targets, *strides, stream, on=self.runtime)


def dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements between neighbours along each axis, in C order."""
    return tuple(math.prod(shape[i + 1:]) for i in range(len(shape)))
