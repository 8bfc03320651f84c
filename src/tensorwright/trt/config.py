"""IBuilderConfig, IOptimizationProfile and ITimingCache: what a build is asked for."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from typing import Any

from ..dims import Expr
from ..errors import InputError
from ..ir import Network, TensorType
from ..ir.value_inputs import companion, companion_of, companions
from ..plan.records import Profile
from .algorithms import IAlgorithmSelector
from .callbacks import IProgressMonitor
from .config_wishes import BuildWishes
from .enums import (
    BuilderFlag,
    DeviceType,
    EngineCapability,
    HardwareCompatibilityLevel,
    MemoryPoolType,
    ProfilingVerbosity,
    TacticSource,
)
from .enums.choice import bits, members
from .foundation import Closed, Dims, Shape
from .lifetime import Lifetime
from .logger import ILogger, say
from .quantizing import QuantizationWishes
from .timing_cache import ITimingCache

#: Seconds of tuning per builder_optimization_level; None: as long as it takes.
TUNE_BUDGET: tuple[float | None, ...] = (0.0, 5.0, 20.0, None, None, None)


class IOptimizationProfile(Closed):
    """Smallest, usual and largest shape of each input with run-time dimensions."""

    extra_memory_target = 1.0

    def __init__(self) -> None:
        self._shapes: dict[str, tuple[tuple[int, ...], ...]] = {}
        self._values: dict[str, tuple[tuple[int, ...], ...]] = {}
        self._closed = True

    def set_shape(self, input: str, min: Shape, opt: Shape, max: Shape) -> None:
        """RuntimeError when the three contradict each other."""
        triple = (tuple(min), tuple(opt), tuple(max))
        if len({len(shape) for shape in triple}) != 1:
            raise RuntimeError(f"profile of {input!r}: min, opt and max differ in rank: {triple}")
        if any(not 0 <= a <= b <= c for a, b, c in zip(*triple, strict=True)):
            raise RuntimeError(f"profile of {input!r}: min <= opt <= max does not hold: {triple}")
        self._shapes[input] = triple

    def get_shape(self, input: str) -> list[Dims]:
        """[min, opt, max], or an empty list when none was set."""
        return [Dims(shape) for shape in self._shapes.get(input, ())]

    def set_shape_input(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None:
        """Smallest, usual and largest values of an input shape tensor. RuntimeError when they contradict each other."""
        triple = tuple(tuple(int(v) for v in values) for values in (min, opt, max))
        if len({len(values) for values in triple}) != 1:
            raise RuntimeError(f"profile of {input!r}: min, opt and max have different numbers of values: {triple}")
        if any(not 0 <= a <= b <= c for a, b, c in zip(*triple, strict=True)):
            raise RuntimeError(f"profile of {input!r}: 0 <= min <= opt <= max does not hold: {triple}")
        self._values[input] = triple

    def get_shape_input(self, input: str) -> list[list[int]]:
        """[min, opt, max] values, or an empty list when none were set."""
        return [list(values) for values in self._values.get(input, ())]

    def __bool__(self) -> bool:
        return True

    __nonzero__ = __bool__

    def _profile(self, network: Network) -> Profile:
        """The ranges of the network's symbols. InputError when one has none, or two inputs disagree."""
        from ..builder.profiles import profiles_of
        names = set(network.inputs)
        shapes = {n: triple for n, triple in self._shapes.items() if n in names}
        known = companions(network.inputs)
        for name, triple in self._values.items():
            count = sum(source == name for source, _ in known.values())
            if count not in (0, len(triple[0])):
                raise InputError(f"a profile gives {len(triple[0])} values of {name!r}, which has {count}")
            shapes |= {companion(name, i): tuple((values[i], 0) for values in triple) for i in range(count)}
        for source, _ in known.values():
            if source not in self._values:
                raise InputError(f"the values of input {source!r} decide shapes, and a profile does not bound them",
                                 try_=f"profile.set_shape_input({source!r}, min, opt, max)")
        return profiles_of(network, shapes, default=False)[0]


def checked_flag(flag: BuilderFlag) -> BuilderFlag:
    """The flag. TypeError for what is none, of any generation."""
    if not isinstance(flag, BuilderFlag):
        raise TypeError(f"a BuilderFlag is needed, not {type(flag).__name__} {flag!r}")
    return flag


