"""ITensor: a value of a network under construction. Its shape is inferred anew whenever the network changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dims import Dim, Expr
from ..dtypes import DType
from ..ir import OpaqueType, TensorType, ValueType
from .enums import DataType, TensorFormat, TensorLocation
from .foundation import Dims, Shape, ours, theirs
from .quantizing import DynamicRange

if TYPE_CHECKING:
    from .layer import ILayer
    from .network import INetworkDefinition


class ITensor(DynamicRange):
    """An input of the network, a constant, or an output of a layer. Made by the network, not by hand."""

    location = TensorLocation.DEVICE
    allowed_formats = 1 << int(TensorFormat.LINEAR)
    broadcast_across_batch = False

    def __init__(self, network: INetworkDefinition, name: str, *, given: ValueType | None = None,
                 producer: ILayer | None = None) -> None:
        self._network = network
        self._name = name
        self._given = given              # the type of a network input; None: inferred from the producer
        self._producer = producer
        self._array: Any = None          # the content of a constant of a parsed model
        self._dimension_names: dict[int, str] = {}
        self._values: tuple[Dim, ...] | None = None      # of a network input whose values decide shapes: symbols
        self._parsed_values: str | None = None           # ... of a parsed model: the name they were made from
        self._closed = True

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value
        self._network._changed()

    def _type(self) -> ValueType | None:
        """None when inference fails."""
        return self._network._type_of(self)

    @property
    def shape(self) -> Dims:
        """-1 for sizes that only run time knows; an invalid Dims when inference fails."""
        t = self._type()
        if isinstance(t, OpaqueType) and t.dims is not None:
            return Dims(d if isinstance(d, int) else -1 for d in t.dims)
        if not isinstance(t, TensorType):
            return Dims.invalid()
        lead = int(self._network.has_implicit_batch_dimension)
        return Dims(-1 if isinstance(d, Expr) else d for d in t.shape[lead:])

    @shape.setter
    def shape(self, value: Shape) -> None:
        if not self.is_network_input or not isinstance(self._given, TensorType):
            self._network._error(f"tensor {self._name!r}: only a network input's shape can be set")
            return
        self._given = TensorType(self._network._symbolic(self, value), self._given.dtype)
        self._network._changed()

    @property
    def dtype(self) -> DataType:
        t = self._type()
        dtype = t.dtype if t is not None else None
        if dtype == DType.int64 and 0 < self._network._number < 10:
            return DataType.INT32                          # what a parsed model computes in int64 inside
        return DataType.FLOAT if dtype is None else theirs(dtype)

    @dtype.setter
    def dtype(self, value: DataType) -> None:
        if not self.is_network_input or not isinstance(self._given, TensorType):
            self._network._error(f"tensor {self._name!r}: only a network input's type can be set")
            return
        self._given = TensorType(self._given.shape, ours(value))
        self._network._changed()

    @property
    def is_network_input(self) -> bool:
        return any(t is self for t in self._network._inputs)

    @property
    def is_network_output(self) -> bool:
        return any(t is self for t in self._network._outputs)

    @property
    def is_shape_tensor(self) -> bool:
        """Whether its values feed shapes, or are shapes that are an output. Reliable once the network is complete."""
        return id(self) in self._network._shape_tensors()

    @property
    def is_execution_tensor(self) -> bool:
        """Whether its elements are data; a shape tensor's may be that too."""
        from .shape_tensors import is_execution_tensor
        return is_execution_tensor(self, self._network._shape_tensors())

    def set_dimension_name(self, index: int, name: str) -> None:
        """Name a run-time dimension of a network input; dimensions of one name are the same size."""
        self._dimension_names[index] = name
        if self.is_network_input:
            self.shape = self.shape

    def get_dimension_name(self, index: int) -> str:
        return self._dimension_names.get(index, "")

    def __repr__(self) -> str:
        return f"<ITensor {self._name!r} {self._type()}>"


def tensors(*items: Any) -> bool:
    """Whether all items are tensors."""
    return all(isinstance(item, ITensor) for item in items)
