"""libcudart.so without a GPU: what ctypes finds under `wright shim`, and that the engine knows its memory."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tensorwright import compat
from tensorwright.cuda import cudart
from tensorwright.cuda.memory import SPACE, host, lent
from tensorwright.cuda.present import gpu_is_present
from tensorwright.device import codegen
from tensorwright.device.elf import LinkError
from tensorwright.device.shared_object import shared_object

pytestmark = [pytest.mark.skipif(gpu_is_present(), reason="with a GPU the real library is left alone"),
              pytest.mark.skipif(not cudart.supported(), reason="the library is for Linux on x86-64")]

SCRIPT = '''
import ctypes, sys, threading
import numpy as np
lib = ctypes.CDLL(sys.argv[1])                        # found by the loader: no path
import tensorrt as trt

def check(status):
    if status:
        raise RuntimeError(lib.cudaGetErrorName(status).decode())

lib.cudaGetErrorName.restype = ctypes.c_char_p
def malloc(size):
    p = ctypes.c_void_p()
    check(lib.cudaMalloc(ctypes.byref(p), ctypes.c_size_t(size)))
    return p.value

logger = trt.Logger(trt.Logger.WARNING)
builder = trt.Builder(logger)
network = builder.create_network(0)
x = network.add_input("x", trt.float32, (4, 3))
y = network.add_unary(x, trt.UnaryOperation.ABS).get_output(0)
y.name = "y"
network.mark_output(y)
engine = trt.Runtime(logger).deserialize_cuda_engine(
    builder.build_serialized_network(network, builder.create_builder_config()))
context = engine.create_execution_context()
stream = ctypes.c_void_p()
check(lib.cudaStreamCreate(ctypes.byref(stream)))
a, b = malloc(48), malloc(48)
given = np.arange(12, dtype=np.float32).reshape(4, 3) - 6
result = np.empty_like(given)
check(lib.cudaMemcpyAsync(ctypes.c_void_p(a), given.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(48), 1, stream))
assert context.set_tensor_address("x", a) and context.set_tensor_address("y", b)
assert context.execute_async_v3(stream.value)
check(lib.cudaMemcpy(result.ctypes.data_as(ctypes.c_void_p), ctypes.c_void_p(b), ctypes.c_size_t(48), 2))
check(lib.cudaStreamSynchronize(stream))
assert (result == abs(given)).all(), result
found = []
def other():                                          # a thread of its own uses the device too
    found.append(malloc(16))
thread = threading.Thread(target=other)
thread.start(); thread.join()
assert found and lib.cudaFree(ctypes.c_void_p(found[0])) == 0
check(lib.cudaFree(ctypes.c_void_p(b)))
assert not context.execute_async_v3(stream.value), "freed memory"
print("ran")
'''


@pytest.mark.parametrize("name", cudart.NAMES)
def test_ctypes_finds_it_under_the_shim(tmp_path: Path, name: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "-m", "tensorwright.cli.main", "shim", "--", sys.executable,
                           str(tmp_path / "script.py"), name], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "ran", done.stdout + done.stderr


@pytest.fixture(scope="module")
def lib() -> ctypes.CDLL:
    path = compat.cudart()
    assert path is not None
    found = ctypes.CDLL(path)
    found.cudaGetErrorName.restype = found.cudaGetErrorString.restype = ctypes.c_char_p
    return found


def test_memory_is_the_engines_and_checked(lib: ctypes.CDLL) -> None:
    p, size = ctypes.c_void_p(), ctypes.c_size_t
    assert lib.cudaMalloc(ctypes.byref(p), size(64)) == 0 and p.value
    data = (ctypes.c_char * 64)(*b"abc")
    assert lib.cudaMemcpy(p, data, size(64), 1) == 0
    assert ctypes.string_at(host(p.value, 3), 3) == b"abc"
    assert lib.cudaMemcpy(p, data, size(64), 2) == 1, "this is no copy from the device to the host"
    assert lib.cudaMemcpy(p, data, size(64), 9) == 1 and lib.cudaMemcpy(None, data, size(1), 4) == 1
    assert lib.cudaMemcpy(ctypes.c_void_p(p.value + 1), data, size(64), 1) == 700, "beyond the end"
    assert lib.cudaMemset(p, 7, size(64)) == 0 and lib.cudaMemset(data, 7, size(64)) == 1
    assert lib.cudaMemcpyAsync(data, p, size(64), 4, None) == 0 and bytes(data) == b"\7" * 64
    assert lib.cudaMemcpyAsync(data, p, size(64), 4, ctypes.c_void_p(77)) == 400, "no such stream"
    assert lib.cudaFree(ctypes.c_void_p(p.value + 8)) == 1
    assert lib.cudaFree(p) == 0 and lib.cudaFree(p) == 1 and lib.cudaFree(None) == 0
    assert lib.cudaMalloc(ctypes.byref(p), size(1 << 60)) == 2 and lib.cudaMalloc(None, size(8)) == 1
    assert lib.cudaMalloc(ctypes.byref(p), size(0)) == 0 and not p.value
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    assert lib.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)) == 0
    assert (free.value, total.value) == (SPACE.free(), SPACE.total())


def test_memory_lent_to_a_callback_counts_as_the_devices(lib: ctypes.CDLL) -> None:
    shown, mine = ctypes.create_string_buffer(b"abcd", 4), ctypes.create_string_buffer(4)
    copy = [mine, ctypes.c_void_p(ctypes.addressof(shown) + 1), ctypes.c_size_t(3), 2]
    with lent((ctypes.addressof(shown), 4)):
        assert lib.cudaMemcpy(*copy) == 0 and mine.raw == b"bcd\0"
    assert lib.cudaMemcpy(*copy) == 1, "only while it is lent"


def test_page_locked_memory_is_the_hosts(lib: ctypes.CDLL) -> None:
    p = ctypes.c_void_p()
    for make, rest in ((lib.cudaMallocHost, ()), (lib.cudaHostAlloc, (0,))):
        assert make(ctypes.byref(p), ctypes.c_size_t(8), *rest) == 0 and p.value
        ctypes.memmove(p.value, b"12345678", 8)
        assert lib.cudaFreeHost(p) == 0 and lib.cudaFreeHost(p) == 1


def test_streams_and_events(lib: ctypes.CDLL) -> None:
    stream, a, b, ms = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_float(-1)
    assert lib.cudaStreamCreateWithFlags(ctypes.byref(stream), 1) == 0
    assert lib.cudaEventCreate(ctypes.byref(a)) == 0 and lib.cudaEventCreate(ctypes.byref(b)) == 0
    assert lib.cudaEventElapsedTime(ctypes.byref(ms), a, b) == 400, "not recorded yet"
    assert lib.cudaEventRecord(a, stream) == 0 and lib.cudaEventRecord(b, stream) == 0
    assert lib.cudaEventSynchronize(b) == 0 and lib.cudaEventElapsedTime(ctypes.byref(ms), a, b) == 0 and ms.value >= 0
    assert lib.cudaEventDestroy(a) == 0 and lib.cudaEventDestroy(a) == 400
    assert lib.cudaStreamDestroy(stream) == 0 and lib.cudaStreamSynchronize(stream) == 400
    assert lib.cudaDeviceSynchronize() == 0


def test_the_device_and_errors(lib: ctypes.CDLL) -> None:
    n = ctypes.c_int(-1)
    for function, value in ((lib.cudaGetDeviceCount, 1), (lib.cudaGetDevice, 0), (lib.cudaRuntimeGetVersion, 12040)):
        assert function(ctypes.byref(n)) == 0 and n.value == value
    assert lib.cudaDeviceGetAttribute(ctypes.byref(n), 10, 0) == 0 and n.value == 32
    assert lib.cudaSetDevice(0) == 0 and lib.cudaSetDevice(3) == 101
    assert lib.cudaPeekAtLastError() == 101 and lib.cudaGetLastError() == 101 and lib.cudaGetLastError() == 0
    assert lib.cudaGetErrorName(1) == b"cudaErrorInvalidValue" and lib.cudaGetErrorString(2) == b"out of memory"
    assert lib.cudaGetErrorString(123456) == b"unrecognized error code"
    room = ctypes.create_string_buffer(4096)
    assert lib.cudaGetDeviceProperties(room, 0) == 0 and b"tensorwright" in room.value
    total = ctypes.c_size_t.from_buffer(room, 288)         # by the C compiler's layout of the structure
    warp, major = (ctypes.c_int.from_buffer(room, at).value for at in (308, 360))
    assert (total.value, warp, major) == (SPACE.total(), 32, 0)
    assert lib.cudaGetDeviceProperties(room, 1) == 101 and lib.cudaGetDeviceProperties(None, 0) == 1


@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is used to see it from C")
def test_a_process_without_python_is_told_that_there_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("""
        #include <dlfcn.h>
        #include <stdio.h>
        int main(void) {
            void *p, *lib = dlopen("libcudart.so.12", RTLD_NOW);
            if (!lib) { puts(dlerror()); return 1; }
            int (*allocate)(void **, unsigned long) = dlsym(lib, "cudaMalloc");
            const char *(*name)(int) = dlsym(lib, "cudaGetErrorName");
            int e = allocate(&p, 8);
            printf("%d %s %d\\n", e, name(e), dlsym(lib, "cudaNothing") == NULL);
            return 0;
        }""")
    library = compat.cudart()
    assert library is not None
    subprocess.run(["cc", "a.c", "-o", "a", "-ldl"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "a"], env={**os.environ, "LD_LIBRARY_PATH": str(Path(library).parent)},
                          capture_output=True, text=True, check=True)
    assert done.stdout == "100 cudaErrorNoDevice 1\n"


def test_a_python_without_tensorwright_is_told_why(tmp_path: Path) -> None:
    library = compat.cudart()
    code = f"import ctypes; lib = ctypes.CDLL({library!r}); print(lib.cudaDeviceSynchronize())"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          check=True)
    assert done.stdout == "100\n" and "No module named 'tensorwright'" in done.stderr


def test_environment_names_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENSORWRIGHT_CACHE", str(tmp_path / "cache"))
    found = compat.environment("8", {"LD_LIBRARY_PATH": "a:b"})["LD_LIBRARY_PATH"].split(":")
    assert found[1:] == ["a", "b"] and {p.name for p in Path(found[0]).iterdir()} == set(cudart.NAMES)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TENSORWRIGHT_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=r"no libcudart\.so"):
        assert compat.environment("8", {"LD_LIBRARY_PATH": "a"})["LD_LIBRARY_PATH"] == "a"


def test_what_the_writer_refuses() -> None:
    call = codegen.object_code("declare void @f() nonlazybind\ndefine void @g() { call void @f() ret void }",
                               cudart.TARGET)
    with pytest.raises(LinkError, match="f: nothing defines them"):
        shared_object(call, "a.so")
    weak = codegen.object_code("declare extern_weak void @f()\ndefine void @g() { call void @f() ret void }",
                               cudart.TARGET)
    with pytest.raises(LinkError, match="of a kind that is not known"):
        shared_object(weak, "a.so")
    good = codegen.object_code(cudart.source(), cudart.TARGET)
    for end in range(0, len(good), 997):
        with pytest.raises(LinkError):
            shared_object(good[:end], "a.so")
