"""What LLVM calls this machine: remembered, asked again when it may have changed, and not needed to run a plan."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

import tensorwright
from tensorwright.device import host


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Times that LLVM was asked; a cache folder of the test's own."""
    times, ask = [], host._ask_llvm
    monkeypatch.setenv("TENSORWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(host, "_ask_llvm", lambda: times.append(1) or ask())
    yield times
    host.known.cache_clear()


def again() -> host.Host:
    host.known.cache_clear()
    return host.known()


def test_is_remembered_until_the_machine_changes(asked, tmp_path, monkeypatch):
    first = again()
    assert first == again() == host._ask_llvm() and len(asked) == 2
    kept = json.loads((tmp_path / "host.json").read_text())
    monkeypatch.setattr(host, "_identity", lambda: "another machine")
    assert again() == first and len(asked) == 3
    assert json.loads((tmp_path / "host.json").read_text()) == {**kept, "identity": "another machine"}
    monkeypatch.setattr(host, "_identity", lambda: "")
    assert again() == first == again() and len(asked) == 5


@pytest.mark.parametrize("content", ["", "[]", "{", '{"identity": 3}', '{"identity": "ID", "triple": "t"}',
                                     '{"identity": "ID", "triple": "t", "name": "n", "features": {"avx": 1}}'])
def test_what_is_not_ours_is_not_believed(asked, tmp_path, monkeypatch, content):
    monkeypatch.setattr(host, "_identity", lambda: "ID")
    (tmp_path / "host.json").write_text(content)
    assert again() == host._ask_llvm() and len(asked) == 2


def test_where_nothing_can_be_kept(asked, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TENSORWRIGHT_CACHE", str(tmp_path / "file"))
    assert again() == again() and len(asked) == 2


def test_identities_differ_where_the_processor_does():
    assert host._identity() == host._identity() != ""


def test_a_plan_runs_without_llvm(tmp_path, monkeypatch):
    h = onnx.helper
    graph = h.make_graph([h.make_node("Gemm", ["x", "w"], ["y"])], "g",
                         [h.make_tensor_value_info("x", 1, [5, 40])], [h.make_tensor_value_info("y", 1, [5, 30])],
                         [onnx.numpy_helper.from_array(np.ones((40, 30), np.float32), "w")])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    tensorwright.build(model).save(tmp_path / "model.plan")
    code = ("import sys, numpy, tensorwright\n"
            f"engine = tensorwright.load({str(tmp_path / 'model.plan')!r}, strict=True)\n"
            "y = engine(numpy.full((5, 40), 0.5, numpy.float32))\n"
            "assert (y == 20).all(), y\n"
            "assert not any(m.split('.')[0] == 'llvmlite' for m in sys.modules)")
    host.known()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
