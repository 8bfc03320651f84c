"""Runtime: serialized plans become engines."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import PlanError, TensorwrightError
from ..plan.records import Plan
from .allocators import Allocating
from .engine import ICudaEngine
from .enums import DLAWorkspaceAllocationStrategy, TempfileControlFlag
from .enums.choice import bits, members
from .lifetime import Lifetime
from .logger import ILogger, say
from .plugins.elder import IPluginFactory
from .plugins.finding import with_factory
from .plugins.registry import PluginUser
from .recorder import Recorded, Voice
from .streams import IStreamReader, IStreamReaderV2, received


class Runtime(Recorded, Allocating, PluginUser, Lifetime):
    """Makes engines of serialized plans.

    temporary_directory   where a plan lies while its engine lives, under no name; None: where the system has such files
    """

    max_threads = 1
    engine_host_code_allowed = False
    DLA_core = -1
    temporary_directory: str | None = None

    def __init__(self, logger: ILogger) -> None:
        self._logger = Voice(logger)
        self._tempfiles = set(TempfileControlFlag.__members__.values())
        self._closed = True

    @property
    def logger(self) -> ILogger:
        return self._logger.logger

    @property
    def num_DLA_cores(self) -> int:
        return 0

    @property
    def dla_workspace_allocation_strategy(self) -> DLAWorkspaceAllocationStrategy:
        """RuntimeError when set: this machine has no such device."""
        return DLAWorkspaceAllocationStrategy.DEFAULT

    @dla_workspace_allocation_strategy.setter
    def dla_workspace_allocation_strategy(self, value: DLAWorkspaceAllocationStrategy) -> None:
        raise RuntimeError(f"{value} cannot be set: this machine has no DLA")

    @property
    def tempfile_control_flags(self) -> int:
        """Which files an engine's plan may lie in, as bits: by default a temporary one, else one in memory."""
        return bits(self._tempfiles, self._class(TempfileControlFlag))

    @tempfile_control_flags.setter
    def tempfile_control_flags(self, value: int) -> None:
        self._tempfiles = set(members(value, self._class(TempfileControlFlag)))

    def load_runtime(self, path: str) -> Runtime | None:
        """None, with an error in the log: plans contain no runtime and need none but this one."""
        where = os.fspath(path)
        reason = "it is no runtime for plans of this package" if os.path.exists(where) else "there is no such file"
        say(self._logger, ILogger.ERROR, f"load_runtime: {where!r} cannot be loaded: {reason}")
        return None

    def deserialize_cuda_engine(self, serialized_engine: Any,
                                plugin_factory: IPluginFactory | None = None) -> ICudaEngine | None:
        """The engine; None, with an error in the log, when the bytes are not a sound plan.

        serialized_engine   bytes, or an IStreamReader or IStreamReaderV2 that gives them
        plugin_factory      makes the IPlugin of each layer that has one: generations 5 to 7
        A plan made on another machine or by another version is tuned again; the log says so.
        """
        if plugin_factory is not None and self._number >= 8:
            raise TypeError("deserialize_cuda_engine takes no plugin_factory since generation 8: register creators")
        from ..device.cpu import describe
        from ..plan.keys import why_rebuild
        if self.max_threads != 1:
            say(self._logger, ILogger.WARNING, "Runtime.max_threads has no effect; TENSORWRIGHT_THREADS bounds an "
                "engine's threads")
        if self.engine_host_code_allowed:
            say(self._logger, ILogger.INFO, "Runtime.engine_host_code_allowed has no effect: plans contain no runtime")
        try:
            streamed = isinstance(serialized_engine, (IStreamReader, IStreamReaderV2))
            plan = self._loaded(received(serialized_engine) if streamed else [serialized_engine])
            if why_rebuild(plan, describe()) is not None:
                from ..builder.fit import fit
                plan = fit(plan, note=lambda text: say(self._logger, ILogger.WARNING, text))
            if plugin_factory is not None:
                plan = with_factory(plan, plugin_factory)
            return self._class(ICudaEngine)(plan, self._logger, self._allocator)
        except (TensorwrightError, OSError) as error:
            self._logger.error(error)
            return None

    def _loaded(self, pieces: Iterable[Any]) -> Plan:
        """The plan of these bytes, mapped from a file that has no name any more."""
        from ..runtime import store
        with self._file() as path:
            with open(path, "wb") as file:
                for piece in pieces:
                    file.write(piece)
            return store.load(path)

    @contextmanager
    def _file(self) -> Iterator[str | Path]:
        """Where a plan may be written. PlanError when nowhere."""
        if TempfileControlFlag.ALLOW_TEMPORARY_FILES in self._tempfiles:
            with tempfile.TemporaryDirectory(prefix="tensorwright-", dir=self.temporary_directory) as folder:
                yield Path(folder) / "engine.plan"
        elif TempfileControlFlag.ALLOW_IN_MEMORY_FILES in self._tempfiles and hasattr(os, "memfd_create"):
            handle = os.memfd_create("tensorwright-engine")
            try:
                yield f"/proc/self/fd/{handle}"
            finally:
                os.close(handle)
        else:
            raise PlanError("tempfile_control_flags allow no file that a plan could be mapped from",
                            try_="allow TempfileControlFlag.ALLOW_TEMPORARY_FILES")
