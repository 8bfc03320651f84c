"""What each type of Caffe layer becomes in a network definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...errors import ModelError, UnsupportedError
from ..enums import ActivationType, ElementWiseOperation, PaddingMode, PoolingType, ReduceOperation, ScaleMode
from ..enums import UnaryOperation as Unary
from ..network import INetworkDefinition
from ..tensor import ITensor
from .weights import Weights


@dataclass
class Place:
    """Where a layer is translated: the network, the message, its input tensors, the weights."""

    network: INetworkDefinition
    kind: str
    message: Any
    inputs: list[ITensor]
    weights: Weights

    @property
    def lead(self) -> int:
        """1 when shapes leave out the batch."""
        return int(self.network.has_implicit_batch_dimension)

    def shape(self, i: int = 0) -> tuple[int, ...]:
        """Sizes of an input as Caffe counts them, batch first: 1 where the network leaves it out."""
        return (1,) * self.lead + tuple(self.inputs[i].shape)

    def blob(self, index: int, count: int, spread: float = 0.0, centre: float = 0.0) -> np.ndarray:
        return self.weights(self.message.name, index, count, spread, centre)

    def axis(self, axis: int) -> int:
        """An axis that Caffe counts with the batch, as the network counts. ModelError for the batch itself."""
        rank = len(self.shape())
        found = axis + rank if axis < 0 else axis
        if not self.lead <= found < rank:
            raise ModelError(f"axis {axis} of {rank} cannot be used in a network "
                             f"{'whose batch is implicit' if self.lead else 'of this rank'}")
        return found - self.lead

    def scaled(self, tensor: ITensor, scale: Any = None, shift: Any = None, power: Any = None,
               mode: ScaleMode = ScaleMode.UNIFORM) -> Any:
        none = np.empty(0, np.float32)
        given = [none if v is None else np.asarray(v, np.float32).reshape(-1) for v in (shift, scale, power)]
        return self.network.add_scale_nd(tensor, mode, given[0], given[1], given[2], 1 - self.lead)


def pair(p: Any, name: str, default: int) -> tuple[int, int]:
    """(height, width) of a parameter that is given per axis, once for both, or as a list; the default when absent."""
    whole, fields = "kernel_size" if name == "kernel" else name, p.DESCRIPTOR.fields_by_name
    listed = getattr(p, whole)
    values = ([listed] if p.HasField(whole) else []) if isinstance(listed, int) else list(listed)
    height = values[0] if values else default
    both = (height, values[1] if len(values) > 1 else height)
    h, w = (getattr(p, f) if (f := f"{name}_{a}") in fields and p.HasField(f) else v
            for a, v in zip("hw", both, strict=True))
    return h, w


def convolution(at: Place) -> Any:
    p, channels = at.message.convolution_param, at.shape()[1]
    window, groups, outputs = pair(p, "kernel", 0), max(1, p.group), p.num_output
    if 0 in window or not outputs or channels % groups or outputs % groups:
        raise ModelError(f"{outputs} outputs, a window of {window} and {groups} groups do not fit {channels} channels")
    transposed = at.kind == "Deconvolution"
    count = math.prod(window) * outputs * channels // groups
    kernel = at.blob(0, count, 1 / math.sqrt(math.prod(window) * channels / groups))
    bias = at.blob(1, outputs) if p.bias_term else None
    add = at.network.add_deconvolution_nd if transposed else at.network.add_convolution_nd
    layer: Any = add(at.inputs[0], outputs, window, kernel, bias)
    if layer is not None:
        layer.stride_nd, layer.padding_nd = pair(p, "stride", 1), pair(p, "pad", 0)
        layer.dilation_nd, layer.num_groups = pair(p, "dilation", 1), groups
        layer.padding_mode = PaddingMode.CAFFE_ROUND_DOWN
    return layer


def pooling(at: Place) -> Any:
    p = at.message.pooling_param
    if p.pool not in (0, 1):
        raise UnsupportedError("pooling at random places needs training", try_="MAX or AVE")
    window = at.shape()[2:] if p.global_pooling else pair(p, "kernel", 0)
    kind = PoolingType.AVERAGE if p.pool == 1 else PoolingType.MAX
    layer: Any = at.network.add_pooling_nd(at.inputs[0], kind, window)
    if layer is not None:
        layer.stride_nd, layer.padding_nd = pair(p, "stride", 1), pair(p, "pad", 0)
        down = p.torch_pooling or p.round_mode == 1
        layer.padding_mode = PaddingMode.CAFFE_ROUND_DOWN if down else PaddingMode.CAFFE_ROUND_UP
        layer.average_count_excludes_padding = False     # Caffe counts the padding, but not what rounding up adds
    return layer


def inner_product(at: Place) -> Any:
    p, shape = at.message.inner_product_param, at.shape()
    if p.axis not in (1, 1 - len(shape)):
        raise UnsupportedError(f"InnerProduct over axis {p.axis}: only all axes but the batch are flattened")
    elements = math.prod(shape[1:])
    if elements < 1 or not p.num_output:
        raise ModelError(f"{p.num_output} outputs of {elements} elements per sample")
    kernel = at.blob(0, elements * p.num_output, 1 / math.sqrt(elements))
    if p.transpose:
        kernel = np.ascontiguousarray(kernel.reshape(elements, p.num_output).T).reshape(-1)
    bias = at.blob(1, p.num_output) if p.bias_term else None
    return at.network.add_fully_connected(spread(at, at.inputs[0]), p.num_output, kernel, bias)


def spread(at: Place, tensor: ITensor) -> ITensor:
    """The tensor with axes of one element appended, until there are channels, height and width."""
    missing = 4 - at.lead - len(tensor.shape)
    if missing <= 0:
        return tensor
    layer: Any = at.network.add_shuffle(tensor)
    layer.reshape_dims = (*(0,) * len(tensor.shape), *(1,) * missing)
    return layer.get_output(0)                            # type: ignore[no-any-return]


def flatten(at: Place) -> Any:
    """(N, C, H, W) → (N, C·H·W, 1, 1): tensors keep their four axes."""
    layer: Any = at.network.add_shuffle(at.inputs[0])
    layer.reshape_dims = (-1, 1, 1) if at.lead else (0, -1, 1, 1)
    return layer


def activation(kind: ActivationType, alpha: Callable[[Any], float] | None = None) -> Callable[[Place], Any]:
    def make(at: Place) -> Any:
        layer: Any = at.network.add_activation(at.inputs[0], kind)
        if alpha is not None:
            layer.alpha = alpha(at.message)
        return layer
    return make


def relu(at: Place) -> Any:
    slope = at.message.relu_param.negative_slope
    layer: Any = at.network.add_activation(at.inputs[0], ActivationType.LEAKY_RELU if slope else ActivationType.RELU)
    if slope:
        layer.alpha = slope
    return layer


def softplus(at: Place) -> Any:
    layer: Any = at.network.add_activation(at.inputs[0], ActivationType.SOFTPLUS)
    layer.alpha = layer.beta = 1.0
    return layer


def clip(at: Place) -> Any:
    p = at.message.clip_param
    layer: Any = at.network.add_activation(at.inputs[0], ActivationType.CLIP)
    most = float(np.finfo(np.float32).max)
    layer.alpha = p.min if p.HasField("min") else -most
    layer.beta = p.max if p.HasField("max") else most
    return layer


def softmax(at: Place) -> Any:
    layer: Any = at.network.add_softmax(at.inputs[0])
    layer.axes = 1 << at.axis(at.message.softmax_param.axis)
    return layer


def lrn(at: Place) -> Any:
    p = at.message.lrn_param
    if p.norm_region:
        raise UnsupportedError("LRN within a channel", try_="norm_region: ACROSS_CHANNELS")
    return at.network.add_lrn(at.inputs[0], p.local_size, p.alpha, p.beta, p.k)


def power(at: Place) -> Any:
    p = at.message.power_param
    return at.scaled(at.inputs[0], p.scale, p.shift, p.power)


def eltwise(at: Place) -> Any:
    p = at.message.eltwise_param
    if len(at.inputs) < 2 or len(p.coeff) not in (0, len(at.inputs)):
        raise ModelError(f"{len(at.inputs)} inputs and {len(p.coeff)} coefficients")
    op = (ElementWiseOperation.PROD, ElementWiseOperation.SUM, ElementWiseOperation.MAX)[p.operation]
    terms = list(at.inputs)
    for i, factor in enumerate(p.coeff if p.operation == 1 else ()):
        if factor != 1:
            terms[i] = at.scaled(terms[i], factor).get_output(0)
    total, layer = terms[0], None
    for term in terms[1:]:
        layer = at.network.add_elementwise(total, term, op)
        total = layer.get_output(0) if layer else None    # type: ignore[assignment]
    return layer


def concat(at: Place) -> Any:
    p = at.message.concat_param
    layer: Any = at.network.add_concatenation(at.inputs)
    layer.axis = at.axis(p.concat_dim if p.HasField("concat_dim") else p.axis)
    return layer


def batch_norm(at: Place) -> Any:
    """Blobs: mean, variance, what both are divided by; of NVIDIA's fork: mean, variance, unused, scale, bias."""
    c, name, eps = at.shape()[1], at.message.name, at.message.batch_norm_param.eps
    five = at.weights.count(name) == 5
    mean, variance = (at.blob(i, c, 0.0, float(i)).astype(np.float64) for i in (0, 1))
    if not five:
        factor = float(at.blob(2, 1, 0.0, 1.0)[0])
        if factor == 0:
            raise ModelError("the moving average's factor is 0: the layer was never trained")
        mean, variance = mean / factor, variance / factor
    scale = 1 / np.sqrt(variance + eps) * (at.blob(3, c) if five else 1.0)
    shift = -mean * scale + (at.blob(4, c) if five else 0.0)
    return at.scaled(at.inputs[0], scale, shift, mode=ScaleMode.CHANNEL)


