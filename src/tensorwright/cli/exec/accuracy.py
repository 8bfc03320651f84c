"""Outputs compared with references from files: --loadRefOutputs and its kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError, VerificationError
from ...trt import ICudaEngine, TensorIOMode
from ..console import UsageError
from .data import Stream, dtype_of, loaded, tensors

if TYPE_CHECKING:
    from .flags import Asked
    from .log import Log

#: Thresholds where --accuracyThreshold gives none: no element outside its tolerance, or this much of an error.
THRESHOLDS = {"l0": 0.0, "l1": 1e-5, "l2": 1e-5, "lInf": 1e-5, "cos": 1e-5}


def distance(algorithm: str, got: np.ndarray, expected: np.ndarray, atol: float, rtol: float) -> float:
    """l0: share of the elements further than atol + rtol·|expected| from what is expected. l1, l2, lInf: mean, root of
    the mean square, and maximum of |difference|. cos: 1 − the cosine of the angle between both. Infinite when one has
    NaN or infinity where the other has not."""
    a, b = got.astype(np.float64).reshape(-1), expected.astype(np.float64).reshape(-1)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.all(same | finite):
        return float("inf")
    if not a.size:
        return 0.0
    difference = np.where(same, 0.0, np.abs(np.where(finite, a, 0.0) - np.where(finite, b, 0.0)))
    if algorithm == "l0":
        return float(np.mean(difference > atol + rtol * np.abs(np.where(finite, b, 0.0))))
    if algorithm == "cos":
        a, b = np.where(finite, a, 0.0), np.where(finite, b, 0.0)
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        return 1 - float(a @ b) / lengths if lengths else float(np.any(a != b))
    norms = {"l1": np.mean(difference), "l2": np.sqrt(np.mean(difference**2)), "lInf": difference.max()}
    return float(norms[algorithm])


def pairs(asked: Asked) -> list[tuple[dict[str, str], dict[str, str]]]:
    """(files of inputs, files of references) of each --refPair=N, in order; without one, of the command line."""
    found: dict[int, tuple[dict[str, str], dict[str, str]]] = {}
    current = 0
    for given in asked.given:
        if given.flag.name == "refPair":
            current = given.value
        elif given.flag.name in ("loadInputs", "loadRefOutputs"):
            inputs, references = found.setdefault(current, ({}, {}))
            (inputs if given.flag.name == "loadInputs" else references).update(given.value)
    return [pair for _, pair in sorted(found.items()) if pair[1]]


def check_accuracy(engine: ICudaEngine, stream: Stream, inputs: Mapping[str, np.ndarray], asked: Asked,
                   log: Log) -> None:
    """VerificationError when an output is further from its reference than allowed."""
    groups = pairs(asked)
    if not groups:
        if used := [g.spelling for g in asked.given if g.flag.section == "Accuracy"]:
            raise UsageError(f"{used[0]} compares with references: give them with --loadRefOutputs")
        return
    algorithm = asked["accuracyAlgorithm"]
    limit = THRESHOLDS[algorithm] if asked["accuracyThreshold"] is None else asked["accuracyThreshold"]
    names, failed = tensors(engine, TensorIOMode.OUTPUT), list[str]()
    usual = {name: array.copy() for name, array in inputs.items()}
    for number, (given, references) in enumerate(groups):
        for name in given:
            if name not in inputs:
                raise InputError(f"--loadInputs: the engine has no input {name!r}", inputs=", ".join(inputs))
        for name, array in inputs.items():
            array[...] = loaded(name, given[name], array.shape, array.dtype) if name in given else usual[name]
        stream.query()
        outputs = stream.outputs()
        for name, file in references.items():
            if name not in names:
                raise InputError(f"--loadRefOutputs: the engine has no output {name!r}", outputs=", ".join(names))
            expected = loaded(name, file, outputs[name].shape, dtype_of(engine, name))
            error = distance(algorithm, outputs[name], expected, asked["atol"], asked["rtol"])
            verdict = "PASSED" if error <= limit else "FAILED"
            log.info(f"Accuracy of {name} (pair {number}): {algorithm} = {error:.6g}, threshold = {limit:g}: {verdict}")
            if error > limit:
                failed.append(f"{name} of pair {number}: {algorithm} is {error:.6g}")
    for name, array in inputs.items():
        array[...] = usual[name]
    if failed:
        raise VerificationError(f"{len(failed)} outputs differ from their references by more than {limit:g}: "
                                f"{'; '.join(failed)}", try_="allow more with --accuracyThreshold, --atol or --rtol")
