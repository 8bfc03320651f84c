"""A plan ready to run: programs for this machine, and a pool of contexts so that any number of threads may call it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np

from ..device import cpu as device
from ..device.team import check_streams, check_threads, default_threads
from ..errors import InputError, PlanError
from ..ir.value_inputs import companions, completed
from ..plan.inspect import as_json, as_text, plugins
from ..plan.keys import same_code, why_rebuild
from ..plan.records import Plan, Profile, TensorInfo
from ..plan.refit import Hollow
from ..plan.tensors import StoredTensors
from .context import Context
from .executable import Executable
from .memory import Arena, writable
from .shapes import bind, refused, text
from .streaming import Streaming, streamable


class Engine:
    """Immutable and shared: run it from as many threads as you like.

        engine = Engine(plan)
        results = engine.run({"images": images})          # {output name: array}
        y = engine(images)                                # one output: its array; several: a tuple

    threads   most threads one run may use; default: all this process may, or TENSORWRIGHT_THREADS
    streams   most runs at once. None is for low latency: each run takes the process's thread team, and those that find
              it busy run on their callers' threads alone. A number is for throughput: every run is its caller's thread
              alone, nobody waits for another thread's part of a layer, and further callers wait for their turn. Call
              it from that many threads. Kernels of a plan built with threads=1 are tuned for just that; those tuned
              for more threads compute the same, a little slower than they could.
    """

    def __init__(self, plan: Plan, threads: int | None = None, streams: int | None = None) -> None:
        check_threads(threads)
        if streams is not None:
            check_streams(streams, threads)
            threads = 1
        spec = device.describe()
        if reason := why_rebuild(plan, spec):
            raise PlanError(f"the plan cannot run here as it is: {reason}", at=plan.name,
                            try_="load it with tensorwright.load, which rebuilds it for this machine")
        self.plan = plan
        fitting = [p for p in plan.programs if same_code(p.target, spec.key)]
        weights: Mapping[str, np.ndarray] = plan.weights
        #: constants of the programs, in memory of the engine's own where they can be replaced
        self._held: dict[str, np.ndarray] = {}
        if plan.refit:
            names = {b.name for p in fitting for b in p.buffers if b.kind == "constant" and b.name in weights}
            weights = self._held = {name: writable(weights[name]) for name in sorted(names)}
        self._executables = [Executable(p, weights, threads) for p in fitting]
        for needed in plugins(plan):                             # also those inside bodies of loops
            from ..plugins import require
            require(**needed)
        self._pools: list[list[Context]] = [[] for _ in self._executables]
        self._gate = threading.BoundedSemaphore(streams) if streams is not None else None
        self._idle = streams or default_threads()                # contexts kept for later runs, each with its memory
        self._choices: dict[tuple[Any, ...], int] = {}
        self._only = self._executables[0] if len(self._executables) == 1 else None
        program = self._executables[0].program
        self.every_input: tuple[TensorInfo, ...] = program.inputs
        self.companions = companions(i.name for i in program.inputs)      # of inputs whose values decide shapes
        self.inputs: tuple[TensorInfo, ...] = tuple(i for i in program.inputs if i.name not in self.companions)
        self.outputs: tuple[TensorInfo, ...] = program.outputs

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def profiles(self) -> tuple[Profile, ...]:
        return tuple(e.program.profile for e in self._executables)

    @property
    def threads(self) -> int:
        """Most threads a run uses."""
        return max(e.threads for e in self._executables)

    @property
    def lacks_weights(self) -> bool:
        """Whether its plan was written without weights, and none were given since."""
        return isinstance(self.plan.weights, Hollow)

    def replace_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Other content for all of the plan's weights, as `builder.refit.recomputed` gives it; in place, so that all
        contexts see it. A run at the same time may compute with some of the old and some of the new."""
        for name, held in self._held.items():
            new = weights[name]
            if new.shape != held.shape or new.dtype != held.dtype:
                raise PlanError(f"weights {name!r} are {new.dtype} {new.shape}, not {held.dtype} {held.shape}")
        for name, held in self._held.items():
            held[...] = weights[name]
        self.plan = replace(self.plan, weights={**weights, **self._held})

    @property
    def streamable_bytes(self) -> int:
        """Bytes of weights that can leave memory after use: those of a plan that is mapped from its file."""
        weights = self.plan.weights
        if not isinstance(weights, StoredTensors):
            return 0
        return max(streamable(e.program, weights) for e in self._executables)

    def stream_weights(self, budget: int | None) -> int:
        """Keep at most `budget` bytes of weights in memory (None: all of them), and read the others from the plan's
        file whenever they are used. Returns how many bytes of those may be in memory at once, beside the budget.

        For an engine whose contexts are yet to be made. PlanError when its plan is not mapped from a file.
        """
        weights = self.plan.weights
        if not isinstance(weights, StoredTensors):
            raise PlanError("only the weights of a plan that is mapped from its file can leave memory", at=self.name)
        self._pools = [[] for _ in self._executables]
        for exe in self._executables:
            exe.streaming = None if budget is None else Streaming(exe.program, weights, budget)
            if exe.streaming is not None:
                exe.streaming.forget()
        return max((e.streaming.scratch for e in self._executables if e.streaming is not None), default=0)

    def __repr__(self) -> str:
        def show(infos: Sequence[TensorInfo]) -> str:
            return ", ".join(f"{i.name}: {i.dtype or 'object'} {text(i.shape)}" for i in infos)
        return f"<Engine {self.name!r}: {show(self.inputs)} → {show(self.outputs)}>"

    # running ------------------------------------------------------------------------------------------------------
    def run(self, feeds: Mapping[str, Any] | Sequence[Any], outputs: Mapping[str, np.ndarray] | None = None
            ) -> dict[str, Any]:
        """Outputs by name. feeds: arrays by input name, or in the inputs' order; exactly of the engine's types.

        outputs   arrays to write results into, for any of the outputs; the others are freshly made
        Raises InputError for wrong names, types, ranks, and for sizes outside every profile.
        """
        which = 0
        if self._only is None:
            which = self._choose(feeds)
        pool, gate = self._pools[which], self._gate
        if gate is not None:
            gate.acquire()
        try:
            try:
                context = pool.pop()
            except IndexError:
                context = self.context(which)
            try:
                return context.run(feeds, outputs)
            finally:
                if len(pool) < self._idle:
                    pool.append(context)
        finally:
            if gate is not None:
                gate.release()

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """The output, or a tuple of them. Inputs by position, then by name."""
        if not named:
            results = self.run(arrays)
        else:
            names = [i.name for i in self.inputs]
            if len(arrays) > len(names) or any(n in named for n in names[:len(arrays)]):
                raise InputError(f"{len(arrays)} inputs by position and {', '.join(named)} by name do not fit",
                                 takes=", ".join(names))
            results = self.run({**dict(zip(names, arrays, strict=False)), **named})
        values = tuple(results[o.name] for o in self.outputs)
        return values[0] if len(values) == 1 else values

    def _choose(self, feeds: Mapping[str, Any] | Sequence[Any]) -> int:
        """The first profile that allows the shapes of feeds. When none does, the last, whose context says why not."""
        if self.companions:
            names = (i.name for i in self.inputs)
            feeds = completed(feeds if isinstance(feeds, Mapping) else dict(zip(names, feeds, strict=False)),
                              self.companions)
        arrays = [feeds.get(i.name) for i in self.every_input] if isinstance(feeds, Mapping) else list(feeds)
        key = tuple(tuple(getattr(a, "shape", ())) for a in arrays)
        found = self._choices.get(key)
        if found is None:
            shapes = {i.name: s for i, s in zip(self.every_input, key, strict=False) if i.shape is not None}
            found = self._fitting(shapes)
            if len(self._choices) >= 256:
                self._choices.clear()
            self._choices[key] = found
        return found

    def _fitting(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        reasons = []
        for which, exe in enumerate(self._executables):
            try:
                env = bind(exe.program.inputs, shapes)
            except InputError:
                return which                                  # wrong for every profile; the context words it
            reason = refused(exe.program, env)
            if reason is None:
                return which
            reasons.append(reason)
        facts: dict[str, Any] = {f"profile {k}": r for k, r in enumerate(reasons)}
        raise InputError("no profile of the engine allows these shapes", try_="build with a profile that covers them",
                         given=", ".join(f"{n} {s}" for n, s in shapes.items()), **facts)

    def context(self, profile: int | None = None, arena: Arena | None = None) -> Context:
        """A context of your own, for one thread at a time. profile: number in `profiles`, default the first.

        arena: memory for it to work in that nobody else uses meanwhile; None: its own, as much as the profile needs
        """
        number = profile or 0
        if not 0 <= number < len(self._executables):
            raise InputError(f"profile {number} was asked for, the engine has {len(self._executables)}")
        if self.lacks_weights:
            raise PlanError("the plan was written without weights, and none were given since", at=self.name,
                            try_="refit the engine first")
        return Context(self._executables[number], arena)

    # looking ------------------------------------------------------------------------------------------------------
    def profile(self, feeds: Mapping[str, Any] | Sequence[Any], repeats: int = 20) -> list[tuple[str, float]]:
        """(layer, median seconds) of every step, in order. Costs nothing when not called."""
        which = 0 if self._only is not None else self._choose(feeds)
        return Context(self._executables[which]).time_steps(feeds, repeats)

    def inspect(self, format: str = "text", profile: int = 0, times: Sequence[tuple[str, float]] | None = None) -> str:
        """What the engine consists of, as "text" or "json". times: result of `profile`; default the tuner's times."""
        if format not in ("text", "json"):
            raise InputError(f"format {format!r} was asked for", try_='use "text" or "json"')
        program = self._executables[profile].program
        seconds = [s for _, s in times] if times is not None else None
        if format == "json":
            return json.dumps(as_json(self.plan, program, seconds), indent=1)
        return as_text(self.plan, program, seconds)

    def save(self, path: str | PathLike[str], key: bytes | None = None) -> None:
        """Write the plan to a file, signed by this machine's key or the key given."""
        from .store import save
        save(self.plan, path, key)
