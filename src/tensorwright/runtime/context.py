"""One activation of an engine: memory for intermediate values, the shapes that are set, the user's addresses."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..dims import evaluate, symbols
from ..errors import InputError, TensorwrightError
from ..ir.value_inputs import companions, completed
from ..plan.records import Profile, TensorInfo, View
from .arrays import as_array, as_output
from .bound import Bound
from .executable import Executable
from .memory import Arena, address_of, array_at
from .quick import Quick, quick
from .shapes import Shape, bind, refused

_REMEMBERED = 32                                         # sets of shapes whose tables are kept


class Context:
    """Runs one program. Not for several threads at a time; an engine may have many.

    The short way is `run(feeds)`. The long way, for memory of one's own: set_input_shape, bind every input and output
    to an address, execute any number of times.
    """

    def __init__(self, exe: Executable, arena: Arena | None = None) -> None:
        """arena: memory to work in, which may be dirty and of any size that the shapes in use need; None: its own."""
        self._exe = exe
        self._arena = arena or Arena(exe.program.arena_bytes)
        self._sessions: dict[str, Any] = {}              # what operators of host steps keep, by layer
        self._clean = arena is None                      # nothing was written to the arena yet
        self._known: dict[tuple[Shape | None, ...], tuple[Bound, Quick | None]] = {}
        self._inputs = [(i.name, i, i.dtype.numpy if i.dtype is not None and i.shape is not None else None)
                        for i in exe.program.inputs]
        self._shapes: list[Shape | None] = [_fixed(i) for i in exe.program.inputs]
        self._active: list[Shape | None] | None = None   # what _bound is for
        self._bound: Bound | None = None
        self._quick: Quick | None = None                 # the short way, where there is one
        self._nothing = np.empty(1, np.bool_)            # where companions lie, which have no elements
        self._companions = companions(exe.input_names)
        self._addresses: dict[str, int] = dict.fromkeys(self._companions, address_of(self._nothing))
        self._placed: tuple[Bound, dict[int, int]] | None = None     # whose launches have the addresses bound

    # shapes -------------------------------------------------------------------------------------------------------
    @property
    def profile(self) -> Profile:
        return self._exe.program.profile

    @property
    def arena(self) -> Arena:
        return self._arena

    @property
    def arena_bytes(self) -> int:
        return self._arena.size

    def restore(self) -> None:
        """Write again what must stay in the arena between runs, after somebody else used its memory."""
        if self._bound is not None:
            self._bound.prepare()
        self._clean = False

    def _info(self, name: str, among: Sequence[TensorInfo], what: str) -> int:
        for number, info in enumerate(among):
            if info.name == name:
                return number
        raise InputError(f"the engine has no {what} {name!r}", has=", ".join(i.name for i in among))

    def set_input_shape(self, name: str, shape: Sequence[int]) -> None:
        """Set the shape of one input. Checked against the profile as soon as all shapes are set."""
        number = self._info(name, self._exe.program.inputs, "input")
        info, shape = self._exe.program.inputs[number], tuple(int(n) for n in shape)
        if info.shape is None:
            raise InputError(f"input {name!r} has no shape to set: it is handed to host steps as it is")
        if len(shape) != len(info.shape) or any(isinstance(d, int) and d != n
                                                for d, n in zip(info.shape, shape, strict=False)):
            bind([info], {name: shape})                  # words the error
        self._shapes[number] = shape
        if not self._missing_shapes():
            self._set_shapes(self._shapes)

    def _missing_shapes(self) -> list[str]:
        return [i.name for i, s in zip(self._exe.program.inputs, self._shapes, strict=True)
                if i.shape is not None and s is None]

    def input_shape(self, name: str) -> Shape | None:
        """The shape that is set, None when it is not set yet."""
        return self._shapes[self._info(name, self._exe.program.inputs, "input")]

    def output_shape(self, name: str) -> Shape | None:
        """The shape for the input shapes set; None when those are missing or the data decide it."""
        info = self._exe.program.outputs[self._info(name, self._exe.program.outputs, "output")]
        if info.shape is None:
            return None
        env = self._bound.env if self._bound is not None and self._active == self._shapes else {}
        if any(not symbols(d) <= env.keys() for d in info.shape):
            return None
        return tuple(evaluate(d, env) for d in info.shape)

    def _set_shapes(self, shapes: Sequence[Shape | None]) -> Bound:
        """Make tables for these shapes, or find those made before. InputError when the profile does not allow them."""
        key = tuple(shapes)
        found = self._known.pop(key, None)
        if found is None:
            infos = self._exe.program.inputs
            env = bind(infos, {i.name: s for i, s in zip(infos, shapes, strict=True) if s is not None})
            if reason := refused(self._exe.program, env):
                raise InputError(f"the engine does not allow these shapes: {reason}",
                                 given=", ".join(f"{i.name} {s}" for i, s in zip(infos, shapes, strict=True) if s),
                                 try_="build with a profile that covers them")
            bound = Bound(self._exe, env, self._arena, self._sessions)
            found = bound, quick(bound)
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
        self._known[key] = found
        bound, self._quick = found
        if bound is not self._bound:
            if not self._clean:
                bound.prepare()
            self._clean, self._bound = False, bound
        self._active, self._shapes = list(shapes), list(shapes)
        return bound

    # running: arrays ----------------------------------------------------------------------------------------------
    def run(self, feeds: Mapping[str, Any] | Sequence[Any], outputs: Mapping[str, np.ndarray] | None = None
            ) -> dict[str, Any]:
        """Outputs by name. feeds: arrays by name, or in the order of the engine's inputs; of exactly its types.

        outputs   arrays to write results into, for any of the outputs; the others are freshly made
        """
        self._placed = None
        if self._companions:
            feeds = self._completed(feeds)
        if self._quick is not None:
            results = self._quick(feeds, outputs)
            if results is not None:
                return results
        arrays = self._arrays(feeds)
        shapes = [a.shape if i[2] is not None else None for a, i in zip(arrays, self._inputs, strict=True)]
        bound = self._bound
        if bound is None or shapes != self._active:
            bound = self._set_shapes(shapes)
            if self._quick is not None and (results := self._quick(arrays, outputs)) is not None:
                return results
        return self._run_general(bound, arrays, outputs or {})

    def _completed(self, feeds: Mapping[str, Any] | Sequence[Any]) -> Mapping[str, Any]:
        """The feeds, with the companions of those whose values decide shapes."""
        if not isinstance(feeds, Mapping):
            feeds = dict(zip((n for n in self._exe.input_names if n not in self._companions), feeds, strict=False))
        return completed(feeds, self._companions)

    def _arrays(self, feeds: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
        """The inputs in order; tensors as dense arrays of the engine's types."""
        if isinstance(feeds, Mapping):
            if len(feeds) != len(self._inputs) or any(name not in feeds for name in self._exe.input_names):
                raise self._wrong_names(feeds)
            given = [feeds[name] for name in self._exe.input_names]
        elif isinstance(feeds, (np.ndarray, str, bytes)) or not isinstance(feeds, Iterable):
            raise InputError(f"run takes arrays by name or a list of them, not a {type(feeds).__name__}",
                             try_=f"run({{{', '.join(f'{n!r}: x' for n, *_ in self._inputs[:1])}}}) or engine(x)")
        else:
            given = list(feeds)
            if len(given) != len(self._inputs):
                raise InputError(f"{len(given)} inputs were given, the engine takes {len(self._inputs)}",
                                 takes=", ".join(self._exe.input_names))
        return [x if dtype is None else as_array(x, info) for x, (_, info, dtype) in
                zip(given, self._inputs, strict=True)]

    def _wrong_names(self, feeds: Mapping[str, Any]) -> InputError:
        names = self._exe.input_names
        wrong = {"missing": [n for n in names if n not in feeds], "unknown": [str(n) for n in feeds if n not in names]}
        what = "; ".join(f"{kind}: {', '.join(found)}" for kind, found in wrong.items() if found)
        return InputError(f"the inputs given are not the engine's ({what})", takes=", ".join(names))

    def _run_general(self, bound: Bound, arrays: list[Any], given: Mapping[str, np.ndarray]) -> dict[str, Any]:
        program = self._exe.program
        for name in given:
            self._info(name, program.outputs, "output")
        user: dict[int, int] = {}
        opaque: dict[str, Any] = {}
        results: list[Any] = [None] * len(program.outputs)
        for number, info in enumerate(program.outputs):
            spec, where = bound.outputs[number], program.output_values[number]
            if spec is None or not isinstance(where, int):
                if info.name in given:
                    raise InputError(f"output {info.name!r} has no shape before it is computed: it cannot be written "
                                     "into an array of yours")
                continue
            if info.name in given:
                results[number] = as_output(given[info.name], info.name, *spec)
            if program.buffers[where].kind == "output" and where not in user:
                if results[number] is None:
                    results[number] = np.empty(*spec)
                user[where] = address_of(results[number])
        self._keep_apart(arrays, given)
        for array, info, buffer in zip(arrays, program.inputs, self._exe.input_buffers, strict=True):
            if buffer is None:
                opaque[info.name] = array
            else:
                user[buffer] = address_of(array)
        for buffer, address in user.items():
            bound.point(buffer, address)
        bound.execute(user, opaque)
        for number, (spec, where) in enumerate(zip(bound.outputs, program.output_values, strict=True)):
            if isinstance(where, str):
                results[number] = opaque[where]
            elif spec is not None and (results[number] is None or user.get(where) != address_of(results[number])):
                source = self._dense(bound, where, spec, user)
                if results[number] is None:
                    results[number] = source.copy()
                else:
                    results[number][...] = source
        return {info.name: x for info, x in zip(program.outputs, results, strict=True)}

    @staticmethod
    def _keep_apart(arrays: list[Any], given: Mapping[str, np.ndarray]) -> None:
        """Outputs given by the user may not overlap each other; inputs that overlap them are copied."""
        mine = list(given.values())
        for i, a in enumerate(mine):
            for b in mine[i + 1:]:
                if np.may_share_memory(a, b):
                    raise InputError("two of the arrays given for outputs overlap in memory")
            for k, x in enumerate(arrays):
                if isinstance(x, np.ndarray) and np.may_share_memory(a, x):
                    arrays[k] = x.copy()

    def _dense(self, bound: Bound, buffer: int, spec: tuple[tuple[int, ...], np.dtype],
               user: Mapping[int, int]) -> np.ndarray:
        """A buffer's content as a dense array over its memory."""
        shape, dtype = spec
        base = bound.bases[buffer]
        strides, step = [], dtype.itemsize
        for n in reversed(shape):
            strides.append(step)
            step *= n
        return array_at(user[buffer] if base is None else base, shape, strides[::-1], dtype)

    # running: addresses -------------------------------------------------------------------------------------------
    def bind(self, name: str, address: int) -> None:
        """Where `execute` reads an input or writes an output: dense memory in C order, kept alive by the caller."""
        program = self._exe.program
        if name not in self._exe.by_name:
            self._info(name, (*program.inputs, *program.outputs), "tensor")
        info = self._exe.by_name[name]
        if info.shape is None or info.dtype is None:
            raise InputError(f"{name!r} has no memory: its shape is known only after running", try_="use run(feeds)")
        if address % info.dtype.itemsize:
            raise InputError(f"{name!r} is bound to address {address:#x}, which is not aligned to {info.dtype}")
        self._addresses[name], self._placed = address, None

    def execute(self) -> None:
        """Run with the shapes set and the addresses bound."""
        program, bound = self._exe.program, self._bound
        if self._placed is not None and self._placed[0] is bound and self._active == self._shapes:
            bound.execute(self._placed[1], {})
            return
        if bound is None or self._active != self._shapes:
            if missing := self._missing_shapes():
                raise InputError(f"shapes are not set: {', '.join(missing)}", try_="use set_input_shape")
            bound = self._set_shapes(self._shapes)
        user: dict[int, int] = {}
        for info, where in [*zip(program.inputs, self._exe.input_buffers, strict=True),
                            *zip(program.outputs, program.output_values, strict=True)]:
            if not isinstance(where, int):
                raise InputError(f"{info.name!r} has no memory of its own: this engine runs with run(feeds) only")
            if info.name not in self._addresses:
                raise InputError(f"{info.name!r} is not bound to an address", try_="use bind(name, address)")
            user.setdefault(where, self._addresses[info.name])
        for buffer, address in user.items():
            if bound.bases[buffer] is None:
                bound.point(buffer, address)
        bound.execute(user, {})
        copied = False
        for info, spec, where in zip(program.outputs, bound.outputs, program.output_values, strict=True):
            if spec is not None and isinstance(where, int):
                base = bound.bases[where]
                if (user[where] if base is None else base) != self._addresses[info.name]:
                    shape, dtype = spec
                    copied, source = True, self._dense(bound, where, spec, user)
                    array_at(self._addresses[info.name], shape, source.strides, dtype, writable=True)[...] = source
        self._placed = None if copied else (bound, user)         # next time, nothing is left to do but run

    def peek(self, view: View) -> np.ndarray:
        """A copy of what a view of the arena holds now: after a run, for looking inside."""
        bound = self._bound
        if bound is None or bound.bases[view.buffer] is None:
            raise TensorwrightError("this value is not in the context's memory, or nothing ran yet")
        base = bound.bases[view.buffer] + evaluate(view.offset, bound.env)  # type: ignore[operator]
        strides = [evaluate(s, bound.env) * view.dtype.itemsize for s in view.strides]
        return array_at(base, [evaluate(d, bound.env) for d in view.shape], strides, view.dtype.numpy).copy()

    # profiling ----------------------------------------------------------------------------------------------------
    def time_steps(self, feeds: Mapping[str, Any] | Sequence[Any], repeats: int = 20) -> list[tuple[str, float]]:
        """(layer, median seconds) per step, in order."""
        results = self.run(feeds)                                       # warm, checked, shapes set
        arrays = self._arrays(self._completed(feeds) if self._companions else feeds)
        bound, program = self._bound, self._exe.program
        if bound is None:
            raise TensorwrightError("no shapes are set")
        user = {b: address_of(a) for a, b in zip(arrays, self._exe.input_buffers, strict=True) if b is not None}
        for info, where in zip(program.outputs, program.output_values, strict=True):
            if isinstance(where, int) and program.buffers[where].kind == "output":
                user.setdefault(where, address_of(results[info.name]))
        opaque = {i.name: a for a, i, b in zip(arrays, program.inputs, self._exe.input_buffers, strict=True)
                  if b is None}
        for buffer, address in user.items():
            bound.point(buffer, address)
        samples = [bound.profile(user, dict(opaque)) for _ in range(max(1, repeats))]
        names = [name for layers in bound.layers for name in layers]
        return [(name, statistics.median(s)) for name, s in zip(names, zip(*samples, strict=True), strict=True)]


def _fixed(info: TensorInfo) -> Shape | None:
    """The shape of an input that cannot have another."""
    if info.shape is None or any(not isinstance(d, int) for d in info.shape):
        return None
    return tuple(int(d) for d in info.shape if isinstance(d, int))