class IBuilderConfig(QuantizationWishes, BuildWishes, Lifetime):
    """Options of a build. When it starts, unsupported wishes are refused, and those without effect are logged."""

    avg_timing_iterations = 1
    min_timing_iterations = 1
    profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
    default_device_type = DeviceType.GPU
    engine_capability = EngineCapability.STANDARD
    hardware_compatibility_level = HardwareCompatibilityLevel.NONE
    progress_monitor: IProgressMonitor | None = None
    profile_stream = 0
    max_aux_streams = 0
    DLA_core = -1
    algorithm_selector: IAlgorithmSelector | None = None

    def __init__(self, logger: ILogger | None = None) -> None:
        """logger: told of what is refused; a builder's configurations have the builder's."""
        self._logger = logger
        self.reset()
        self._closed = True

    def reset(self) -> None:
        for name in [n for n in vars(self) if not n.startswith("_")]:
            delattr(self, name)                           # what was set; the defaults are the class's
        self._flags = {BuilderFlag.TF32}
        self._level = 3
        self._profiles: list[IOptimizationProfile] = []
        self._pools: dict[MemoryPoolType, int] = {}
        self._cache: ITimingCache | None = None
        self._lends = False                               # times of other machines count as this one's
        self._sources = 0
        self._reset_quantization()
        self._reset_wishes()

    def set_flag(self, flag: BuilderFlag) -> None:
        self._flags.add(checked_flag(flag))

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._flags.discard(checked_flag(flag))

    def get_flag(self, flag: BuilderFlag) -> bool:
        return checked_flag(flag) in self._flags

    @property
    def flags(self) -> int:
        """The flags that are set, as bits. ValueError for bits that stand for none."""
        return bits(self._flags, self._class(BuilderFlag))

    @flags.setter
    def flags(self, value: int) -> None:
        self._flags = members(value, self._class(BuilderFlag))

    def _error(self, text: str) -> None:
        if self._logger is not None:
            say(self._logger, ILogger.ERROR, text)

    @property
    def builder_optimization_level(self) -> int:
        """How long kernels are timed: see TUNE_BUDGET. A level outside 0 to 5 is refused in the log; without a logger
        it is a ValueError."""
        return self._level

    @builder_optimization_level.setter
    def builder_optimization_level(self, value: int) -> None:
        level = operator.index(value)
        if 0 <= level < len(TUNE_BUDGET):
            self._level = level
            return
        text = f"builder_optimization_level: {level} is outside 0 to {len(TUNE_BUDGET) - 1}"
        if self._logger is None:
            raise ValueError(text)
        self._error(f"{text}; it stays {self._level}")

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        """WORKSPACE bounds the scratch memory of each layer's kernel; the build fails when no kernel fits. Limits of
        other pools are kept. A size that is none is refused in the log."""
        if pool_size < 0:
            self._error(f"set_memory_pool_limit: {pool} cannot have {pool_size} bytes")
            return
        self._pools[pool] = int(pool_size)

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        """By default tactics may use all memory of the machine; pools of devices that it does not have are empty."""
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return self._pools.get(pool, whole if pool in (MemoryPoolType.WORKSPACE, MemoryPoolType.TACTIC_DRAM) else 0)

    @property
    def max_workspace_size(self) -> int:
        """Bytes: the limit of the workspace pool, as generations 6 to 8 name it."""
        return self.get_memory_pool_limit(MemoryPoolType.WORKSPACE)

    @max_workspace_size.setter
    def max_workspace_size(self, value: int) -> None:
        self.set_memory_pool_limit(MemoryPoolType.WORKSPACE, value)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        """The profile's index."""
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def set_tactic_sources(self, tactic_sources: int) -> bool:
        """A bit mask of TacticSource. Kept; tactics for the CPU come from no library."""
        if tactic_sources < 0 or tactic_sources >> 1 + max(int(source) for source in self._class(TacticSource)):
            return False
        self._sources = tactic_sources
        return True

    def get_tactic_sources(self) -> int:
        return self._sources

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    def create_timing_cache(self, serialized_timing_cache: Any) -> ITimingCache:
        """Empty bytes make a new cache."""
        return self._class(ITimingCache)(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Use and fill a cache. False, with an error in the log, when it is not empty and has nothing of this machine,
        team size and version; with ignore_mismatch, builds then take the times of others for this machine's."""
        if not cache._fits and not ignore_mismatch:
            self._error("set_timing_cache: the cache has timings of other machines or versions only")
            return False
        self._cache, self._lends = cache, ignore_mismatch
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache

    def _made_profiles(self, network: Network) -> tuple[Profile, ...]:
        """InputError when the network has run-time dimensions and there is no profile for them."""
        dynamic = [n for n in network.inputs if isinstance(t := network.types[n], TensorType)
                   and any(isinstance(d, Expr) for d in t.shape)]
        if dynamic and not self._profiles:
            source = companion_of(dynamic[0])
            if source is not None:
                raise InputError(f"the values of input {source[0]!r} decide shapes, and there is no profile",
                                 try_="builder.create_optimization_profile(), set_shape_input, "
                                      "config.add_optimization_profile")
            raise InputError(f"input {dynamic[0]!r} has run-time dimensions and there is no optimization profile",
                             try_="builder.create_optimization_profile(), set_shape, config.add_optimization_profile")
        return tuple(p._profile(network) for p in self._profiles) or (Profile(),)
