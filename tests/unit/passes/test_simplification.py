"""Simplified expressions mean the same, to the last bit where the rules promise that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from passes_helpers import F32, X, Y, binary, number, unary

from tensorwright.dtypes import DType
from tensorwright.ops.expr import Apply, Const, In, evaluate, size
from tensorwright.passes.simplify import simplify

I32 = DType.int32
AWKWARD = np.array([0.0, -0.0, 1, -1, 0.5, -2.5, 3e38, -3e38, 1e-45, np.inf, -np.inf, np.nan], np.float32)


def cast(e, dtype):
    return Apply("cast", (e,), dtype)


@pytest.mark.parametrize(("before", "after"), [
    (binary("mul", X, number(1)), X),
    (binary("div", X, number(1)), X),
    (binary("sub", X, number(0)), X),
    (binary("add", X, number(-0.0)), X),
    (binary("pow", X, number(1)), X),
    (binary("pow", X, number(2)), binary("mul", X, X)),
    (binary("pow", X, number(3)), binary("mul", binary("mul", X, X), X)),
    (binary("pow", X, number(0.5)), unary("sqrt")),
    (binary("pow", X, number(-0.5)), unary("rsqrt")),
    (binary("div", X, number(4)), binary("mul", X, number(0.25))),
    (binary("div", X, number(-0.125)), binary("mul", X, number(-8))),
    (binary("div", number(1), unary("sqrt")), unary("rsqrt")),
    (binary("div", number(1), binary("add", number(1), unary("exp", unary("neg")))), unary("sigmoid")),
    (binary("div", X, binary("add", unary("exp", unary("neg")), number(1))), binary("mul", X, unary("sigmoid"))),
    (binary("mul", number(0.5), binary("add", unary("tanh", binary("div", X, number(2))), number(1))),
     unary("sigmoid")),
    (unary("neg", unary("neg")), X),
    (unary("abs", unary("abs")), unary("abs")),
    (binary("max", binary("max", X, number(1)), number(2)), binary("max", X, number(2))),
    (binary("min", number(3), binary("min", number(5), X)), binary("min", X, number(3))),
    (binary("add", number(2), number(3)), number(5)),
    (cast(X, F32), X),
    (cast(cast(In(0, DType.float16), F32), DType.float16), In(0, DType.float16)),
    (cast(cast(In(0, I32), DType.int64), I32), In(0, I32)),
    (Apply("where", (Apply("not", (In(2, DType.bool),), DType.bool), X, Y), F32),
     Apply("where", (In(2, DType.bool), Y, X), F32)),
    (Apply("where", (Const(True, DType.bool), X, Y), F32), X),
    (Apply("and", (Const(True, DType.bool), In(0, DType.bool)), DType.bool), In(0, DType.bool)),
    (Apply("or", (Const(True, DType.bool), In(0, DType.bool)), DType.bool), Const(True, DType.bool)),
    (Apply("add", (In(0, I32), Const(0, I32)), I32), In(0, I32)),
])
def test_rules(before, after):
    assert simplify(before) == after


@pytest.mark.parametrize("e", [
    binary("add", X, number(0.0)),                       # −0 + 0 is 0
    binary("sub", X, number(-0.0)),
    binary("div", X, number(3)),                         # 1/3 is rounded
    binary("div", X, number(2.0 ** -127)),               # 2¹²⁷ is, but 2⁻¹²⁷ is no normal number
    cast(cast(X, DType.float16), F32),                   # rounds on purpose
    cast(cast(In(0, DType.int64), F32), DType.int64),
    cast(cast(In(0, DType.float16), F32), I32),
    binary("mul", X, number(0)),                         # 0 · ∞
    binary("sub", X, X),
])
def test_rules_that_would_change_results_are_not_there(e):
    assert simplify(e) == e


FUNCTIONS = {1: ["neg", "abs", "sqrt", "exp", "tanh", "sigmoid", "floor", "sign"],
             2: ["add", "sub", "mul", "div", "max", "min", "pow"]}
CONSTANTS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 3.0, 4.0, 0.25]).map(number)


def expressions():
    leaves = st.one_of(st.sampled_from([X, Y]), CONSTANTS)
    return st.recursive(leaves, lambda inner: st.one_of(
        st.builds(lambda fn, a: unary(fn, a), st.sampled_from(FUNCTIONS[1]), inner),
        st.builds(lambda fn, a, b: binary(fn, a, b), st.sampled_from(FUNCTIONS[2]), inner, inner)), max_leaves=10)


@settings(max_examples=150, deadline=None)
@example(binary("pow", number(-0.0), number(-0.5)))
@given(expressions())
def test_simplified_expressions_mean_the_same(e):
    rng = np.random.default_rng(0)
    inputs = [rng.normal(0, 2, 64).astype(np.float32), rng.normal(0, 2, 64).astype(np.float32)]
    new = simplify(e)
    assert size(new) <= size(e) + 2                      # pow(x, 3) is two products
    with np.errstate(all="ignore"):
        a, b = (np.broadcast_to(evaluate(x, inputs), 64) for x in (e, new))
    np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)


EXACT = [binary("mul", X, number(1)), binary("sub", X, number(0)), binary("add", X, number(-0.0)),
         binary("div", X, number(8)), binary("max", binary("max", X, number(-1)), number(2)),
         binary("pow", X, number(2))]


@pytest.mark.parametrize("e", EXACT)
def test_awkward_numbers_keep_their_bits(e):
    with np.errstate(all="ignore"):
        before, after = evaluate(e, [AWKWARD]), evaluate(simplify(e), [AWKWARD])
    np.testing.assert_array_equal(before.view(np.int32)[~np.isnan(before)], after.view(np.int32)[~np.isnan(before)])
    np.testing.assert_array_equal(np.isnan(before), np.isnan(after))


def test_equal_parts_become_one_node():
    e = simplify(binary("add", unary("tanh", unary("exp")), unary("tanh", unary("exp"))))
    assert e.args[0] is e.args[1]


def test_deep_sharing_takes_no_exponential_time():
    e = X
    for _ in range(60):
        e = binary("mul", unary("tanh", e), e)
    assert size(simplify(e)) == 120
