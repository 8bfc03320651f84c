"""Random networks through the whole builder, on one engine whose shapes change back and forth, against the reference.

What is drawn is what goes wrong when layers meet: views of views, values that are outputs and read inside, outputs
listed twice, inputs and constants as outputs, results written into several concatenations, borders under slices.
"""

from __future__ import annotations

import numpy as np
import pytest

from tensorwright.builder import BuildOptions, build
from tensorwright.dims import Dim, symbol
from tensorwright.dtypes import DType
from tensorwright.errors import InputError, ShapeError
from tensorwright.ir import Network, NetworkEditor, TensorType
from tensorwright.ops import (
    Concat,
    Convolution,
    ConvTranspose,
    CumSum,
    Expand,
    Gather,
    MatMul,
    Normalize,
    Pad,
    Pointwise,
    Pool,
    Reduce,
    Reshape,
    Resize,
    ScatterElements,
    Slice,
    Softmax,
    TopK,
    Transpose,
)
from tensorwright.ops.evaluate import evaluate
from tensorwright.ops.expr import Apply, Const, In
from tensorwright.passes import depth_first
from tensorwright.plan.records import Profile
from tensorwright.runtime import Engine

N, L = symbol("N"), symbol("L")
PROFILE = Profile((("N", (1, 2, 5)), ("L", (1, 7, 19))))
SHAPES = [(2, 7), (5, 19), (1, 1), (5, 19), (2, 3), (2, 7), (3, 16)]
STEPS = ("unary", "binary", "mixed", "broadcast", "convolution", "convolution", "residual", "residual", "pool",
         "matmul", "product", "transpose", "merge", "split", "reduce", "slice", "slice", "concat", "concat", "join",
         "pad", "normalise", "expand", "gather", "resize", "cumsum", "topk", "scatter")


