"""What the functions of a decorated plugin take: tensors, attributes, and how those are kept as fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

import numpy as np

from ...enums import PluginFieldType
from ..fields import PluginField
from .memory import Tensor
from .tensors import TensorDesc

_ARRAYS = {np.dtype(np.float16): "FLOAT16", np.dtype(np.float32): "FLOAT32", np.dtype(np.float64): "FLOAT64",
           np.dtype(np.int8): "INT8", np.dtype(np.int16): "INT16", np.dtype(np.int32): "INT32",
           np.dtype(np.int64): "INT64"}
_SCALARS: dict[type, str] = {bool: "INT32", int: "INT64", float: "FLOAT64", str: "CHAR", bytes: "CHAR"}


@dataclass
class Plan:
    """A decorated plugin: its functions and what they take.

    inputs       names of the tensors, in order
    attributes   name → int, float, str, bool, bytes, or the NumPy type of a one-dimensional array
    defaults     of attributes that have one
    """

    namespace: str
    name: str
    describe: Callable[..., Any]
    inputs: list[str]
    attributes: dict[str, Any]
    defaults: dict[str, Any]
    impl: Callable[..., Any] | None = None
    autotune: Callable[..., Any] | None = None
    aot_impl: Callable[..., Any] | None = None
    registered: bool = False
    arguments: dict[str, list[str]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.namespace}::{self.name}"

    def called(self, which: str, tensors: list[Any], attributes: dict[str, Any], **more: Any) -> Any:
        """Call one of the functions: tensors by position, the rest by the names it has parameters for."""
        function = getattr(self, which)
        wanted = self.arguments[which]
        named = {k: v for k, v in {**attributes, **more}.items() if k in wanted}
        return function(*tensors, **named)


def split_id(plugin_id: str) -> tuple[str, str]:
    """("ns", "name") of "ns::name". ValueError for anything else."""
    namespace, sep, name = plugin_id.partition("::")
    if not sep or not namespace.isidentifier() or not name.isidentifier():
        raise ValueError(f"a plugin id is namespace::name, both identifiers, not {plugin_id!r}")
    return namespace, name


def described(plugin_id: str, function: Callable[..., Any]) -> Plan:
    """The plugin that a function describes: its parameters are tensors, then attributes. ValueError for others."""
    namespace, name = split_id(plugin_id)
    signature = _signature(function, plugin_id)
    inputs: list[str] = []
    attributes: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for p in signature.parameters.values():
        where = f"parameter {p.name!r} of the function registered as {plugin_id}"
        if p.annotation is p.empty:
            raise ValueError(f"{where} has no type: annotate it with TensorDesc, or with an attribute's type")
        if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            raise ValueError(f"{where} is variable or positional only")
        if isinstance(p.annotation, type) and issubclass(p.annotation, TensorDesc):
            if attributes:
                raise ValueError(f"{where} is a tensor after an attribute")
            inputs.append(p.name)
            continue
        attributes[p.name] = attribute_kind(p.annotation, where)
        if p.default is not p.empty:
            defaults[p.name] = p.default
    result = signature.return_annotation
    several = get_origin(result) is tuple and all(a is Ellipsis or _is_desc(a) for a in get_args(result))
    if not (several or _is_desc(result)):
        raise ValueError(f"the function registered as {plugin_id} must be annotated to return TensorDesc or "
                         "Tuple[TensorDesc, ...]")
    plan = Plan(namespace, name, function, inputs, attributes, defaults)
    plan.arguments["describe"] = [*inputs, *attributes]
    return plan


def fitted(plan: Plan, which: str, function: Callable[..., Any], more: tuple[str, ...]) -> None:
    """Check and take a further function of a plugin: it has the tensors, any of the attributes, and `more`."""
    parameters = list(_signature(function, plan.id).parameters)
    if len(parameters) < len(plan.inputs):
        raise ValueError(f"the {which} of {plan.id} must take its {len(plan.inputs)} tensors first")
    rest = parameters[len(plan.inputs):]
    known = [*plan.attributes, *more]
    for name in rest:
        if name not in known:
            raise ValueError(f"the {which} of {plan.id} has a parameter {name!r}: known are {', '.join(known)}")
    required = [m for m in more if m != "tactic"]
    if missing := [m for m in required if m not in rest]:
        raise ValueError(f"the {which} of {plan.id} must have a parameter {missing[0]!r}")
    plan.arguments[which] = rest
    setattr(plan, which, function)


def _signature(function: Callable[..., Any], title: str) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError as error:
        raise ValueError(f"an annotation of the function for {title} cannot be resolved: {error}") from None


def _is_desc(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, TensorDesc) and not issubclass(annotation, Tensor)


def attribute_kind(annotation: Any, where: str) -> Any:
    """int, float, str, bool or bytes, or a NumPy type for arrays."""
    if annotation in _SCALARS:
        return annotation
    if get_origin(annotation) is np.ndarray:              # numpy.typing.NDArray[numpy.float32]
        args = get_args(get_args(annotation)[1])
        if args and isinstance(args[0], type) and np.dtype(args[0]) in _ARRAYS:
            return np.dtype(args[0])
    raise ValueError(f"{where} is of a type that no attribute has: int, float, str, bool, bytes, or "
                     "numpy.typing.NDArray of float16, 32, 64 or int8, 16, 32, 64")


def checked(plugin: str, kinds: dict[str, Any], defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The attributes of one use, complete and of their types. TypeError and ValueError."""
    if unknown := [k for k in given if k not in kinds]:
        raise ValueError(f"plugin {plugin} has no attribute {unknown[0]!r}; it has {', '.join(kinds) or 'none'}")
    result: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name not in given and name not in defaults:
            raise ValueError(f"plugin {plugin} needs the attribute {name!r}")
        value = given.get(name, defaults.get(name))
        if isinstance(kind, np.dtype):
            array = np.asarray(value)
            if array.ndim != 1 or array.dtype != kind:
                raise TypeError(f"attribute {name!r} of plugin {plugin} is a one-dimensional array of {kind}, not "
                                f"{array.dtype} {array.shape}")
            result[name] = array
            continue
        if isinstance(value, np.generic):
            value = value.item()
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise TypeError(f"attribute {name!r} of plugin {plugin} is of type {kind.__name__}, not "
                            f"{type(value).__name__}")
        result[name] = value
    return result


def field_type(kind: Any) -> PluginFieldType:
    return PluginFieldType[_ARRAYS[kind] if isinstance(kind, np.dtype) else _SCALARS[kind]]


def field_of(name: str, kind: Any, value: Any) -> PluginField:
    """An attribute as a field."""
    if kind in (str, bytes):
        raw = value.encode() if kind is str else value
        return PluginField(name, np.frombuffer(raw, np.int8), PluginFieldType.CHAR)
    dtype = kind if isinstance(kind, np.dtype) else {bool: np.int32, int: np.int64, float: np.float64}[kind]
    return PluginField(name, np.atleast_1d(np.asarray(value, dtype)), field_type(kind))


def value_of(kind: Any, given: PluginField) -> Any:
    """A field's content as an attribute. ValueError for a number of elements that it cannot have."""
    if kind in (str, bytes):
        raw = given._bytes()
        return raw.decode("utf8") if kind is str else raw
    if isinstance(kind, np.dtype):
        return np.asarray(given.data).astype(kind)
    if given.size != 1:
        raise ValueError(f"field {given.name!r} has {given.size} elements, {kind.__name__} is one")
    return kind(given.data[0])
