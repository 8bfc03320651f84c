"""UFF models: graphs in TensorFlow's manner, channels last, against plain NumPy in that order."""

import struct
from typing import Any

import numpy as np
import pytest

from tensorwright.generations import v5, v7, v8, v10
from tests.unit.trt.test_build_and_run import Log
from tests.unit.trt.test_caffe import average, conv, deconv, field, lrn, varint, windows

RNG = np.random.default_rng(3)
NHWC, CK, HWIO = [0, 2, 2147483647, 1], [1, 0], [2, 2147483647, 1, 0]
NCHW = [0, 1, 2, 2147483647]
HWOI = [2, 2147483647, 0, 1]
KINDS = {np.dtype(np.float32): 131104, np.dtype(np.int32): 65568, np.dtype(np.float16): 131088}


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value & (1 << 64) - 1)


def data(value: Any) -> bytes:
    """A Data message by hand."""
    if isinstance(value, bool):
        return integer(5, int(value))
    if isinstance(value, int):
        return integer(7, value)
    if isinstance(value, float):
        return varint(3 << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, str):
        return field(1, value.encode())
    if isinstance(value, bytes):
        return field(9, value)
    if isinstance(value, np.dtype):
        return integer(101, KINDS[value])
    return field(8, field(1, b"".join(varint(int(v) & (1 << 64) - 1) for v in value)))


def entry(key: str, content: bytes) -> bytes:
    return field(1, key.encode()) + field(2, content)


class Graph:
    """A UFF file, written node by node."""

    def __init__(self) -> None:
        self.nodes, self.referenced = b"", b""

    def add(self, name: str, operation: str, *inputs: str, orders: Any = None, **fields: Any) -> str:
        node = field(1, name.encode()) + b"".join(field(2, i.encode()) for i in inputs) + field(3, operation.encode())
        for key, value in fields.items():
            if isinstance(value, bytes) or (orders is None and key == "values"):
                self.referenced += field(5, entry(f"{name}_{key}", data(value)))
                node += field(4, entry(key, field(100, f"{name}_{key}".encode())))
            else:
                node += field(4, entry(key, data(value)))
        if orders is not None:
            lists = b"".join(field(1, field(1, integer(1, -1) + field(2, field(1, b"".join(varint(v) for v in o)))))
                             for o in orders)
            self.referenced += field(5, entry(f"{name}_orders", field(104, lists)))
            node += field(4, entry("inputs_orders", field(100, f"{name}_orders".encode())))
        self.nodes += field(2, node)
        return name

    def const(self, name: str, array: np.ndarray) -> str:
        return self.add(name, "Const", values=array.tobytes(), dtype=array.dtype, shape=list(array.shape))

    def bytes(self) -> bytes:
        return integer(1, 1) + integer(2, 1) + field(4, field(1, b"main") + self.nodes) + self.referenced


def parsed(graph: Graph, outputs: list[str], shape: tuple[int, ...], order: Any = v8.UffInputOrder.NCHW,
           explicit: bool = False, module: Any = v8) -> tuple[Any, Any, Log]:
    log = Log()
    builder = module.Builder(log)
    network = builder.create_network(int(explicit))
    parser = module.UffParser()
    assert parser.register_input("x", shape, order)
    for name in outputs:
        assert parser.register_output(name)
    return builder, network if parser.parse_buffer(graph.bytes(), network) else None, log


def run(graph: Graph, x: np.ndarray, *outputs: str, order: Any = v8.UffInputOrder.NCHW) -> list[np.ndarray]:
    """Each output's elements, batch first, computed with an implicit batch through generation 8."""
    builder, network, log = parsed(graph, list(outputs), x.shape[1:], order)
    assert network is not None, log.errors()
    config = builder.create_builder_config()
    config.builder_optimization_level = 0
    builder.max_batch_size = 4
    engine = builder.build_engine(network, config)
    assert engine is not None, log.errors()
    context = engine.create_execution_context()
    x = np.ascontiguousarray(x)
    held = {n: np.empty((len(x), *engine.get_binding_shape(n)), v8.nptype(engine.get_binding_dtype(n)))
            for n in outputs}
    assert context.execute(len(x), [x.ctypes.data, *(held[str(engine[i])].ctypes.data for i in
                                                      range(1, engine.num_bindings))]), log.errors()
    return [held[n] for n in outputs]


