"""Normalisations and BERT's parts in the plugin library, beside loops in float64 and onnx's own operators."""

import math
from typing import Any

import numpy as np
import pytest

from tensorwright.errors import InputError, UnsupportedError

from .run import run

pytest.importorskip("onnx")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1, shape).astype(np.float32)


def standardized(row: np.ndarray, epsilon: float) -> np.ndarray:
    row = row.astype(np.float64)
    mean = row.sum() / row.size
    return (row - mean) / math.sqrt(((row - mean) ** 2).sum() / row.size + epsilon)


@pytest.mark.parametrize("shape", [(1, 3, 5, 4), (2, 5, 3, 4, 2), (3, 1, 7)])
@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_instance_normalization(shape: tuple[int, ...], version: str) -> None:
    x, C = normal(*shape), shape[1]
    scales, bias = normal(C, seed=1), normal(C, seed=2)
    given: dict[str, Any] = {"version": version, "epsilon": 1e-3, "scales": scales, "bias": bias.tolist()}
    got = run("InstanceNormalization_TRT", x, **given)
    leaky = run("InstanceNormalization_TRT", x, **given, relu=1, alpha=0.1)
    for n, c in np.ndindex(shape[0], C):
        wanted = standardized(x[n, c], 1e-3) * scales[c] + bias[c]
        np.testing.assert_allclose(got[n, c], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(leaky[n, c], np.where(wanted > 0, wanted, wanted * 0.1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shape", "groups"), [((1, 6, 3, 4), 2), ((3, 5, 7), 5), ((2, 7, 2, 3, 2), 1)])
def test_group_normalization(shape: tuple[int, ...], groups: int) -> None:
    x, C = normal(*shape), shape[1]
    scale, bias = normal(C, seed=1), normal(C, seed=2)
    got = run("GroupNormalizationPlugin", x, scale, bias, num_groups=groups)
    for n, g in np.ndindex(shape[0], groups):
        inside = slice(g * C // groups, (g + 1) * C // groups)
        wide = (-1,) + (1,) * (len(shape) - 2)
        wanted = standardized(x[n, inside], 1e-5) * scale[inside].reshape(wide) + bias[inside].reshape(wide)
        np.testing.assert_allclose(got[n, inside], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 1, 6), (3, 2, 6, 1, 1)])
@pytest.mark.parametrize("biased", [False, True])
def test_skip_layer_norm(shape: tuple[int, ...], biased: bool) -> None:
    x, skip, gamma, beta, bias = normal(*shape), normal(*shape, seed=1), *(normal(6, seed=i) for i in (2, 3, 4))
    given = {"type_id": 0, "gamma": gamma, "beta": beta, **({"bias": bias} if biased else {})}
    total = (x.astype(float) + skip).reshape(-1, 6) + (bias if biased else 0)
    wanted = np.array([standardized(row, 1e-12) * gamma + beta for row in total]).reshape(shape)
    for version in "1526":
        more = {"ld": 6} if version in "15" else {}
        got = run("CustomSkipLayerNormPluginDynamic", x, skip, version=version, **given, **more)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_packed_rows_of_skip_layer_norm_and_rows_of_equal_numbers() -> None:
    x = np.full((5, 6, 1, 1), 2, np.float32)
    got = run("CustomSkipLayerNormPluginDynamic", x, x, version="2", type_id=0, gamma=np.ones(6, np.float32),
              beta=np.arange(6, dtype=np.float32))
    np.testing.assert_allclose(got[..., 0, 0], np.tile(np.arange(6.0), (5, 1)))


@pytest.mark.parametrize("across", [0, 1])
def test_normalize(across: int) -> None:
    x, weights = normal(2, 3, 4, 5), normal(3, seed=1)
    given = weights[:1] if across else weights
    got = run("Normalize_TRT", x, weights=given, acrossSpatial=across, channelShared=across, eps=0.01)
    for n, c, i, j in np.ndindex(2, 3, 4, 5):
        block = (x[n] if across else x[n, :, i, j]).astype(float)
        wanted = x[n, c, i, j] / math.sqrt((block ** 2).sum() + 0.01) * given[0 if across else c]
        assert got[n, c, i, j] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("version", ["1", "6"])
def test_embeddings(half: int, version: str) -> None:
    g = np.random.default_rng(0)
    word, kind, place = normal(11, 6), normal(2, 6, seed=1), normal(9, 6, seed=2)
    beta, gamma = normal(6), normal(6, seed=4)
    token, segment = g.integers(0, 11, (5, 3)).astype(np.int32), g.integers(0, 2, (5, 3)).astype(np.int32)
    mask = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]], np.int32)
    got, count = run("CustomEmbLayerNormPluginDynamic", token, segment, mask, version=version, output_fp16=half,
                     bert_embeddings_layernorm_beta=beta, bert_embeddings_layernorm_gamma=gamma,
                     bert_embeddings_word_embeddings=word, bert_embeddings_token_type_embeddings=kind.reshape(-1),
                     bert_embeddings_position_embeddings=place)
    assert got.shape == (5, 3, 6, 1, 1) and got.dtype == (np.float16 if half else np.float32)
    assert count.dtype == np.int32 and count.tolist() == [[5], [2], [0]]
    for s, b in np.ndindex(5, 3):
        row = word[token[s, b]].astype(float) + kind[segment[s, b]] + place[s]
        np.testing.assert_allclose(got[s, b, :, 0, 0], standardized(row, 1e-12) * gamma + beta, rtol=1e-4,
                                   atol=5e-3 if half else 1e-5)


