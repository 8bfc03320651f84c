"""How long objects live: `with` and `__del__`, whose meaning differs between generations.

In generations 5 to 7 leaving the block, or calling `__del__`, destroys the object. From 8 on objects go when nothing
refers to them: both do nothing, and warn. The superset does nothing and says nothing.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any, TypeVar

from .foundation import Closed

T = TypeVar("T")


def warn_of_block(obj: Any) -> None:
    """Called by __enter__."""
    if getattr(obj, "_number", 0) >= 8:
        warnings.warn(f"`with` on {type(obj).__name__} has no effect: objects are freed when nothing refers to them",
                      DeprecationWarning, stacklevel=3)


class Lifetime(Closed):
    """An object that can be used in a `with` statement."""

    def __enter__(self: T) -> T:
        warn_of_block(self)
        return self

    def __exit__(self, *exception: object) -> None:
        if 0 < self._number < 8:
            self._destroy()

    def __del__(self) -> None:
        if not called_by_name():
            return                                        # it is being collected: nothing is left to do
        if self._number >= 8:
            warnings.warn("__del__ has no effect: use `del`", DeprecationWarning, stacklevel=2)
        elif self._number:
            self._destroy()

    def _destroy(self) -> None:
        """Let go of everything; using the object from now on is a RuntimeError."""
        free = vars(self).get("_free")
        vars(self).clear()
        vars(self)["_destroyed"] = True
        if free is not None:
            free()

    def __getattr__(self, name: str) -> Any:
        if "_destroyed" in vars(self):
            raise RuntimeError(f"this {type(self).__name__} was destroyed: its `with` block was left, or __del__ was "
                               "called")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def called_by_name() -> bool:
    """Whether the caller of the caller spells `__del__`, rather than being at work while something is collected."""
    try:
        return "__del__" in sys._getframe(2).f_code.co_names
    except (AttributeError, ValueError, TypeError):       # the interpreter is ending
        return False
