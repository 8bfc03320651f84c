"""Ranges for 8-bit integers: histograms that grow, and what each algorithm makes of distributions known beforehand."""

import itertools

import numpy as np
import pytest

from tensorwright.builder.ranges import BINS, LEVELS, Histogram, divergence, entropy, largest, percentile, quantized

RNG = np.random.default_rng(0)


def histogram(*arrays: np.ndarray) -> Histogram:
    found = Histogram()
    for x in arrays:
        found.add(x)
    return found


def test_a_histogram_grows_without_losing_values() -> None:
    arrays = [RNG.normal(size=1000) * scale for scale in (1.0, 0.01, 1000.0, 3.0)]
    found = histogram(*arrays)
    everything = np.abs(np.concatenate(arrays).astype(np.float32))
    assert found.counts.sum() == everything.size and found.maximum == everything.max()
    expected, _ = np.histogram(everything, BINS, (0, found.width * BINS))
    assert np.abs(found.counts.cumsum() - expected.cumsum()).max() <= 2, "a value on an edge may count on either side"
    assert found.width * BINS / 2 < found.maximum <= found.width * BINS


def test_values_without_a_place() -> None:
    found = histogram(np.array([]), np.zeros(5), np.array([1.0, np.nan, -np.inf, -2.0]), np.array([1e-30]))
    assert (found.counts.sum(), found.skipped, found.maximum) == (8, 2, 2.0)
    nothing = histogram(np.zeros(7))
    assert largest(nothing) == percentile(nothing, 0.99) == 0
    assert entropy(nothing, zeros=True) == entropy(nothing, zeros=False) == 0


def test_min_max_and_percentiles() -> None:
    x = RNG.exponential(size=100_000)
    found = histogram(x)
    assert largest(found) == np.float32(x.max())
    for share in (0.5, 0.9, 0.999, 1.0):
        assert percentile(found, share) == pytest.approx(np.quantile(x, share), abs=found.width)


def test_levels_spread_their_sum_over_the_bins_that_are_filled() -> None:
    counts = RNG.integers(0, 4, 300).astype(float)
    expected = np.zeros_like(counts)
    edges = [level * 300 // LEVELS for level in range(LEVELS)] + [300]
    for low, high in itertools.pairwise(edges):
        filled = [i for i in range(low, high) if counts[i]]
        for i in filled:
            expected[i] = sum(counts[low:high]) / len(filled)
    assert np.allclose(quantized(counts), expected)


def test_divergence() -> None:
    p, q = np.array([1.0, 2.0, 0.0, 1.0]), np.array([2.0, 2.0, 5.0, 1.0])
    expected = sum(a / 4 * np.log((a / 4) / (b / 10)) for a, b in zip(p, q, strict=True) if a)
    assert divergence(p, q) == pytest.approx(expected)
    assert divergence(p, 3 * p) == pytest.approx(0) and 1 < divergence(p, np.array([1.0, 0, 1, 1])) < 10


def test_entropy_clips_what_is_rare_and_keeps_what_is_not() -> None:
    normal = RNG.normal(size=200_000)
    outliers = histogram(normal, np.array([400.0, -500.0]))
    assert 2 < entropy(outliers, zeros=True) < 40 and largest(outliers) == 500
    assert entropy(histogram(RNG.uniform(-1, 1, 200_000)), zeros=True) > 0.97, "nothing is rare"
    relu = histogram(np.maximum(RNG.normal(size=200_000) - 2, 0))
    assert entropy(relu, zeros=False) <= relu.maximum and entropy(relu, zeros=False) != entropy(relu, zeros=True)


def test_entropy_is_the_smallest_divergence_of_all_candidates() -> None:
    found = histogram(RNG.laplace(size=50_000))
    candidates = {}
    for end in range(LEVELS, BINS + 1):
        true = found.counts[:end].astype(float)
        spread = quantized(true)
        true[-1] += found.counts[end:].sum()
        candidates[end] = divergence(true, spread)
    best = min(candidates, key=candidates.__getitem__)
    assert entropy(found, zeros=True) == min(best * found.width, found.maximum)


@pytest.mark.parametrize("zeros", [True, False])
@pytest.mark.parametrize("values", [2, 16, 100])
def test_entropy_keeps_values_that_are_few(values: int, zeros: bool) -> None:
    """Pixels of some grey levels: a range around the least of them alone is no better than one with all of them."""
    x = RNG.integers(0, values + 1, 5000) / values
    assert entropy(histogram(x), zeros=zeros) > 0.9
