"""A writer of LLVM IR functions: names, constants, loops and vectors; no optimisation, what is asked for is emitted.

    f = Function("axpy", args="ptr", dims="ptr", begin="i64", end="i64", thread="i64")
    with f.loop("i", f.begin, f.end) as i:
        ...
    text = f.text()
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ..dims import Dim
from ..dims import Expr as DimExpr
from ..dtypes import DType

SCALAR = {DType.float32: "float", DType.float64: "double", DType.float16: "half", DType.bfloat16: "bfloat",
          DType.int8: "i8", DType.uint8: "i8", DType.bool: "i8", DType.int16: "i16", DType.uint16: "i16",
          DType.int32: "i32", DType.uint32: "i32", DType.int64: "i64", DType.uint64: "i64"}


def vector(scalar: str, lanes: int) -> str:
    """Type of `lanes` scalars; the scalar itself for one lane."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def scalar_of(type_: str) -> str:
    return type_[1:-1].split(" x ")[1] if type_.startswith("<") else type_


def lanes_of(type_: str) -> int:
    return int(type_[1:].split(" x ")[0]) if type_.startswith("<") else 1


def literal(value: float | int | bool, scalar: str) -> str:
    """A scalar constant as LLVM prints it: floats as hexadecimal doubles, so that no digit is lost."""
    if scalar in ("float", "double"):
        v = float(np.float32(value)) if scalar == "float" else float(value)
        return f"0x{struct.unpack('<Q', struct.pack('<d', v))[0]:016X}"
    if scalar == "half":
        return f"0xH{struct.unpack('<H', np.float16(value).tobytes())[0]:04X}"
    if scalar == "bfloat":
        bits = struct.unpack("<I", struct.pack("<f", float(value)))[0]
        return f"0xR{bits >> 16:04X}"
    if scalar == "i1":
        return "true" if value else "false"
    return str(int(value))


