"""From the shapes a user gives to the values of the network's symbols, and whether a profile allows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..dims import Dim, Expr, evaluate, symbols
from ..errors import InputError
from ..plan.records import Profile, Program, TensorInfo

Shape = tuple[int, ...]


def bind(inputs: Sequence[TensorInfo], shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Values of all symbols in the inputs' shapes. InputError when ranks, sizes or repeated symbols disagree.

    Dimensions that are a symbol give its value; dimensions that are expressions are solved when they have one unknown
    symbol in a linear place, and otherwise checked.
    """
    env: dict[str, int] = {}
    seen: dict[str, str] = {}
    later: list[tuple[TensorInfo, int, Dim, int]] = []
    for info in inputs:
        if info.shape is None or info.name not in shapes:
            continue
        shape = shapes[info.name]
        if len(shape) != len(info.shape):
            raise InputError(f"input {info.name!r} has {len(shape)} dimensions, the engine takes {len(info.shape)}",
                             given=shape, takes=text(info.shape))
        for axis, (dim, size) in enumerate(zip(info.shape, shape, strict=True)):
            if isinstance(dim, int):
                if dim != size:
                    raise InputError(f"input {info.name!r}: dimension {axis} is {size}, the engine takes {dim}",
                                     given=shape, takes=text(info.shape))
            elif (name := _symbol(dim)) is None:
                later.append((info, axis, dim, size))
            elif env.setdefault(name, size) != size:
                raise InputError(f"input {info.name!r}: dimension {axis} ({name}) is {size}, but {name} is {env[name]} "
                                 f"in input {seen[name]!r}", given=shape, takes=text(info.shape))
            else:
                seen.setdefault(name, info.name)
    for info, axis, dim, size in later:
        _solve(dim, size, env)
        unknown = symbols(dim) - env.keys()
        if unknown or evaluate(dim, env) != size:
            reason = f"{' and '.join(sorted(unknown))} cannot be found from it" if unknown else \
                f"{dim} is {evaluate(dim, env)} with " + ", ".join(f"{s} = {env[s]}" for s in sorted(symbols(dim)))
            raise InputError(f"input {info.name!r}: dimension {axis} is {size}, but {reason}", takes=text(info.shape))
    return env


def _symbol(dim: Dim) -> str | None:
    text_ = str(dim)
    return text_ if text_.isidentifier() else None


def _solve(dim: Dim, size: int, env: dict[str, int]) -> None:
    """Add the one unknown symbol of a linear dimension (k·s + c) to env, if there is one."""
    unknown = symbols(dim) - env.keys()
    if len(unknown) != 1 or not isinstance(dim, Expr):
        return
    name, = unknown
    at = [evaluate(dim, {**env, name: x}) for x in (0, 1, 2)]
    slope = at[1] - at[0]
    if slope and at[2] - at[1] == slope and (size - at[0]) % slope == 0:
        env[name] = (size - at[0]) // slope


def refused(program: Program, env: Mapping[str, int]) -> str | None:
    """Why a program does not run with these values of all its symbols; None when it does."""
    reason = outside(program.profile, env)
    for c in program.conditions if reason is None else ():
        value = evaluate(c.dim, env)
        if value < 0 or (c.kind == "zero" and value):
            return f"layer {c.layer!r} needs {c.dim} {'=' if c.kind == 'zero' else '≥'} 0, it is {value}"
    return reason


def outside(profile: Profile, env: Mapping[str, int]) -> str | None:
    """Why env is not within the profile's ranges; None when it is."""
    for name, (low, _, high) in profile.ranges:
        if name in env and not low <= env[name] <= high:
            return f"{name} is {env[name]}, the profile has {low} to {high}"
    for name, value in env.items():
        if value < 0:
            return f"{name} is {value}"
    return None


def text(shape: Sequence[Dim] | None) -> str:
    return "unknown" if shape is None else f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
