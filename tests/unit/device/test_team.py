"""Tables run by teams: every chunk once, in order between barriers, alone, together, busy, forked, asleep."""

from __future__ import annotations

import ctypes
import os
import threading
import time

import numpy as np
import pytest

from tensorwright.device import cpu, driver
from tensorwright.device import team as team_module
from tensorwright.device.program import Call, Table
from tensorwright.device.team import Team, team
from tensorwright.errors import DeviceError
from tensorwright.kernels.llvm import arg, entry, module
from tensorwright.targets import CpuSpec


def _kernels() -> str:
    add = entry("add_one")                     # y[i] = x[i] + 1 for i in begin..end; x and y are i64
    x, y = arg(add, 0), arg(add, 1)
    with add.loop("i", add.begin, add.end) as i:
        at = add.op("mul", "i64", i, "8")
        add.store("i64", add.add(add.load("i64", add.at(x, at)), 1), add.at(y, at))
    turn = entry("reverse")                    # y[i] = x[dims[0] - 1 - i] + 1: reads what other threads wrote
    x, y, n = arg(turn, 0), arg(turn, 1), turn.load("i64", "%dims")
    with turn.loop("i", turn.begin, turn.end) as i:
        there = turn.op("mul", "i64", turn.sub(turn.sub(n, 1), i), "8")
        here = turn.op("mul", "i64", i, "8")
        turn.store("i64", turn.add(turn.load("i64", turn.at(x, there)), 1), turn.at(y, here))
    who = entry("who")                         # y[i] = begin
    y = arg(who, 0)
    with who.loop("i", who.begin, who.end) as i:
        who.store("i64", "%begin", who.at(y, who.op("mul", "i64", i, "8")))
    return module(add, turn, who)


@pytest.fixture(scope="module")
def code() -> cpu.Library:
    return cpu.load([cpu.compile(_kernels(), cpu.describe())])


def chain(code, n: int, steps: int, threads: int, kernel: str = "reverse", serial: bool = False,
          seconds: float = 0.0):
    """x → ... → y through `steps` launches between two arrays that swap roles."""
    a, b = np.arange(n, dtype=np.int64), np.zeros(n, np.int64)
    calls, at = [], (a, b)
    for k in range(steps):
        calls.append(Call((code.address(kernel),), (n,), (at[0].ctypes.data, at[1].ctypes.data), (n,),
                          serial=serial and k % 3 == 0, seconds=seconds * (k % 5)))
        at = at[::-1]
    return Table(calls, threads), at[0], (a, b)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize("seconds", [0.0, 0.5e-3, 1.0])
def test_steps_see_each_others_results(code, threads, n, serial, seconds):
    steps = 40
    table, y, keep = chain(code, n, steps, threads, serial=serial, seconds=seconds)
    table.run()
    np.testing.assert_array_equal(y, np.arange(n) + steps)
    table.run()                                 # even number of steps: the result is the next input
    np.testing.assert_array_equal(y, np.arange(n) + 2 * steps)
    assert keep is not None


def test_work_is_split_evenly_and_serial_steps_are_not(code):
    y, z = np.full(10, -1, np.int64), np.full(10, -1, np.int64)
    who = code.address("who")
    Table([Call((who,), (10,), (y.ctypes.data,)), Call((who,), (10,), (z.ctypes.data,), serial=True)], 3).run()
    np.testing.assert_array_equal(y, [0, 0, 0, 3, 3, 3, 6, 6, 6, 6])
    np.testing.assert_array_equal(z, 0)


def test_long_work_falls_into_pieces(code):
    y, who = np.full(24, -1, np.int64), code.address("who")
    for seconds, starts in ((0.0, [0, 12]), (0.25e-3, [0, 6, 12, 18]), (1.0, [*range(0, 24, 3)])):
        Table([Call((who,), (24,), (y.ctypes.data,), seconds=seconds)], 2).run()
        assert sorted(set(y.tolist())) == starts
    Table([Call((who,), (3,), (y.ctypes.data,), seconds=1.0)], 2).run()         # nothing to split further
    assert y[:3].tolist() == [0, 1, 1]


def test_threads_that_hold_pieces_are_helped(code):
    """One thread's chunks take long: the other takes over the pieces that it did not begin yet."""
    f = entry("lopsided")                       # y[i] = thread; the first half of 64 chunks takes 50 times as long
    y = arg(f, 0)
    with f.loop("i", f.begin, f.end) as i:
        turns = f.set(f"select i1 {f.set(f'icmp slt i64 {i}, 32')}, i64 200000, i64 4000")
        with f.loop("w", 0, turns):
            f.store("i64", "%thread", f.at(y, f.op("mul", "i64", i, "8")))
    library = cpu.load([cpu.compile(module(f), cpu.describe())])
    y_ = np.full(64, -1, np.int64)
    table = Table([Call((library.address("lopsided"),), (64,), (y_.ctypes.data,), seconds=1.0)], 2)
    helped = 0
    for _ in range(20):
        table.run()
        helped += len(set(y_[:32].tolist())) == 2
    assert set(y_.tolist()) <= {0, 1} and helped > 0


