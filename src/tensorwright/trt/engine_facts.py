"""What an engine tells of its weights and memory, and which of its outputs lie in the memory of inputs."""

from __future__ import annotations

import math
from typing import Any

from ..plan.refit import NETWORK, Hollow
from .enums import EngineStat
from .foundation import Closed

#: Plan.metadata["aliased/<output>"] is the input that an output is meant to lie in.
ALIASED = "aliased/"


class EngineFacts(Closed):
    """Part of ICudaEngine."""

    def get_aliased_input_tensor(self: Any, name: str) -> str | None:
        """The input whose memory an output is meant to share, to be updated in place; None for other tensors."""
        found = self._plan.metadata.get(f"{ALIASED}{name}")
        return found if name in self._tensors and found in self._input_names else None

    def get_engine_stat(self: Any, stat: EngineStat = EngineStat.TOTAL_WEIGHTS_SIZE) -> int:
        """Bytes of the network's weights; of those that a stripped plan lacks, -1 when it lacks none."""
        weights = self._plan.weights
        absent = {n: math.prod(shape) * dtype.itemsize for n, (dtype, shape) in weights.absent.items()} \
            if isinstance(weights, Hollow) else {}
        stripped = sum(size for name, size in absent.items() if name.startswith(NETWORK))
        if stat == EngineStat.STRIPPED_WEIGHTS_SIZE:
            return stripped if absent else -1
        there = [name for name in weights if name.startswith(NETWORK) and name not in absent]
        return stripped + sum(weights[name].nbytes for name in there)

    @property
    def device_memory_size(self: Any) -> int:
        """Bytes of working memory of a context, for the largest profile."""
        return max(p.arena_bytes for p in self._plan.programs)

    device_memory_size_v2 = device_memory_size

    def get_device_memory_size_for_profile(self: Any, profile_index: int) -> int:
        """0, with an error in the log, for a profile that the engine lacks."""
        if not 0 <= profile_index < len(self._plan.programs):
            self._error(f"profile {profile_index} was asked for, the engine has {len(self._plan.programs)}")
            return 0
        return int(self._plan.programs[profile_index].arena_bytes)

    get_device_memory_size_for_profile_v2 = get_device_memory_size_for_profile
