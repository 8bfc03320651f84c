"""IExecutionContext: shapes, addresses, execution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..cuda.memory import host, is_device
from ..dims import Expr, bounds, evaluate
from ..errors import InputError, TensorwrightError
from ..plan.records import TensorInfo
from ..runtime import Context
from ..runtime.memory import array_at
from ..runtime.shapes import bind
from .bindings import ContextBindings
from .callbacks import IOutputAllocator, IProfiler, guarded, is_defined
from .engine import ICudaEngine
from .foundation import Dims, Shape
from .logger import ILogger, say
from .recorder import Recorded, Voice

#: Alignment asked of output allocators, in bytes.
ALIGNMENT = 256


class IExecutionContext(ContextBindings, Recorded):
    """One activation of an engine, for one thread at a time. Bool results say whether it worked; the log says why not.

    Addresses are host addresses of dense tensors in C order, which the caller keeps alive. Work runs when it is
    submitted, so a stream handle may be 0 or anything else, and there is nothing to wait for.
    """

    name = ""
    profiler: IProfiler | None = None
    enqueue_emits_profile = True
    debug_sync = False

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._logger = engine, Voice(engine._logger)
        self._addresses: dict[str, int] = {}
        self._allocators: dict[str, IOutputAllocator] = {}
        self._emulated: list[str] = []
        self._select(0)
        self._closed = True

    def _select(self, index: int) -> None:
        self._index = index
        self._context: Context = self._engine._engine.context(index)
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
        for symbol, (low, _, high) in self._context.profile.ranges:
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
            return Dims.invalid()
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
        ranges = {s: (r[0], r[2]) for s, r in self._context.profile.ranges}
        return math.prod(bounds(d, ranges)[1] for d in info.shape) * info.dtype.itemsize

    @property
    def all_binding_shapes_specified(self) -> bool:
        return not self.infer_shapes()

    @property
    def all_shape_inputs_specified(self) -> bool:
        return True

    def infer_shapes(self) -> list[str]:
        """Inputs whose shape is not set yet; empty when all are. RuntimeError when those set contradict each other."""
        missing = [i.name for i in self._engine._engine.inputs if i.name not in self._shapes and i.shape is not None
                   and any(isinstance(d, Expr) for d in i.shape)]
        try:
            self._env()
        except InputError as error:
            raise RuntimeError(str(error)) from None
        return missing

    def _env(self) -> dict[str, int]:
        """Values of the symbols that the shapes set so far determine."""
        return bind(self._engine._engine.inputs, self._shapes)

    # ---- addresses

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """memory: where the tensor lies; 0 forgets it. False for an unknown name or a misaligned address."""
        info = self._engine._known(name)
        if info is None:
            return False
        address = int(memory)
        if info.dtype is not None and address % info.dtype.itemsize:
            return self._refuse(f"{name!r}: address {address:#x} is not aligned to {info.dtype}")
        if self._addresses.get(name) != address:
            self._addresses[name], self._ready = address, False
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def set_output_allocator(self, name: str, output_allocator: IOutputAllocator | None) -> bool:
        """Ask output_allocator for the output's memory at each execution; None asks for an address again."""
        if self._engine._known(name) is None or name in self._engine._input_names:
            return False
        self._ready = False
        if output_allocator is None:
            self._allocators.pop(name, None)
        else:
            self._allocators[name] = output_allocator
        return True

    def get_output_allocator(self, name: str) -> IOutputAllocator | None:
        return self._allocators.get(name)

    # ---- execution

    def execute_async_v3(self, stream_handle: Any) -> bool:
        """Run with the shapes and addresses set. The results are there when it returns."""
        return self._execute()

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
        if not all([self.set_tensor_address(n, int(a)) for n, a in zip(self._engine._names, bindings, strict=True)]):
            return False
        return self._execute()

    def report_to_profiler(self) -> bool:
        """Run once more and tell the profiler each layer's time. False without a profiler, or when the run fails."""
        try:
            return self.profiler is not None and self._profiled()
        except TensorwrightError as error:
            return self._failed(error)

    def _execute(self) -> bool:
        try:
            if self._ready and self.profiler is None:
                for name in self._emulated:                # freed since, perhaps
                    self._host(name)
                self._context.execute()
                return True
            if missing := self.infer_shapes():
                return self._refuse(f"no shape is set for input{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
            engine = self._engine._engine
            wanted = [i.name for i in (*engine.inputs, *engine.outputs) if i.name not in self._allocators]
            if unset := [n for n in wanted if not self._addresses.get(n)]:
                if any(math.prod(self._whole_shape(n)) for n in unset):
                    return self._refuse(f"no address is set for {', '.join(unset)}")
            self._apply()
            owned = all(i.shape is not None for i in (*engine.inputs, *engine.outputs))
            self._ready = owned and not self._allocators and not unset
            worked = self._run_in_place() if self._ready else self._run_copied()
        except TensorwrightError as error:
            return self._failed(error)
        except RuntimeError as error:                     # shapes that contradict each other
            return self._refuse(str(error))
        if worked and self.profiler is not None and self.enqueue_emits_profile:
            return self._profiled()
        return worked

    def _apply(self) -> None:
        """Give the runtime's context the shapes set here. InputError when they contradict each other."""
        if self._fresh:
            return
        last: InputError | None = None
        for name, shape in self._shapes.items():          # while several inputs change, only the last word counts
            last = None
            try:
                self._context.set_input_shape(name, shape)
            except InputError as error:
                last = error
        if last is not None:
            raise last
        self._fresh = True

    def _run_in_place(self) -> bool:
        for name in self._engine._names:
            self._context.bind(name, self._host(name))
        self._emulated = [n for n in self._engine._names if is_device(self._addresses[n])]
        self._context.execute()
        return True

    def _host(self, name: str) -> int:
        """The host address of a tensor; of emulated device memory, checked to hold all of the tensor."""
        address = self._addresses.get(name, 0)
        if not is_device(address):
            return address
        size = self._engine.get_tensor_bytes_per_component(name) * math.prod(self._whole_shape(name))
        return host(address, size)

    def _run_copied(self) -> bool:
        """Through arrays: for outputs whose size only the data decide, and for output allocators."""
        results = self._context.run(self._feeds())
        for info in self._engine._engine.outputs:
            value = np.ascontiguousarray(results[info.name])
            allocator = self._allocators.get(info.name)
            if allocator is not None:
                address = _allocated(allocator, info.name, self._addresses.get(info.name, 0), value.nbytes)
                if not address and value.nbytes:
                    return self._refuse(f"the output allocator gave no memory for {info.name!r}")
                guarded(allocator.notify_shape, info.name, Dims(value.shape))
            else:
                address = self._addresses[info.name]
            if value.size:
                place = host(address, value.nbytes)
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
        for layer, seconds in self._context.time_steps(self._feeds(), repeats=1):
            guarded(profiler.report_layer_time, layer, seconds * 1e3)
        return True

    def __enter__(self) -> IExecutionContext:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def _resolved(d: Any, env: dict[str, int]) -> int:
    try:
        return evaluate(d, env)
    except KeyError:
        return -1


def _allocated(allocator: IOutputAllocator, name: str, current: int, size: int) -> int:
    """The address an allocator gives, by whichever of the two hooks it defines; 0 when it defines neither."""
    if is_defined(allocator, "reallocate_output_async"):
        return int(guarded(allocator.reallocate_output_async, name, current, size, ALIGNMENT, 0) or 0)
    return int(guarded(allocator.reallocate_output, name, current, size, ALIGNMENT) or 0)
