"""ILayer: the base of all layers, and how a layer becomes records.

A layer holds its input tensors, its output tensors and its parameters; all of them may change until the build. `_lower`
writes the layer as records of `ir` into a NetworkEditor; everything else about it is TensorRT's manner of speech.
Parameters live in the one dictionary `_params`, so that every layer class has the same layout and a script may assign
`layer.__class__`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dims import Dim, substitute
from ..dims import Expr as Expr_
from ..dtypes import DType
from ..errors import ShapeError, UnsupportedError
from ..importer.append import append, value_of
from ..importer.values import Value
from ..ir import NetworkEditor, Op, OpaqueType, TensorType
from ..ir.op import map_dims
from ..ir.refittable import Refittable
from ..ops import Pointwise
from ..ops.expr import Apply, Expr, In
from .enums import DataType, LayerType
from .foundation import Closed, numbers, ours
from .tensor import ITensor

if TYPE_CHECKING:
    import onnx

    from .network import INetworkDefinition


class Param:
    """A parameter of a layer, read and written as an attribute; converted on the way in. Writing tells the network."""

    def __init__(self, default: Any = None, convert: Callable[[Any], Any] | None = None) -> None:
        self.default, self.convert = default, convert

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, layer: ILayer | None, owner: type | None = None) -> Any:
        if layer is None:
            return self
        if layer._record is not None:
            from .parsed import read
            return read(layer, self.name)
        return layer._params.get(self.name, self.default)

    def __set__(self, layer: ILayer, value: Any) -> None:
        if layer._record is not None:
            from .parsed import write
            write(layer, self.name, self.convert(value) if self.convert else value)
            return
        layer._params[self.name] = self.convert(value) if self.convert else value
        layer._network._changed()


class WeightsParam(Param):
    """Weights of a layer: set from Weights or an array, read as a flat array (empty when absent)."""

    def __init__(self) -> None:
        super().__init__(np.empty(0, np.float32), numbers)


class Lowering:
    """The records of a network while its layers write themselves: an editor, and the value of each tensor."""

    def __init__(self, name: str, lead: int = 0) -> None:
        self.editor = NetworkEditor(name)
        self.lead = lead                                  # axes that shapes and axis numbers of scripts leave out
        self.values: dict[int, str] = {}
        self.written: set[int] = set()                    # layers, by id
        self.members: set[int] | None = None              # layers to write, by id; None: all
        self.constructs: dict[int, dict[int, str]] = {}   # loops and conditionals → values of their output layers
        self.refit = False                                # weights may be replaced later: nothing looks at them
        self.weights: dict[str, tuple[ILayer, str]] = {}  # constant → layer, parameter
        self.known: dict[str, Value] = {}                 # values that are known functions of the input shapes
        self.renamed: dict[str, Dim] = {}                 # symbol → its new meaning, for layers of a parsed model

    def type(self, value: str) -> TensorType:
        t = self.editor.types[value]
        if not isinstance(t, TensorType):
            raise ShapeError(f"{value!r} is {t}: a layer needs a tensor of known shape")
        return t

    def find(self, tensor: ITensor) -> str | None:
        """The value of a tensor; None when it could not be inferred."""
        return self.values.get(id(tensor))

    def constant(self, array: np.ndarray, hint: str) -> str:
        return self.editor.constant(array, hint)

    def given(self, layer: ILayer, param: str, shape: Sequence[int], dtype: DType) -> str:
        """Weights of a layer as a constant of that shape and type, which a refit may replace."""
        array = getattr(layer, param).reshape(shape).astype(dtype.numpy)
        value = self.constant(Refittable.of(array) if self.refit else array, f"{layer.name}.{param}")
        self.weights[value] = layer, param
        return value

    def appended(self, nodes: list[onnx.NodeProto], values: Sequence[str | None], outputs: Sequence[str],
                 name: str) -> list[str]:
        """Append the records of ONNX nodes that read x0, x1, ... and write y0, y1, ... under the names given."""
        operands = {f"x{i}": self.value(v) for i, v in enumerate(values) if v is not None}
        results = append(self.editor, nodes, operands, {f"y{i}": n for i, n in enumerate(outputs)}, name)
        self.known.update({str(v.name): v for v in results if v.content is not None})
        return [str(v.name) for v in results]

    def value(self, name: str) -> Value:
        """A value as the importer sees it: with its content, where that is a constant or known from the shapes."""
        return self.known.get(name) or value_of(self.editor, name)

    def sizes(self, values: Sequence[str | None], index: int, layer: str) -> tuple[Dim, ...] | None:
        """The sizes that a layer's input gives; None when there is none. UnsupportedError when data decide them."""
        if index >= len(values) or values[index] is None:
            return None
        content = self.value(str(values[index])).content
        if content is None:
            raise UnsupportedError(f"layer {layer!r}: its input {index} gives sizes that depend on data",
                                   try_="compute them from shapes (IShapeLayer) and constants")
        return tuple(d if isinstance(d, Expr_) else int(d) for d in content.reshape(-1))


