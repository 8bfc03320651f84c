"""What an engine computes on: shapes, inputs from files or at random, memory of one context."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import BuildError, InputError, TensorwrightError, UnsupportedError
from ...runtime.memory import Arena
from ...trt import (
    Dims,
    ExecutionContextAllocationStrategy,
    ICudaEngine,
    IExecutionContext,
    IOutputAllocator,
    TensorIOMode,
)
from ...trt.foundation import ours
from ..values import network_of
from .files import read
from .flags import Asked
from .log import Log
from .syntax import Shapes, shown


def tensors(engine: ICudaEngine, mode: TensorIOMode) -> list[str]:
    return [n for i in range(engine.num_io_tensors) if (n := engine.get_tensor_name(i)) is not None
            and engine.get_tensor_mode(n) == mode]


def dtype_of(engine: ICudaEngine, name: str) -> np.dtype[Any]:
    """UnsupportedError for strings and complex numbers."""
    try:
        return ours(engine.get_tensor_dtype(name)).numpy
    except TypeError as error:
        raise UnsupportedError(f"tensor {name!r}: {error}", try_="wright run") from None


def shapes_of(engine: ICudaEngine, asked: Asked) -> Shapes:
    """The shape of each input: from --shapes, else the profile's usual one. --shapes gives shape tensors' values."""
    given: Shapes = dict(asked["shapes"] or {})
    profile = asked["useProfile"]
    if profile >= engine.num_optimization_profiles:
        raise InputError(f"--useProfile={profile}: the engine has {engine.num_optimization_profiles}")
    found: Shapes = {}
    for name in tensors(engine, TensorIOMode.INPUT):
        usual = engine.get_tensor_profile_shape(name, profile)[1]
        if usual.nbDims < 0:
            raise UnsupportedError(f"input {name!r} is not a tensor of known rank", try_="wright run")
        asked_for = given.pop(name, tuple(usual))
        found[name] = tuple(usual) if engine.is_shape_inference_io(name) else asked_for
    if given:
        raise InputError(f"--shapes: the engine has no input {next(iter(given))!r}", inputs=", ".join(found))
    return found


def inputs_of(engine: ICudaEngine, shapes: Shapes, asked: Asked, log: Log) -> dict[str, np.ndarray]:
    """Arrays for all inputs; random ones are the same at every run, and indices among them are inside what they index.
    """
    from ...builder.verify import random_feeds
    from ...ir.value_inputs import sizes_of
    from ...runtime.shapes import bind
    files: dict[str, str] = dict(asked["loadInputs"] or {})
    if unknown := [name for name in files if name not in shapes]:
        raise InputError(f"--loadInputs: the engine has no input {unknown[0]!r}", inputs=", ".join(shapes))
    random: Mapping[str, np.ndarray] = {}
    if len(files) < len(shapes):
        sizes = sizes_of(values_of(engine, asked), engine._engine.companions)
        random = random_feeds(network_of(engine._plan), bind(engine._engine.every_input, {**shapes, **sizes}), 0)
    arrays = {}
    for name, shape in shapes.items():
        if name in files:
            arrays[name] = loaded(name, files[name], shape, dtype_of(engine, name))
            log.info(f"Using values loaded from {files[name]} for input {name}")
        else:
            arrays[name] = np.array(random[name], order="C")
            log.info(f"Using {'its' if engine.is_shape_inference_io(name) else 'random'} values for input {name}")
        log.info(f"Input binding for {name} with dimensions {shown(shape)} is created.")
    return arrays


def values_of(engine: ICudaEngine, asked: Asked) -> dict[str, np.ndarray]:
    """The values of input shape tensors: from --shapes, else the usual ones of the profile."""
    given: Shapes = dict(asked["shapes"] or {})
    names = dict.fromkeys(name for name, _ in engine._engine.companions.values())
    usual = {n: engine.get_tensor_profile_values(asked["useProfile"], n)[1] for n in names}
    for name, values in usual.items():
        if len(given.get(name, values)) != len(values):
            raise InputError(f"--shapes: input {name!r} has {len(values)} values, {len(given[name])} are given")
    return {n: np.array(given.get(n, v), np.int64) for n, v in usual.items()}


def loaded(name: str, file: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """The raw little-endian elements in a file. InputError when it has another size."""
    content = read(file, "check the path in --loadInputs")
    expected = math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise InputError(f"{file} has {len(content)} bytes, input {name!r} takes {expected}",
                         shape=shown(shape), type=dtype, try_="write it with numpy.ndarray.tofile")
    return np.frombuffer(content, dtype).reshape(shape).copy()


STRATEGIES = {"static": ExecutionContextAllocationStrategy.STATIC,
              "profile": ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE,
              "runtime": ExecutionContextAllocationStrategy.USER_MANAGED}


class Growing(IOutputAllocator):
    """Memory for an output whose size the data decide."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        super().__init__()
        self._dtype, self._memory = dtype, np.empty(0, np.uint8)
        self._shape: tuple[int, ...] = ()

    def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
        if size > self._memory.nbytes:
            self._memory = np.empty(size, np.uint8)
        return self._memory.ctypes.data

    def notify_shape(self, tensor_name: str, shape: Dims) -> None:
        self._shape = tuple(shape)

    def array(self) -> np.ndarray:
        size = math.prod(self._shape) * self._dtype.itemsize
        return self._memory[:size].view(self._dtype).reshape(self._shape)


class Stream:
    """A context with its own memory for outputs; inputs are shared. query() runs it once."""

    def __init__(self, engine: ICudaEngine, inputs: Mapping[str, np.ndarray], profile: int, strategy: str) -> None:
        context = engine.create_execution_context(STRATEGIES[strategy])
        if context is None:
            raise BuildError("no execution context could be made: the log above says why")
        self.context: IExecutionContext = context
        context.set_optimization_profile_async(profile, 0)
        self._inputs = inputs
        for name, array in inputs.items():
            if not context.set_input_shape(name, array.shape):
                raise InputError(f"input {name!r} cannot be {shown(array.shape)}: the log above says why",
                                 try_="give --shapes inside the profile, or choose one with --useProfile")
            context.set_tensor_address(name, array.ctypes.data)
        self._outputs: dict[str, np.ndarray | Growing] = {}
        for name in tensors(engine, TensorIOMode.OUTPUT):
            shape = context.get_tensor_shape(name)
            if shape.nbDims < 0 or -1 in shape:
                self._outputs[name] = grower = Growing(dtype_of(engine, name))
                context.set_output_allocator(name, grower)
            else:
                self._outputs[name] = array = np.empty(tuple(shape), dtype_of(engine, name))
                context.set_tensor_address(name, array.ctypes.data)

        if strategy == "runtime":
            need = context.update_device_memory_size_for_shapes()
            self._arena = Arena(need)                     # page-aligned
            context.set_device_memory(self._arena.address, need)

    def query(self) -> None:
        if not self.context.execute_async_v3(0):
            raise TensorwrightError("the engine could not be run: the log above says why")

    def outputs(self) -> dict[str, np.ndarray]:
        """Of the last query."""
        return {name: o.array() if isinstance(o, Growing) else o for name, o in self._outputs.items()}
