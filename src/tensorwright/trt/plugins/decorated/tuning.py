"""AutoTuneCombination: types, formats and tactics of a decorated plugin; how a compiled kernel is launched."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from ...enums import DataType, TensorFormat
from .symbols import SymInt32

#: Names of element types in combinations, beside DataType's own.
_TYPES = {"FP32": DataType.FLOAT, "FP16": DataType.HALF, "BF16": DataType.BF16, "FP8": DataType.FP8,
          "FP4": DataType.FP4}
Combination = tuple[tuple[DataType, ...], tuple[TensorFormat, ...]]


class AutoTuneCombination:
    """Types and formats that go together, and the tactics for them.

    AutoTuneCombination("FP32|FP16, FP32|FP16", "LINEAR", [1, 2]): a comma between tensors, inputs then outputs. Options
    joined by | are taken together, the first of all, then the second of all; those joined by * each with every other.
    One entry stands for all tensors. Or piece by piece: pos([0, 1], "FP32|FP16", "LINEAR"), tactics([1, 2]).
    """

    def __init__(self, io_types: str | None = None, layouts: str | None = None,
                 tactics: Iterable[int] | None = None) -> None:
        self._types = None if io_types is None else [t.strip() for t in io_types.split(",")]
        self._layouts = None if layouts is None else [t.strip() for t in layouts.split(",")]
        self._by_position: dict[int, tuple[str, str]] = {}
        self._tactics = [] if tactics is None else [int(t) for t in tactics]

    def pos(self, pos: int | Iterable[int], io_types: str, layouts: str = "LINEAR") -> None:
        """Types and formats of the tensors at these positions."""
        for p in [pos] if isinstance(pos, int) else pos:
            self._by_position[p] = io_types.strip(), layouts.strip()

    def tactics(self, tactics: Iterable[int]) -> None:
        self._tactics = [int(t) for t in tactics]

    def _combinations(self, count: int) -> list[Combination]:
        """All of them, for so many tensors. ValueError when the texts do not fit."""
        types = _each(self._types, count, "io_types") if self._types else [""] * count
        layouts = _each(self._layouts, count, "layouts") if self._layouts else ["LINEAR"] * count
        for p, (t, f) in self._by_position.items():
            if not 0 <= p < count:
                raise ValueError(f"position {p} of a combination: there are {count} inputs and outputs")
            types[p], layouts[p] = t, f
        if "" in types:
            raise ValueError(f"a combination says nothing of the types at position {types.index('')}")
        return [(t, f) for t in expanded(types, type_of) for f in expanded(layouts, layout_of)]


def _each(texts: list[str], count: int, what: str) -> list[str]:
    if len(texts) == 1:
        return texts * count
    if len(texts) != count:
        raise ValueError(f"{what} has {len(texts)} entries for {count} inputs and outputs: {', '.join(texts)!r}")
    return list(texts)


def expanded(texts: Sequence[str], meaning: Any) -> list[tuple[Any, ...]]:
    """Every way to choose one option per position."""
    options = []
    for text in texts:
        if "|" in text and "*" in text:
            raise ValueError(f"{text!r} joins options by both | and *")
        options.append([meaning(o.strip()) for o in text.replace("*", "|").split("|")])
    joined = [i for i, t in enumerate(texts) if "|" in t]
    lengths = {len(options[i]) for i in joined}
    if len(lengths) > 1:
        raise ValueError(f"options joined by | differ in number: {', '.join(texts[i] for i in joined)!r}")
    ways = []
    for k in range(max(lengths, default=1)):
        choices = [[o[k]] if i in joined else o for i, o in enumerate(options)]
        ways += list(itertools.product(*choices))
    return list(dict.fromkeys(ways))


def type_of(text: str) -> DataType:
    """ValueError for a name that is no element type."""
    found = _TYPES.get(text.upper()) or DataType.__members__.get(text.upper())
    if found is None:
        raise ValueError(f"{text!r} is no element type: use FP32, FP16, BF16, INT8, INT32, INT64, BOOL and so on")
    return found


def layout_of(text: str) -> TensorFormat:
    """ValueError for a name that is no format."""
    found = TensorFormat.__members__.get(text.upper())
    if found is None:
        raise ValueError(f"{text!r} is no format: use LINEAR or another of {', '.join(TensorFormat.__members__)}")
    return found


class _Symbolic:
    """An attribute that is a SymInt32; integers, dimensions and other symbolic integers become one."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self if obj is None else getattr(obj, self.name)

    def __set__(self, obj: Any, value: Any) -> None:
        setattr(obj, self.name, value if type(value) is SymInt32 else SymInt32(value))


class KernelLaunchParams:
    """How a compiled kernel is launched: blocks of the grid, threads of a block, bytes of shared memory."""

    grid_x, grid_y, grid_z = _Symbolic(), _Symbolic(), _Symbolic()
    block_x, block_y, block_z = _Symbolic(), _Symbolic(), _Symbolic()
    shared_mem = _Symbolic()

    def __init__(self, grid_x: Any = 1, grid_y: Any = 1, grid_z: Any = 1, block_x: Any = 1, block_y: Any = 1,
                 block_z: Any = 1, shared_mem: Any = 0) -> None:
        self.grid_x, self.grid_y, self.grid_z = grid_x, grid_y, grid_z
        self.block_x, self.block_y, self.block_z = block_x, block_y, block_z
        self.shared_mem = shared_mem
