"""The runtime API as cuda-python has it, as far as scripts for TensorRT use it. Every call returns (cudaError_t,
results...). `shim/` gives it as cuda.bindings.runtime, `cudart` as a C library.

Source: the reference of cuda-python and of the CUDA runtime API.
"""

from __future__ import annotations

import enum
from typing import Any

from . import calls as _c
from . import machine as _m
from .machine import MACHINE as _MACHINE
from .status import Status as _Status

cudaError_t = _c.statuses("cudaError_t", lambda s: s.runtime_name)
_call = _c.answering(cudaError_t, runtime=True)


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToHost = 0
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3
    cudaMemcpyDefault = 4


class cudaDeviceAttr(enum.IntEnum):
    cudaDevAttrMaxThreadsPerBlock = 1
    cudaDevAttrWarpSize = 10
    cudaDevAttrMultiProcessorCount = 16
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class cudaDeviceProp:
    """What the device is like."""

    def __init__(self) -> None:
        self.name = _m.device_name().encode()
        self.totalGlobalMem = _m.MACHINE.memory()[1]
        self.major, self.minor = _m.COMPUTE_CAPABILITY
        self.multiProcessorCount, self.warpSize, self.maxThreadsPerBlock = 1, 32, 1024
        self.clockRate, self.memoryClockRate, self.memoryBusWidth, self.l2CacheSize = 1000000, 1000000, 64, 1 << 25
        self.integrated = self.unifiedAddressing = self.managedMemory = 1


cudaStreamDefault, cudaStreamNonBlocking, cudaStreamLegacy, cudaStreamPerThread = 0, 1, 1, 2
cudaEventDefault, cudaEventBlockingSync, cudaEventDisableTiming = 0, 1, 2
cudaHostAllocDefault, cudaHostAllocPortable, cudaHostAllocMapped, cudaMemAttachGlobal = 0, 1, 2, 1


@_call
def cudaGetDeviceCount() -> int:
    return 1


@_call
def cudaGetDevice() -> int:
    return 0


@_call
def cudaSetDevice(device: int) -> None:
    _MACHINE.device(device)


@_call
def cudaGetDeviceProperties(device: int) -> cudaDeviceProp:
    _MACHINE.device(device)
    return cudaDeviceProp()


@_call
def cudaDeviceGetAttribute(attr: int, device: int) -> int:
    return _c.attribute(attr, device)


@_call
def cudaDeviceSynchronize() -> None: ...


@_call
def cudaDeviceReset() -> None:
    """All memory, streams and events of the process are gone."""
    _c.reset()


@_call
def cudaRuntimeGetVersion() -> int:
    return _m.VERSION


@_call
def cudaDriverGetVersion() -> int:
    return _m.VERSION


@_call
def cudaMemGetInfo() -> tuple[int, int]:
    return _MACHINE.memory()


@_call
def cudaMalloc(size: int) -> int:
    return _c.allocate(size) if size else 0


@_call
def cudaMallocAsync(size: int, stream: Any) -> int:
    _c.use_stream(stream)
    return _c.allocate(size) if size else 0


@_call
def cudaMallocManaged(size: int, flags: int = cudaMemAttachGlobal) -> int:
    return _c.pin(size)                                    # both sides may use it: host memory


@_call
def cudaFree(devPtr: Any) -> None:
    _c.unpin(devPtr) if int(devPtr) in _c._pinned else _c.release(devPtr)


@_call
def cudaFreeAsync(devPtr: Any, stream: Any) -> None:
    _c.use_stream(stream)
    _c.release(devPtr)


@_call
def cudaMallocHost(size: int) -> int:
    return _c.pin(size)


@_call
def cudaHostAlloc(size: int, flags: int) -> int:
    return _c.pin(size)


@_call
def cudaFreeHost(ptr: Any) -> None:
    _c.unpin(ptr)


@_call
def cudaMemcpy(dst: Any, src: Any, count: int, kind: Any) -> None:
    _c.copy(dst, src, count, int(kind))


@_call
def cudaMemcpyAsync(dst: Any, src: Any, count: int, kind: Any, stream: Any) -> None:
    _c.use_stream(stream)
    _c.copy(dst, src, count, int(kind))


@_call
def cudaMemset(devPtr: Any, value: int, count: int) -> None:
    _c.fill(devPtr, value, count)


@_call
def cudaMemsetAsync(devPtr: Any, value: int, count: int, stream: Any) -> None:
    _c.use_stream(stream)
    _c.fill(devPtr, value, count)


@_call
def cudaStreamCreate() -> int:
    return _c.new_stream()


@_call
def cudaStreamCreateWithFlags(flags: int) -> int:
    return _c.new_stream()


@_call
def cudaStreamCreateWithPriority(flags: int, priority: int) -> int:
    return _c.new_stream()


@_call
def cudaStreamDestroy(stream: Any) -> None:
    _c.end_stream(stream)


@_call
def cudaStreamSynchronize(stream: Any) -> None:
    _c.use_stream(stream)


@_call
def cudaStreamQuery(stream: Any) -> None:
    _c.use_stream(stream)


@_call
def cudaStreamWaitEvent(stream: Any, event: Any, flags: int = 0) -> None:
    _c.use_stream(stream)
    _MACHINE.event(int(event))


@_call
def cudaEventCreate() -> int:
    return _c.new_event()


@_call
def cudaEventCreateWithFlags(flags: int) -> int:
    return _c.new_event(not flags & cudaEventDisableTiming)


@_call
def cudaEventDestroy(event: Any) -> None:
    _c.end_event(event)


@_call
def cudaEventRecord(event: Any, stream: Any = 0) -> None:
    _c.record(event, stream)


@_call
def cudaEventSynchronize(event: Any) -> None:
    _MACHINE.event(int(event))


@_call
def cudaEventQuery(event: Any) -> None:
    _MACHINE.event(int(event))


@_call
def cudaEventElapsedTime(start: Any, end: Any) -> float:
    return _c.elapsed(start, end)


def cudaGetLastError() -> tuple[Any]:
    """The last error, which is forgotten."""
    return (cudaError_t(_c.last.taken()),)


def cudaPeekAtLastError() -> tuple[Any]:
    return (cudaError_t(_c.last.error),)


def cudaGetErrorName(error: Any) -> tuple[Any, bytes]:
    return cudaError_t(0), _described(error, "runtime_name")


def cudaGetErrorString(error: Any) -> tuple[Any, bytes]:
    return cudaError_t(0), _described(error, "meaning")


def _described(error: Any, what: str) -> bytes:
    known = int(error) in _Status.__members__.values()
    return str(getattr(_Status(int(error)), what)).encode() if known else b"unrecognized error code"


def _number(value: Any = 0) -> int:
    return int(value)


#: Handles are numbers here; these make one of a number, as scripts do.
cudaStream_t = cudaEvent_t = _number

__all__ = [name for name in dir() if name.startswith("cuda")]
