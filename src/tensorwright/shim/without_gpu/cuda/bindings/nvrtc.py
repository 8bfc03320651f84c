"""cuda.bindings.nvrtc: the run-time compiler of CUDA C++. Programs can be made and asked about; none is compiled here.

nvrtcCompileProgram answers NVRTC_ERROR_COMPILATION, and the program's log says what to do. Source: the reference of
cuda-python and of NVRTC.
"""

from __future__ import annotations

import ctypes
import enum
from typing import Any

from tensorwright.cuda import machine as _m

_LOG = (b"error: CUDA C++ is not compiled on a machine without a GPU. Let the plugin's enqueue work with NumPy on the "
        b"addresses it gets, or build where there is a GPU.\0")


class nvrtcResult(enum.IntEnum):
    NVRTC_SUCCESS = 0
    NVRTC_ERROR_OUT_OF_MEMORY = 1
    NVRTC_ERROR_PROGRAM_CREATION_FAILURE = 2
    NVRTC_ERROR_INVALID_INPUT = 3
    NVRTC_ERROR_INVALID_PROGRAM = 4
    NVRTC_ERROR_INVALID_OPTION = 5
    NVRTC_ERROR_COMPILATION = 6
    NVRTC_ERROR_BUILTIN_OPERATION_FAILURE = 7
    NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID = 10
    NVRTC_ERROR_INTERNAL_ERROR = 11


_OK = nvrtcResult.NVRTC_SUCCESS


class nvrtcProgram:
    """A program: its source, and whether compiling was tried."""

    def __init__(self, source: bytes) -> None:
        self.source, self.tried = source, False


def nvrtcVersion() -> tuple[nvrtcResult, int, int]:
    return _OK, _m.VERSION // 1000, _m.VERSION % 1000 // 10


def nvrtcGetErrorString(result: nvrtcResult) -> tuple[nvrtcResult, bytes]:
    return _OK, nvrtcResult(result).name.encode()


def nvrtcCreateProgram(src: bytes, name: bytes, numHeaders: int, headers: Any, includeNames: Any
                       ) -> tuple[nvrtcResult, nvrtcProgram | None]:
    if not isinstance(src, bytes):
        return nvrtcResult.NVRTC_ERROR_INVALID_INPUT, None
    return _OK, nvrtcProgram(src)


def nvrtcDestroyProgram(prog: nvrtcProgram) -> tuple[nvrtcResult]:
    return (_OK if isinstance(prog, nvrtcProgram) else nvrtcResult.NVRTC_ERROR_INVALID_PROGRAM,)


def nvrtcCompileProgram(prog: nvrtcProgram, numOptions: int, options: Any) -> tuple[nvrtcResult]:
    if not isinstance(prog, nvrtcProgram):
        return (nvrtcResult.NVRTC_ERROR_INVALID_PROGRAM,)
    prog.tried = True
    return (nvrtcResult.NVRTC_ERROR_COMPILATION,)


def nvrtcGetProgramLogSize(prog: nvrtcProgram) -> tuple[nvrtcResult, int]:
    """Bytes of the log, its closing zero included."""
    return _OK, len(_log(prog))


def nvrtcGetProgramLog(prog: nvrtcProgram, log: Any) -> tuple[nvrtcResult]:
    """log: a buffer of nvrtcGetProgramLogSize bytes. Scripts hand over `bytes`, which are written in place."""
    content = _log(prog)
    if isinstance(log, bytes):
        offset = bytes.__basicsize__ - 1                      # where CPython keeps the characters
        ctypes.memmove(id(log) + offset, content[: len(log)], min(len(log), len(content)))
    else:
        memoryview(log).cast("B")[: len(content)] = content
    return (_OK,)


def _log(prog: nvrtcProgram) -> bytes:
    return _LOG if prog.tried else b"\0"


def _nothing_compiled(prog: nvrtcProgram) -> tuple[nvrtcResult, None]:
    return nvrtcResult.NVRTC_ERROR_INVALID_PROGRAM, None


nvrtcGetPTXSize = nvrtcGetCUBINSize = _nothing_compiled


def nvrtcGetPTX(prog: nvrtcProgram, ptx: Any) -> tuple[nvrtcResult]:
    return (nvrtcResult.NVRTC_ERROR_INVALID_PROGRAM,)


nvrtcGetCUBIN = nvrtcGetPTX


__all__ = [n for n in globals() if n.startswith("nvrtc")]