class Maker:
    """Grows a network one random layer at a time from an image, a sequence and a vector."""

    def __init__(self, seed: int, dtype: DType) -> None:
        self.dtype = dtype
        self.rng = np.random.default_rng(seed)
        self.editor = NetworkEditor(f"random{seed}")
        channels, height, width = (int(self.rng.integers(1, top)) for top in (20, 12, 12))
        self.values = [self.editor.input(name, TensorType(shape, dtype)) for name, shape in
                       (("image", (N, channels, height, width)), ("line", (N, 3, L)), ("row", (N, channels)))]

    def shape(self, v: str) -> tuple[Dim, ...]:
        t = self.editor.types[v]
        assert isinstance(t, TensorType)
        return t.shape

    def below(self, n: int) -> int:
        return int(self.rng.integers(n))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def any_of(self, items: list) -> object:
        return items[self.below(len(items))]

    def array(self, *shape: int) -> str:
        return self.editor.constant(self.rng.normal(0, 0.5, shape).astype(self.dtype.numpy), "c")

    def like(self, s: tuple[Dim, ...]) -> str:
        return self.any_of([v for v in self.values if self.shape(v) == s])  # type: ignore[return-value]

    def step(self) -> None:
        recent = self.values[-6:] if self.chance(0.8) else self.values
        x = recent[self.below(len(recent))]
        try:
            made = getattr(self, str(self.any_of(list(STEPS))))(x, self.shape(x))
        except ShapeError:
            return  # the window is too large, or the like
        for y in made if isinstance(made, tuple) else (made,):
            if y is not None and self.editor.types[y].dtype is self.dtype:  # type: ignore[union-attr]
                self.values.append(y)

    # one method for each kind of layer: (value, its shape) → what it makes, None when it does not apply ------------
    def unary(self, x, s):
        fn = self.any_of(["neg", "abs", "tanh", "sigmoid", "relu"])
        a = In(0, self.dtype)
        e = Apply("max", (a, Const(0.0, self.dtype)), self.dtype) if fn == "relu" else Apply(fn, (a,), self.dtype)
        return self.editor.add(Pointwise(e), x)

    def pair(self, a, b):
        fn = str(self.any_of(["add", "sub", "mul", "max"]))
        return self.editor.add(Pointwise(Apply(fn, (In(0, self.dtype), In(1, self.dtype)), self.dtype)), a, b)

    def binary(self, x, s):
        return self.pair(x, self.like(s))

    def mixed(self, x, s):
        """With a value of a smaller rank or with axes of size 1."""
        fits = [v for v in self.values if len(self.shape(v)) <= len(s) and all(
            a in (1, b) for a, b in zip(self.shape(v)[::-1], s[::-1], strict=False))]
        return self.pair(x, self.any_of(fits))

    def broadcast(self, x, s):
        c = self.array(*(d if isinstance(d, int) and self.chance(0.5) else 1 for d in s))
        return self.pair(x, c) if self.chance(0.7) else self.pair(c, x)

    def convolution(self, x, s):
        if len(s) not in (3, 4) or not isinstance(s[1], int) or s[1] > 40:
            return None
        size = [int(self.any_of([1, 2, 3, 3, 5])) for _ in s[2:]]
        pads = tuple((self.below(3), self.below(3)) if r > 1 else (0, 0) for r in size)
        stride, dilation = 1 + self.below(2), 1 + self.below(2)
        if any((isinstance(d, int) and d + b + a < dilation * (r - 1) + 1) or
               (not isinstance(d, int) and b + a < dilation * (r - 1)) for d, (b, a), r
               in zip(s[2:], pads, size, strict=True)):
            return None
        groups = s[1] if self.chance(0.2) else 2 if s[1] % 2 == 0 and self.chance(0.2) else 1
        k = groups * (1 + self.below(max(1, 24 // groups)))
        w = self.array(k, s[1] // groups, *size)
        b = self.array(k) if self.chance(0.5) else None
        n = len(size)
        if groups == 1 and stride == 2 and self.chance(0.4):
            w = self.array(s[1], k, *size)
            cut = self.below(2) if all(isinstance(d, int) for d in s[2:]) else 0
            return self.editor.add(ConvTranspose((2,) * n, ((cut, 0),) * n, (1,) * n), x, w, b)
        return self.editor.add(Convolution((stride,) * n, pads, (dilation,) * n, groups), x, w, b)

    def residual(self, x, s):
        """Expansion, depthwise convolution, projection: what becomes a chain."""
        if len(s) != 4 or not all(isinstance(d, int) for d in s[1:]) or s[1] > 40:
            return None
        k, size, stride = 2 + self.below(30), int(self.any_of([3, 5])), 1 + self.below(2)
        ones, none = (1, 1), ((0, 0), (0, 0))
        y = self.unary(self.editor.add(Convolution(ones, none, ones), x, self.array(k, s[1], 1, 1), None), s)
        depthwise = Convolution((stride,) * 2, ((size // 2, size // 2),) * 2, ones, k)
        y = self.unary(self.editor.add(depthwise, y, self.array(k, 1, size, size), self.array(k)), s)
        y = self.editor.add(Convolution(ones, none, ones), y, self.array(s[1], k, 1, 1), None)
        return self.pair(y, x) if stride == 1 and self.chance(0.7) else y

    def pool(self, x, s):
        if len(s) not in (3, 4) or any(isinstance(d, int) and d < 2 for d in s[2:]):
            return None
        n = len(s) - 2
        op = Pool(self.any_of(["max", "average"]), (2 + self.below(2),) * n, (1 + self.below(2),) * n,
                  ((1, 1),) * n, (1,) * n, self.chance(0.5))
        return self.editor.add(op, x)

    def matmul(self, x, s):
        if not s or not isinstance(s[-1], int):
            return None
        return self.editor.add(MatMul(), x, self.array(s[-1], 1 + self.below(9)))

    def product(self, x, s):
        """Of two computed values: x and x transposed."""
        if len(s) < 2:
            return None
        perm = (*range(len(s) - 2), len(s) - 1, len(s) - 2)
        return self.unary(self.editor.add(MatMul(), x, self.editor.add(Transpose(perm), x)), s)

    def transpose(self, x, s):
        return self.editor.add(Transpose(tuple(int(p) for p in self.rng.permutation(len(s)))), x) if s else None

    def merge(self, x, s):
        if len(s) < 2:
            return None
        i = self.below(len(s) - 1)
        return self.editor.add(Reshape((*s[:i], s[i] * s[i + 1], *s[i + 2:])), x)

    def split(self, x, s):
        cuts = [(i, f) for i, d in enumerate(s) if isinstance(d, int) for f in (1, 2, 3) if d % f == 0]
        if not cuts or len(s) > 4:
            return None
        i, f = self.any_of(cuts)
        return self.editor.add(Reshape((*s[:i], f, s[i] // f, *s[i + 1:])), x)

    def reduce(self, x, s):
        if not s:
            return None
        axes = tuple(sorted({self.below(len(s)) for _ in range(1 + self.below(2))}))
        return self.editor.add(Reduce(self.any_of(["mean", "sum", "max"]), axes, self.chance(0.7)), x)

    def slice(self, x, s):
        starts, sizes, steps = [], [], []
        for d in s:
            start, size, step = 0, d, 1
            if isinstance(d, int) and self.chance(0.4):
                start, step = self.below(d), int(self.any_of([1, 1, 2, -1, -2]))
                if self.chance(0.5):
                    start = d - 1 if step < 0 else 0
                size = 1 + self.below(start // -step + 1 if step < 0 else (d - 1 - start) // step + 1)
            elif not isinstance(d, int) and self.chance(0.1):
                start, step = d - 1, -1
            starts.append(start)
            sizes.append(size)
            steps.append(step)
        return self.editor.add(Slice(tuple(starts), tuple(sizes), tuple(steps)), x)

    def concat(self, x, s):
        return self.editor.add(Concat(self.below(len(s))), *(x if k == 0 else self.like(s)
                                                             for k in range(2 + self.below(2)))) if s else None

    def join(self, x, s):
        """Concatenation with what differs along one axis."""
        axis = self.below(len(s)) if s else 0
        fits = [v for v in self.values if len(self.shape(v)) == len(s) and all(
            i == axis or a == b for i, (a, b) in enumerate(zip(self.shape(v), s, strict=True)))]
        return self.editor.add(Concat(axis), self.any_of(fits), x) if s else None

    def pad(self, x, s):
        return self.editor.add(Pad(tuple((self.below(2), self.below(2)) for _ in s)), x) if s else None

    def normalise(self, x, s):
        if not s:
            return None
        axis = self.below(len(s))
        return self.editor.add(Softmax(axis) if self.chance(0.6) else Normalize((len(s) - 1,), 1e-2), x)

    def expand(self, x, s):
        return self.editor.add(Expand(tuple(3 if d == 1 else d for d in s)), x) if 1 in s else None

    def gather(self, x, s):
        axes = [i for i, d in enumerate(s) if isinstance(d, int)]
        if not axes:
            return None
        axis = int(self.any_of(axes))
        d = s[axis]
        shape = [(), (3,), (2, 2)][self.below(3)] if len(s) < 4 else (3,)
        return self.editor.add(Gather(axis), x, self.editor.constant(self.rng.integers(-d, d, shape), "index"))

    def resize(self, x, s):
        if len(s) != 4 or not all(isinstance(d, int) and d < 20 for d in s[2:]):
            return None
        sizes = (*s[:2], s[2] * 2, s[3] * 2)
        op = Resize(sizes, (1.0, 1.0, 2.0, 2.0), str(self.any_of(["nearest", "linear"])))
        return self.editor.add(op, x)

    def cumsum(self, x, s):
        return self.editor.add(CumSum(self.below(len(s)), self.chance(0.5), self.chance(0.5)), x) if s else None

    def topk(self, x, s):
        axes = [i for i, d in enumerate(s) if isinstance(d, int)]
        if not axes:
            return None
        axis = int(self.any_of(axes))
        names = [self.editor.fresh("top"), ""]  # rounding decides about the indices of what is almost equal
        return self.editor.add(TopK(1 + self.below(s[axis]), axis), x, outputs=names)[0]

    def scatter(self, x, s):
        axes = [i for i, d in enumerate(s) if isinstance(d, int)]
        if len(s) != 2 or not axes or isinstance(s[0], int):
            return None
        index = self.editor.constant(self.rng.integers(0, s[1], (1, min(2, s[1]))), "index")
        return self.editor.add(ScatterElements(1, "add"), x, index, self.array(1, min(2, s[1])))

    # the whole ----------------------------------------------------------------------------------------------------
    def network(self, layers: int) -> Network:
        while len(self.editor.layers) < layers:
            before = len(self.values)
            self.step()
            for y in self.values[before:]:
                if any(isinstance(d, int) and d > 200 for d in self.shape(y)) or len(self.shape(y)) > 5:
                    self.values.remove(y)  # of no further use; it may be an output all the same
        read = {i for layer in self.editor.layers for i in layer.inputs}
        ends = [o for layer in self.editor.layers for o in layer.outputs if o and o not in read]
        inside = [str(self.any_of(self.values)) for _ in range(2)]
        given = [*self.editor.constants, *self.editor.inputs]
        odd = [str(self.any_of(given))] if self.chance(0.2) else []
        self.editor.outputs = list(dict.fromkeys([*ends[-4:], *inside, *odd]))
        if self.chance(0.2):
            self.editor.outputs.append(self.editor.outputs[0])
        return self.editor.finish()


def check(seed: int, layers: int) -> int:
    """How many chains the engine has."""
    dtype = DType.float64 if seed % 7 == 3 else DType.float32
    network = Maker(seed, dtype).network(layers)
    plan = build(network, BuildOptions(profiles=(PROFILE,), threads=2, tune_budget=0, timing_cache=False, verify=False))
    engine = Engine(plan)
    rng = np.random.default_rng(seed)
    for n, length in SHAPES:
        env = {"N": n, "L": length}
        feeds = {}
        for name in network.inputs:
            shape = [d if isinstance(d, int) else env[str(d)] for d in network.tensor(name).shape]
            feeds[name] = rng.standard_normal(shape, dtype=dtype.numpy)
        try:
            expected = evaluate(network, feeds)
        except InputError:
            with pytest.raises(InputError):
                engine.run(feeds)
            continue
        kept = {name: x.copy() for name, x in feeds.items()}
        results = engine.run(feeds)
        for name in network.outputs:
            e, r = expected[name], results[name]
            about = f"network {seed}, {env}, {name}\n{network}"
            assert (r.shape, r.dtype) == (e.shape, e.dtype), about
            scale = max(1.0, np.abs(e[np.isfinite(e)]).max(initial=0)) if e.dtype.kind == "f" else 0
            np.testing.assert_allclose(r, e, rtol=1e-4, atol=1e-4 * scale, err_msg=about)
        for name, x in kept.items():
            assert np.array_equal(feeds[name], x), f"network {seed} wrote into its input {name}"
    return sum("Banded" in layer.tactic for layer in plan.programs[0].layers)


@pytest.mark.parametrize("block", range(5))
def test_random_networks_compute_the_reference(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth_first, "LARGE_SHARE", 0.0)                 # chains wherever they can be formed
    assert sum(check(seed, layers=4 + seed % 20) for seed in range(block * 10, block * 10 + 10))
