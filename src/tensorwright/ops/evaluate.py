"""The meaning of a whole network: every layer's NumPy reference in turn. The oracle of all tests and verifications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..dims import Dim, Expr, substitute, symbols
from ..dims import evaluate as value_of
from ..dtypes import DType
from ..errors import InputError, ShapeError, TensorwrightError
from ..ir import Layer, Network, TensorType


def evaluate(network: Network, feeds: Mapping[str, Any], keep: bool = False) -> dict[str, Any]:
    """The network's outputs for these inputs, by name; with keep, every value there is.

    Symbols take the values that the shapes of feeds give them. InputError when feeds do not fit the network's inputs;
    ShapeError when a layer's result does not have the type the network says.
    """
    unknown = [name for name in feeds if name not in network.inputs]
    missing = [name for name in network.inputs if name not in feeds]
    if unknown or missing:
        raise InputError(f"inputs {', '.join(unknown) or 'none'} are not the network's, "
                         f"{', '.join(missing) or 'none'} are missing", inputs=", ".join(network.inputs))
    values: dict[str, Any] = dict(network.constants)
    for name in network.inputs:
        values[name] = _fitting(name, feeds[name], network)
    tensors = [(n, t) for n in network.inputs if isinstance(t := network.types[n], TensorType)]
    env = bind_symbols(tensors, {n: values[n].shape for n, _ in tensors})
    last = {} if keep else _last_readers(network)
    for layer in network.layers:
        _apply(layer, network, values, env)
        for name in last.get(layer.name, ()):
            del values[name]
    return values if keep else {name: values[name] for name in network.outputs}


def _fitting(name: str, x: Any, network: Network) -> Any:
    """A feed as an array, checked for its element type; values of opaque type pass as they are."""
    t = network.types[name]
    if not isinstance(t, TensorType):
        return x
    x = np.asarray(x)
    if DType.of(x) != t.dtype:
        raise InputError(f"input {name!r} has element type {DType.of(x)}, the network takes {t.dtype}")
    return x


def _apply(layer: Layer, network: Network, values: dict[str, Any], env: Mapping[str, int]) -> None:
    """Evaluate one layer into values."""
    try:
        results = layer.op.bind(env).reference(*(None if name is None else values[name] for name in layer.inputs))
    except TensorwrightError as error:
        raise error.located(layer.name) from None
    results = results if isinstance(results, tuple) else (results,)
    for name, y in zip(layer.outputs, results, strict=False):
        if not name:
            continue
        t = network.types[name]
        if isinstance(t, TensorType):
            y = np.asarray(y)
            expected = tuple(value_of(d, env) for d in t.shape)
            if y.shape != expected or DType.of(y) != t.dtype:
                raise ShapeError(f"the result is {TensorType(y.shape, DType.of(y))}, "
                                 f"the network says {TensorType(expected, t.dtype)}", at=layer.name, layer=layer)
        values[name] = y


def _last_readers(network: Network) -> dict[str, list[str]]:
    """Layer name → values nobody needs after it."""
    needed, result = set(network.outputs) | set(network.constants), {}
    for layer in reversed(network.layers):
        names = {name for name in (*layer.inputs, *layer.outputs) if name} - needed
        needed |= names
        result[layer.name] = sorted(names)
    return result


def bind_symbols(inputs: Iterable[tuple[str, TensorType]], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The values of all symbols in the inputs' types, from the inputs' actual shapes.

    A symbol is found where a dimension is linear in it and its other symbols are found already. InputError when ranks
    or sizes contradict the types or each other, or when a symbol stays unknown.
    """
    env: dict[str, int] = {}
    origin: dict[str, str] = {}
    open_dims: list[tuple[str, Dim, int]] = []
    for name, t in inputs:
        shape = tuple(shapes[name])
        if len(shape) != t.rank:
            raise InputError(f"input {name!r} has rank {len(shape)}, the network takes rank {t.rank}",
                             given=shape, takes=t)
        open_dims += [(f"axis {axis} of input {name!r}", d, n)
                      for axis, (d, n) in enumerate(zip(t.shape, shape, strict=True))]
    while open_dims:
        waiting = []
        for where, d, n in open_dims:
            rest = substitute(d, env)
            if isinstance(rest, int):
                if rest != n:
                    why: dict[str, Any] = {s: f"{env[s]}, from {origin[s]}" for s in sorted(symbols(d))}
                    raise InputError(f"{where} is {n}, {f'{d} = {rest}' if why else rest} is needed", **why)
            elif (found := _solve(rest, n)) is not None:
                env[found[0]], origin[found[0]] = found[1], where
            else:
                waiting.append((where, d, n))
        if len(waiting) == len(open_dims):
            where, d, n = waiting[0]
            raise InputError(f"{where} is {n}: no value of {', '.join(sorted(symbols(substitute(d, env))))} follows "
                             f"from or fits {d}")
        open_dims = waiting
    return env


def _solve(d: Dim, n: int) -> tuple[str, int] | None:
    """(symbol, value) when d = n is linear in a single symbol and the value is a natural number."""
    names = symbols(d)
    if len(names) != 1 or not isinstance(d, Expr):
        return None
    (name,) = names
    at0, at1, at2 = (value_of(d, {name: v}) for v in range(3)) if _polynomial(d) else (0, 0, 1)
    slope = at1 - at0
    if not slope or at2 - at1 != slope or (n - at0) % slope or (n - at0) // slope < 0:
        return None
    value = (n - at0) // slope
    return (name, value) if value_of(d, {name: value}) == n else None


def _polynomial(d: Expr) -> bool:
    """Whether d is a sum of products of symbols, without divisions, minima and maxima."""
    return all(atom.kind == "symbol" for monomial, _ in d.terms for atom, _ in monomial)
