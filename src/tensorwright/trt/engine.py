"""ICudaEngine: what an engine takes and gives."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..dims import Expr, evaluate
from ..errors import TensorwrightError
from ..plan.records import Plan, TensorInfo
from ..runtime import Engine
from .allocators import IGpuAllocator
from .bindings import EngineBindings
from .debug import kept, marked
from .engine_facts import EngineFacts
from .enums import (
    DataType,
    EngineCapability,
    HardwareCompatibilityLevel,
    ProfilingVerbosity,
    TensorFormat,
    TensorIOMode,
    TensorLocation,
)
from .enums import ExecutionContextAllocationStrategy as Strategy
from .foundation import IMPLICIT_BATCH, Dims, theirs
from .late import PARTIAL_SHAPE
from .lifetime import Lifetime
from .logger import ILogger, say
from .recorder import Recorded, Voice
from .serialization import EngineSerialization
from .shape_tensors import EngineShapes
from .weight_streaming import EngineStreaming
from .weights import REFIT

if TYPE_CHECKING:
    from .context import IExecutionContext
    from .inspector import EngineInspector
    from .working_memory import IRuntimeConfig

#: Where a plan remembers what IBuilderConfig.profiling_verbosity and hardware_compatibility_level were.
VERBOSITY, COMPATIBILITY = "profiling_verbosity", "hardware_compatibility_level"


class ICudaEngine(EngineBindings, EngineFacts, EngineShapes, EngineSerialization, EngineStreaming, Recorded, Lifetime):
    """An engine: immutable, shared by its contexts. Its tensors are its inputs in order, then its outputs."""

    def __init__(self, plan: Plan, logger: ILogger, allocator: IGpuAllocator | None = None) -> None:
        """allocator: who gives contexts their working memory; None: the system."""
        self._engine, self._allocator = Engine(plan), allocator
        self._budget, self._scratch = None, 0
        self._contexts: weakref.WeakSet[IExecutionContext] = weakref.WeakSet()
        self._debug_names, self._hidden = marked(plan)
        self._plan, self._logger = plan, Voice(logger)
        self._plugins = "plugins" in plan.metadata
        self._tensors: dict[str, TensorInfo] = {}
        self._input_names = tuple(i.name for i in self._engine.inputs)
        for info in (*self._engine.inputs, *self._engine.outputs):
            if info.name not in self._hidden:
                self._tensors.setdefault(info.name, info)
        self._names = list(self._tensors)
        self._closed = True

    def _known(self, name: str) -> TensorInfo | None:
        info = self._tensors.get(name)
        if info is None:
            self._error(f"the engine has no tensor {name!r}; it has {', '.join(self._names)}")
        return info

    def _error(self, text: str) -> None:
        say(self._logger, ILogger.ERROR, text)

    # ---- the engine as a whole

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def num_layers(self) -> int:
        """Those of all profiles, one after the other: each profile has a program of its own."""
        return sum(len(p.steps) for p in self._plan.programs)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._engine.profiles)

    @property
    def refittable(self) -> bool:
        """Whether a Refitter can replace its weights: it was built for that."""
        return REFIT in self._plan.metadata

    @property
    def engine_capability(self) -> EngineCapability:
        return EngineCapability.STANDARD

    @property
    def hardware_compatibility_level(self) -> HardwareCompatibilityLevel:
        """As it was built; whatever it was, plans run on other machines after being compiled again there."""
        return HardwareCompatibilityLevel[self._plan.metadata.get(COMPATIBILITY, HardwareCompatibilityLevel.NONE.name)]

    @property
    def num_aux_streams(self) -> int:
        return 0

    @property
    def tactic_sources(self) -> int:
        return 0

    @property
    def has_implicit_batch_dimension(self) -> bool:
        """Whether shapes leave out the batch, and `execute` takes it."""
        return IMPLICIT_BATCH in self._plan.metadata

    @property
    def profiling_verbosity(self) -> ProfilingVerbosity:
        return ProfilingVerbosity[self._plan.metadata.get(VERBOSITY, ProfilingVerbosity.LAYER_NAMES_ONLY.name)]

    def create_execution_context(self, strategy: Strategy | IRuntimeConfig = Strategy.STATIC,
                                 runtime_config: IRuntimeConfig | None = None) -> IExecutionContext | None:
        """A context, which takes its memory as the strategy or the runtime configuration says; None, with an error in
        the log, when that cannot be had."""
        from .context import IExecutionContext
        config = runtime_config or strategy
        try:
            made = self._class(IExecutionContext)(
                self, config if isinstance(config, Strategy) else config.get_execution_context_allocation_strategy())
            self._contexts.add(made)
            return made
        except (TensorwrightError, MemoryError) as error:
            self._logger.error(error)
            return None

    def create_execution_context_without_device_memory(self) -> IExecutionContext | None:
        """create_execution_context(USER_MANAGED), as generations 5 to 10 call it."""
        return self.create_execution_context(Strategy.USER_MANAGED)

    def create_runtime_config(self) -> IRuntimeConfig:
        from .working_memory import IRuntimeConfig
        return self._class(IRuntimeConfig)()

    def create_engine_inspector(self) -> EngineInspector:
        from .inspector import EngineInspector
        return self._class(EngineInspector)(self)

    # ---- its tensors

    @property
    def num_io_tensors(self) -> int:
        return len(self._names)

    def get_tensor_name(self, index: int) -> str | None:
        return self._names[index] if 0 <= index < len(self._names) else None

    def __getitem__(self, index: int | str) -> str | int:
        """The name of a number; up to generation 8 also the number of a name."""
        if isinstance(index, str):
            if self._number >= 10:
                raise TypeError("an engine is indexed by integers: its tensors' names are looked up by get_tensor_...")
            return self.get_binding_index(index)
        names = list(self)
        return names[index]

    def __iter__(self) -> Iterator[str]:
        """Names of all tensors; in generations 5 to 8 those of all bindings."""
        if 0 < self._number < 10:
            return (str(self.get_binding_name(i)) for i in range(self.num_bindings))
        return iter(self._names)

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        if self._known(name) is None:
            return TensorIOMode.NONE
        return TensorIOMode.INPUT if name in self._input_names else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> Dims:
        """-1 for sizes that only run time knows; an invalid Dims for an unknown name."""
        info = self._known(name)
        if info is None or info.shape is None:
            partial = self._plan.metadata.get(PARTIAL_SHAPE + name)
            return Dims.invalid() if partial is None else Dims(int(d) for d in partial.split(",") if d)
        return Dims(-1 if isinstance(d, Expr) else d for d in info.shape[int(self.has_implicit_batch_dimension):])

    def get_tensor_dtype(self, name: str) -> DataType:
        info = self._known(name)
        return DataType.FLOAT if info is None or info.dtype is None else theirs(info.dtype)

    def is_debug_tensor(self, name: str) -> bool:
        """Whether a tensor was marked when the network was defined, or is one of the unfused that were."""
        return name in self._debug_names.values() or name in kept(self._plan, 0)

    def get_tensor_location(self, name: str) -> TensorLocation:
        """HOST for shape tensors, whose values are read before anything runs."""
        on_host = name in self._tensors and self.is_shape_inference_io(name)
        return TensorLocation.HOST if on_host else TensorLocation.DEVICE

    def get_tensor_bytes_per_component(self, name: str, profile_index: int = 0) -> int:
        info = self._known(name)
        return -1 if info is None or info.dtype is None else info.dtype.itemsize

    def get_tensor_components_per_element(self, name: str, profile_index: int = 0) -> int:
        return -1 if self._known(name) is None else 1

    def get_tensor_format(self, name: str, profile_index: int = 0) -> TensorFormat:
        return TensorFormat.LINEAR

    def get_tensor_format_desc(self, name: str, profile_index: int = 0) -> str:
        info = self._known(name)
        return "" if info is None else f"Row-major linear {info.dtype} format"

    def get_tensor_vectorized_dim(self, name: str, profile_index: int = 0) -> int:
        return -1

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        """[min, opt, max] of an input; invalid Dims when the name or the index is wrong."""
        info = self._known(name)
        if info is None or info.shape is None or name not in self._input_names \
                or not 0 <= profile_index < self.num_optimization_profiles:
            return [Dims.invalid()] * 3
        profile = self._engine.profiles[profile_index]
        return [Dims(evaluate(d, env) for d in info.shape)
                for env in (profile.minimum(), profile.optimum(), profile.maximum())]