def to_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_with_channels_last(batch: int) -> None:
    """Convolution, bias, activation, pooling, flatten in the framework's order, matrix product, softmax."""
    x = RNG.normal(size=(batch, 3, 8, 6)).astype(np.float32)
    w, b = RNG.normal(size=(3, 3, 3, 5)).astype(np.float32), RNG.normal(size=5).astype(np.float32)
    fc = RNG.normal(size=(4 * 3 * 5, 7)).astype(np.float32)
    g = Graph()
    g.add("x", "Input", dtype=np.dtype(np.float32), shape=[-1, 8, 6, 3])
    g.add("conv", "Conv", "x", g.const("w", w), orders=[NHWC, HWIO], strides=[1, 1], implicit_padding="same")
    g.add("bias", "Binary", "conv", g.const("b", b), func="add")
    g.add("relu", "Activation", "bias", func="relu6")
    g.add("pool", "Pool", "relu", orders=[NHWC], func="max", kernel=[2, 2], strides=[2, 2])
    g.add("flat", "Flatten", "pool")
    g.add("product", "FullyConnected", "flat", g.const("fc", fc), orders=[[0, 1], CK])
    g.add("soft", "Softmax", "product", axis=0)
    g.add("out", "MarkOutput", "soft")
    pooled, soft = run(g, x, "pool", "soft")
    y = conv(x, w.transpose(3, 2, 0, 1), b, (1, 1), (1, 1), (1, 1)).clip(0, 6)
    y = windows(y, (2, 2), (2, 2), (0, 0), (1, 1), -np.inf, (4, 3)).max((-1, -2))
    np.testing.assert_allclose(pooled, y, rtol=1e-4, atol=1e-4)
    z = to_last(y).reshape(batch, -1) @ fc.astype(np.float64)
    e = np.exp(z - z.max(1, keepdims=True))
    np.testing.assert_allclose(soft, e / e.sum(1, keepdims=True), rtol=1e-3, atol=1e-5)


X = RNG.normal(size=(2, 4, 5, 6)).astype(np.float32)
LAST = to_last(X).astype(np.float64)
C = RNG.uniform(0.5, 1.5, (4, 4)).astype(np.float32)
D = RNG.normal(size=(3, 3, 4, 2)).astype(np.float32)
T = RNG.normal(size=(4, 4, 3, 4)).astype(np.float32)


