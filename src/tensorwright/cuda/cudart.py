"""libcudart.so for machines without a GPU: programs that load it by ctypes find `runtime` behind it.

The library is written here, from LLVM IR and without a C compiler. Its functions jump through a table. On the first
call the library asks the Python interpreter of its process to import this module, whose `fill` puts callbacks there:
memory that was allocated through the library is memory the engine knows. A process without an interpreter, or one that
cannot import tensorwright, is told that there is no device (cudaErrorNoDevice).

Source: the reference of the CUDA runtime API, version 12.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__, settings
from ..files import whole_file
from . import calls, machine, runtime
from .status import Status

SONAME = "libcudart.so.12"
#: What a program may ask for: the same library under each name.
NAMES = ("libcudart.so", SONAME, "libcudart.so.11.0", "libcudart.so.13")
#: Code for every x86-64 machine.
TARGET = ("x86_64-unknown-linux-gnu", "x86-64", "")
UNKNOWN = 999                                          # cudaErrorUnknown

_INT, _UINT, _SIZE, _FLOAT = ctypes.c_int, ctypes.c_uint, ctypes.c_size_t, ctypes.c_float
_POINTER = ctypes.c_size_t                             # so that callbacks are given numbers, 0 for null
#: Function → what its first parameters point to, where results go; the types of the others. All return a cudaError_t.
FUNCTIONS: dict[str, tuple[tuple[type, ...], tuple[type, ...]]] = {
    "cudaGetDeviceCount": ((_INT,), ()),
    "cudaGetDevice": ((_INT,), ()),
    "cudaSetDevice": ((), (_INT,)),
    "cudaDeviceGetAttribute": ((_INT,), (_INT, _INT)),
    "cudaDeviceSynchronize": ((), ()),
    "cudaDeviceReset": ((), ()),
    "cudaRuntimeGetVersion": ((_INT,), ()),
    "cudaDriverGetVersion": ((_INT,), ()),
    "cudaMemGetInfo": ((_SIZE, _SIZE), ()),
    "cudaMalloc": ((_POINTER,), (_SIZE,)),
    "cudaMallocAsync": ((_POINTER,), (_SIZE, _POINTER)),
    "cudaMallocManaged": ((_POINTER,), (_SIZE, _UINT)),
    "cudaFree": ((), (_POINTER,)),
    "cudaFreeAsync": ((), (_POINTER, _POINTER)),
    "cudaMallocHost": ((_POINTER,), (_SIZE,)),
    "cudaHostAlloc": ((_POINTER,), (_SIZE, _UINT)),
    "cudaFreeHost": ((), (_POINTER,)),
    "cudaMemcpy": ((), (_POINTER, _POINTER, _SIZE, _INT)),
    "cudaMemcpyAsync": ((), (_POINTER, _POINTER, _SIZE, _INT, _POINTER)),
    "cudaMemset": ((), (_POINTER, _INT, _SIZE)),
    "cudaMemsetAsync": ((), (_POINTER, _INT, _SIZE, _POINTER)),
    "cudaStreamCreate": ((_POINTER,), ()),
    "cudaStreamCreateWithFlags": ((_POINTER,), (_UINT,)),
    "cudaStreamCreateWithPriority": ((_POINTER,), (_UINT, _INT)),
    "cudaStreamDestroy": ((), (_POINTER,)),
    "cudaStreamSynchronize": ((), (_POINTER,)),
    "cudaStreamQuery": ((), (_POINTER,)),
    "cudaStreamWaitEvent": ((), (_POINTER, _POINTER, _UINT)),
    "cudaEventCreate": ((_POINTER,), ()),
    "cudaEventCreateWithFlags": ((_POINTER,), (_UINT,)),
    "cudaEventDestroy": ((), (_POINTER,)),
    "cudaEventRecord": ((), (_POINTER, _POINTER)),
    "cudaEventSynchronize": ((), (_POINTER,)),
    "cudaEventQuery": ((), (_POINTER,)),
    "cudaEventElapsedTime": ((_FLOAT,), (_POINTER, _POINTER)),
    "cudaGetLastError": ((), ()),
    "cudaPeekAtLastError": ((), ()),
    "cudaGetDeviceProperties": ((), (_POINTER, _INT)),
    "cudaGetDeviceProperties_v2": ((), (_POINTER, _INT)),
}
#: Those that return text; what they say where there is no device.
TEXTS = {"cudaGetErrorName": "cudaErrorNoDevice", "cudaGetErrorString": "no CUDA-capable device is detected"}


def supported() -> bool:
    """Whether such a library can be made for this system."""
    return sys.platform.startswith("linux") and platform.machine() == "x86_64" and sys.maxsize > 2 ** 32


def folder() -> Path:
    """A folder with the library under all its names, in the cache folder. Raises OSError when it cannot be written."""
    text = source()
    from ..device.shared_object import FORMAT
    key = hashlib.sha256(f"{__version__} {FORMAT} {SONAME}\n{text}".encode()).hexdigest()[:16]
    place = settings.cache_home() / "cudart" / key
    if not all((place / name).is_file() for name in NAMES):
        from ..device import codegen
        from ..device.shared_object import shared_object
        library = shared_object(codegen.object_code(text, TARGET), SONAME)
        place.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            with whole_file(place / name) as file:
                file.write(library)
    return place


# the library's code --------------------------------------------------------------------------------------------------
def source() -> str:
    """The library as LLVM IR."""
    names = [*FUNCTIONS, *TEXTS]
    lines = [f"@table = internal global [{len(names)} x ptr] zeroinitializer, align 8",
             _constant("module", __name__), _constant("fill", "fill"), _constant("format", "K"),
             *(_constant(f"text.{name}", text) for name, text in TEXTS.items()),
             "declare extern_weak i32 @Py_IsInitialized() nonlazybind",
             "declare extern_weak i32 @PyGILState_Ensure() nonlazybind",
             "declare extern_weak void @PyGILState_Release(i32) nonlazybind",
             "declare extern_weak ptr @PyImport_ImportModule(ptr) nonlazybind",
             "declare extern_weak ptr @PyObject_CallMethod(ptr, ptr, ptr, ...) nonlazybind",
             "declare extern_weak void @PyErr_Print() nonlazybind", _CONNECT]
    for number, name in enumerate(names):
        arity = 1 if name in TEXTS else sum(map(len, FUNCTIONS[name]))
        lines.append(_function(name, number, len(names), arity))
    return "\n".join([*lines, "attributes #0 = { nounwind }"])


#: Ask the interpreter of this process, if it has one that runs, to fill the table. What goes wrong is printed.
_CONNECT = """
define internal void @connect() #0 {
  %there = icmp ne ptr @Py_IsInitialized, null
  br i1 %there, label %python, label %end
