"""Saving and loading engines: operators of host steps, machine code under the machine's key, the way to a rebuild."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tensorwright.device import cpu, driver
from tensorwright.dtypes import DType
from tensorwright.errors import PlanError
from tensorwright.ops import CumSum, Slice
from tensorwright.plan import why_rebuild
from tensorwright.plan.records import HostStep, Kernel
from tensorwright.runtime import Engine, store

from .programs import N, Reverse, chain, chain_reference, hosted, with_program


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_HOME", str(tmp_path / "home"))


def with_real_operators():
    """t = 2·x; r = t reversed (a symbolic slice on the host); y = 2·r; found = running sum of x."""
    plan = hosted()
    first, turn, again, where = plan.programs[0].steps
    turn = replace(turn, op=Slice((N - 1,), (N,), (-1,)))
    where = replace(where, op=CumSum(0, False, False))
    info = replace(plan.programs[0].outputs[1], dtype=DType.float32)
    return with_program(plan, steps=(first, turn, again, where), outputs=(plan.programs[0].outputs[0], info))


def test_host_operators_come_back(tmp_path):
    engine = Engine(with_real_operators())
    engine.save(tmp_path / "e.plan")
    plan = store.load(tmp_path / "e.plan", strict=True)
    assert plan.programs == engine.plan.programs and why_rebuild(plan, cpu.describe()) is None
    for n in (1, 5, 900):
        x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
        for e in (engine, Engine(plan)):
            y, sums = e(x)
            np.testing.assert_array_equal(y, 4 * x[::-1])
            np.testing.assert_allclose(sums, np.cumsum(x), rtol=1e-5, atol=1e-5)


def test_operators_that_have_no_place_in_a_plan(tmp_path):
    steps = tuple(replace(s, op=Reverse(2)) if isinstance(s, HostStep) else s for s in hosted().programs[0].steps)
    store.save(with_program(hosted(), steps=steps), tmp_path / "odd.plan")
    with pytest.raises(PlanError, match="not a record of a known class"):
        store.load(tmp_path / "odd.plan")


def test_plans_of_strangers_need_a_rebuild(tmp_path, monkeypatch):
    Engine(chain()).save(tmp_path / "mine.plan")
    x = np.ones(9, np.float32)
    np.testing.assert_array_equal(Engine(store.load(tmp_path / "mine.plan"))(x), chain_reference(x))
    monkeypatch.setenv("TENSORWRIGHT_HOME", str(tmp_path / "elsewhere"))
    plan = store.load(tmp_path / "mine.plan")
    assert "does not trust" in str(why_rebuild(plan, cpu.describe()))
    with pytest.raises(PlanError, match="does not trust"):
        Engine(plan)
    with pytest.raises(PlanError, match="does not trust"):
        store.load(tmp_path / "mine.plan", strict=True)
    key = (tmp_path / "home" / "machine.key").read_bytes()
    np.testing.assert_array_equal(Engine(store.load(tmp_path / "mine.plan", trust=[key]))(x), chain_reference(x))


def test_lower_isa_is_another_machine(tmp_path, monkeypatch):
    Engine(chain()).save(tmp_path / "e.plan")
    monkeypatch.setenv("TENSORWRIGHT_CPU", "baseline")
    with pytest.raises(PlanError, match="vector bits"):
        store.load(tmp_path / "e.plan", strict=True)
    with pytest.raises(PlanError, match="compiled for"):
        Engine(store.load(tmp_path / "e.plan"))


def test_constants_of_a_file_are_used_in_place(tmp_path):
    Engine(chain()).save(tmp_path / "e.plan")
    plan = store.load(tmp_path / "e.plan")
    exe = Engine(plan)._executables[0]
    assert exe.constants[3] is plan.weights["packed/bias"] and exe.constant_addresses[3] % 64 == 0


def test_a_new_process_compiles_nothing(tmp_path):
    """The driver comes with the plan, for this version; any other is not used."""
    plan = chain()
    program = replace(plan.programs[0], driver=Kernel(driver.identity(), (), driver.code()))
    Engine(replace(plan, programs=(program,))).save(tmp_path / "e.plan")
    old = replace(program, driver=Kernel("driver/old", (), b"x"))
    store.save(replace(plan, programs=(old,)), tmp_path / "old.plan")
    script = """
import sys
sys.path[:0] = [{src!r}]
import numpy as np
from tensorwright.device import cpu
from tensorwright.runtime import Engine, store
asked = []
real = cpu.compile
cpu.compile = lambda *a: asked.append(a) or real(*a)
y = Engine(store.load(sys.argv[1]), 2)(np.ones(900, np.float32))
print(len(asked), float(y.sum()))
"""
    source = str(Path(store.__file__).parents[2])
    expected = float(chain_reference(np.ones(900, np.float32)).sum())
    for name, compiled in (("e.plan", 0), ("old.plan", 1)):
        done = subprocess.run([sys.executable, "-c", script.format(src=source), str(tmp_path / name)], timeout=60,
                              capture_output=True, text=True)
        assert done.stdout.split() == [str(compiled), str(expected)], done.stderr[-2000:]
