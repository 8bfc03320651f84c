"""Making the module of one generation out of `tensorwright.trt`, by the table names.json.

The table lists each name of TensorRT's Python API with the generations that have it, and the integers of enumeration
members. A class of a generation is a subclass of ours in which the names the generation lacks are hidden from
everybody but this package: one implementation serves all, and uses whatever names it has.
"""

from __future__ import annotations

import functools
import json
import sys
import warnings
from collections.abc import Mapping
from importlib import resources
from types import ModuleType
from typing import Any

from .. import plugin, trt
from ..trt.enums.choice import view
from ..trt.foundation import Closed, PerGeneration
from .deprecated import DEPRECATED

#: Values rather than parts of the API's machinery: all generations share the class.
VALUES = {"Dims", "Dims2", "Dims3", "Dims4", "DimsHW", "DimsCHW", "DimsNCHW", "Permutation", "Weights", "IHostMemory"}
#: What a generation lacks stays visible in Python: these make objects, not calls.
KEPT = {"__init__", "__enter__", "__exit__", "__del__"}


@functools.cache
def table() -> Mapping[str, Any]:
    """functions, constants: name → generations. enums: name → generations, members → [generations, integer or
    {generation: integer}]. classes: name → generations, bases, members → generations."""
    text = resources.files(__package__).joinpath("names.json").read_text("utf8")
    return dict(json.loads(text))


def publish(module: dict[str, Any], generation: str) -> list[str]:
    """Fill a module with the names of a generation that this version has. Returns them."""
    names: dict[str, Any] = {}
    for name, entry in table()["enums"].items():
        if generation in entry["generations"].split() and (origin := getattr(trt, name, None)) is not None:
            names[name] = enumeration(origin, name, generation)
    kinds = {n: getattr(trt, n) for n, e in table()["classes"].items()
             if generation in e["generations"].split() and isinstance(getattr(trt, n, None), type)}
    for name, kind in sorted(kinds.items(), key=lambda item: len(item[1].__mro__)):
        names[name] = kind if name in VALUES else subclass(kind, name, generation, module["__name__"], names)
    for name, generations in table()["functions"].items():
        if generation in generations.split() and hasattr(trt, name):
            function = getattr(trt, name)
            names[name] = function.within(names) if isinstance(function, PerGeneration) else function
    for name, (meaning, generations) in table()["constants"].items():
        if meaning and generation in generations.split():
            kind, _, member = meaning.partition(".")
            names[name] = getattr(names[kind], member)
    if any(name.startswith("plugin.") and generation in g.split() for name, g in table()["functions"].items()):
        names["plugin"] = sys.modules[f"{module['__name__']}.plugin"] = plugin
    module.update(names)
    module["tensorrt"] = sys.modules[module["__name__"]]
    return sorted([*names, "__version__", "tensorrt"])


def enumeration(origin: Any, name: str, generation: str) -> Any:
    """The enumeration itself when the generation has all its members and integers, else a view of it."""
    numbers: dict[str, int] = {}
    for member, (generations, number) in table()["enums"][name]["members"].items():
        if generation in generations.split():
            number = number.get(generation) if isinstance(number, dict) else number
            numbers[member] = int(origin[member]) if number is None else number
    if numbers == {m: int(v) for m, v in origin.__members__.items()} and origin.__name__ == name:
        return origin
    return view(origin, name, numbers)


def subclass(kind: type, name: str, generation: str, module: str, names: dict[str, Any]) -> type:
    """The class of one generation: a subclass of ours, and of its bases' classes in the generation."""
    hidden = lacking(kind, name, generation)
    bases = [names[b.__name__] for b in kind.__bases__ if names.get(b.__name__) not in (None, b)]
    shadowed = {m for b in bases for m, v in vars(b).items() if type(v) is Hidden} - hidden
    body: dict[str, Any] = {m: None if m.startswith("__") else Hidden(m, kind) for m in hidden}      # None: TypeError
    body |= {m: next(vars(c)[m] for c in kind.__mro__ if m in vars(c)) for m in shadowed}
    body |= {m: Deprecated(m, kind, instead) for m, (since, instead) in DEPRECATED.get(name, {}).items()
             if since <= int(generation) and m not in hidden and hasattr(kind, m)}
    body |= {"__module__": module, "__doc__": kind.__doc__, "_generation": names, "_number": int(generation)}
    return type(kind)(name, (kind, *bases), body)


