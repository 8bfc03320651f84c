"""Symbolic dimensions: exact integer expressions of named symbols, in a canonical form so that equal means `==`.

A dimension (`Dim`) is an int or an `Expr`. An Expr is a polynomial with integer coefficients over atoms; an atom is a
symbol, or a floor division, modulus, minimum or maximum of expressions. Constants always collapse to int.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Union

Dim = Union[int, "Expr"]


class _Atom:
    """kind is "symbol" (args: (name,)), or "floordiv", "mod", "min", "max" (args: dimensions)."""

    __slots__ = ("_hash", "_text", "args", "kind")

    def __init__(self, kind: str, args: tuple) -> None:
        self.kind, self.args = kind, args
        self._hash = hash((kind, args))
        if kind == "symbol":
            self._text = args[0]
        elif kind in ("floordiv", "mod"):
            self._text = f"({_wrap(args[0])} {'//' if kind == 'floordiv' else '%'} {_wrap(args[1])})"
        else:
            self._text = f"{kind}({', '.join(map(str, args))})"

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Atom) and self._hash == other._hash
                                 and self.kind == other.kind and self.args == other.args)

    def __str__(self) -> str:
        return self._text


def _wrap(x: Dim) -> str:
    text = str(x)
    return text if isinstance(x, int) or text.isidentifier() or text.startswith(("min(", "max(")) else f"({text})"


_Monomial = tuple  # of (_Atom, power), sorted by the atom's text


class Expr:
    """A non-constant dimension. Supports + - * // % with dimensions; compare for identity of value with ==."""

    __slots__ = ("_hash", "_text", "terms")

    def __init__(self, terms: dict[_Monomial, int]) -> None:
        self.terms = tuple(sorted(terms.items(), key=lambda t: (-sum(p for _, p in t[0]), [str(a) for a, _ in t[0]])))
        self._hash = hash(self.terms)
        self._text = self._print()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Expr) and self._hash == other._hash and self.terms == other.terms)

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__

    def _print(self) -> str:
        text = ""
        for monomial, k in self.terms:
            factors = [str(a) for a, power in monomial for _ in range(power)]
            body = "*".join(([str(abs(k))] if abs(k) != 1 or not factors else []) + factors)
            text += (" - " if k < 0 else " + ") + body if text else ("-" if k < 0 else "") + body
        return text

    def __bool__(self) -> bool:
        raise TypeError(f"dimension {self} is symbolic: its truth is not known before shapes are set")

    def __index__(self) -> int:
        raise TypeError(f"dimension {self} is symbolic: evaluate it first")

    def __add__(self, other: Dim) -> Dim:
        return add(self, other)

    def __radd__(self, other: Dim) -> Dim:
        return add(other, self)

    def __sub__(self, other: Dim) -> Dim:
        return add(self, mul(other, -1))

    def __rsub__(self, other: Dim) -> Dim:
        return add(other, mul(self, -1))

    def __neg__(self) -> Dim:
        return mul(self, -1)

    def __mul__(self, other: Dim) -> Dim:
        return mul(self, other)

    def __rmul__(self, other: Dim) -> Dim:
        return mul(other, self)

    def __floordiv__(self, other: Dim) -> Dim:
        return floordiv(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floordiv(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return mod(self, other)

    def __rmod__(self, other: Dim) -> Dim:
        return mod(other, self)


def _terms(x: Dim) -> dict[_Monomial, int]:
    if isinstance(x, Expr):
        return dict(x.terms)
    return {(): int(x)} if x else {}


def _make(terms: dict[_Monomial, int]) -> Dim:
    terms = {m: k for m, k in terms.items() if k}
    if not terms:
        return 0
    if len(terms) == 1 and () in terms:
        return terms[()]
    return Expr(terms)


def _of_atom(kind: str, args: tuple) -> Expr:
    return Expr({((_Atom(kind, args), 1),): 1})


def symbol(name: str) -> Expr:
    """A dimension known only at run time. Two symbols of the same name are the same dimension."""
    return _of_atom("symbol", (name,))


def add(a: Dim, b: Dim) -> Dim:
    terms = _terms(a)
    for m, k in _terms(b).items():
        terms[m] = terms.get(m, 0) + k
    return _make(terms)


def mul(a: Dim, b: Dim) -> Dim:
    terms: dict[_Monomial, int] = {}
    for m1, k1 in _terms(a).items():
        for m2, k2 in _terms(b).items():
            powers: dict[_Atom, int] = dict(m1)
            for atom, p in m2:
                powers[atom] = powers.get(atom, 0) + p
            m = tuple(sorted(powers.items(), key=lambda t: str(t[0])))
            terms[m] = terms.get(m, 0) + k1 * k2
    return _make(terms)


def _divide_exactly(a: Dim, b: Dim) -> Dim | None:
    """a / b when b is a single term that divides every term of a, else None. Sound for b ≠ 0."""
    divisor = _terms(b)
    if len(divisor) != 1:
        return 1 if a == b else None
    (mb, kb), = divisor.items()
    result: dict[_Monomial, int] = {}
    for ma, ka in _terms(a).items():
        powers = dict(ma)
        for atom, p in mb:
            powers[atom] = powers.get(atom, 0) - p
        if ka % kb or min(powers.values(), default=0) < 0:
            return None
        result[tuple((x, p) for x, p in sorted(powers.items(), key=lambda t: str(t[0])) if p)] = ka // kb
    return _make(result)


def floordiv(a: Dim, b: Dim) -> Dim:
    """Floor division. b must not be zero."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    exact = _divide_exactly(a, b)
    if exact is not None:
        return exact
    if isinstance(b, int) and b > 0:                      # (k·b·x + r) // b = k·x + r // b
        whole = {m: k // b for m, k in _terms(a).items() if k % b == 0}
        rest = _make({m: k for m, k in _terms(a).items() if k % b})
        if whole:
            return add(_make(whole), rest // b if isinstance(rest, int) else _of_atom("floordiv", (rest, b)))
    return _of_atom("floordiv", (a, b))


def mod(a: Dim, b: Dim) -> Dim:
    """Remainder with the sign of b. b must not be zero."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    return 0 if _divide_exactly(a, b) is not None else _of_atom("mod", (a, b))


def ceildiv(a: Dim, b: Dim) -> Dim:
    """Ceiling division. b must be positive."""
    return -floordiv(mul(a, -1), b) if isinstance(a, int) else floordiv(add(a, add(b, -1)), b)


def _only_atom(x: Dim) -> _Atom | None:
    """The atom that x consists of, when it is nothing else."""
    only = x.terms[0] if isinstance(x, Expr) and len(x.terms) == 1 else None
    return only[0][0][0] if only and only[1] == 1 and len(only[0]) == 1 and only[0][0][1] == 1 else None


def _extreme(kind: str, pick: Callable[..., int], items: Iterable[Dim]) -> Dim:
    flat: list[Dim] = []
    for x in items:
        inner = _only_atom(x)
        flat += list(inner.args) if inner is not None and inner.kind == kind else [x]
    numbers = [x for x in flat if isinstance(x, int)]
    other = "min" if kind == "max" else "max"
    absorbed = {x for x in flat if (a := _only_atom(x)) is not None and a.kind == other and set(a.args) & set(flat)}
    symbolic = sorted({x for x in flat if not isinstance(x, int)} - absorbed, key=str)  # max(a, min(a, b)) = a
    args: list[Dim] = [*symbolic, *([pick(numbers)] if numbers else [])]
    return args[0] if len(args) == 1 else _of_atom(kind, tuple(args))


def minimum(*items: Dim) -> Dim:
    return _extreme("min", min, items)


def maximum(*items: Dim) -> Dim:
    return _extreme("max", max, items)


def product(items: Iterable[Dim]) -> Dim:
    items = tuple(items)
    if all(isinstance(x, int) for x in items):
        return math.prod(items)                          # type: ignore[arg-type]
    result: Dim = 1
    for x in items:
        result = mul(result, x)
    return result


def symbols(x: Dim) -> frozenset[str]:
    """Names of all symbols that x depends on."""
    if not isinstance(x, Expr):
        return frozenset()
    names: set[str] = set()
    for monomial, _ in x.terms:
        for atom, _power in monomial:
            names |= {atom.args[0]} if atom.kind == "symbol" else frozenset().union(*map(symbols, atom.args))
    return frozenset(names)


def substitute(x: Dim, env: Mapping[str, Dim]) -> Dim:
    """x with symbols replaced; symbols that env does not name stay."""
    if not isinstance(x, Expr):
        return x
    total: Dim = 0
    for monomial, k in x.terms:
        term: Dim = k
        for atom, power in monomial:
            if atom.kind == "symbol":
                value: Dim = env[atom.args[0]] if atom.args[0] in env else Expr({((atom, 1),): 1})
            else:
                args = [substitute(a, env) for a in atom.args]
                functions: dict[str, Callable[..., Dim]] = {
                    "floordiv": floordiv, "mod": mod, "min": minimum, "max": maximum}
                value = functions[atom.kind](*args)
            for _ in range(power):
                term = mul(term, value)
        total = add(total, term)
    return total


def evaluate(x: Dim, env: Mapping[str, int]) -> int:
    """The number x has under env. KeyError names a symbol that env lacks."""
    if not isinstance(x, Expr):
        return x
    total = 0
    for monomial, k in x.terms:
        for atom, power in monomial:
            if atom.kind == "symbol":
                value = env[atom.args[0]]
            else:
                args = [evaluate(a, env) for a in atom.args]
                value = (args[0] // args[1] if atom.kind == "floordiv" else args[0] % args[1] if atom.kind == "mod"
                         else min(args) if atom.kind == "min" else max(args))
            k *= value ** power
        total += k
    return total


def bounds(x: Dim, ranges: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """(lowest, highest) value x can have when each symbol stays in its inclusive range; may be wider than the truth."""
    if not isinstance(x, Expr):
        return x, x
    low = high = 0
    for monomial, k in x.terms:
        a, b = k, k
        for atom, power in monomial:
            lo, hi = _atom_bounds(atom, ranges)
            for _ in range(power):
                corners = (a * lo, a * hi, b * lo, b * hi)
                a, b = min(corners), max(corners)
        low, high = low + a, high + b
    return low, high


def _atom_bounds(atom: _Atom, ranges: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    if atom.kind == "symbol":
        return ranges[atom.args[0]]
    parts = [bounds(a, ranges) for a in atom.args]
    if atom.kind == "min":
        return min(p[0] for p in parts), min(p[1] for p in parts)
    if atom.kind == "max":
        return max(p[0] for p in parts), max(p[1] for p in parts)
    (lo, hi), (dlo, dhi) = parts
    if dlo <= 0 <= dhi:
        raise ValueError(f"divisor of {atom} can be zero")
    if atom.kind == "floordiv":
        corners = (lo // dlo, lo // dhi, hi // dlo, hi // dhi)
        return min(corners), max(corners)
    return (0, dhi - 1) if dlo > 0 else (dlo + 1, 0)


def parse(text: str) -> Dim:
    """The inverse of str(dim). ValueError for anything else."""
    import ast

    def walk(node: ast.AST) -> Dim:
        result = convert(node)
        if isinstance(result, Expr) and len(result.terms) > 256:      # products of sums grow exponentially
            raise ValueError("dimension expression has more than 256 terms")
        return result

    def convert(node: ast.AST) -> Dim:
        match node:
            case ast.Constant(value=int() as v) if not isinstance(v, bool):
                return v
            case ast.Name(id=name):
                return symbol(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return mul(walk(operand), -1)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](walk(left), walk(right))
            case ast.Call(func=ast.Name(id="min"), args=args, keywords=[]) if args:
                return minimum(*map(walk, args))
            case ast.Call(func=ast.Name(id="max"), args=args, keywords=[]) if args:
                return maximum(*map(walk, args))
        raise ValueError(f"not a dimension: {text!r}")

    _OPERATORS: dict[type, Callable[[Dim, Dim], Dim]] = {
        ast.Add: add, ast.Sub: lambda a, b: add(a, mul(b, -1)), ast.Mult: mul, ast.FloorDiv: floordiv, ast.Mod: mod}
    if len(text) > 4096:
        raise ValueError("dimension expression is longer than 4096 characters")
    try:
        return walk(ast.parse(text, mode="eval").body)
    except (SyntaxError, ZeroDivisionError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a dimension: {text[:80]!r}") from error


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """A symbol name that `parse` reads back, made from any text, different from all in `taken`."""
    clean = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name) or "dim"
    if clean[0].isdigit() or clean in ("min", "max"):
        clean = "d_" + clean
    taken, result, n = set(taken), clean, 1
    while result in taken:
        result, n = f"{clean}_{n}", n + 1
    return result
