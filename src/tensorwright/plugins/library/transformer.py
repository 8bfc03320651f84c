"""BERT's and DeBERTa's parts: embeddings, attention, matrix products, Gelu.

Source: plugins CustomEmbLayerNormPluginDynamic (versions 1 and 6), CustomQKVToContextPluginDynamic (1 and 2, 4 and 5),
CustomFCPluginDynamic (1), CustomGeluPluginDynamic (1) and DisentangledAttention_TRT (1 and 2) of
github.com/NVIDIA/TensorRT. Sequences of varying length are padded: the versions that pack them are not supported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import DType
from ...errors import InputError, UnsupportedError
from ...ir import TensorType
from ..graph import Tensor, ops
from .expressions import expression, ramp, shape, size, weights
from .normalization import OPTIONAL, SKIP_EPSILON, precision
from .rules import ARRAY, FLOAT, INT, agree, at_least, default, dims_are, floating, one_of, ranks, whole

#: The tables of BERT's embeddings, as attributes.
_PREFIX = "bert_embeddings_"
_TABLES = tuple(_PREFIX + n for n in ("layernorm_beta", "layernorm_gamma", "word_embeddings", "token_type_embeddings",
                                      "position_embeddings"))


def embeddings(token: Tensor, segment: Tensor, mask: Tensor, *, output_fp16: int, **given: Any) -> Any:
    """token, segment and mask int32 (S, B) → normalised embeddings (S, B, E, 1, 1), and int32 (B, 1): how many of each
    sequence count, which is where its mask is 0 first."""
    beta, gamma, word, kind, place = (np.asarray(given[name], np.float32) for name in _TABLES)
    E = gamma.size
    S = size(token, 0)
    position = ops.Slice(place.reshape(-1, E), np.array([0]), shape(S), np.array([0]))
    total = ops.Gather(word.reshape(-1, E), token) + ops.Gather(kind.reshape(-1, E), segment) \
        + ops.Unsqueeze(position, np.array([1]))
    y = ops.LayerNormalization(total, gamma.reshape(-1), beta.reshape(-1), axis=-1, epsilon=SKIP_EPSILON)
    y = ops.Unsqueeze(y, np.array([3, 4]))
    at = ops.Cast(ops.Reshape(ramp(S), np.array([-1, 1])), to=DType.int32)
    longest = ops.Cast(shape(S), to=DType.int32)
    count = ops.ReduceMin(ops.Where(np.equal(mask, 0), at, longest), np.array([0]), keepdims=0)
    return ops.Cast(y, to=DType.float16) if output_fp16 else y, ops.Unsqueeze(count, np.array([1]))


def embeddings_types(token: TensorType, segment: TensorType, mask: TensorType, *, output_fp16: int, full_mask: int,
                     mha_type_id: int, **given: Any) -> tuple[TensorType, TensorType]:
    one_of("output_fp16", output_fp16, 0, 1)
    one_of("full_mask", full_mask, 0, try_="the number of tokens that count is what the attention here takes")
    one_of("mha_type_id", mha_type_id, 0, 1, try_="export the model without int8 (2)" if mha_type_id == 2 else None)
    for what, t in (("token", token), ("segment", segment), ("mask", mask)):
        whole(what, t)
        dims_are(what, t, *token.shape[:2])
    E = given[_TABLES[1]].size
    for name in _TABLES:
        if given[name].size % E or (name == _TABLES[0] and given[name].size != E):
            raise InputError(f"attribute {name!r} has {given[name].size} values, which are no rows of {E}")
    S = token.shape[0]
    if isinstance(S, int) and S > given[_TABLES[4]].size // E:
        raise InputError(f"attribute {_TABLES[4]!r} has {given[_TABLES[4]].size // E} rows, sequences have {S} tokens")
    kind = DType.float16 if output_fp16 else DType.float32
    return TensorType((*token.shape, E, 1, 1), kind), TensorType((token.shape[1], 1), DType.int32)


def attention(qkv: Tensor, mask: Tensor | None = None, *, hidden_size: int, num_heads: int, **_: Any) -> Any:
    """qkv (S, B, 3·E, 1, 1), query, key and value of each head side by side; mask int32 (B, 1) or (B,): how many keys
    of each sequence count → (S, B, E, 1, 1)."""
    each = hidden_size // num_heads
    parts = ops.Transpose(ops.Reshape(qkv, np.array([0, 0, num_heads, 3, each])), perm=[3, 1, 2, 0, 4])
    q, k, v = (ops.Squeeze(t, np.array([0])) for t in ops.Split(parts, axis=0, num_outputs=3, outputs=3))
    scores = np.matmul(q, ops.Transpose(k, perm=[0, 1, 3, 2])) * (1 / np.sqrt(each))        # (B, N, S, S)
    if mask is not None:
        at = ops.CastLike(ops.Reshape(ramp(size(qkv, 0)), np.array([1, 1, 1, -1])), mask)
        hidden = ops.GreaterOrEqual(at, ops.Reshape(mask, np.array([-1, 1, 1, 1])))
        lowest = float(np.finfo(np.float16 if qkv.dtype == DType.float16 else np.float32).min)
        scores = ops.Where(hidden, ops.CastLike(np.array(lowest, np.float32), qkv), scores)
    y = ops.Transpose(np.matmul(ops.Softmax(scores, axis=-1), v), perm=[2, 0, 1, 3])
    return ops.Reshape(y, np.array([0, 0, hidden_size, 1, 1]))


def attention_types(qkv: TensorType, mask: TensorType | None = None, *, type_id: int, hidden_size: int, num_heads: int,
                    has_mask: int, dq_probs: float, var_seqlen: int = 0, use_int8_scale_max: int = 1) -> TensorType:
    precision(type_id)
    one_of("has_mask", has_mask, 0, 1)
    if var_seqlen:
        raise UnsupportedError(f"attribute 'var_seqlen' is {var_seqlen}: packed sequences are not supported",
                               try_="pad the sequences, and give the number of tokens that count as input_mask")
    at_least("num_heads", num_heads, 1)
    if hidden_size < 1 or hidden_size % num_heads:
        raise InputError(f"attribute 'hidden_size' is {hidden_size}, no multiple of num_heads, which is {num_heads}")
    if has_mask != (mask is not None):
        raise InputError(f"attribute 'has_mask' is {has_mask}, and a mask is {'' if mask else 'not '}given")
    floating("qkv", qkv)
    dims_are("qkv", qkv, *qkv.shape[:2], 3 * hidden_size, 1, 1)
    if mask is not None:
        whole("mask", mask)
        ranks("mask", mask, 1, 2)
        dims_are("mask", mask, qkv.shape[1], *(1,) * (len(mask.shape) - 1))
    return TensorType((*qkv.shape[:2], hidden_size, 1, 1), qkv.dtype)


def product_with(x: Tensor, *, W: np.ndarray, out_dims: int, **_: Any) -> Any:
    """x (S, B, K, 1, 1) · W (K, out_dims) → (S, B, out_dims, 1, 1)."""
    matrix = weights(W, -1, out_dims)
    y = np.matmul(ops.Reshape(x, np.array([0, 0, len(matrix)])), ops.CastLike(matrix, x))
    return ops.Reshape(y, np.array([0, 0, out_dims, 1, 1]))


def product_types(x: TensorType, *, W: np.ndarray, out_dims: int, type_id: int) -> TensorType:
    precision(type_id)
    at_least("out_dims", out_dims, 1)
    if W.size % out_dims or not W.size:
        raise InputError(f"attribute 'W' has {W.size} values, which are no rows of {out_dims}")
    floating("x", x)
    ranks("x", x, 5)
    dims_are("x", x, *x.shape[:2], W.size // out_dims, 1, 1)
    return TensorType((*x.shape[:2], out_dims, 1, 1), x.dtype)


def gelu(x: Tensor, *, bias: np.ndarray | None, type_id: int) -> Any:
    """x (S, B, E) or (S, B, E, 1, 1), plus bias (E,), through Gelu in its approximation by tanh."""
    if bias is not None:
        x = x + ops.CastLike(weights(bias, -1, *(1,) * (len(x.shape) - 3)), x)
    return ops.Gelu(x, approximate="tanh")


def gelu_types(x: TensorType, *, bias: np.ndarray | None, type_id: int) -> TensorType:
    precision(type_id)
    floating("x", x)
    ranks("x", x, 3, 5)
    if bias is not None:
        agree("values of bias and of a row", bias.size, x.shape[2])
    return x


def disentangled(c2c: Tensor, c2p: Tensor, p2c: Tensor, *, span: int, factor: float) -> Any:
    """c2c (B, S, S), c2p and p2c (B, S, 2·span) → (c2c[i, j] + c2p[i, r] + p2c[j, r]) · factor, (B, S, S).

    r is the distance i − j, plus span: as it is up to span / 2, from there on in steps that grow with its logarithm and
    reach span at S − 1; 0 … 2·span − 1.
    """
    middle, S = span // 2, size(c2c, 1)
    at = ops.Cast(ramp(S), to=DType.float32)
    away = ops.Unsqueeze(at, np.array([1])) - ops.Unsqueeze(at, np.array([0]))              # (S, S)
    far = np.maximum(np.abs(away), np.float32(middle))
    longest = ops.Log(ops.Cast(shape(S) - 1, to=DType.float32)) - np.float32(np.log(middle))
    step = np.float32((middle - 1) * (1 - 1e-6)) / longest      # so much less that whole numbers stay what they are
    bucket = np.ceil((np.log(far) - np.float32(np.log(middle))) * step) + np.float32(middle)
    place = ops.Where(ops.LessOrEqual(np.abs(away), np.float32(middle)), away, np.sign(away) * bucket)
    place = np.clip(place + np.float32(span), np.float32(0), np.float32(2 * span - 1))
    index = ops.Expand(ops.Unsqueeze(ops.Cast(place, to=DType.int64), np.array([0])), ops.Shape(c2c))
    turned = ops.Transpose(index, perm=[0, 2, 1])
    back = ops.Transpose(ops.GatherElements(p2c, turned, axis=2), perm=[0, 2, 1])
    return (c2c + ops.GatherElements(c2p, index, axis=2) + back) * factor


def disentangled_types(c2c: TensorType, c2p: TensorType, p2c: TensorType, *, span: int, factor: float) -> TensorType:
    at_least("span", span, 2)
    floating("inputs", c2c, c2p, p2c)
    ranks("c2c", c2c, 3)
    B, S = c2c.shape[:2]
    dims_are("c2c", c2c, B, S, S)
    for what, t in (("c2p", c2p), ("p2c", p2c)):
        dims_are(what, t, B, S, 2 * span)
    return c2c


expression("CustomEmbLayerNormPluginDynamic", embeddings, embeddings_types, {
    **dict.fromkeys(_TABLES, ARRAY), "output_fp16": default(0), "full_mask": default(0), "mha_type_id": default(0)},
    (3, 3), "16")
_ATTENTION = {"type_id": INT, "hidden_size": INT, "num_heads": INT, "has_mask": INT, "dq_probs": default(1 / 127)}
expression("CustomQKVToContextPluginDynamic", attention, attention_types, _ATTENTION, (1, 2), "14")
expression("CustomQKVToContextPluginDynamic", attention, attention_types, {
    **_ATTENTION, "var_seqlen": default(0), "use_int8_scale_max": default(1)}, (1, 4), "25")
expression("CustomFCPluginDynamic", product_with, product_types, {"out_dims": INT, "type_id": INT, "W": ARRAY}, (1, 1))
expression("CustomGeluPluginDynamic", gelu, gelu_types, {"type_id": INT, "bias": OPTIONAL}, (1, 1))
expression("DisentangledAttention_TRT", disentangled, disentangled_types, {"span": INT, "factor": FLOAT}, (3, 3), "12")
