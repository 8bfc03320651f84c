"""Builder: makes networks and configurations, and builds engines of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InputError, TensorwrightError, UnsupportedError
from ..plan.records import Plan
from .algorithms import Selection
from .allocators import Allocating
from .calibration import RANGES, found_ranges
from .config import TUNE_BUDGET, IBuilderConfig, IOptimizationProfile
from .config_wishes import PRECISIONS, check_devices, check_portability, check_strong_types, without_effect
from .enums import (
    BuilderFlag,
    EngineCapability,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    SerializationFlag,
    TensorFormat,
    TensorLocation,
)
from .foundation import IHostMemory, ours
from .legacy import BuilderOptions
from .lifetime import Lifetime
from .logger import ILogger, say
from .network import INetworkDefinition
from .plugins.checks import check_plugins
from .plugins.registry import PluginUser
from .progress import Cancelled, MemoryLog, Watcher
from .recorder import Recorded, Voice
from .serialization import chosen, serialized
from .streams import IStreamWriter, sent
from .timing_cache import kept_timings
from .weight_streaming import STREAMING
from .weights import REFIT, is_identical, is_refit

if TYPE_CHECKING:
    from .engine import ICudaEngine


class Builder(BuilderOptions, Recorded, Allocating, PluginUser, Lifetime):
    """The entry point for building. Keeps the logger."""

    max_threads = 1

    def __init__(self, logger: ILogger) -> None:
        self._logger = Voice(logger)
        self._closed = True

    @property
    def logger(self) -> ILogger:
        return self._logger.logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        """flags: bits of NetworkDefinitionCreationFlag. In generations 5 to 8 the network has an implicit batch
        dimension when they do not say EXPLICIT_BATCH."""
        allowed = sum(1 << int(f) for f in self._class(NetworkDefinitionCreationFlag))
        if int(flags) & ~allowed:
            say(self._logger, ILogger.WARNING, f"create_network: unknown bits in flags {int(flags):#b} are ignored")
        return self._class(INetworkDefinition)(self, int(flags) & allowed)

    def create_builder_config(self) -> IBuilderConfig:
        return self._class(IBuilderConfig)(self._logger)

    def create_optimization_profile(self) -> IOptimizationProfile:
        return self._class(IOptimizationProfile)()

    @property
    def platform_has_tf32(self) -> bool:
        return False

    @property
    def platform_has_fast_fp16(self) -> bool:
        return False

    @property
    def platform_has_fast_int8(self) -> bool:
        return False

    @property
    def num_DLA_cores(self) -> int:
        return 0

    @property
    def max_DLA_batch_size(self) -> int:
        return 0

    def reset(self) -> None:
        self.max_threads = 1

    def is_network_supported(self, network: INetworkDefinition, config: IBuilderConfig) -> bool:
        """Whether shapes and profiles fit; the build itself may still fail."""
        try:
            check_wishes(config, self._logger)
            check_strong_types(network, config)
            check_memory(network)
            records = network._finish()
            if not network.has_implicit_batch_dimension:
                config._made_profiles(records)
        except TensorwrightError as error:
            self._logger.error(error)
            return False
        return True

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        """The plan as bytes; None, with an error in the log, when the build fails."""
        plan = self._build(network, config)
        return None if plan is None else serialized(plan)

    def build_serialized_network_to_stream(self, network: INetworkDefinition, config: IBuilderConfig,
                                           writer: IStreamWriter) -> bool:
        """build_serialized_network, written in pieces. False when the build or the writer fails."""
        plan = self.build_serialized_network(network, config)
        if plan is not None and not sent(plan, writer):
            say(self._logger, ILogger.ERROR, f"{type(writer).__name__}.write did not take all of the plan")
            return False
        return plan is not None

    def build_engine(self, network: INetworkDefinition, config: IBuilderConfig) -> ICudaEngine | None:
        """build_engine_with_config, as generations 6 to 8 call it."""
        return self.build_engine_with_config(network, config)

    def build_cuda_engine(self, network: INetworkDefinition) -> ICudaEngine | None:
        """build_engine with the options of the builder itself: generations 5 to 7."""
        return self.build_engine_with_config(network, self._config())

    def build_engine_with_config(self, network: INetworkDefinition, config: IBuilderConfig) -> ICudaEngine | None:
        """The engine; None, with an error in the log, when the build fails."""
        from .engine import ICudaEngine
        plan = self._build(network, config)
        if plan is not None and STREAMING in plan.metadata:               # its weights are to be in a file
            from .runtime import Runtime
            plan = Runtime(self._logger)._loaded([serialized(plan)])
        return None if plan is None else self._class(ICudaEngine)(plan, self._logger, self._allocator)

    def _build(self, network: INetworkDefinition, config: IBuilderConfig) -> Plan | None:
        if self.max_threads != 1:
            say(self._logger, ILogger.WARNING, "Builder.max_threads has no effect: kernels are compiled on one thread")
        try:
            return built(network, config, self._logger)
        except TensorwrightError as error:
            self._logger.error(error)
        except Cancelled:
            say(self._logger, ILogger.WARNING, "the build was cancelled by the progress monitor")
        except Exception as error:          # a defect of ours: TensorRT's contract is still None and a log entry
            self._logger.error(error)
        return None


def check_wishes(config: IBuilderConfig, logger: ILogger) -> None:
    """UnsupportedError for what cannot be ignored; a log entry for permissions that are not made use of."""
    if config.engine_capability != EngineCapability.STANDARD:
        raise UnsupportedError(f"{config.engine_capability} is not in this version")
    check_devices(config, logger)
    check_portability(config, logger)
    if config.get_flag(BuilderFlag.SAFETY_SCOPE):
        flag = BuilderFlag.SAFETY_SCOPE
        raise UnsupportedError(f"{flag} is not in this version", try_=f"config.clear_flag({flag})")
    if config.get_flag(BuilderFlag.WEIGHT_STREAMING) and is_refit(config):
        raise UnsupportedError("weights that can be replaced stay in memory: they cannot be streamed in this version",
                               try_=f"config.clear_flag({BuilderFlag.WEIGHT_STREAMING})")
    for flag in PRECISIONS:
        if config.get_flag(flag):
            say(logger, ILogger.WARNING, f"{flag} permits a lower precision; this version computes in the types given")
    for flag in (BuilderFlag.SPARSE_WEIGHTS, BuilderFlag.PREFER_PRECISION_CONSTRAINTS, BuilderFlag.DEBUG,
                 BuilderFlag.DIRECT_IO,
                 BuilderFlag.ENABLE_TACTIC_HEURISTIC, BuilderFlag.EXCLUDE_LEAN_RUNTIME, BuilderFlag.STRICT_NANS,
                 BuilderFlag.DISABLE_COMPILATION_CACHE, BuilderFlag.DISTRIBUTIVE_INDEPENDENCE):
        if config.get_flag(flag):
            say(logger, ILogger.WARNING, f"{flag} has no effect in this version")
    if config.get_flag(BuilderFlag.REJECT_EMPTY_ALGORITHMS) and config.algorithm_selector is None:
        say(logger, ILogger.WARNING, f"{BuilderFlag.REJECT_EMPTY_ALGORITHMS} has no effect without algorithm_selector")
    for wish in without_effect(config):
        say(logger, ILogger.WARNING, f"{wish} has no effect on a CPU")


def check_memory(network: INetworkDefinition) -> None:
    """UnsupportedError for inputs and outputs that may not be dense in C order, or are to lie apart from the others."""
    for tensor in (*network._inputs, *network._outputs):
        if not int(tensor.allowed_formats) >> int(TensorFormat.LINEAR) & 1:
            raise UnsupportedError(f"tensor {tensor.name!r} does not allow {TensorFormat.LINEAR}, the only format in "
                                   "this version", try_="tensor.allowed_formats |= 1 << int(TensorFormat.LINEAR)")
        if tensor.location != TensorLocation.DEVICE and not tensor.is_shape_tensor:
            raise UnsupportedError(f"tensor {tensor.name!r} is to be at {tensor.location}: only DEVICE is in this "
                                   "version, and means the host's memory on a CPU")


def check_precisions(network: INetworkDefinition) -> None:
    """UnsupportedError for a layer that must compute in another floating-point type than its input's."""
    for layer in network:
        first = layer.get_input(0)
        if layer.precision_is_set and first is not None and layer.precision != first.dtype \
                and all(ours(t).is_float for t in (layer.precision, first.dtype)):
            raise UnsupportedError(f"layer {layer.name!r} must compute in {layer.precision}, not {first.dtype}",
                                   try_="add_cast, or clear BuilderFlag.OBEY_PRECISION_CONSTRAINTS")


