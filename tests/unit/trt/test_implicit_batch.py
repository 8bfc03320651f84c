"""Networks whose shapes leave out the batch: generations 5 to 8, against NumPy."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tensorwright.generations import v5, v6, v7, v8, v10

RANDOM = np.random.default_rng(0)
MOST = 4


class Script:
    """What such a script has in its hands."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.lines = module, []
        lines: list[str] = self.lines
        base = module.ILogger if hasattr(module.ILogger, "ERROR") else module.Logger

        class Log(base):                                   # type: ignore[misc, valid-type]
            def log(self, severity: Any, msg: str) -> None:
                lines.append(msg)
        self.logger = Log()
        self.builder = module.Builder(self.logger)
        self.builder.max_batch_size = MOST
        self.network = self.builder.create_network()

    def engine(self, *outputs: Any) -> Any:
        for i, tensor in enumerate(outputs):
            tensor.name = f"y{i}"
            self.network.mark_output(tensor)
        if hasattr(self.builder, "build_cuda_engine"):
            built = self.builder.build_cuda_engine(self.network)
        else:
            built = self.builder.build_engine(self.network, self.builder.create_builder_config())
        assert built is not None, self.lines
        return built


def execute(engine: Any, batch: int, *inputs: np.ndarray) -> list[np.ndarray]:
    """By the bindings' shapes, which do not tell the batch."""
    context = engine.create_execution_context()
    held = [np.ascontiguousarray(a) for a in inputs]
    for i in range(len(inputs), engine.num_bindings):
        held.append(np.empty((batch, *engine.get_binding_shape(i)), np.float32))
    assert context.execute_async(batch_size=batch, bindings=[a.ctypes.data for a in held], stream_handle=0)
    return held[len(inputs):]


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("module", [v5, v7, v8], ids=["5", "7", "8"])
def test_a_small_network_by_fully_connected_layers(module: ModuleType) -> None:
    s = Script(module)
    assert getattr(s.network, "has_implicit_batch_dimension", module is v5)
    w, b = floats(5, 3), floats(5)
    x = s.network.add_input("x", module.float32, (3, 1, 1))
    assert tuple(x.shape) == (3, 1, 1)
    full = s.network.add_fully_connected(x, 5, w, b)
    assert tuple(full.get_output(0).shape) == (5, 1, 1)
    act = s.network.add_activation(full.get_output(0), module.ActivationType.SIGMOID)
    engine = s.engine(act.get_output(0))
    assert getattr(engine, "has_implicit_batch_dimension", module is v5) and engine.max_batch_size == MOST
    assert [tuple(engine.get_binding_shape(i)) for i in range(2)] == [(3, 1, 1), (5, 1, 1)]
    for batch in (1, 2, MOST):
        given = floats(batch, 3, 1, 1)
        expected = 1 / (1 + np.exp(-(given.reshape(batch, 3) @ w.T + b)))
        np.testing.assert_allclose(execute(engine, batch, given)[0].reshape(batch, 5), expected, rtol=1e-5, atol=1e-6)
    context = engine.create_execution_context()
    assert not context.execute(batch_size=MOST + 1, bindings=[1, 2]) and "outside 1 to 4" in s.lines[-1]
    if hasattr(context, "execute_v2"):
        assert not context.execute_v2([1, 2]) and "implicit batch" in s.lines[-1]


@pytest.mark.parametrize("batch", [1, 3])
def test_axes_are_counted_without_the_batch(batch: int) -> None:
    s = Script(v7)
    n, m = s.network, v7
    x = n.add_input("x", m.float32, (4, 6, 6))
    kernel = floats(8, 4, 3, 3)
    conv = n.add_convolution(x, 8, (3, 3), kernel)
    conv.padding = (1, 1)
    scale = n.add_scale(conv.get_output(0), m.ScaleMode.CHANNEL, np.arange(8, dtype=np.float32),
                        np.full(8, 0.5, np.float32))
    plus = n.add_elementwise(scale.get_output(0), n.add_constant((8, 6, 6), one := floats(8, 6, 6)).get_output(0),
                             m.ElementWiseOperation.SUM)
    joined = n.add_concatenation([plus.get_output(0), x])                 # channels, by default
    pool = n.add_pooling(joined.get_output(0), m.PoolingType.MAX, (2, 2))
    pool.stride = (2, 2)
    turned = n.add_shuffle(pool.get_output(0))
    turned.first_transpose = (1, 2, 0)
    turned.reshape_dims = (9, -1)
    soft = n.add_softmax(turned.get_output(0))
    soft.axes = 1 << 1
    mean = n.add_reduce(soft.get_output(0), m.ReduceOperation.AVG, 1 << 0, False)
    best = n.add_topk(mean.get_output(0), m.TopKOperation.MAX, 3, 1 << 0)
    part = n.add_slice(pool.get_output(0), (2, 0, 1), (5, 3, 2), (1, 1, 1))
    for tensor, shape in ((joined, (12, 6, 6)), (turned, (9, 12)), (mean, (12,)), (best, (3,)), (part, (5, 3, 2))):
        assert tuple(tensor.get_output(0).shape) == shape
    engine = s.engine(soft.get_output(0), best.get_output(0), part.get_output(0))
    given = floats(batch, 4, 6, 6)
    padded = np.pad(given, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    y = np.einsum("nchwrs,kcrs->nkhw", windows, kernel) * 0.5 + np.arange(8)[:, None, None] + one
    pooled = np.concatenate([y, given], 1).reshape(batch, 12, 3, 2, 3, 2).max((3, 5))
    flat = pooled.transpose(0, 2, 3, 1).reshape(batch, 9, 12)
    e = np.exp(flat - flat.max(-1, keepdims=True))
    e /= e.sum(-1, keepdims=True)
    found = execute(engine, batch, given)
    for a, b in zip(found, (e, np.sort(e.mean(1))[:, :-4:-1], pooled[:, 2:7, :, 1:]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_what_an_implicit_batch_cannot_have() -> None:
    s = Script(v6)
    assert s.network.add_input("x", v6.float32, (-1, 3)) is None and "explicit batch" in s.lines[-1]
    x = s.network.add_input("x", v6.float32, (2, 3))
    s.network.mark_output(s.network.add_shape(x).get_output(0))
    assert s.builder.build_cuda_engine(s.network) is None and "IShapeLayer" in s.lines[-1]
    parser = v6.OnnxParser(Script(v6).network, s.logger)
    assert not parser.parse(b"") and "explicit batch" in s.lines[-1]


def test_explicit_flag_and_later_generations_have_none() -> None:
    builder = v8.Builder(v8.Logger())
    explicit = builder.create_network(1 << int(v8.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    assert not explicit.has_implicit_batch_dimension
    assert not v10.Builder(v10.Logger()).create_network().has_implicit_batch_dimension
