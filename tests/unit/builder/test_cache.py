"""The timing cache's file: merged, bounded, and never trusted."""

from __future__ import annotations

import json
import logging
import math
import threading
from pathlib import Path

import pytest

from tensorwright.builder import cache as module
from tensorwright.builder.cache import TimingCache
from tensorwright.device import cpu
from tensorwright.dtypes import DType
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Softmax


def problem(n: int) -> Problem:
    x = Operand((n, 4), (4, 1), DType.float32)
    return Problem(Softmax(1), (x,), (x,))


def cache(path: Path, threads: int = 1) -> TimingCache:
    return TimingCache(path, cpu.describe(), threads)


def learn(path: Path, n: int, seconds: float = 1.0, threads: int = 1) -> None:
    found = cache(path, threads)
    found.add(problem(n), "tactic", seconds)
    found.save()


def test_builds_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    caches = [cache(path) for _ in range(8)]                     # all have read the empty file
    for n, each in enumerate(caches):
        each.add(problem(n), "tactic", float(n))
    workers = [threading.Thread(target=each.save) for each in caches]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [cache(path).known(problem(n)) for n in range(8)] == [{"tactic": float(n)} for n in range(8)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["timing.json", "timing.json.lock"]


def test_what_another_build_has_learned_since_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    learn(path, 1, 1.0)
    old = cache(path)
    learn(path, 1, 2.0)
    old.add(problem(2), "tactic", math.inf)
    old.save()
    assert cache(path).known(problem(1)) == {"tactic": 2.0}
    assert cache(path).known(problem(2)) == {"tactic": math.inf}


def test_old_generators_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "timing.json"
    for version in range(module.MOST_SCOPES + 3):
        monkeypatch.setattr(module, "generator_version", lambda version=version: str(version))
        monkeypatch.setattr(module.time, "time", lambda version=version: float(version))
        learn(path, 1, float(version))
        assert cache(path).known(problem(1)) == {"tactic": float(version)}
    scopes = json.loads(path.read_text())["scopes"]
    assert sorted(s["saved"] for s in scopes.values()) == [float(v) for v in range(3, module.MOST_SCOPES + 3)]


def test_a_scope_is_bounded_and_keeps_what_was_timed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PROBLEMS", 3)
    path = tmp_path / "timing.json"
    for n in (1, 2, 3, 1, 4):
        learn(path, n)
    assert [bool(cache(path).known(problem(n))) for n in (1, 2, 3, 4)] == [True, False, True, True]


@pytest.mark.parametrize("text", [
    "{ damaged", "[]", '{"format": 2}', '{"format": 2, "scopes": {"a": 1}}', "[" * 100_000, "\ud800".encode(
        "utf-8", "surrogatepass"), '{"format": 2, "scopes": {"a": {"saved": 0, "problems": {"k": {"t": NaN}}}}}'])
def test_a_damaged_file_is_noted_and_replaced(tmp_path: Path, text: str | bytes,
                                              caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "timing.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with caplog.at_level(logging.WARNING, "tensorwright"):
        learn(path, 1)
    assert "cannot be read" in caplog.text and str(path) in caplog.text
    assert cache(path).known(problem(1)) == {"tactic": 1.0}


def test_another_format_is_replaced_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "timing.json"
    path.write_text('{"format": 1, "scopes": {}}')
    learn(path, 1)
    assert caplog.text == "" and cache(path).known(problem(1))


def test_a_build_that_writes_forever_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    path = tmp_path / "timing.json"
    with open(tmp_path / "timing.json.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        learn(path, 1)
    assert cache(path).known(problem(1))
