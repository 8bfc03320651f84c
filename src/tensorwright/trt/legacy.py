"""Options that generations 5 to 7 keep on the Builder itself; build_cuda_engine reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .calibrators import IInt8Calibrator
from .enums import BuilderFlag
from .foundation import Closed

if TYPE_CHECKING:
    from .config import IBuilderConfig


class BuilderOptions(Closed):
    """max_batch_size counts for networks with an implicit batch dimension only; max_workspace_size in bytes, 0: all."""

    max_batch_size = 1
    max_workspace_size = 0
    fp16_mode = False
    int8_mode = False
    strict_type_constraints = False
    refittable = False
    debug_sync = False
    min_find_iterations = 1
    average_find_iterations = 1
    int8_calibrator: IInt8Calibrator | None = None

    def _config(self: Any) -> IBuilderConfig:
        """The same wishes as a configuration."""
        config: IBuilderConfig = self.create_builder_config()
        for wanted, flag in ((self.fp16_mode, BuilderFlag.FP16), (self.int8_mode, BuilderFlag.INT8),
                             (self.strict_type_constraints, BuilderFlag.STRICT_TYPES),
                             (self.refittable, BuilderFlag.REFIT), (self.debug_sync, BuilderFlag.DEBUG)):
            if wanted:
                config.set_flag(flag)
        if self.max_workspace_size:
            config.max_workspace_size = self.max_workspace_size
        config.int8_calibrator = self.int8_calibrator
        config.avg_timing_iterations = self.average_find_iterations
        config.min_timing_iterations = self.min_find_iterations
        return config
