"""Shapes as the user writes them become profiles: ranges of the network's symbols."""

from __future__ import annotations

import logging
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Union

from ..dims import Expr, identifier, symbols
from ..errors import InputError
from ..ir import Network, TensorType
from ..plan.records import Profile

_log = logging.getLogger("tensorwright")

Shape = Sequence[int]
#: one shape; or (min, opt, max) of them; or a list of such triples, one per profile
ShapeRange = Union[Shape, Sequence[Shape], Sequence[Sequence[Shape]]]

Range = tuple[int, int, int]

#: Greatest size of a dimension: more elements than any machine addresses.
LARGEST = 1 << 47

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
            shape = tuple(operator.index(d) for d in given)   # type: ignore[arg-type]
            return [(_sizes(name, shape),) * 3]
        triples = [given] if depth == 2 else list(given) if depth == 3 else None
        if triples is None:
            raise TypeError
        nested: Any = triples
        result = [tuple(tuple(operator.index(d) for d in shape) for shape in triple) for triple in nested]
    except (TypeError, ValueError):
        raise InputError(f"shapes of {name!r}: {given!r} is neither a shape nor (min, opt, max) shapes",
                         try_='shapes={"image": (1, 3, 224, 224)} or {"image": ((1, 3, 224, 224), (4, ...), (8, ...))}'
                         ) from None
    for triple in result:
        if len(triple) != 3 or len({len(shape) for shape in triple}) != 1:
            raise InputError(f"shapes of {name!r}: min, opt and max must be three shapes of one rank, not {triple}")
        for shape in triple:
            _sizes(name, shape)
        if any(not lo <= opt <= hi for lo, opt, hi in zip(*triple, strict=True)):
            raise InputError(f"shapes of {name!r}: min ≤ opt ≤ max does not hold in {triple}")
    return result


def _sizes(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape, when arrays can have it."""
    if wrong := [d for d in shape if not 0 <= d <= LARGEST]:
        raise InputError(f"shapes of {name!r}: {wrong[0]} is not a size", shape=shape,
                         try_=f"give whole numbers from 0 to {LARGEST}")
    return shape


def dimension_ranges(name: str, given: Any) -> list[Range]:
    """Ranges of a dimension that was given by its own name: n, or (min, opt, max), or a list of such triples.

    Where a shape is expected the numbers may be shapes of one dimension. InputError for anything else.
    """
    try:
        if isinstance(given, int):
            given = (given, given, given)
        if all(isinstance(x, int) for x in given):
            triples = [given]
        else:
            triples = [given] if all(len(x) == 1 and isinstance(x[0], int) for x in given) else list(given)
        result = [tuple(x if isinstance(x, int) else int(x[0]) for x in triple) for triple in triples]
        if result and all(len(t) == 3 and 0 <= t[0] <= t[1] <= t[2] <= LARGEST for t in result) \
                and all(isinstance(x, int) or len(x) == 1 for t in triples for x in t):
            return result                                # type: ignore[return-value]
    except (TypeError, ValueError, IndexError):
        pass
    raise InputError(f"dimension {name!r}: {given!r} is neither a size nor an ordered (min, opt, max)",
                     try_='shapes={"batch": 4} or {"batch": (1, 4, 8)}')


def names_dimensions(shapes: Mapping[str, Any]) -> bool:
    """Whether one of the values could be meant for a dimension instead of an input."""
    for name, given in shapes.items():
        try:
            dimension_ranges(name, given)
            return True
        except InputError:
            continue
    return False


def fixed_shapes(shapes: Mapping[str, Any], inputs: Mapping[str, Sequence[int | str | None]] | None = None
                 ) -> dict[str, tuple[int, ...]]:
    """Sizes that are the same in every profile, −1 for the others: the importer makes the former static.

    inputs    the dimensions of the model's inputs, where shapes may name dimensions
    """
    fixed: dict[str, tuple[int, ...]] = {}
    sizes: dict[str, int] = {}
    for name, given in shapes.items():
        if inputs is not None and name not in inputs:
            ranges = dimension_ranges(name, given)
            if len({n for r in ranges for n in r}) == 1:
                sizes[name] = ranges[0][0]
            continue
        every = [shape for triple in ranges_of(name, given) for shape in triple]
        if len({len(shape) for shape in every}) == 1:
            fixed[name] = tuple(s[0] if len(set(s)) == 1 else -1 for s in zip(*every, strict=True))
    for name, dims in (inputs or {}).items():
        if any(d in sizes for d in dims):
            fixed.setdefault(name, tuple(sizes.get(d, -1) if isinstance(d, str) else -1 for d in dims))
    return fixed


def profiles_of(network: Network, shapes: Mapping[str, ShapeRange], *, default: bool = True) -> tuple[Profile, ...]:
    """One profile per range given (one if none is), each with a range for every symbol of the network's inputs.

    shapes     input → shapes, or name of a dimension → sizes
    default    symbols that `shapes` says nothing about get DEFAULT_BATCH or DEFAULT_OTHER, and a note in the log;
               without it they are an InputError
    """
    known = _symbols(network)
    named = {identifier(n): dimension_ranges(n, given) for n, given in shapes.items()
             if n not in network.inputs and identifier(n) in known}
    if unknown := [n for n in shapes if n not in network.inputs and identifier(n) not in known]:
        raise InputError(f"the model has no input or dynamic dimension {unknown[0]!r}",
                         inputs=", ".join(network.inputs), dimensions=", ".join(known) or "none")
    ranges = {name: ranges_of(name, given) for name, given in shapes.items() if name in network.inputs}
    counts = {n: len(r) for n, r in ranges.items()} | {n: len(r) for n, r in named.items()}
    count = max(counts.values(), default=1)
    for name, n in counts.items():
        if n not in (1, count):
            raise InputError(f"{name!r} has {n} ranges where another has {count}")
    found = []
    assumed: dict[str, Any] = {}
    for k in range(count):
        bound = {name: r[k if len(r) > 1 else 0] for name, r in named.items()}
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
          bound: dict[str, Range]) -> None:
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
