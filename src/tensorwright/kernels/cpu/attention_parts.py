"""The inner functions of fused attention: packing keys, tiles of scores, the softmax of a row, the sum of values."""

from __future__ import annotations

from ...dims import Dim
from ...dims import Expr as DimExpr
from ...targets import CpuSpec
from ..llvm import Dims, Function, vector
from .lanes import Lanes
from .rows import load_strided
from .vector_math import apply


class Parts:
    """Internal functions, each written when first asked for. Score rows are `score_row` elements apart."""

    def __init__(self, symbol: str, dims: list[Dim], cpu: CpuSpec, scalar: str, lanes: int, mr: int, nr: int,
                 score_row: int) -> None:
        self.symbol, self.dims, self.cpu, self.scalar, self.lanes = symbol, dims, cpu, scalar, lanes
        self.mr, self.nr, self.score_row = mr, nr, score_row
        self.size, self.vec = (4 if scalar == "float" else 8), vector(scalar, lanes)
        self.functions: dict[str, Function] = {}

    def start(self, name: str, **params: str) -> tuple[Function, Dims, str]:
        f = Function(f"{self.symbol}_{name}", linkage="internal", attributes="nounwind noinline", **params, dims="ptr")
        self.functions[name] = f
        return f, Dims(f, self.dims), f.name

    # keys -------------------------------------------------------------------------------------------------------------
    def pack(self, row: Dim, column: Dim, depth: Dim) -> str:
        """(k, out, valid): key t, element c → out[t // width, c, t % width], width = nr·lanes.

        Up to a vector, what lies past the last key is unspecified: its scores are masked.
        """
        if "pack" in self.functions:
            return self.functions["pack"].name
        f, d, name = self.start("pack", k="ptr", out="ptr", valid="i64")
        lanes, size, width = self.lanes, self.size, self.nr * self.lanes
        row_bytes, column_bytes = d(row * size), d(column * size)
        with f.loop("t", "0", "%valid", lanes) as t:
            group = f.divide(t, width)
            out = f.at("%out", f.mul(group, d(depth * width * size)))
            out = f.at(out, f.mul(f.sub(t, f.mul(group, width)), size))
            base, rest = f.at("%k", f.mul(t, row_bytes)), f.sub("%valid", t)
            blocks = d(depth // lanes * lanes) if column == 1 else "0"
            last = f.mul(f.sub(f.minimum(rest, lanes), 1), row_bytes)      # rows past the last key repeat it
            rows = [f.at(base, f.minimum(f.mul(r, row_bytes), last)) for r in range(lanes)]
            with f.loop("c", "0", blocks, lanes) as c:
                tile = [f.load(self.vec, f.at(row, f.mul(c, size))) for row in rows]
                for r, value in enumerate(transpose(f, self.vec, tile)):
                    f.store(self.vec, value, f.at(out, f.mul(f.add(c, r), width * size)))
            mask = f.tail_mask(lanes, rest)
            with f.loop("c", blocks, d(depth)) as c:
                value = load_strided(f, self.scalar, f.at(base, f.mul(c, column_bytes)), row_bytes, lanes, mask)
                f.store(self.vec, value, f.at(out, f.mul(c, width * size)))
        return name

    # scores -----------------------------------------------------------------------------------------------------------
    def multiply(self, nr: int, depth: Dim, query_row: Dim) -> str:
        """(q, panel, scores): mr query rows times nr vectors of one panel."""
        key = f"multiply{nr}"
        if key in self.functions:
            return self.functions[key].name
        f, d, name = self.start(key, q="ptr", panel="ptr", scores="ptr")
        size, width, zero = self.size, self.nr * self.lanes * self.size, f.const(self.vec, 0)
        turn = 2 if isinstance(depth, int) and depth % 2 == 0 else 1
        places = [(i, j) for i in range(self.mr) for j in range(nr)]
        with f.reduce_loop("c", "0", d(depth), [(self.vec, zero)] * len(places), step=turn) as (c, acc, following):
            now = list(acc)
            for u in range(turn):
                line = f.at("%panel", f.mul(f.add(c, u), width))
                b = [f.load(self.vec, f.at(line, j * self.lanes * size)) for j in range(nr)]
                for i in range(self.mr):
                    place = f.at(f.at("%q", f.mul(i, d(query_row * size))), f.mul(f.add(c, u), size))
                    a = f.splat(self.vec, f.load(self.scalar, place))
                    for j in range(nr):
                        now[i * nr + j] = f.fma(self.vec, a, b[j], now[i * nr + j])
            following += now
        for (i, j), value in zip(places, acc, strict=True):
            f.store(self.vec, value, f.at("%scores", (i * self.score_row + j * self.lanes) * size))
        return name

    def dots(self, row: Dim, column: Dim, depth: Dim) -> str:
        """(q, k, scores, valid): one query row, dense and zero-padded, times every key."""
        if "dots" in self.functions:
            return self.functions["dots"].name
        f, d, name = self.start("dots", q="ptr", k="ptr", scores="ptr", valid="i64")
        lanes, size, zero = self.lanes, self.size, f.const(self.vec, 0)
        row_bytes, column_bytes, full = d(row * size), d(column * size), d(depth // lanes * lanes)
        f.declare(f"{self.scalar} @llvm.vector.reduce.fadd.{self.suffix}({self.scalar}, {self.vec})")

        def products(keys: list[str], c: str, mask: str | None, acc: list[str]) -> list[str]:
            q = f.load(self.vec, f.at("%q", f.mul(c, size)))
            ks = [load_strided(f, self.scalar, f.at(k, f.mul(c, column_bytes)), column_bytes, lanes, mask)
                  for k in keys]
            if mask is not None:                                      # beyond the row may lie anything, NaN too
                q, ks = f.select(mask, self.vec, q, zero), [f.select(mask, self.vec, k, zero) for k in ks]
            return [f.fma(self.vec, q, k, a) for k, a in zip(ks, acc, strict=True)]

        def several(t: str, count: int) -> None:
            keys = [f.at("%k", f.mul(f.add(t, u), row_bytes)) for u in range(count)]
            with f.reduce_loop("c", "0", full, [(self.vec, zero)] * count, step=lanes) as (c, acc, following):
                following += products(keys, c, None, acc)
            if isinstance(depth, DimExpr) or depth % lanes:
                acc = products(keys, full, f.tail_mask(lanes, f.sub(d(depth), full)), acc)
            for u, a in enumerate(acc):
                f.store(self.scalar, self.sum(f, a), f.at("%scores", f.mul(f.add(t, u), size)))

        quads = f.mul(f.divide("%valid", 4), 4)
        with f.loop("t", "0", quads, 4) as t:
            several(t, 4)
        with f.loop("t", quads, "%valid") as t:
            several(t, 1)
        return name

    @property
    def suffix(self) -> str:
        return f"v{self.lanes}f{8 * self.size}"

    def sum(self, f: Function, value: str) -> str:
        f.declare(f"{self.scalar} @llvm.vector.reduce.fadd.{self.suffix}({self.scalar}, {self.vec})")
        return f.set(f"call reassoc {self.scalar} @llvm.vector.reduce.fadd.{self.suffix}({self.scalar} "
                     f"{f.const(self.scalar, -0.0)}, {self.vec} {value})")

    # softmax ----------------------------------------------------------------------------------------------------------
    def softmax(self, mask: str, causal: bool, single: bool, wide_e: Dim) -> str:
        """(scores, mask, mask_step, valid, limit, m, l, sums): scores of one query → weights exp(score − maximum).

        m, l: running maximum and sum of weights; sums: the query's weighted sum of values, rescaled when m grows.
        limit: last key of the block that a causal query sees. valid ≥ 1.
        """
        if "softmax" in self.functions:
            return self.functions["softmax"].name
        f, d, name = self.start("softmax", scores="ptr", mask="ptr", mask_step="i64", valid="i64", limit="i64", m="ptr",
                                l="ptr", sums="ptr")
        vec, lanes, size = self.vec, self.lanes, self.size
        L = Lanes(f, lanes, self.cpu, self.scalar)
        lowest, zero = f.const(vec, float("-inf")), f.const(vec, 0)
        full = f.mul(f.divide(f.sub("%valid", 1), lanes), lanes)        # the last vector, full or not, is masked
        tail = f.tail_mask(lanes, f.sub("%valid", full))

        def masked(t: str, valid: str | None) -> str:
            place = f.at("%scores", f.mul(t, size))
            x = f.load(vec, place)
            if mask:
                x = self._masked(f, mask, x, t, valid)
            if causal:
                index = f.op("add", f"<{lanes} x i64>", f.splat(f"<{lanes} x i64>", t), _steps(lanes))
                seen = f.set(f"icmp sle <{lanes} x i64> {index}, {f.splat(f'<{lanes} x i64>', '%limit')}")
                x = f.select(seen, vec, x, lowest)
            if valid is not None:
                x = f.select(valid, vec, x, lowest)
            if mask or causal or valid is not None:
                f.store(vec, x, place)
            return x

        def larger(a: str, b: str) -> str:
            return f.select(f.set(f"fcmp ogt {vec} {a}, {b}"), vec, a, b)

        with f.reduce_loop("t", "0", full, [(vec, lowest)], step=lanes) as (t, (best,), following):
            following.append(larger(masked(t, None), best))
        best = larger(masked(full, tail), best)
        f.declare(f"{self.scalar} @llvm.vector.reduce.fmax.{self.suffix}({self.vec})")
        top = f.call(self.scalar, f"llvm.vector.reduce.fmax.{self.suffix}", (vec, best))
        old = f.load(self.scalar, "%m")
        top = f.select(f.set(f"fcmp ogt {self.scalar} {top}, {old}"), self.scalar, top, old)
        f.store(self.scalar, top, "%m")
        none = f.set(f"fcmp oeq {self.scalar} {top}, {f.const(self.scalar, float('-inf'))}")
        shift = f.splat(vec, f.select(none, self.scalar, f.const(self.scalar, 0), top))

        def weight(t: str) -> str:
            place = f.at("%scores", f.mul(t, size))
            e = apply(L, "exp", f.op("fsub", vec, f.load(vec, place), shift))
            f.store(vec, e, place)
            return e

        with f.reduce_loop("t", "0", full, [(vec, zero)], step=lanes) as (t, (total,), following):
            following.append(f.op("fadd", vec, total, weight(t)))
        total = self.sum(f, f.op("fadd", vec, total, weight(full)))
        if not single:
            alpha = apply(L, "exp", f.op("fsub", vec, f.splat(vec, old), shift))
            with f.loop("e", "0", d(wide_e), lanes) as e:
                place = f.at("%sums", f.mul(e, size))
                f.store(vec, f.op("fmul", vec, alpha, f.load(vec, place)), place)
            first = f.set(f"extractelement {vec} {alpha}, i64 0")
            total = f.op("fadd", self.scalar, total, f.op("fmul", self.scalar, first, f.load(self.scalar, "%l")))
        f.store(self.scalar, total, "%l")
        return name

    def _masked(self, f: Function, kind: str, x: str, t: str, valid: str | None) -> str:
        vec, scalar = self.vec, "i8" if kind == "bool" else self.scalar
        small = 1 if kind == "bool" else self.size
        place = f.at("%mask", f.mul(t, "%mask_step"))
        dense, strided, done = f.new_label("dense"), f.new_label("strided"), f.new_label("masked")
        f.branch(f.set(f"icmp eq i64 %mask_step, {small}"), dense, strided)
        f.label(dense)
        a, from_a = load_strided(f, scalar, place, str(small), self.lanes, valid), f.block
        f.br(done)
        f.label(strided)
        b, from_b = load_strided(f, scalar, place, "%mask_step", self.lanes, valid), f.block
        f.br(done)
        f.label(done)
        v = vector(scalar, self.lanes)
        m = f.set(f"phi {v} [{a}, %{from_a}], [{b}, %{from_b}]")
        if kind == "float":
            return f.op("fadd", vec, x, m)
        return f.select(f.set(f"icmp ne {v} {m}, {f.const(v, 0)}"), vec, x, f.const(vec, float("-inf")))

    # values -----------------------------------------------------------------------------------------------------------
    def weigh(self, g: Function, weights: str, values: str, sums: str, valid: str, step: Dim, width: Dim, row: Dim,
              d: Dims) -> None:
        """Calls that add weights · values to the mr rows of sums, some columns at a time."""
        lanes = self.lanes
        if isinstance(width, int):
            vectors = -(-width // lanes)
            groups = -(-vectors // self.nr)
            begin = 0
            for group in range(groups):
                count = (vectors - begin) // (groups - group)
                rest = min(width - begin * lanes, count * lanes)
                self._weigh_call(g, weights, values, sums, valid, count, str(rest) if rest % lanes else None, step, row,
                                 str(begin))
                begin += count
            return
        with g.loop("e", "0", d(row // lanes)) as e:
            self._weigh_call(g, weights, values, sums, valid, 1, g.sub(d(width), g.mul(e, lanes)), step, row, e)

    def _weigh_call(self, g: Function, weights: str, values: str, sums: str, valid: str, nr: int, rest: str | None,
                    step: Dim, row: Dim, vectors: str) -> None:
        place = g.mul(vectors, self.lanes * self.size)
        g.call("void", self.weigh_tile(nr, rest, step, row), ("ptr", weights), ("ptr", g.at(values, place)),
               ("ptr", g.at(sums, place)), ("i64", valid), ("i64", rest or "0"), ("ptr", "%dims"))

    def weigh_tile(self, nr: int, rest: str | None, step: Dim, row: Dim) -> str:
        """(w, v, sums, valid, columns): mr × nr tile; columns: how many exist, when not all of nr·lanes do."""
        key = f"weigh{nr}{'' if rest is None else 'm'}"
        if key in self.functions:
            return self.functions[key].name
        f, d, name = self.start(key, w="ptr", v="ptr", sums="ptr", valid="i64", columns="i64")
        vec, size, lanes = self.vec, self.size, self.lanes
        masks = [None if rest is None else f.tail_mask(lanes, f.sub("%columns", j * lanes)) for j in range(nr)]
        rows = [f.at("%sums", f.mul(i, d(row * size))) for i in range(self.mr)]
        places = [f.at(r, j * lanes * size) for r in rows for j in range(nr)]
        sets = max(1, 8 // (self.mr * nr))                            # enough sums to hide the latency of one
        first = [f.load(vec, p) for p in places] + [f.const(vec, 0)] * (len(places) * (sets - 1))
        step_bytes = d(step * size)

        def add(t: str, acc: list[str]) -> list[str]:
            line = f.at("%v", f.mul(t, step_bytes))
            v = [load_strided(f, self.scalar, f.at(line, j * lanes * size), str(size), lanes, mask)
                 for j, mask in enumerate(masks)]
            result = []
            for i in range(self.mr):
                w = f.splat(vec, f.load(self.scalar, f.at(f.at("%w", i * self.score_row * size), f.mul(t, size))))
                result += [f.fma(vec, w, v[j], acc[i * nr + j]) for j in range(nr)]
            return result

        n = len(places)
        whole = f.mul(f.divide("%valid", sets), sets)
        with f.reduce_loop("t", "0", whole, [(vec, x) for x in first], step=sets) as (t, acc, following):
            for s in range(sets):
                following += add(f.add(t, s), acc[s * n:(s + 1) * n])
        total = acc[:n]
        for s in range(1, sets):
            total = [f.op("fadd", vec, a, b) for a, b in zip(total, acc[s * n:(s + 1) * n], strict=True)]
        if sets > 1:
            with f.reduce_loop("t", whole, "%valid", [(vec, x) for x in total]) as (t, acc, following):
                following += add(t, acc)
            total = acc
        for p, value in zip(places, total, strict=True):
            f.store(vec, value, p)
        return name


def transpose(f: Function, vec: str, rows: list[str]) -> list[str]:
    """Rows of a square of lanes × lanes, transposed: log₂(lanes) rounds of interleaving pairs."""
    n = len(rows)
    half = n // 2
    low = ", ".join(f"i32 {i // 2 + (i % 2) * n}" for i in range(n))
    high = ", ".join(f"i32 {half + i // 2 + (i % 2) * n}" for i in range(n))
    for _ in range(n.bit_length() - 1):
        pairs = [(rows[i], rows[i + half]) for i in range(half)]
        rows = [f.set(f"shufflevector {vec} {a}, {vec} {b}, <{n} x i32> <{order}>")
                for a, b in pairs for order in (low, high)]
    return rows


def _steps(lanes: int) -> str:
    return "<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">"
