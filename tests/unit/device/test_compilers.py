"""Compiling in processes: the same code as here, whatever happens to a worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tensorwright.device import compilers, cpu
from tensorwright.device.compilers import Compilers
from tensorwright.errors import DeviceError

#: LLVM ends the process over assembly that it cannot read.
CRASH = 'define void @f() {\n  call void asm sideeffect "no such instruction", ""()\n  ret void\n}'


def kernel(k: int) -> str:
    return f"define i64 @f() {{\n  ret i64 {k}\n}}"


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers for the smallest kernels."""
    monkeypatch.setattr(compilers, "WORTH", 1)


def test_the_same_code_in_the_same_order() -> None:
    texts = [kernel(k) for k in range(7)]
    with Compilers(2) as team:
        got = team.compile(texts, cpu.describe())
        processes = [w.process for w in team.workers]
        assert len(processes) == 2 and team.compile(texts[:2], cpu.describe()) == got[:2]
    assert got == [cpu.compile(t, cpu.describe()) for t in texts]
    assert all(p.poll() is not None for p in processes)


def test_little_work_starts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers, "WORTH", 1 << 20)
    with Compilers(2) as team:
        assert all(isinstance(c, bytes) for c in team.compile([kernel(0), kernel(1)], cpu.describe()))
        assert not team.workers


def test_a_refusal_is_that_kernels_alone() -> None:
    with Compilers(2) as team:
        good, bad, crash, also = team.compile([kernel(1), "define nonsense", CRASH, kernel(2)], cpu.describe())
    assert isinstance(good, bytes) and isinstance(also, bytes)
    assert isinstance(bad, DeviceError) and "expected" in bad.what and bad.try_
    assert isinstance(crash, DeviceError) and "crashed" in crash.what


def test_a_killed_worker_is_replaced() -> None:
    with Compilers(1) as team:
        team.compile([kernel(0), kernel(1)], cpu.describe())
        team.workers[0].process.kill()
        assert all(isinstance(c, bytes) for c in team.compile([kernel(2), kernel(3)], cpu.describe()))


@pytest.mark.parametrize("executable", ["", "/no/such/python", "/bin/false/python", "/usr/sbin/uwsgi"])
def test_without_workers_this_process_compiles(monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with Compilers(2) as team:
        assert all(isinstance(c, bytes) for c in team.compile([kernel(0), kernel(1)], cpu.describe()))
        assert not team.workers


def test_workers_that_die_at_birth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    liar = tmp_path / "python"
    liar.write_text("#!/bin/sh\nexit 1\n")
    liar.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(liar))
    with Compilers(2) as team:
        assert all(isinstance(c, bytes) for c in team.compile([kernel(0), kernel(1)], cpu.describe()))


def test_a_kernel_that_takes_forever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers, "PATIENCE", 0.0)
    with Compilers(1) as team:
        for worker in team.workers:
            assert worker.process.poll() is None
        found = team.compile([kernel(0), kernel(1)], cpu.describe())
    assert len(found) == 2                                              # here or as an error, but never waiting


def test_workers_import_llvmlite_alone() -> None:
    code = (Path(compilers.__file__).parent / "codegen.py").read_text()
    assert "from ." not in code
    probe = "import sys, runpy; sys.argv[1:] = [sys.argv[1]]; import llvmlite.binding; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe, "x"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
