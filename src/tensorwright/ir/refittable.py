"""Constants that may be replaced after the build: rewrites may compute with them, and not look at them.

A network whose rewriting never depended on the content of such a constant is rewritten in the same way for any other
content. So the engine of another content has the same steps and kernels, and only other constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .network import Network


class Undecided(Exception):
    """A decision would depend on the content of weights that may be replaced."""


class Refittable(np.ndarray):
    """An array whose elements nobody may look at. What is computed from it is Refittable, too."""

    __array_priority__ = 1000.0
    #: Somebody needed the content after all: it is no longer to be replaced. See `reveal`.
    revealed = False

    @classmethod
    def of(cls, array: np.ndarray) -> Refittable:
        return np.asarray(array).view(cls)

    def _undecided(self, *_: Any) -> Any:
        raise Undecided("it depends on weights that may be refitted")

    __bool__ = __float__ = __int__ = __index__ = __contains__ = _undecided                     # type: ignore[assignment]
    item = tolist = tobytes = __iter__ = _undecided                                            # type: ignore[assignment]

    def __getitem__(self, key: Any) -> Any:
        return hidden(super().__getitem__(key))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's functions; some of them forget the class of their arguments."""
        result = super().__array_function__(func, types, args, kwargs)
        return type(result)(map(hidden, result)) if type(result) in (tuple, list) else hidden(result)


def hidden(x: Any) -> Any:
    """A result of NumPy's as a Refittable; numbers that only tell a size or rank stay as they are."""
    return Refittable.of(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


def reveal(array: np.ndarray) -> np.ndarray:
    """The array, to look at, for those that cannot do without; if it was Refittable, it says so from now on."""
    if isinstance(array, Refittable):
        array.revealed = True
    return plain(array)


def is_free(array: Any) -> bool:
    """Whether an array is Refittable, and nobody needed its content."""
    return isinstance(array, Refittable) and not array.revealed


def plain(array: np.ndarray) -> np.ndarray:
    """The array itself, to look at."""
    return array.view(np.ndarray) if isinstance(array, Refittable) else array


def surely(condition: Any) -> bool:
    """Whether a condition holds for all elements, whatever weights come: False where that depends on them."""
    return not isinstance(condition, Refittable) and bool(np.all(condition))


class Constants(dict[str, np.ndarray]):
    """Constants by name. touched: whether one that is Refittable was read since that was last set to False."""

    touched = False

    def __getitem__(self, name: str) -> np.ndarray:
        array = super().__getitem__(name)
        self.touched |= isinstance(array, Refittable)
        return array

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default


def opened(network: Network, names: Iterable[str]) -> Network:
    """The network with these constants Refittable."""
    chosen = set(names)
    return _with(network, {n: Refittable.of(a) if n in chosen else a for n, a in network.constants.items()})


def closed(network: Network) -> Network:
    """The network with all constants to look at, each an array object of its own."""
    return _with(network, {n: a.view() if type(a) is np.ndarray else plain(a) for n, a in network.constants.items()})


def _with(network: Network, constants: Mapping[str, np.ndarray]) -> Network:
    return network.with_changes(constants=constants)
