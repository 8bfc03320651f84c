"""The engine of a command line: built from an ONNX model, or loaded from a file."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ... import plugins
from ...errors import BuildError, InputError, ModelError, UnsupportedError
from ...trt import (
    Builder,
    BuilderFlag,
    DataType,
    IBuilderConfig,
    INetworkDefinition,
    ITensor,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    OnnxParser,
    OnnxParserFlag,
    PreviewFeature,
    ProfilingVerbosity,
    TensorFormat,
)
from ..console import UsageError
from .calibration import CachedRanges
from .debugging import mark_debug
from .files import read, write
from .flags import Asked
from .log import Log
from .older import filled, is_older
from .syntax import Shapes, shown
from .weights import PlanFile, Source, set_flags

MIB = 1 << 20
#: Type flags → the permissions they give.
PERMITS = {"fp16": (BuilderFlag.FP16,), "bf16": (BuilderFlag.BF16,), "int8": (BuilderFlag.INT8,),
           "fp8": (BuilderFlag.FP8,), "int4": (BuilderFlag.INT4,),
           "best": (BuilderFlag.FP16, BuilderFlag.BF16, BuilderFlag.INT8)}
CONSTRAINTS = {"prefer": BuilderFlag.PREFER_PRECISION_CONSTRAINTS, "obey": BuilderFlag.OBEY_PRECISION_CONSTRAINTS}
VERBOSITY = {"layer_names_only": ProfilingVerbosity.LAYER_NAMES_ONLY, "default": ProfilingVerbosity.LAYER_NAMES_ONLY,
             "detailed": ProfilingVerbosity.DETAILED, "verbose": ProfilingVerbosity.DETAILED,
             "none": ProfilingVerbosity.NONE}
POOLS = {"workspace": MemoryPoolType.WORKSPACE, "dlaSRAM": MemoryPoolType.DLA_MANAGED_SRAM,
         "dlaLocalDRAM": MemoryPoolType.DLA_LOCAL_DRAM, "dlaGlobalDRAM": MemoryPoolType.DLA_GLOBAL_DRAM,
         "tacticDRAM": MemoryPoolType.TACTIC_DRAM, "tacticSharedMem": MemoryPoolType.TACTIC_SHARED_MEMORY}


def plan_of(asked: Asked, log: Log) -> Source:
    """The serialized engine: from --loadEngine, or built and, with --saveEngine, written."""
    for one in asked.given:
        if one.flag.name in ("staticPlugins", "dynamicPlugins"):
            plugins.load(one.value)
            log.info(f"Plugins loaded from {one.value}")
    if asked["loadEngine"] is not None and asked["asyncFileReader"] and asked["saveEngine"] is None:
        file = PlanFile(asked["loadEngine"])
        log.info(f"Engine in {asked['loadEngine']}: {len(file) / MIB:g} MiB")
        return file
    if asked["loadEngine"] is not None:
        content = read(asked["loadEngine"], "check the path of --loadEngine")
        log.info(f"Engine loaded from {asked['loadEngine']}: {len(content) / MIB:g} MiB")
    else:
        content = built(asked, log)
    if asked["saveEngine"] is not None:
        write(asked["saveEngine"], content)
        log.info(f"Engine saved to {asked['saveEngine']}")
    return content


def built(asked: Asked, log: Log) -> bytes:
    builder = Builder(log)
    typed = 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed if asked["stronglyTyped"] else 0)
    log.info("Start parsing network model.")
    begin = time.perf_counter()
    place = str(asked["onnx"] or asked["deploy"] or asked["uff"])
    parser = OnnxParser(network, log)
    if asked["enablePluginOverride"]:
        parser.set_flag(OnnxParserFlag.ENABLE_PLUGIN_OVERRIDE)
    if not (filled(asked, network, log) if is_older(asked) else parser.parse_from_file(place)):
        raise ModelError("the model could not be parsed: the log above says why", at=place)
    log.info(f"Finished parsing network model. Parse time: {time.perf_counter() - begin:g}")
    config = builder.create_builder_config()
    set_options(asked, config, log)
    set_types(asked, network, log)
    mark_debug(asked, network)
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    values = {t.name for t in inputs if t is not None and t.is_shape_tensor}
    for profile in profiles(asked, network, log):
        made = builder.create_optimization_profile()
        for name, triple in profile.items():
            try:
                (made.set_shape_input if name in values else made.set_shape)(name, *triple)
            except RuntimeError as error:
                raise InputError(str(error)) from None
        config.add_optimization_profile(made)
    if asked["timingCacheFile"] is not None:
        file: Path = asked["timingCacheFile"]
        found = config.create_timing_cache(file.read_bytes() if file.exists() else b"")
        if found._fits:
            config.set_timing_cache(found, False)
        else:
            log.info(f"{file} has no timings of this machine, number of threads and version: kernels are timed again")
            config.set_timing_cache(config.create_timing_cache(b""), False)
    begin = time.perf_counter()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError("the engine could not be built: the log above says why", at=place)
    log.info(f"Engine built in {time.perf_counter() - begin:g} sec.")
    log.info(f"Created engine with size: {len(plan) / MIB:g} MiB")
    cache = config.get_timing_cache()
    if cache is not None and asked["timingCacheFile"] is not None:
        cache.combine(found, True)                        # the other machines' stay in the file
        write(asked["timingCacheFile"], bytes(cache.serialize()))
        log.info(f"Timing cache written to {asked['timingCacheFile']}")
    return bytes(plan)


def set_options(asked: Asked, config: IBuilderConfig, log: Log) -> None:
    for name, flags in PERMITS.items():
        if asked[name] and asked["stronglyTyped"]:
            log.warning(f"--{name} is left out: with --stronglyTyped, types are those of the model")
        elif asked[name]:
            for flag in flags:
                config.set_flag(flag)
    if asked["calib"] is not None:
        if not (asked["int8"] or asked["best"]) or asked["stronglyTyped"]:
            raise UsageError("--calib gives ranges for 8-bit integers: it needs --int8, and no --stronglyTyped")
        config.int8_calibrator = CachedRanges(asked["calib"])
    set_flags(asked, config)
    for name, flag in (("noBuilderCache", BuilderFlag.DISABLE_TIMING_CACHE),
                       ("directIO", BuilderFlag.DIRECT_IO), ("allowGPUFallback", BuilderFlag.GPU_FALLBACK),
                       ("errorOnTimingCacheMiss", BuilderFlag.ERROR_ON_TIMING_CACHE_MISS),
                       ("monitorMemory", BuilderFlag.MONITOR_MEMORY)):
        if asked[name]:
            config.set_flag(flag)
    for name, wanted in (asked["preview"] or {}).items():
        config.set_preview_feature(PreviewFeature[name], wanted)
    if asked["precisionConstraints"] != "none":
        config.set_flag(CONSTRAINTS[asked["precisionConstraints"]])
    if asked["noTF32"]:
        config.clear_flag(BuilderFlag.TF32)
    if asked["noBuilderCache"] and asked["timingCacheFile"] is not None:
        raise UsageError("--noBuilderCache and --timingCacheFile contradict each other")
    if asked["sparsity"] == "force":
        raise UnsupportedError("--sparsity=force is not in this version", try_="--sparsity=enable")
    if asked["sparsity"] == "enable":
        config.set_flag(BuilderFlag.SPARSE_WEIGHTS)
        log.info("--sparsity=enable: a permission that is not made use of")
    if asked["builderOptimizationLevel"] >= 0:
        config.builder_optimization_level = asked["builderOptimizationLevel"]
    if asked["maxTactics"] is not None:
        config.max_num_tactics = asked["maxTactics"]
    config.avg_timing_iterations, config.min_timing_iterations = asked["avgTiming"], asked["minTiming"]
    config.build_route = asked["setBuildRoute"] or ""
    config.profiling_verbosity = VERBOSITY[asked["profilingVerbosity"]]
    limits = dict(asked["memPoolSize"] or {})
    if asked["workspace"] is not None:
        limits.setdefault("workspace", asked["workspace"])
    for name, size in limits.items():
        if name not in POOLS:
            raise InputError(f"--memPoolSize: there is no pool {name!r}", pools=", ".join(POOLS))
        if name != "workspace":
            log.info(f"--memPoolSize={name}: a pool of other devices, which this build does not use")
        config.set_memory_pool_limit(POOLS[name], size)


# ---- types and formats

def set_types(asked: Asked, network: INetworkDefinition, log: Log) -> None:
    inputs = [t for i in range(network.num_inputs) if (t := network.get_input(i)) is not None]
    outputs = [t for i in range(network.num_outputs) if (t := network.get_output(i)) is not None]
    set_formats("inputIOFormats", asked["inputIOFormats"], inputs)
    set_formats("outputIOFormats", asked["outputIOFormats"], outputs)
    for layer, types in matching("layerPrecisions", asked["layerPrecisions"], network):
        if asked["precisionConstraints"] != "none":
            layer.precision = DataType[types[0]]
    for layer, types in matching("layerOutputTypes", asked["layerOutputTypes"], network):
        if len(types) not in (1, layer.num_outputs):
            raise InputError(f"--layerOutputTypes: {layer.name!r} has {layer.num_outputs} outputs, not {len(types)}")
        for k in range(layer.num_outputs):
            layer.set_output_type(k, DataType[types[k % len(types)]])
    if asked["layerPrecisions"] and asked["precisionConstraints"] == "none":
        log.warning("--layerPrecisions means nothing without --precisionConstraints=prefer or obey")
    elif asked["layerPrecisions"] and asked["precisionConstraints"] == "prefer":
        log.info("--layerPrecisions: wishes that are not made use of; --precisionConstraints=obey makes them binding")


def set_formats(flag: str, given: list[tuple[str, tuple[str, ...]]] | None, tensors: list[ITensor]) -> None:
    """Allow each tensor its layouts. UnsupportedError for another type than the tensor has."""
    if given is None:
        return
    if len(given) not in (1, len(tensors)):
        raise InputError(f"--{flag} gives {len(given)} formats", tensors=", ".join(t.name for t in tensors),
                         try_="give one for all, or one for each")
    for k, tensor in enumerate(tensors):
        dtype, layouts = given[k % len(given)]
        if tensor.dtype != DataType[dtype]:
            raise UnsupportedError(f"--{flag}: {tensor.name!r} is {tensor.dtype}, and cannot be made {dtype} here",
                                   try_="change the type in the model, or give the tensor's own")
        tensor.allowed_formats = sum({1 << int(TensorFormat[layout]) for layout in layouts})


def matching(flag: str, given: dict[str, tuple[str, ...]] | None,
             network: INetworkDefinition) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """(layer, types) for each layer that is named; the first name that fits counts. InputError for a name without any
    layer."""
    unused = set(given or ())
    for layer in network:
        for name, types in (given or {}).items():
            if layer.name == name or (name.endswith("*") and layer.name.startswith(name[:-1])):
                unused.discard(name)
                yield layer, types
                break
    if unused:
        raise InputError(f"--{flag}: no layer is named {min(unused)!r}",
                         layers=", ".join(layer.name for layer in network)[:300])


# ---- profiles

def profiles(asked: Asked, network: INetworkDefinition, log: Log) -> list[dict[str, list[tuple[int, ...]]]]:
    """{input: [min, opt, max]} per profile, for all inputs with run-time dimensions; of shape tensors, their values."""
    shapes = {t.name: (-1,) * math.prod(t.shape) if t.is_shape_tensor else tuple(t.shape)
              for i in range(network.num_inputs) if (t := network.get_input(i)) is not None and t.shape.nbDims >= 0}
    groups = grouped(asked)
    run: Shapes = asked["shapes"] or {}
    if not groups and (run or any(-1 in shape for shape in shapes.values())):
        groups = [{}]
    for index, group in enumerate(groups):
        for name in [*group, *run]:
            if name not in shapes:
                raise InputError(f"the network has no input {name!r}", inputs=", ".join(shapes),
                                 try_="give --shapes and its kin the names of inputs")
        for name, shape in shapes.items():
            if name in group or -1 not in shape:
                continue
            if name in run:
                group[name] = [run[name]] * 3
            else:
                ones = tuple(max(d, 1) if d else 0 for d in shape)
                log.warning(f"Dynamic dimensions required for input: {name}, but no shapes were provided. "
                            f"Automatically overriding shape to: {shown(ones)}")
                group[name] = [ones] * 3
        for name in [n for n in group if -1 not in shapes[n]]:
            if any(triple != shapes[name] for triple in group.pop(name)):
                raise InputError(f"input {name!r} is {shown(shapes[name])} in the model, and cannot have another shape")
        for name, triple in group.items():
            log.info(f"Input build shape (profile {index}): {name}={'+'.join(shown(s) for s in triple)}")
    for name, shape in run.items():
        if name in shapes and -1 not in shapes[name] and shape != shapes[name]:
            raise InputError(f"input {name!r} is {shown(shapes[name])} in the model, and cannot have another shape")
    return groups


def grouped(asked: Asked) -> list[dict[str, list[tuple[int, ...]]]]:
    """The profiles that the command line writes out. --profile=N says whose the following shapes are."""
    found: dict[int, dict[str, Shapes]] = {}
    current = 0
    for given in asked.given:
        if given.flag.name == "profile":
            current = given.value
        elif given.flag.name in ("minShapes", "optShapes", "maxShapes"):
            if given.flag.name in found.setdefault(current, {}):
                raise UsageError(f"--{given.flag.name} is given twice for profile {current}: say --profile=N before it")
            found[current][given.flag.name] = given.value
    if list(sorted(found)) != list(range(len(found))):
        raise UsageError(f"shapes are given for profiles {sorted(found)}: they count from 0 without a gap")
    return [triples(k, found[k]) for k in sorted(found)]


def triples(index: int, given: dict[str, Shapes]) -> dict[str, list[tuple[int, ...]]]:
    if set(given) == {"optShapes"}:
        return {name: [shape] * 3 for name, shape in given["optShapes"].items()}
    if set(given) != {"minShapes", "optShapes", "maxShapes"}:
        raise UsageError(f"profile {index} has {', '.join('--' + g for g in given)} only: give all three, or "
                         "--optShapes alone")
    low, usual, high = (given[kind] for kind in ("minShapes", "optShapes", "maxShapes"))
    if not set(low) == set(usual) == set(high):
        raise UsageError(f"profile {index}: --minShapes, --optShapes and --maxShapes name different inputs")
    return {name: [low[name], usual[name], high[name]] for name in usual}
