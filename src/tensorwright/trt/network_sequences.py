"""The part of INetworkDefinition that makes layers over sequences and among experts, and assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .enums import (
    AttentionNormalizationOp,
    CausalMaskKind,
    CollectiveOperation,
    DataType,
    KVCacheMode,
    ReduceOperation,
    RNNDirection,
    RNNInputMode,
    RNNOperation,
)
from .foundation import Closed, Shape
from .layers import (
    IAssertionLayer,
    IAttention,
    IDistCollectiveLayer,
    IDynamicQuantizeLayer,
    IKVCacheUpdateLayer,
    IMoELayer,
    IRNNLayer,
    IRNNv2Layer,
)

if TYPE_CHECKING:
    from .tensor import ITensor


class NetworkSequences(Closed):
    """Every add_... returns what was made, or None after logging why it was refused."""

    def _add(self, kind: Any, inputs: list[Any], outputs: int = 1, **params: Any) -> Any:
        raise NotImplementedError

    def add_assertion(self, condition: ITensor, message: str) -> IAssertionLayer | None:
        return self._add(IAssertionLayer, [condition], 0, message=message)

    def add_attention(self, query: ITensor, key: ITensor, value: ITensor, norm_op: AttentionNormalizationOp,
                      causal: bool) -> IAttention | None:
        kind = CausalMaskKind.UPPER_LEFT if causal else CausalMaskKind.NONE
        return self.add_attention_v2(query, key, value, norm_op, kind)

    def add_attention_v2(self: Any, query: ITensor, key: ITensor, value: ITensor, norm_op: AttentionNormalizationOp,
                         causal_kind: CausalMaskKind) -> IAttention | None:
        name = f"attention_{len(self._layers)}"
        made: IAttention = self._class(IAttention)(self, [query, key, value], norm_op, causal_kind, name)
        return None if made._output is None else made

    def add_kv_cache_update(self, cache: ITensor, update: ITensor, write_indices: ITensor,
                            cache_mode: KVCacheMode) -> IKVCacheUpdateLayer | None:
        return self._add(IKVCacheUpdateLayer, [cache, update, write_indices], cache_mode=cache_mode)

    def add_dynamic_quantize(self, input: ITensor, axis: int, block_size: int, output_type: DataType,
                             scale_type: DataType) -> IDynamicQuantizeLayer | None:
        return self._add(IDynamicQuantizeLayer, [input], 2, axis=axis, block_size=block_size, to_type=output_type,
                         scale_type=scale_type)

    def add_dynamic_quantize_v2(self, input: ITensor, block_shape: Shape, output_type: DataType,
                                scale_type: DataType) -> IDynamicQuantizeLayer | None:
        return self._add(IDynamicQuantizeLayer, [input], 2, block_shape=block_shape, to_type=output_type,
                         scale_type=scale_type)

    def add_moe(self, hidden_states: ITensor, selected_experts_for_tokens: ITensor,
                scores_for_selected_experts: ITensor) -> IMoELayer | None:
        return self._add(IMoELayer, [hidden_states, selected_experts_for_tokens, scores_for_selected_experts])

    def add_dist_collective(self, input: ITensor, dist_collective_op: CollectiveOperation, reduce_op: ReduceOperation,
                            root: int, groups: list[int] | None) -> IDistCollectiveLayer | None:
        """The layer; the build of its network is refused."""
        return self._add(IDistCollectiveLayer, [input], _collective=dist_collective_op, _reduce=reduce_op, _root=root,
                         _groups=groups)

    def add_rnn(self, input: ITensor, layer_count: int, hidden_size: int, max_seq_length: int, op: RNNOperation,
                mode: RNNInputMode, direction: RNNDirection, weights: Any, bias: Any) -> IRNNLayer | None:
        return self._add(IRNNLayer, [input], 3 if op == RNNOperation.LSTM else 2, _layers=layer_count,
                         _hidden=hidden_size, _length=max_seq_length, op=op, input_mode=mode, direction=direction,
                         weights=weights, bias=bias)

    def add_rnn_v2(self, input: ITensor, layer_count: int, hidden_size: int, max_seq_length: int,
                   op: RNNOperation) -> IRNNv2Layer | None:
        return self._add(IRNNv2Layer, [input], 3 if op == RNNOperation.LSTM else 2, _layers=layer_count,
                         _hidden=hidden_size, _length=max_seq_length, op=op)
