"""Ranges for 8-bit integers: batches pulled from a calibrator, run in float32, every tensor observed; the cache's text.

This version computes nothing in 8 bits. The ranges travel in the plan's metadata, under RANGES, as JSON: {tensor: [low,
high]}.
"""

from __future__ import annotations

import inspect
import json
import math
import struct
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..builder.ranges import Histogram, entropy, largest, percentile
from ..cuda.memory import host
from ..dims import evaluate
from ..errors import BuildError, InputError
from ..ir import Network, TensorType
from ..ir.value_inputs import companions
from ..plan.records import Plan, Profile
from ..runtime.memory import array_at
from .callbacks import guarded
from .enums import BuilderFlag, CalibrationAlgoType, LayerType
from .foundation import BATCH
from .logger import ILogger, say

if TYPE_CHECKING:
    from .calibrators import IInt8Calibrator
    from .config import IBuilderConfig
    from .network import INetworkDefinition
    from .tensor import ITensor

#: Where a plan remembers ranges.
RANGES = "dynamic_ranges"
#: What TensorRT calls the algorithms in a cache's first line.
NAMES = {CalibrationAlgoType.LEGACY_CALIBRATION: "LegacyCalibration",
         CalibrationAlgoType.ENTROPY_CALIBRATION: "EntropyCalibration",
         CalibrationAlgoType.ENTROPY_CALIBRATION_2: "EntropyCalibration2",
         CalibrationAlgoType.MINMAX_CALIBRATION: "MinMaxCalibration"}
#: The largest 8-bit magnitude: a cache has range / LEVELS for each tensor, the scale.
LEVELS = 127
#: The range of a tensor that was always zero: any does.
ALWAYS_ZERO = 1.0

Ranges = dict[str, tuple[float, float]]


def ranges_of(plan: Plan) -> Ranges:
    """The ranges that a plan remembers."""
    found: dict[str, list[float]] = json.loads(plan.metadata.get(RANGES, "{}"))
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def found_ranges(network: INetworkDefinition, records: Network, config: IBuilderConfig, logger: ILogger) -> Ranges:
    """Tensor → range: what the calibrator's batches or its cache say, and above that what the script set.

    Empty without BuilderFlag.INT8. Raises BuildError when calibration fails, InputError for a cache of no use.
    """
    tensors = observed(network, records)
    given = {t.name: t.dynamic_range for t in tensors if t.dynamic_range is not None}
    calibrator = config.int8_calibrator
    if not config.get_flag(BuilderFlag.INT8):
        if calibrator is not None or given:
            say(logger, ILogger.WARNING, f"{'int8_calibrator is' if calibrator is not None else 'dynamic ranges are'} "
                f"not made use of: {BuilderFlag.INT8} is not set")
        return {}
    found: Ranges = {}
    if calibrator is not None:
        wanted = [t for t in tensors if t.name not in given]
        found = {n: (-r, r) for n, r in calibrated(calibrator, wanted, network, records, config, logger).items()}
    elif not given and not any(layer.type == LayerType.QUANTIZE for layer in network):
        say(logger, ILogger.WARNING, f"{BuilderFlag.INT8} is set, and there is neither a calibrator nor a dynamic "
            "range")
    found |= given
    if missing := [t.name for t in tensors if found and t.name not in found]:
        say(logger, ILogger.WARNING, f"{len(missing)} tensors have no range: {', '.join(missing[:5])}"
            + (", ..." if len(missing) > 5 else ""))
    if found:
        say(logger, ILogger.WARNING, f"{len(found)} tensors have ranges for 8-bit integers. This version computes in "
            "float32 nevertheless; the plan keeps the ranges")
    return found


def observed(network: INetworkDefinition, records: Network) -> list[ITensor]:
    """Tensors that have ranges: floating-point inputs and results of layers, as far as a record makes them."""
    values = network._lowered().values
    tensors = [*network._inputs, *(t for layer in network._layers for t in layer._outputs)]
    unique = {t.name: t for t in reversed(tensors)
              if isinstance(t_ := records.types.get(values.get(id(t), "")), TensorType) and t_.dtype.is_float}
    return list(reversed(unique.values()))