def test_single_operations() -> None:
    """The input passes a convolution that changes nothing, so that its channels are known to be last."""
    g = Graph()
    g.add("x", "Input")
    g.add("a", "Conv", "x", g.const("eye", np.eye(4, dtype=np.float32)[None, None]), orders=[NHWC, HWIO])
    want: dict[str, np.ndarray] = {}

    def expect(name: str, array: np.ndarray, last: bool = True) -> None:
        """What the framework would give; stored with the channels second when it has four axes and they are last."""
        want[name] = array.transpose(0, 3, 1, 2) if array.ndim == 4 and last else array

    for func, f in {"neg": np.negative, "abs": np.abs, "square": np.square, "exp": np.exp, "floor": np.floor,
                    "atan": np.arctan}.items():
        g.add(func, "Unary", "a", func=func)
        expect(func, f(LAST))
    g.add("rsqrt", "Unary", "exp", func="rsqrt")
    expect("rsqrt", np.exp(LAST) ** -0.5)
    for func, f in {"elu": lambda v: np.where(v > 0, v, np.expm1(v)), "softsign": lambda v: v / (1 + np.abs(v)),
                    "softplus": lambda v: np.log1p(np.exp(v)),
                    "selu": lambda v: 1.0507009873554805 * np.where(v > 0, v, 1.6732632423543772 * np.expm1(v))
                    }.items():
        g.add(func, "Activation", "a", func=func)
        expect(func, f(LAST))
    g.add("leaky", "Activation", "a", func="leakyrelu", alpha=0.3)
    expect("leaky", np.where(LAST > 0, LAST, 0.3 * LAST))
    for func, f in {"mul": np.multiply, "sub": np.subtract, "max": np.maximum, "div": np.divide}.items():
        g.add(func, "Binary", "a", g.const(f"{func}.c", C[0]), func=func)
        expect(func, f(LAST, C[0]))
    g.add("both", "Binary", "neg", "square", func="min")
    expect("both", np.minimum(-LAST, LAST ** 2))
    g.add("bn", "BatchNorm", "a", *(g.const(f"bn{i}", c) for i, c in enumerate(C)), orders=[NHWC] * 5, epsilon=0.01)
    expect("bn", (LAST - C[2]) / np.sqrt(C[3] + 0.01) * C[0] + C[1])
    g.add("depth", "Conv", "a", g.const("d", D), orders=[NHWC, HWIO], number_groups=4, strides=[2, 1], padding=[1, 0])
    grouped = D.transpose(2, 3, 0, 1).reshape(8, 1, 3, 3)
    expect("depth", to_last(conv(X, grouped, np.zeros(8), (2, 1), (1, 0), (1, 1), 4)))
    g.add("up", "ConvTranspose", "a", g.const("t", T), g.const("size", np.int32([2, 10, 12, 3])),
          orders=[NHWC, HWOI, [0]], strides=[2, 2], implicit_padding="same")
    expect("up", to_last(deconv(X, T.transpose(3, 2, 0, 1).astype(np.float64), 2, 1)))
    g.add("avg", "Pool", "a", orders=[NHWC], func="avg", kernel=[3, 3], strides=[2, 2])
    expect("avg", to_last(average(X, 3, 2, 0, (2, 2))))
    g.add("lrn", "LRN", "a", orders=[NHWC], window_size=1, alpha=0.25, beta=0.5, k=2.0)
    expect("lrn", to_last(lrn(X.astype(np.float64), 3, 0.75, 0.5, 2.0)))
    g.add("concat", "Concat", "a", "neg", axis=3)
    expect("concat", np.concatenate([LAST, -LAST], 3))
    g.add("rows", "Concat", "a", "neg", axis=1)
    expect("rows", np.concatenate([LAST, -LAST], 1))
    g.add("mean", "Reduce", "a", func="mean", axes=[1, 2], keepdims=True)
    expect("mean", LAST.mean((1, 2), keepdims=True))
    g.add("sum", "Reduce", "a", func="sum", axes=[3], keepdims=False)
    expect("sum", LAST.sum(3))
    g.add("turned", "Transpose", "a", permutation=[0, 2, 1, 3])
    expect("turned", LAST.transpose(0, 2, 1, 3), last=False)
    g.add("flat", "Flatten", "a")
    expect("flat", LAST.reshape(2, -1))
    g.add("shape", "Shape", "a")
    g.add("first", "StridedSlice", "shape", *(g.const(f"f{i}", np.int32([v])) for i, v in enumerate((0, 1, 1))),
          shrink_axis_mask=1)
    g.add("pack", "Stack", "first", g.const("rest", np.int32(-1)), axis=0)
    g.add("reshaped", "Reshape", "a", "pack")
    expect("reshaped", LAST.reshape(2, -1))
    g.add("slice", "StridedSlice", "a", g.const("s0", np.int32([0, 1, -1, 0])), g.const("s1", np.int32([0, 4, 0, 0])),
          g.const("s2", np.int32([1, 2, -2, 1])), begin_mask=1 | 8, end_mask=1 | 4 | 8)
    expect("slice", LAST[:, 1:4:2, ::-2, :], last=False)
    g.add("picked", "StridedSlice", "a", g.const("p0", np.int32([0, 2])), g.const("p1", np.int32([0, 0])),
          g.const("p2", np.int32([1, 1])), begin_mask=1, end_mask=1, shrink_axis_mask=2)
    expect("picked", LAST[:, 2])
    g.add("wide", "ExpandDims", "picked", axis=1)
    expect("wide", LAST[:, 2][:, None], last=False)
    g.add("narrow", "Squeeze", "wide", axes=[1])
    expect("narrow", LAST[:, 2])
    g.add("stacked", "Stack", "picked", "narrow", axis=1)
    expect("stacked", np.stack([LAST[:, 2], LAST[:, 2]], 1), last=False)
    g.add("padded", "Pad", "a", g.const("amounts", np.int32([[0, 0], [1, 2], [0, 3], [0, 0]])))
    expect("padded", np.pad(LAST, [(0, 0), (1, 2), (0, 3), (0, 0)]))
    g.add("gathered", "GatherV2", "a", g.const("which", np.int32([2, 0, 2])), axis=2)
    expect("gathered", LAST[:, :, [2, 0, 2]], last=False)
    g.add("prob", "Softmax", "a", axis=3)
    expect("prob", np.exp(LAST) / np.exp(LAST).sum(3, keepdims=True))
    g.add("largest", "ArgMax", "a", axis=3)
    expect("largest", LAST.argmax(3))
    g.add("least", "ArgMin", "a", axis=1)
    expect("least", LAST.argmin(1))
    for (name, expected), got in zip(want.items(), run(g, X, *want), strict=True):
        assert got.shape == expected.shape, name
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-4, err_msg=name)


