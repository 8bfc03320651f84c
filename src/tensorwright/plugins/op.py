"""The operator that stands for a plugin in a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ..dims import Dim, Expr
from ..dtypes import DType
from ..errors import InputError, PlanError, ShapeError, TensorwrightError, TypeMismatch
from ..ir import Op, OpaqueType, TensorType, ValueType
from . import registry
from .attributes import Array, Stored, checked, plain
from .definition import Declared, Definition, Output, UpTo, declared_outputs


@dataclass(frozen=True, eq=False)
class Plugin(Op):
    """(y0, y1, ...) = what the registered plugin computes

    Inputs  as the plugin takes them; None for absent optional ones.
    Output  as its shape rule says, one or several. Dimensions that the data decide make an output opaque; so does an
            opaque input.
    Params  name, version, namespace: of the plugin. package: what to install where it is missing.
            attributes: (name, value), complete and checked. state: bytes that only the plugin understands.
            count: how many outputs it has. values: what the inputs that give sizes hold, where the plugin asks for
            that, as dimensions; its functions get them as keyword `values`.
    Cost    not known: one operation per output element.
    Errors  PlanError when it is not registered; whatever its own functions raise, as InputError with its name.
    """

    name: str
    version: str = "1"
    namespace: str = ""
    package: str = ""
    attributes: tuple[tuple[str, Stored], ...] = ()
    state: bytes = b""
    count: int = 1
    values: tuple[tuple[Dim, ...], ...] = ()

    @property
    def title(self) -> str:
        return f"{self.namespace}::{self.name}" if self.namespace else self.name

    @property
    def on_host(self) -> str:
        return f"plugin {self.title}, version {self.version}"

    @cached_property
    def _key(self) -> tuple[Any, ...]:
        """Equal where all functions of the plugin get the same: 0.0 and -0.0, 1 and True are different."""
        attributes = tuple((name, x if isinstance(x, (str, Array)) else repr(x)) for name, x in self.attributes)
        return (self.name, self.version, self.namespace, self.package, attributes, self.state, self.count, self.values)

    @cached_property
    def _hash(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Plugin) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    @property
    def repeatable(self) -> bool:
        return self.definition.pure

    def session(self) -> Session | None:
        definition = self.definition
        return None if definition.session is None else Session(definition.session(**arguments(definition, self)))

    def ready(self) -> None:
        if self.definition.compute is None:
            raise PlanError(f"plugin {self.title}, version {self.version}, has no function to run here: it only "
                            "describes a graph", try_="build the plan again: its graph is then compiled")
        arguments(self.definition, self)

    @property
    def definition(self) -> Definition:
        """PlanError when the plugin is not registered, with its version, namespace and package."""
        return registry.require(self.name, self.version, self.namespace, self.package)

    def infer(self, *inputs: ValueType | None) -> ValueType | tuple[ValueType, ...]:
        definition = self.definition
        definition.check_inputs(len(inputs))
        if any(isinstance(t, OpaqueType) for t in inputs):
            found: tuple[ValueType, ...] = (OpaqueType(),) * self.count
        else:
            found = tuple(type_of(x) for x in self.declared(inputs))
            if len(found) != self.count:
                raise ShapeError(f"plugin {self.title} has {len(found)} outputs for these inputs, not {self.count}")
        return found[0] if len(found) == 1 else found

    def reference(self, *inputs: Any) -> Any:
        definition = self.definition
        self.ready()
        definition.check_inputs(len(inputs))
        assert definition.compute is not None
        try:
            results = definition.compute(*map(read_only, inputs), **arguments(definition, self))
        except TensorwrightError:
            raise
        except Exception as error:
            raise InputError(f"plugin {self.title} failed: {type(error).__name__}: {error}") from error
        found = tuple(results) if isinstance(results, (tuple, list)) else (results,)
        return self.checked(found, inputs)

    def checked(self, found: tuple[Any, ...], inputs: Sequence[Any]) -> Any:
        """Results as the shape rule says: one, or a tuple."""
        definition = self.definition
        types = tuple(None if x is None else concrete(x) for x in inputs)
        if not any(isinstance(t, OpaqueType) for t in types):
            declared = _declared(definition, self, types)
            if len(found) != len(declared):
                raise ShapeError(f"plugin {self.title} gave {len(found)} results, its shape rule has {len(declared)}")
            found = tuple(fitted(y, t, f"output {i} of plugin {self.title}")
                          for i, (y, t) in enumerate(zip(found, declared, strict=True)))
        if len(found) < self.count:
            raise ShapeError(f"plugin {self.title} gave {len(found)} results, {self.count} are used")
        found = found[: self.count]
        return found[0] if len(found) == 1 else found

    def declared(self, types: tuple[ValueType | None, ...]) -> tuple[Declared, ...]:
        """What the shape rule says for inputs that are all tensors."""
        definition = self.definition
        try:
            return declared_outputs(definition, types, arguments(definition, self))
        except TensorwrightError:
            raise
        except Exception as error:
            facts: dict[str, Any] = {f"input {i}": t for i, t in enumerate(types)}
            raise ShapeError(f"the shape rule of plugin {self.title} failed: {type(error).__name__}: {error}",
                             **facts) from error

    def __str__(self) -> str:
        shown = [f"{k}={str(v) if len(str(v)) < 60 else str(v)[:57] + '...'}" for k, v in self.attributes]
        return f"Plugin({', '.join([self.title, f'version {self.version}', *shown])})"


def use(definition: Definition, attributes: Mapping[str, Any] | None = None, types: tuple[ValueType | None, ...] = (),
        *, state: bytes = b"", count: int | None = None, layer: str = "") -> Plugin:
    """The operator that applies a plugin with these attributes to inputs of these types.

    count   outputs, where types do not tell because one is opaque; else the shape rule tells
    layer   the layer's name, where it is known
    InputError for attributes that the plugin does not have or that have another type; ShapeError from its shape rule.
    """
    if definition.compute is None:
        raise InputError(f"plugin {definition.title} is an expression of standard operators, not a layer of its own",
                         try_="use it in an ONNX model: its operators are compiled there")
    if definition.node is not None:
        made: Plugin = definition.node(attributes or {}, types, layer)
        return made
    values = checked(definition.attributes, attributes or {}, definition.title)
    op = Plugin(definition.name, definition.version, definition.namespace, definition.package, values, state)
    definition.check_inputs(len(types))
    if not any(isinstance(t, OpaqueType) for t in types):
        count = len(op.declared(types))
    return Plugin(op.name, op.version, op.namespace, op.package, values, state, 1 if count is None else count)


def keywords(definition: Definition, given: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes given, checked and completed, as the plugin's functions take them."""
    return {name: plain(x) for name, x in checked(definition.attributes, given, definition.title)}


