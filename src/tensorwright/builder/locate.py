"""The first layer that is wrong: all intermediate values of a program against the reference's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..dims import evaluate
from ..ir import TensorType
from ..ops.evaluate import bind_symbols
from ..plan.records import Profile
from ..runtime import Engine
from .assemble import Assembly
from .verify import compare, expected_outputs, random_feeds, rounded_integers
from .work import KernelWork

if TYPE_CHECKING:
    from .build import Compiler


@dataclass(frozen=True)
class Divergence:
    """text: layer, value and error, for people. kernel: the kernel that wrote the first wrong value, if one did."""

    text: str
    kernel: str | None


def first_divergence(compiler: Compiler, profile: Profile, shapes: Mapping[str, tuple[int, ...]]) -> Divergence:
    """Runs the program once more with memory of its own for every value, and compares value by value, in order."""
    network = compiler.network
    tensors = [(n, t) for n in network.inputs if isinstance(t := network.types[n], TensorType)]
    env = bind_symbols(tensors, dict(shapes))
    network, lowering, choices = compiler.lowered(profile)
    assembly = Assembly(network, lowering, choices, profile, compiler.cpu, compiler.threads)
    program = assembly.run(reuse=False)
    compiler.weights.update(assembly.weights)
    engine = Engine(compiler.plan([program], network.name, {}), threads=compiler.options.threads)
    feeds = random_feeds(network, env, compiler.options.seed)
    expected = expected_outputs(network, feeds, keep=True)
    context, rounded = engine.context(), rounded_integers(network)
    context.run(feeds)
    names = {(p.buffer, p.offset, p.strides): name for name, p in lowering.places.items()}
    for work in lowering.works:
        if not isinstance(work, KernelWork):
            continue
        for place in work.outputs:
            name = names.get((place.buffer, place.offset, place.strides))
            if name is None or name not in expected or program.buffers[place.buffer].kind != "arena":
                continue
            got = context.peek(place.view())
            if got.shape != tuple(evaluate(d, env) for d in network.tensor(name).shape):
                continue
            error, note = compare(got, expected[name], name in rounded)
            if error > compiler.tolerance:
                tactic = choices[work.problem]
                return Divergence(
                    f"{work.name} ({tactic.tactic!r}): {name!r} differs by {error:.1e} {note}".rstrip(), tactic.symbol
                )
    for work in reversed(lowering.works):  # nothing inside is wrong: the last kernel writes the user's memory
        if isinstance(work, KernelWork):
            return Divergence(f"{work.name}, or after it", choices[work.problem].symbol)
    return Divergence("no kernel is wrong by itself", None)
