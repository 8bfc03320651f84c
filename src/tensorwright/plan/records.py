"""What an engine executes: buffers, views of them, launches of kernels and host steps. Data only.

All dimensions are expressions of the network's symbols; a context evaluates them once when its shapes change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from .refit import WeightInfo


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the engine. shape is None when it is known only after running (data-dependent)."""

    name: str
    shape: tuple[Dim, ...] | None
    dtype: DType | None


@dataclass(frozen=True)
class Profile:
    """Ranges the engine was built for: symbol → (min, opt, max), inclusive."""

    ranges: tuple[tuple[str, tuple[int, int, int]], ...] = ()

    def optimum(self) -> dict[str, int]:
        return {name: r[1] for name, r in self.ranges}

    def minimum(self) -> dict[str, int]:
        return {name: r[0] for name, r in self.ranges}

    def maximum(self) -> dict[str, int]:
        return {name: r[2] for name, r in self.ranges}


@dataclass(frozen=True)
class Buffer:
    """A piece of memory.

    kind    "arena": at `Program.offsets` in the context's arena; "input" / "output": the user's memory, dense, C order;
            "constant": an array of `Plan.weights`
    bytes   size as an expression; the arena offsets leave room for its bound
    name    input, output, arena: the tensor's name ("" for scratch memory). constant: the key in Plan.weights
    zero    arena only: filled with zeros whenever shapes change, shared only between buffers of identical geometry,
            so that borders stay zero
    """

    kind: str
    bytes: Dim
    name: str = ""
    zero: bool = False


@dataclass(frozen=True)
class View:
    """A strided tensor inside a buffer. offset: bytes; strides: elements (0 where broadcast)."""

    buffer: int
    offset: Dim
    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]
    dtype: DType


@dataclass(frozen=True)
class Launch:
    """Run one kernel: each phase split among the team, a barrier after each phase.

    layer       name of the layer, for profiles
    kernel      id of the kernel in Program.kernels
    args        pointers handed to the kernel, in order: inputs (None when absent), outputs, workspaces; then, for some
                kernels, the first and the last byte of what they fetch into the caches for launches that follow
    dims        values handed to the kernel
    chunks      one per phase
    serial      too small to share: the calling thread does it alone
    """

    layer: str
    kernel: str
    args: tuple[View | None, ...]
    dims: tuple[Dim, ...]
    chunks: tuple[Dim, ...]
    serial: bool = False


@dataclass(frozen=True)
class HostStep:
    """Evaluate an operator's NumPy meaning in Python. op is an `ir.Op`, kept opaque at this level.

    inputs, outputs: a View, the name of an opaque value, or None when absent
    """

    layer: str
    op: object
    inputs: tuple[Union[View, str, None], ...]
    outputs: tuple[Union[View, str, None], ...]
    reason: str = ""


Step = Union[Launch, HostStep]


@dataclass(frozen=True)
class Kernel:
    """Compiled code of one (problem, tactic). entries: function name per phase. code: object file."""

    id: str
    entries: tuple[str, ...]
    code: bytes = b""


@dataclass(frozen=True)
class LayerInfo:
    """What the inspector shows for one step.

    kind      operator, with what was fused into it, as text
    origin    nodes of the model it does the work of
    tactic    text of the chosen tactic; "" for host steps
    seconds   time measured by the tuner at the profile's optimum; None when not measured
    flops, bytes   work at the profile's optimum
    note      reason of a host step, or what was declined
    types     of the results
    reads     how many of the step's operands it reads: the first ones; as many as there are types are its results
    attributes   the operator's parameters as JSON, under the names that viewers of engines know
    """

    name: str
    kind: str
    origin: tuple[str, ...] = ()
    tactic: str = ""
    seconds: float | None = None
    flops: int = 0
    bytes: int = 0
    note: str = ""
    types: tuple[str, ...] = ()
    reads: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """What the network takes for granted about its symbols: dim = 0 (kind "zero"), or dim ≥ 0 (kind "natural")."""

    kind: str
    dim: Dim
    layer: str


@dataclass(frozen=True)
class Program:
    """An executable for one profile on one target.

    target        CpuSpec.key of the machine it was tuned and compiled for
    offsets       arena offset in bytes per buffer (-1 for buffers elsewhere)
    arena_bytes   size of a context's arena
    outputs       per engine output: buffer number, or the name of an opaque value
    conditions    checked whenever shapes are set: kernels touch only their own memory where they hold
    driver        the native code that walks the launches (device.driver), compiled; its id says for which version
    """

    profile: Profile
    target: str
    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]
    arena_bytes: int
    steps: tuple[Step, ...]
    kernels: tuple[Kernel, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    output_values: tuple[Union[int, str], ...]
    layers: tuple[LayerInfo, ...] = ()
    threads: int = 1
    conditions: tuple[Condition, ...] = ()
    driver: Kernel | None = None


@dataclass(frozen=True)
class Plan:
    """All that is saved. `network` is the target-independent network after passes as JSON text (see ir.codec);
    its constants are in `weights` under "network/<name>"; packed constants are under "packed/<name>".

    refit    weights that can be replaced. Then `network` is the one before passes, which are run again with other
             weights: they do not look at those, so all but constants stays the same
    """

    name: str
    programs: tuple[Program, ...]
    network: str
    weights: Mapping[str, np.ndarray]
    metadata: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    verification: Mapping[str, object] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)   # problem key → tactic, for re-tuning and replay
    no_code: str = ""      # why the file's machine code may not run here ("not signed by ..."); its kernels have none
    path: str = ""         # the file it was read from
    refit: tuple[WeightInfo, ...] = ()