def built(network: INetworkDefinition, config: IBuilderConfig, logger: ILogger) -> Plan:
    """The plan. Raises TensorwrightError, or Cancelled."""
    from .. import builder
    check_strong_types(network, config)
    check_wishes(config, logger)
    if config.get_flag(BuilderFlag.OBEY_PRECISION_CONSTRAINTS) or config.get_flag(BuilderFlag.STRICT_TYPES):
        check_precisions(network)
    check_memory(network)
    for layer in network._layers:
        for note in layer._notes():
            say(logger, ILogger.WARNING, f"layer {layer.name!r}: {note}")
    records, weights = network._finish_for(config)
    check_plugins(records, config)
    profiles = network._batches() if network.has_implicit_batch_dimension else config._made_profiles(records)
    ranges = found_ranges(network, records, config, logger)
    for profile in config._profiles:
        for name in (*profile._shapes, *profile._values):
            if name not in records.inputs:
                raise InputError(f"a profile names {name!r}, which is not an input", inputs=", ".join(records.inputs))
    selection = None if config.algorithm_selector is None else Selection(config, logger)
    route = config._route()
    level = min(max(route.get("optimization_level", int(config.builder_optimization_level)), 0), len(TUNE_BUDGET) - 1)
    tactics, iterations = route.get("max_num_tactics", config.max_num_tactics), (
        config.avg_timing_iterations, config.min_timing_iterations, route.get("timing_iterations", 1))
    watcher = Watcher(config.progress_monitor) if config.progress_monitor is not None else None
    memory = MemoryLog(logger, watcher) if config.get_flag(BuilderFlag.MONITOR_MEMORY) else None
    try:
        with kept_timings(config, logger) as cache:
            plan = builder.build(records, builder.BuildOptions(
                profiles=profiles, tune_budget=TUNE_BUDGET[level], timing_cache=cache, progress=memory or watcher,
                name=network.name, keep_values=network._keep_unfused, threads=route.get("threads"),
                cached_only=config.get_flag(BuilderFlag.ERROR_ON_TIMING_CACHE_MISS),
                pinned=config.get_flag(BuilderFlag.EDITABLE_TIMING_CACHE), max_tactics=tactics if tactics > 0 else None,
                least_launches=max(iterations) if max(iterations) > 1 else 0,
                workspace=config._pools.get(MemoryPoolType.WORKSPACE),
                selection=(selection.ask, selection.tell) if selection is not None else None,
                refit=weights, identical=is_identical(config)))
    finally:
        for told in (watcher, memory):
            if told is not None:
                told.finish()
    if selection is not None:
        selection.report({info.name for program in plan.programs for info in program.layers})
    from .engine import COMPATIBILITY, VERBOSITY
    metadata = {**plan.metadata, VERBOSITY: config.profiling_verbosity.name,
                COMPATIBILITY: config.hardware_compatibility_level.name,
                **({RANGES: json.dumps(ranges)} if ranges else {}), **({REFIT: "yes"} if is_refit(config) else {})}
    if config.get_flag(BuilderFlag.WEIGHT_STREAMING):
        metadata[STREAMING] = "yes"
    plan = replace(plan, metadata=metadata)
    bare = config.get_flag(BuilderFlag.STRIP_PLAN) and weights
    return chosen(plan, {SerializationFlag.EXCLUDE_WEIGHTS}) if bare else plan
