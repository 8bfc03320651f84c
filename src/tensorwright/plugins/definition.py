"""What a plugin is: its name, its attributes, its shape rule, and what it computes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Union

import numpy as np

from ..dims import Dim, Expr
from ..dtypes import DType
from ..errors import InputError, ShapeError
from ..ir import OpaqueType, TensorType, ValueType
from .attributes import REQUIRED, Attribute, stored

#: What pip takes: a distribution's name, extras, versions. Plans are not to tell people to run anything else.
PACKAGE = re.compile(r"[A-Za-z0-9][\w.\-]*(?:\[[\w,.\- ]+\])?(?:[<>=!~]=?[\w.*,<>=!~]*)?")
_NAME = re.compile(r"[\w.\-]+(?:::[\w.\-]+)*")


@dataclass(frozen=True)
class UpTo:
    """A dimension that the data decide, never greater than a bound."""

    bound: Dim

    def __str__(self) -> str:
        return f"≤ {self.bound}"


@dataclass(frozen=True)
class Output:
    """A tensor some of whose dimensions the data decide: None (anything) or UpTo(bound) there."""

    shape: tuple[Dim | UpTo | None, ...]
    dtype: DType

    @property
    def is_known(self) -> bool:
        return not any(d is None or isinstance(d, UpTo) for d in self.shape)

    def type(self) -> ValueType:
        if self.is_known and self.dtype is not DType.string:
            return TensorType(self.shape, self.dtype)  # type: ignore[arg-type]
        return OpaqueType(f"{self.dtype} ({', '.join('?' if d is None else str(d) for d in self.shape)})", self.dtype)


#: What a shape rule may give for one output.
Declared = Union[TensorType, OpaqueType, Output]
#: infer(*input types, **attributes) → Declared, or a tuple of them: one per output
Infer = Callable[..., Any]


def like_first(first: ValueType | None = None, *others: ValueType | None, **attributes: Any) -> ValueType:
    """The shape rule of functions that keep shape and type of their first input."""
    if first is None:
        raise ShapeError("it has no first input whose shape and type its output could have")
    return first


@dataclass(frozen=True, eq=False)
class Definition:
    """A plugin. Register it (`register`) and models, networks and plans can use it by name.

    name         "swish", or with its namespace "acme::swish"
    compute      compute(*arrays, **attributes) → one array, or a tuple of them. None for absent optional inputs; inputs
                 are read-only and may be strided. Several threads may call it at once. None: it only has `expand`
    infer        infer(*types, **attributes) → TensorType, or `Output` where the data decide dimensions; a tuple of them
                 when there are several outputs. Dimensions may be symbolic (`dims.Expr`)
    attributes   name → Attribute, in order; those of a use are checked against it
    version      uses of another version are refused
    namespace    in which the name is looked up
    package      what to install where the plugin is missing: saved in plans
    inputs       fewest and most inputs; None: any number
    expand       expand(*tensors, **attributes) → tensors: the plugin as an expression of standard operators (see
                 `graph.py`). Models that use it are lowered and fused like those operators, and run without a plugin.
                 Where the data decide a size of an input, `compute` is used if there is one
    load         load(bytes) → anything; where given, compute and infer get the result of it as keyword `state`. Called
                 once per distinct state, attributes and version
    pure         equal inputs give equal outputs. Only then are calls merged, or computed while building
    overrides    in ONNX models it takes the place of a standard operator of this name
    session      session(**attributes) → an object of which each context has one per layer, for plugins that keep
                 something from run to run: its run(arrays, targets, **attributes) takes the place of compute. It may
                 write results into the arrays `targets` (None: make one), and then gives those
    node         node(attributes, types, layer) → the operator for a node of a model: in place of the checks of `use`
    settle       settle(op, types, profiles) → the operator, configured when a build begins
    """

    name: str
    compute: Callable[..., Any] | None = None
    infer: Infer = like_first
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    version: str = "1"
    namespace: str = ""
    package: str = ""
    inputs: tuple[int, int | None] = (0, None)
    expand: Callable[..., Any] | None = None
    load: Callable[[bytes], Any] | None = None
    pure: bool = True
    overrides: bool = False
    session: Callable[..., Any] | None = None
    node: Callable[..., Any] | None = None
    settle: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        namespace, _, name = self.name.rpartition("::")
        if namespace and self.namespace not in ("", namespace):
            raise InputError(f"{self.name!r} names another namespace than {self.namespace!r}")
        for key, value in (("name", name), ("namespace", self.namespace or namespace)):
            object.__setattr__(self, key, value)
            if not (key == "namespace" and not value) and not _NAME.fullmatch(value):
                raise InputError(f"{value!r} cannot be the {key} of a plugin",
                                 try_="use letters, digits, '_', '.', '-', and '::' after the namespace")
        if not isinstance(self.version, str) or not self.version:
            raise InputError(f"the version of plugin {self.title} is {self.version!r}", try_='a string such as "1"')
        if self.package and not PACKAGE.fullmatch(self.package):
            raise InputError(f"{self.package!r} cannot be the package of plugin {self.title}",
                             try_="what pip install takes: acme-ops")
        if self.compute is None and self.expand is None:
            raise InputError(f"plugin {self.title} has neither compute nor expand")
        for key, a in self.attributes.items():
            if a.default is not REQUIRED:
                stored(a, a.default, key, self.title)

    @property
    def title(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}::{self.name}" if self.namespace else self.name

    def check_inputs(self, count: int) -> None:
        least, most = self.inputs
        if count < least or (most is not None and count > most):
            wanted = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise ShapeError(f"plugin {self.title} takes {wanted} inputs, {count} are given")


def declared_outputs(definition: Definition, types: tuple[ValueType | None, ...], arguments: Mapping[str, Any]
                     ) -> tuple[Declared, ...]:
    """What the shape rule says, checked to be types."""
    result = definition.infer(*types, **arguments)
    found = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    for i, x in enumerate(found):
        dims = getattr(x, "shape", ())
        good = isinstance(x, (TensorType, OpaqueType, Output)) and isinstance(dims, tuple) and all(
            isinstance(d, (Expr, UpTo)) or d is None or (isinstance(d, (int, np.integer)) and d >= 0) for d in dims)
        if not good or (isinstance(x, TensorType) and any(d is None or isinstance(d, UpTo) for d in dims)):
            raise ShapeError(f"the shape rule of plugin {definition.title} gives {x!r} for output {i}",
                             try_="give a TensorType, or an Output where the data decide dimensions")
    return tuple(replace(x, shape=tuple(int(d) if isinstance(d, np.integer) else d for d in x.shape))  # type: ignore
                 if isinstance(x, (TensorType, Output)) else x for x in found)
