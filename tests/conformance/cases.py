"""ONNX's own test cases: a model, inputs, and the outputs the standard says it has."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

#: Domains outside of inference in the standard domain; their cases are not ours.
EXCLUDED = ("ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "ai.onnx.training")
KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")


@dataclass(frozen=True, eq=False)
class Case:
    """One test case. data_sets: (inputs, expected outputs) in the order of the graph's inputs and outputs."""

    name: str
    kind: str
    model: onnx.ModelProto
    data_sets: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    folder: Path | None
    rtol: float
    atol: float

    def check(self, run: Callable[[onnx.ModelProto, list[Any]], Sequence[Any]]) -> None:
        """Raises AssertionError unless run(model, inputs) gives the expected outputs."""
        for inputs, expected in self.data_sets:
            assert_alike(list(run(self.model, list(inputs))), list(expected), self.rtol, self.atol)


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """All cases, sorted by name within their kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(case for kind in KINDS for case in _cases(kind))


def _cases(kind: str) -> Iterator[Case]:
    for test in sorted(load_model_tests(kind=kind), key=lambda t: t.name):
        folder = None if test.model_dir is None else Path(test.model_dir)
        model = test.model if test.model is not None else onnx.load(folder / "model.onnx")
        if any(o.domain in EXCLUDED for o in model.opset_import):
            continue
        sets = [tuple([_value(x) for x in side] for side in pair) for pair in test.data_sets] if test.data_sets else \
            [_stored(model, data) for data in sorted(folder.glob("test_data_set_*"))]
        yield Case(test.name, kind, model, sets, folder, test.rtol, test.atol)


def _value(x: Any) -> Any:
    return onnx.numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else x


def _stored(model: onnx.ModelProto, folder: Path) -> tuple[list[Any], list[Any]]:
    inputs = [_read(folder / f"input_{i}.pb", model.graph.input[i].type)
              for i in range(len(list(folder.glob("input_*.pb"))))]
    return inputs, [_read(folder / f"output_{i}.pb", o.type) for i, o in enumerate(model.graph.output)]


def _read(path: Path, t: onnx.TypeProto) -> Any:
    data, kind = path.read_bytes(), t.WhichOneof("value")
    if kind == "sequence_type":
        return onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind == "optional_type":
        return onnx.numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(data))


def assert_alike(found: list[Any], expected: list[Any], rtol: float, atol: float) -> None:
    """Same number, structure, element types and shapes; values within the tolerance."""
    assert len(found) == len(expected), f"{len(found)} outputs, {len(expected)} expected"
    for i, (y, e) in enumerate(zip(found, expected, strict=True)):
        if isinstance(e, (list, tuple)):
            assert isinstance(y, (list, tuple)), f"output {i} is {type(y).__name__}, a sequence is expected"
            assert_alike(list(y), list(e), rtol, atol)
            continue
        if e is None:
            assert y is None, f"output {i} is not empty"
            continue
        y, e = np.asarray(y), np.asarray(e)
        assert y.shape == e.shape, f"output {i} has shape {y.shape}, expected {e.shape}"
        if e.dtype.kind in "OUST":
            np.testing.assert_array_equal(y.astype(object), e.astype(object))
            continue
        assert y.dtype == e.dtype, f"output {i} is {y.dtype}, expected {e.dtype}"
        if e.dtype.kind in "iub":
            np.testing.assert_array_equal(y, e) if rtol <= 1e-3 and atol <= 1e-3 else \
                np.testing.assert_allclose(y.astype(float), e.astype(float), rtol, atol)
        else:
            narrow = e.dtype.name == "bfloat16" or e.dtype.kind == "V"
            wide = np.float32 if narrow or e.dtype.itemsize < 4 else e.dtype
            np.testing.assert_allclose(y.astype(wide), e.astype(wide), max(rtol, 2**-6) if narrow else rtol, atol)
