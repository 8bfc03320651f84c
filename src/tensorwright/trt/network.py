"""INetworkDefinition: a network under construction, by hand or by the parser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..dims import Dim, identifier, symbol
from ..errors import BuildError, TensorwrightError
from ..ir import Network, TensorType, ValueType
from .enums import (
    ActivationType,
    CumulativeOperation,
    DataType,
    ElementWiseOperation,
    GatherMode,
    MatrixOperation,
    NetworkDefinitionCreationFlag,
    PoolingType,
    ReduceOperation,
    ScaleMode,
    ScatterMode,
    TopKOperation,
    UnaryOperation,
)
from .enums.choice import members
from .foundation import Closed, Dims, Shape, ours
from .layer import ILayer, Lowering
from .layers import (
    IActivationLayer,
    ICastLayer,
    IConcatenationLayer,
    IConstantLayer,
    IConvolutionLayer,
    ICumulativeLayer,
    IDeconvolutionLayer,
    IElementWiseLayer,
    IFullyConnectedLayer,
    IGatherLayer,
    IIdentityLayer,
    IMatrixMultiplyLayer,
    INormalizationLayer,
    IPaddingLayer,
    IParametricReLULayer,
    IPoolingLayer,
    IReduceLayer,
    IResizeLayer,
    IScaleLayer,
    IScatterLayer,
    ISelectLayer,
    IShapeLayer,
    IShuffleLayer,
    ISliceLayer,
    ISoftMaxLayer,
    ISqueezeLayer,
    ITopKLayer,
    IUnaryLayer,
    IUnsqueezeLayer,
)
from .logger import ILogger, say
from .tensor import ITensor, tensors

if TYPE_CHECKING:
    from .builder import Builder


class INetworkDefinition(Closed):
    """Inputs, layers and outputs. Every add_... returns the new layer, or None after logging why it was refused.

    Batch is explicit: every dimension of an input is in its shape, -1 for those that vary.
    """

    name = "network"

    def __init__(self, builder: Builder, flags: int = 0) -> None:
        self._builder = builder
        self._flags = flags
        self._inputs: list[ITensor] = []
        self._constants: list[tuple[ITensor, Any]] = []                  # those of parsed models
        self._parsed_inputs: list[tuple[ITensor, TensorType]] = []       # with the types their layers were made for
        self._metadata: dict[str, str] = {}
        self._layers: list[ILayer] = []
        self._outputs: list[ITensor] = []
        self._keep_alive: list[Any] = []
        self._lowering: Lowering | None = None
        self._written = 0
        self._failures: list[TensorwrightError] = []
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
        return False

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

    def __enter__(self) -> INetworkDefinition:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    # ---- inputs and outputs

    def add_input(self, name: str, dtype: DataType, shape: Shape) -> ITensor | None:
        if not name or any(t.name == name for t in self._inputs):
            self._error(f"add_input: {'a name is needed' if not name else f'two inputs are named {name!r}'}")
            return None
        try:
            Dims(shape)
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

    def remove_tensor(self, tensor: ITensor) -> None:
        """An input disappears, or an output is not one any more."""
        self._inputs = [t for t in self._inputs if t is not tensor]
        self.unmark_output(tensor)
        self._changed()

    # ---- layers

    def add_constant(self, shape: Shape, weights: Any) -> IConstantLayer | None:
        return self._add(IConstantLayer, [], shape=shape, weights=weights)

    def add_convolution_nd(self, input: ITensor, num_output_maps: int, kernel_shape: Shape, kernel: Any,
                           bias: Any = None) -> IConvolutionLayer | None:
        return self._add(IConvolutionLayer, [input], num_output_maps=num_output_maps, kernel_size_nd=kernel_shape,
                         kernel=kernel, bias=bias)

    def add_deconvolution_nd(self, input: ITensor, num_output_maps: int, kernel_shape: Shape, kernel: Any,
                             bias: Any = None) -> IDeconvolutionLayer | None:
        return self._add(IDeconvolutionLayer, [input], num_output_maps=num_output_maps, kernel_size_nd=kernel_shape,
                         kernel=kernel, bias=bias)

    def add_pooling_nd(self, input: ITensor, type: PoolingType, window_size: Shape) -> IPoolingLayer | None:
        return self._add(IPoolingLayer, [input], type=type, window_size_nd=window_size)

    def add_activation(self, input: ITensor, type: ActivationType) -> IActivationLayer | None:
        return self._add(IActivationLayer, [input], type=type)

    def add_elementwise(self, input1: ITensor, input2: ITensor, op: ElementWiseOperation) -> IElementWiseLayer | None:
        return self._add(IElementWiseLayer, [input1, input2], op=op)

    def add_unary(self, input: ITensor, op: UnaryOperation) -> IUnaryLayer | None:
        return self._add(IUnaryLayer, [input], op=op)

    def add_scale(self, input: ITensor, mode: ScaleMode, shift: Any = None, scale: Any = None,
                  power: Any = None) -> IScaleLayer | None:
        return self._add(IScaleLayer, [input], mode=mode, shift=shift, scale=scale, power=power)

    def add_scale_nd(self, input: ITensor, mode: ScaleMode, shift: Any = None, scale: Any = None, power: Any = None,
                     channel_axis: int | None = None) -> IScaleLayer | None:
        return self._add(IScaleLayer, [input], mode=mode, shift=shift, scale=scale, power=power,
                         channel_axis=channel_axis)

    def add_parametric_relu(self, input: ITensor, slopes: ITensor) -> IParametricReLULayer | None:
        return self._add(IParametricReLULayer, [input, slopes])

    def add_select(self, condition: ITensor, then_input: ITensor, else_input: ITensor) -> ISelectLayer | None:
        return self._add(ISelectLayer, [condition, then_input, else_input])

    def add_identity(self, input: ITensor) -> IIdentityLayer | None:
        return self._add(IIdentityLayer, [input])

    def add_cast(self, input: ITensor, to_type: DataType) -> ICastLayer | None:
        return self._add(ICastLayer, [input], to_type=to_type)

    def add_matrix_multiply(self, input0: ITensor, op0: MatrixOperation, input1: ITensor,
                            op1: MatrixOperation) -> IMatrixMultiplyLayer | None:
        return self._add(IMatrixMultiplyLayer, [input0, input1], op0=op0, op1=op1)

    def add_fully_connected(self, input: ITensor, num_outputs: int, kernel: Any,
                            bias: Any = None) -> IFullyConnectedLayer | None:
        return self._add(IFullyConnectedLayer, [input], num_output_channels=num_outputs, kernel=kernel, bias=bias)

    def add_softmax(self, input: ITensor) -> ISoftMaxLayer | None:
        return self._add(ISoftMaxLayer, [input])

    def add_reduce(self, input: ITensor, op: ReduceOperation, axes: int, keep_dims: bool) -> IReduceLayer | None:
        return self._add(IReduceLayer, [input], op=op, axes=axes, keep_dims=keep_dims)

    def add_topk(self, input: ITensor, op: TopKOperation, k: int, axes: int) -> ITopKLayer | None:
        return self._add(ITopKLayer, [input], outputs=2, op=op, k=k, axes=axes)

    def add_normalization(self, input: ITensor, scale: ITensor, bias: ITensor,
                          axesMask: int) -> INormalizationLayer | None:
        return self._add(INormalizationLayer, [input, scale, bias], axes=axesMask)

    def add_normalization_v2(self, input: ITensor, scale: ITensor, bias: ITensor,
                             axesMask: int) -> INormalizationLayer | None:
        return self._add(INormalizationLayer, [input, scale, bias], axes=axesMask, _per_channel=True)

    def add_cumulative(self, input: ITensor, axis: ITensor, op: CumulativeOperation, exclusive: bool,
                       reverse: bool) -> ICumulativeLayer | None:
        return self._add(ICumulativeLayer, [input, axis], op=op, exclusive=exclusive, reverse=reverse)

    def add_concatenation(self, inputs: Sequence[ITensor]) -> IConcatenationLayer | None:
        return self._add(IConcatenationLayer, list(inputs))

    def add_shuffle(self, input: ITensor) -> IShuffleLayer | None:
        return self._add(IShuffleLayer, [input])

    def add_slice(self, input: ITensor, start: Shape, shape: Shape, stride: Shape) -> ISliceLayer | None:
        return self._add(ISliceLayer, [input], start=start, shape=shape, stride=stride)

    def add_padding_nd(self, input: ITensor, pre_padding: Shape, post_padding: Shape) -> IPaddingLayer | None:
        return self._add(IPaddingLayer, [input], pre_padding_nd=pre_padding, post_padding_nd=post_padding)

    def add_squeeze(self, input: ITensor, axes: ITensor) -> ISqueezeLayer | None:
        return self._add(ISqueezeLayer, [input, axes])

    def add_unsqueeze(self, input: ITensor, axes: ITensor) -> IUnsqueezeLayer | None:
        return self._add(IUnsqueezeLayer, [input, axes])

    def add_gather(self, input: ITensor, indices: ITensor, axis: int) -> IGatherLayer | None:
        return self._add(IGatherLayer, [input, indices], axis=axis)

    def add_gather_v2(self, input: ITensor, indices: ITensor, mode: GatherMode) -> IGatherLayer | None:
        return self._add(IGatherLayer, [input, indices], mode=mode)

    def add_scatter(self, data: ITensor, indices: ITensor, updates: ITensor, mode: ScatterMode) -> IScatterLayer | None:
        return self._add(IScatterLayer, [data, indices, updates], mode=mode)

    def add_resize(self, input: ITensor) -> IResizeLayer | None:
        return self._add(IResizeLayer, [input])

    def add_shape(self, input: ITensor) -> IShapeLayer | None:
        return self._add(IShapeLayer, [input])

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
        say(self._builder.logger, ILogger.ERROR, text)

    def _symbolic(self, tensor: ITensor, shape: Shape) -> tuple[Dim, ...]:
        """-1 becomes a symbol: the dimension's name if it has one, else one made from the input's name and the axis."""
        return tuple(d if d >= 0 else symbol(identifier(tensor._dimension_names.get(axis) or f"{tensor._name}_{axis}"))
                     for axis, d in enumerate(shape))

    def _changed(self) -> None:
        """Something that was written into records may be different now: write again when asked."""
        self._lowering = None

    def _lowered(self) -> Lowering:
        """The records of all layers that fit. Those that do not are in `_failures`; their outputs have no value."""
        if self._lowering is None:
            self._lowering, self._written, self._failures = Lowering(self.name), 0, []
            self._lowering.renamed = self._renamed()
            for tensor in self._inputs:
                assert tensor._given is not None
                self._lowering.values[id(tensor)] = self._lowering.editor.input(tensor.name, tensor._given)
            for tensor, array in self._constants:
                self._lowering.values[id(tensor)] = self._lowering.constant(array, tensor.name)
        while self._written < len(self._layers):
            layer = self._layers[self._written]
            self._written += 1
            try:
                layer._write(self._lowering)
            except TensorwrightError as error:
                self._failures.append(error.located(f"layer {layer.name!r}"))
            except ValueError as error:
                self._failures.append(BuildError(str(error), at=f"layer {layer.name!r}"))
        return self._lowering

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
        name = lowering.values.get(id(tensor))
        return None if name is None else lowering.editor.types[name]

    def _finish(self) -> Network:
        """The frozen network. Raises the first error met."""
        lowering = self._lowered()
        if self._failures:
            raise self._failures[0]
        if not self._outputs:
            raise BuildError("the network has no outputs", try_="network.mark_output(tensor)")
        values = [lowering.values[id(t)] for t in self._outputs]
        for tensor, value in zip(self._outputs, values, strict=True):
            if value != tensor.name:
                raise BuildError(f"output {tensor.name!r} has the name of another tensor", try_="give it another name")
        lowering.editor.outputs = values
        lowering.editor.metadata = dict(self._metadata)
        return lowering.editor.finish()


def _count(shape: Dims) -> int:
    result = 1
    for d in shape:
        result *= d
    return result
