"""Pointwise expressions as vector code: `emit` prints an expression once for `lanes` elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...dtypes import DType
from ...ops.expr import Apply, Const, Expr, In
from ...targets import CpuSpec
from ..llvm import Function, vector
from .conversions import HALVES, cast, from_storage, register_type, rounded, to_storage
from .integers import INTEGER
from .lanes import Lanes
from .vector_math import FLOAT32, apply, erf_plus_one, power, silu, tanh_plus_one, tanh_softplus

COMPARISONS = {"eq": ("oeq", "eq", "eq"), "ne": ("une", "ne", "ne"), "lt": ("olt", "slt", "ult"),
               "le": ("ole", "sle", "ule"), "gt": ("ogt", "sgt", "ugt"), "ge": ("oge", "sge", "uge")}
LOGIC = {"and": "and", "or": "or", "xor": "xor"}
PLAIN = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "fmod": "frem"}
INTRINSICS = {"floor": "floor", "ceil": "ceil", "round": "rint", "trunc": "trunc", "sqrt": "sqrt", "abs": "fabs"}
PLUS_ONE = {"erf": erf_plus_one, "tanh": tanh_plus_one}
EXACT = frozenset({"neg", "abs", "sign", "min", "max", "floor", "ceil", "round", "trunc", "where", "fmod"})


def emit(f: Function, e: Expr, inputs: Sequence[str], lanes: int, cpu: CpuSpec) -> str:
    """The value of e for `lanes` elements.

    inputs   inputs[i] is In(i) as loaded from memory: of type vector(SCALAR[dtype], lanes), bool as bytes 0 or 1
    returns  the value as it is stored: of e's type, bool as bytes 0 or 1
    """
    printer = _Printer(f, inputs, lanes, cpu)
    return to_storage(f, e.dtype, printer.value(e), lanes, cpu)


class _Printer:
    def __init__(self, f: Function, inputs: Sequence[str], lanes: int, cpu: CpuSpec) -> None:
        self.f, self.inputs, self.lanes, self.cpu = f, inputs, lanes, cpu
        self.known: dict[Expr, str] = {}

    def value(self, e: Expr) -> str:
        """e in registers; shared nodes are printed once. Arguments first, without recursion: chains can be long."""
        stack = [e]
        while stack:
            node = stack[-1]
            missing = [a for a in node.args if a not in self.known] if isinstance(node, Apply) else []
            if node in self.known or not missing:
                stack.pop()
                if node not in self.known:
                    self.known[node] = self._one(node)
            stack.extend(missing)
        return self.known[e]

    def _one(self, e: Expr) -> str:
        match e:
            case In(index=i, dtype=t):
                return from_storage(self.f, t, self.inputs[i], self.lanes, self.cpu)
            case Const(value=v, dtype=t):
                if t in HALVES:
                    v = float(t.numpy.type(v))
                return self.f.const(register_type(t, self.lanes), v)
        assert isinstance(e, Apply)
        args = [self.known[a] for a in e.args]
        source = e.args[-1].dtype
        if e.fn == "cast":
            return cast(self.f, args[0], source, e.dtype, self.lanes, self.cpu)
        if e.fn == "where":
            return self.f.select(self._truth(args[0], e.args[0].dtype), register_type(e.dtype, self.lanes), *args[1:])
        if e.fn in COMPARISONS:
            return self._compare(e.fn, args, source)
        if e.fn in LOGIC or e.fn == "not":
            flags = [self._truth(x, a.dtype) for x, a in zip(args, e.args, strict=True)]
            name, other = (LOGIC[e.fn], flags[-1]) if e.fn != "not" else ("xor", self._const(DType.bool, True))
            return self.f.op(name, vector("i1", self.lanes), flags[0], other)
        if e.fn in ("isnan", "isinf"):
            return self._special(e.fn, args[0], source)
        if e.dtype.is_float:
            L = Lanes(self.f, self.lanes, self.cpu, "double" if e.dtype is DType.float64 else "float")
            y = self._float(L, e, args)
            return y if e.fn in EXACT else rounded(self.f, e.dtype, y, self.lanes, self.cpu)
        if e.fn in INTEGER:
            constant = e.args[-1].value if isinstance(e.args[-1], Const) else None
            return INTEGER[e.fn](self.f, e.dtype, register_type(e.dtype, self.lanes), constant, *args)
        return self._through_double(e, args)

    def _const(self, dtype: DType, value: float | int | bool) -> str:
        return self.f.const(register_type(dtype, self.lanes), value)

    def _truth(self, value: str, dtype: DType) -> str:
        return cast(self.f, value, dtype, DType.bool, self.lanes, self.cpu)

    def _compare(self, fn: str, args: list[str], dtype: DType) -> str:
        of_float, of_signed, of_unsigned = COMPARISONS[fn]
        t = register_type(dtype, self.lanes)
        if dtype.is_float:
            return self.f.set(f"fcmp {of_float} {t} {args[0]}, {args[1]}")
        return self.f.set(f"icmp {of_signed if dtype.is_signed else of_unsigned} {t} {args[0]}, {args[1]}")

    def _special(self, fn: str, x: str, dtype: DType) -> str:
        if not dtype.is_float:
            return self._const(DType.bool, False)
        L = Lanes(self.f, self.lanes, self.cpu, "double" if dtype is DType.float64 else "float")
        return L.compare("uno", x, x) if fn == "isnan" else L.compare("oeq", L.abs(x), math.inf)

    def _through_double(self, e: Apply, args: list[str]) -> str:
        """Functions that NumPy computes in floating point when their arguments are integers (exp, recip, ...)."""
        wide = [cast(self.f, x, a.dtype, DType.float64, self.lanes, self.cpu)
                for x, a in zip(args, e.args, strict=True)]
        y = self._float(Lanes(self.f, self.lanes, self.cpu, "double"), e, wide)
        return cast(self.f, y, DType.float64, e.dtype, self.lanes, self.cpu)

    def _float(self, L: Lanes, e: Apply, args: list[str]) -> str:
        fn, x = e.fn, args[0]
        if fn == "add" and e.dtype is DType.float32 and (curve := _raised(e)):
            return PLUS_ONE[curve.fn](L, self.known[curve.args[0]])
        if fn == "add" and (product := self._product(e)):
            return L.fma(*product)
        if fn == "mul" and e.dtype is DType.float32 and (gated := _gated(e)):
            return silu(L, self.known[gated])
        if fn in PLAIN:
            return L.op(PLAIN[fn], *args)
        if fn in INTRINSICS:
            return self.f.intrinsic(INTRINSICS[fn], L.v, x)
        if fn == "tanh" and L.scalar == "float" and isinstance(e.args[0], Apply) and e.args[0].fn == "softplus":
            return tanh_softplus(L, self.known[e.args[0].args[0]])
        if fn in FLOAT32:
            return apply(L, fn, x)
        match fn:
            case "neg": return L.neg(x)
            case "rsqrt": return L.div(1.0, L.sqrt(x))
            case "recip": return L.div(1.0, x)
            case "min" | "max": return self._extreme(L, e, args)
            case "sign":
                y = L.where(L.compare("olt", x, 0.0), -1.0, L.where(L.compare("oeq", x, 0.0), 0.0, x))
                return L.where(L.compare("ogt", x, 0.0), 1.0, y)
            case "mod":
                r = L.op("frem", *args)
                crossed = L.compare("olt", L.mul(L.copysign(1.0, r), L.copysign(1.0, args[1])), 0.0)
                r = L.where(L.both(crossed, L.compare("one", r, 0.0)), L.add(r, args[1]), r)
                return L.where(L.compare("oeq", r, 0.0), L.copysign(0.0, args[1]), r)
            case "pow": return self._power(L, e, args)
        raise AssertionError(f"no meaning for {fn} on {e.dtype}")

    def _product(self, e: Apply) -> tuple[str, str, str] | None:
        """(a, b, c) when e is a·b + c: a fused multiply-add, one rounding less than NumPy's two."""
        if e.dtype in HALVES or not e.dtype.is_float:
            return None
        for product, other in (e.args, e.args[::-1]):
            if isinstance(product, Apply) and product.fn == "mul":
                return self.known[product.args[0]], self.known[product.args[1]], self.known[other]
        return None

    def _extreme(self, L: Lanes, e: Apply, args: list[str]) -> str:
        """NaN when either argument is. A constant costs one instruction: x86's min and max give the second operand
        when unordered."""
        how = "olt" if e.fn == "min" else "ogt"
        for k in (1, 0):
            node = e.args[k]
            if isinstance(node, Const) and node.value == node.value:
                c, x = args[k], args[1 - k]
                return L.where(L.compare(how, c, x), c, x)
        a, b = args
        return L.where(L.compare("uno", a, a), a, L.where(L.compare(how, a, b), a, b))

    def _power(self, L: Lanes, e: Apply, args: list[str]) -> str:
        x, y = args
        exponent = e.args[1].value if isinstance(e.args[1], Const) else None
        if exponent == 2:
            return L.mul(x, x)
        if exponent == 3:
            return L.mul(L.mul(x, x), x)
        if exponent == 1:
            return x
        if exponent == -1:
            return L.div(1.0, x)
        if exponent == 0.5:                                      # as NumPy does: (−inf)^½ is NaN then
            return L.sqrt(x)
        return power(L, x, y)


def _raised(e: Apply) -> Apply | None:
    """The other argument when e is 1 + a function of PLUS_ONE."""
    for one, curve in (e.args, e.args[::-1]):
        if isinstance(one, Const) and one.value == 1 and isinstance(curve, Apply) and curve.fn in PLUS_ONE:
            return curve
    return None


def _gated(e: Apply) -> Expr | None:
    """x when e is x·sigmoid(x)."""
    for x, gate in (e.args, e.args[::-1]):
        if isinstance(gate, Apply) and gate.fn == "sigmoid" and gate.args[0] == x:
            return x
    return None