python:
  %running = call i32 @Py_IsInitialized()
  %runs = icmp ne i32 %running, 0
  br i1 %runs, label %import, label %end
import:
  %gil = call i32 @PyGILState_Ensure()
  %found = call ptr @PyImport_ImportModule(ptr @module)
  %imported = icmp ne ptr %found, null
  br i1 %imported, label %fill, label %failed
fill:
  %done = call ptr (ptr, ptr, ptr, ...) @PyObject_CallMethod(ptr %found, ptr @fill, ptr @format, ptr @table)
  %filled = icmp ne ptr %done, null
  br i1 %filled, label %release, label %failed
failed:
  call void @PyErr_Print()
  br label %release
release:
  call void @PyGILState_Release(i32 %gil)
  br label %end
end:
  ret void
}"""


def _function(name: str, number: int, count: int, arity: int) -> str:
    """One function: numbers and pointers go through as 64 bits, whatever the callback takes of them."""
    parameters = ", ".join(f"i64 %a{i}" for i in range(arity))
    absent = f"ptrtoint (ptr @text.{name} to i64)" if name in TEXTS else str(int(Status.NO_DEVICE))
    return f"""
define i64 @{name}({parameters}) #0 {{
entry:
  %slot = getelementptr [{count} x ptr], ptr @table, i64 0, i64 {number}
  %first = load atomic ptr, ptr %slot acquire, align 8
  %known = icmp ne ptr %first, null
  br i1 %known, label %call, label %ask
ask:
  call void @connect()
  %second = load atomic ptr, ptr %slot acquire, align 8
  %connected = icmp ne ptr %second, null
  br i1 %connected, label %call, label %absent
call:
  %target = phi ptr [ %first, %entry ], [ %second, %ask ]
  %result = call i64 %target({parameters})
  ret i64 %result
