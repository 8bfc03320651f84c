"""An axis of outputs cut into pieces that one register tile covers, and the code that finds and serves a piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ...dims import Dim, ceildiv, floordiv, maximum, mod
from ..llvm import Dims, Function

T = TypeVar("T")


@dataclass(frozen=True)
class Cut:
    """An axis cut into nearly equal pieces of at most `most`: the first `long` have size base + 1, the others base."""

    extent: Dim
    most: int

    @property
    def count(self) -> Dim:
        return ceildiv(self.extent, self.most)

    @property
    def base(self) -> Dim:
        return floordiv(self.extent, maximum(1, self.count))

    @property
    def long(self) -> Dim:
        if isinstance(self.extent, int):
            return self.extent % max(1, -(-self.extent // self.most))
        return mod(self.extent, maximum(1, self.count))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Every size a piece can have."""
        if self.most == 1:
            return (1,)
        if not isinstance(self.extent, int):
            return tuple(range(1, self.most + 1))
        assert isinstance(self.base, int)
        return tuple(sorted({self.base, self.base + bool(self.long)} - {0}))


def piece(f: Function, d: Dims, cut: Cut, i: str) -> tuple[str, str | int]:
    """(first element, size) of piece i."""
    if cut.most == 1:
        return i, 1
    base, long = d(cut.base), d(cut.long)
    begin = f.add(f.mul(i, base), f.minimum(i, long))
    if len(cut.sizes) == 1:
        return begin, cut.sizes[0]
    more = f.set(f"icmp slt i64 {i}, {long}")
    return begin, f.add(base, f.set(f"zext i1 {more} to i64"))


def sizes(size: str | int, cut: Cut) -> tuple[int, ...]:
    """What a size given by `piece` can be."""
    return (size,) if isinstance(size, int) else cut.sizes


def switch(f: Function, key: str | int, cases: Mapping[int, T], serve: Callable[[T], object]) -> None:
    """Emit serve(cases[key]) for a key known at run time; straight code when there is one case."""
    if len(cases) == 1:
        serve(*cases.values())
        return
    done, labels = f.new_label("done"), [f.new_label("case") for _ in cases]
    jumps = " ".join(f"i64 {value}, label %{label}" for value, label in zip(cases, labels, strict=True))
    f.emit(f"switch i64 {key}, label %{done} [ {jumps} ]")
    for case, label in zip(cases.values(), labels, strict=True):
        f.label(label)
        serve(case)
        f.br(done)
    f.label(done)
