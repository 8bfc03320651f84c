"""IBuilderConfig, IOptimizationProfile and ITimingCache: what a build is asked for."""

from __future__ import annotations

import json
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
from .foundation import Closed, Dims, IHostMemory, Shape
from .quantizing import QuantizationWishes

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


class ITimingCache:
    """Timings of tactics, as bytes. Made by IBuilderConfig.create_timing_cache."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = content

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._content)

    def combine(self, input_cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Add another cache's timings. Timings of other machines lie beside this machine's and are not used here."""
        try:
            both = [json.loads(c) for c in (self._content, input_cache._content) if c]
        except ValueError:
            return False
        if not all(isinstance(tree, dict) for tree in both):
            return False
        self._content = json.dumps(merged(*both)).encode() if both else b""
        return True

    def reset(self) -> bool:
        self._content = b""
        return True


def merged(first: dict, second: dict | None = None) -> dict:
    """Both trees of dictionaries in one; the second's leaves win."""
    result = dict(first)
    for key, value in (second or {}).items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


class IBuilderConfig(QuantizationWishes):
    """Options of a build. When it starts, unsupported wishes are refused, and those without effect are logged."""

    avg_timing_iterations = 1
    min_timing_iterations = 1
    builder_optimization_level = 3
    profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
    default_device_type = DeviceType.GPU
    engine_capability = EngineCapability.STANDARD
    hardware_compatibility_level = HardwareCompatibilityLevel.NONE
    progress_monitor: IProgressMonitor | None = None
    profile_stream = 0
    max_aux_streams = 0
    DLA_core = -1
    algorithm_selector: IAlgorithmSelector | None = None

    def __init__(self) -> None:
        self.reset()
        self._closed = True

    def reset(self) -> None:
        for name in [n for n in vars(self) if not n.startswith("_")]:
            delattr(self, name)                           # what was set; the defaults are the class's
        self._flags = {BuilderFlag.TF32}
        self._profiles: list[IOptimizationProfile] = []
        self._pools: dict[MemoryPoolType, int] = {}
        self._cache: ITimingCache | None = None
        self._sources = 0
        self._reset_quantization()

    def set_flag(self, flag: BuilderFlag) -> None:
        self._flags.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._flags.discard(flag)

    def get_flag(self, flag: BuilderFlag) -> bool:
        return flag in self._flags

    @property
    def flags(self) -> int:
        """The flags that are set, as bits. ValueError for bits that stand for none."""
        return bits(self._flags, self._class(BuilderFlag))

    @flags.setter
    def flags(self, value: int) -> None:
        self._flags = members(value, self._class(BuilderFlag))

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._pools[pool] = int(pool_size)

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        """The workspace's default is all memory of the machine; pools of other devices have none."""
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return self._pools.get(pool, whole if pool == MemoryPoolType.WORKSPACE else 0)

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
        self._cache = cache
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

    def __enter__(self) -> IBuilderConfig:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