def scale(at: Place) -> Any:
    p, c = at.message.scale_param, at.shape()[1]
    if len(at.inputs) > 1 or p.axis != 1 or p.num_axes != 1:
        raise UnsupportedError("Scale by a second input, or over other axes than the channels", try_="Eltwise PROD")
    shift = at.blob(1, c) if p.bias_term else None
    return at.scaled(at.inputs[0], at.blob(0, c, 0.0, 1.0), shift, mode=ScaleMode.CHANNEL)


def bias(at: Place) -> Any:
    if len(at.inputs) > 1 or at.message.bias_param.axis != 1:
        raise UnsupportedError("Bias by a second input, or over other axes than the channels", try_="Eltwise SUM")
    return at.scaled(at.inputs[0], shift=at.blob(0, at.shape()[1]), mode=ScaleMode.CHANNEL)


def crop(at: Place) -> Any:
    p, (x, like) = at.message.crop_param, (at.shape(0), at.shape(1))
    first = p.axis + len(x) if p.axis < 0 else p.axis
    offsets = list(p.offset) or [0]
    if first < 2 or len(x) != 4 or len(offsets) not in (1, 4 - first):
        raise UnsupportedError(f"Crop from axis {p.axis} with {len(offsets)} offsets: height and width can be cropped")
    start = [0, 0]
    for axis in range(first, 4):
        start[axis - 2] = offsets[axis - first if len(offsets) > 1 else 0]
    stop = [like[a] - x[a] + start[a - 2] if a >= first else 0 for a in (2, 3)]
    if any(s > 0 for s in stop):
        raise ModelError(f"{x} cannot be cropped to {like} at {start}")
    return at.network.add_padding_nd(at.inputs[0], [-s for s in start], stop)


