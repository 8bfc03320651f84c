"""Sizes for dynamic dimensions: what the user says, else the defaults that `wright build` tunes for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from ...errors import InputError
from ..model import Model

#: Input → its shape, or name of a dynamic dimension → its size.
Shapes = Mapping[str, Union[int, Sequence[int]]]

#: Sizes of dynamic dimensions nobody gave: of axis 0, and of the others (builder.profiles tunes for the same).
BATCH, OTHER = 1, 64


@dataclass(frozen=True)
class Sizes:
    """Numbers for all dimensions of the inputs.

    shapes     input → shape; inputs that are no tensors of known rank are absent
    symbols    named dimension → size
    assumed    the symbols (for unnamed ones "input[axis]") nobody gave a size for
    """

    shapes: Mapping[str, tuple[int, ...]]
    symbols: Mapping[str, int]
    assumed: Mapping[str, int]


def sizes_of(model: Model, given: Shapes | None = None) -> Sizes:
    """InputError when `given` names what is not there or contradicts the model or itself."""
    dims = {str(v.name): None if v.shape is None else [d if isinstance(d, int) else str(d.value or f"{v.name}[{axis}]")
                                                       for axis, d in enumerate(v.shape)] for v in model.inputs}
    symbols: dict[str, int] = {}
    known = {d for shape in dims.values() for d in shape or () if isinstance(d, str)}
    whole: dict[str, tuple[int, ...]] = {}
    for name, value in (given or {}).items():
        if isinstance(value, int):
            value = (value,)
        if wrong := [d for d in value if d < 0]:
            raise InputError(f"shapes of {name!r}: {wrong[0]} is not a size", at=model.label)
        if name in dims:
            _bind(model, name, dims[name], value, symbols, whole)
        elif name in known and len(value) == 1:
            _agree(model, name, value[0], symbols)
        else:
            raise InputError(f"the model has no input or dynamic dimension {name!r}", at=model.label,
                             inputs=", ".join(dims), dimensions=", ".join(sorted(known)) or "none")
    assumed: dict[str, int] = {}
    for shape in dims.values():
        for axis, d in enumerate(shape or ()):
            if isinstance(d, str) and d not in symbols:
                symbols[d] = assumed[d] = BATCH if axis == 0 else OTHER
    for name, stored in dims.items():
        if stored is not None:
            whole[name] = tuple(symbols[d] if isinstance(d, str) else d for d in stored)
    return Sizes(whole, symbols, assumed)


def _bind(model: Model, name: str, dims: list[int | str] | None, shape: Sequence[int], symbols: dict[str, int],
          whole: dict[str, tuple[int, ...]]) -> None:
    if dims is None:
        whole[name] = tuple(shape)
        return
    if len(dims) != len(shape):
        raise InputError(f"input {name!r} has {len(dims)} dimensions, shapes gives {len(shape)}", at=model.label,
                         model=tuple(dims), shapes=tuple(shape))
    for axis, (d, size) in enumerate(zip(dims, shape, strict=True)):
        if isinstance(d, str):
            _agree(model, d, size, symbols)
        elif d != size:
            raise InputError(f"input {name!r}, axis {axis}: shapes gives {size}, it is {d} in the model",
                             at=model.label, try_="`wright onnx` can make dimensions of a model dynamic")


def _agree(model: Model, symbol: str, size: int, symbols: dict[str, int]) -> None:
    if symbols.setdefault(symbol, size) != size:
        raise InputError(f"dimension {symbol!r} is given as {symbols[symbol]} and as {size}", at=model.label)
