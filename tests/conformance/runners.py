"""Two ways to run a case: the network's NumPy meaning, and the compiled engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx

from tensorwright import importer, ir
from tensorwright.ops.evaluate import evaluate

from .cases import Case
from .expectations import is_random, same_kind

Seen = Callable[[ir.Network], None]


def by_reference(case: Case, seen: Seen = lambda network: None) -> None:
    """Import and evaluate layer by layer. seen: called with the imported network."""
    def run(model: onnx.ModelProto, inputs: list[Any]) -> list[Any]:
        network = importer.load(model, base_dir=case.folder)
        seen(network)
        found = evaluate(network, dict(zip(network.inputs, inputs, strict=True)))
        return [found[name] for name in network.outputs]
    judge(case, run)


def by_engine(case: Case) -> None:
    """Compile through the ONNX backend interface, untuned, and run on one thread."""
    from tensorwright import onnx_backend

    def run(model: onnx.ModelProto, inputs: list[Any]) -> list[Any]:
        return list(onnx_backend.run_model(model, inputs, threads=1, tune_budget=0, verify=False, timing_cache=False))
    judge(case, run)


def judge(case: Case, run: Callable[[onnx.ModelProto, list[Any]], list[Any]]) -> None:
    """AssertionError unless the outputs are the expected ones, or alike in kind where they are random."""
    if not is_random(case):
        return case.check(run)
    for inputs, expected in case.data_sets:
        same_kind(run(case.model, list(inputs)), list(expected))
