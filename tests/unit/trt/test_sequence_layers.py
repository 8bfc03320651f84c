"""Attention, caches, experts, recurrent layers, dynamic quantization and assertions, against NumPy and PyTorch."""

from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v5, v7, v8, v10, v11

from .test_loops import error, network_of, run, scalar

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape, dtype=np.float32)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None,
              softmax: bool = True) -> np.ndarray:
    """In float64; heads of keys are repeated. mask: bool, or added."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2)
    if mask is not None:
        off = -np.inf if softmax else 0.0
        scores = np.where(mask, scores, off) if mask.dtype == bool else scores + mask
    if softmax:
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
    return scores @ v


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("heads", "mask"), [(4, None), (2, None), (4, "bool"), (2, "added"), (1, "bool")])
def test_attention_with_masks_and_fewer_heads_of_keys(batch: int, heads: int, mask: str | None) -> None:
    q, k, v = normal(batch, 4, 5, 8), normal(batch, heads, 7, 8), normal(batch, heads, 7, 8)
    m = {None: None, "bool": RANDOM.random((batch, 1, 5, 7)) > 0.3, "added": normal(1, 4, 5, 7)}[mask]
    if mask == "bool":
        m[..., 0] = True                                               # no query without keys
    feeds = [q, k, v] if m is None else [q, k, v, m]

    def make(n: Any, x: list[Any]) -> list[Any]:
        made = n.add_attention(*x[:3], trt.AttentionNormalizationOp.SOFTMAX, False)
        if mask:
            made.mask = x[3]
        assert made.num_inputs == (4 if mask else 3)
        return [made.get_output(0)]
    (found,) = run(make, *feeds)
    np.testing.assert_allclose(found[0], attention(q, k, v, m), atol=1e-5)


def test_attention_of_a_run_time_batch_and_length() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        return [n.add_attention(x[0], x[0], x[0], trt.AttentionNormalizationOp.SOFTMAX, True).get_output(0)]
    feeds = [normal(b, 2, s, 4) for b, s in ((2, 3), (1, 1), (3, 7))]
    for (found,), x in zip(run(make, feeds[0], dynamic=(0, 2), others=([feeds[1]], [feeds[2]])), feeds, strict=True):
        np.testing.assert_allclose(found, attention(x, x, x, np.tri(x.shape[2]).astype(bool)), atol=1e-5)


@pytest.mark.parametrize("kind", ["NONE", "UPPER_LEFT", "LOWER_RIGHT"])
@pytest.mark.parametrize("keys", [4, 6])
@pytest.mark.parametrize("softmax", [True, False])
def test_causal_attention(kind: str, keys: int, softmax: bool) -> None:
    q, k, v = normal(2, 2, 4, 8), normal(2, 2, keys, 8), normal(2, 2, keys, 8)

    def make(n: Any, x: list[Any]) -> list[Any]:
        op = v11.AttentionNormalizationOp.SOFTMAX if softmax else v11.AttentionNormalizationOp.NONE
        return [n.add_attention_v2(*x, op, v11.CausalMaskKind[kind]).get_output(0)]
    past = keys - 4 if kind == "LOWER_RIGHT" else 0
    mask = np.tri(4, keys, past).astype(bool) if kind != "NONE" else np.ones((4, keys), bool)
    (found,) = run(make, q, k, v, module=v11)
    np.testing.assert_allclose(found[0], attention(q, k, v, mask, softmax), atol=1e-4)
    if softmax and (kind == "NONE" or keys == 4):
        builder, (network, config), _ = network_of(make, [q, k, v], (), v11)
        shown = builder.build_engine_with_config(network, config)._engine.inspect()
        assert "Attention" in shown and "Host" not in shown


def test_an_attention_is_a_group_and_has_a_mask_or_is_causal() -> None:
    builder = v10.Builder(v10.Logger(v10.Logger.INTERNAL_ERROR))
    network = builder.create_network()
    q, k, v, m = (network.add_input(n, v10.float32, (1, 2, 4, 8 if n != "m" else 4)) for n in "qkvm")
    made = network.add_attention(q, k, v, v10.AttentionNormalizationOp.SOFTMAX, True)
    assert network.num_layers == 2 and made.causal and not made.decomposable
    assert [network[i].type.name for i in (0, 1)] == ["ATTENTION_INPUT", "ATTENTION_OUTPUT"]
    with pytest.raises(RuntimeError):
        made.mask = m
    made.causal = False
    made.mask = m
    with pytest.raises(RuntimeError):
        made.causal = True
    assert not made.set_input(7, q) and made.get_input(3) is m and not hasattr(made, "causal_kind")
    made.name = "mha"
    assert network[1].name == "mha.output" and made.get_output(0).shape == (1, 2, 4, 8)
    made.normalization_quantize_scale = m
    network.mark_output(made.get_output(0))
    assert builder.build_serialized_network(network, builder.create_builder_config()) is None


@pytest.mark.parametrize("batch", [1, 2])
def test_a_cache_is_updated_at_each_sequence_s_place(batch: int) -> None:
    cache, update = normal(batch, 2, 6, 4), normal(batch, 2, 2, 4)
    places = np.arange(batch).astype(np.int32) * 3 + 1

    def make(n: Any, x: list[Any]) -> list[Any]:
        return [n.add_kv_cache_update(*x, trt.KVCacheMode.LINEAR).get_output(0)]
    (found,) = run(make, cache, update, places)
    wanted = cache.copy()
    for b, at in enumerate(places):
        wanted[b, :, at : at + 2] = update[b]
    np.testing.assert_array_equal(found[0], wanted)
    builder, (network, config), _ = network_of(make, [cache, update, places])
    engine = builder.build_engine_with_config(network, config)
    assert engine._plan.metadata["aliased/out0"] == "x0"
    context, memory = engine.create_execution_context(), cache.copy()            # in place, as it is meant
    for name, array in (("x0", memory), ("x1", update), ("x2", places), ("out0", memory)):
        assert context.set_tensor_address(name, array.ctypes.data)
    assert context.execute_async_v3(0)
    np.testing.assert_array_equal(memory, wanted)


@pytest.mark.parametrize("swiglu", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_experts(swiglu: bool, biased: bool) -> None:
    B, S, H, I, E, K = 2, 3, 4, 6, 5, 2
    x, gate, up, down = normal(B, S, H), normal(E, H, I), normal(E, H, I), normal(E, I, H)
    biases = [normal(E, I), normal(E, I), normal(E, H)] if biased else []
    chosen = np.stack([[RANDOM.permutation(E)[:K] for _ in range(S)] for _ in range(B)]).astype(np.int32)
    scores = RANDOM.random((B, S, K)).astype(np.float32)

    def make(n: Any, t: list[Any]) -> list[Any]:
        layer = n.add_moe(*t)
        layer.set_gated_weights(*(n.add_constant(w.shape, w).get_output(0) for w in (gate, up, down)),
                                trt.MoEActType.SILU)
        if biased:
            layer.set_gated_biases(*(n.add_constant(w.shape, w).get_output(0) for w in biases))
        if swiglu:
            layer.set_swiglu_params(0.5, 1.7, 1.0)
        return [layer.get_output(0)]
    wanted = np.zeros((B, S, H))
    for b, s, k in np.ndindex(B, S, K):
        e = chosen[b, s, k]
        g, u = x[b, s] @ gate[e].astype(float), x[b, s] @ up[e].astype(float)
        if biased:
            g, u = g + biases[0][e], u + biases[1][e]
        if swiglu:
            g, u = np.minimum(g, 0.5), np.clip(u, -0.5, 0.5) + 1
        a = g / (1 + np.exp(-g * (1.7 if swiglu else 1)))
        wanted[b, s] += scores[b, s, k] * ((a * u) @ down[e] + (biases[2][e] if biased else 0))
    for (found,) in run(make, x, chosen, scores, dynamic=(0,) if not biased else ()):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_experts_without_weights_are_refused() -> None:
    feeds = [normal(1, 2, 4), np.zeros((1, 2, 1), np.int32), normal(1, 2, 1)]
    assert "the experts have no weights" in error(lambda n, x: [n.add_moe(*x).get_output(0)], *feeds)


@pytest.mark.parametrize(("to", "scale", "size", "outer"), [("FP8", "E8M0", 32, None), ("FP4", "FP8", 16, 0.05)])
def test_dynamic_quantization_is_as_precise_as_its_blocks(to: str, scale: str, size: int, outer: Any) -> None:
    x = normal(3, 64) * np.repeat([0.05, 1.0, 50, 0], 16).astype(np.float32)

    def make(n: Any, t: list[Any]) -> list[Any]:
        layer = n.add_dynamic_quantize(t[0], 1, size, trt.DataType[to], trt.DataType[scale])
        if outer:
            layer.set_input(1, scalar(n, np.float32(outer)))
        return [layer.get_output(0), layer.get_output(1)]
    (found,) = run(make, x)
    q, s = found[0].astype(np.float64), found[1].astype(np.float64)
    assert s.shape == (3, 64 // size) and str(found[0].dtype) == {"FP8": "float8_e4m3fn", "FP4": "float4_e2m1fn"}[to]
    back = q * np.repeat(s, size, 1) * (outer or 1)
    largest = np.abs(x).reshape(3, -1, size).max(2)
    step = 2.0 ** -4 if to == "FP8" else 1 / 6                    # of a block's largest, half a unit in the last place
    assert (np.abs(back - x).reshape(3, -1, size).max(2) <= largest * step * 1.1 + 1e-9).all()
    if scale == "E8M0":
        assert (np.log2(s) % 1 == 0).all() and (np.abs(q) <= 448).all()


def cell(op: str, x: np.ndarray, h: np.ndarray, c: np.ndarray, w: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    def gate(name: str, on: np.ndarray | None = None) -> np.ndarray:
        W, R, b, d = w[name]
        return x @ W.T + b + (h @ R.T + d if on is None else on * (h @ R.T + d))

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))
    if op in ("RELU", "TANH"):
        return (np.maximum(gate("INPUT"), 0) if op == "RELU" else np.tanh(gate("INPUT"))), c
    if op == "GRU":
        z, r = sigmoid(gate("UPDATE")), sigmoid(gate("RESET"))
        return (1 - z) * np.tanh(gate("HIDDEN", r)) + z * h, c
    c = sigmoid(gate("FORGET")) * c + sigmoid(gate("INPUT")) * np.tanh(gate("CELL"))
    return sigmoid(gate("OUTPUT")) * np.tanh(c), c


NAMES = {"RELU": ["INPUT"], "TANH": ["INPUT"], "GRU": ["UPDATE", "RESET", "HIDDEN"],
         "LSTM": ["INPUT", "OUTPUT", "FORGET", "CELL"]}


def weights_of(op: str, layers: int, both: bool, width: int, hidden: int, skip: bool = False) -> list[dict[str, Any]]:
    """For each layer and direction, gate → W, R and two biases."""
    found = []
    for i in range(layers * (1 + both)):
        size = width if i < 1 + both else hidden * (1 + both)
        found.append({g: ((np.eye(hidden, dtype=np.float32) if skip and i < 1 + both else 0.5 * normal(hidden, size)),
                          0.5 * normal(hidden, hidden), normal(hidden), normal(hidden)) for g in NAMES[op]})
    return found


def unrolled(op: str, x: np.ndarray, weights: list[dict[str, Any]], both: bool, lengths: np.ndarray | None = None,
             h0: np.ndarray | None = None, c0: np.ndarray | None = None) -> list[np.ndarray]:
    """x (N, T, E): outputs, last hidden and cell states (N, layers · directions, H)."""
    N, T, _ = x.shape
    H = weights[0][NAMES[op][0]][1].shape[0]
    hs, cs, x = [], [], x.astype(np.float64)
    lengths = np.full(N, T) if lengths is None else lengths
    for first in range(0, len(weights), 1 + both):
        sides = []
        for d in range(1 + both):
            h = np.zeros((N, H)) if h0 is None else h0[:, first + d].astype(float)
            c = np.zeros((N, H)) if c0 is None else c0[:, first + d].astype(float)
            y = np.zeros((N, T, H))
            for b in range(N):
                steps = range(lengths[b])
                for t in reversed(steps) if d else steps:
                    hb, cb = cell(op, x[b, t], h[b], c[b], weights[first + d])
                    h[b], c[b], y[b, t] = hb, cb, hb
            sides.append(y)
            hs.append(h)
            cs.append(c)
        x = np.concatenate(sides, -1)
    return [x, np.stack(hs, 1), np.stack(cs, 1)]


@pytest.mark.parametrize(("op", "layers", "both", "skip", "extra"), [
    ("LSTM", 2, False, False, True), ("LSTM", 1, True, False, False), ("GRU", 2, True, False, True),
    ("RELU", 1, False, True, False), ("TANH", 2, True, True, False), ("GRU", 1, False, True, False)])
def test_rnn_v2(op: str, layers: int, both: bool, skip: bool, extra: bool) -> None:
    N, T, H = 3, 4, 5
    E = H if skip else 6
    x, weights = normal(N, T, E), weights_of(op, layers, both, E, H, skip)
    feeds = [x]
    if extra:
        feeds += [np.array([4, 1, 3], np.int32), normal(N, layers * (1 + both), H), normal(N, layers * (1 + both), H)]

    def make(n: Any, t: list[Any]) -> list[Any]:
        layer = n.add_rnn_v2(t[0], layers, H, T, v8.RNNOperation[op])
        layer.direction = v8.RNNDirection.BIDIRECTION if both else v8.RNNDirection.UNIDIRECTION
        layer.input_mode = v8.RNNInputMode.SKIP if skip else v8.RNNInputMode.LINEAR
        for i, gates in enumerate(weights):
            for g, (W, R, b, d) in gates.items():
                gate = v8.RNNGateType[g]
                if not (skip and i < 1 + both):
                    layer.set_weights_for_gate(i, gate, True, W)
                layer.set_weights_for_gate(i, gate, False, R)
                layer.set_bias_for_gate(i, gate, True, b)
                layer.set_bias_for_gate(i, gate, False, d)
        if extra:
            layer.seq_lengths, layer.hidden_state = t[1], t[2]
            if op == "LSTM":
                layer.cell_state = t[3]
        assert (layer.num_layers, layer.hidden_size, layer.data_length) == (layers, H, E)
        np.testing.assert_array_equal(layer.get_bias_for_gate(0, gate, False), weights[0][g][3])
        outputs = [layer.get_output(i) for i in range(layer.num_outputs)]
        return [*outputs, *([n.add_identity(t[3]).get_output(0)] if extra and op != "LSTM" else [])]
    (found,) = run(make, *feeds, module=v8)
    wanted = unrolled(op, x, weights, both, *(feeds[1:] if extra else []))
    for a, b in zip(found, wanted[: 3 if op == "LSTM" else 2], strict=False):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "TANH"])
def test_rnn_of_generation_5_with_flat_weights_and_an_implicit_batch(op: str) -> None:
    N, T, E, H = 2, 3, 4, 5
    x, cells = normal(N, T, E), weights_of(op, 2, False, E, H)
    order = {"LSTM": ["FORGET", "INPUT", "CELL", "OUTPUT"]}.get(op, NAMES[op])
    weights = np.concatenate([c[g][k].reshape(-1) for c in cells for k in (0, 1) for g in order])
    bias = np.concatenate([c[g][k] for c in cells for k in (2, 3) for g in order])
    builder = v5.Builder(v5.Logger(v5.Logger.ERROR))
    builder.max_batch_size = 4
    network = builder.create_network()
    layer = network.add_rnn(network.add_input("x", v5.float32, (T, E)), 2, H, T, v5.RNNOperation[op],
                            v5.RNNInputMode.LINEAR, v5.RNNDirection.UNIDIRECTION, weights, bias)
    assert layer.get_output(0).shape == (T, H) and layer.get_output(1).shape == (2, H)
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    engine = builder.build_cuda_engine(network)
    found = engine._engine.run({"x": x})["y"]
    np.testing.assert_allclose(found, unrolled(op, x, cells, False)[0], atol=2e-5)


def test_missing_weights_of_a_gate_are_named() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        return [n.add_rnn_v2(x[0], 1, 3, 4, trt.RNNOperation.LSTM).get_output(0)]
    assert "the data weights of RNNGateType.INPUT in layer 0 are 0 numbers, 3 x 2 are needed" in error(
        make, normal(1, 4, 2))


def positive(n: Any, x: list[Any]) -> list[Any]:
    zero = n.add_constant((1,), np.zeros(1, np.float32)).get_output(0)
    above = n.add_elementwise(x[0], zero, trt.ElementWiseOperation.GREATER).get_output(0)
    layer = n.add_assertion(above, "inputs must be positive")
    assert (layer.num_outputs, layer.message) == (0, "inputs must be positive")
    return [n.add_unary(x[0], trt.UnaryOperation.SQRT).get_output(0)]


def test_an_assertion_fails_the_run_that_breaks_it() -> None:
    builder, (network, config), lines = network_of(positive, [np.ones(3, np.float32)])
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, lines
    context = trt.Runtime(builder.logger).deserialize_cuda_engine(plan).create_execution_context()
    for values, works in ((np.array([4, 9, 16], np.float32), True), (np.array([4, -1, 16], np.float32), False)):
        y = np.zeros(3, np.float32)
        context.set_tensor_address("x0", values.ctypes.data)
        context.set_tensor_address("out0", y.ctypes.data)
        assert context.execute_async_v3(0) is works
        assert not works or y.tolist() == [2, 3, 4]
    assert any("inputs must be positive" in line for line in lines)


def test_an_assertion_that_constants_break_fails_the_build() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        n.add_assertion(n.add_constant((2,), np.array([True, constant])).get_output(0), "never")
        return [n.add_identity(x[0]).get_output(0)]
    constant = False
    assert "never" in error(make, normal(2))
    constant = True
    run(make, normal(2))


def test_wishes_without_effect_are_logged() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        made = n.add_attention(x[0], x[0], x[0], trt.AttentionNormalizationOp.SOFTMAX, False)
        made.decomposable = True
        ones = [n.add_constant((1, 1, 1, 1), np.ones((1, 1, 1, 1), np.float32)).get_output(0) for _ in range(2)]
        layer = n.add_normalization(made.get_output(0), *ones, 1 << 3)
        layer.compute_precision = trt.float16
        return [layer.get_output(0)]
    builder, (network, config), lines = network_of(make, [normal(1, 2, 3, 4)])
    assert builder.build_serialized_network(network, config) is not None
    assert any("decomposable has no effect" in line for line in lines)
    assert any("compute_precision DataType.HALF permits" in line for line in lines)


def test_collectives_are_refused_without_a_communicator() -> None:
    def make(n: Any, x: list[Any]) -> list[Any]:
        layer = n.add_dist_collective(x[0], trt.CollectiveOperation.ALL_REDUCE, trt.ReduceOperation.SUM, -1, None)
        return [layer.get_output(0)]
    assert "needs a communicator" in error(make, normal(2))


def test_generations() -> None:
    assert hasattr(v7.INetworkDefinition, "add_rnn") and not hasattr(v8.INetworkDefinition, "add_rnn")
    assert not hasattr(v10.INetworkDefinition, "add_attention_v2") and hasattr(v11.INetworkDefinition, "add_moe")
