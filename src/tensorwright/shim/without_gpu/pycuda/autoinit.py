"""Initialises the driver and makes a context of device 0 current, when it is imported."""

import atexit

import pycuda.driver as cuda

cuda.init()
device = cuda.Device(0)
context = device.make_context()


def _finish() -> None:
    context.pop()
    context.detach()


atexit.register(_finish)
