"""Where each output element of a resized axis reads, and with what weight: tables made at build, or by a phase."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim
from ...dims import Expr as DimExpr
from ...ops.resize import Resize
from ..llvm import Dims, Function, literal


@dataclass(frozen=True)
class Table:
    """Tables of one axis, each [tap][output index]: indices i32, weights of the element type, outside i8.

    taps      input elements per output element
    weighted  False for nearest
    flagged   whether places outside x are marked (tf_crop_and_resize)
    constants   ready arrays (indices, weights, outside), or None when they are computed at run time
    offsets   places of the three tables in the workspace, in bytes, when computed at run time
    """

    axis: int
    taps: int
    length: Dim
    extent: Dim
    weighted: bool
    flagged: bool
    constants: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    offsets: tuple[Dim, Dim, Dim] = (0, 0, 0)


def tables(op: Resize, extents: tuple[Dim, ...], dtype: np.dtype) -> tuple[list[Table], Dim] | None:
    """The tables of all axes that change, and the bytes of workspace for those that depend on symbols."""
    result: list[Table] = []
    total: Dim = 0
    for axis, (extent, length) in enumerate(zip(extents, op.shape, strict=True)):
        if op.identity(axis, extent):
            continue
        flagged, weighted = op.coordinate == "tf_crop_and_resize", op.mode != "nearest"
        if isinstance(extent, int) and isinstance(length, int):
            constants = _constants(op, axis, extent, length, dtype)
            result.append(Table(axis, constants[0].shape[0], length, extent, weighted, flagged, constants))
            continue
        if op.antialias:
            return None                                      # the number of taps would depend on symbols
        taps = {"nearest": 1, "linear": 2, "cubic": 4}[op.mode]
        padded = (length + 15) // 16 * 16
        places = (total, total + padded * (4 * taps), total + padded * (4 * taps + dtype.itemsize * taps))
        total = places[2] + padded
        result.append(Table(axis, taps, length, extent, weighted, flagged, None, places))
    return result, total


def _constants(op: Resize, axis: int, extent: int, length: int,
               dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    op = replace(op, shape=tuple(1 if isinstance(d, DimExpr) else d for d in op.shape))
    places = op.places(axis, extent, length)
    outside = ((places < 0) | (places > extent - 1)).astype(np.int8)
    if op.mode == "nearest":
        index = _nearest(op, places, extent)
        weights = np.ones(index.shape)
    else:
        index, weights = op.taps(places, extent, op.ratio(axis, extent))
    used = [t for t in range(index.shape[1]) if np.any(weights[:, t])] or [0]
    return index.T[used].astype(np.int32), weights.T[used].astype(dtype), outside


def _nearest(op: Resize, places: np.ndarray, extent: int) -> np.ndarray:
    rounded = {"round_prefer_floor": np.ceil(places - 0.5), "round_prefer_ceil": np.floor(places + 0.5),
               "floor": np.floor(places), "ceil": np.ceil(places)}[op.nearest_mode]
    return np.clip(rounded, 0, extent - 1).astype(np.int64)[:, None]


def global_text(name: str, array: np.ndarray, scalar: str) -> str:
    values = ", ".join(f"{scalar} {literal(v, scalar)}" for v in array.reshape(-1).tolist())
    return f"@{name} = internal constant [{array.size} x {scalar}] [{values}], align 64"


# at run time ----------------------------------------------------------------------------------------------------------
class Computed:
    """Code that fills one axis' tables, in double precision, step by step as the operator's meaning does."""

    def __init__(self, f: Function, d: Dims, op: Resize, t: Table, scalar: str) -> None:
        self.f, self.d, self.op, self.t, self.scalar = f, d, op, t, scalar
        self.extent, self.length = self.real(d(t.extent)), self.real(d(t.length))
        scales = op.scales
        self.scale = self.c(scales[t.axis]) if scales else self.op2("fdiv", self.length, self.extent)
        self.wide = self.op2("fmul", self.scale, self.extent) if scales else self.length

    def c(self, x: float) -> str:
        return self.f.const("double", float(x))

    def real(self, x: str) -> str:
        return self.f.set(f"sitofp i64 {x} to double")

    def op2(self, name: str, a: str, b: str) -> str:
        return self.f.op(name, "double", a, b)

    def unless_one(self, x: str, usual: str, otherwise: str) -> str:
        return self.f.select(self.f.set(f"fcmp une double {x}, {self.c(1)}"), "double", usual, otherwise)

    def place(self, i: str) -> str:
        """Place of output index i (a double) in x's coordinates."""
        op, last, o = self.op, self.op2("fsub", self.extent, self.c(1)), self.op2
        span = o("fsub", self.wide, self.c(1))
        half = o("fsub", o("fdiv", o("fadd", i, self.c(0.5)), self.scale), self.c(0.5))
        if op.coordinate == "asymmetric":
            return o("fdiv", i, self.scale)
        if op.coordinate == "align_corners":
            return self.unless_one(self.wide, o("fdiv", o("fmul", i, last), span), self.c(0))
        if op.coordinate == "tf_crop_and_resize":
            assert op.roi is not None
            start, end = op.roi[self.t.axis], op.roi[self.t.axis + len(op.roi) // 2]
            moved = o("fdiv", o("fmul", o("fmul", i, self.c(end - start)), last), span)
            middle = o("fmul", o("fmul", self.c(start + end), last), self.c(0.5))
            return self.unless_one(self.wide, o("fadd", o("fmul", self.c(start), last), moved), middle)
        if op.coordinate == "pytorch_half_pixel":
            return self.unless_one(self.length, half, self.c(0))
        if op.coordinate == "half_pixel_symmetric":
            share = o("fsub", self.c(1), o("fdiv", self.length, self.wide))
            return o("fadd", o("fmul", o("fmul", self.extent, self.c(0.5)), share), half)
        return half

    def round(self, name: str, x: str) -> str:
        return self.f.intrinsic(name, "double", x)

    def nearest(self, p: str) -> str:
        half = self.c(0.5)
        return {"round_prefer_floor": lambda: self.round("ceil", self.op2("fsub", p, half)),
                "round_prefer_ceil": lambda: self.round("floor", self.op2("fadd", p, half)),
                "floor": lambda: self.round("floor", p), "ceil": lambda: self.round("ceil", p)}[self.op.nearest_mode]()

    def weight(self, distance: str) -> str:
        o, f, a = self.op2, self.f, self.op.cubic_coeff
        if self.op.mode == "linear":
            w = o("fsub", self.c(1), distance)
            return f.select(f.set(f"fcmp olt double {w}, {self.c(0)}"), "double", self.c(0), w)
        d = distance
        near = o("fsub", o("fmul", self.c(a + 2), d), self.c(a + 3))
        near = o("fadd", o("fmul", o("fmul", near, d), d), self.c(1))
        far = o("fadd", o("fmul", o("fsub", o("fmul", self.c(a), d), self.c(5 * a)), d), self.c(8 * a))
        far = o("fsub", o("fmul", far, d), self.c(4 * a))
        far = f.select(f.set(f"fcmp olt double {d}, {self.c(2)}"), "double", far, self.c(0))
        return f.select(f.set(f"fcmp ole double {d}, {self.c(1)}"), "double", near, far)

    def fill(self, workspace: str) -> None:
        f, d, t = self.f, self.d, self.t
        indices, weights, outside = (f.at(workspace, d(o)) for o in t.offsets)
        length, size = d(t.length), 4 if self.scalar == "float" else 8
        last = f.sub(d(t.extent), 1)
        with f.loop("o", "0", length) as i:
            p = self.place(self.real(i))
            if t.weighted:
                base = self.round("floor", p)
                places = [self.op2("fadd", base, self.c(k)) for k in range(1 - t.taps // 2, t.taps // 2 + 1)]
            else:
                places = [self.nearest(p)]
            ws = [self.weight(self.round("fabs", self.op2("fsub", q, p))) for q in places] if t.weighted else []
            whole = [f.set(f"call i64 @llvm.fptosi.sat.i64.f64(double {q})") for q in places]
            f.declare("i64 @llvm.fptosi.sat.i64.f64(double)")
            if self.op.exclude_outside and ws:
                ws = self.excluded(whole, ws, last)
            for k, q in enumerate(whole):
                inside = f.set(f"trunc i64 {f.maximum(f.minimum(q, last), 0)} to i32")
                f.store("i32", inside, f.at(indices, f.mul(f.add(f.mul(length, k), i), 4)))
            for k, w in enumerate(ws):
                w = w if self.scalar == "double" else f.set(f"fptrunc double {w} to float")
                f.store(self.scalar, w, f.at(weights, f.mul(f.add(f.mul(length, k), i), size)))
            if t.flagged:
                low = f.set(f"fcmp olt double {p}, {self.c(0)}")
                high = f.set(f"fcmp ogt double {p}, {self.op2('fsub', self.extent, self.c(1))}")
                flag = f.set(f"zext i1 {f.op('or', 'i1', low, high)} to i8")
                f.store("i8", flag, f.at(outside, i))

    def excluded(self, places: list[str], weights: list[str], last: str) -> list[str]:
        """Taps outside x weigh nothing, the others share their weight."""
        f, kept = self.f, []
        for q, w in zip(places, weights, strict=True):
            inside = f.op("and", "i1", f.set(f"icmp sge i64 {q}, 0"), f.set(f"icmp sle i64 {q}, {last}"))
            kept.append(f.select(inside, "double", w, self.c(0)))
        total = kept[0]
        for w in kept[1:]:
            total = self.op2("fadd", total, w)
        return [self.op2("fdiv", w, total) for w in kept]
