"""A layer of every class of TensorRT's, made as scripts make it; for the tests of what all layers have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tensorwright as trt

RNG = np.random.default_rng(11)


class Making:
    """A network under construction in the names of one generation."""

    def __init__(self, module: Any, network: Any) -> None:
        self.m, self.n, self.inputs = module, network, 0

    def x(self, *shape: int, dtype: str = "float32") -> Any:
        self.inputs += 1
        return self.n.add_input(f"x{self.inputs}", getattr(self.m, dtype), shape)

    def c(self, array: Any, dtype: Any = np.float32) -> Any:
        """A constant tensor."""
        array = np.ascontiguousarray(np.asarray(array, dtype))
        return self.n.add_constant(array.shape, array.reshape(-1)).get_output(0)

    def normal(self, *shape: int) -> np.ndarray:
        return RNG.standard_normal(shape).astype(np.float32)

    def nd(self, name: str) -> Any:
        """add_..._nd, or what generation 5 has in its place."""
        return getattr(self.n, f"{name}_nd", None) or getattr(self.n, name)


def loop(b: Making) -> tuple[Any, Any, Any, Any, Any]:
    """Sum of the rows of a (3, 4) tensor: (limit, recurrence, iterator, output, loop)."""
    made = b.n.add_loop()
    limit = made.add_trip_limit(b.c(3, np.int32), b.m.TripLimit.COUNT)
    rows = made.add_iterator(b.x(3, 4), 0, False)
    total = made.add_recurrence(b.c(np.zeros(4)))
    added = b.n.add_elementwise(total.get_output(0), rows.get_output(0), b.m.ElementWiseOperation.SUM)
    total.set_input(1, added.get_output(0))
    return limit, total, rows, made.add_loop_output(total.get_output(0), b.m.LoopOutput.LAST_VALUE, 0), made


def branch(b: Making) -> tuple[Any, Any, Any, Any]:
    """x or −x: (condition, input, output, conditional)."""
    made = b.n.add_if_conditional()
    condition = made.set_condition(b.c(True, np.bool_))
    given = made.add_input(b.x(2, 3))
    negated = b.n.add_unary(given.get_output(0), b.m.UnaryOperation.NEG)
    return condition, given, made.add_output(negated.get_output(0), given.get_output(0)), made


def moe(b: Making) -> Any:
    layer = b.n.add_moe(b.x(1, 2, 4), b.c(np.zeros((1, 2, 1)), np.int32), b.c(np.ones((1, 2, 1))))
    layer.set_gated_weights(b.c(b.normal(2, 4, 8)), b.c(b.normal(2, 4, 8)), b.c(b.normal(2, 8, 4)),
                            b.m.MoEActType.SILU)
    return layer


def rnn(b: Making) -> Any:
    """One layer of two units over three steps of four features: generations 5 to 7."""
    layer = b.n.add_rnn(b.x(1, 3, 4), 1, 2, 3, b.m.RNNOperation.RELU, b.m.RNNInputMode.LINEAR,
                        b.m.RNNDirection.UNIDIRECTION, b.normal(4 * 2 + 2 * 2), b.normal(2 * 2))
    layer.hidden_state = b.c(np.zeros((1, 1, 2)))
    return layer


def rnn_v2(b: Making) -> Any:
    layer = b.n.add_rnn_v2(b.x(1, 3, 4), 1, 2, 3, b.m.RNNOperation.RELU)
    gate = b.m.RNNGateType.INPUT
    for is_w, count in ((True, 8), (False, 4)):
        layer.set_weights_for_gate(0, gate, is_w, b.normal(count))
        layer.set_bias_for_gate(0, gate, is_w, b.normal(2))
    return layer


def quantized(b: Making) -> Any:
    return b.n.add_quantize(b.x(2, 3), b.c(0.5))


def plugin(b: Making) -> Any:
    creator = b.m.get_plugin_registry().get_plugin_creator("Clip_TRT", "1", "") if hasattr(
        b.m.IPluginRegistry, "get_plugin_creator") else b.m.get_plugin_registry().get_creator("Clip_TRT", "1", "")
    fields = [b.m.PluginField(name, np.float32([value]), b.m.PluginFieldType.FLOAT32)
              for name, value in (("clipMin", -1), ("clipMax", 1))]
    return b.n.add_plugin_v2([b.x(2, 3)], creator.create_plugin("clip", b.m.PluginFieldCollection(fields)))


class Same(trt.IPlugin):
    """An IPlugin that copies."""

    def get_output_shape(self, index: int, input_shapes: Any) -> Any:
        return input_shapes[0]

    def configure(self, input_shapes: Any, output_shapes: Any, max_batch_size: int) -> None:
        self._bytes = 4 * int(np.prod(list(input_shapes[0])))

    def execute_async(self, batch_size: int, inputs: Any, outputs: Any, workspace: Any, stream_handle: Any) -> int:
        import ctypes
        ctypes.memmove(int(outputs[0]), int(inputs[0]), batch_size * self._bytes)
        return 0


def attention(b: Making) -> Any:
    add = getattr(b.n, "add_attention", None)
    return add(b.x(1, 2, 3, 4), b.x(1, 2, 5, 4), b.x(1, 2, 5, 4), b.m.AttentionNormalizationOp.SOFTMAX, False)


def fill(b: Making) -> Any:
    layer = b.n.add_fill((3, 2), b.m.FillOperation.LINSPACE)
    layer.set_input(1, b.c(1.0))
    layer.set_input(2, b.c([2.0, 0.5]))
    return layer


def resize(b: Making) -> Any:
    layer = b.n.add_resize(b.x(1, 1, 2, 3))
    layer.shape = (1, 1, 4, 6)
    return layer


def shuffle(b: Making) -> Any:
    layer = b.n.add_shuffle(b.x(2, 3, 4))
    layer.first_transpose, layer.reshape_dims, layer.second_transpose = (1, 0, 2), (0, -1), (1, 0)
    return layer


#: Class → what makes a layer of it.
MAKERS: dict[str, Callable[[Making], Any]] = {
    "IActivationLayer": lambda b: b.n.add_activation(b.x(2, 3), b.m.ActivationType.LEAKY_RELU),
    "IAssertionLayer": lambda b: b.n.add_assertion(b.c([True], np.bool_), "holds"),
    "ICastLayer": lambda b: b.n.add_cast(b.x(2, 3), b.m.int32),
    "IConcatenationLayer": lambda b: b.n.add_concatenation([b.x(2, 3), b.x(2, 3)]),
    "IConditionLayer": lambda b: branch(b)[0],
    "IConstantLayer": lambda b: b.n.add_constant((2, 3), b.normal(6)),
    "IConvolutionLayer": lambda b: b.nd("add_convolution")(b.x(1, 2, 5, 6), 4, (3, 3), b.normal(72), b.normal(4)),
    "ICumulativeLayer": lambda b: b.n.add_cumulative(b.x(2, 3), b.c(1, np.int32), b.m.CumulativeOperation.SUM, False,
                                                     True),
    "IDeconvolutionLayer": lambda b: b.nd("add_deconvolution")(b.x(1, 2, 5, 6), 3, (3, 3), b.normal(54), b.normal(3)),
    "IDequantizeLayer": lambda b: b.n.add_dequantize(quantized(b).get_output(0), b.c(0.5)),
    "IDistCollectiveLayer": lambda b: b.n.add_dist_collective(b.x(2, 3), b.m.CollectiveOperation.ALL_REDUCE,
                                                              b.m.ReduceOperation.SUM, 0, [0]),
    "IDynamicQuantizeLayer": lambda b: b.n.add_dynamic_quantize(b.x(2, 32), 1, 16, b.m.DataType.FP4, b.m.DataType.FP8),
    "IEinsumLayer": lambda b: b.n.add_einsum([b.x(2, 3), b.x(3, 4)], "ij,jk->ik"),
    "IElementWiseLayer": lambda b: b.n.add_elementwise(b.x(2, 3), b.x(1, 3), b.m.ElementWiseOperation.POW),
    "IFillLayer": fill,
    "IFullyConnectedLayer": lambda b: b.n.add_fully_connected(b.x(2, 3, 1, 2), 4, b.normal(24), b.normal(4)),
    "IGatherLayer": lambda b: b.n.add_gather(b.x(3, 4), b.c([2, 0], np.int32), 0),
    "IGridSampleLayer": lambda b: b.n.add_grid_sample(b.x(1, 2, 4, 4), b.x(1, 3, 3, 2)),
    "IIdentityLayer": lambda b: b.n.add_identity(b.x(2, 3)),
    "IIfConditionalInputLayer": lambda b: branch(b)[1],
    "IIfConditionalOutputLayer": lambda b: branch(b)[2],
    "IIteratorLayer": lambda b: loop(b)[2],
    "IKVCacheUpdateLayer": lambda b: b.n.add_kv_cache_update(b.x(1, 2, 8, 4), b.x(1, 2, 3, 4), b.c([2], np.int32),
                                                             b.m.KVCacheMode.LINEAR),
    "ILRNLayer": lambda b: b.n.add_lrn(b.x(1, 5, 2, 2), 3, 0.5, 0.75, 2.0),
    "ILoopOutputLayer": lambda b: loop(b)[3],
    "IMatrixMultiplyLayer": lambda b: b.n.add_matrix_multiply(b.x(2, 3), b.m.MatrixOperation.NONE, b.x(4, 3),
                                                              b.m.MatrixOperation.TRANSPOSE),
    "IMoELayer": moe,
    "INMSLayer": lambda b: b.n.add_nms(b.x(1, 5, 4), b.x(1, 5, 2), b.c(3, np.int32)),
    "INonZeroLayer": lambda b: b.n.add_non_zero(b.x(2, 3)),
    "INormalizationLayer": lambda b: b.n.add_normalization(b.x(2, 4, 3), b.c(np.ones((1, 1, 3))),
                                                           b.c(np.zeros((1, 1, 3))), 1 << 2),
    "IOneHotLayer": lambda b: b.n.add_one_hot(b.c([1, 0, 2], np.int32), b.c([0, 1]), b.c(4, np.int32), 1),
    "IPaddingLayer": lambda b: b.nd("add_padding")(b.x(1, 1, 3, 4), (1, 0), (0, 2)),
    "IParametricReLULayer": lambda b: b.n.add_parametric_relu(b.x(2, 3), b.c(b.normal(1, 3))),
    "IPluginLayer": lambda b: b.n.add_plugin([b.x(2, 3)], Same()),
    "IPluginV2Layer": plugin,
    "IPoolingLayer": lambda b: b.nd("add_pooling")(b.x(1, 2, 6, 6), b.m.PoolingType.MAX, (2, 2)),
    "IQuantizeLayer": quantized,
    "IRNNLayer": rnn,
    "IRNNv2Layer": rnn_v2,
    "IRaggedSoftMaxLayer": lambda b: b.n.add_ragged_softmax(b.x(2, 1, 4), b.c([[[2]], [[4]]], np.int32)),
    "IRecurrenceLayer": lambda b: loop(b)[1],
    "IReduceLayer": lambda b: b.n.add_reduce(b.x(2, 3, 4), b.m.ReduceOperation.AVG, 1 << 2, False),
    "IResizeLayer": resize,
    "IReverseSequenceLayer": lambda b: b.n.add_reverse_sequence(b.x(4, 2, 3), b.c([2, 4], np.int32)),
    "IRotaryEmbeddingLayer": lambda b: b.n.add_rotary_embedding(b.x(1, 2, 3, 8), b.c(b.normal(1, 3, 4)),
                                                                b.c(b.normal(1, 3, 4)), False, 8),
    "IScaleLayer": lambda b: b.n.add_scale(b.x(1, 3, 2, 2), b.m.ScaleMode.CHANNEL, b.normal(3), b.normal(3), np.ones(
        3, np.float32)),
    "IScatterLayer": lambda b: b.n.add_scatter(b.x(3, 4), b.c([[0, 1, 2, 0]], np.int32), b.x(1, 4),
                                               b.m.ScatterMode.ELEMENT),
    "ISelectLayer": lambda b: b.n.add_select(b.c([[True, False, True]], np.bool_), b.x(2, 3), b.x(2, 3)),
    "IShapeLayer": lambda b: b.n.add_shape(b.x(2, 3)),
    "IShuffleLayer": shuffle,
    "ISliceLayer": lambda b: b.n.add_slice(b.x(4, 6), (1, 0), (2, 3), (1, 2)),
    "ISoftMaxLayer": lambda b: b.n.add_softmax(b.x(2, 3)),
    "ISqueezeLayer": lambda b: b.n.add_squeeze(b.x(2, 1, 3), b.c([1], np.int32)),
    "ITopKLayer": lambda b: b.n.add_topk(b.x(2, 5), b.m.TopKOperation.MAX, 2, 1 << 1),
    "ITripLimitLayer": lambda b: loop(b)[0],
    "IUnaryLayer": lambda b: b.n.add_unary(b.x(2, 3), b.m.UnaryOperation.ABS),
    "IUnsqueezeLayer": lambda b: b.n.add_unsqueeze(b.x(2, 3), b.c([0], np.int32)),
}
#: Classes that no call makes a layer of: their subclasses, or layers of `attention`.
ABSTRACT = {"ILayer", "ILoopBoundaryLayer", "IIfConditionalBoundaryLayer", "IAttentionBoundaryLayer",
            "IAttentionInputLayer", "IAttentionOutputLayer", "IPluginV3Layer"}