@lru_cache(maxsize=256)
def arguments(definition: Definition, op: Plugin) -> Mapping[str, Any]:
    """Keywords of the plugin's functions: its attributes, and its state where it has one."""
    given = keywords(definition, dict(op.attributes))
    if op.values:
        given["values"] = op.values
    return given if definition.load is None else {**given, "state": _loaded(definition, op.state)}


@lru_cache(maxsize=256)
def _loaded(definition: Definition, state: bytes) -> Any:
    assert definition.load is not None
    return definition.load(state)


@lru_cache(maxsize=1024)
def _declared(definition: Definition, op: Plugin, types: tuple[ValueType | None, ...]) -> tuple[Declared, ...]:
    """What the shape rule says at run time. Not for symbolic shapes: rules note what they assume of those."""
    return op.declared(types)


class Session:
    """What a context keeps of a plugin."""

    def __init__(self, kept: Any) -> None:
        self.kept = kept

    def run(self, op: Plugin, inputs: Sequence[Any], targets: Sequence[np.ndarray | None]) -> Any:
        """The results, checked; those written into targets are the targets themselves."""
        try:
            results = self.kept.run(inputs, targets, **arguments(op.definition, op))
        except TensorwrightError:
            raise
        except Exception as error:
            raise InputError(f"plugin {op.title} failed: {type(error).__name__}: {error}") from error
        return op.checked(tuple(results) if isinstance(results, (tuple, list)) else (results,), inputs)


def read_only(x: Any) -> Any:
    """An input as plugins get it."""
    if isinstance(x, np.ndarray) and x.flags.writeable:
        x = x.view()
        x.flags.writeable = False
    return x


def type_of(x: Declared) -> ValueType:
    return x.type() if isinstance(x, Output) else Output(x.shape, x.dtype).type() if isinstance(x, TensorType) else x


def concrete(x: Any) -> ValueType:
    """The type of a value at run time."""
    return TensorType(x.shape, DType.of(x)) if isinstance(x, (np.ndarray, np.generic)) else OpaqueType()


def fitted(y: Any, declared: Declared, what: str) -> Any:
    """A result as its shape rule says. Numbers of the same kind are converted; ShapeError or TypeMismatch else."""
    if isinstance(declared, OpaqueType):
        return y
    y = np.asarray(y)
    wanted = declared.dtype.numpy
    if y.dtype != wanted:
        if not np.can_cast(y.dtype, wanted, "same_kind"):
            raise TypeMismatch(f"{what} is {y.dtype}, its shape rule says {declared.dtype}")
        y = y.astype(wanted)
    good = y.ndim == len(declared.shape) and all(
        n <= d.bound if isinstance(d, UpTo) else d is None or isinstance(d, Expr) or n == d
        for n, d in zip(y.shape, declared.shape, strict=True))
    if not good:
        raise ShapeError(f"{what} is {TensorType(y.shape, declared.dtype)}, its shape rule says {type_of(declared)}")
    return y
