"""What the tests of plugins share: loggers that remember, tiny builds, runs over host memory."""

from types import ModuleType
from typing import Any

import numpy as np


def logger(module: ModuleType) -> Any:
    """A logger of a generation; `lines` has what was said, `errors()` the errors of it."""
    class Log(module.ILogger if hasattr(module, "ILogger") else module.Logger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[tuple[int, str]] = []

        def log(self, severity: Any, msg: str) -> None:
            self.lines.append((int(severity), msg))

        def errors(self) -> str:
            return "\n".join(msg for severity, msg in self.lines if severity <= 1)
    return Log()


def started(module: ModuleType, log: Any = None, flags: int | None = None) -> tuple[Any, Any, Any]:
    """(builder, network of explicit batch, configuration without tuning)."""
    builder = module.Builder(log or logger(module))
    if flags is None:
        flags = 1 if 0 < builder._number < 10 else 0
    config = builder.create_builder_config()
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = 0
    return builder, builder.create_network(flags), config


def engine_of(module: ModuleType, builder: Any, network: Any, config: Any, log: Any = None) -> Any:
    """The engine, by way of its bytes."""
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, getattr(builder.logger, "errors", str)()
    engine = module.Runtime(log or logger(module)).deserialize_cuda_engine(plan)
    assert engine is not None, log.errors() if log else ""
    return engine


def run(context: Any, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs by name, for inputs by name; sizes that only the data decide through an allocator."""
    engine, held, allocators = context.engine, {}, {}
    for name in (engine.get_tensor_name(i) for i in range(engine.num_io_tensors)):
        if name in inputs:
            held[name] = np.ascontiguousarray(inputs[name])
            assert context.set_input_shape(name, held[name].shape)
    for name in (engine.get_tensor_name(i) for i in range(engine.num_io_tensors)):
        dtype = np.dtype("bool") if engine.get_tensor_dtype(name).name == "BOOL" else {
            "FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32, "INT64": np.int64, "INT8": np.int8,
            "UINT8": np.uint8}[engine.get_tensor_dtype(name).name]
        if name not in held:
            shape = context.get_tensor_shape(name)
            if shape.nbDims < 0 or any(d < 0 for d in shape):
                allocators[name] = Allocator(dtype)
                assert context.set_output_allocator(name, allocators[name])
                continue
            held[name] = np.full(tuple(shape), 77, dtype)
        assert context.set_tensor_address(name, held[name].ctypes.data)
    assert context.execute_async_v3(stream_handle=0)
    return {**held, **{name: a.array() for name, a in allocators.items()}}


class Allocator:
    """An output allocator over NumPy memory."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.memory, self.shape = np.dtype(dtype), np.empty(0, np.uint8), ()

    def reallocate_output(self, name: str, memory: int, size: int, alignment: int) -> int:
        self.memory = np.empty(max(size, 1), np.uint8)
        return self.memory.ctypes.data

    def reallocate_output_async(self, name: str, memory: int, size: int, alignment: int, stream: int) -> int:
        return self.reallocate_output(name, memory, size, alignment)

    def notify_shape(self, name: str, shape: Any) -> None:
        self.shape = tuple(shape)

    def array(self) -> np.ndarray:
        count = int(np.prod(self.shape)) * self.dtype.itemsize
        return self.memory[:count].view(self.dtype).reshape(self.shape)


def at(desc: Any, address: int) -> np.ndarray:
    """The tensor at an address, as scripts make arrays of host memory."""
    import ctypes
    kind = {"FLOAT": ctypes.c_float, "INT32": ctypes.c_int32, "INT64": ctypes.c_int64}[desc.type.name]
    count = int(np.prod(tuple(desc.dims)))
    return np.ctypeslib.as_array((kind * count).from_address(address)).reshape(tuple(desc.dims))
