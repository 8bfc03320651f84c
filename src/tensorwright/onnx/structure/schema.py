"""What operators take: onnx's schemas, asked so that a wrong answer comes with the list of right ones."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..model import Model

if TYPE_CHECKING:
    import onnx
    import onnx_ir

#: The words a string attribute may hold, where the standard lists them: in its prose, not in its schemas.
_AUTO_PAD = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_DIRECTION = ("forward", "reverse", "bidirectional")
_SCATTER = ("none", "add", "mul", "max", "min")
CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    **{(op, "auto_pad"): _AUTO_PAD for op in (
        "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "LpPool", "MaxPool", "QLinearConv")},
    **{(op, "direction"): _DIRECTION for op in ("GRU", "LSTM", "RNN")},
    ("BitShift", "direction"): ("LEFT", "RIGHT"),
    ("Cast", "round_mode"): ("up", "down", "nearest"), ("CastLike", "round_mode"): ("up", "down", "nearest"),
    ("DepthToSpace", "mode"): ("DCR", "CRD"), ("SpaceToDepth", "mode"): ("DCR", "CRD"),
    ("Gelu", "approximate"): ("none", "tanh"),
    ("GridSample", "mode"): ("linear", "nearest", "cubic", "bilinear", "bicubic"),
    ("GridSample", "padding_mode"): ("zeros", "border", "reflection"),
    ("ImageDecoder", "pixel_format"): ("RGB", "BGR", "Grayscale"),
    ("NegativeLogLikelihoodLoss", "reduction"): ("none", "sum", "mean"),
    ("Pad", "mode"): ("constant", "reflect", "edge", "wrap"),
    ("Resize", "mode"): ("nearest", "linear", "cubic"),
    ("Resize", "coordinate_transformation_mode"): (
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
        "tf_half_pixel_for_nn"),
    ("Resize", "nearest_mode"): ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    ("Resize", "keep_aspect_ratio_policy"): ("stretch", "not_larger", "not_smaller"),
    ("RoiAlign", "coordinate_transformation_mode"): ("half_pixel", "output_half_pixel"),
    ("RoiAlign", "mode"): ("avg", "max"),
    ("ScatterElements", "reduction"): _SCATTER, ("ScatterND", "reduction"): _SCATTER,
    ("SoftmaxCrossEntropyLoss", "reduction"): ("none", "sum", "mean"),
    ("StringNormalizer", "case_change_action"): ("LOWER", "UPPER", "NONE"),
    ("TfIdfVectorizer", "mode"): ("TF", "IDF", "TFIDF"),
    ("Upsample", "mode"): ("nearest", "linear"),
}
#: Integer attributes that number an element type; its name is taken too.
ELEMENT_TYPES = frozenset({"to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision"})


def imports(model: Model, graph: onnx_ir.Graph | None) -> Mapping[str, int]:
    """Domain → version of the operator sets that nodes of this graph use: the model's, or a function's own."""
    for function in model.ir.functions.values():
        if any(graph is g for g in (function.graph, *function.subgraphs())):
            return function.opset_imports
    return model.ir.opset_imports


def schema(model: Model, op_type: str, domain: str = "", graph: onnx_ir.Graph | None = None,
           ) -> onnx.defs.OpSchema | None:
    """The operator's schema at the version the model uses; None for operators of domains that onnx knows nothing of.

    ModelError when a standard domain has no such operator, or not at this version.
    """
    import onnx
    domain = "" if domain == "ai.onnx" else domain
    if any(name == op_type and of == domain for of, name, _ in model.ir.functions):
        return None
    version = imports(model, graph).get(domain, onnx.defs.onnx_opset_version() if domain == "" else 1)
    try:
        found = onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        known = operators(domain)
        if not known:
            return None                                  # a custom domain: nothing is known, nothing is checked
        if op_type in known:
            raise ModelError(f"{op_type} is not in version {version} of its operator set", at=model.label,
                             try_="raise the opset first") from None
        near = difflib.get_close_matches(op_type, sorted(known), 3, 0.6)
        raise ModelError(f"there is no operator {op_type!r}" + (f" in the domain {domain!r}" if domain else ""),
                         at=model.label, try_=" or ".join(near) or "name the domain of a custom operator") from None
    if found.deprecated:
        raise ModelError(f"{op_type} is deprecated in version {version} of its operator set", at=model.label)
    return found


@functools.cache
def operators(domain: str = "") -> frozenset[str]:
    """Names of all operators of a domain, of any version; empty for domains that onnx does not know."""
    import onnx
    return frozenset(s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == domain)


def attribute_type(model: Model, op_type: str, domain: str, name: str, graph: onnx_ir.Graph | None,
                   ) -> onnx_ir.AttributeType | None:
    """The type the schema gives to an attribute; None where no schema says. ModelError when there is no such one."""
    import onnx_ir
    function = next((f for f in model.ir.functions.values() if (f.domain, f.name) == (domain, op_type)), None)
    known = schema(model, op_type, domain, graph)
    if function is not None:
        names: Iterable[str] = function.attributes
        declared = function.attributes[name].type if name in function.attributes else None
    elif known is None:
        return None
    else:
        names = known.attributes
        declared = onnx_ir.AttributeType[str(known.attributes[name].type.name)] if name in known.attributes else None  # type: ignore[attr-defined]
    if name not in names:
        raise ModelError(f"{op_type} has no attribute {name!r}", at=model.label,
                         try_=", ".join(sorted(names)) or "it has none")
    return None if declared in (None, onnx_ir.AttributeType.UNDEFINED) else declared


def attribute(model: Model, op_type: str, domain: str, name: str, value: Any, graph: onnx_ir.Graph | None = None,
              before: onnx_ir.Attr | None = None) -> onnx_ir.Attr:
    """The attribute of this name and value, of the type that the schema (or the attribute it replaces) gives it.

    value    int, float, str, sequences of them; an array for tensors; the name of an element type where one is meant
    Raises   ModelError when the operator has no such attribute, or it does not take such a value.
    """
    import onnx_ir
    if isinstance(value, onnx_ir.Attr):
        if value.is_ref():
            return value
        value = value.value
    declared = attribute_type(model, op_type, domain, name, graph)
    if declared is None:
        declared = before.type if before is not None else guessed(value)
    place = f"{op_type}'s attribute {name!r}"
    if isinstance(value, bytes):
        value = value.decode("utf8", "surrogateescape")
    if name in ELEMENT_TYPES and isinstance(value, str) and declared == onnx_ir.AttributeType.INT:
        value = element_type(value).value
    try:
        converted = convert(declared, value)
    except (TypeError, ValueError, OverflowError) as error:
        choices = CHOICES.get((op_type, name))
        raise ModelError(f"{place} is {article(declared)}, not {shown(value)}: {error}", at=model.label,
                         try_=", ".join(choices) if choices else None) from None
    choices = CHOICES.get((op_type, name)) if domain in ("", "ai.onnx") else None
    if choices and converted not in choices:
        near = difflib.get_close_matches(str(converted), choices, 1, 0.5)
        raise ModelError(f"{place} cannot be {converted!r}", at=model.label, try_=", ".join(near or choices),
                         choices=", ".join(choices))
    if name in ELEMENT_TYPES and declared == onnx_ir.AttributeType.INT and (
            converted not in set(onnx_ir.DataType) or (converted == 0 and name in ("to", "dtype"))):
        raise ModelError(f"{place} is the number of an element type; there is no {converted}", at=model.label)
    return onnx_ir.Attr(name, declared, converted)


def guessed(value: Any) -> onnx_ir.AttributeType:
    """The type of an attribute that no schema declares, from its value."""
    import onnx_ir
    kinds = onnx_ir.AttributeType
    if isinstance(value, (bool, int, np.integer)):
        return kinds.INT
    if isinstance(value, (float, np.floating)):
        return kinds.FLOAT
    if isinstance(value, (str, bytes)):
        return kinds.STRING
    if isinstance(value, onnx_ir.Graph):
        return kinds.GRAPH
    if isinstance(value, (np.ndarray, onnx_ir.TensorProtocol)):
        return kinds.TENSOR
    if isinstance(value, Sequence) and value:
        inner = {guessed(v) for v in value}
        if inner <= {kinds.INT}:
            return kinds.INTS
        if inner <= {kinds.INT, kinds.FLOAT}:
            return kinds.FLOATS
        if inner == {kinds.STRING}:
            return kinds.STRINGS
    raise ModelError(f"no schema says what type this attribute has, and {shown(value)} does not either",
                     try_="an onnx_ir.Attr, which names its type")


def convert(declared: onnx_ir.AttributeType, value: Any) -> Any:
    """The value as an attribute of that type holds it. TypeError, ValueError or OverflowError when it cannot."""
    import onnx
    import onnx_ir
    kinds = onnx_ir.AttributeType
    if declared == kinds.INT:
        return integer(value)
    if declared == kinds.FLOAT:
        return real(value)
    if declared == kinds.STRING:
        return text(value)
    if declared in (kinds.INTS, kinds.FLOATS, kinds.STRINGS):
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise TypeError("a list is needed")
        one = {kinds.INTS: integer, kinds.FLOATS: real, kinds.STRINGS: text}[declared]
        return tuple(one(v) for v in value)
    if declared == kinds.TENSOR:
        if isinstance(value, (onnx.TensorProto, onnx_ir.TensorProtocol)) and not isinstance(value, np.ndarray):
            return onnx_ir.tensor(value)
        from .tensors import tensor
        return tensor(np.asarray(value))
    if declared == kinds.GRAPH:
        if isinstance(value, onnx_ir.Graph):
            return value
        raise TypeError("an onnx_ir.Graph is needed")
    if declared == kinds.TYPE_PROTO:
        if isinstance(value, onnx_ir.TypeAndShape):
            return value
        raise TypeError("an onnx_ir.TypeAndShape is needed")
    raise TypeError("attributes of this type are set through onnx_ir")


def integer(value: Any) -> int:
    if isinstance(value, (bool, int, np.integer)) or (isinstance(value, np.ndarray) and value.shape == ()
                                                      and value.dtype.kind in "iub"):
        if not -(1 << 63) <= int(value) < 1 << 63:
            raise OverflowError("it exceeds 64 bits")
        return int(value)
    raise TypeError("an integer is needed")


def real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError("a number is needed")
    with np.errstate(over="ignore"):
        if math.isfinite(value) and not math.isfinite(np.float32(value)):
            raise OverflowError("it exceeds float32")
    return float(value)


def text(value: Any) -> str:
    if not isinstance(value, (str, bytes)):
        raise TypeError("a string is needed")
    return value if isinstance(value, str) else value.decode("utf8", "surrogateescape")


def element_type(name: str) -> onnx_ir.DataType:
    """The element type of this name, onnx's or NumPy's: "float", "float32", "FLOAT16", "int4". ModelError otherwise."""
    import onnx_ir
    alias = {"float32": "FLOAT", "float64": "DOUBLE", "fp32": "FLOAT", "fp16": "FLOAT16", "bf16": "BFLOAT16"}
    wanted = alias.get(name.lower(), name.upper().replace("FLOAT8_", "FLOAT8").replace("FLOAT4_", "FLOAT4"))
    names = {t.name: t for t in onnx_ir.DataType if t.value}
    if wanted not in names:
        raise ModelError(f"there is no element type {name!r}", try_=", ".join(
            difflib.get_close_matches(wanted, names, 3, 0.5) or sorted(names)).lower())
    return names[wanted]


def article(declared: onnx_ir.AttributeType) -> str:
    plain = {"INT": "an integer", "FLOAT": "a float", "STRING": "a string", "INTS": "a list of integers",
             "FLOATS": "a list of floats", "STRINGS": "a list of strings", "TENSOR": "a tensor", "GRAPH": "a graph"}
    return plain.get(declared.name, declared.name)


def shown(value: Any) -> str:
    """A value in a message, at most 60 characters of it."""
    full = repr(value) if not isinstance(value, np.ndarray) else f"array {value.dtype} {value.shape}"
    return full if len(full) <= 60 else full[:57] + "..."
