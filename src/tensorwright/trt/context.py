"""IExecutionContext: shapes, addresses, execution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..cuda.memory import is_device
from ..dims import Expr, bounds, evaluate
from ..errors import InputError, TensorwrightError
from ..plan.records import TensorInfo
from ..runtime import Context
from ..runtime.memory import array_at
from ..runtime.shapes import bind
from .addresses import ContextAddresses, output_memory, place_of
from .bindings import ContextBindings
from .callbacks import IOutputAllocator, IProfiler, guarded
from .context_state import ContextState
from .debug import ContextDebug
from .engine import ICudaEngine
from .enums import ExecutionContextAllocationStrategy as Strategy
from .foundation import Dims, Shape
from .lifetime import Lifetime
from .logger import ILogger, say
from .plugins.session import submitted
from .recorder import Recorded, Voice
from .shape_tensors import ContextShapes
from .working_memory import ContextMemory


class IExecutionContext(ContextBindings, ContextAddresses, ContextShapes, ContextMemory, ContextDebug, ContextState,
                        Recorded, Lifetime):
    """One activation of an engine, for one thread at a time. Bool results say whether it worked; the log says why not.

    Addresses are host addresses of dense tensors in C order, which the caller keeps alive. Work runs when it is
    submitted, so a stream handle may be 0 or anything else, and there is nothing to wait for.
    """

    name = ""
    profiler: IProfiler | None = None
    enqueue_emits_profile = True
    debug_sync = False

    def __init__(self, engine: ICudaEngine, strategy: Strategy = Strategy.STATIC) -> None:
        self._engine, self._logger = engine, Voice(engine._logger)
        self._addresses: dict[str, int] = {}
        self._allocators: dict[str, IOutputAllocator] = {}
        self._emulated: list[str] = []
        self._stream = 0
        self._remember(strategy)
        self._start_debugging()
        self._start_state()
        self._given: dict[str, np.ndarray] = {}           # values of shape inputs, by set_shape_input
        self._used: dict[str, tuple[int, ...]] = {}       # values of shape inputs that the runtime's context has
        self._select(0)
        self._closed = True

    def _select(self, index: int) -> None:
        self._index = index
        self._profile = self._engine._engine.profiles[index]
        self._context: Context | None = None              # made for the first execution
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._fresh = False                               # the shapes here are those of the runtime's context
        self._ready = False                               # nothing changed since an execution that worked in place

    def _refuse(self, text: str) -> bool:
        say(self._logger, ILogger.ERROR, text)
        return False

    def _failed(self, error: Exception) -> bool:
        self._logger.error(error)
        return False

    @property
    def engine(self) -> ICudaEngine:
        return self._engine

    # ---- profiles and shapes

    @property
    def active_optimization_profile(self) -> int:
        return self._index

    @active_optimization_profile.setter
    def active_optimization_profile(self, index: int) -> None:
        if self._number >= 10:
            raise AttributeError("active_optimization_profile cannot be set: use set_optimization_profile_async")
        self.set_optimization_profile_async(index, 0)

    def set_optimization_profile_async(self, profile_index: int, stream_handle: Any) -> bool:
        """True; shapes set before are forgotten. RuntimeError for an index the engine lacks."""
        if not 0 <= profile_index < self._engine.num_optimization_profiles:
            raise RuntimeError(f"profile {profile_index} was asked for, the engine has "
                               f"{self._engine.num_optimization_profiles}")
        if profile_index != self._index:
            self._select(profile_index)
        return True

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        """False for an unknown name and for sizes outside the active profile."""
        info = self._engine._known(name)
        if info is None or name not in self._engine._input_names:
            return info is not None and self._refuse(f"{name!r} is not an input")
        if any(d < 0 for d in shape):
            return self._refuse(f"{name!r}: {tuple(shape)} has negative sizes")
        wanted = tuple(int(d) for d in shape)
        try:
            env = bind([info], {name: wanted})
        except InputError as error:
            return self._refuse(str(error))
        for symbol, (low, _, high) in self._profile.ranges:
            if symbol in env and not low <= env[symbol] <= high:
                return self._refuse(f"{name!r}: {wanted} is outside profile {self._index}: "
                                    f"{symbol} is {env[symbol]}, allowed is {low} to {high}")
        if self._shapes.get(name) != wanted:
            self._shapes[name], self._fresh, self._ready = wanted, False, False
        return True

    def get_tensor_shape(self, name: str) -> Dims:
        """Outputs are resolved as far as shapes are set, inputs when they are; -1 where unknown; invalid for an unknown
        name."""
        shape = self._whole_shape(name)
        return Dims(shape[1:]) if self._engine.has_implicit_batch_dimension and shape.nbDims > 0 else shape

    def _whole_shape(self, name: str) -> Dims:
        """Outputs are resolved as far as shapes are set, inputs when they are; -1 where unknown; invalid for an unknown
        name."""
        info = self._engine._known(name)
        if info is None:
            return Dims.invalid()
        if name in self._shapes:
            return Dims(self._shapes[name])
        if info.shape is None:
            return self._engine.get_tensor_shape(name)
        if name in self._engine._input_names:             # also where others of the same sizes are set
            return Dims(-1 if isinstance(d, Expr) else d for d in info.shape)
        try:
            env = self._env()
        except InputError as error:
            self._refuse(str(error))
            return Dims.invalid()
        return Dims(_resolved(d, env) for d in info.shape)

    def get_tensor_strides(self, name: str) -> Dims:
        """Elements between neighbours along each axis: dense, C order."""
        shape = self.get_tensor_shape(name)
        return shape if shape.nbDims < 0 else Dims(math.prod(shape[i + 1:]) for i in range(len(shape)))

    def get_max_output_size(self, name: str) -> int:
        """Bytes an output can need in the active profile; -1 when unknown."""
        info = self._engine._known(name)
        if info is None or info.shape is None or info.dtype is None:
            return -1
        ranges = {s: (r[0], r[2]) for s, r in self._profile.ranges}
        return math.prod(bounds(d, ranges)[1] for d in info.shape) * info.dtype.itemsize

    @property
    def all_binding_shapes_specified(self) -> bool:
        return not self.infer_shapes()


    # ---- execution

    def execute_async_v3(self, stream_handle: Any) -> bool:
        """Run with the shapes and addresses set. The results are there when it returns."""
        return self._execute(stream_handle)

    def execute_v2(self, bindings: list[int]) -> bool:
        """Run with one address per tensor of the engine, in its order; or with those of all bindings, of which the
        block of the active profile counts."""
        if self._engine.has_implicit_batch_dimension:
            return self._refuse("this engine has an implicit batch dimension: use execute or execute_async, which take "
                                "the batch size")
        return self._execute_list(self._block(bindings))

    def _execute_list(self, bindings: list[int]) -> bool:
        if len(bindings) != self._engine.num_io_tensors:
            return self._refuse(f"{len(bindings)} addresses were given for {self._engine.num_io_tensors} tensors")
        if not all([self.set_tensor_address(n, a) for n, a in zip(self._engine._names, bindings, strict=True)]):
            return False
        return self._execute()

    def report_to_profiler(self) -> bool:
        """Run once more and tell the profiler each layer's time. False without a profiler, or when the run fails."""
        try:
            return self.profiler is not None and self._profiled()
        except TensorwrightError as error:
            return self._failed(error)

    def _execute(self, stream: Any = 0) -> bool:
        if self._engine._plugins:
            submitted(stream)
        try:
            context = self._context if self._ready and self._context is not None else self._runner()
            if self._memory.is_users:
                context.restore()
            if self._ready and self.profiler is None and self._used == self._sizes():
                for name in self._emulated:                # freed since, perhaps
                    self._host(name)
                context.execute()
                return self._done(stream)
            if missing := self.infer_shapes():
                return self._refuse(f"no shape is set for input{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
            engine = self._engine._engine
            self._check_memory()
            self._make_room()
            hidden = self._engine._hidden
            wanted = [i.name for i in (*engine.inputs, *engine.outputs) if i.name not in {*self._allocators, *hidden}]
            if unset := [n for n in wanted if not self._addresses.get(n)]:
                if any(math.prod(self._whole_shape(n)) for n in unset):
                    return self._refuse(f"no address is set for {', '.join(unset)}")
            self._apply(context)
            owned = all(i.shape is not None for i in (*engine.inputs, *engine.outputs))
            self._ready = owned and not self._allocators and not unset and not self._overlap()
            worked = self._run_in_place(context) if self._ready else self._run_copied(context)
        except TensorwrightError as error:
            return self._failed(error)
        except RuntimeError as error:                     # shapes that contradict each other
            return self._refuse(str(error))
        if worked and self.profiler is not None and self.enqueue_emits_profile:
            worked = self._profiled()
        return worked and self._done(stream)

    def _done(self, stream: Any) -> bool:
        """After an execution that worked."""
        if self._event:
            self._inputs_consumed()
        if self._listener is not None:
            self._show(int(stream or 0))
        return True

    def _apply(self, context: Context) -> None:
        """Give the runtime's context the shapes set here. InputError when they contradict each other."""
        sizes = self._sizes()
        if self._fresh and sizes == self._used:
            return
        last: InputError | None = None
        for name, shape in [*self._shapes.items(), *sizes.items()]:    # of several that change, the last word counts
            last = None
            try:
                context.set_input_shape(name, shape)
            except InputError as error:
                last = error
        if last is not None:
            raise last
        self._fresh, self._used = True, sizes

    def _run_in_place(self, context: Context) -> bool:
        for name in (*self._engine._names, *self._engine._hidden):
            context.bind(name, self._host(name))
        self._emulated = [n for n in self._engine._names if is_device(self._addresses[n])]
        context.execute()
        return True

    def _run_copied(self, context: Context) -> bool:
        """Through arrays: for outputs whose size only the data decide, and for output allocators."""
        results = context.run(self._feeds())
        for info in self._engine._engine.outputs:
            value = np.asarray(results[info.name], order="C")
            if info.name in self._engine._debug_names:
                self._values[info.name] = value
            if info.name in self._engine._hidden:
                continue
            allocator = self._allocators.get(info.name)
            if allocator is not None:
                address = output_memory(allocator, info.name, self._addresses.get(info.name, 0), value.nbytes)
                if not address and value.nbytes:
                    return self._refuse(f"the output allocator gave no memory for {info.name!r}")
                self._addresses[info.name] = address
                guarded(allocator.notify_shape, info.name, Dims(value.shape))
            else:
                address = self._addresses[info.name]
            if value.size:
                place = place_of(address, value.nbytes, True, repr(info.name))
                array_at(place, value.shape, value.strides, value.dtype, writable=True)[...] = value
        return True

    def _feeds(self) -> dict[str, Any]:
        return {info.name: self._array(info) for info in self._engine._engine.inputs}

    def _array(self, info: TensorInfo) -> np.ndarray:
        """The input at its address."""
        if info.dtype is None or info.shape is None:
            raise InputError(f"input {info.name!r} has no known rank: run this engine with tensorwright.Engine")
        shape, dtype = tuple(self._whole_shape(info.name)), info.dtype.numpy
        strides = [math.prod(shape[i + 1:]) * dtype.itemsize for i in range(len(shape))]
        return array_at(self._host(info.name), shape, strides, dtype)

    def _profiled(self) -> bool:
        profiler = self.profiler
        assert profiler is not None
        for layer, seconds in self._runner().time_steps(self._feeds(), repeats=1):
            guarded(profiler.report_layer_time, layer, seconds * 1e3)
        return True


def _resolved(d: Any, env: dict[str, int]) -> int:
    try:
        return evaluate(d, env)
    except KeyError:
        return -1