class Function:
    """Body of one function. Keyword arguments are its parameters, readable as attributes ("%name").

    Values are strings such as "%t3" or literals; every method that computes returns the new value's name.
    """

    def __init__(self, name: str, *, linkage: str = "", returns: str = "void", attributes: str = "nounwind",
                 **params: str) -> None:
        self.name, self.params, self.returns = name, params, returns
        self.head = f"define {linkage + ' ' if linkage else ''}{returns} @{name}("
        self.head += ", ".join(f"{t} %{p}" for p, t in params.items()) + f") {attributes} {{"
        self.body: list[str] = ["entry:"]
        self.block = "entry"
        self.declares: set[str] = set()
        self.allocas: list[str] = []
        self._n = 0
        for p in params:
            setattr(self, p, f"%{p}")

    def __getattr__(self, name: str) -> str:       # parameters; only reached when not set
        raise AttributeError(f"function @{self.name} has no parameter {name!r}")

    # text ---------------------------------------------------------------------------------------------------------
    def name_(self, hint: str = "t") -> str:
        self._n += 1
        return f"%{hint}{self._n}"

    def emit(self, line: str) -> None:
        self.body.append("  " + line)

    def set(self, expression: str, hint: str = "t") -> str:
        v = self.name_(hint)
        self.emit(f"{v} = {expression}")
        return v

    def label(self, name: str) -> None:
        self.body.append(name + ":")
        self.block = name

    def new_label(self, hint: str = "b") -> str:
        self._n += 1
        return f"{hint}{self._n}"

    def br(self, target: str) -> None:
        self.emit(f"br label %{target}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        self.emit(f"br i1 {condition}, label %{yes}, label %{no}")

    def text(self, end: str = "ret void") -> str:
        """The function; pass end="" when the body already returns."""
        body = self.body[:1] + [f"  {a}" for a in self.allocas] + self.body[1:]
        return "\n".join([self.head, *body, *(["  " + end] if end else []), "}"])

    def declare(self, signature: str) -> None:
        """Remember `declare ...`; collect with `module(...)`."""
        self.declares.add(f"declare {signature}")

    # memory -------------------------------------------------------------------------------------------------------
    def at(self, pointer: str, offset: str | int, hint: str = "p") -> str:
        """pointer + offset bytes."""
        if offset in (0, "0"):
            return pointer
        return self.set(f"getelementptr i8, ptr {pointer}, i64 {offset}", hint)

    def load(self, type_: str, pointer: str, align: int | None = None) -> str:
        return self.set(f"load {type_}, ptr {pointer}, align {align or _natural(scalar_of(type_))}")

    def store(self, type_: str, value: str, pointer: str, align: int | None = None) -> None:
        self.emit(f"store {type_} {value}, ptr {pointer}, align {align or _natural(scalar_of(type_))}")

    def masked_load(self, type_: str, pointer: str, mask: str) -> str:
        """Lanes whose mask bit is off read nothing and give zero."""
        n, s = lanes_of(type_), _suffix(type_)
        self.declare(f"{type_} @llvm.masked.load.{s}.p0(ptr, i32, <{n} x i1>, {type_})")
        return self.set(f"call {type_} @llvm.masked.load.{s}.p0(ptr {pointer}, i32 {_natural(scalar_of(type_))}, "
                        f"<{n} x i1> {mask}, {type_} zeroinitializer)")

    def masked_store(self, type_: str, value: str, pointer: str, mask: str) -> None:
        n, s = lanes_of(type_), _suffix(type_)
        self.declare(f"void @llvm.masked.store.{s}.p0({type_}, ptr, i32, <{n} x i1>)")
        self.emit(f"call void @llvm.masked.store.{s}.p0({type_} {value}, ptr {pointer}, "
                  f"i32 {_natural(scalar_of(type_))}, <{n} x i1> {mask})")

    def gather(self, type_: str, pointers: str, mask: str) -> str:
        """pointers: value of type <n x ptr>. Lanes whose mask bit is off read nothing and give zero."""
        n, s = lanes_of(type_), _suffix(type_)
        self.declare(f"{type_} @llvm.masked.gather.{s}.v{n}p0(<{n} x ptr>, i32, <{n} x i1>, {type_})")
        return self.set(f"call {type_} @llvm.masked.gather.{s}.v{n}p0(<{n} x ptr> {pointers}, i32 "
                        f"{_natural(scalar_of(type_))}, <{n} x i1> {mask}, {type_} zeroinitializer)")

    def alloca(self, type_: str, hint: str = "slot", align: int = 64) -> str:
        """A stack slot, allocated once at entry."""
        v = self.name_(hint)
        self.allocas.append(f"{v} = alloca {type_}, align {align}")
        return v

    def prefetch(self, pointer: str, write: bool = False, locality: int = 3) -> None:
        self.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.emit(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(write)}, i32 {locality}, i32 1)")

    # arithmetic ---------------------------------------------------------------------------------------------------
    def op(self, name: str, type_: str, *args: str) -> str:
        """Plain instruction: f.op("add", "i64", a, "1"), f.op("fmul", v, a, b)."""
        return self.set(f"{name} {type_} {', '.join(args)}")

    def add(self, a: str | int, b: str | int) -> str:
        """i64 sum, folded when both are literals."""
        if _is_number(a) and _is_number(b):
            return str(int(a) + int(b))
        if str(a) == "0":
            return str(b)
        return str(a) if str(b) == "0" else self.set(f"add i64 {a}, {b}")

    def sub(self, a: str | int, b: str | int) -> str:
        if _is_number(a) and _is_number(b):
            return str(int(a) - int(b))
        return str(a) if str(b) == "0" else self.set(f"sub i64 {a}, {b}")

    def mul(self, a: str | int, b: str | int) -> str:
        """i64 product, folded when both are literals."""
        if _is_number(a) and _is_number(b):
            return str(int(a) * int(b))
        if "0" in (str(a), str(b)):
            return "0"
        if str(a) == "1":
            return str(b)
        return str(a) if str(b) == "1" else self.set(f"mul i64 {a}, {b}")

    def divide(self, a: str | int, b: str | int) -> str:
        """Unsigned i64 quotient of non-negative numbers."""
        if _is_number(a) and _is_number(b):
            return str(int(a) // int(b))
        return str(a) if str(b) == "1" else self.set(f"udiv i64 {a}, {b}")

    def remainder(self, a: str | int, b: str | int) -> str:
        if _is_number(a) and _is_number(b):
            return str(int(a) % int(b))
        return "0" if str(b) == "1" else self.set(f"urem i64 {a}, {b}")

    def minimum(self, a: str | int, b: str | int) -> str:
        """Signed i64 minimum."""
        if _is_number(a) and _is_number(b):
            return str(min(int(a), int(b)))
        c = self.set(f"icmp slt i64 {a}, {b}")
        return self.set(f"select i1 {c}, i64 {a}, i64 {b}")

    def maximum(self, a: str | int, b: str | int) -> str:
        if _is_number(a) and _is_number(b):
            return str(max(int(a), int(b)))
        c = self.set(f"icmp sgt i64 {a}, {b}")
        return self.set(f"select i1 {c}, i64 {a}, i64 {b}")

    def select(self, condition: str, type_: str, yes: str, no: str) -> str:
        n = lanes_of(type_)
        return self.set(f"select {vector('i1', n)} {condition}, {type_} {yes}, {type_} {no}")

    def splat(self, type_: str, value: str) -> str:
        """A vector of equal lanes from a scalar value; the scalar itself for one lane."""
        n, s = lanes_of(type_), scalar_of(type_)
        if n == 1:
            return value
        if not value.startswith("%"):
            return f"splat ({s} {value})"
        first = self.set(f"insertelement {type_} poison, {s} {value}, i64 0")
        return self.set(f"shufflevector {type_} {first}, {type_} poison, <{n} x i32> zeroinitializer")

    def const(self, type_: str, value: float | int | bool) -> str:
        """A constant of scalar or vector type."""
        text = literal(value, scalar_of(type_))
        return text if lanes_of(type_) == 1 else f"splat ({scalar_of(type_)} {text})"

    def call(self, returns: str, name: str, *args: tuple[str, str]) -> str:
        """A call of a function defined elsewhere; args are (type, value). Returns the result, "" for void."""
        text = f"call {returns} @{name}({', '.join(f'{t} {v}' for t, v in args)})"
        if returns == "void":
            self.emit(text)
            return ""
        return self.set(text)

    def intrinsic(self, name: str, type_: str, *args: str) -> str:
        """Overloaded intrinsic with equal argument and result types: f.intrinsic("fma", v, a, b, c)."""
        full = f"llvm.{name}.{_suffix(type_)}"
        self.declare(f"{type_} @{full}({', '.join([type_] * len(args))})")
        return self.call(type_, full, *((type_, a) for a in args))

    def fma(self, type_: str, a: str, b: str, c: str) -> str:
        """a·b + c: fused for floats where the target has it (contracted), multiply then add for integers."""
        if scalar_of(type_) in ("float", "double"):
            return self.intrinsic("fmuladd", type_, a, b, c)
        return self.op("add", type_, self.op("mul", type_, a, b), c)

    def tail_mask(self, lanes: int, valid: str | int) -> str:
        """<lanes x i1> with the first `valid` lanes on; valid may exceed lanes."""
        if _is_number(valid):
            return "<" + ", ".join(f"i1 {'true' if i < int(valid) else 'false'}" for i in range(lanes)) + ">"
        steps = "<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">"
        v = self.splat(f"<{lanes} x i64>", str(valid))
        return self.set(f"icmp slt <{lanes} x i64> {steps}, {v}")

    # control ------------------------------------------------------------------------------------------------------
    @contextmanager
    def loop(self, hint: str, begin: str | int, end: str | int, step: str | int = 1) -> Iterator[str]:
        """for i in range(begin, end, step), tested before the first turn. Carried values go through allocas or phis."""
        head, body, done = (self.new_label(f"{hint}_{part}") for part in ("head", "body", "done"))
        before = self.block
        i, nxt = self.name_(hint), self.name_(hint + "n")
        self.br(head)
        self.label(head)
        slot = len(self.body)
        self.emit("")                                       # phi, patched below when the latch's name is known
        self.branch(self.set(f"icmp slt i64 {i}, {end}"), body, done)
        self.label(body)
        yield i
        self.emit(f"{nxt} = add i64 {i}, {step}")
        self.body[slot] = f"  {i} = phi i64 [{begin}, %{before}], [{nxt}, %{self.block}]"
        self.br(head)
        self.label(done)

    @contextmanager
    def reduce_loop(self, hint: str, begin: str | int, end: str | int, carried: Sequence[tuple[str, str]],
                    step: str | int = 1) -> Iterator[tuple[str, list[str], list[str]]]:
        """A loop with carried values: yields (i, current values, list to fill with the next values).

        carried: (type, initial value) pairs. After the block, the yielded `current` list holds the final values.
        """
        head, body, done = (self.new_label(f"{hint}_{part}") for part in ("head", "body", "done"))
        before = self.block
        i, nxt = self.name_(hint), self.name_(hint + "n")
        current = [self.name_("acc") for _ in carried]
        following: list[str] = []
        self.br(head)
        self.label(head)
        slot = len(self.body)
        for _ in range(1 + len(carried)):
            self.emit("")
        self.branch(self.set(f"icmp slt i64 {i}, {end}"), body, done)
        self.label(body)
        yield i, current, following
        assert len(following) == len(carried), "every carried value needs its next value"
        self.emit(f"{nxt} = add i64 {i}, {step}")
        self.body[slot] = f"  {i} = phi i64 [{begin}, %{before}], [{nxt}, %{self.block}]"
        for k, ((type_, first), cur, new) in enumerate(zip(carried, current, following, strict=True)):
            self.body[slot + 1 + k] = f"  {cur} = phi {type_} [{first}, %{before}], [{new}, %{self.block}]"
        self.br(head)
        self.label(done)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """if condition (i1): the block."""
        yes, done = self.new_label("then"), self.new_label("endif")
        self.branch(condition, yes, done)
        self.label(yes)
        yield
        self.br(done)
        self.label(done)


class Dims:
    """Run-time values of dimensions inside a kernel: constants become literals, the rest is loaded from `dims` once.

    Make one per entry function, right after creating it; ask with d(dim). `order` is Source.dims; share it between
    the entries of one source.
    """

    def __init__(self, f: Function, order: list[Dim]) -> None:
        self.f, self.order = f, order
        self.values: dict[Dim, str] = {}

    def __call__(self, d: Dim) -> str:
        if not isinstance(d, DimExpr):
            return str(int(d))
        if d not in self.values:
            if d not in self.order:
                self.order.append(d)
            k = self.order.index(d)
            v, p = self.f.name_("dim"), self.f.name_("dimp")
            self.f.allocas += [f"{p} = getelementptr i8, ptr %dims, i64 {8 * k}", f"{v} = load i64, ptr {p}, align 8"]
            self.values[d] = v
        return self.values[d]


def entry(symbol: str) -> Function:
    """A kernel entry with the calling convention of `kernels.problem`."""
    return Function(symbol, args="ptr", dims="ptr", begin="i64", end="i64", thread="i64")


def arg(f: Function, index: int) -> str:
    """Pointer number `index` of the kernel's args."""
    return f.load("ptr", f.at("%args", 8 * index), 8)


def module(*functions: Function | str) -> str:
    """Functions (or ready text) as one module, with the declarations they asked for."""
    declares: set[str] = set()
    for g in functions:
        if isinstance(g, Function):
            declares |= g.declares
    texts = [g.text() if isinstance(g, Function) else g for g in functions]
    return "\n\n".join([*texts, "\n".join(sorted(declares))]) + "\n"


def linked(*parts: Function | str) -> str:
    """Functions and ready modules as one module; every declaration once."""
    lines = "\n\n".join(module(p) if isinstance(p, Function) else p for p in parts).split("\n")
    declares = sorted({line for line in lines if line.startswith("declare ")})
    return "\n".join([line for line in lines if not line.startswith("declare ")] + declares) + "\n"


def _is_number(x: str | int) -> bool:
    return isinstance(x, int) or x.lstrip("-").isdigit()


def _natural(scalar: str) -> int:
    return {"double": 8, "i64": 8, "ptr": 8, "float": 4, "i32": 4, "half": 2, "bfloat": 2, "i16": 2}.get(scalar, 1)


def _suffix(type_: str) -> str:
    s = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16"}.get(scalar_of(type_), scalar_of(type_))
    return s if lanes_of(type_) == 1 else f"v{lanes_of(type_)}{s}"
