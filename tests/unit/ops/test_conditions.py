"""What shape rules assume about symbols, and its check on actual shapes."""

import numpy as np
import pytest

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.ir import NetworkEditor, TensorType
from tensorwright.ops import Concat, Convolution, MatMul, Pointwise, Slice, Softmax, TopK
from tensorwright.ops.conditions import conditions
from tensorwright.ops.expr import Apply, In

F = DType.float32
N, M = symbol("N"), symbol("M")
ADD = Pointwise(Apply("add", (In(0, F), In(1, F)), F))


def network(op, *shapes):
    e = NetworkEditor()
    names = [e.input(f"x{i}", TensorType(s, F)) for i, s in enumerate(shapes)]
    out = e.add(op, *names, name="it")
    e.outputs = [out] if isinstance(out, str) else list(out)
    return e.finish()


@pytest.mark.parametrize(("op", "shapes", "good", "bad"), [
    (ADD, [(N,), (M,)], (3, 3), (3, 4)), (ADD, [(N,), (M,)], (3, 3), (1, 3)), (ADD, [(N,), (5,)], (5, 0), (1, 0)),
    (MatMul(), [(2, N), (M, 4)], (3, 3), (3, 4)), (Concat(0), [(N, M), (2, N)], (3, 3), (3, 4)),
    (TopK(4, 0), [(N,)], (4, 0), (3, 0)), (Slice((2,), (M,), (1,)), [(N,)], (9, 7), (9, 8)),
    (Slice((N - 1,), (N,), (-1,)), [(N,)], (0, 0), None), (Slice((N - 1,), (M,), (-2,)), [(N,)], (5, 3), (5, 4)),
    (Convolution((1,), ((0, 0),), (1,)), [(1, 1, N), (1, 1, 3)], (3, 0), (2, 0)),
])
def test_conditions_tell_good_shapes_from_bad(op, shapes, good, bad):
    found = conditions(network(op, *shapes))
    assert all(c.holds(dict(zip("NM", good, strict=True))) and c.layer == "it" for c in found)
    assert bad is None or not all(c.holds(dict(zip("NM", bad, strict=True))) for c in found)


def test_what_needs_no_symbols_has_no_conditions_worth_checking():
    assert conditions(network(Softmax(1), (2, 3))) == ()
    assert conditions(network(ADD, (N, 3), (N, 1)), {"N": (0, 9)}) == ()


def test_conditions_that_hold_everywhere_in_the_ranges_are_left_out():
    network_ = network(TopK(4, 0), (N,))
    assert conditions(network_, {"N": (4, 9)}) == ()
    assert [str(c) for c in conditions(network_, {"N": (3, 9)})] == ["N - 4 ≥ 0"]


def test_the_reference_computes_wherever_conditions_hold():
    from tensorwright.ops.evaluate import evaluate
    net = network(ADD, (N,), (M,))
    for n, m in ((1, 1), (4, 4)):
        assert all(c.holds({"N": n, "M": m}) for c in conditions(net))
        evaluate(net, {"x0": np.ones(n, np.float32), "x1": np.ones(m, np.float32)})
