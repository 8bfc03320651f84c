"""Interfaces that users implement to calibrate a network for 8-bit integers: generations 5 to 10.

A subclass calls the base's __init__ and defines get_batch_size, get_batch, read_calibration_cache and
write_calibration_cache. `calibration` calls them. Exceptions raised inside are printed and count as failure.
"""

from __future__ import annotations

from typing import Any

from .enums import CalibrationAlgoType


class IInt8Calibrator:
    """Gives batches of inputs, and keeps what was found. Define get_algorithm too when you derive from this class."""

    def __init__(self) -> None:
        pass

    def get_batch_size(self) -> int:
        """Samples in a batch. It counts for networks with an implicit batch dimension; others have it in their shapes,
        which are the calibration profile's opt."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_batch_size")

    def get_batch(self, names: list[str]) -> list[int] | None:
        """The address of the next batch of each of these inputs, on the device or the host; None or an empty list when
        there are no more."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_batch")

    def get_algorithm(self) -> CalibrationAlgoType:
        raise NotImplementedError(f"{type(self).__name__} does not define get_algorithm")

    def read_calibration_cache(self) -> Any:
        """Bytes that write_calibration_cache was given before: then get_batch is not called. None: there are none."""
        return None

    def write_calibration_cache(self, cache: Any) -> None:
        """Keep these bytes, a memoryview, if you like."""


class IInt8EntropyCalibrator(IInt8Calibrator):
    """Ranges that keep as much information as they can, by Kullback-Leibler divergence."""

    def get_algorithm(self) -> CalibrationAlgoType:
        return CalibrationAlgoType.ENTROPY_CALIBRATION


class IInt8EntropyCalibrator2(IInt8Calibrator):
    """The same, without the weight of the many zeros that activations make."""

    def get_algorithm(self) -> CalibrationAlgoType:
        return CalibrationAlgoType.ENTROPY_CALIBRATION_2


class IInt8MinMaxCalibrator(IInt8Calibrator):
    """Ranges that hold all values."""

    def get_algorithm(self) -> CalibrationAlgoType:
        return CalibrationAlgoType.MINMAX_CALIBRATION


class IInt8LegacyCalibrator(IInt8Calibrator):
    """Ranges that hold a share of the values, `get_quantile`."""

    def get_algorithm(self) -> CalibrationAlgoType:
        return CalibrationAlgoType.LEGACY_CALIBRATION

    def get_quantile(self) -> float:
        """Between 0 and 1."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_quantile")

    def get_regression_cutoff(self) -> float:
        """TensorRT's regression beyond a share of the maximum; it is not documented, and not done here."""
        return 1.0

    def read_histogram_cache(self, length: int) -> Any:
        """Bytes that write_histogram_cache was given before: then get_batch is not called. None: there are none."""
        return None

    def write_histogram_cache(self, ptr: Any, length: int) -> None:
        """Keep these bytes, a memoryview of that length, if you like."""
