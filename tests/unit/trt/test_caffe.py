"""Caffe models: each type of layer against plain NumPy, through files and buffers, in the generations that had it."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v5, v7, v8, v10
from tests.unit.trt.test_build_and_run import Log, execute, quick

RNG = np.random.default_rng(7)


def blob(values: np.ndarray) -> bytes:
    """A BlobProto by hand: shape is field 7 with packed field 1, data is field 5, packed."""
    dims = b"".join(varint(d) for d in values.shape)
    shape = field(1, dims)
    return field(7, shape) + field(5, values.astype("<f4").tobytes())


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def caffemodel(blobs: dict[str, list[np.ndarray]]) -> bytes:
    """A NetParameter by hand: layer is field 100; its name 1, its blobs 7."""
    return b"".join(field(100, field(1, name.encode()) + b"".join(field(7, blob(b)) for b in arrays))
                    for name, arrays in blobs.items())


def network(module: Any, log: Log, explicit: bool) -> Any:
    builder = module.Builder(log)
    return builder, builder.create_network(1 if explicit else 0)


def run(prototxt: str, blobs: dict[str, list[np.ndarray]], x: np.ndarray, *outputs: str, explicit: bool = True,
        dtype: Any = None) -> list[np.ndarray]:
    """The blobs named, computed through generation 8."""
    log = Log()
    builder, net = network(v8, log, explicit)
    tensors = v8.CaffeParser().parse_buffer(prototxt.encode(), caffemodel(blobs), net, dtype or v8.float32)
    assert tensors is not None, log.errors()
    for name in outputs:
        net.mark_output(tensors.find(name))
    config = quick(builder)
    if not explicit:
        builder.max_batch_size = 4
        engine = builder.build_engine(net, config)
        assert engine is not None, log.errors()
        assert engine.has_implicit_batch_dimension
        context = engine.create_execution_context()
        held = [np.ascontiguousarray(x)] + [np.empty((len(x), *engine.get_binding_shape(n)), np.float32)
                                            for n in outputs]
        assert context.execute(len(x), [a.ctypes.data for a in held]), log.errors()
        return held[1:]
    if len(x) != 1:
        net.get_input(0).shape = x.shape
    engine = builder.build_engine(net, config)
    assert engine is not None, log.errors()
    found = execute(engine, data=x)
    return [found[name] for name in outputs]


def layer(kind: str, params: str = "", bottom: str = "data", top: str = "y", name: str = "L", more: str = "") -> str:
    bottoms = " ".join(f'bottom: "{b}"' for b in bottom.split())
    tops = " ".join(f'top: "{t}"' for t in top.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} {tops} {params} {more} }}\n'


def with_input(*sizes: int) -> str:
    dims = " ".join(f"dim: {d}" for d in sizes)
    return f'name: "net"\nlayer {{ name: "in" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}\n'


def windows(x: np.ndarray, k: tuple[int, int], s: tuple[int, int], p: tuple[int, int], d: tuple[int, int], fill: float,
            out: tuple[int, int]) -> np.ndarray:
    """(N, C, OH, OW, KH, KW), filled where the window leaves the input."""
    n, c, h, w = x.shape
    result = np.full((n, c, *out, *k), fill)
    for i in range(out[0]):
        for j in range(out[1]):
            for a in range(k[0]):
                for b in range(k[1]):
                    y, z = i * s[0] - p[0] + a * d[0], j * s[1] - p[1] + b * d[1]
                    if 0 <= y < h and 0 <= z < w:
                        result[:, :, i, j, a, b] = x[:, :, y, z]
    return result


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray, s: tuple[int, int], p: tuple[int, int], d: tuple[int, int],
         groups: int = 1) -> np.ndarray:
    k = w.shape[2:]
    out = tuple((x.shape[2 + i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in (0, 1))
    win = windows(x.astype(np.float64), k, s, p, d, 0.0, out)           # type: ignore[arg-type]
    parts = [np.einsum("ncijab,ocab->noij", xs, ws)
             for xs, ws in zip(np.split(win, groups, 1), np.split(w.astype(np.float64), groups), strict=True)]
    return np.concatenate(parts, 1) + b.reshape(1, -1, 1, 1)


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_convolutional_network(explicit: bool, batch: int) -> None:
    x = RNG.normal(size=(batch, 3, 9, 11)).astype(np.float32)
    w, b = RNG.normal(size=(6, 3, 3, 5)).astype(np.float32), RNG.normal(size=6).astype(np.float32)
    v, c = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32), np.zeros(4, np.float32)
    fc, fb = RNG.normal(size=(5, 4 * 3 * 3)).astype(np.float32), RNG.normal(size=5).astype(np.float32)
    text = with_input(1, 3, 9, 11) + layer(
        "Convolution", "convolution_param { num_output: 6 kernel_h: 3 kernel_w: 5 pad_h: 1 pad_w: 2 stride: 2 "
        'weight_filler { type: "xavier" } }', top="c1", name="conv1", more="param { lr_mult: 1 decay_mult: 0 }")
    text += layer("ReLU", bottom="c1", top="c1", name="relu1")
    text += layer("Convolution", "convolution_param { num_output: 4 bias_term: false group: 2 kernel_size: 3 pad: 2 "
                  "dilation: 2 }", "c1", "c2", "conv2")
    text += layer("Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }", "c2", "p", "pool")
    text += layer("Dropout", "dropout_param { dropout_ratio: 0.5 }", "p", "p", "drop")
    text += layer("InnerProduct", "inner_product_param { num_output: 5 }", "p", "f", "fc")
    text += layer("Softmax", bottom="f", top="prob", name="softmax")
    text += layer("Accuracy", bottom="prob", top="accuracy", name="acc", more="include { phase: TRAIN }")
    got, pooled = run(text, {"conv1": [w, b], "conv2": [v], "fc": [fc, fb]}, x, "prob", "p", explicit=explicit)
    c1 = np.maximum(conv(x, w, b, (2, 2), (1, 2), (1, 1)), 0)
    c2 = conv(c1, v, c, (1, 1), (2, 2), (2, 2), 2)
    p = windows(c2, (2, 2), (2, 2), (0, 0), (1, 1), -np.inf, (3, 3)).max((-1, -2))          # of 5 x 6, rounded up
    np.testing.assert_allclose(pooled.reshape(p.shape), p, rtol=1e-4, atol=1e-4)
    f = p.reshape(batch, -1) @ fc.reshape(5, -1).T.astype(np.float64) + fb
    e = np.exp(f - f.max(1, keepdims=True))
    np.testing.assert_allclose(got.reshape(batch, 5), e / e.sum(1, keepdims=True), rtol=1e-4, atol=1e-5)


X = RNG.normal(size=(1, 4, 5, 6)).astype(np.float32)
C = RNG.uniform(0.5, 1.5, 4).astype(np.float32)
D = RNG.normal(size=4).astype(np.float32)
PER_CHANNEL = (1, 4, 1, 1)


def average(x: np.ndarray, k: int, s: int, pad: int, out: tuple[int, int]) -> np.ndarray:
    """Caffe's average: the divisor counts the padding, but nothing beyond it."""
    total = windows(x, (k, k), (s, s), (pad, pad), (1, 1), 0.0, out).sum((-1, -2))
    padded = np.ones((*x.shape[:2], x.shape[2] + 2 * pad, x.shape[3] + 2 * pad))
    counts = windows(padded, (k, k), (s, s), (0, 0), (1, 1), 0.0, out).sum((-1, -2))
    return np.asarray(total / counts)


