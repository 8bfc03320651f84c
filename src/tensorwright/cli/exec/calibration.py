"""--calib: a calibration cache, as TensorRT's calibrators write it, in the place of a calibrator."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...trt import CalibrationAlgoType, IInt8Calibrator
from ...trt.calibration import NAMES
from .files import read


class CachedRanges(IInt8Calibrator):
    """Gives no batches: what the file says is all there is. InputError when it does not begin as a cache does."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._cache = read(path, "check the path of --calib")
        named = self._cache.split(b"\n", 1)[0].decode(errors="replace").strip().rpartition("-")[2]
        found = [algorithm for algorithm, name in NAMES.items() if name == named]
        if not found:
            raise InputError("this is no calibration cache: its first line does not name an algorithm", at=str(path),
                             algorithms=", ".join(NAMES.values()))
        self._algorithm = found[0]

    def get_algorithm(self) -> CalibrationAlgoType:
        return self._algorithm

    def read_calibration_cache(self) -> bytes:
        return self._cache
