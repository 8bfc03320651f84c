"""Random networks compute the same before and after all passes, at several batch sizes."""

from __future__ import annotations

import numpy as np
import pytest
from passes_helpers import feeds
from random_networks import random_network

from tensorwright import passes
from tensorwright.ops.evaluate import evaluate


@pytest.mark.parametrize("block", range(10))
def test_random_networks_compute_the_same(block):
    for seed in range(block * 20, block * 20 + 20):
        before = random_network(seed, layers=4 + seed % 20)
        after, _report = passes.run(before)
        assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
        for batch in (1, 3):
            given = feeds(before, batch, seed)
            expected, actual = evaluate(before, given, keep=True), evaluate(after, given, keep=True)
            for name in {layer_output for layer in after.layers for layer_output in layer.outputs} & set(expected):
                e, a = expected[name], actual[name]
                assert e.shape == a.shape, (seed, name)
                scale = max(1, np.abs(e[np.isfinite(e)]).max(initial=0))
                np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-5 * scale,
                                           err_msg=f"network {seed}, value {name}\n{before}\n{after}")