@pytest.mark.parametrize("runs", [1 << 34, 1 << 44, (1 << 47) - 3])
def test_after_very_many_runs(code, runs):
    """Numbers of runs that no longer fit into the words they are a part of."""
    mine = Team(1)
    mine.memory[:8] = (runs << 17).to_bytes(8, "little")
    mine.grow(2)
    table, y, _keep = chain(code, 300, 10, 2, seconds=1.0)
    for turn in range(1, 10):
        mine.run(table.address, table.count, 2, table.groups_address, table.group_count)
        assert (y == np.arange(300) + 10 * turn).all()
    mine.shutdown()


def test_several_phases_per_call(code):
    n = 64
    a, b = np.arange(n, dtype=np.int64), np.zeros(n, np.int64)
    call = Call((code.address("add_one"), code.address("reverse")), (n, n), (a.ctypes.data, b.ctypes.data), (n,))
    table = Table([call, call], 2)
    table.run()
    np.testing.assert_array_equal(b, np.arange(n)[::-1] + 1)
    assert table.ends == [2, 4]


def test_time_gives_seconds_per_call(code):
    table, y, keep = chain(code, 200_000, 6, 2)
    seconds = table.time()
    assert seconds.shape == (6,) and (seconds > 1e-6).all() and seconds.sum() < 5
    np.testing.assert_array_equal(y, np.arange(200_000) + 6)
    alone, y, keep = chain(code, 1000, 4, 1)
    assert (alone.time() > 0).all() and keep is not None


def test_runs_do_not_wait_for_threads_that_are_not_there(code):
    """A team that believes to have a worker which never comes: the caller does all parts, quickly."""
    mine = Team(1)
    mine.workers.append(threading.Thread(target=lambda: None))
    table, y, _keep = chain(code, 100, 50, 2, seconds=0.3e-3)
    begin = time.perf_counter()
    for turn in range(1, 101):
        mine.run(table.address, table.count, 2, table.groups_address, table.group_count)
        assert (y == np.arange(100) + 50 * turn).all()
    assert time.perf_counter() - begin < 2


def test_thread_numbers_are_of_the_team(code):
    """Whoever does a part, its thread number picks a workspace slice that nobody else uses at that time."""
    f = entry("slices")                         # per chunk: slice[thread] += 1, unless another uses the slice: fail
    busy, failed = arg(f, 0), arg(f, 1)
    mine = f.at(busy, f.op("mul", "i64", "%thread", "64"))
    with f.loop("i", f.begin, f.end):
        before = f.set(f"atomicrmw add ptr {mine}, i64 1 seq_cst")
        with f.when(f.set(f"icmp ne i64 {before}, 0")):
            f.store("i64", "1", failed)
        with f.loop("w", 0, 200) as w:
            f.store("i64", w, f.at(failed, 8))
        f.emit(f"atomicrmw sub ptr {mine}, i64 1 seq_cst")
    library = cpu.load([cpu.compile(module(f), cpu.describe())])
    slices, wrong = np.zeros((4, 8), np.int64), np.zeros(2, np.int64)
    table = Table([Call((library.address("slices"),), (40,), (slices.ctypes.data, wrong.ctypes.data))] * 20, 4)
    for _ in range(50):
        table.run()
    assert wrong[0] == 0 and not slices.any()


def test_empty_table():
    table = Table([], 4)
    table.run()
    assert table.time().shape == (0,)


def test_absurd_chunks_are_refused(code):
    with pytest.raises(DeviceError, match="chunks"):
        Table([Call((code.address("who"),), (1 << 60,), (0,))])
    with pytest.raises(DeviceError, match="chunks"):
        Table([Call((code.address("who"),), (-1,), (0,))])


def test_two_callers_at_once_both_get_right_answers(code):
    wrong: list[str] = []

    def work(seed: int) -> None:
        table, y, _keep = chain(code, 500 + seed, 20, 2, seconds=seed * 1e-3)
        for turn in range(1, 301):
            table.run()
            if not (y == np.arange(500 + seed) + 20 * turn).all():
                wrong.append(f"caller {seed}, turn {turn}")
                return

    callers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in callers:
        t.start()
    for t in callers:
        t.join(60)
    assert not wrong and not any(t.is_alive() for t in callers)


def test_changing_team_sizes(code):
    """Workers that do not take part must not disturb runs they are not in, and must not miss their own."""
    rng = np.random.default_rng(0)
    tables = {t: chain(code, 300, 10, t, seconds=1e-3) for t in (1, 2, 3, 4)}
    counts = dict.fromkeys(tables, 0)
    for t in rng.integers(1, 5, 2000).tolist():
        tables[t][0].run()
        counts[t] += 1
    for t, (_table, y, _keep) in tables.items():
        np.testing.assert_array_equal(y, np.arange(300) + 10 * counts[t])