def calibrated(calibrator: Any, tensors: list[ITensor], network: INetworkDefinition, records: Network,
               config: IBuilderConfig, logger: ILogger) -> dict[str, float]:
    """Tensor → largest magnitude, from the calibrator's cache or its batches; the cache is written anew after those."""
    algorithm = guarded(calibrator.get_algorithm)
    if not isinstance(algorithm, CalibrationAlgoType):
        raise BuildError(f"calibration failed: get_algorithm gave {algorithm!r}, no CalibrationAlgoType")
    cache = bytes(guarded(calibrator.read_calibration_cache) or b"")
    if cache:
        found = read_cache(cache, algorithm)
        say(logger, ILogger.INFO, f"the calibration cache has ranges of {len(found)} tensors; no batch is asked for")
        return {t.name: found[t.name] for t in tensors if t.name in found}
    legacy = algorithm == CalibrationAlgoType.LEGACY_CALIBRATION and hasattr(calibrator, "read_histogram_cache")
    kept = bytes(guarded(calibrator.read_histogram_cache, 0) or b"") if legacy else b""
    histograms = read_histograms(kept) if kept else gathered(calibrator, tensors, network, records, config, logger)
    if legacy and not kept:
        text = write_histograms(histograms)
        guarded(calibrator.write_histogram_cache, memoryview(text), len(text))
    ranges = {name: chosen(h, algorithm, calibrator, logger) or ALWAYS_ZERO for name, h in histograms.items()}
    if odd := [name for name, h in histograms.items() if h.skipped]:
        say(logger, ILogger.WARNING, f"values that are not finite were left out of the ranges of {', '.join(odd[:5])}")
    guarded(calibrator.write_calibration_cache, memoryview(write_cache(ranges, algorithm, version(network))))
    return {t.name: ranges[t.name] for t in tensors if t.name in ranges}


def chosen(histogram: Histogram, algorithm: CalibrationAlgoType, calibrator: Any, logger: ILogger) -> float:
    if algorithm == CalibrationAlgoType.MINMAX_CALIBRATION:
        return largest(histogram)
    if algorithm != CalibrationAlgoType.LEGACY_CALIBRATION:
        return entropy(histogram, zeros=algorithm == CalibrationAlgoType.ENTROPY_CALIBRATION)
    quantile = guarded(calibrator.get_quantile)
    if not isinstance(quantile, (int, float)) or not 0 <= quantile <= 1:
        raise BuildError(f"calibration failed: get_quantile gave {quantile!r}, a number between 0 and 1 is needed")
    if guarded(calibrator.get_regression_cutoff) != 1.0:
        say(logger, ILogger.VERBOSE, "get_regression_cutoff has no effect: ranges are those of the quantile")
    return percentile(histogram, quantile)


# batches -------------------------------------------------------------------------------------------------------------
def gathered(calibrator: IInt8Calibrator, tensors: list[ITensor], network: INetworkDefinition, records: Network,
             config: IBuilderConfig, logger: ILogger) -> dict[str, Histogram]:
    """Tensor → histogram of its magnitudes over all batches of the calibrator."""
    from .. import builder
    from ..runtime import Engine
    batch = guarded(calibrator.get_batch_size)
    if not isinstance(batch, int) or batch < 1:
        raise BuildError(f"calibration failed: get_batch_size gave {batch!r}, a positive number is needed")
    profile = fixed(profile_of(network, records, config, batch))
    env = {symbol: best for symbol, (_, best, _) in profile.ranges}
    values = network._lowered().values
    wanted = {t.name: values[id(t)] for t in tensors}
    computed = tuple(dict.fromkeys(v for v in wanted.values() if v not in records.inputs))
    histograms = {name: Histogram() for name in wanted}
    plan = builder.build(records.with_changes(outputs=computed or records.outputs), builder.BuildOptions(
        profiles=(profile,), tune_budget=0, verify=False, timing_cache=False, name=f"{network.name}, observed"))
    engine, count = Engine(plan), 0
    while (feeds := next_batch(calibrator, records, env)) is not None:
        results = {**feeds, **engine.run(feeds)}
        for name, value in wanted.items():
            histograms[name].add(results[value])
        count += 1
    if not count:
        raise BuildError("calibration failed: the calibrator gave no batch",
                         try_="let get_batch return the addresses of inputs, or read_calibration_cache a cache")
    say(logger, ILogger.INFO, f"ranges of {len(wanted)} tensors were found from {count} batches, in float32")
    return histograms


def profile_of(network: INetworkDefinition, records: Network, config: IBuilderConfig, batch: int) -> Profile:
    """The calibration profile, else the first one; with an implicit batch dimension, the calibrator's batch size."""
    if network.has_implicit_batch_dimension:
        return Profile(((BATCH, (batch, batch, batch)),))
    asked = config.get_calibration_profile()
    return config._made_profiles(records)[0] if asked is None else asked._profile(records)


def fixed(profile: Profile) -> Profile:
    return Profile(tuple((symbol, (best, best, best)) for symbol, (_, best, _) in profile.ranges))


