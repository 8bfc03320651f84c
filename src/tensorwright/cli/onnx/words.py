"""What users write for tensors, values and attributes of edits."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import UsageError

if TYPE_CHECKING:
    import onnx_ir

    from ...onnx import Model


def literal(text: str) -> Any:
    """A number or a list of numbers as Python writes it (0.5, [1, 2], 1,2); other words are strings."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return list(value) if isinstance(value, tuple) else value


def array(text: str) -> Any:
    """Values: an array from a .npy file, or what `literal` reads."""
    if not text.endswith(".npy"):
        return literal(text)
    import numpy as np
    try:
        return np.load(Path(text), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {text}: {error}") from None


def operand(text: str) -> Any:
    """An operand: the name of a tensor; a number, a list or a .npy file: a new constant; "none": left out."""
    if text == "none":
        return None
    value = array(text)
    return value if not isinstance(value, str) else text


def assignments(pairs: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE, ... as a dictionary of texts."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{pair!r} is not NAME=VALUE")
        found[name] = value
    return found


def attribute(model: Model, op_type: str, domain: str, name: str, text: str, graph: onnx_ir.Graph | None = None) -> Any:
    """An attribute's value: where the schema says string, the text itself."""
    import onnx_ir

    from ...onnx.structure.schema import attribute_type
    declared = attribute_type(model, op_type, domain, name, graph)
    kinds = onnx_ir.AttributeType
    if declared == kinds.STRING:
        return text
    value = array(text)
    if declared in (kinds.INTS, kinds.FLOATS) and not isinstance(value, (list, str)):
        return [value]
    if declared == kinds.STRINGS:
        return value if isinstance(value, list) else text.split(",")
    return value


def add_node_arguments(parser: Any) -> None:
    """OP, --set, --input, --domain, --name: what describes a new node."""
    parser.add_argument("op", help="operator, as OP or DOMAIN::OP")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="attributes",
                        help="attribute (repeatable)")
    parser.add_argument("--name", help="the node's name (default: made from the operator)")


def node_arguments(model: Model, options: Any) -> dict[str, Any]:
    """op_type, domain, attributes, name: keywords for the functions that make nodes."""
    domain, _, op_type = options.op.rpartition("::")
    made = {k: attribute(model, op_type, domain, k, v) for k, v in assignments(options.attributes).items()}
    return {"op_type": op_type, "domain": domain, "attributes": made, "name": options.name}