def test_wakes_sleeping_workers(code):
    mine = Team(3, spin_microseconds=0)
    table, y, _keep = chain(code, 300, 10, 3)
    for turn in range(1, 200):
        mine.run(table.address, table.count, 3)
        assert (y == np.arange(300) + 10 * turn).all()
        if turn % 10 == 0:
            time.sleep(0.002)
    mine.shutdown()
    assert not mine.workers


def test_idle_workers_use_no_processor(code):
    mine = Team(3)
    table, _, _keep = chain(code, 300, 10, 3)
    mine.run(table.address, table.count, 3)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.05
    mine.shutdown()


def test_after_shutdown_callers_work_alone(code):
    mine = Team(2)
    mine.shutdown()
    mine.shutdown()
    table, y, _keep = chain(code, 100, 4, 2)
    mine.run(table.address, table.count, 2)
    np.testing.assert_array_equal(y, np.arange(100) + 4)


def test_a_busy_team_is_not_waited_for(code):
    mine = team(2)
    table, y, _keep = chain(code, 100, 4, 2)
    with mine.busy:
        table.run()
    np.testing.assert_array_equal(y, np.arange(100) + 4)


def test_too_many_threads():
    with pytest.raises(DeviceError, match="1024"):
        team(100_000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_makes_its_own_team(code):
    table, y, _keep = chain(code, 1000, 10, 2)
    table.run()
    child = os.fork()
    if child == 0:
        table.run()
        os._exit(0 if (y == np.arange(1000) + 20).all() and team(2).size >= 2 else 1)
    for _ in range(1000):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0
    table.run()
    np.testing.assert_array_equal(y, np.arange(1000) + 20)


def test_threads_setting(monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_THREADS", "3")
    assert team_module.default_threads() == 3
    monkeypatch.setenv("TENSORWRIGHT_THREADS", "0")
    assert team_module.default_threads() == cpu.usable_cores()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot bind threads")
def test_affinity_binds_the_workers_only(code, monkeypatch):
    mine = sorted(os.sched_getaffinity(0))
    monkeypatch.setenv("TENSORWRIGHT_AFFINITY", f"{mine[0]},{mine[-1]}")
    squad = Team(4)
    table, y, _keep = chain(code, 300, 10, 4)
    squad.run(table.address, table.count, 4)
    np.testing.assert_array_equal(y, np.arange(300) + 10)
    bound = [os.sched_getaffinity(worker.native_id) for worker in squad.workers]
    assert bound == [{mine[-1]}, {mine[0]}, {mine[-1]}] and sorted(os.sched_getaffinity(0)) == mine
    squad.shutdown()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_workers_leave_the_core_of_the_caller():
    """A thread that stands where the caller was last seen moves, and may go anywhere afterwards; others stay."""
    mine, here = Team(1), ctypes.CDLL(None).sched_getcpu
    settle = driver.function("tw_settle", ctypes.c_void_p, ctypes.c_int64)
    found: list[tuple[bool, bool, bool]] = []

    def stand(caller_elsewhere: bool, bound: bool) -> None:
        everywhere = sorted(os.sched_getaffinity(0))
        core, other = everywhere[:2]
        os.sched_setaffinity(0, {core})                    # there we are; where else we may go is told next
        allowed = {core} if bound else set(everywhere)
        os.sched_setaffinity(0, allowed)
        home = other if caller_elsewhere else here()
        mine.memory[168:176] = home.to_bytes(8, "little")
        settle(mine.address, 1)
        found.append((here() == home, os.sched_getaffinity(0) == allowed, caller_elsewhere or bound))

    for arguments in [(False, False)] * 5 + [(True, True)] * 2 + [(False, True)] * 2:
        thread = threading.Thread(target=stand, args=arguments)
        thread.start()
        thread.join()
    assert all(kept for _, kept, _ in found)
    assert sum(same for same, _, stays in found if not stays) <= 1       # the system may bring one back at once
    assert [same for same, _, stays in found if stays] == [False] * 2 + [True] * 2
    mine.memory[168:176] = bytes([255] * 8)
    settle(mine.address, 0)                                              # a caller tells where it is
    assert int.from_bytes(mine.memory[168:176], "little") in os.sched_getaffinity(0)
    mine.shutdown()


def test_driver_compiles_for_every_platform():
    for triple, linux in (("aarch64-unknown-linux-gnu", True), ("aarch64-apple-darwin", False),
                          ("x86_64-unknown-linux-gnu", True), ("x86_64-apple-darwin", False)):
        assert cpu.compile(driver.text(triple, linux), CpuSpec("generic", "", triple, 128, 32, True))