absent:
  ret i64 {absent}
}}"""


def _constant(name: str, text: str) -> str:
    return f'@{name} = private constant [{len(text) + 1} x i8] c"{text}\\00"'


# what its functions do -----------------------------------------------------------------------------------------------
#: Callbacks in the order of the table, and texts that were given out: kept as long as the process lives.
_callbacks: list[Any] = []
_texts: dict[bytes, Any] = {}


def fill(table: int) -> None:
    """Write the addresses of the callbacks to a library's table."""
    if not _callbacks:
        for name, (outs, ins) in FUNCTIONS.items():
            kind = ctypes.CFUNCTYPE(_INT, *[_POINTER] * len(outs), *ins)
            function = _properties if name.startswith("cudaGetDeviceProperties") else getattr(runtime, name)
            _callbacks.append(kind(_callback(function, outs)))
        for name in TEXTS:
            _callbacks.append(ctypes.CFUNCTYPE(_POINTER, _INT)(_text(getattr(runtime, name))))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_callbacks))       # the table outlives this module
    addresses = [ctypes.cast(c, ctypes.c_void_p).value for c in _callbacks]
    ctypes.memmove(table, struct.pack(f"<{len(addresses)}Q", *addresses), 8 * len(addresses))


def _callback(function: Callable[..., tuple], outs: tuple[type, ...]) -> Callable[..., int]:
    """The C function of one of `runtime`: a status is returned, other results go where the first parameters point."""
    def call(*args: int) -> int:
        try:
            places, rest = args[:len(outs)], args[len(outs):]
            if not all(places):
                calls.last.error, calls.last.what = Status.INVALID_VALUE, "a null pointer for a result"
                return int(Status.INVALID_VALUE)
            status, *results = function(*rest)
            if not int(status):
                for place, kind, value in zip(places, outs, results, strict=False):
                    kind.from_address(place).value = value             # type: ignore[attr-defined]
            return int(status)
        except Exception:                              # a defect of ours: C has no exceptions
            traceback.print_exc()
            return UNKNOWN
    return call


def _text(function: Callable[[int], tuple[Any, bytes]]) -> Callable[[int], int]:
    def call(error: int) -> int:
        words = function(error)[1]
        return ctypes.addressof(_texts.setdefault(words, ctypes.create_string_buffer(words)))
    return call


class _Properties(ctypes.Structure):
    """The start of struct cudaDeviceProp, as far as versions 10 to 12 agree; what lies behind is left as it is."""

    _fields_ = [("name", ctypes.c_char * 256), ("uuid", ctypes.c_char * 16), ("luid", ctypes.c_char * 8),
                ("luidDeviceNodeMask", _UINT), ("totalGlobalMem", _SIZE), ("sharedMemPerBlock", _SIZE),
                ("regsPerBlock", _INT), ("warpSize", _INT), ("memPitch", _SIZE), ("maxThreadsPerBlock", _INT),
                ("maxThreadsDim", _INT * 3), ("maxGridSize", _INT * 3), ("clockRate", _INT), ("totalConstMem", _SIZE),
                ("major", _INT), ("minor", _INT), ("textureAlignment", _SIZE), ("texturePitchAlignment", _SIZE),
                ("deviceOverlap", _INT), ("multiProcessorCount", _INT), ("kernelExecTimeoutEnabled", _INT),
                ("integrated", _INT), ("canMapHostMemory", _INT)]


def _properties(place: int, device: int) -> tuple[Any, ...]:
    """cudaGetDeviceProperties: what `runtime` says, and the limits of launches among the device's attributes."""
    status, found = runtime.cudaGetDeviceProperties(device)
    if not int(status) and not place:
        return (Status.INVALID_VALUE,)
    if not int(status):
        limits = machine.ATTRIBUTES
        ctypes.memmove(place, bytes(_Properties(
            name=found.name[:255], totalGlobalMem=found.totalGlobalMem, sharedMemPerBlock=limits[8],
            warpSize=found.warpSize, maxThreadsPerBlock=found.maxThreadsPerBlock,
            maxThreadsDim=(limits[2], limits[3], limits[4]), maxGridSize=(limits[5], limits[6], limits[7]),
            clockRate=found.clockRate, totalConstMem=limits[9], major=found.major, minor=found.minor,
            multiProcessorCount=found.multiProcessorCount, integrated=found.integrated, canMapHostMemory=1)),
            ctypes.sizeof(_Properties))
    return (status,)
