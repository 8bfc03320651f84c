"""An executable with its shapes set: every expression evaluated, every address known but the user's.

Made when shapes change, then run any number of times. All bounds are checked here, with the exact numbers: whatever a
plan says, no step is handed a pointer to memory that its buffer does not have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..device.program import Call, Table
from ..dims import Dim
from ..errors import PlanError
from ..plan.check import Place, Values, locate
from ..plan.records import Launch, View
from .executable import Executable
from .guards import ALWAYS, Question, questions
from .host import HostCall
from .memory import Arena
from .streaming import Forget

Patch = tuple[memoryview, int, int]                      # table's pointers, position in them, offset to add


class Bound:
    """Tables and host calls for one set of shapes.

    pieces     Tables and HostCalls in order, and Forgets where weights leave memory
    questions  per piece: what must hold for it to be needed, None when it always is
    patches    buffer of the user → where its address goes
    zeros      (offset, bytes) of arena regions that must be zero before the first run
    outputs    per engine output: shape and NumPy type, None for opaque values
    sessions   layer → what the operator of a host step keeps in this context
    """

    def __init__(self, exe: Executable, env: Mapping[str, int], arena: Arena, sessions: dict[str, Any]) -> None:
        self.exe, self.env, self.arena, self.sessions = exe, dict(env), arena, sessions
        self.value = Values(env)
        program = exe.program
        self.sizes = [self.value(b.bytes, at=f"buffer {i}") for i, b in enumerate(program.buffers)]
        self.bases: list[int | None] = [self._base(i) for i in range(len(program.buffers))]
        self.zeros = [(program.offsets[i], self.sizes[i]) for i, b in enumerate(program.buffers) if b.zero]
        self.patches: dict[int, list[Patch]] = {i: [] for i, b in enumerate(program.buffers)
                                                if b.kind in ("input", "output")}
        self.pieces: list[Table | HostCall | Forget] = []
        self.layers: list[tuple[str, ...]] = []                           # names of the steps in each piece
        self.questions: list[Question | None] = []
        self._check_inputs()
        self._build()
        self.outputs: list[tuple[tuple[int, ...], np.dtype] | None] = []
        for info, where in zip(program.outputs, program.output_values, strict=True):
            if isinstance(where, str) or info.shape is None or info.dtype is None:
                self.outputs.append(None)
                continue
            shape = tuple(self.value(d, at=f"output {info.name!r}") for d in info.shape)
            dtype = info.dtype.numpy
            if math.prod(shape) * dtype.itemsize != self.sizes[where]:
                raise PlanError(f"output {info.name!r} {shape} {dtype} does not fill its buffer of "
                                f"{self.sizes[where]} bytes")
            self.outputs.append((shape, dtype))

    def _base(self, number: int) -> int | None:
        buffer, size = self.exe.program.buffers[number], self.sizes[number]
        if buffer.kind == "arena":
            offset = self.exe.program.offsets[number]
            if offset >= 0 and offset + size > self.arena.size:
                raise PlanError(f"buffer {number} ends at byte {offset + size} of an arena of {self.arena.size}",
                                shapes=dict(self.env))
            return self.arena.address + offset if offset >= 0 else None
        return self.exe.constant_addresses.get(number) if buffer.kind == "constant" else None

    def _check_inputs(self) -> None:
        for info, number in zip(self.exe.program.inputs, self.exe.input_buffers, strict=True):
            if number is not None and info.shape is not None and info.dtype is not None:
                given = math.prod(self.value(d, info.name) for d in info.shape) * info.dtype.itemsize
                if self.sizes[number] > given:
                    raise PlanError(f"input {info.name!r} has {given} bytes, its buffer {self.sizes[number]}",
                                    shapes=dict(self.env))

    def place(self, view: View, layer: str) -> Place:
        """Where a view lies: base address (None in the user's memory), offset, shape, strides in bytes."""
        return locate(view, self.sizes, self.value, layer, self.bases)

    def _build(self) -> None:
        calls: list[Call] = []
        names: list[str] = []
        pending: list[tuple[int, int, int, int]] = []                     # (call, argument, buffer, offset)
        streaming, passing = self.exe.streaming, set[int]()               # buffers that leave after these calls
        asked, guard = questions(self.exe.guards, self.place), ALWAYS

        def close() -> None:
            if not calls:
                return
            table = Table(calls, self.exe.threads)
            pointers = memoryview(table.args)  # type: ignore[arg-type]
            for call, position, buffer, offset in pending:
                self.patches[buffer].append((pointers, table.first_arg[call] + position, offset))
            self.pieces.append(table)
            self.layers.append(tuple(names))
            self.questions.append(asked[guard])
            for done in (calls, names, pending):
                done.clear()  # type: ignore[attr-defined]
            leave()

        def leave() -> None:
            if streaming is not None and passing:
                self.pieces.append(Forget(streaming, passing))
                self.layers.append(())
                self.questions.append(None)
                passing.clear()

        for number, step in enumerate(self.exe.program.steps):
            if self.exe.guards[number] != guard:
                close()
                guard = self.exe.guards[number]
            if streaming is not None:
                own = streaming.of(step)
                if streaming.size(passing | own) > streaming.scratch:
                    close()
                passing |= own
            if isinstance(step, Launch):
                addresses: list[int] = []
                for position, view in enumerate(step.args):
                    place = self.place(view, step.layer) if view is not None else None
                    if place is not None and view is not None and place.base is None:
                        pending.append((len(calls), position, view.buffer, place.offset))
                    addresses.append(0 if place is None or place.base is None else place.base + place.offset)
                calls.append(Call(self.exe.entries[step.kernel], tuple(self._count(c, step.layer) for c in step.chunks),
                                  addresses, [self.value(d, at=step.layer) for d in step.dims], step.serial,
                                  self.exe.seconds[number]))
                names.append(step.layer)
            else:
                close()
                self.pieces.append(HostCall(step, self.env, self.place, self.sessions))
                self.layers.append((step.layer,))
                self.questions.append(asked[guard])
                if streaming is not None:
                    passing |= streaming.of(step)
                    leave()
        close()

    def _count(self, dim: Dim, layer: str) -> int:
        chunks = self.value(dim, at=layer)
        if chunks < 0:
            raise PlanError(f"{dim} chunks of work are {chunks}", at=layer, shapes=dict(self.env))
        return chunks

    # running ------------------------------------------------------------------------------------------------------
    def prepare(self) -> None:
        """Zero what must be zero; once before the first run after other shapes used the arena."""
        for offset, size in self.zeros:
            self.arena.bytes(offset, size)[...] = 0

    def point(self, buffer: int, address: int) -> None:
        """Tell all launches where the user's buffer is."""
        for pointers, position, offset in self.patches[buffer]:
            pointers[position] = address + offset

    def execute(self, user: Mapping[int, int], opaque: dict[str, Any]) -> None:
        """Run all pieces. user: addresses of the user's buffers, for host steps. opaque: values without memory."""
        for piece, question in zip(self.pieces, self.questions, strict=True):
            if question is not None and not question.holds(user):
                continue
            if isinstance(piece, Table):
                piece.run()
            else:
                piece.run(user, opaque)

    def profile(self, user: Mapping[int, int], opaque: dict[str, Any]) -> list[float]:
        """Like execute; seconds of every step."""
        seconds: list[float] = []
        for piece, question, names in zip(self.pieces, self.questions, self.layers, strict=True):
            if question is not None and not question.holds(user):
                seconds += [0.0] * len(names)
            elif isinstance(piece, Table):
                seconds += piece.time().tolist()
            elif isinstance(piece, Forget):
                piece.run(user, opaque)
            else:
                begin = time.perf_counter()
                piece.run(user, opaque)
                seconds.append(time.perf_counter() - begin)
        return seconds
