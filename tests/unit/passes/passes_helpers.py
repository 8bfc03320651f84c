"""Small networks for tests of passes, and the comparison of a network with itself after passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tensorwright import dims, passes
from tensorwright.dims import Dim, symbol
from tensorwright.dtypes import DType
from tensorwright.ir import Network, NetworkEditor, Op, TensorType
from tensorwright.ops import Fused, Pointwise
from tensorwright.ops.evaluate import evaluate
from tensorwright.ops.expr import Apply, Const, Expr, In
from tensorwright.passes.graph import Graph
from tensorwright.passes.report import Report
from tensorwright.passes.rewrite import Rewrite, apply

F32 = DType.float32
N = symbol("N")
X, Y = In(0, F32), In(1, F32)


def unary(fn: str, x: Expr = X) -> Expr:
    return Apply(fn, (x,), x.dtype)


def binary(fn: str, a: Expr = X, b: Expr = Y) -> Expr:
    return Apply(fn, (a, b), a.dtype)


def number(v: float) -> Const:
    return Const(float(v), F32)


class Net:
    """An editor with short names for what tests write most: float32 inputs, constants and arithmetic."""

    def __init__(self, seed: int = 0) -> None:
        self.editor = NetworkEditor("test")
        self.rng = np.random.default_rng(seed)

    def input(self, *shape: Dim, dtype: DType = F32) -> str:
        return self.editor.input(f"x{len(self.editor.inputs)}", TensorType(shape, dtype))

    def constant(self, array: np.ndarray | float) -> str:
        return self.editor.constant(np.asarray(array, np.float32) if isinstance(array, float) else array)

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.normal(0, 0.5, shape).astype(np.float32))

    def add(self, op: Op, *inputs: str | None) -> str:
        y = self.editor.add(op, *inputs)
        assert isinstance(y, str)
        return y

    def call(self, fn: str, *inputs: str | float) -> str:
        """A layer of one function; numbers become constant operands."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        types = [self.editor.types[n].dtype for n in names]
        out = {"eq": DType.bool, "le": DType.bool, "isnan": DType.bool, "not": DType.bool}.get(fn, types[-1])
        return self.add(Pointwise(Apply(fn, tuple(In(i, t) for i, t in enumerate(types)), out)), *names)

    def cast(self, x: str, dtype: DType) -> str:
        return self.add(Pointwise(Apply("cast", (In(0, self.editor.types[x].dtype),), dtype)), x)

    def finish(self, *outputs: str) -> Network:
        self.editor.outputs = list(outputs)
        return self.editor.finish()


def feeds(network: Network, batch: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs; every symbol is `batch`."""
    rng = np.random.default_rng(seed)
    made = {}
    for name in network.inputs:
        t = network.tensor(name)
        shape = [dims.evaluate(d, {s: batch for s in dims.symbols(d)}) for d in t.shape]
        made[name] = (rng.integers(0, 2, shape) if t.dtype is DType.bool else rng.normal(0, 1, shape)).astype(
            t.dtype.numpy)
    return made


def assert_same(before: Network, after: Network, batches: Sequence[int] = (1, 3), tolerance: float = 1e-5) -> None:
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    for batch in batches:
        given = feeds(before, batch, batch)
        expected, actual = evaluate(before, given), evaluate(after, given)
        for name, e in expected.items():
            assert actual[name].shape == e.shape and actual[name].dtype == e.dtype, name
            scale = max(1, np.abs(e.astype(np.float64)).max(initial=0))
            np.testing.assert_allclose(actual[name].astype(np.float64), e.astype(np.float64), rtol=tolerance,
                                       atol=tolerance * scale, err_msg=f"{name}\n{before}\n{after}")


def optimised(network: Network, tolerance: float = 1e-5) -> tuple[Network, passes.Report]:
    """The network after all passes, which computes the same."""
    after, report = passes.run(network)
    assert_same(network, after, tolerance=tolerance)
    return after, report


def rewritten(network: Network, *rewrites: Rewrite) -> Network:
    """The network after some rewrites alone, which computes the same."""
    graph = Graph(network)
    apply(graph, rewrites, Report())
    after = graph.freeze()
    assert_same(network, after)
    return after


def kinds(network: Network) -> dict[str, int]:
    """How many layers of each operator; a fused one counts as its core with a +."""
    return dict(Counter(f"{type(layer.op.core).__name__}+" if isinstance(layer.op, Fused) else type(layer.op).__name__
                        for layer in network.layers))
