"""What scripts say about 8-bit integers: on a configuration and on a tensor. Generations 5 to 10."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .calibrators import IInt8Calibrator
from .enums import QuantizationFlag
from .enums.choice import bits, members
from .foundation import Closed
from .logger import ILogger, say

if TYPE_CHECKING:
    from .config import IOptimizationProfile


class QuantizationWishes(Closed):
    """IBuilderConfig's part: the calibrator, its profile, its flags."""

    _calibrator: IInt8Calibrator | None = None
    _calibration_profile: IOptimizationProfile | None = None
    _quantization_flags: frozenset[QuantizationFlag] = frozenset()

    def _reset_quantization(self) -> None:
        self._calibrator = self._calibration_profile = None
        self._quantization_flags = frozenset()

    @property
    def int8_calibrator(self) -> IInt8Calibrator | None:
        """Asked for batches when a network is built with BuilderFlag.INT8."""
        return self._calibrator

    @int8_calibrator.setter
    def int8_calibrator(self, calibrator: IInt8Calibrator | None) -> None:
        if calibrator is not None and not isinstance(calibrator, IInt8Calibrator):
            raise TypeError(f"int8_calibrator takes a calibrator, not {type(calibrator).__name__}")
        self._calibrator = calibrator

    def set_calibration_profile(self, profile: IOptimizationProfile) -> bool:
        """The shapes of batches: its opt. Without it, the first profile's count."""
        self._calibration_profile = profile
        return True

    def get_calibration_profile(self) -> IOptimizationProfile | None:
        return self._calibration_profile

    @property
    def quantization_flags(self) -> int:
        """The flags as bits. CALIBRATE_BEFORE_FUSION changes nothing: every tensor of the network is observed."""
        return bits(set(self._quantization_flags), self._class(QuantizationFlag))

    @quantization_flags.setter
    def quantization_flags(self, value: int) -> None:
        self._quantization_flags = frozenset(members(value, self._class(QuantizationFlag)))

    def set_quantization_flag(self, flag: QuantizationFlag) -> None:
        self._quantization_flags |= {flag}

    def clear_quantization_flag(self, flag: QuantizationFlag) -> None:
        self._quantization_flags -= {flag}

    def get_quantization_flag(self, flag: QuantizationFlag) -> bool:
        return flag in self._quantization_flags


class DynamicRange(Closed):
    """ITensor's part: the range of its values. It counts above what a calibrator finds."""

    _network: Any
    _name: str
    _range: tuple[float, float] | None = None

    @property
    def dynamic_range(self) -> tuple[float, float] | None:
        """(low, high), or None."""
        return self._range

    @dynamic_range.setter
    def dynamic_range(self, value: tuple[float, float]) -> None:
        try:
            low, high = value
        except (TypeError, ValueError):
            raise ValueError(f"dynamic_range takes two numbers, not {value!r}") from None
        if not self.set_dynamic_range(low, high):
            raise ValueError(f"dynamic_range {value!r} is not a range")

    def set_dynamic_range(self, min: float, max: float) -> bool:
        """False, with an error in the log, unless min <= max and both are finite."""
        low, high = float(min), float(max)
        if not -float("inf") < low <= high < float("inf"):
            say(self._network._logger, ILogger.ERROR, f"tensor {self._name!r}: {low} to {high} is not a range")
            return False
        self._range = (low, high)
        return True

    def get_dynamic_range(self) -> float:
        """The largest magnitude; -1 when there is no range."""
        return -1.0 if self._range is None else max(map(abs, self._range))

    def reset_dynamic_range(self) -> None:
        self._range = None
