"""Shape tensors: inputs whose values decide shapes, and outputs whose values are shapes.

The network finds them by walking back from where sizes are asked for; the engine knows them by their companions among
its inputs (ir.value_inputs) and by its metadata; a context reads their values from host memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cuda.memory import is_device
from ..dims import evaluate, parse
from ..errors import BuildError, InputError
from ..importer.value_inputs import may_be_sizes, with_values
from ..ir import TensorType
from ..ir.value_inputs import companion, companion_type, sizes_of, value_symbols
from ..runtime.memory import array_at
from ..runtime.shapes import bind
from .foundation import Closed
from .late import partial_shapes

if TYPE_CHECKING:
    from .layer import ILayer, Lowering
    from .tensor import ITensor

#: Where a plan remembers the values of an output that is a shape tensor, as functions of symbols.
SHAPE_OUTPUT = "shape output/"


class NetworkShapes(Closed):
    """The part of INetworkDefinition that knows shape tensors."""

    def mark_output_for_shapes(self: Any, tensor: ITensor) -> bool:
        """The output's values, integers computed from shapes, are known without running. False when it is refused."""
        t = tensor._type()
        if not isinstance(t, TensorType) or not may_be_sizes(t):
            self._error(f"mark_output_for_shapes: {tensor.name!r} is {t}, not a scalar or short vector of integers")
            return False
        self.mark_output(tensor)
        if not any(t is tensor for t in self._shape_outputs):
            self._shape_outputs.append(tensor)
        self._changed()
        return True

    def unmark_output_for_shapes(self: Any, tensor: ITensor) -> bool:
        marked = any(t is tensor for t in self._shape_outputs)
        if marked:
            self._shape_outputs = [t for t in self._shape_outputs if t is not tensor]
            self.unmark_output(tensor)
            self._changed()
        return marked

    def _shape_tensors(self: Any) -> dict[int, ITensor]:
        """Tensors whose values feed shapes, by id: operands that give sizes, and what those are computed from."""
        waiting: list[Any] = [x._inputs[i] for x in self._layers for i in x._size_inputs if i < len(x._inputs)]
        waiting += self._shape_outputs
        waiting += [t for t in self._inputs if t._parsed_values is not None]
        found: dict[int, ITensor] = {}
        while waiting:
            tensor = waiting.pop()
            if tensor is None or id(tensor) in found:
                continue
            found[id(tensor)] = tensor
            if tensor._producer is not None and not tensor._producer._gives_sizes:
                waiting += tensor._producer._inputs
        return found

    def _give_values(self: Any, to: Lowering) -> None:
        """Make the values of inputs that are shape tensors known to the layers that read them."""
        shapes = self._shape_tensors()
        for tensor in self._inputs:
            if tensor._parsed_values is None:
                is_value = id(tensor) in shapes and may_be_sizes(tensor._given)
                tensor._values = value_symbols(tensor._name, tensor._given.size) if is_value else None
            if tensor._values is not None:
                name = to.values[id(tensor)]
                to.known[name] = with_values(to.value(name), tensor._parsed_values or tensor._name)

    def _finish_values(self: Any, to: Lowering) -> None:
        """Companions of inputs that are shape tensors; the values of outputs that are, into the metadata."""
        for tensor in self._inputs:
            for i, value in enumerate(tensor._values or ()):
                if companion(tensor.name, i) not in to.editor.types:
                    to.editor.input(companion(tensor.name, i), companion_type(value))
        to.editor.metadata.update(partial_shapes(self._outputs))
        for tensor in self._shape_outputs:
            content = to.value(to.values[id(tensor)]).content
            if content is None:
                raise BuildError(f"output {tensor.name!r} is marked for shapes, and its values depend on data",
                                 try_="network.mark_output(tensor)")
            to.editor.metadata[SHAPE_OUTPUT + tensor.name] = json.dumps([str(d) for d in content.reshape(-1)])


def is_execution_tensor(tensor: ITensor, shapes: Mapping[int, ITensor]) -> bool:
    """Whether a tensor's elements are data for a layer or an output, and not only sizes."""
    network: Any = tensor._network
    if id(tensor) not in shapes:
        return True
    if tensor.is_network_output and not any(t is tensor for t in network._shape_outputs):
        return True
    return any(reads_data(x, i, shapes) for x in network._layers for i, t in enumerate(x._inputs) if t is tensor)


def reads_data(layer: ILayer, index: int, shapes: Mapping[int, ITensor]) -> bool:
    return index not in layer._size_inputs and not layer._gives_sizes \
        and not any(id(o) in shapes for o in layer._outputs)


