"""One decorated function with a shape rule: the shortest way to a plugin."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..dtypes import DType
from ..errors import InputError, ShapeError
from ..ir import OpaqueType, TensorType, ValueType
from .attributes import REQUIRED, Attribute, kind_of
from .definition import Declared, Definition, Output, like_first
from .registry import register

Function = TypeVar("Function", bound=Callable[..., Any])


def custom_op(name: str, *, shape: Callable[..., Any] | None = None, dtype: Any = None, version: str = "1",
              package: str = "", attributes: Mapping[str, Attribute] | None = None, pure: bool = True,
              overrides: bool = False, replace: bool = False, expand: bool = False) -> Callable[[Function], Function]:
    """A decorator that makes a plugin of a NumPy function.

        @tensorwright.custom_op("acme::swish", package="acme-ops")
        def swish(x, beta: float = 1.0):
            return x / (1 + np.exp(-beta * x))

    Parameters annotated with bool, int, float, str, bytes or a tuple or list of one of them are attributes; all others
    are inputs, optional where their default is None. The function stays what it was.

    name        of the plugin, with its namespace: "acme::swish"
    shape       shape(*inputs, **attributes): the dimensions of the output, from inputs that have `shape` and `dtype`; a
                list of such tuples when there are several outputs. Dimensions may be symbolic: compute with them.
                None or UpTo(bound) where the data decide. It gets the attributes it has parameters for.
                Default: as the first input
    dtype       of the output, or a tuple with one per output; None: as the first input
    version, package, pure, overrides    see `Definition`
    attributes  further ones, or arrays: {"table": Attribute("array")}; they are keywords of the function
    expand      the function is an expression of standard operators (see `graph.py`): it is compiled and fused like
                them. Its shapes follow from the operators, so it takes no rules for them
    replace     take the place of a plugin of this name and version
    """
    def make(function: Function) -> Function:
        declared, inputs, _ = signature(function, attributes or {})
        if expand and not (shape is dtype is None and pure):
            raise InputError(f"plugin {name} is an expression: shape, dtype and pure follow from its operators",
                             try_="leave them out")
        definition = Definition(name, None if expand else function, shape_rule(shape, dtype), declared, version,
                                package=package, inputs=inputs, expand=function if expand else None, pure=pure,
                                overrides=overrides)
        function.definition = register(definition, replace=replace)  # type: ignore[attr-defined]
        return function
    return make


def signature(function: Callable[..., Any], more: Mapping[str, Attribute]
              ) -> tuple[dict[str, Attribute], tuple[int, int | None], list[str]]:
    """(attributes, fewest and most inputs, names of inputs) of a function, from its parameters."""
    declared, names = dict[str, Attribute](), list[str]()
    least, endless, title = 0, False, getattr(function, "__name__", repr(function))
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:             # some functions written in C
        raise InputError(f"{title} does not tell its parameters: {error}",
                         try_="wrap it: def f(x): ..., or register a Definition") from None
    for p in parameters:
        kind, given = kind_of(_evaluated(p.annotation, function)), p.default is not p.empty
        if p.kind is p.VAR_POSITIONAL:
            endless = True
        elif p.kind is p.VAR_KEYWORD or p.name in more:
            continue
        elif kind is not None:
            declared[p.name] = Attribute(kind, p.default if given else REQUIRED)
        elif p.kind is p.KEYWORD_ONLY:
            raise InputError(f"parameter {p.name!r} of {title} is an attribute of unknown type",
                             try_=f"annotate it: {p.name}: float, int, bool, str or tuple[int, ...]")
        elif given and p.default is not None:
            raise InputError(f"parameter {p.name!r} of {title} has a default but no type",
                             try_=f"annotate it: {p.name}: float = ...; the default of optional inputs is None")
        else:
            names.append(p.name)
            least = least if given else len(names)
    return {**declared, **more}, (least, None if endless else len(names)), names


def _evaluated(annotation: Any, function: Callable[..., Any]) -> Any:
    """An annotation, also where it is text; those that name what is only there for type checkers stay text."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(inspect.unwrap(function), "__globals__", {}))
    except Exception:
        return annotation


def shape_rule(shape: Callable[..., Any] | None, dtype: Any) -> Callable[..., Any]:
    """`Definition.infer` from the short form's rules for shape and element type."""
    if shape is None and dtype is None:
        return like_first
    try:
        wanted = [DType.of(t) for t in dtype] if isinstance(dtype, (tuple, list)) else \
            None if dtype is None else DType.of(dtype)
    except TypeError as error:
        raise InputError(f"no element type is {dtype!r}", types=", ".join(map(str, DType))) from error

    named = _accepted(shape)

    def infer(*types: ValueType | None, **attributes: Any) -> tuple[Declared, ...]:
        first = next((t for t in types if isinstance(t, TensorType)), None)
        if shape is None and first is None:
            raise ShapeError("it has no first input whose shape its output could have")
        result = first.shape if shape is None and first is not None else shape(  # type: ignore
            *types, **(attributes if named is None else {k: v for k, v in attributes.items() if k in named}))
        outputs = list(result) if _several(result) else [result]
        kinds = wanted if isinstance(wanted, list) else [wanted or (first.dtype if first else None)] * len(outputs)
        if len(kinds) != len(outputs):
            raise ShapeError(f"its shape rule gives {len(outputs)} outputs, dtype names {len(kinds)} types")
        return tuple(x if isinstance(x, (TensorType, OpaqueType, Output)) else _tensor(x, t)
                     for x, t in zip(outputs, kinds, strict=True))
    return infer


def _accepted(rule: Callable[..., Any] | None) -> set[str] | None:
    """Names of the attributes that a rule takes; None: all of them."""
    if rule is None:
        return None
    parameters = inspect.signature(rule).parameters.values()
    return None if any(p.kind is p.VAR_KEYWORD for p in parameters) else {p.name for p in parameters}


def _several(result: Any) -> bool:
    """Whether a rule's result is one entry per output: a list, or a tuple of shapes or types."""
    return isinstance(result, list) or (isinstance(result, tuple) and any(
        isinstance(x, (tuple, list, TensorType, OpaqueType, Output)) for x in result))


def _tensor(shape: Any, dtype: DType | None) -> Declared:
    if not isinstance(shape, (tuple, list)):
        raise ShapeError(f"its shape rule gives {shape!r}, which is not a tuple of dimensions")
    if dtype is None:
        raise ShapeError("the element type of its output is not known without inputs", try_="give dtype=")
    found = Output(tuple(shape), dtype)
    return TensorType(found.shape, dtype) if found.is_known else found  # type: ignore[arg-type]
