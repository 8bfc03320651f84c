"""What else IBuilderConfig remembers: wishes of newer generations, and where layers are to run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BuildError, UnsupportedError
from .enums import (
    BuilderFlag,
    DeviceType,
    HardwareCompatibilityLevel,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    PreviewFeature,
    RuntimePlatform,
    TilingOptimizationLevel,
)
from .foundation import Closed
from .logger import ILogger, say

if TYPE_CHECKING:
    from .config import IBuilderConfig
    from .layer import ILayer
    from .network import INetworkDefinition

#: What build_route may say: "-name=number ...", each at most once; and the numbers that are worth trying.
KNOBS: Mapping[str, tuple[int, ...]] = {
    "optimization_level": (0, 1, 2, 3),
    "max_num_tactics": (1, 4, 16, 64),
    "timing_iterations": (1, 8, 32),
    "threads": (1, 2, 4),
}

#: Flags that permit a lower precision.
PRECISIONS = (BuilderFlag.FP16, BuilderFlag.BF16, BuilderFlag.INT8, BuilderFlag.FP8, BuilderFlag.INT4, BuilderFlag.FP4)
#: Flags that say what layers' precisions mean.
CONSTRAINTS = (BuilderFlag.OBEY_PRECISION_CONSTRAINTS, BuilderFlag.PREFER_PRECISION_CONSTRAINTS,
               BuilderFlag.STRICT_TYPES)


class BuildWishes(Closed):
    """Defaults are TensorRT's."""

    max_num_tactics = -1
    runtime_platform = RuntimePlatform.SAME_AS_BUILD
    tiling_optimization_level = TilingOptimizationLevel.NONE
    l2_limit_for_tiling = 0
    remote_auto_tuning_config = ""
    build_route = ""
    plugins_to_serialize: Sequence[str] = ()

    def _reset_wishes(self) -> None:
        self._previews: dict[PreviewFeature, bool] = {PreviewFeature.PROFILE_SHARING_0806: True}
        self._devices: dict[ILayer, DeviceType] = {}

    def set_preview_feature(self, feature: PreviewFeature, enable: bool) -> None:
        self._previews[feature] = bool(enable)

    def get_preview_feature(self, feature: PreviewFeature) -> bool:
        """PROFILE_SHARING_0806 is on: contexts share profiles. Others are off until they are set."""
        return self._previews.get(feature, False)

    # ---- devices

    def set_device_type(self, layer: ILayer, device_type: DeviceType) -> None:
        self._devices[layer] = device_type

    def get_device_type(self: Any, layer: ILayer) -> DeviceType:
        """default_device_type when none was set."""
        found: DeviceType = self._devices.get(layer, self.default_device_type)
        return found

    def is_device_type_set(self, layer: ILayer) -> bool:
        return layer in self._devices

    def reset_device_type(self, layer: ILayer) -> None:
        self._devices.pop(layer, None)

    def can_run_on_DLA(self, layer: ILayer) -> bool:
        """False: this machine has no DLA."""
        return False

    # ---- routes

    @property
    def all_build_routes(self) -> str:
        """JSON: {knob: the numbers that build_route may give it}."""
        return json.dumps({f"-{name}": values for name, values in KNOBS.items()})

    def _route(self) -> dict[str, int]:
        """The knobs that build_route sets. UnsupportedError for others, and for what is no number."""
        found: dict[str, int] = {}
        for word in self.build_route.split():
            name, given, number = word.lstrip("-").partition("=")
            if not word.startswith("-") or name not in KNOBS or not given or not number.isdigit() or name in found:
                raise UnsupportedError(f"build_route: {word!r} is none of the knobs, or not a number, or a repetition",
                                       knobs=", ".join(f"-{n}=N" for n in KNOBS), try_="see all_build_routes")
            found[name] = int(number)
        return found


def check_devices(config: IBuilderConfig, logger: ILogger) -> None:
    """UnsupportedError for what only a DLA may do, a warning where this machine may do it instead."""
    wanted = [repr(layer.name) for layer, device in config._devices.items() if device == DeviceType.DLA]
    if config.default_device_type == DeviceType.DLA:
        wanted.append("every layer without a device of its own")
    if not wanted:
        return
    what = f"{', '.join(wanted)}: to run on {DeviceType.DLA}, which this machine does not have"
    if not config.get_flag(BuilderFlag.GPU_FALLBACK):
        raise UnsupportedError(what, try_="config.set_flag(BuilderFlag.GPU_FALLBACK), or DeviceType.GPU")
    say(logger, ILogger.WARNING, f"{what}; the CPU runs them instead")


def check_strong_types(network: INetworkDefinition, config: IBuilderConfig) -> None:
    """BuildError when types of a strongly typed network, which follow from its inputs, are to be others."""
    typed = NetworkDefinitionCreationFlag.STRONGLY_TYPED
    if not network.get_flag(typed):
        return
    for flag in (*PRECISIONS, *CONSTRAINTS):
        if config.get_flag(flag):
            raise BuildError(f"{flag} is set, and the network was made with {typed}: its types are those given",
                             try_=f"config.clear_flag({flag})")
    for layer in network._layers:
        if layer.precision_is_set or layer._output_types:
            what, undo = ("a precision", "reset_precision()") if layer.precision_is_set else \
                ("an output type", "reset_output_type(index)")
            raise BuildError(f"layer {layer.name!r} has {what} of its own, and the network was made with {typed}",
                             try_=f"layer.{undo}, and add_cast where the type is to change")


def check_portability(config: IBuilderConfig, logger: ILogger) -> None:
    """What the wishes for plans that move mean here: every plan has its network with it, and is compiled again by the
    runtime that finds its kernels unfit for the machine or made by another version."""
    moves = "on other machines and in other versions a plan's kernels are compiled and tuned again when it is loaded"
    if config.get_flag(BuilderFlag.VERSION_COMPATIBLE):
        say(logger, ILogger.INFO, f"{BuilderFlag.VERSION_COMPATIBLE} holds of every plan: {moves}")
    if config.hardware_compatibility_level != HardwareCompatibilityLevel.NONE:
        say(logger, ILogger.WARNING, f"{config.hardware_compatibility_level} restricts no kernels: {moves}")
    if config.runtime_platform != RuntimePlatform.SAME_AS_BUILD:
        say(logger, ILogger.WARNING, f"{config.runtime_platform}: kernels are made for this machine; {moves}")


def without_effect(config: IBuilderConfig) -> list[str]:
    """Names of wishes that were made and change nothing on a CPU."""
    made = {"max_aux_streams": config.max_aux_streams != 0,
            "extra_memory_target": any(p.extra_memory_target != 1.0 for p in config._profiles),
            "tiling_optimization_level": config.tiling_optimization_level != TilingOptimizationLevel.NONE,
            "l2_limit_for_tiling": config.l2_limit_for_tiling != 0,
            "remote_auto_tuning_config": bool(config.remote_auto_tuning_config),
            **{f"the limit of {pool}": True for pool in config._pools if pool != MemoryPoolType.WORKSPACE},
            "profile_stream": config.profile_stream != 0, "DLA_core": config.DLA_core != -1,
            **{str(feature): on for feature, on in config._previews.items()
               if feature not in (PreviewFeature.PROFILE_SHARING_0806, PreviewFeature.ALIASED_PLUGIN_IO_10_03)}}
    return [name for name, is_made in made.items() if is_made]
