"""Shapes as the user writes them become profiles: ranges of the network's symbols."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Union

from ..dims import Expr, symbols
from ..errors import InputError
from ..ir import Network, TensorType
from ..plan.records import Profile

_log = logging.getLogger("tensorwright")

Shape = Sequence[int]
#: one shape; or (min, opt, max) of them; or a list of such triples, one per profile
ShapeRange = Union[Shape, Sequence[Shape], Sequence[Sequence[Shape]]]

#: Ranges of dynamic dimensions when the user gives none: of axis 0, and of the others.
DEFAULT_BATCH = (1, 1, 8)
DEFAULT_OTHER = (1, 64, 512)


def ranges_of(name: str, given: ShapeRange) -> list[tuple[tuple[int, ...], ...]]:
    """One (min, opt, max) triple per profile. InputError for anything but the three spellings of ShapeRange."""
    depth, probe = 0, given
    while isinstance(probe, Sequence) and not isinstance(probe, str) and probe:
        depth, probe = depth + 1, probe[0]           # type: ignore[assignment]
    try:
        if isinstance(given, Sequence) and not given:
            return [((), (), ())]
        if depth == 1:
            shape = tuple(int(d) for d in given)     # type: ignore[arg-type]
            return [(shape, shape, shape)]
        triples = [given] if depth == 2 else list(given) if depth == 3 else None
        if triples is None:
            raise TypeError
        nested: Any = triples
        result = [tuple(tuple(int(d) for d in shape) for shape in triple) for triple in nested]
    except (TypeError, ValueError):
        raise InputError(f"shapes of {name!r}: {given!r} is neither a shape nor (min, opt, max) shapes",
                         try_='shapes={"image": (1, 3, 224, 224)} or {"image": ((1, 3, 224, 224), (4, ...), (8, ...))}'
                         ) from None
    for triple in result:
        if len(triple) != 3 or len({len(shape) for shape in triple}) != 1:
            raise InputError(f"shapes of {name!r}: min, opt and max must be three shapes of one rank, not {triple}")
        if any(not 0 <= lo <= opt <= hi for lo, opt, hi in zip(*triple, strict=True)):
            raise InputError(f"shapes of {name!r}: min ≤ opt ≤ max does not hold in {triple}")
    return result


def fixed_shapes(shapes: Mapping[str, ShapeRange]) -> dict[str, tuple[int, ...]]:
    """Sizes that are the same in every profile, −1 for the others: the importer makes the former static."""
    fixed = {}
    for name, given in shapes.items():
        every = [shape for triple in ranges_of(name, given) for shape in triple]
        if len({len(shape) for shape in every}) == 1:
            fixed[name] = tuple(sizes[0] if len(set(sizes)) == 1 else -1 for sizes in zip(*every, strict=True))
    return fixed


def profiles_of(network: Network, shapes: Mapping[str, ShapeRange], *, default: bool = True) -> tuple[Profile, ...]:
    """One profile per range given (one if none is), each with a range for every symbol of the network's inputs.

    default    symbols that `shapes` says nothing about get DEFAULT_BATCH or DEFAULT_OTHER, and a note in the log;
               without it they are an InputError
    """
    if unknown := [name for name in shapes if name not in network.inputs]:
        raise InputError(f"the model has no input {unknown[0]!r}", inputs=", ".join(network.inputs))
    ranges = {name: ranges_of(name, given) for name, given in shapes.items()}
    count = max((len(r) for r in ranges.values()), default=1)
    for name, r in ranges.items():
        if len(r) not in (1, count):
            raise InputError(f"input {name!r} has {len(r)} shape ranges where another has {count}")
    found = []
    assumed: dict[str, Any] = {}
    for k in range(count):
        bound: dict[str, tuple[int, int, int]] = {}
        for name in ranges:
            _bind(network, name, ranges[name][k if len(ranges[name]) > 1 else 0], bound)
        for symbol, axis in _symbols(network).items():
            if symbol not in bound:
                bound[symbol] = assumed[symbol] = DEFAULT_BATCH if axis == 0 else DEFAULT_OTHER
        found.append(Profile(tuple((s, bound[s]) for s in _symbols(network))))
    if assumed:
        text = ", ".join(f"{s} {lo} to {hi} (tuned for {opt})" for s, (lo, opt, hi) in assumed.items())
        if not default:
            raise InputError(f"no range was given for the dynamic dimensions {', '.join(assumed)}",
                             try_="give min, opt and max shapes for every input that has dynamic dimensions")
        _log.warning("the model has dynamic dimensions and no shapes were given for them; assuming %s", text)
    return tuple(found)


def _symbols(network: Network) -> dict[str, int]:
    """symbol → the first axis it is found at"""
    found: dict[str, int] = {}
    for name in network.inputs:
        t = network.types[name]
        if isinstance(t, TensorType):
            for axis, d in enumerate(t.shape):
                for symbol in sorted(symbols(d)):
                    found.setdefault(symbol, axis)
    return found


def _bind(network: Network, name: str, triple: tuple[tuple[int, ...], ...],
          bound: dict[str, tuple[int, int, int]]) -> None:
    """Ranges of the symbols of one input. InputError when the range contradicts the model or another input."""
    t = network.types[name]
    if not isinstance(t, TensorType):
        raise InputError(f"input {name!r} is {t}: it takes no shape")
    if t.rank != len(triple[0]):
        raise InputError(f"input {name!r} has {t.rank} dimensions, the shapes given have {len(triple[0])}",
                         model=t, given=triple)
    for axis, (d, lo, opt, hi) in enumerate(zip(t.shape, *triple, strict=True)):
        if isinstance(d, int):
            if (lo, opt, hi) != (d, d, d):
                raise InputError(f"input {name!r}: axis {axis} is {d} in the model, {lo}..{hi} was asked for", model=t)
        elif isinstance(d, Expr) and str(d).isidentifier():
            symbol = str(d)
            if bound.setdefault(symbol, (lo, opt, hi)) != (lo, opt, hi):
                a, b, c = bound[symbol]
                raise InputError(f"input {name!r}: axis {axis} ({symbol}) is {lo}..{hi} tuned for {opt}, another input "
                                 f"gives {a}..{c} tuned for {b}", model=t)
