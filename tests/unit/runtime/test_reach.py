"""Memory that is not there is refused, not touched."""

import mmap
import subprocess
import sys

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.errors import InputError
from tensorwright.runtime.reach import require
from tests.unit.trt.test_build_and_run import Log, quick

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can be asked")


def test_memory_of_this_process() -> None:
    x = np.arange(5000, dtype=np.float32)
    before = x.copy()
    require(x.ctypes.data, x.nbytes, True, "x")
    np.testing.assert_array_equal(x, before)
    require(0, 0, True, "nothing")
    for address in (0x1000, 0x7FFF00000000, (1 << 47) - 4, 0x123450, -64):
        with pytest.raises(InputError, match="cannot be read"):
            require(address, 4, False, "x")
    with pytest.raises(InputError, match="cannot be read"):
        require(x.ctypes.data, 1 << 45, False, "x")


def test_memory_that_can_only_be_read() -> None:
    with mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ) as page:
        address = np.frombuffer(page, np.uint8).ctypes.data
        require(address, 8, False, "page")
        with pytest.raises(InputError, match="cannot be written"):
            require(address, 8, True, "page")


def engine(log: Log) -> trt.ICudaEngine:
    builder = trt.Builder(log)
    network = builder.create_network()
    y = network.add_unary(network.add_input("x", trt.float32, (2, 3)), trt.UnaryOperation.NEG).get_output(0)
    y.name = "y"
    network.mark_output(y)
    return trt.Runtime(log).deserialize_cuda_engine(builder.build_serialized_network(network, quick(builder)))


def test_executions_with_wild_addresses_fail() -> None:
    log = Log()
    context = engine(log).create_execution_context()
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    for bad in ([0x1000, 0x2000], [x.ctypes.data, 0x123450], [0x7FFF00000000, y.ctypes.data]):
        assert not context.execute_v2(bad)
    assert "no memory of this process is there" in log.errors() and not y.any()
    assert context.execute_v2([x.ctypes.data, y.ctypes.data]) and (y == -1).all()


def test_a_process_survives_them() -> None:
    script = ("from tests.unit.runtime.test_reach import *\n"
              "assert not engine(Log()).create_execution_context().execute_v2([4096, 8192]); print('alive')")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "alive" in done.stdout, done.stderr
