"""cuda.bindings.driver, as far as scripts for TensorRT use it. Every call returns (CUresult, results...).

Source: the reference of cuda-python and of the CUDA driver API.
"""

from __future__ import annotations

import enum
from typing import Any

from tensorwright.cuda import calls as _c
from tensorwright.cuda import machine as _m
from tensorwright.cuda.machine import MACHINE as _MACHINE
from tensorwright.cuda.status import Status as _Status

CUresult = _c.statuses("CUresult", lambda s: s.driver_name)
_call = _c.answering(CUresult, runtime=False)


class CUdevice_attribute(enum.IntEnum):
    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1
    CU_DEVICE_ATTRIBUTE_WARP_SIZE = 10
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16
    CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING = 41
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76


class CUctx_flags(enum.IntEnum):
    CU_CTX_SCHED_AUTO = 0
    CU_CTX_SCHED_SPIN = 1
    CU_CTX_SCHED_YIELD = 2
    CU_CTX_SCHED_BLOCKING_SYNC = 4


class CUstream_flags(enum.IntEnum):
    CU_STREAM_DEFAULT = 0
    CU_STREAM_NON_BLOCKING = 1


class CUevent_flags(enum.IntEnum):
    CU_EVENT_DEFAULT = 0
    CU_EVENT_BLOCKING_SYNC = 1
    CU_EVENT_DISABLE_TIMING = 2


@_call
def cuInit(Flags: int) -> None:
    _MACHINE.initialise()


@_call
def cuDriverGetVersion() -> int:
    return _m.VERSION


@_call
def cuDeviceGetCount() -> int:
    _MACHINE.device(0)
    return 1


@_call
def cuDeviceGet(ordinal: int) -> int:
    return _MACHINE.device(ordinal)


@_call
def cuDeviceGetName(length: int, dev: int) -> bytes:
    _MACHINE.device(int(dev))
    return _m.device_name().encode()[: max(0, length - 1)]


@_call
def cuDeviceTotalMem(dev: int) -> int:
    _MACHINE.device(int(dev))
    return _MACHINE.memory()[1]


@_call
def cuDeviceGetAttribute(attrib: int, dev: int) -> int:
    return _c.attribute(attrib, dev)


@_call
def cuCtxCreate(*args: Any) -> int:
    """(flags, device), or (parameters, flags, device) as later versions have it."""
    _MACHINE.device(int(args[-1]))
    return _MACHINE.create().handle


@_call
def cuCtxDestroy(ctx: Any) -> None:
    _MACHINE.destroy(_c.context(ctx))


@_call
def cuCtxPushCurrent(ctx: Any) -> None:
    _MACHINE.push(_c.context(ctx))


@_call
def cuCtxPopCurrent() -> int:
    return _MACHINE.pop().handle


@_call
def cuCtxGetCurrent() -> int:
    return _MACHINE.stack[-1].handle if _MACHINE.stack else 0


@_call
def cuCtxSetCurrent(ctx: Any) -> None:
    """In the place of the current one; 0: none."""
    if _MACHINE.stack:
        _MACHINE.stack.pop()
    if int(ctx):
        _MACHINE.push(_c.context(ctx))


@_call
def cuCtxGetDevice() -> int:
    _MACHINE.current()
    return 0


@_call
def cuCtxSynchronize() -> None:
    _MACHINE.current()


@_call
def cuDevicePrimaryCtxRetain(dev: int) -> int:
    _MACHINE.device(int(dev))
    return _MACHINE.retain().handle


@_call
def cuDevicePrimaryCtxRelease(dev: int) -> None:
    _MACHINE.drop()


@_call
def cuMemGetInfo() -> tuple[int, int]:
    _MACHINE.current()
    return _MACHINE.memory()


@_call
def cuMemAlloc(bytesize: int) -> int:
    return _c.allocate(bytesize)


@_call
def cuMemAllocAsync(bytesize: int, hStream: Any) -> int:
    _c.use_stream(hStream)
    return _c.allocate(bytesize)


