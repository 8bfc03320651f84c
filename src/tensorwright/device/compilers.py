"""Many kernels at once: processes that compile beside each other, and whose crashes are theirs alone.

A worker is this Python running `codegen` as a script, spoken to through pipes: nothing is forked with our threads or
memory, and it imports llvmlite only. It costs a tenth of a second, so little work is done here in this process.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Union

import llvmlite

from ..errors import DeviceError
from ..targets import CpuSpec
from . import codegen, cpu

#: Bytes of IR that are worth a worker; about 0.2 s of compiling.
WORTH = 400_000
#: Seconds after which a kernel counts as one that the compiler cannot do.
PATIENCE = 60.0

Compiled = Union[bytes, DeviceError]


class Compilers:
    """Workers, started when there is enough for them to do; none are left after `close`."""

    def __init__(self, most: int | None = None) -> None:
        self.most = cpu.usable_cores() if most is None else most
        self.workers: list[_Worker] = []

    def __enter__(self) -> Compilers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for worker in self.workers:
            worker.end()
        self.workers.clear()

    def compile(self, texts: Sequence[str], spec: CpuSpec) -> list[Compiled]:
        """Object code of every text, or the error that LLVM gave; in order.

        Returns when all are done: the machine is quiet afterwards. Where workers cannot run, this process does it.
        """
        wanted = min(self.most, len(texts), sum(map(len, texts)) // WORTH)
        while len(self.workers) < wanted and (worker := _start()):
            self.workers.append(worker)
        if not self.workers or len(texts) < 2:
            return [compiled_here(text, spec) for text in texts]
        return self._shared(texts, spec)

    def _shared(self, texts: Sequence[str], spec: CpuSpec) -> list[Compiled]:
        results: dict[int, Compiled] = {}
        waiting = sorted(range(len(texts)), key=lambda i: len(texts[i]))           # the longest first, from the end
        crashed: set[int] = set()
        idle = list(self.workers)
        with selectors.DefaultSelector() as ready:
            while len(results) < len(texts):
                while idle and waiting:
                    worker, index = idle.pop(), waiting.pop()
                    worker.ask(index, texts[index], spec)
                    ready.register(worker.answers, selectors.EVENT_READ, worker)
                if not self.workers:                                               # nobody is left to ask
                    results.update((i, compiled_here(texts[i], spec)) for i in waiting)
                    break
                for worker in _answering(ready):
                    ready.unregister(worker.answers)
                    index, answer = worker.index, worker.answer()
                    if answer is not None:
                        results[index] = answer
                        idle.append(worker)
                        continue
                    worker.end()
                    self.workers.remove(worker)
                    if worker.ready and index in crashed:
                        results[index] = DeviceError("LLVM crashed on the generated code, twice", cpu=spec.name,
                                                     try_="report this: TENSORWRIGHT_DEBUG=4 shows the code")
                    else:
                        waiting.append(index)
                    if worker.ready:                                               # it had worked before: another will
                        crashed.add(index)
                        fresh = _start()
                        self.workers += [fresh] if fresh else []
                        idle += [fresh] if fresh else []
        return [results[i] for i in range(len(texts))]


def compiled_here(text: str, spec: CpuSpec) -> Compiled:
    try:
        return cpu.compile(text, spec)
    except DeviceError as error:
        return error


def _answering(ready: selectors.BaseSelector) -> list[_Worker]:
    """Workers with an answer, or without hope of one."""
    workers: list[_Worker] = [key.data for key in ready.get_map().values()]
    left = min(w.deadline for w in workers) - time.monotonic()
    found = [key.data for key, _ in ready.select(max(0.0, left))]
    return found or [w for w in workers if w.deadline <= time.monotonic()]


class _Worker:
    """One process. ready: it has come to life, so that a death is the fault of what it was asked."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.ready, self.index, self.deadline = process, False, -1, 0.0
        assert process.stdin is not None and process.stdout is not None
        self.requests, self.answers = process.stdin, process.stdout

    def ask(self, index: int, text: str, spec: CpuSpec) -> None:
        """Hand over a kernel. Whether anybody is there shows in the answer."""
        self.index, self.deadline, self.spec = index, time.monotonic() + PATIENCE, spec
        with suppress(OSError):
            codegen.send(json.dumps([text, cpu.target_of(spec)]).encode(), self.requests)

    def answer(self) -> Compiled | None:
        """The answer, when something can be read or time is over; None when there will be none."""
        if self.deadline <= time.monotonic():
            return None
        try:
            if not self.ready:
                self.ready = codegen.receive(self.answers) == codegen.READY
            answer = codegen.receive(self.answers)
        except (EOFError, OSError, ValueError):            # ValueError: the pipe is closed
            return None
        verdict, found = answer[:1], answer[1:]
        return found if verdict == codegen.DONE else cpu.refusal(found.decode(errors="replace"), self.spec)

    def end(self) -> None:
        self.process.kill()
        for pipe in (self.requests, self.answers):
            with suppress(OSError):
                pipe.close()
        self.process.wait()


def _start() -> _Worker | None:
    """A fresh worker; None where that is impossible."""
    if os.name != "posix" or "python" not in Path(sys.executable or "").name:
        return None                                        # selecting on pipes; an interpreter inside another program
    command = [sys.executable, "-I", "-S", codegen.__file__, str(Path(llvmlite.__file__).parents[1])]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        return _Worker(subprocess.Popen(command, **pipes))
    except OSError:
        return None
