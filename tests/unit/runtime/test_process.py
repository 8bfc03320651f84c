"""Engines and the life of a process: exit, fork, many contexts, threads that never stop."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tensorwright.device.team import team
from tensorwright.runtime import Engine

from .programs import chain, chain_reference

ROOT = Path(__file__).parents[3]
START = """
import sys, threading, time, os
sys.path[:0] = [{src!r}, {unit!r}]
import numpy as np
from runtime.programs import chain, chain_reference
from tensorwright.runtime import Engine
engine, x = Engine(chain(2), 2), np.ones(500, np.float32)
assert np.array_equal(engine(x), chain_reference(x))
"""


def run_script(body: str) -> subprocess.CompletedProcess[str]:
    start = START.format(src=str(ROOT / "src"), unit=str(ROOT / "tests" / "unit"))
    return subprocess.run([sys.executable, "-X", "faulthandler", "-c", start + textwrap.dedent(body)], timeout=60,
                          capture_output=True, text=True)


@pytest.mark.parametrize("body, status", [
    ("", 0),
    ("sys.exit(3)", 3),
    ("import atexit; atexit.register(lambda: print(engine(x)[0]))", 0),
    ("def forever():\n    while True: engine(x)\n"
     "for _ in range(2): threading.Thread(target=forever, daemon=True).start()\ntime.sleep(0.1)", 0),
    ("t = threading.Thread(target=lambda: [engine(x) for _ in range(2000)])\nt.start()", 0),
    ("raise SystemExit(threading.active_count() - 2)", 0),
    ("del engine; import gc; gc.collect()", 0)])
def test_processes_end(body, status):
    done = run_script(body)
    assert done.returncode == status, done.stderr[-2000:]
    assert "Error" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_run_engines():
    done = run_script("""
        import multiprocessing, warnings
        warnings.simplefilter("ignore")
        def child(n):
            y = np.full(n, n, np.float32)
            return all(np.array_equal(engine(y), chain_reference(y)) for _ in range(50))
        stop = threading.Event()
        busy = threading.Thread(target=lambda: [engine(x) for _ in iter(stop.is_set, True)])
        busy.start()                                            # the team is at work while the process forks
        with multiprocessing.get_context("fork").Pool(3) as pool:
            results = pool.map(child, [5, 50, 500, 1000] * 3)
        stop.set()
        assert all(results) and np.array_equal(engine(x), chain_reference(x))
    """)
    assert done.returncode == 0, done.stderr[-2000:]


def test_soak():
    """Engines made, run from several threads with changing sizes, and dropped: right answers, no growth."""
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    wrong: list[int] = []

    def work(seed: int, rounds: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(rounds):
            engine = Engine(chain(2), 2)
            contexts = [engine.context() for _ in range(2)]
            for _ in range(20):
                x = rng.standard_normal(int(rng.integers(1, 1000))).astype(np.float32)
                results = [engine(x), *(c.run([x])["y"] for c in contexts)]
                if not all(np.array_equal(r, chain_reference(x)) for r in results):
                    wrong.append(seed)

    def rounds(n: int) -> None:
        threads = [threading.Thread(target=work, args=(s, n)) for s in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)

    rounds(3)
    before, threads_before = resident(), threading.active_count()
    rounds(8)
    assert not wrong and threading.active_count() == threads_before
    assert resident() - before < 40 << 20


def test_a_team_that_is_too_large_for_the_machine():
    """More threads than cores: slower, but right."""
    cores = os.cpu_count() or 1
    engine = Engine(chain(4 * cores), 4 * cores)
    begin = time.perf_counter()
    for n in (1000, 3, 999):
        x = np.arange(n, dtype=np.float32)
        for _ in range(20):
            np.testing.assert_array_equal(engine(x), chain_reference(x))
    assert time.perf_counter() - begin < 30 and team().size >= 4 * cores