@_call
def cuMemFree(dptr: Any) -> None:
    _MACHINE.current()
    _c.release(dptr)


@_call
def cuMemFreeAsync(dptr: Any, hStream: Any) -> None:
    _c.use_stream(hStream)
    _c.release(dptr)


@_call
def cuMemAllocHost(bytesize: int) -> int:
    return _c.pin(bytesize)


@_call
def cuMemHostAlloc(bytesize: int, Flags: int) -> int:
    return _c.pin(bytesize)


@_call
def cuMemFreeHost(p: Any) -> None:
    _c.unpin(p)


@_call
def cuMemcpy(dst: Any, src: Any, ByteCount: int) -> None:
    _c.copy(dst, src, ByteCount)


@_call
def cuMemcpyHtoD(dstDevice: Any, srcHost: Any, ByteCount: int) -> None:
    _c.copy(dstDevice, srcHost, ByteCount, 1)


@_call
def cuMemcpyHtoDAsync(dstDevice: Any, srcHost: Any, ByteCount: int, hStream: Any) -> None:
    _c.use_stream(hStream)
    _c.copy(dstDevice, srcHost, ByteCount, 1)


@_call
def cuMemcpyDtoH(dstHost: Any, srcDevice: Any, ByteCount: int) -> None:
    _c.copy(dstHost, srcDevice, ByteCount, 2)


@_call
def cuMemcpyDtoHAsync(dstHost: Any, srcDevice: Any, ByteCount: int, hStream: Any) -> None:
    _c.use_stream(hStream)
    _c.copy(dstHost, srcDevice, ByteCount, 2)


@_call
def cuMemcpyDtoD(dstDevice: Any, srcDevice: Any, ByteCount: int) -> None:
    _c.copy(dstDevice, srcDevice, ByteCount, 3)


@_call
def cuMemcpyDtoDAsync(dstDevice: Any, srcDevice: Any, ByteCount: int, hStream: Any) -> None:
    _c.use_stream(hStream)
    _c.copy(dstDevice, srcDevice, ByteCount, 3)


@_call
def cuMemsetD8(dstDevice: Any, uc: int, N: int) -> None:
    _c.fill(dstDevice, uc, N)


@_call
def cuMemsetD32(dstDevice: Any, ui: int, N: int) -> None:
    _c.fill(dstDevice, ui, 4 * N, 4)


@_call
def cuStreamCreate(Flags: int) -> int:
    return _c.new_stream()


@_call
def cuStreamDestroy(hStream: Any) -> None:
    _c.end_stream(hStream)


@_call
def cuStreamSynchronize(hStream: Any) -> None:
    _MACHINE.current()
    _c.use_stream(hStream)


@_call
def cuStreamQuery(hStream: Any) -> None:
    _c.use_stream(hStream)


@_call
def cuEventCreate(Flags: int) -> int:
    return _c.new_event(not Flags & CUevent_flags.CU_EVENT_DISABLE_TIMING)


@_call
def cuEventDestroy(hEvent: Any) -> None:
    _c.end_event(hEvent)


@_call
def cuEventRecord(hEvent: Any, hStream: Any) -> None:
    _c.record(hEvent, hStream)


@_call
def cuEventSynchronize(hEvent: Any) -> None:
    _MACHINE.event(int(hEvent))


@_call
def cuEventElapsedTime(hStart: Any, hEnd: Any) -> float:
    return _c.elapsed(hStart, hEnd)


def cuGetErrorName(error: Any) -> tuple[Any, bytes]:
    return CUresult(0), _Status(int(error)).driver_name.encode()


def cuGetErrorString(error: Any) -> tuple[Any, bytes]:
    return CUresult(0), _Status(int(error)).meaning.encode()


def _number(value: Any = 0) -> int:
    return int(value)


#: Handles are numbers here; these make one of a number, as scripts do.
CUdevice = CUcontext = CUdeviceptr = CUstream = CUevent = _number

__all__ = [name for name in dir() if name.startswith(("cu", "CU"))]
