"""INetworkDefinition: a network under construction, by hand or by the parser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..dims import Dim, identifier, symbol
from ..errors import BuildError, TensorwrightError
from ..ir import Network, TensorType, ValueType
from ..plan.records import Profile
from .debug import NetworkDebug
from .enums import DataType, NetworkDefinitionCreationFlag
from .enums.choice import members
from .flow import NetworkFlow
from .foundation import BATCH, IMPLICIT_BATCH, Dims, IHostMemory, Shape, ours
from .layer import ILayer, Lowering
from .layers import IConstantLayer
from .lifetime import Lifetime
from .logger import ILogger, say
from .nesting import Construct, Nesting
from .network_layers import NetworkLayers
from .network_sequences import NetworkSequences
from .plugins.network import NetworkPlugins
from .recorder import Recorded, Voice
from .tensor import ITensor, tensors
from .weights import Constant, NetworkWeights

if TYPE_CHECKING:
    from .builder import Builder


class INetworkDefinition(NetworkLayers, NetworkSequences, NetworkFlow, NetworkPlugins, NetworkDebug, NetworkWeights,
                         Recorded, Lifetime):
    """Inputs, layers and outputs. Every add_... returns the new layer, or None after logging why it was refused.

    With explicit batch every dimension of an input is in its shape, -1 for those that vary; with an implicit batch
    (generations 5 to 8) shapes leave out the first one.
    """

    name = "network"

    def __init__(self, builder: Builder, flags: int = 0) -> None:
        self._builder, self._logger = builder, Voice(builder._logger)
        self._flags = flags
        self._inputs: list[ITensor] = []
        self._constants: list[Constant] = []                             # those of parsed models
        self._weight_names: dict[Any, str] = {}
        self._marked: set[str] = set()                    # names of weights marked as refittable
        self._refitting = False
        self._parsed_inputs: list[tuple[ITensor, TensorType]] = []       # with the types their layers were made for
        self._metadata: dict[str, str] = {}
        self._layers: list[ILayer] = []
        self._outputs: list[ITensor] = []
        self._shape_outputs: list[ITensor] = []           # those whose values are shapes
        self._keep_alive: list[Any] = []
        self._lowering: Lowering | None = None
        self._written = 0
        self._failures: list[TensorwrightError] = []
        self._constructs: list[Construct] = []            # loops and conditionals
        self._nesting: Nesting | None = None
        self._formulas: dict[str, Any] = {}               # kind of window → IOutputDimensionsFormula
        self._debug, self._keep_unfused = [], False
        self._closed = True

    # ---- what it is made of

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    @property
    def builder(self) -> Builder:
        return self._builder

    @property
    def flags(self) -> int:
        return self._flags

    def get_flag(self, flag: NetworkDefinitionCreationFlag) -> bool:
        return flag in members(self._flags, self._class(NetworkDefinitionCreationFlag))

    @property
    def has_implicit_batch_dimension(self) -> bool:
        """Whether shapes leave out a first axis, the batch, of 1 to Builder.max_batch_size: generations 5 to 8."""
        return 0 < self._number < 10 and not self._flags >> int(NetworkDefinitionCreationFlag.EXPLICIT_BATCH) & 1

    @property
    def has_explicit_precision(self) -> bool:
        """False: types are those given, and flags permit lower ones."""
        return False

    def serialize(self) -> IHostMemory | None:
        """The network as it is now: see network_bytes. None, with an error in the log, when it is not complete."""
        from .network_bytes import network_bytes
        try:
            return network_bytes(self._finish())
        except TensorwrightError as error:
            self._logger.error(error)
            return None

    def _batches(self) -> tuple[Profile, ...]:
        """The one profile of a network with an implicit batch dimension."""
        most = max(1, int(self._builder.max_batch_size))
        return (Profile(((BATCH, (1, most, most)),)),)

    def get_layer(self, index: int) -> ILayer | None:
        return self._layers[index]._view() if 0 <= index < len(self._layers) else None

    def get_input(self, index: int) -> ITensor | None:
        return self._inputs[index] if 0 <= index < len(self._inputs) else None

    def get_output(self, index: int) -> ITensor | None:
        return self._outputs[index] if 0 <= index < len(self._outputs) else None

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: int) -> ILayer:
        return self._layers[index]._view()

    def __iter__(self) -> Iterator[ILayer]:
        return (layer._view() for layer in self._layers)

    # ---- inputs and outputs

    def add_input(self, name: str, dtype: DataType, shape: Shape) -> ITensor | None:
        if not isinstance(name, str):
            raise TypeError(f"add_input: the name of an input is a str, not {type(name).__name__}")
        if not name or any(t.name == name for t in self._inputs):
            self._error(f"add_input: {'a name is needed' if not name else f'two inputs are named {name!r}'}")
            return None
        try:
            Dims(shape)
            if self.has_implicit_batch_dimension and any(d < 0 for d in shape):
                raise ValueError("sizes that only run time knows need a network of explicit batch")
        except ValueError as error:
            self._error(f"add_input {name!r}: {error}")
            return None
        if any(d < -1 for d in shape):
            self._error(f"add_input {name!r}: {tuple(shape)} has sizes below -1")
            return None
        tensor = self._class(ITensor)(self, name)
        tensor._given = TensorType(self._symbolic(tensor, shape), ours(dtype))
        self._inputs.append(tensor)
        self._changed()
        return tensor

    def mark_output(self, tensor: ITensor) -> None:
        if tensor._network is not self:
            self._error(f"mark_output: {tensor.name!r} belongs to another network")
        elif not tensor.is_network_output:
            self._outputs.append(tensor)

    def unmark_output(self, tensor: ITensor) -> None:
        self._outputs = [t for t in self._outputs if t is not tensor]
        self._shape_outputs = [t for t in self._shape_outputs if t is not tensor]

    def remove_tensor(self, tensor: ITensor) -> None:
        """An input disappears, or an output is not one any more."""
        self._inputs = [t for t in self._inputs if t is not tensor]
        self.unmark_output(tensor)
        self._changed()

    # ---- behind the scenes

    def _add(self, kind: Any, inputs: list[Any], outputs: int = 1, **params: Any) -> Any:
        if not tensors(*inputs):
            if any(x is not None and not isinstance(x, ITensor) for x in inputs):
                raise TypeError(f"{kind.__name__} takes tensors, not {[type(x).__name__ for x in inputs]}")
            return self._error(f"{kind.__name__}: an input is None: a layer or tensor before it was refused")
        if any(x._network is not self for x in inputs):
            return self._error(f"{kind.__name__}: an input belongs to another network")
        label = kind.__name__[1:].removesuffix("Layer").lower()
        try:
            layer = self._class(kind)(self, inputs, outputs, f"{label}_{len(self._layers)}", **params)
        except ValueError as error:
            return self._error(f"{kind.__name__}: {error}")
        if isinstance(layer, IConstantLayer) and layer.weights.size != _count(layer.shape):
            return self._error(f"add_constant: {layer.weights.size} weights do not fill shape {layer.shape}")
        self._layers.append(layer)
        return layer

    def _error(self, text: str) -> None:
        say(self._logger, ILogger.ERROR, text)

    def _symbolic(self, tensor: ITensor, shape: Shape) -> tuple[Dim, ...]:
        """-1 becomes a symbol: the dimension's name if it has one, else one made from the input's name and the axis. An
        implicit batch comes first."""
        lead = (symbol(BATCH),) if self.has_implicit_batch_dimension else ()
        names = tensor._dimension_names
        return lead + tuple(d if d >= 0 else symbol(identifier(names.get(axis) or f"{tensor._name}_{axis}"))
                            for axis, d in enumerate(shape))

    def _changed(self) -> None:
        """Something that was written into records may be different now: write again when asked."""
        self._lowering = None

    def _lowered(self) -> Lowering:
        """The records of all layers that fit. Those that do not are in `_failures`; their outputs have no value."""
        if self._lowering is None or (self._constructs and self._written < len(self._layers)):
            lead = int(self.has_implicit_batch_dimension)
            self._lowering, self._written, self._failures = Lowering(self.name, lead), 0, []
            self._lowering.renamed = self._renamed()
            for tensor in self._inputs:
                assert tensor._given is not None
                self._lowering.values[id(tensor)] = self._lowering.editor.input(tensor.name, tensor._given)
            self._lowering.refit = self._refitting
            for constant in self._constants:
                self._lowering.values[id(constant.tensor)] = constant.write(self._lowering)
            self._give_values(self._lowering)
            self._nesting = Nesting(self) if self._constructs else None
            if self._nesting is not None:
                self._lowering.members = self._nesting.members(None)
                self._failures += self._nesting.mixed()
        for layer in self._layers[self._written :]:
            self._written += 1
            if self._lowering.members is None or id(layer) in self._lowering.members:
                self._write(layer, self._lowering)
        return self._lowering

    def _write(self, last: ILayer, to: Lowering) -> None:
        """The records of a layer, after those of layers added later that it reads (ILayer.set_input)."""
        waiting: list[ILayer] = [last]
        seen: set[int] = set()
        while waiting:
            layer = waiting[-1]
            before = [p for t in layer._reads() if t is not None and (p := t._producer) is not None
                      and (to.members is None or id(p) in to.members)
                      and id(p) not in to.written and id(p) not in seen]
            if before and id(layer) not in to.written:
                seen.update(map(id, before))
                waiting += before
                continue
            waiting.pop()
            if id(layer) in to.written:
                continue
            to.written.add(id(layer))
            try:
                layer._write(to)
            except TensorwrightError as error:
                self._failures.append(error.located(f"layer {layer.name!r}"))
            except ValueError as error:
                self._failures.append(BuildError(str(error), at=f"layer {layer.name!r}"))

    def _renamed(self) -> dict[str, Dim]:
        """Symbols that parsed layers use → what they are now, where a script gave an input another shape."""
        env: dict[str, Dim] = {}
        for tensor, original in self._parsed_inputs:
            if isinstance(tensor._given, TensorType) and tensor._given.rank == original.rank:
                for before, now in zip(original.shape, tensor._given.shape, strict=True):
                    if str(before).isidentifier() and before != now and any(t is tensor for t in self._inputs):
                        env[str(before)] = now
        return env

    def _type_of(self, tensor: ITensor) -> ValueType | None:
        if tensor._given is not None:
            return tensor._given
        lowering = self._lowered()
        name = lowering.find(tensor)
        if name is None and self._nesting is not None:
            return self._nesting.type_of(tensor)
        return None if name is None else lowering.editor.types[name]

    def _finish(self) -> Network:
        """The frozen network. Raises the first error met."""
        lowering = self._lowered()
        if self._failures:
            raise self._failures[0]
        if not self._outputs:
            raise BuildError("the network has no outputs", try_="network.mark_output(tensor)")
        for tensor in self._outputs:
            if self._nesting is not None and (around := self._nesting.innermost(tensor)) is not None:
                raise BuildError(f"output {tensor.name!r} is inside {around._label()}",
                                 try_="values leave a loop or conditional through its output layers only")
        values = [lowering.values[id(t)] for t in self._outputs]
        for tensor, value in zip(self._outputs, values, strict=True):
            if value != tensor.name:
                raise BuildError(f"output {tensor.name!r} has the name of another tensor", try_="give it another name")
        self._finish_values(lowering)
        lowering.editor.outputs = values
        lowering.editor.metadata = {**self._metadata, **lowering.editor.metadata}
        self._write_debug(lowering)
        if self.has_implicit_batch_dimension:
            lowering.editor.metadata[IMPLICIT_BATCH] = str(max(1, int(self._builder.max_batch_size)))
        return lowering.editor.finish()


def _count(shape: Dims) -> int:
    result = 1
    for d in shape:
        result *= d
    return result
