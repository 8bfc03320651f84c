"""Compiled functions as plugins, by the address they have in this process.

The function has the C signature

    struct tensor { void *data; int64_t *dims; int32_t rank; int32_t type; };

    int32_t f(const struct tensor *inputs, int32_t n_inputs,
              const struct tensor *outputs, int32_t n_outputs, const void *attributes);

    inputs      read-only, dense, in C order, aligned for their type; data is NULL for an absent optional input
    outputs     dense memory of ours to write into, of the dimensions that the shape rule gives. Where it gives
                UpTo(bound), dims holds the bound, there is room for it, and the function writes the true size into dims
    type        ONNX's number of the element type: 1 float, 7 int64, 10 float16, 11 double, ... (TensorProto.DataType)
    attributes  the attributes in the order of their declaration, as a C struct of 8-byte members: bool and int are
                int64_t, float is double, str is const char * (UTF-8, ends with 0); sequences, bytes and arrays are
                { const void *data; int64_t count; } of int64_t, double, const char *, bytes, the array's elements
    returns     0, or a number of its own that ends the run with an error

It is called without Python's lock, from any number of threads at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..dtypes import DType
from ..errors import InputError, ShapeError
from ..ir import TensorType
from .attributes import Attribute, kind_of
from .decorator import shape_rule
from .definition import Declared, Definition, Output, UpTo, declared_outputs
from .registry import register


class CTensor(ctypes.Structure):
    """struct tensor"""

    _fields_ = [("data", ctypes.c_void_p), ("dims", ctypes.POINTER(ctypes.c_int64)), ("rank", ctypes.c_int32),
                ("type", ctypes.c_int32)]


PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(CTensor), ctypes.c_int32, ctypes.POINTER(CTensor),
                             ctypes.c_int32, ctypes.c_void_p)

#: Any function of ctypes.
FUNCTION: Any = PROTOTYPE.__mro__[1]


def from_address(name: str, address: Any, *, inputs: int | tuple[int, int | None] = 1,
                 shape: Callable[..., Any] | None = None, dtype: Any = None,
                 attributes: Mapping[str, Attribute | type] | None = None, version: str = "1", package: str = "",
                 pure: bool = True, overrides: bool = False, replace: bool = False) -> Definition:
    """Register a plugin that calls a compiled function (see the module's text for its signature).

        library = ctypes.CDLL("libacme.so")
        plugins.from_address("acme::scale", library.acme_scale, attributes={"factor": float}, package="acme-ops")

    address     a number, or a function of ctypes. Plans never hold it: they name the plugin
    inputs      how many, or (fewest, most)
    attributes  name → type (float, int, tuple[int, ...]) or Attribute, in the order of the C struct
    others      as `custom_op` has them
    """
    declared = {key: a if isinstance(a, Attribute) else _attribute(key, a) for key, a in (attributes or {}).items()}
    for key, a in declared.items():
        if a.default is None:
            raise InputError(f"attribute {key!r} cannot be optional: a C struct has no absent members",
                             try_="give it a default value")
    function = _callable(address)
    rule = shape_rule(shape, dtype)

    def compute(*arrays: np.ndarray | None, **given: Any) -> tuple[np.ndarray, ...]:
        types = tuple(None if x is None else TensorType(x.shape, DType.of(x)) for x in arrays)
        return _call(definition, function, arrays, declared_outputs(definition, types, given), given)

    definition = Definition(name, compute, rule, declared, version, package=package, pure=pure, overrides=overrides,
                            inputs=(inputs, inputs) if isinstance(inputs, int) else inputs)
    return register(definition, replace=replace)


def _attribute(name: str, annotation: Any) -> Attribute:
    kind = kind_of(annotation)
    if kind is None:
        raise InputError(f"attribute {name!r} has the type {annotation!r}", try_="float, int, tuple[int, ...]")
    return Attribute(kind)


def _callable(address: Any) -> Any:
    """The function at an address; keeps what was given alive."""
    if isinstance(address, (ctypes.c_void_p, FUNCTION)):
        number = ctypes.cast(address, ctypes.c_void_p).value
    elif isinstance(address, int) and not isinstance(address, bool):
        number = address
    else:
        raise InputError(f"{str(address)[:80]!r} is neither an address nor a function of ctypes")
    if not number or number < 0:
        raise InputError(f"there is no function at address {number}")
    function: Any = PROTOTYPE(number)
    function.kept = address
    return function


def _call(definition: Definition, function: Any, arrays: tuple[np.ndarray | None, ...], declared: tuple[Declared, ...],
          given: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    dense = [None if x is None else np.require(x, requirements=["C", "A"]) for x in arrays]
    sizes = [_room(definition, i, t) for i, t in enumerate(declared)]
    memory = [np.empty(shape, t.dtype.numpy) for shape, t in zip(sizes, declared, strict=True)]  # type: ignore
    keep: list[Any] = []
    ins, outs = _tensors(dense, keep), _tensors(memory, keep)
    code = function(ins, len(dense), outs, len(memory), ctypes.byref(_struct(definition, given, keep)))
    if code:
        raise InputError(f"the compiled function of plugin {definition.title} returned {code}")
    results = []
    for i, (y, room, t) in enumerate(zip(memory, sizes, declared, strict=True)):
        shape = tuple(outs[i].dims[a] for a in range(len(room)))
        wrong = any(n < 0 or n > bound or (n < bound and not isinstance(d, UpTo))
                    for n, bound, d in zip(shape, room, t.shape, strict=True))  # type: ignore[union-attr]
        if wrong:
            raise ShapeError(f"the compiled function of plugin {definition.title} gave output {i} the shape {shape}, "
                             f"its shape rule says {room}")
        results.append(y if shape == room else y.reshape(-1)[: int(np.prod(shape))].reshape(shape))
    return tuple(results)


def _room(definition: Definition, i: int, t: Declared) -> tuple[int, ...]:
    """The shape that memory is set aside for."""
    if not isinstance(t, (TensorType, Output)) or any(d is None for d in t.shape) or t.dtype is DType.string:
        raise ShapeError(f"output {i} of plugin {definition.title} has no bound to set memory aside for: {t}",
                         try_="give UpTo(bound) where the data decide a dimension")
    return tuple(int(d.bound if isinstance(d, UpTo) else d) for d in t.shape)  # type: ignore[arg-type]


def _tensors(arrays: list[np.ndarray | None] | list[np.ndarray], keep: list[Any]) -> Any:
    import onnx
    made = (CTensor * max(1, len(arrays)))()
    for x, c in zip(arrays, made):  # noqa: B905 (of no arrays there is one empty struct)
        if x is not None:
            dims = (ctypes.c_int64 * max(1, x.ndim))(*x.shape)
            keep.append((x, dims))
            c.data, c.dims, c.rank = x.ctypes.data, dims, x.ndim
            c.type = onnx.helper.np_dtype_to_tensor_dtype(x.dtype)
    return made


def _struct(definition: Definition, given: Mapping[str, Any], keep: list[Any]) -> Any:
    """The attributes as a C struct."""
    members: list[tuple[str, Any, Any]] = []

    def series(name: str, array: Any, count: int) -> None:
        keep.append(array)
        members.append((f"{name}_data", ctypes.c_void_p, ctypes.cast(array, ctypes.c_void_p)))
        members.append((f"{name}_count", ctypes.c_int64, count))

    for name, a in definition.attributes.items():
        x = given[name]
        match a.kind:
            case "bool" | "int":
                members.append((name, ctypes.c_int64, int(x)))
            case "float":
                members.append((name, ctypes.c_double, x))
            case "str":
                members.append((name, ctypes.c_char_p, x.encode()))
            case "bytes":
                series(name, ctypes.create_string_buffer(x, max(1, len(x))), len(x))
            case "bools" | "ints":
                series(name, (ctypes.c_int64 * max(1, len(x)))(*map(int, x)), len(x))
            case "floats":
                series(name, (ctypes.c_double * max(1, len(x)))(*x), len(x))
            case "strs":
                series(name, (ctypes.c_char_p * max(1, len(x)))(*(s.encode() for s in x)), len(x))
            case "array":
                dense = np.ascontiguousarray(x)
                keep.append(dense)
                series(name, ctypes.c_void_p(dense.ctypes.data), dense.size)
    struct = type("Attributes", (ctypes.Structure,), {"_fields_": [(n, t) for n, t, _ in members]})
    made = struct(*(value for _, _, value in members))
    keep.append(made)
    return made
