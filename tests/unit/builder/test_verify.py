"""What counts as right: integers exactly, except those that floats were rounded or compared to."""

from __future__ import annotations

import numpy as np
import onnx

from tensorwright import importer
from tensorwright.builder.verify import compare, rounded_integers

MODEL = """<ir_version: 9, opset_import: ["" : 18]>
g (float[4] x, int64[4] i) => (int64[4] exact, int64[4] rounded, int64[4] after, bool[4] less, float[4] f,
                                int64[4] mix) {
    exact = Add(i, i)
    q = Mul(x, x)
    rounded = Cast<to = 7>(q)
    after = Add(rounded, i)
    less = Less(x, q)
    f = Cast<to = 1>(i)
    mix = Mul(exact, after)
}"""


def test_integers_that_come_from_floats() -> None:
    network = importer.load(onnx.parser.parse_model(MODEL))
    assert set(network.outputs) & rounded_integers(network) == {"rounded", "after", "less", "mix"}


def test_exact_integers_are_exact() -> None:
    a = np.arange(10_000)
    b = a.copy()
    b[7] += 1
    assert compare(b, a)[0] == 0 and "0.01%" in compare(b, a)[1]
    assert compare(b, a, rounded=False)[0] == float("inf")
    assert compare(a, a, rounded=False) == (0.0, "")
    b[:20] += 1
    assert compare(b, a)[0] == float("inf")
