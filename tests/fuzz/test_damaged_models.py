"""Damaged and hostile models raise our errors and nothing else."""

import random

import numpy as np
import onnx
import pytest

from tensorwright import importer
from tensorwright.errors import TensorwrightError

MODEL = onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 18]>
g (float[N, 3, 8, 8] x, bool c) => (float[N, K] y, float[A] z) <int64[2] s = {0, -1}, int64[1] f = {-1}> {
    w = Constant<value: tensor = float[4, 3, 3, 3] {
        """ + ", ".join(str(i / 50) for i in range(108)) + """ }>()
    t = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w)
    p = MaxPool<kernel_shape = [2, 2]>(t)
    r = Reshape(p, s)
    y = Softmax<axis = 1>(r)
    q = Slice(y, s, s)
    u = If(c) <then_branch = a () => (float[N, M] o) { o = Relu(r) },
               else_branch = b () => (float[N, M] n) { n = Neg(r) }>
    m = ReduceMean<keepdims = 0>(u)
    k = Erf(m)
    z = Reshape(k, f)
}""")


def survives(data: bytes) -> None:
    try:
        importer.load(data)
    except TensorwrightError as error:
        assert str(error)


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes(seed: int) -> None:
    data, rng = MODEL.SerializeToString(), random.Random(seed)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        survives(bytes(damaged))


def test_truncations() -> None:
    data = MODEL.SerializeToString()
    for end in range(0, len(data), 23):
        survives(data[:end])


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_attributes_and_inputs(seed: int) -> None:
    """Well-formed files with wrong contents: attributes moved, inputs exchanged, numbers made absurd."""
    rng = random.Random(seed)
    for _ in range(60):
        model = onnx.ModelProto()
        model.CopyFrom(MODEL)
        nodes = model.graph.node
        for _ in range(rng.randrange(1, 4)):
            node, other = rng.choice(nodes), rng.choice(nodes)
            match rng.randrange(4):
                case 0 if node.attribute:
                    other.attribute.add().CopyFrom(rng.choice(node.attribute))
                case 1 if node.input and other.output:
                    node.input[rng.randrange(len(node.input))] = rng.choice([*other.output, "x", ""])
                case 2:
                    for a in node.attribute:
                        a.i = rng.choice([-1, 0, 2**62, -2**63])
                        a.ints[:] = [rng.choice([-1, 0, 2**40, 3]) for _ in a.ints]
                case 3:
                    kinds = ["Conv", "Gemm", "Split", "Tile", "LSTM", "Einsum", "Loop", "Scan", "TopK", "DFT"]
                    node.op_type = rng.choice(kinds)
        survives(model.SerializeToString())


def test_values_that_would_not_fit_in_memory() -> None:
    huge = onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 18]>
        g (float[1] x) => (float[A] y)
        <int64[4] s = {100000, 100000, 100000, 100000}> {
            c = ConstantOfShape(s)
            t = Tile(c, s)
            y = Add(t, x)
        }""")
    network = importer.load(huge)
    assert all(np.prod(a.shape) < 1e6 for a in network.constants.values())


def test_the_undamaged_model_is_fine() -> None:
    network = importer.load(MODEL)
    assert len(network.layers) > 5


def test_a_shape_of_too_many_dimensions() -> None:
    """The onnx package's shape inference would make a dimension per element."""
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
        g (float[1, 3, 1] x, int64[{2**40}] s) => (float[A] y) {{ y = Expand(x, s) }}"""
    assert "Host" in str(importer.load(onnx.parser.parse_model(text)))
