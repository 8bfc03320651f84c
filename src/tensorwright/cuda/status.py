"""CUDA's status codes, their names and meanings. Source: the CUDA driver API, CUresult; runtime API, cudaError_t."""

from __future__ import annotations

import enum

from ..errors import DeviceError


class Status(enum.IntEnum):
    """Codes that both APIs share; the driver calls them CUDA_ERROR_<name>, and the first CUDA_SUCCESS."""

    SUCCESS = 0
    INVALID_VALUE = 1
    OUT_OF_MEMORY = 2
    NOT_INITIALIZED = 3
    DEINITIALIZED = 4
    NO_DEVICE = 100
    INVALID_DEVICE = 101
    INVALID_CONTEXT = 201
    INVALID_HANDLE = 400
    NOT_FOUND = 500
    NOT_READY = 600
    ILLEGAL_ADDRESS = 700
    NOT_SUPPORTED = 801

    @property
    def driver_name(self) -> str:
        return "CUDA_SUCCESS" if self is Status.SUCCESS else f"CUDA_ERROR_{self.name}"

    @property
    def runtime_name(self) -> str:
        return _RUNTIME[self][0]

    @property
    def meaning(self) -> str:
        return _RUNTIME[self][1]


_RUNTIME = {
    Status.SUCCESS: ("cudaSuccess", "no error"),
    Status.INVALID_VALUE: ("cudaErrorInvalidValue", "invalid argument"),
    Status.OUT_OF_MEMORY: ("cudaErrorMemoryAllocation", "out of memory"),
    Status.NOT_INITIALIZED: ("cudaErrorInitializationError", "initialization error"),
    Status.DEINITIALIZED: ("cudaErrorCudartUnloading", "driver shutting down"),
    Status.NO_DEVICE: ("cudaErrorNoDevice", "no CUDA-capable device is detected"),
    Status.INVALID_DEVICE: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    Status.INVALID_CONTEXT: ("cudaErrorDeviceUninitialized", "invalid device context"),
    Status.INVALID_HANDLE: ("cudaErrorInvalidResourceHandle", "invalid resource handle"),
    Status.NOT_FOUND: ("cudaErrorSymbolNotFound", "named symbol not found"),
    Status.NOT_READY: ("cudaErrorNotReady", "device not ready"),
    Status.ILLEGAL_ADDRESS: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    Status.NOT_SUPPORTED: ("cudaErrorNotSupported", "operation not supported"),
}


class DriverError(DeviceError):
    """A call that CUDA answers with an error code. `status` is the code."""

    def __init__(self, status: Status, what: str) -> None:
        super().__init__(f"{status.meaning}: {what}")
        self.status = status
