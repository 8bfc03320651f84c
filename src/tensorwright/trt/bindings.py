"""Tensors by number, as generations 5 to 8 address them: "bindings".

An engine with P profiles has P blocks of bindings, each with all tensors in order; the names in block k > 0 end with
" [profile k]". A context takes and gives numbers of the block of its profile.
"""

from __future__ import annotations

from typing import Any, Union

from .enums import DataType, TensorFormat, TensorIOMode, TensorLocation
from .foundation import IMPLICIT_BATCH, Closed, Dims, Shape

Binding = Union[int, str]


class EngineBindings(Closed):
    """The part of ICudaEngine that numbers tensors. All of it is told by the tensors' names."""

    def _tensor(self: Any, binding: Binding) -> str:
        """The tensor that a binding's number or name stands for; "" when there is none."""
        if isinstance(binding, str):
            name, _, profile = binding.partition(" [profile ")
            known = name in self._names and (not profile or profile[:-1].isdigit())
            return name if known else "" if profile else binding
        return self._names[binding % len(self._names)] if 0 <= binding < self.num_bindings else ""

    @property
    def num_bindings(self: Any) -> int:
        return len(self._names) * self.num_optimization_profiles

    def __len__(self: Any) -> int:
        return self.num_bindings

    def __bool__(self) -> bool:
        return True

    def get_binding_name(self: Any, index: int) -> str | None:
        """None when out of range."""
        if not 0 <= index < self.num_bindings:
            return None
        profile, place = divmod(index, len(self._names))
        return self._names[place] + (f" [profile {profile}]" if profile else "")

    def get_binding_index(self: Any, name: str) -> int:
        """-1 for an unknown name."""
        tensor = self._tensor(name)
        if tensor not in self._names:
            return -1
        profile = int(name.rpartition(" [profile ")[2][:-1]) if tensor != name else 0
        inside = profile < self.num_optimization_profiles
        return self._names.index(tensor) + profile * len(self._names) if inside else -1

    def binding_is_input(self: Any, index: Binding) -> bool:
        return self.get_tensor_mode(self._tensor(index)) == TensorIOMode.INPUT

    def get_binding_shape(self: Any, index: Binding) -> Dims:
        """-1 for sizes that only run time knows; empty for an unknown binding."""
        name = self._tensor(index)
        return self.get_tensor_shape(name) if name in self._names else Dims()

    def get_binding_dtype(self: Any, index: Binding) -> DataType:
        return self.get_tensor_dtype(self._tensor(index))

    def get_location(self: Any, index: Binding) -> TensorLocation:
        return self.get_tensor_location(self._tensor(index))

    def get_binding_format(self: Any, index: int) -> TensorFormat:
        return self.get_tensor_format(self._tensor(index))

    def get_binding_format_desc(self: Any, index: int) -> str:
        return self.get_tensor_format_desc(self._tensor(index))

    def get_binding_vectorized_dim(self: Any, index: int) -> int:
        return self.get_tensor_vectorized_dim(self._tensor(index))

    def get_binding_bytes_per_component(self: Any, index: int) -> int:
        return self.get_tensor_bytes_per_component(self._tensor(index))

    def get_binding_components_per_element(self: Any, index: int) -> int:
        return self.get_tensor_components_per_element(self._tensor(index))

    def is_shape_binding(self: Any, binding: int) -> bool:
        return self.is_shape_inference_io(self._tensor(binding))

    def is_execution_binding(self: Any, binding: int) -> bool:
        """True: every tensor needs an address."""
        return self._tensor(binding) in self._names

    def get_profile_shape(self: Any, profile_index: int, binding: Binding) -> list[Dims]:
        """[min, opt, max] of an input."""
        return self.get_tensor_profile_shape(self._tensor(binding), profile_index)

    @property
    def max_batch_size(self: Any) -> int:
        """1 when batch is explicit, an axis like the others."""
        return int(self._plan.metadata.get(IMPLICIT_BATCH, 1))

    @property
    def max_workspace_size(self: Any) -> int:
        """Bytes of working memory of a context."""
        return self.device_memory_size


class ContextBindings(Closed):
    """The part of IExecutionContext that numbers tensors."""

    def _named(self: Any, binding: int) -> str:
        return str(self._engine._tensor(int(binding)))

    def get_binding_shape(self: Any, binding: int) -> Dims:
        return self.get_tensor_shape(self._named(binding))

    def set_binding_shape(self: Any, binding: int, shape: Shape) -> bool:
        """False for a number outside the block of the active profile, and for sizes outside the profile."""
        block = int(binding) // len(self._engine._names)
        if self._named(binding) and block not in (0, self._index):
            return self._refuse(f"binding {binding} belongs to profile {block}, active is {self._index}")
        return self.set_input_shape(self._named(binding), shape)

    def get_strides(self: Any, binding: int) -> Dims:
        return self.get_tensor_strides(self._named(binding))

    def execute_async_v2(self: Any, bindings: list[int], stream_handle: Any,
                         input_consumed: Any = None) -> bool:
        """execute_v2; the results are there when it returns. input_consumed: an event; inputs are consumed by then."""
        return self.execute_v2(bindings)

    def execute(self: Any, batch_size: int = 1, bindings: list[int] | None = None) -> bool:
        """For networks with an implicit batch dimension: refused for all others unless batch_size is 1."""
        if bindings is None:
            raise TypeError("execute() takes bindings, a list of addresses")
        if self._engine.has_implicit_batch_dimension:
            most = self._engine.max_batch_size
            if not 1 <= batch_size <= most:
                return bool(self._refuse(f"batch size {batch_size} is outside 1 to {most}"))
            for info in self._engine._engine.inputs:
                self._shapes[info.name] = (int(batch_size), *info.shape[1:])
            self._fresh = self._ready = False
            return bool(self._execute_list(bindings))
        if batch_size != 1:
            return self._refuse(f"execute with batch size {batch_size}: the batch of this engine is explicit; set the "
                                "shapes of its inputs, and use execute_v2")
        return self.execute_v2(bindings)

    def execute_async(self: Any, batch_size: int = 1, bindings: list[int] | None = None,
                      stream_handle: Any = 0, input_consumed: Any = None) -> bool:
        return self.execute(batch_size, bindings)

    def _block(self: Any, bindings: list[int]) -> list[int]:
        """The addresses of the active profile's block, of a list for one block or for all of them."""
        count = len(self._engine._names)
        return bindings[self._index * count :][:count] if len(bindings) == self._engine.num_bindings else bindings