def reduction(at: Place) -> Any:
    """Keeps the reduced axes, with one element each: tensors keep their four axes."""
    p, rank, tensor = at.message.reduction_param, len(at.shape()), at.inputs[0]
    first = at.axis(p.axis) + at.lead
    if p.operation == 2:
        tensor = at.network.add_unary(tensor, Unary.ABS).get_output(0)          # type: ignore[union-attr, assignment]
    elif p.operation == 3:
        tensor = at.network.add_elementwise(tensor, tensor, ElementWiseOperation.PROD).get_output(0)  # type: ignore
    mask = sum(1 << (a - at.lead) for a in range(first, rank))
    layer: Any = at.network.add_reduce(tensor, ReduceOperation.AVG if p.operation == 4 else ReduceOperation.SUM, mask,
                                       True)
    return layer if p.coeff == 1 else at.scaled(layer.get_output(0), p.coeff)


def reshape(at: Place) -> Any:
    """0 copies the size at its place, -1 is what is left; axis and num_axes name the range that is replaced."""
    p, shape = at.message.reshape_param, list(at.shape())
    first = p.axis + len(shape) + 1 if p.axis < 0 else p.axis
    last = len(shape) if p.num_axes == -1 else first + p.num_axes
    if not 0 <= first <= last <= len(shape):
        raise ModelError(f"axis {p.axis} and num_axes {p.num_axes} reach beyond the input's {len(shape)} axes")
    if any(d == 0 and first + i >= len(shape) for i, d in enumerate(p.shape.dim)):
        raise ModelError(f"{list(p.shape.dim)} copies sizes that {shape} does not have")
    wanted = [0] * first + list(p.shape.dim) + shape[last:]      # 0 copies the size at its place
    if at.lead and (not wanted or wanted[0] not in (0, 1)):
        raise ModelError("Reshape changes the batch, which is implicit in this network")
    layer: Any = at.network.add_shuffle(at.inputs[0])
    layer.reshape_dims = wanted[at.lead:]
    return layer


