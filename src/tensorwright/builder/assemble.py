"""Works and chosen kernels → a Program: workspaces placed, constants packed, launches written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..device import driver
from ..dims import Dim, evaluate, mul
from ..dtypes import DType
from ..ir import Network, Op, TensorType
from ..kernels.problem import Problem
from ..ops import Chain, Fused
from ..ops.conditions import conditions
from ..plan.records import Condition, HostStep, Kernel, Launch, LayerInfo, Profile, Program, Step, TensorInfo, View
from ..runtime.memory import shelved
from ..targets import CpuSpec
from .ahead import Station, fetch_ahead
from .attributes import attributes
from .lower import Lowering
from .memory import Layout, plan_arena
from .storage import Place
from .tune import Choice
from .work import HostWork, KernelWork, load_of

#: Networks with less work than this run on the calling thread alone.
SMALL_FLOPS = 1_500_000
#: Operations per second, about, of launches that were not timed.
FLOPS = 1e11


class Assembly:
    """Makes one Program; `weights` collects the arrays its constant buffers name.

    face    the network whose inputs and outputs the user sees: `network` before symbols were fixed
    """

    def __init__(
        self,
        network: Network,
        lowering: Lowering,
        choices: Mapping[Problem, Choice],
        profile: Profile,
        cpu: CpuSpec,
        threads: int,
        face: Network | None = None,
    ) -> None:
        self.network, self.lowering, self.choices = network, lowering, choices
        self.face = face or network
        self.profile, self.cpu, self.threads = profile, cpu, threads
        self.buffers = lowering.buffers
        self.weights: dict[str, np.ndarray] = {}
        self.env = profile.optimum()
        self.steps: list[Step] = []
        self.infos: list[LayerInfo] = []
        self.uses: list[list[int]] = []
        self.kernels: dict[str, Kernel] = {}
        self.stations: list[Station] = []
        self._packed: dict[tuple[str, int, int], int] = {}
        self._used: set[int] = set()
        self._values: dict[int, str] = {}
        for name, place in lowering.places.items():       # views of a value share its buffer: the first one owns it
            self._values.setdefault(place.buffer, name)

    def run(self, reuse: bool = True) -> Program:
        """The program. With reuse=False every value keeps memory of its own, for looking at all of them afterwards."""
        total = 0
        for work in self.lowering.works:
            total += self.kernel_step(work) if isinstance(work, KernelWork) else self.host_step(work)
        uses = self.uses if reuse else [sorted({b for u in self.uses for b in u})] * max(1, len(self.uses))
        geometry = self.buffers.geometry if reuse else {b: (b,) for b in self.buffers.geometry}
        ranges = {name: (r[0], r[2]) for name, r in self.profile.ranges}
        touched = {b for u in self.uses for b in u}
        records = [  # memory that was asked for on the way to something better
            replace(r, bytes=0, zero=False) if r.kind == "arena" and b not in touched else r
            for b, r in enumerate(self.buffers.records)
        ]
        fetch_ahead(self.steps, self.stations)
        layout: Layout = plan_arena(records, geometry, uses, ranges)
        for b, record in enumerate(records):
            if record.kind == "constant" and record.name not in self.weights and self._is_used(b):
                self.weights[record.name] = self.lowering.constants[record.name]
        return Program(
            profile=self.profile,
            target=self.cpu.key,
            buffers=tuple(records),
            offsets=layout.offsets,
            arena_bytes=layout.size,
            steps=tuple(self.steps),
            kernels=tuple(self.kernels.values()),
            inputs=tuple(self._info(n) for n in self.network.inputs),
            outputs=tuple(self._info(n) for n in self.network.outputs),
            output_values=tuple(self.lowering.output_values),
            layers=tuple(self.infos),
            threads=1 if total < SMALL_FLOPS else self.threads,
            driver=Kernel(driver.identity(), (), driver.code()),
            conditions=tuple(Condition(c.kind, c.dim, c.layer) for c in conditions(self.network, ranges)),
        )

    def _is_used(self, buffer: int) -> bool:
        """Whether a step reads the buffer or an output is it."""
        if not self._used:
            operands = (v for s in self.steps for v in (s.args if isinstance(s, Launch) else (*s.inputs, *s.outputs)))
            self._used = {v.buffer for v in operands if isinstance(v, View)}
            self._used |= {v for v in self.lowering.output_values if isinstance(v, int)}
        return buffer in self._used

    def _info(self, name: str) -> TensorInfo:
        t = self.face.types[name]
        return TensorInfo(name, t.shape, t.dtype) if isinstance(t, TensorType) else TensorInfo(name, None, t.dtype)

    def kernel_step(self, work: KernelWork) -> int:
        choice = self.choices[work.problem]
        source = choice.source
        args: list[View | None] = []
        touched: list[int] = []
        for i, place in enumerate(work.inputs):
            if place is None:
                args.append(None)
            elif i in source.packed:
                args.append(View(self.pack(work, choice, i, place.buffer), 0, (), (), DType.uint8))
            else:
                args.append(place.view())
                touched.append(place.buffer)
        for place in work.outputs:
            args.append(place.view())
            touched.append(place.buffer)
        for w in source.workspaces:
            size: Dim = mul(work.to_network(w.bytes), self.threads if w.per_thread else 1)
            buffer = self.buffers.add("arena", size)
            args.append(View(buffer, 0, (size,), (1,), DType.uint8))
            touched.append(buffer)
        kernel = Kernel(choice.symbol, tuple(p.entry for p in source.phases), choice.code)
        self.kernels.setdefault(choice.symbol, kernel)
        load = load_of(work.problem)
        types = tuple(str(TensorType(p.shape, p.dtype)) for p in work.outputs)
        self.named(work)
        self.steps.append(
            Launch(
                work.name,
                choice.symbol,
                tuple(args),
                tuple(map(work.to_network, source.dims)),
                tuple(work.to_network(p.chunks) for p in source.phases),
                serial=load.is_serial,
            )
        )
        self.uses.append(touched)
        room = evaluate(work.to_network(source.ahead), self.env)
        seconds = choice.seconds or load.flops / FLOPS
        self.stations.append(
            Station(len(self.steps) - 1, source.ahead != 0, room, load.flops, seconds, self._weights(args)))
        note = f"best of {choice.candidates}" if choice.candidates > 1 and choice.seconds is not None else ""
        self.infos.append(
            LayerInfo(
                work.name,
                work.kind or describe(work.problem.op),
                work.origin,
                repr(choice.tactic),
                choice.seconds,
                load.flops,
                load.bytes,
                note,
                types,
                len(work.inputs),
                self.attributes(work),
            )
        )
        return load.flops

    def named(self, work: KernelWork | HostWork) -> None:
        """Give the buffers that a step writes the names of the values in them, for people."""
        for place in work.outputs:
            if isinstance(place, Place) and not (record := self.buffers.records[place.buffer]).name:
                name = self._values.get(place.buffer, f"{work.name} result")
                self.buffers.records[place.buffer] = replace(record, name=name)

    def attributes(self, work: KernelWork | HostWork) -> dict[str, Any]:
        places = [p if isinstance(p, Place) else None for p in work.inputs]
        types = [None if p is None else TensorType(p.shape, p.dtype) for p in places]
        constant = [p is not None and self.buffers.records[p.buffer].kind == "constant" for p in places]
        op = work.problem.op if isinstance(work, KernelWork) else work.op
        return attributes(op, types, constant, isinstance(work, KernelWork) and work.kind == "Copy")

    def _weights(self, args: list[View | None]) -> tuple[tuple[int, int], ...]:
        """(buffer, bytes) of the constants among the operands."""
        records = self.buffers.records
        found = dict.fromkeys(v.buffer for v in args if v is not None and records[v.buffer].kind == "constant")
        return tuple((b, size) for b in found if isinstance(size := records[b].bytes, int))

    def pack(self, work: KernelWork, choice: Choice, i: int, raw: int) -> int:
        """The constant buffer with input i in the form the tactic wants, packed once per array and kernel."""
        array = work.constants[i]
        key = (choice.symbol, i, id(array))
        if key not in self._packed:
            name = f"packed/{choice.symbol[:12]}/{self.buffers.records[raw].name}"
            packed = shelved(choice.tactic.pack(work.problem, self.cpu, i, array))
            self.weights[name] = packed
            self._packed[key] = self.buffers.add("constant", packed.nbytes, name)
        return self._packed[key]

    def host_step(self, work: HostWork) -> int:
        def seen(v: object) -> View | str | None:
            return v.view() if hasattr(v, "view") else v  # type: ignore[return-value, union-attr]

        self.steps.append(
            HostStep(work.name, work.op, tuple(map(seen, work.inputs)), tuple(map(seen, work.outputs)), work.reason)
        )
        self.uses.append([v.buffer for v in (*work.inputs, *work.outputs) if v is not None and not isinstance(v, str)])
        self.named(work)
        types = tuple(str(TensorType(p.shape, p.dtype)) if isinstance(p, Place) else "opaque" for p in work.outputs)
        self.infos.append(
            LayerInfo(
                work.name,
                f"Host {describe(work.op)}",
                work.origin,
                note=work.reason,
                types=types,
                reads=len(work.inputs),
                attributes=self.attributes(work),
            )
        )
        return 0


def describe(op: Op) -> str:
    """An operator with its epilogue, or those of a chain, for tables."""
    if isinstance(op, Chain):
        return "; ".join(map(describe, op.stages))
    if isinstance(op, Fused):
        return f"{type(op.core).__name__} → {op.epilogue}"
    return str(op) if len(str(op)) < 80 else type(op).__name__
