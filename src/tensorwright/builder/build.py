"""Network → plan: passes, lowering, tuning, memory, verification; and the way back for a plan from elsewhere."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from .. import passes
from ..device import cpu as device
from ..device.team import default_threads
from ..errors import BuildError, VerificationError
from ..ir import Network
from ..ir.network_codec import decode_network, encode_network
from ..ir.refittable import closed, opened
from ..kernels.problem import Problem
from ..plan.records import Plan, Profile, Program
from ..plan.refit import NETWORK, Hollow, digest_of
from ..plugins.records import REGISTRY
from ..targets import CpuSpec
from . import trace
from .assemble import Assembly
from .cache import TimingCache, default_path, generator_version, problem_key
from .check import check_program
from .kept import KEPT, Row, as_metadata, kept_values
from .lower import Lowering
from .options import BuildOptions
from .plugins import settled, unproven, used_plugins
from .selection import selected
from .specialise import fixed_symbols, specialise
from .tune import Choice, Tuner
from .verify import Report, tolerance_of
from .work import KernelWork

_log = logging.getLogger("tensorwright")


def build(network: Network, options: BuildOptions | None = None) -> Plan:
    """Compile a network for this machine.

    Raises BuildError when a symbol has no range, no kernel is left or the memory is not enough, VerificationError when
    the result is wrong.
    """
    options = options or BuildOptions()
    try:
        return _build(network, options)
    except MemoryError as error:
        ranges = [f"{n} {lo}..{hi}, best at {best}" for p in options.profiles for n, (lo, best, hi) in p.ranges]
        raise BuildError(f"the build needs more memory than there is: {error or 'allocation failed'}", at=network.name,
                         ranges="; ".join(ranges) or "none, all shapes are fixed",
                         try_="give smaller shapes, or build on a machine with more memory") from error


def _build(network: Network, options: BuildOptions) -> Plan:
    begin = time.perf_counter()
    say = options.progress or (lambda phase, fraction, eta: None)
    profiles = check_profiles(network, options.profiles)
    network = settled(network, profiles)
    say("passes", 0.0, None)
    network = closed(network)
    optimised, report = rewritten(network, options)
    say("passes", 1.0, 0.0)
    trace.say(trace.REWRITES, lambda: f"{report}\n{optimised}")
    source = network if options.refit else None
    compiler = Compiler(optimised, options, tolerance_of(network, options.tolerance), source)
    compiler.named = network.types.keys()
    programs = [compiler.program(profile) for profile in profiles]
    verification = Report(skipped=[unproven(p) for p in used_plugins(optimised)])
    if options.verify:
        for k, profile in enumerate(profiles):
            programs[k] = compiler.verified(network, programs[k], profile, verification, say)
    metadata = {**network.metadata, **(as_metadata([compiler.kept[p.profile] for p in programs])
                                       if options.keep_values else {})}
    plan = compiler.plan(programs, options.name or network.name, metadata)
    for program in programs:
        trace.say(trace.LAYERS, partial(trace.layers, program))
        trace.say(trace.SUMMARY, partial(trace.summary, program, plan.name, time.perf_counter() - begin))
    if options.verify and not verification.findings:
        _log.warning("%s was not compared with the reference: %s", plan.name, "; ".join(verification.skipped))
    provenance = {
        "cpu": compiler.cpu.name,
        "generators": generator_version(),
        "threads": str(compiler.threads),
        "seconds": f"{time.perf_counter() - begin:.2f}",
        "rewrites": str(len(report.fired)),
        "precision": "fp32",
    }
    return replace(plan, provenance=provenance, verification=verification.to_json() if options.verify else {"ok": None})


def rewritten(network: Network, options: BuildOptions) -> tuple[Network, passes.Report]:
    """The network after all passes, which do not look at weights that may be replaced by any others."""
    if not options.refit or options.identical:
        return passes.run(network)
    optimised, report = passes.run(opened(network, [w.constant for w in options.refit]))
    return closed(optimised), report


def rebuild(plan: Plan, options: BuildOptions | None = None) -> Plan:
    """The same engine for this machine: kernels are chosen and compiled anew, from the network in the plan.

    The result is verified against the plan's own network, unless options say otherwise.
    """
    options = options or BuildOptions()
    if isinstance(plan.weights, Hollow):
        raise BuildError("the plan was written without weights, and cannot be compiled for another machine",
                         at=plan.name, try_="build it from the model on this machine")
    network = network_of(plan)
    identical = any(w.digest for w in plan.refit)
    options = replace(options, profiles=tuple(p.profile for p in plan.programs), name=plan.name, refit=plan.refit,
                      identical=identical, keep_values=KEPT in plan.metadata)
    fresh = build(network, options)
    places = {key: text for key, text in fresh.metadata.items() if key == KEPT}
    return replace(fresh, metadata={**fresh.metadata, **plan.metadata, **places})


def network_of(plan: Plan, instead: Mapping[str, np.ndarray] | None = None) -> Network:
    """The network in a plan, with other content for some of its constants."""
    constants = {n.removeprefix(NETWORK): a for n, a in plan.weights.items() if n.startswith(NETWORK)}
    return decode_network(json.loads(plan.network), {**constants, **(instead or {})}, REGISTRY)


def check_profiles(network: Network, profiles: tuple[Profile, ...]) -> tuple[Profile, ...]:
    """The profiles, each covering exactly the network's symbols. BuildError otherwise."""
    wanted = set(network.symbols())
    checked = []
    for profile in profiles or (Profile(),):
        missing = wanted - {name for name, _ in profile.ranges}
        if missing:
            raise BuildError(
                f"no range is given for the dimension{'s' if len(missing) > 1 else ''} {', '.join(sorted(missing))}",
                at=network.name,
                try_="give a profile: shapes={input: (min, opt, max)}",
            )
        for name, (low, best, high) in profile.ranges:
            if not 0 <= low <= best <= high:
                raise BuildError(f"the range of {name} is not ordered: min {low}, opt {best}, max {high}")
        checked.append(Profile(tuple(r for r in profile.ranges if r[0] in wanted)))
    return tuple(checked)


