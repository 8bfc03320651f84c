"""Timing caches: what they hold can be asked, edited, insisted on, and is not taken for another machine's."""

import json
import math
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v10
from tensorwright.trt.timing_cache import here, tactic_hash

from .tiny import Log, chain, expected, run

X = np.random.default_rng(0).standard_normal((4, 8), dtype=np.float32)


def build(content: bytes = b"", *flags: Any, ignore_mismatch: bool = False) -> tuple[Any, Any, Log]:
    """(engine, cache, log)"""
    builder = trt.Builder(log := Log())
    config = builder.create_builder_config()
    for flag in flags:
        config.set_flag(flag)
    assert config.set_timing_cache(config.create_timing_cache(content), ignore_mismatch)
    return builder.build_engine_with_config(chain(builder), config), config.get_timing_cache(), log


@pytest.fixture(scope="module")
def filled() -> bytes:
    """The cache of a build, with times that leave no doubt: each tactic is slower than the one before it."""
    tree = json.loads(bytes(build()[1].serialize()))
    for times in tree["scopes"][here()]["problems"].values():
        times.update({tactic: (k + 1) * 1e-6 for k, tactic in enumerate(times)})
    return json.dumps(tree).encode()


def cache_of(content: bytes) -> trt.ITimingCache:
    return trt.Builder(Log()).create_builder_config().create_timing_cache(content)


def tactics(engine: Any) -> dict[str, str]:
    return {layer.name: layer.tactic for layer in engine._plan.programs[0].layers}


def test_keys_have_a_text_form() -> None:
    text = "0x" + "0123456789abcdef" * 2
    key = v10.TimingCacheKey.parse(text)
    assert str(key) == text and key == v10.TimingCacheKey.parse(text.upper().replace("X", "x")) and len({key, key}) == 1
    for wrong in ("", text[2:], text + "0", text[:-1] + "g", "0x"):
        with pytest.raises(ValueError, match="is not a key"):
            v10.TimingCacheKey.parse(wrong)


def test_entries_can_be_asked(filled: bytes) -> None:
    cache = cache_of(filled)
    keys = cache.queryKeys()
    assert keys
    times = json.loads(filled)["scopes"][here()]["problems"]
    for key in keys:
        value, mine = cache.query(key), times[str(key)[2:]]
        best = min(mine, key=mine.get)
        assert value.tacticHash == tactic_hash(best) and math.isclose(value.timingMSec, mine[best] * 1e3)
    unknown = cache.query(trt.TimingCacheKey.parse("0x" + "0" * 32))
    assert unknown.tacticHash == 0 and unknown.timingMSec == math.inf
    assert cache.reset() and cache.queryKeys() == [] and cache_of(b"no json").queryKeys() == []


def test_an_edited_entry_steers_the_tactic(filled: bytes) -> None:
    cache, editable = cache_of(filled), trt.BuilderFlag.EDITABLE_TIMING_CACHE
    times = json.loads(filled)["scopes"][here()]["problems"]
    key = next(k for k in cache.queryKeys() if "MatMul" in next(iter(times[str(k)[2:]])))
    best, *_, worst = times[str(key)[2:]]
    assert cache.update(key, trt.TimingCacheValue(tactic_hash(worst), 123.0))
    assert cache.query(key).tacticHash == tactic_hash(worst) and cache.query(key).timingMSec == 123.0
    edited = bytes(cache.serialize())
    steered, after, log = build(edited, editable)
    assert worst in tactics(steered).values() and best not in tactics(steered).values()
    np.testing.assert_allclose(run(steered.create_execution_context(), X), expected(X)["y"], rtol=1e-4)
    assert f"key {key} tactic {tactic_hash(worst):#018x}" in log.text()
    assert after.query(key).tacticHash == tactic_hash(worst)         # saved again with its choice
    ordinary, _, log = build(edited)
    assert best in tactics(ordinary).values() and "pinned by update()" in log.text()


def test_updates_that_make_no_sense_are_refused(filled: bytes) -> None:
    cache = cache_of(filled)
    key = cache.queryKeys()[0]
    known = cache.query(key).tacticHash
    assert not cache.update(trt.TimingCacheKey.parse("0x" + "f" * 32), trt.TimingCacheValue(known, 1.0))
    assert not cache.update(key, trt.TimingCacheValue(known ^ 1, 1.0))
    assert not cache.update(key, trt.TimingCacheValue(known, math.nan))
    assert not cache.update(key, trt.TimingCacheValue(known, -1.0)) and bytes(cache.serialize()) == filled
    assert not cache_of(b"").update(key, trt.TimingCacheValue(known, 1.0))


def test_a_miss_can_be_an_error(filled: bytes) -> None:
    insist = trt.BuilderFlag.ERROR_ON_TIMING_CACHE_MISS
    engine, _, log = build(filled, insist)
    assert engine, log.errors()
    engine, _, log = build(b"", insist)
    assert engine is None and "the timing cache lacks times of" in log.errors()


def test_a_disabled_cache_stays_as_it_is(filled: bytes) -> None:
    engine, cache, _ = build(b"", trt.BuilderFlag.DISABLE_TIMING_CACHE)
    assert engine and bytes(cache.serialize()) == b""


def test_caches_of_other_machines_are_refused_or_lent(filled: bytes) -> None:
    tree = json.loads(filled)
    tree["scopes"] = {"another machine": tree["scopes"][here()]}
    foreign = json.dumps(tree).encode()
    config = trt.Builder(log := Log()).create_builder_config()
    assert not config.set_timing_cache(config.create_timing_cache(foreign), ignore_mismatch=False)
    assert config.get_timing_cache() is None and "other machines or versions" in log.errors()
    insist = trt.BuilderFlag.ERROR_ON_TIMING_CACHE_MISS
    engine, _, log = build(foreign, insist, ignore_mismatch=True)
    assert engine, log.errors()                            # every time was there: the other machine's
    assert not config.set_timing_cache(config.create_timing_cache(b"no json"), ignore_mismatch=False)