@pytest.mark.parametrize("masked", [0, 1])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("version", ["1", "2", "4", "5"])
def test_attention(masked: int, batch: int, version: str) -> None:
    S, N, H = 5, 2, 3
    qkv = normal(S, batch, 3 * N * H, 1, 1)
    count = np.array([5, 2, 4][:batch], np.int32)
    given = (qkv, count if version in "25" else count.reshape(-1, 1)) if masked else (qkv,)
    got = run("CustomQKVToContextPluginDynamic", *given, version=version, type_id=0, hidden_size=N * H, num_heads=N,
              has_mask=masked)
    parts = qkv.astype(float).reshape(S, batch, N, 3, H)
    for b, n, s in np.ndindex(batch, N, S):
        keys = range(count[b] if masked else S)
        scores = [sum(parts[s, b, n, 0, h] * parts[t, b, n, 1, h] for h in range(H)) / math.sqrt(H) for t in keys]
        shares = [math.exp(v) / sum(math.exp(w) for w in scores) for v in scores]
        wanted = sum(p * parts[t, b, n, 2] for p, t in zip(shares, keys, strict=True))
        np.testing.assert_allclose(got[s, b, n * H : (n + 1) * H, 0, 0], wanted, rtol=1e-4, atol=1e-5)


def test_matrix_product_and_gelu() -> None:
    x, W, bias = normal(4, 2, 6, 1, 1), normal(6, 5, seed=1), normal(6, seed=2)
    got = run("CustomFCPluginDynamic", x, W=W, out_dims=5, type_id=0)
    np.testing.assert_allclose(got[..., 0, 0], x[..., 0, 0].astype(float) @ W, rtol=1e-4, atol=1e-5)
    for given in ({"bias": bias}, {}):
        y = x.astype(float) + (bias.reshape(-1, 1, 1) if given else 0)
        wanted = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y ** 3)))
        np.testing.assert_allclose(run("CustomGeluPluginDynamic", x, type_id=0, **given), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("S", "span"), [(5, 4), (40, 8), (13, 32), (2, 6), (5, 8), (1, 4)])
@pytest.mark.parametrize("version", ["1", "2"])
def test_disentangled_attention(S: int, span: int, version: str) -> None:
    c2c, c2p, p2c = normal(3, S, S), normal(3, S, 2 * span, seed=1), normal(3, S, 2 * span, seed=2)
    got = run("DisentangledAttention_TRT", c2c, c2p, p2c, version=version, span=span, factor=0.125)
    middle = span // 2
    for i, j in np.ndindex(S, S):
        away = i - j
        if abs(away) > middle:
            grown = math.log(abs(away) / middle) / math.log((S - 1) / middle) * (middle - 1)
            away = (math.ceil(grown - 1e-6) + middle) * (1 if away > 0 else -1)
        place = min(max(away + span, 0), 2 * span - 1)
        wanted = (c2c[:, i, j].astype(float) + c2p[:, i, place] + p2c[:, j, place]) * 0.125
        np.testing.assert_allclose(got[:, i, j], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "arrays", "given", "kind", "said"), [
    ("CustomSkipLayerNormPluginDynamic", [(2, 1, 6)] * 2, {"type_id": 2, "ld": 6, "gamma": np.ones(6),
                                                           "beta": np.ones(6)}, InputError,
     "'type_id' is 2; 0, 1 are supported"),
    ("CustomQKVToContextPluginDynamic", [(2, 1, 18, 1, 1)], {"type_id": 0, "hidden_size": 6, "num_heads": 4,
                                                             "has_mask": 0}, InputError, "no multiple of num_heads"),
    ("Normalize_TRT", [(1, 2, 3, 3)], {"weights": np.ones(2), "acrossSpatial": 1, "channelShared": 0, "eps": 0.1},
     UnsupportedError, "'acrossSpatial'"),
    ("InstanceNormalization_TRT", [(1, 2, 3, 3)], {"epsilon": 0.1, "scales": np.ones(3), "bias": np.ones(2)},
     InputError, "'scales' has 3 values, x has 2 channels"),
    ("GroupNormalizationPlugin", [(1, 5, 3), (5,), (5,)], {"num_groups": 2}, InputError, "'num_groups' is 2"),
], ids=lambda v: v if isinstance(v, str) and len(v) < 40 else "")
def test_what_is_not_supported_is_refused(name: str, arrays: list[tuple[int, ...]], given: dict[str, Any],
                                          kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        run(name, *(np.zeros(s, np.float32) for s in arrays), **given)


def test_packed_sequences_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="'var_seqlen' is 1"):
        run("CustomQKVToContextPluginDynamic", normal(2, 1, 18, 1, 1), version="2", type_id=0, hidden_size=6,
            num_heads=2, has_mask=0, var_seqlen=1)