class Compiler:
    """Lowers and tunes one optimised network, for each of its profiles; collects the constants all programs name.

    source    the network that plans keep: default `network`
    """

    def __init__(self, network: Network, options: BuildOptions, tolerance: float, source: Network | None = None
                 ) -> None:
        self.network, self.options, self.tolerance, self.source = network, options, tolerance, source or network
        self.cpu: CpuSpec = device.describe()
        self.threads = options.threads or default_threads()
        given = options.timing_cache
        path = None if given is False else default_path() if given in (None, True) else Path(str(given))
        self.cache = TimingCache(path, self.cpu, self.threads)
        self.tuner = Tuner(self.cpu, self.threads, options, self.cache, tolerance)
        self.weights: dict[str, np.ndarray] = {}
        self.named = network.types.keys()
        self.kept: dict[Profile, list[Row]] = {}

    def program(self, profile: Profile, reuse: bool = True) -> Program:
        network, lowering, choices = self.lowered(profile)
        assembly = Assembly(network, lowering, choices, profile, self.cpu, self.threads, self.network)
        program = assembly.run(reuse and not self.options.keep_values)
        self.weights.update(assembly.weights)
        if self.options.keep_values:
            self.kept[profile] = kept_values(lowering, program, self.named)
        return program

    def lowered(self, profile: Profile) -> tuple[Network, Lowering, Mapping[Problem, Choice]]:
        """The network with its chains, its works and their kernels.

        Chains are formed where they promise something; those that no kernel executes, or that turn out to be no faster
        than their layers, are left apart in the next attempt.
        """
        plain, sizes = specialise(self.network, fixed_symbols(profile)), profile.optimum()
        apart: set[str] = set()
        while True:
            network, report = passes.form_chains(plain, self.cpu, self.threads, sizes, apart)
            lowering = Lowering(network, self.cpu, sizes).run()
            worse = lowering.refused - apart
            if not worse:
                works = [w for w in lowering.works if isinstance(w, KernelWork)]
                choices = self.tuner.choose(works, {name: (r[0], r[2]) for name, r in profile.ranges})
                worse = {w.name for w in works if w.problem in self.tuner.lost} - apart
            if not worse and self.options.selection is not None:
                choices = selected(self.tuner, works, profile, *self.options.selection)
            if not worse:
                trace.say(trace.REWRITES, partial(str, report))
                return network, lowering, choices
            apart |= worse

    def verified(
        self,
        original: Network,
        program: Program,
        profile: Profile,
        report: Report,
        say: Callable[[str, float, float | None], None],
    ) -> Program:
        """The program, proven; after a failure once more without the kernels of the first layer that is wrong."""
        plan = self.plan([program], original.name, {})
        failures = check_program(original, plan, profile, self.options, self.tolerance, report, say)
        if not failures:
            return program
        from .locate import first_divergence

        where = first_divergence(self, profile, failures[0].shapes)
        report.first_divergence = where.text
        if where.kernel is not None:
            self.tuner.banned.add(where.kernel)
            self.tuner.chosen = {p: c for p, c in self.tuner.chosen.items() if c.symbol != where.kernel}
            second = Report()
            try:
                again = self.program(profile)
            except BuildError:
                again = None
            if again is not None and not check_program(
                original, self.plan([again], original.name, {}), profile, self.options, self.tolerance, second, say
            ):
                report.findings = second.findings
                report.skipped.append(f"kernel {where.kernel} of {where.text} was wrong and is not used")
                return again
        worst = failures[0]
        raise VerificationError(
            f"output {worst.output!r} differs from the reference by {worst.error:.2e}, allowed is "
            f"{worst.tolerance:.0e}",
            at=original.name,
            shapes=dict(worst.shapes),
            **({"note": worst.note} if worst.note else {}),
            layer=where.text,
            try_="report this; or build with a larger tolerance if it is acceptable",
        )

    def plan(self, programs: list[Program], name: str, metadata: Mapping[str, str]) -> Plan:
        needed = {b.name for p in programs for b in p.buffers if b.kind == "constant"}
        weights = {n: a for n, a in self.weights.items() if n in needed}
        data, constants = encode_network(self.source)
        weights.update({NETWORK + n: a for n, a in constants.items()})
        choices = {problem_key(p): repr(c.tactic) for p, c in self.tuner.chosen.items() if p not in self.tuner.lost}
        needs = used_plugins(self.network)
        told = {**metadata, "plugins": json.dumps(needs)} if needs else dict(metadata)
        refit = self.options.refit
        if self.options.identical:
            refit = tuple(replace(w, digest=digest_of(constants[w.constant])) for w in refit)
        return Plan(name, tuple(programs), json.dumps(data), weights, told, choices=choices, refit=refit)