class EngineShapes(Closed):
    """The part of ICudaEngine that knows shape tensors."""

    def _values_of(self: Any, name: str) -> list[str]:
        """The companions of an input's values, in order."""
        found = [(i, c) for c, (source, i) in self._engine.companions.items() if source == name]
        return [c for _, c in sorted(found)]

    def is_shape_inference_io(self: Any, name: str) -> bool:
        """Whether a tensor's values take part in the computation of shapes: it is in host memory."""
        return self._known(name) is not None and bool(
            self._values_of(name) or SHAPE_OUTPUT + name in self._plan.metadata)

    def get_tensor_profile_values(self: Any, name: int, profile_index: str) -> list[list[int]]:
        """(profile's number, tensor's name), whatever the parameters are called upstream: [min, opt, max] values.
        RuntimeError for what is not an input shape tensor."""
        number, tensor = name, profile_index
        if not self._values_of(tensor) or not 0 <= number < self.num_optimization_profiles:
            raise RuntimeError(f"{tensor!r} is not an input shape tensor of profile {number}")
        profile = self._engine.profiles[number]
        dims = [i.shape[0] for c in self._values_of(tensor) for i in self._engine.every_input if i.name == c]
        return [[evaluate(d, env) for d in dims]
                for env in (profile.minimum(), profile.optimum(), profile.maximum())]

    def get_profile_shape_input(self: Any, profile_index: int, binding: int | str) -> list[list[int]]:
        """[min, opt, max] values of an input shape tensor; RuntimeError for any other."""
        return self.get_tensor_profile_values(profile_index, self._tensor(binding))     # type: ignore[no-any-return]


class ContextShapes(Closed):
    """The part of IExecutionContext that takes and gives values of shape tensors."""

    def set_shape_input(self: Any, binding: int, shape: Any) -> bool:
        """The values of an input shape tensor. False for any other, and for the wrong number of values."""
        name = self._named(binding)
        count = len(self._engine._values_of(name))
        values = [int(v) for v in shape]
        if not count or len(values) != count:
            return bool(self._refuse(f"binding {binding} is not an input shape tensor" if not count else
                                     f"{name!r} has {count} values, not {len(values)}"))
        info = self._engine._known(name)
        given = np.array(values, info.dtype.numpy).reshape(info.shape)
        try:
            sizes_of({name: given}, {c: (name, i) for i, c in enumerate(self._engine._values_of(name))})
        except InputError as error:
            return bool(self._failed(error))
        self._given[name] = given
        self.set_tensor_address(name, given.ctypes.data)
        return True

    def get_shape(self: Any, binding: int) -> list[int]:
        """The values of a shape tensor, an input's or an output's. RuntimeError for any other, and while they are
        unknown."""
        name = self._named(binding)
        text = self._engine._plan.metadata.get(SHAPE_OUTPUT + name)
        try:
            if self._engine._values_of(name):
                return [int(v) for v in self._input_values()[name].reshape(-1)]
            if text is not None:
                return [evaluate(parse(d), self._env()) for d in json.loads(text)]
        except (KeyError, InputError) as error:
            raise RuntimeError(f"the values of {name!r} are not known yet: {error}") from None
        raise RuntimeError(f"binding {binding} is not a shape tensor")

    @property
    def all_shape_inputs_specified(self: Any) -> bool:
        return not self._unknown_values()

    def infer_shapes(self: Any) -> list[str]:
        """Inputs whose shape, or whose values where those decide shapes, are not set yet; empty when all are.
        RuntimeError when those set contradict each other."""
        missing = [i.name for i in self._engine._engine.inputs if i.name not in self._shapes and i.shape is not None
                   and any(not isinstance(d, int) for d in i.shape)]
        try:
            self._env()
        except InputError as error:
            raise RuntimeError(str(error)) from None
        return missing + [n for n in self._unknown_values() if n not in missing]

    def _env(self: Any) -> dict[str, int]:
        """Values of the symbols that the shapes and values set so far determine."""
        return bind(self._engine._engine.every_input, {**self._shapes, **self._sizes()})

    def _unknown_values(self: Any) -> list[str]:
        known = self._input_values()
        return [n for n in dict.fromkeys(source for source, _ in self._engine._engine.companions.values())
                if n not in known]

    def _input_values(self: Any) -> dict[str, np.ndarray]:
        """The values of input shape tensors, where they are given: read from host memory now."""
        found: dict[str, np.ndarray] = {}
        for name, _ in self._engine._engine.companions.values():
            if name in self._given:
                found[name] = self._given[name]
            elif name not in found and (address := self._addresses.get(name)):
                info = self._engine._known(name)
                found[name] = array_at(address, info.shape, [info.dtype.itemsize] * len(info.shape), info.dtype.numpy)
        return found

    def _sizes(self: Any) -> dict[str, tuple[int, ...]]:
        """The shapes of the companions. InputError for values below 0."""
        known = self._engine._engine.companions
        return dict(sizes_of(self._input_values(), known)) if known else {}

    def _refused_memory(self: Any, name: str, address: int) -> bool:
        """Whether an address is on the device, where a shape tensor cannot be read."""
        return bool(address) and is_device(address) and bool(self._engine._values_of(name))