def lacking(kind: type, name: str, generation: str) -> set[str]:
    """Names of a class, its own and inherited ones, that the generation does not have."""
    listed: dict[str, set[str]] = {}
    for base in kind.__mro__:
        for member, generations in table()["classes"].get(base.__name__, {}).get("members", {}).items():
            listed.setdefault(member, set()).update(generations.split())
    ours = {m for m in dir(kind) if not m.startswith("_")}
    return {m for m in ours | set(listed) if generation not in listed.get(m, ()) and m not in KEPT
            and (m in ours or hasattr(kind, m) or not m.startswith("__"))}


class Hidden:
    """A name that a class of ours has and this generation does not: AttributeError, but for this package itself."""

    hides_another_generation = True

    def __init__(self, name: str, kind: type) -> None:
        self.name, self.kind = name, kind

    def __get__(self, obj: Any, owner: type) -> Any:
        there = any(self.name in vars(c) for c in self.kind.__mro__) or (obj is not None and self.name in vars(obj))
        if not from_inside() or not there:
            raise AttributeError(f"{owner.__name__!r} object has no attribute {self.name!r}")
        return self.read(obj, owner)

    def __set__(self, obj: Any, value: Any) -> None:
        if not from_inside():
            raise AttributeError(f"{type(obj).__name__!r} object has no attribute {self.name!r}")
        self.write(obj, value)

    def origin(self) -> Any:
        """What our class has under the name."""
        return next((vars(c)[self.name] for c in self.kind.__mro__ if self.name in vars(c)), None)

    def read(self, obj: Any, owner: type) -> Any:
        """What the attribute would be if this descriptor did not stand before it."""
        found, own = self.origin(), {} if obj is None else vars(obj)
        if self.name in own and not hasattr(type(found), "__set__"):
            return own[self.name]
        return found.__get__(obj, owner) if hasattr(type(found), "__get__") else found

    def write(self, obj: Any, value: Any) -> None:
        found = self.origin()
        if hasattr(type(found), "__set__"):
            found.__set__(obj, value)
        else:
            vars(obj)[self.name] = value

    def __delete__(self, obj: Any) -> None:
        if not from_inside():
            raise AttributeError(f"{type(obj).__name__!r} object has no attribute {self.name!r}")
        vars(obj).pop(self.name, None)


class Deprecated(Hidden):
    """A name that goes in a later generation: using it warns everybody but this package itself."""

    hides_another_generation = False

    def __init__(self, name: str, kind: type, instead: str) -> None:
        super().__init__(name, kind)
        self.text = f"{kind.__name__}.{name} is deprecated" + (f": use {instead}" if instead else "")

    def __get__(self, obj: Any, owner: type) -> Any:
        if obj is not None and not from_inside():
            warnings.warn(self.text, DeprecationWarning, stacklevel=2)
        return self.read(obj, owner)

    def __set__(self, obj: Any, value: Any) -> None:
        if not from_inside():
            warnings.warn(self.text, DeprecationWarning, stacklevel=3)        # past Closed.__setattr__
        self.write(obj, value)


def from_inside() -> bool:
    """Whether the code that touches an attribute is this package's own; Closed.__setattr__ acts for its caller."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code is Closed.__setattr__.__code__:
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__", "")).startswith(f"{trt.__name__}.")


def missing(module: ModuleType, generation: str) -> list[str]:
    """Names of the generation that this version lacks: classes, functions, those of its submodules ("plugin.register"),
    and `Class.member`, also of a class that is lacking as a whole."""
    found = [n for section in ("functions", "enums", "classes") for n, e in table()[section].items()
             if generation in (e if isinstance(e, str) else e["generations"]).split() and reached(module, n) is None]
    for name, entry in table()["classes"].items():
        if generation in entry["generations"].split():
            kind = reached(module, name)
            found += [f"{name}.{m}" for m, g in entry["members"].items() if generation in g.split()
                      and not hasattr(kind, m)]
    return sorted(found)


def reached(module: ModuleType, name: str) -> Any:
    """What a dotted name leads to; None when it leads to nothing."""
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