def next_batch(calibrator: Any, records: Network, env: Mapping[str, int]) -> dict[str, np.ndarray] | None:
    """The inputs' values; None when there are no more. BuildError for anything but an address for each."""
    names = [n for n in records.inputs if n not in companions(records.inputs)]
    failed = object()
    addresses = guarded(calibrator.get_batch, names, *older(calibrator.get_batch), failed=failed)
    if addresses is failed:
        raise BuildError("calibration failed: get_batch raised an exception, which standard error has")
    if addresses is None or len(addresses) == 0:
        return None
    if len(addresses) != len(names):
        raise BuildError(f"calibration failed: get_batch gave {len(addresses)} addresses for {len(names)} inputs",
                         inputs=", ".join(names))
    feeds: dict[str, np.ndarray] = {}
    for name, address in zip(names, map(int, addresses), strict=True):
        t = records.tensor(name)
        shape = tuple(evaluate(d, env) for d in t.shape)
        stored = np.dtype(np.float32) if t.dtype.is_float else t.dtype.numpy       # TensorRT's rule: float32 for all
        size = stored.itemsize * math.prod(shape)
        if not address and size:
            raise BuildError(f"calibration failed: get_batch gave a null pointer for {name!r}")
        strides = [math.prod(shape[i + 1:]) * stored.itemsize for i in range(len(shape))]
        feeds[name] = array_at(host(address, size), shape, strides, stored).astype(t.dtype.numpy)
    return feeds


def older(get_batch: Any) -> tuple[str, ...]:
    """("",) when a hook takes a second argument, the cache's text that old samples have in its signature."""
    try:
        needed = [p for p in inspect.signature(get_batch).parameters.values()
                  if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        return ()
    return ("",) if len(needed) == 2 else ()


# caches --------------------------------------------------------------------------------------------------------------
def version(network: INetworkDefinition) -> str:
    """The number of TensorRT's version in caches: 8601 for 8.6.1, 100100 for 10.1.0."""
    words = str(getattr(sys.modules[type(network).__module__], "__version__", "10.0.0")).split(".")
    major, minor, patch = (int(word) for word in (*words, "0", "0")[:3])
    return str(major * (10000 if major >= 10 else 1000) + minor * 100 + patch)


def write_cache(ranges: Mapping[str, float], algorithm: CalibrationAlgoType, number: str) -> bytes:
    """TensorRT's text: a header, then a line for each tensor with the bits of its scale, a float32, in hexadecimal."""
    lines = [f"TRT-{number}-{NAMES[algorithm]}"]
    lines += [f"{name}: {struct.pack('>f', r / LEVELS).hex()}" for name, r in ranges.items()]
    return ("\n".join(lines) + "\n").encode()


def read_cache(cache: bytes, algorithm: CalibrationAlgoType) -> dict[str, float]:
    """Tensor → range. InputError for another algorithm's cache, and for a damaged one."""
    lines = cache.decode(errors="replace").splitlines()
    parts = lines[0].split("-")
    if len(parts) != 3 or parts[0] != "TRT" or not parts[1].isdigit():
        raise InputError(f"the calibration cache begins with {lines[0][:60]!r}, not with TRT-<version>-<algorithm>")
    if parts[2] != NAMES[algorithm]:
        raise InputError(f"the calibration cache was made by {parts[2]}, the calibrator asks for {NAMES[algorithm]}",
                         try_="remove the cache, or use the calibrator that made it")
    found: dict[str, float] = {}
    for number, line in enumerate(lines[1:], 2):
        name, colon, bits = line.rpartition(": ")
        try:
            scale = struct.unpack(">f", bytes.fromhex(bits.strip().rjust(8, "0")))[0] if colon else math.nan
        except (ValueError, struct.error):
            scale = math.nan
        if line.strip() and not (math.isfinite(scale) and scale >= 0):
            raise InputError(f"line {number} of the calibration cache is damaged: {line[:60]!r}",
                             try_="remove the cache, and calibrate again")
        if line.strip():
            found[name] = scale * LEVELS
    return found


def write_histograms(histograms: Mapping[str, Histogram]) -> bytes:
    return json.dumps({name: {"width": h.width, "maximum": h.maximum, "counts": h.counts.tolist()}
                       for name, h in histograms.items()}).encode()


def read_histograms(content: bytes) -> dict[str, Histogram]:
    """InputError when the bytes are not those of write_histograms."""
    try:
        tree: dict[str, Any] = json.loads(content)
        found = {name: Histogram(np.array(h["counts"], np.int64), float(h["width"]), float(h["maximum"]))
                 for name, h in tree.items()}
        if any(h.counts.shape != Histogram().counts.shape or (h.counts < 0).any() for h in found.values()):
            raise ValueError("counts")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the histogram cache is damaged: {error}", try_="remove it, and calibrate again") from None
    return found