def test_an_input_with_channels_last_and_explicit_batch() -> None:
    g = Graph()
    g.add("x", "Input")
    g.add("y", "Binary", "x", g.const("c", C[0]), func="add")
    got, = run(g, np.ascontiguousarray(LAST.astype(np.float32)), "y", order=v8.UffInputOrder.NHWC)
    np.testing.assert_allclose(got, (LAST + C[0]).transpose(0, 3, 1, 2), rtol=1e-5)
    _, network, log = parsed(g, ["y"], (5, 6, 4), v8.UffInputOrder.NHWC, explicit=True)
    assert network is not None, log.errors()
    assert tuple(network.get_input(0).shape) == (1, 5, 6, 4) and tuple(network.get_output(0).shape) == (1, 4, 5, 6)


def graph(*nodes: Any) -> Graph:
    g = Graph()
    g.add("x", "Input")
    for args, fields in nodes:
        g.add(*args, **fields)
    return g


WRONG = {
    "operations of type NMS are not known": graph((("y", "NMS", "x"), {})),
    "has no node 'gone'": graph((("y", "Identity", "gone"), {})),
    "needs its own result": graph((("y", "Identity", "z"), {}), (("z", "Identity", "y"), {})),
    "func 'cube' is not known": graph((("y", "Unary", "x"), {"func": "cube"})),
    "no field 'func'": graph((("y", "Unary", "x"), {})),
    "must be a constant": graph((("y", "Conv", "x", "x"), {})),
    "has 4 bytes, 8 are needed": graph((("c", "Const"), {"values": b"abcd", "dtype": np.dtype(np.float32),
                                                         "shape": [2]}), (("y", "Binary", "x", "c"), {"func": "add"})),
    "output 'y' is a constant": graph((("y", "Const"), {"values": b"abcd", "dtype": np.dtype(np.float32),
                                                        "shape": []})),
    "implicit batch": graph((("y", "Reduce", "x"), {"func": "sum", "axes": [0]})),
    "cannot be translated": graph((("y", "Unary"), {"func": "neg"})),
}


@pytest.mark.parametrize("reason", WRONG)
def test_what_cannot_be_parsed_is_refused(reason: str) -> None:
    _, network, log = parsed(WRONG[reason], ["y"], (4, 5, 6))
    assert network is None and reason in log.errors()


def test_registration_and_damaged_files(tmp_path: Any) -> None:
    log = Log()
    network = v7.Builder(log).create_network()
    with v7.UffParser() as parser:
        assert not parser.register_input("", (1, 2, 3)) and not parser.register_input("x", (1, 0, 3))
        assert parser.register_output("y") and not parser.register_output("y")
        assert not parser.parse_buffer(b"\xff\xff", network) and "not a UFF file" in log.errors()
        assert not parser.parse(str(tmp_path / "none.uff"), network)
        assert not parser.parse_buffer(graph((("z", "Identity", "x"), {})).bytes(), network)
        assert "has no node 'y'" in log.errors()
        path = tmp_path / "net.uff"
        path.write_bytes(graph((("y", "Activation", "x"), {"func": "tanh"})).bytes())
        assert not parser.parse(str(path), network) and "is not registered" in log.errors()
        assert parser.register_input("x", (1, 2, 3)) and parser.parse(str(path), network, v7.float16)
        assert network.num_outputs == 1 and network.get_output(0).name == "y"
    assert parser.uff_required_version_minor == 6
    assert hasattr(v5, "UffParser") and not hasattr(v10, "UffParser")
    damaged = graph((("y", "Activation", "x"), {"func": "tanh"})).bytes()
    for cut in range(1, len(damaged), 7):
        broken = v8.UffParser()
        broken.register_input("x", (1, 2, 3))
        broken.register_output("y")
        broken.parse_buffer(damaged[:cut], v8.Builder(log).create_network())
