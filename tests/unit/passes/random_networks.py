"""Random networks of the operators that passes rewrite, with a symbolic batch, and their feeds."""

from __future__ import annotations

import numpy as np
from passes_helpers import binary, number, unary

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.ir import Network, NetworkEditor, TensorType
from tensorwright.ops import (
    Concat,
    Convolution,
    Expand,
    MatMul,
    Normalize,
    Pad,
    Pointwise,
    Pool,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Transpose,
)
from tensorwright.ops.expr import In

F32 = DType.float32
N = symbol("N")
BINARY, UNARY = ("add", "sub", "mul", "max", "min"), ("neg", "abs", "tanh", "sigmoid", "exp", "sqrt")


class Maker:
    """Grows a network one random layer at a time from tensors of shape (N, 4, 6, 6) and what becomes of them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.editor = NetworkEditor(f"random{seed}")
        self.values = [self.editor.input("x", TensorType((N, 4, 6, 6), F32)),
                       self.editor.input("z", TensorType((N, 4, 6, 6), F32))]

    def shape(self, v: str) -> tuple:
        t = self.editor.types[v]
        assert isinstance(t, TensorType)
        return t.shape

    def pick(self) -> str:
        return self.values[int(self.rng.integers(max(0, len(self.values) - 5), len(self.values)))]

    def array(self, *shape: int) -> str:
        return self.editor.constant(self.rng.normal(0, 0.5, shape).astype(np.float32), "c")

    def step(self) -> None:
        x = self.pick()
        s, rng, add = self.shape(x), self.rng, self.editor.add
        kind = rng.integers(0, 15)
        y = None
        if kind == 0:
            fn = rng.choice(UNARY)
            inner = {"sqrt": unary("abs"), "exp": unary("tanh")}.get(fn)
            e = unary(fn) if inner is None else unary(fn, inner)
            y = add(Pointwise(e), x)
        elif kind in (1, 2):
            same = [v for v in self.values if self.shape(v) == s]
            y = add(Pointwise(binary(rng.choice(BINARY))), x, same[int(rng.integers(len(same)))])
        elif kind == 3:
            c = self.array(*(d if isinstance(d, int) and rng.random() < 0.5 else 1 for d in s))
            y = add(Pointwise(binary(rng.choice(BINARY))), *((x, c) if rng.random() < 0.7 else (c, x)))
        elif kind == 4:
            e = rng.choice([binary("pow", In(0, F32), number(2)), binary("mul", In(0, F32), number(1)),
                            binary("div", In(0, F32), number(4)),
                            binary("div", number(1), binary("add", number(1), unary("exp", unary("neg"))))])
            y = add(Pointwise(e), x)
        elif kind == 5 and len(s) == 4 and all(isinstance(d, int) for d in s[1:]) and min(s[2:]) >= 3:
            k, pad = int(rng.integers(1, 5)), int(rng.integers(0, 2))
            groups = 2 if s[1] % 2 == 0 and rng.random() < 0.3 else 1
            w = self.array(k * groups, s[1] // groups, 3, 3)
            b = self.array(k * groups) if rng.random() < 0.5 else None
            y = add(Convolution((1, 1), ((pad, pad), (pad, pad)), (1, 1), groups), x, w, b)
            if rng.random() < 0.5:
                y = add(Pointwise(binary("add", binary("mul"), In(2, F32))), y, self.array(k * groups, 1, 1),
                        self.array(1, k * groups, 1, 1))
        elif kind == 6 and len(s) >= 2 and isinstance(s[-1], int):
            y = add(MatMul(), x, self.array(s[-1], int(rng.integers(2, 6))))
            if rng.random() < 0.5:
                y = add(Pointwise(binary(rng.choice(["add", "mul"]))), y, self.array(self.shape(y)[-1]))
        elif kind == 7 and len(s) >= 2:
            y = add(Transpose(tuple(int(p) for p in rng.permutation(len(s)))), x)
        elif kind == 8 and len(s) >= 2:
            i = int(rng.integers(len(s) - 1))
            y = add(Reshape((*s[:i], s[i] * s[i + 1], *s[i + 2:])), x) if rng.random() < 0.5 else \
                add(Reshape((*s[:i], 1, *s[i:])), x) if len(s) < 5 else None
        elif kind == 9 and len(s) >= 2:
            axis = int(rng.integers(len(s)))
            y = add(Reduce(rng.choice(["mean", "sum", "max"]), (axis,), bool(rng.random() < 0.7)), x)
        elif kind == 10:
            starts, sizes, steps = [], [], []
            for d in s:
                if isinstance(d, int) and d > 1 and rng.random() < 0.5:
                    a = int(rng.integers(0, d - 1))
                    n = int(rng.integers(1, d - a + 1))
                    down = rng.random() < 0.2
                    starts.append(a + n - 1 if down else a)
                    sizes.append(n)
                    steps.append(-1 if down else 1)
                else:
                    starts.append(0)
                    sizes.append(d)
                    steps.append(1)
            y = add(Slice(tuple(starts), tuple(sizes), tuple(steps)), x)
        elif kind == 11:
            same = [v for v in self.values if self.shape(v) == s]
            y = add(Concat(int(rng.integers(len(s)))), x, same[int(rng.integers(len(same)))])
        elif kind == 12 and len(s) == 4:
            pad = tuple((0, 0) if i < 2 else tuple(int(p) for p in rng.integers(0, 2, 2)) for i in range(4))
            y = add(Pad(pad), x)
            if min(d for d in self.shape(y)[2:] if isinstance(d, int)) >= 2 and all(
                    isinstance(d, int) for d in self.shape(y)[2:]):
                y = add(Pool("average", (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)), y)
        elif kind == 13 and s:
            axis = len(s) - 1
            y = add(Softmax(axis), x) if rng.random() < 0.5 else add(Normalize((axis,), 1e-2), x)
        elif kind == 14 and 1 in s:
            y = add(Expand(tuple(3 if d == 1 else d for d in s)), x)
        if isinstance(y, str):
            self.values.append(y)

    def network(self, layers: int) -> Network:
        while len(self.editor.layers) < layers:
            self.step()
        read = {i for layer in self.editor.layers for i in layer.inputs}
        unread = [o for layer in self.editor.layers for o in layer.outputs if o not in read]
        self.editor.outputs = list(dict.fromkeys([*unread[-4:], self.pick()]))
        return self.editor.finish()


def random_network(seed: int, layers: int = 12) -> Network:
    return Maker(seed).network(layers)