def permute(at: Place) -> Any:
    order, rank = list(at.message.permute_param.order), len(at.shape())
    order += [a for a in range(rank) if a not in order]
    if sorted(order) != list(range(rank)) or (at.lead and order[0]):
        raise ModelError(f"order {order} is not a permutation of {rank} axes that leaves an implicit batch first")
    layer: Any = at.network.add_shuffle(at.inputs[0])
    layer.first_transpose = [a - at.lead for a in order[at.lead:]]
    return layer


def prelu(at: Place) -> Any:
    shared = at.message.prelu_param.channel_shared
    count, rank = 1 if shared else at.shape()[1], len(at.inputs[0].shape)
    shape = [1] * rank
    shape[1 - at.lead] = count
    slopes: Any = at.network.add_constant(shape, at.blob(0, count, 0.0, 0.25))
    return at.network.add_parametric_relu(at.inputs[0], slopes.get_output(0))


def slices(at: Place) -> Any:
    """One ISliceLayer per output."""
    p, shape = at.message.slice_param, tuple(at.inputs[0].shape)
    axis = at.axis(p.slice_dim if p.HasField("slice_dim") else p.axis)
    count = len(at.message.top)
    points = list(p.slice_point) or [shape[axis] * i // count for i in range(1, count)]
    ends = [0, *points, shape[axis]]
    if len(ends) != count + 1 or sorted(set(ends)) != ends or (not p.slice_point and shape[axis] % count):
        raise ModelError(f"{shape[axis]} elements cannot be sliced at {points} into {count} outputs")
    made = []
    for low, high in pairwise(ends):
        start, size = [0] * len(shape), list(shape)
        start[axis], size[axis] = low, high - low
        made.append(at.network.add_slice(at.inputs[0], start, size, [1] * len(shape)))
    return made


#: Type of a Caffe layer → what translates it: one layer, or a list with one layer per output.
LAYERS: dict[str, Callable[[Place], Any]] = {
    "AbsVal": lambda at: at.network.add_unary(at.inputs[0], Unary.ABS), "BatchNorm": batch_norm, "Bias": bias,
    "BNLL": softplus, "Clip": clip, "Concat": concat, "Convolution": convolution, "Crop": crop,
    "Deconvolution": convolution, "Eltwise": eltwise,
    "ELU": activation(ActivationType.ELU, lambda m: m.elu_param.alpha), "Flatten": flatten,
    "InnerProduct": inner_product, "LRN": lrn, "Permute": permute, "Pooling": pooling, "Power": power, "PReLU": prelu,
    "Reduction": reduction, "ReLU": relu, "Reshape": reshape, "Scale": scale,
    "Sigmoid": activation(ActivationType.SIGMOID), "Slice": slices, "Softmax": softmax, "SoftmaxWithLoss": softmax,
    "TanH": activation(ActivationType.TANH)}
#: Layers that hand on their inputs as they are.
PASSED_ON = {"Dropout", "Split"}