def lrn(x: np.ndarray, n: int, alpha: float, beta: float, k: float) -> np.ndarray:
    total = np.zeros_like(x)
    for c in range(x.shape[1]):
        total[:, c] = (x[:, max(0, c - n // 2): c + n // 2 + 1] ** 2).sum(1)
    return np.asarray(x / (k + alpha / n * total) ** beta)


def deconv(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    n, _, h, v = x.shape
    k = w.shape[-1]
    y = np.zeros((n, w.shape[1], (h - 1) * stride + k, (v - 1) * stride + k))
    for i in range(h):
        for j in range(v):
            y[:, :, i * stride: i * stride + k, j * stride: j * stride + k] += np.einsum("nc,coab->noab", x[:, :, i, j],
                                                                                      w)
    return y[:, :, pad: y.shape[2] - pad, pad: y.shape[3] - pad]


W = RNG.normal(size=(4, 3, 4, 4)).astype(np.float32)
SINGLE: dict[str, tuple[str, str, list[np.ndarray], Any]] = {
    "leaky": ("ReLU", "relu_param { negative_slope: 0.25 }", [], lambda x: np.where(x > 0, x, 0.25 * x)),
    "sigmoid": ("Sigmoid", "", [], lambda x: 1 / (1 + np.exp(-x))),
    "tanh": ("TanH", "", [], np.tanh),
    "abs": ("AbsVal", "", [], np.abs),
    "bnll": ("BNLL", "", [], lambda x: np.log1p(np.exp(x))),
    "elu": ("ELU", "elu_param { alpha: 0.5 }", [], lambda x: np.where(x > 0, x, 0.5 * np.expm1(x))),
    "clip": ("Clip", "clip_param { min: -0.5 max: 0.75 }", [], lambda x: np.clip(x, -0.5, 0.75)),
    "power": ("Power", "power_param { power: 2 scale: 0.5 shift: 1.5 }", [], lambda x: (1.5 + 0.5 * x) ** 2),
    "prelu": ("PReLU", "", [C], lambda x: np.where(x > 0, x, C.reshape(PER_CHANNEL) * x)),
    "prelu shared": ("PReLU", "prelu_param { channel_shared: true }", [C[:1]], lambda x: np.where(x > 0, x, C[0] * x)),
    "scale": ("Scale", "scale_param { bias_term: true }", [C, D],
              lambda x: x * C.reshape(PER_CHANNEL) + D.reshape(PER_CHANNEL)),
    "scale without bias": ("Scale", "", [C], lambda x: x * C.reshape(PER_CHANNEL)),
    "bias": ("Bias", "", [D], lambda x: x + D.reshape(PER_CHANNEL)),
    "batch norm": ("BatchNorm", "batch_norm_param { eps: 0.01 use_global_stats: true }", [D, C, np.float32([2.0])],
                   lambda x: (x - (D / 2).reshape(PER_CHANNEL)) / np.sqrt((C / 2).reshape(PER_CHANNEL) + 0.01)),
    "batch norm of five blobs": ("BatchNorm", "", [D, C, np.zeros(1, np.float32), C, D], lambda x: (
        x - D.reshape(PER_CHANNEL)) / np.sqrt(C.reshape(PER_CHANNEL) + 1e-5) * C.reshape(PER_CHANNEL)
        + D.reshape(PER_CHANNEL)),
    "lrn": ("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }", [], lambda x: lrn(x, 3, 0.5, 0.6, 2.0)),
    "lrn by default": ("LRN", "", [], lambda x: lrn(x, 5, 1.0, 0.75, 1.0)),
    "deconvolution": ("Deconvolution", "convolution_param { num_output: 3 kernel_size: 4 stride: 2 pad: 1 bias_term: "
                      "false }", [W], lambda x: deconv(x, W.astype(np.float64), 2, 1)),
    "average": ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }", [],
                lambda x: average(x, 3, 2, 1, (3, 4))),
    "global": ("Pooling", "pooling_param { pool: AVE global_pooling: true }", [],
               lambda x: x.mean((2, 3), keepdims=True)),
    "floor": ("Pooling", "pooling_param { kernel_size: 2 stride: 2 torch_pooling: true }", [],
              lambda x: windows(x, (2, 2), (2, 2), (0, 0), (1, 1), -np.inf, (2, 3)).max((-1, -2))),
    "softmax": ("Softmax", "softmax_param { axis: 2 }", [], lambda x: np.exp(x) / np.exp(x).sum(2, keepdims=True)),
    "flatten": ("Flatten", "", [], lambda x: x.reshape(1, -1, 1, 1)),
    "permute": ("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }", [],
                lambda x: x.transpose(0, 2, 3, 1)),
    "reshape": ("Reshape", "reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 6 } }", [],
                lambda x: x.reshape(1, 2, 10, 6)),
    "reshape a range": ("Reshape", "reshape_param { shape { dim: 3 dim: 10 } axis: 2 num_axes: 2 }", [],
                        lambda x: x.reshape(1, 4, 3, 10)),
    "mean": ("Reduction", "reduction_param { operation: MEAN axis: 2 coeff: 3 }", [],
             lambda x: 3 * x.mean((2, 3), keepdims=True)),
    "sum of squares": ("Reduction", "reduction_param { operation: SUMSQ axis: 1 }", [],
                       lambda x: (x ** 2).sum((1, 2, 3), keepdims=True)),
    "sum of magnitudes": ("Reduction", "reduction_param { operation: ASUM axis: -1 }", [],
                          lambda x: np.abs(x).sum(3, keepdims=True)),
    "transposed product": ("InnerProduct", "inner_product_param { num_output: 3 bias_term: false transpose: true }",
                           [np.arange(360, dtype=np.float32).reshape(120, 3) / 100], lambda x: (
                               x.reshape(1, -1) @ (np.arange(360).reshape(120, 3) / 100)).reshape(1, 3, 1, 1)),
}


def test_single_layers() -> None:
    """All of them in one network, each with an output."""
    text = with_input(1, 4, 5, 6)
    text += "".join(layer(kind, params, top=f"y{i}", name=f"L{i}") for i, (kind, params, _, _) in
                    enumerate(SINGLE.values()))
    blobs = {f"L{i}": arrays for i, (_, _, arrays, _) in enumerate(SINGLE.values()) if arrays}
    found = run(text, blobs, X, *(f"y{i}" for i in range(len(SINGLE))))
    for (name, (_, _, _, expected)), got in zip(SINGLE.items(), found, strict=True):
        want = expected(X.astype(np.float64))
        assert got.shape == want.shape, name
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4, err_msg=name)


def test_layers_of_several_inputs_and_outputs() -> None:
    text = with_input(1, 4, 5, 6) + layer("Power", "power_param { shift: 1 }", top="b", name="b")
    text += layer("Eltwise", "eltwise_param { operation: SUM coeff: 2 coeff: -1 coeff: 0.5 }", "data b data",
                  "sum", "s")
    text += layer("Eltwise", "eltwise_param { operation: PROD }", "data b", "prod", "p")
    text += layer("Eltwise", "eltwise_param { operation: MAX }", "data prod", "max", "m")
    text += layer("Slice", "slice_param { axis: 1 slice_point: 1 slice_point: 3 }", top="s0 s1 s2", name="slice")
    text += layer("Slice", "slice_param { axis: 2 }", "s1", "t0 t1 t2 t3 t4", "rows")
    text += layer("Concat", "concat_param { axis: 2 }", "t4 t0", "cat", "cat")
    names = ["sum", "prod", "max", "s0", "s1", "s2", "cat"]
    found = dict(zip(names, run(text, {}, X, *names), strict=True))
    x = X.astype(np.float64)
    expected = {"sum": 2.5 * x - (x + 1), "prod": x * (x + 1), "max": np.maximum(x, x * (x + 1)), "s0": x[:, :1],
                "s1": x[:, 1:3], "s2": x[:, 3:], "cat": x[:, 1:3][:, :, [4, 0]]}
    for name, want in expected.items():
        np.testing.assert_allclose(found[name], want, rtol=1e-5, atol=1e-5, err_msg=name)
    crop = with_input(1, 4, 5, 6) + layer("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", top="small",
                                         name="p")
    crop += layer("Crop", "crop_param { axis: 2 offset: 1 offset: 2 }", "data small", "crop", "crop")
    cropped, = run(crop, {}, X, "crop")
    np.testing.assert_allclose(cropped, x[:, :, 1:3, 2:5], rtol=1e-6)


def test_the_first_format_and_files(tmp_path: Path) -> None:
    """`layers` with enumerated types, `input_dim`, weights in single files, through generation 7."""
    deploy, model = tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel"
    deploy.write_text('name: "old" input: "data" input_dim: 10 input_dim: 2 input_dim: 4 input_dim: 4\n'
                      'layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 '
                      "convolution_param { num_output: 3 kernel_size: 3 } }\n"
                      'layers { name: "r" type: RELU bottom: "c" top: "c" }\n')
    w, b = RNG.normal(size=(3, 2, 3, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32)
    old = field(2, field(4, b"c") + field(6, field(5, w.tobytes()) + legacy(w.shape)) + field(6, field(5, b.tobytes())))
    model.write_bytes(old)
    log = Log()
    with v7.Builder(log) as builder, builder.create_network() as net, v7.CaffeParser() as parser:
        tensors = parser.parse(deploy=str(deploy), model=str(model), network=net, dtype=v7.float32)
        assert tensors is not None, log.errors()
        assert [la.name for la in net] == ["c", "r"] and tensors.find("nothing") is None
        assert tuple(net.get_input(0).shape) == (2, 4, 4) and net.name == "old"
        net.mark_output(tensors.find("c"))
        builder.max_batch_size, builder.max_workspace_size = 2, 1 << 20
        with builder.build_cuda_engine(net) as engine, engine.create_execution_context() as context:
            x = RNG.normal(size=(2, 2, 4, 4)).astype(np.float32)
            y = np.empty((2, 3, 2, 2), np.float32)
            assert context.execute(2, [x.ctypes.data, y.ctypes.data])
    np.testing.assert_allclose(y, np.maximum(conv(x, w, b, (1, 1), (0, 0), (1, 1)), 0), rtol=1e-4, atol=1e-4)
    mean = RNG.normal(size=(1, 3, 4, 5)).astype(np.float32)
    (tmp_path / "mean.binaryproto").write_bytes(legacy(mean.shape) + field(5, mean.tobytes()))
    np.testing.assert_array_equal(v5.CaffeParser().parse_binary_proto(str(tmp_path / "mean.binaryproto")), mean)


def legacy(shape: tuple[int, ...]) -> bytes:
    """num, channels, height, width: fields 1 to 4."""
    return b"".join(varint(i + 1 << 3) + varint(d) for i, d in enumerate(shape))


def test_weights_as_raw_half_precision_and_rounded() -> None:
    w = RNG.normal(size=4).astype(np.float16)
    raw = field(100, field(1, b"L") + field(7, field(7, field(1, varint(4))) + varint(10 << 3) + varint(2)
                                            + field(12, w.tobytes())))
    log = Log()
    _, net = network(v8, log, True)
    text = with_input(1, 4, 5, 6) + layer("Scale")
    assert v8.CaffeParser().parse_buffer(text.encode(), raw, net, v8.float32) is not None, log.errors()
    scale = net.get_layer(0)
    scale.__class__ = v8.IScaleLayer
    np.testing.assert_array_equal(scale.scale, w.astype(np.float32))
    rounded, = run(text, {"L": [C]}, X, "y", dtype=v8.float16)
    np.testing.assert_allclose(rounded, X * C.astype(np.float16).astype(np.float32).reshape(PER_CHANNEL), rtol=1e-6)


def test_without_a_model_weights_are_random_and_repeatable() -> None:
    text = with_input(1, 4, 5, 6) + layer("Convolution", "convolution_param { num_output: 2 kernel_size: 3 }")
    kernels = []
    for _ in range(2):
        log = Log()
        _, net = network(v8, log, True)
        assert v8.CaffeParser().parse_buffer(text.encode(), None, net, v8.float32) is not None, log.errors()
        conv_layer = net.get_layer(0)
        conv_layer.__class__ = v8.IConvolutionLayer
        kernels.append(np.array(conv_layer.kernel))
    np.testing.assert_array_equal(*kernels)
    assert kernels[0].std() > 0


INPUT = with_input(1, 4, 5, 6)
WRONG = {
    "is not a prototxt": ("layer { name: ", {}),
    "has no layers": ('name: "x"', {}),
    "layers of type Im2col are not known": (INPUT + layer("Im2col"), {}),
    "no layer before gives 'nowhere'": (INPUT + layer("ReLU", bottom="nowhere"), {}),
    "0 blobs for layer 'L'": (INPUT + layer("Scale"), {}),
    "has 3 values, 4 are needed": (INPUT + layer("Scale"), {"L": [np.ones(3, np.float32)]}),
    "do not fit 4 channels": (INPUT + layer("Convolution", "convolution_param { num_output: 2 kernel_size: 3 group: 3 }"
                                            ), {}),
    "random places": (INPUT + layer("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }"), {}),
    "within a channel": (INPUT + layer("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }"), {}),
    "factor is 0": (INPUT + layer("BatchNorm"), {"L": [D, C, np.zeros(1, np.float32)]}),
    "cannot be sliced": (INPUT + layer("Slice", "slice_param { slice_point: 5 }", top="a b"), {}),
    "cannot be cropped": (INPUT + layer("Crop", "", "data data", name="c", more="crop_param { offset: 1 }"), {}),
    "has no shape": ('input: "data"' + layer("ReLU"), {}),
}


@pytest.mark.parametrize("reason", WRONG)
def test_what_cannot_be_parsed_is_refused(reason: str, capsys: Any) -> None:
    text, blobs = WRONG[reason]
    log = Log()
    _, net = network(v8, log, True)
    assert v8.CaffeParser().parse_buffer(text.encode(), caffemodel(blobs), net, v8.float32) is None
    assert reason in log.errors()


def test_damaged_files(tmp_path: Path, capsys: Any) -> None:
    log = Log()
    _, net = network(v8, log, True)
    good = INPUT + layer("Scale")
    parser = v8.CaffeParser()
    assert parser.parse_buffer(good.encode(), b"\xff\xff\xff", net, v8.float32) is None
    assert "not a binary NetParameter" in log.errors()
    assert parser.parse(str(tmp_path / "none.prototxt"), None, net, v8.float32) is None
    assert parser.parse_buffer(good.encode(), caffemodel({"L": [C]}), net, v8.int32) is None
    bad = struct.pack("<BB", 5 << 3 | 2, 4) + b"\0\0\0\0" + legacy((2, 1, 1, 1))
    (tmp_path / "bad.binaryproto").write_bytes(bad)
    assert parser.parse_binary_proto(str(tmp_path / "bad.binaryproto")) is None
    assert "shape (2, 1, 1, 1) has 1 values" in capsys.readouterr().err
    parser.protobuf_buffer_size = 3
    assert parser.parse_buffer(good.encode(), caffemodel({"L": [C]}), net, v8.float32) is None
    assert not hasattr(v10, "CaffeParser") and issubclass(v5.CaffeParser, trt.CaffeParser)
