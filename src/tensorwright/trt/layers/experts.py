"""Mixture of experts, blocks quantized on the fly, caches of keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import BuildError, ShapeError, UnsupportedError
from ...ir import TensorType
from ...ops import DynamicQuantize
from ..enums import AttentionIOForm, DataType, KVCacheMode, LayerType, MoEActType
from ..foundation import Dims, ours
from ..layer import ILayer, Lowering, Param
from .nodes import constant, node, onnx_type
from .standard import Standard, optional_sizes

if TYPE_CHECKING:
    import onnx

    from ..tensor import ITensor


class IMoELayer(Standard):
    """y = Σ over the experts e chosen for a token of score · down_e(act(gate_e(x)) · up_e(x))

    Inputs: hidden states (B, S, H), chosen experts (B, S, K) int32 or int64, scores (B, S, K); set_gated_weights adds
    gate and up (E, H, I) and down (E, I, H), set_gated_biases (E, I), (E, I) and (E, H). Every expert computes every
    token: E / K times the work of the chosen ones, in matrix products.
    """

    _layer_type = LayerType.MOE
    _optional_inputs = 6
    activation_type = Param(MoEActType.SILU)
    quantization_to_type = Param(DataType.FLOAT)
    quantization_block_shape = Param(None, optional_sizes)
    dyn_q_output_scale_type = Param(DataType.FLOAT)
    swiglu_param_limit = Param(float("inf"), float)
    swiglu_param_alpha = Param(1.0, float)
    swiglu_param_beta = Param(0.0, float)
    _quantized = Param(False)

    def set_gated_weights(self, fc_gate_weights: ITensor, fc_up_weights: ITensor, fc_down_weights: ITensor,
                          activation_type: MoEActType) -> None:
        for i, tensor in enumerate((fc_gate_weights, fc_up_weights, fc_down_weights)):
            self.set_input(3 + i, tensor)
        self.activation_type = activation_type

    def set_gated_biases(self, fc_gate_biases: ITensor, fc_up_biases: ITensor, fc_down_biases: ITensor) -> None:
        for i, tensor in enumerate((fc_gate_biases, fc_up_biases, fc_down_biases)):
            self.set_input(6 + i, tensor)

    def set_swiglu_params(self, limit: float, alpha: float, beta: float) -> None:
        """gate below limit, up within ±limit; then gate · sigmoid(alpha · gate) · (up + beta)."""
        self.swiglu_param_limit, self.swiglu_param_alpha, self.swiglu_param_beta = limit, alpha, beta

    def set_quantization_static(self, fc_down_activation_scale: ITensor, data_type: DataType) -> None:
        """Refused when built."""
        self._quantized, self.quantization_to_type = True, data_type

    def set_quantization_dynamic_dbl_q(self, fc_down_activation_dbl_q_scale: ITensor, data_type: DataType,
                                       block_shape: Dims, dyn_q_output_scale_type: DataType) -> None:
        """Refused when built."""
        self._quantized, self.quantization_to_type = True, data_type
        self.quantization_block_shape, self.dyn_q_output_scale_type = block_shape, dyn_q_output_scale_type

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        if self._quantized:
            raise UnsupportedError("activations quantized inside a mixture of experts are not in this version",
                                   try_="leave set_quantization_static and set_quantization_dynamic_dbl_q out")
        if len(types) < 6 or any(t is None for t in types[:6]):
            raise BuildError("the experts have no weights", try_="layer.set_gated_weights(gate, up, down, activation)")
        x, chosen, scores, gate, up, down = types[:6]
        assert x and chosen and scores and gate and up and down
        if x.rank != 3 or chosen.rank != 3 or scores.shape != chosen.shape or gate.rank != 3 or up.shape != gate.shape \
                or down.shape != (gate.shape[0], gate.shape[2], gate.shape[1]) or gate.shape[1] != x.shape[2]:
            raise ShapeError("a mixture of experts takes states (B, S, H), experts and scores (B, S, K), gate and up "
                             "(E, H, I), down (E, I, H)", states=x, experts=chosen, scores=scores, gate=gate, up=up,
                             down=down)
        experts = gate.shape[0]
        if not isinstance(experts, int):
            raise ShapeError("the number of experts must be known when the network is built", gate=gate)

        def biased(name: str, at: int) -> list[onnx.NodeProto]:
            """(E, B·S, ·) + (E, ·)"""
            if at >= len(types) or types[at] is None:
                return [node("Identity", f"{name}0", name)]
            return [node("Unsqueeze", f"x{at} one", f"{name}b"), node("Add", f"{name}0 {name}b", name)]
        kind = x.dtype.numpy
        limits = []
        if np.isfinite(self.swiglu_param_limit):
            limits = [constant("top", self.swiglu_param_limit, kind), constant("low", -self.swiglu_param_limit, kind)]
        bounded = [node("Min", "gate top", "gatel"), node("Clip", "up low top", "upl")] if limits else \
            [node("Identity", "gate", "gatel"), node("Identity", "up", "upl")]
        act = [constant("alpha", self.swiglu_param_alpha, kind), node("Mul", "gatel alpha", "ga"),
               node("Sigmoid", "ga", "s"), node("Mul", "gatel s", "act")] if self.activation_type == MoEActType.SILU \
            else [node("Identity", "gatel", "act")]
        return [
            constant("one", [1], np.int64), constant("first", [0], np.int64), constant("tail", [-1], np.int64),
            node("Shape", "x0", "shape"), constant("rows", [1, -1, x.shape[2] if isinstance(x.shape[2], int) else 0],
                                                   np.int64),
            node("Reshape", "x0 rows", "x"), *limits,
            node("MatMul", "x x3", "gate0"), *biased("gate", 6), node("MatMul", "x x4", "up0"), *biased("up", 7),
            *bounded, *act, constant("beta", self.swiglu_param_beta, kind), node("Add", "upl beta", "upper"),
            node("Mul", "act upper", "inner"), node("MatMul", "inner x5", "down0"), *biased("down", 8),
            # the score of each expert for each token: (E, B·S, 1); experts that were not chosen do not count at all
            node("Cast", "x1", "c64", to=onnx_type(DataType.INT64)),
            constant("flat", [1, -1, chosen.shape[2] if isinstance(chosen.shape[2], int) else 0], np.int64),
            node("Reshape", "c64 flat", "chosen"), node("Reshape", "x2 flat", "scores"),
            constant("ids", np.arange(experts).reshape(-1, 1, 1), np.int64), node("Equal", "chosen ids", "is"),
            constant("zero", 0, kind), node("Where", "is scores zero", "mine"),
            node("ReduceSum", "mine tail", "share", keepdims=1), node("Cast", "is", "isf", to=1),
            node("ReduceMax", "isf tail", "any", keepdims=1), node("Cast", "any", "used", to=9),
            node("Mul", "down share", "weighted"), node("Where", "used weighted zero", "parts"),
            node("ReduceSum", "parts first", "sum", keepdims=0), node("Reshape", "sum shape", "y0")]


class IDynamicQuantizeLayer(ILayer):
    """Blocks of a tensor quantized by scales that their largest magnitudes give: outputs the data, and the scales.

    block_size elements along axis share a scale, or all those of a block of block_shape (-1: the whole axis). Input 1:
    one number that quantizes the scales in turn.
    """

    _layer_type = LayerType.DYNAMIC_QUANTIZE
    _implicit_batch = False
    _optional_inputs = 1
    axis = Param(-1, int)
    block_size = Param(16, int)
    block_shape = Param(None, optional_sizes)
    to_type = Param(DataType.FP4)
    scale_type = Param(DataType.FP8)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = to.type(values[0])
        if self.block_shape is None:
            if not -x.rank <= self.axis < x.rank:
                raise ShapeError(f"there is no axis {self.axis}", x=x)
            block = tuple(self.block_size if i == self.axis % x.rank else 1 for i in range(x.rank))
        else:
            if len(self.block_shape) != x.rank:
                raise ShapeError(f"block_shape {self.block_shape} has {len(self.block_shape)} axes", x=x)
            whole = [(b, d) for b, d in zip(self.block_shape, x.shape, strict=True) if b == -1]
            if any(not isinstance(d, int) for _, d in whole):
                raise ShapeError("block_shape -1 needs an axis whose size is known when the network is built", x=x)
            block = tuple(int(d) if b == -1 else b for b, d in zip(self.block_shape, x.shape, strict=True))  # type: ignore[arg-type]
        return self._last(to, DynamicQuantize(block, ours(self.to_type), ours(self.scale_type)), *values[:2])


class IKVCacheUpdateLayer(Standard):
    """cache (B, heads, S, D) with update (B, heads, s, D) written from place write_indices[b] of axis 2 on.

    The output is meant to lie where the cache lies: the plan says so under "aliased/<output>".
    """

    _layer_type = LayerType.KV_CACHE_UPDATE
    cache_mode = Param(KVCacheMode.LINEAR)
    update_form = Param(AttentionIOForm.PADDED_BHND)
    _lengths = Param(None)

    @property
    def update_lengths(self) -> ITensor | None:
        return self._lengths                              # type: ignore[no-any-return]

    @update_lengths.setter
    def update_lengths(self, tensor: ITensor) -> None:
        self._lengths = tensor

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        cache, update, places = types[:3]
        if self.update_form != AttentionIOForm.PADDED_BHND or self._lengths is not None:
            raise UnsupportedError("packed updates of caches, and lengths of updates, are not in this version",
                                   try_="AttentionIOForm.PADDED_BHND without update_lengths")
        assert cache and update and places
        if cache.rank != 4 or update.rank != 4 or places.rank != 1 or cache.dtype is not update.dtype:
            raise ShapeError("a cache update takes (B, heads, S, D), (B, heads, s, D) of one type, and (B,)",
                             cache=cache, update=update, places=places)
        return [constant("zero", 0, np.int64), constant("one", 1, np.int64), constant("c1", [1], np.int64),
                constant("c2", [2], np.int64), constant("ends", [-1, 1], np.int64),
                node("Shape", "x1", "n1", start=2, end=3), node("Squeeze", "n1", "n"),
                node("Range", "zero n one", "steps"), node("Cast", "x2", "p", to=onnx_type(DataType.INT64)),
                node("Reshape", "p ends", "p2"), node("Add", "p2 steps", "at"),              # (B, s)
                node("Shape", "x1", "b1", start=0, end=1), node("Squeeze", "b1", "b"),
                node("Range", "zero b one", "row"), node("Reshape", "row ends", "row2"), node("Shape", "at", "both"),
                node("Expand", "row2 both", "rows"), node("Unsqueeze", "rows c2", "r3"),
                node("Unsqueeze", "at c2", "a3"), node("Concat", "r3 a3", "index", axis=2),
                node("Transpose", "x0", "t", perm=[0, 2, 1, 3]), node("Transpose", "x1", "u", perm=[0, 2, 1, 3]),
                node("ScatterND", "t index u", "w"), node("Transpose", "w", perm=[0, 2, 1, 3])]

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        made = super()._lower(to, values)
        if self._inputs[0] is not None and self._inputs[0].is_network_input:
            to.editor.metadata[f"aliased/{self._outputs[0].name}"] = self._inputs[0].name
        return made
