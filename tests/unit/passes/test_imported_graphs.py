"""Graphs as PyTorch's exporters write them, from ONNX text through the importer: what is left after all passes."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from passes_helpers import kinds, optimised

from tensorwright import importer

RNG = np.random.default_rng(0)


def network(text: str, **weights: tuple[int, ...]):
    """The network of a graph in ONNX's text form, with random weights of the given shapes."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 14]>\n' + text)
    for name, shape in weights.items():
        array = RNG.normal(0, 0.5, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.abs(array) if "var" in name else array, name))
    return importer.load(model)


def test_a_transformer_block():
    after, report = optimised(network("""
    block (float[N, S, 8] x, int64[N, S] mask) => (float[N, S, 8] y)
    <float two = {2.0}, float eps = {1e-5}, float one = {1.0}, float low = {-10000.0}, float root = {2.0},
     float r2 = {1.4142135}, float half = {0.5}, int64[4] heads = {0, 0, 2, 4}, int64[3] flat = {0, 0, 8},
     int64[2] ax = {1, 2}>
    {
        m = ReduceMean<axes=[-1]>(x)
        d = Sub(x, m)
        d2 = Pow(d, two)
        v = ReduceMean<axes=[-1]>(d2)
        ve = Add(v, eps)
        sd = Sqrt(ve)
        n = Div(d, sd)
        ng = Mul(n, gamma)
        ln = Add(ng, beta)
        q0 = MatMul(ln, wq)
        q1 = Add(bq, q0)
        q2 = Reshape(q1, heads)
        q = Transpose<perm=[0, 2, 1, 3]>(q2)
        k0 = MatMul(ln, wk)
        k1 = Add(bk, k0)
        k2 = Reshape(k1, heads)
        k = Transpose<perm=[0, 2, 3, 1]>(k2)
        v0 = MatMul(ln, wv)
        v1 = Add(bv, v0)
        v2 = Reshape(v1, heads)
        vv = Transpose<perm=[0, 2, 1, 3]>(v2)
        s0 = MatMul(q, k)
        s1 = Div(s0, root)
        mu = Unsqueeze(mask, ax)
        mf = Cast<to=1>(mu)
        mi = Sub(one, mf)
        ml = Mul(mi, low)
        s2 = Add(s1, ml)
        p = Softmax<axis=-1>(s2)
        c0 = MatMul(p, vv)
        c1 = Transpose<perm=[0, 2, 1, 3]>(c0)
        c2 = Reshape(c1, flat)
        o0 = MatMul(c2, wo)
        o1 = Add(bo, o0)
        r = Add(o1, x)
        f0 = MatMul(r, wf)
        f1 = Add(bf, f0)
        g0 = Div(f1, r2)
        g1 = Erf(g0)
        g2 = Add(g1, one)
        g3 = Mul(f1, g2)
        g = Mul(g3, half)
        h0 = MatMul(g, wh)
        h1 = Add(bh, h0)
        y = Add(h1, r)
    }""", gamma=(8,), beta=(8,), wq=(8, 8), bq=(8,), wk=(8, 8), bk=(8,), wv=(8, 8), bv=(8,), wo=(8, 8), bo=(8,),
        wf=(8, 32), bf=(32,), wh=(32, 8), bh=(8,)))
    assert kinds(after) == {"Normalize+": 1, "MatMul+": 4, "Slice": 3, "Reshape": 5, "Transpose": 4, "Attention": 1,
                            "Pointwise": 1}
    assert report.total("recognise attention") == report.total("recognise normalisation") == 1


def test_a_residual_block_of_convolutions():
    after, _ = optimised(network("""
    block (float[N, 4, H, W] x) => (float[N, 4, P, Q] y)
    {
        c1 = Conv<pads=[1, 1, 1, 1]>(x, w1)
        b1 = BatchNormalization(c1, s1, t1, m1, var1)
        a1 = Relu(b1)
        c2 = Conv<pads=[1, 1, 1, 1]>(a1, w2)
        b2 = BatchNormalization(c2, s2, t2, m2, var2)
        c3 = Conv(x, w3)
        b3 = BatchNormalization(c3, s3, t3, m3, var3)
        r = Add(b2, b3)
        y = Relu(r)
    }""", w1=(4, 4, 3, 3), w2=(4, 4, 3, 3), w3=(4, 4, 1, 1),
        **{f"{p}{i}": (4,) for p in ("s", "t", "m", "var") for i in (1, 2, 3)}))
    assert kinds(after) == {"Convolution+": 2, "Convolution": 1}
    first, second, third = after.layers
    assert third.outputs == ("y",) and third.inputs[3] in (first.outputs[0], second.outputs[0])
    assert after.tensor("y").shape == after.tensor("x").shape


def test_gated_activations():
    """SiLU and hard swish need no recognition: they fuse"""
    after, _ = optimised(network("""
    block (float[N, 6] x) => (float[N, 5] y) <float three = {3.0}, float six = {6.0}, float zero = {0.0}>
    {
        a = MatMul(x, wa)
        s = Sigmoid(a)
        silu = Mul(a, s)
        b = MatMul(x, wb)
        b3 = Add(b, three)
        c = Clip(b3, zero, six)
        h0 = Mul(b, c)
        h = Div(h0, six)
        y = Mul(silu, h)
    }""", wa=(6, 5), wb=(6, 5)))
    assert kinds(after) == {"MatMul": 1, "MatMul+": 1}