class ILayer(Closed):
    """A layer of a network. Made by INetworkDefinition.add_..., or by the parser."""

    _layer_type: LayerType = LayerType.PLUGIN
    _optional_inputs = 0            # how many inputs may follow the required ones
    _size_inputs: tuple[int, ...] = ()      # inputs whose values are sizes
    _gives_sizes = False            # whether the output is sizes of the input: values feed no further back
    _implicit_batch = True          # whether it can be in a network whose shapes leave out the batch

    def __init__(self, network: INetworkDefinition, inputs: Sequence[ITensor | None], outputs: int = 1, name: str = "",
                 **params: Any) -> None:
        self._network = network
        self._inputs: list[ITensor | None] = list(inputs)
        self._required = len(self._inputs)
        self._name = name
        self._params: dict[str, Any] = {}
        self._metadata = ""
        self._record: Op | None = None                    # a layer that the parser made is this operator
        self._kind = type(self)
        self._output_types: dict[int, DataType] = {}
        self._precision: DataType | None = None
        for key, value in params.items():                 # not by assignment: the network knows nothing of it yet
            convert = getattr(type(self), key).convert
            self._params[key] = convert(value) if convert else value
        tensor = network._class(ITensor)
        self._outputs = [tensor(network, f"{name}_output_{i}" if i else f"{name}_output", producer=self)
                         for i in range(outputs)]
        self._closed = True

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        for i, tensor in enumerate(self._outputs):        # outputs that still have the default name follow
            if tensor._name == (f"{self._name}_output_{i}" if i else f"{self._name}_output"):
                tensor._name = f"{value}_output_{i}" if i else f"{value}_output"
        self._name = value
        self._network._changed()

    @property
    def metadata(self) -> str:
        return self._metadata

    @metadata.setter
    def metadata(self, value: str) -> None:
        self._metadata = value

    @property
    def type(self) -> Any:
        if self._record is None:
            kind = self._kind._layer_type
        else:
            from .parsed import layer_type
            kind = layer_type(self._record)
        return self._network._class(LayerType).__members__.get(kind.name, kind)

    def _view(self) -> ILayer:
        """This layer as a plain ILayer, as get_layer hands it out: the same state, `type` a LayerType, to be recast."""
        view: ILayer = object.__new__(self._network._class(ILayer))
        view.__dict__ = self.__dict__
        return view

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ILayer) and self.__dict__ is other.__dict__

    def __hash__(self) -> int:
        return id(self.__dict__)

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_input(self, index: int) -> ITensor | None:
        return self._inputs[index] if 0 <= index < len(self._inputs) else None

    def get_output(self, index: int) -> ITensor | None:
        return self._outputs[index] if 0 <= index < len(self._outputs) else None

    def get_output_type(self, index: int) -> DataType:
        return self._outputs[index].dtype

    def set_output_type(self, index: int, dtype: DataType) -> None:
        """The output is converted to this type."""
        self._output_types[index] = dtype
        self._network._changed()

    def output_type_is_set(self, index: int) -> bool:
        return index in self._output_types

    def reset_output_type(self, index: int) -> None:
        self._output_types.pop(index, None)
        self._network._changed()

    @property
    def num_ranks(self) -> int:
        """Among how many devices it is spread: 1, or the build is refused."""
        return int(self._params.get("num_ranks", 1))

    @num_ranks.setter
    def num_ranks(self, value: int) -> None:
        self._params["num_ranks"] = int(value)
        self._network._changed()

    @property
    def precision(self) -> DataType:
        """The type to compute in: a wish, which binds under BuilderFlag.OBEY_PRECISION_CONSTRAINTS only."""
        return DataType.FLOAT if self._precision is None else self._precision

    @precision.setter
    def precision(self, value: DataType) -> None:
        self._precision = value

    @property
    def precision_is_set(self) -> bool:
        return self._precision is not None

    def reset_precision(self) -> None:
        self._precision = None

    def set_input(self, index: int, tensor: ITensor) -> None:
        if not 0 <= index < self._required + self._optional_inputs:
            self._network._error(f"layer {self._name!r} has no input {index}")
            return
        while len(self._inputs) <= index:
            self._inputs.append(None)
        self._inputs[index] = tensor
        self._network._changed()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"

    # ---- becoming records

    def _write(self, to: Lowering) -> None:
        """Append this layer's records. Raises a TensorwrightError when the operands do not fit."""
        values = self._operands(to)
        if self.num_ranks != 1:
            raise UnsupportedError(f"it is spread among {self.num_ranks} ranks: here is one device")
        if self._record is not None:
            types = map_dims(self._params.get("types"), lambda d: substitute(d, to.renamed))
            wanted = self._params["wanted"]
            names = [n if w else "" for n, w in zip(self._names(to), wanted, strict=True)]
            made = to.editor.add(self._record.bind(to.renamed), *values, name=self._name, outputs=names, types=types,
                                 origin=self._params.get("origin", ()))
            results = [made] if isinstance(made, str) else list(made)
        elif any(v is not None and isinstance(to.editor.types[v], OpaqueType) for v in values):
            from .late import written_late
            results = written_late(self, to)
        else:
            results = self._results(to, values)
        for i, dtype in self._output_types.items():
            cast = pointwise("cast", to.type(results[i]).dtype, result=ours(dtype))
            made = to.editor.add(cast, results[i], name=f"{self._name}.cast",
                                 outputs=[to.editor.fresh(self._outputs[i].name)])
            results[i] = str(made)
        to.values.update({id(t): v for t, v in zip(self._outputs, results, strict=True)})

    def _results(self, to: Lowering, values: list[Any]) -> list[str]:
        """The records, and the values of the outputs."""
        if any(v is not None and v in to.known for v in values) and (nodes := self._shape_nodes(to, values)):
            return self._appended(to, values, nodes)
        if to.lead and not self._implicit_batch:
            raise UnsupportedError(f"{type(self).__name__} in a network with an implicit batch dimension is not in "
                                   "this version", try_="create_network(1 << int(NetworkDefinitionCreationFlag."
                                   "EXPLICIT_BATCH))")
        return self._lower(to, values)

    def _notes(self) -> list[str]:
        """What a build must say of this layer: wishes that have no effect."""
        return []

    def _reads(self) -> Sequence[ITensor | None]:
        """The tensors whose layers must be written before this one."""
        return self._inputs

    def _operands(self, to: Lowering) -> list[Any]:
        """The values of the inputs. ShapeError when one could not be inferred."""
        values = [None if t is None else to.find(t) for t in self._inputs]
        for tensor, value in zip(self._inputs, values, strict=True):
            if tensor is not None and value is None:
                raise ShapeError(f"input {tensor.name!r} could not be inferred", at=f"layer {self._name!r}")
        return values

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        """The layer as records; returns the names of the output values, the last records named by `_names`."""
        raise NotImplementedError(type(self).__name__)

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[onnx.NodeProto]:
        """The layer as ONNX nodes, for operands that are sizes: what depends on shapes alone is computed before
        anything runs. x0, x1, ... and y0 stand for inputs and output; none: the layer does nothing of the kind."""
        return []

    def _appended(self, to: Lowering, values: list[Any], nodes: list[onnx.NodeProto]) -> list[str]:
        """Append the records of ONNX nodes that read x0, x1, ... and write y0, y1, ..."""
        return to.appended(nodes, values, self._names(to), self.name)

    def _names(self, to: Lowering) -> list[str]:
        """Value names of the outputs: the tensors' own where free, and where no conversion follows."""
        return [to.editor.fresh(f"{t.name}.computed" if i in self._output_types else t.name)
                for i, t in enumerate(self._outputs)]

    def _last(self, to: Lowering, op: Op, *values: str | None) -> list[str]:
        """Append op as the record that gives this layer's output."""
        made = to.editor.add(op, *values, name=self._name, outputs=self._names(to))
        return [made] if isinstance(made, str) else list(made)

    def _also(self, to: Lowering, op: Op, *values: str | None) -> str:
        """Append op as an inner record."""
        made = to.editor.add(op, *values, name=f"{self._name}.{type(op).__name__.lower()}")
        assert isinstance(made, str)
        return made


def pointwise(fn: str, *dtypes: DType, result: DType | None = None) -> Pointwise:
    """fn over inputs of the types given."""
    args: tuple[Expr, ...] = tuple(In(i, t) for i, t in enumerate(dtypes))
    return Pointwise(Apply(fn, args, result or dtypes[0]))


def spatial(value: Any, rank: int, fill: int) -> tuple[int, ...]:
    """A per-axis parameter as a tuple of `rank` ints; `fill` where it was never set."""
    if value is None:
        return (fill,) * rank
    found = tuple(int(v) for v in value)
    if len(found) != rank:
        raise ShapeError(f"{found} has {len(found)} numbers for {rank} spatial axes")
    return found


def bits(mask: int, rank: int) -> tuple[int, ...]:
    """The axes of a bit mask. ShapeError when it names axes beyond the rank."""
    if mask < 0 or mask >> rank:
        raise ShapeError(f"axes mask {mask:#b} reaches beyond the {rank} dimensions")
    return tuple(axis for axis in range(rank) if mask >> axis & 1)


def number(d: Dim, what: str) -> int:
    if not isinstance(d, int):
        raise ShapeError(f"{what} is {d}: it must be known when the network is built")
    return d
