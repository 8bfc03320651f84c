"""A program made ready for this process: code loaded, constants' addresses known, records checked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..device import cpu as device
from ..device import driver
from ..device.team import default_threads
from ..errors import PlanError
from ..ir import Op
from ..plan.check import check_program
from ..plan.records import HostStep, Launch, LayerInfo, Program, TensorInfo
from ..plan.tensors import StoredTensors
from .guards import guards
from .memory import address_of, aligned
from .streaming import Streaming

_FLOPS, _BANDWIDTH = 1e11, 2e10                     # of layers that were not timed: operations, bytes per second


class Executable:
    """What all contexts of one program share; nothing in it changes while there are any.

    entries        kernel id → address of each phase's function
    constants      buffer → its array (empty arrays for buffers no step reads)
    input_buffers  engine input → buffer number, or None when its value is handed to host steps as it is
    threads        most threads that a run may use
    seconds        of every step, about: as the tuner measured it at the profile's optimum, else a guess
    """

    def __init__(self, program: Program, weights: Mapping[str, np.ndarray], threads: int | None = None) -> None:
        check_program(program, weights)
        for step in program.steps:
            if isinstance(step, HostStep) and isinstance(step.op, Op):
                try:
                    step.op.ready()
                except PlanError as error:
                    raise error.located(step.layer) from None
        self.program = program
        self.threads = max(1, min(program.threads, threads or default_threads()))
        launched = {step.kernel for step in program.steps if isinstance(step, Launch)}
        needed = [k for k in program.kernels if k.id in launched]
        for kernel in needed:
            if not kernel.code:
                raise PlanError(f"kernel {kernel.id} has no machine code", at=kernel.id,
                                try_="rebuild the plan for this machine")
        if program.driver is not None:
            driver.provide(program.driver.id, program.driver.code)
        self.library = device.load([k.code for k in needed]) if needed else None
        self.entries = {k.id: tuple(self.library.address(e) for e in k.entries) for k in needed if self.library}
        if isinstance(weights, StoredTensors):
            weights.verify({b.name for b in program.buffers if b.kind == "constant" and b.name in weights})
        self.constants: dict[int, np.ndarray] = {}
        self.constant_addresses: dict[int, int] = {}
        for number, buffer in enumerate(program.buffers):
            if buffer.kind == "constant" and buffer.name in weights:
                array = aligned(weights[buffer.name])
                self.constants[number] = array
                self.constant_addresses[number] = address_of(array)
        self.streaming: Streaming | None = None                  # which constants leave memory after use
        self.guards = guards(program)                    # per step: the conditions under which it is needed
        self.seconds = [_expected(x) for x in program.layers]
        self.seconds += [0.0] * (len(program.steps) - len(self.seconds))
        named = {b.name: i for i, b in enumerate(program.buffers) if b.kind == "input"}
        self.input_buffers = tuple(named.get(info.name) for info in program.inputs)
        self.input_names = tuple(info.name for info in program.inputs)
        self.output_names = tuple(info.name for info in program.outputs)
        self.by_name: dict[str, TensorInfo] = {i.name: i for i in (*program.outputs, *program.inputs)}


def _expected(layer: LayerInfo) -> float:
    return layer.seconds if layer.seconds is not None else max(layer.flops / _FLOPS, layer.bytes / _BANDWIDTH)
