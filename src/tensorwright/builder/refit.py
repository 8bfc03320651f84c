"""Other weights for a plan: its network is rewritten and lowered again, with the kernels it has.

Passes do not look at weights that may be replaced, and lowering never looks at any: so the same steps come out, and
other constants. Nothing is timed and nothing compiled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..device.compilers import Compilers
from ..errors import PlanError
from ..ir import codec
from ..plan import programs
from ..plan.inspect import layers
from ..plan.records import Launch, Plan, Program
from ..plan.refit import NETWORK
from .build import KEPT, Compiler, network_of, rewritten
from .options import BuildOptions
from .tune import Candidate, Choice, Task, Tuner
from .verify import tolerance_of


def recomputed(plan: Plan, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All weights of the plan's programs, after some constants of its network were replaced.

    given    constant of the network → content, of its type and shape; the others stay
    PlanError when the result would not fit the plan's steps: another version of this package made it.
    """
    network = network_of(plan, given)
    first = plan.programs[0]
    threads = int(plan.provenance.get("threads", first.threads))
    options = BuildOptions(threads=threads, tune_budget=0, timing_cache=False, replay=plan.choices, refit=plan.refit,
                           identical=any(w.digest for w in plan.refit), keep_values=KEPT in plan.metadata)
    compiler = Compiler(rewritten(network, options)[0], options, tolerance_of(network, None))
    compiler.cpu = replace(compiler.cpu, cores=int(first.target.rpartition("|")[2]))
    compiler.tuner = Recall(compiler, plan)
    for number, old in enumerate(plan.programs):
        if outline(compiler.program(old.profile)) != outline(old):
            raise PlanError("the plan's steps are not those that this version makes of its network", at=plan.name,
                            program=number, try_="build it again from the model")
    weights = {n: a for n, a in compiler.weights.items() if n in plan.weights}
    return weights | {NETWORK + n: a for n, a in network.constants.items()}


def outline(program: Program) -> Any:
    """All of a program but its machine code, and what is for people."""
    bare = replace(program, driver=None, layers=(), kernels=tuple(replace(k, code=b"") for k in program.kernels))
    return json.dumps(programs.encode([bare], codec.encode)[0])


class Recall(Tuner):
    """Chooses what the plan chose. The machine code is the plan's, and so is the time it took, which decides what
    weights are fetched ahead."""

    def __init__(self, compiler: Compiler, plan: Plan) -> None:
        super().__init__(compiler.cpu, compiler.threads, compiler.options, compiler.cache, compiler.tolerance)
        self.codes = {k.id: k.code for program in plan.programs for k in program.kernels}
        self.seconds = {step.kernel: info.seconds for program in plan.programs
                        for step, info in zip(program.steps, layers(program), strict=True) if isinstance(step, Launch)}

    def _compile(self, tasks: Sequence[Task], compilers: Compilers) -> list[list[Candidate]]:
        """One candidate each. Chains that the plan does not have come without code: they are left apart."""
        found = []
        for task in tasks:
            candidate = self._candidate(task.problem, task.tactics[0])
            candidate.code = self.codes.get(candidate.symbol, b"none")
            found.append([candidate])
        return found

    def _decide(self, task: Task, compiled: list[Candidate], end: float | None) -> Choice:
        return compiled[0].chosen(self.seconds.get(compiled[0].symbol), task.candidates)
