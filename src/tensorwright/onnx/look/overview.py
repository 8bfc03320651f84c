"""A model at a glance: what goes in and out, operators, weights, arithmetic, memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import InputError, TensorwrightError
from ..model import Model
from ..structure.tensors import named
from .cost import Costs, costs
from .inventory import Weight, inventory
from .memory import Memory, memory
from .sizes import Shapes

if TYPE_CHECKING:
    import onnx_ir


@dataclass(frozen=True)
class Overview:
    """What `wright onnx show` prints.

    inputs, outputs   (name, type as text)
    opsets            domain → version
    operators         operator ("domain::Name" outside the standard) → nodes in all graphs and functions
    weights           all constant tensors
    costs, memory     of the main graph; None when the compiler cannot read the model at all, for the reason in why_not
    """

    label: str
    producer: str
    ir_version: int
    opsets: Mapping[str, int]
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    nodes: int
    operators: Mapping[str, int]
    functions: tuple[str, ...]
    metadata: Mapping[str, str]
    weights: tuple[Weight, ...]
    costs: Costs | None
    memory: Memory | None
    why_not: str = ""

    @property
    def parameters(self) -> int:
        """Elements of all weights."""
        return sum(w.tensor.size for w in self.weights)

    @property
    def dtypes(self) -> dict[str, tuple[int, int, int]]:
        """Element type → (tensors, elements, bytes), largest first."""
        found: dict[str, tuple[int, int, int]] = {}
        for w in self.weights:
            tensors, elements, size = found.get(w.dtype, (0, 0, 0))
            found[w.dtype] = (tensors + 1, elements + w.tensor.size, size + w.tensor.nbytes)
        return dict(sorted(found.items(), key=lambda x: (-x[1][2], x[0])))

    @property
    def storages(self) -> dict[str, tuple[int, int]]:
        """Place and storage → (tensors, bytes), largest first."""
        found: dict[str, tuple[int, int]] = {}
        for w in self.weights:
            key = f"{w.place}, {w.storage}"
            tensors, size = found.get(key, (0, 0))
            found[key] = (tensors + 1, size + w.tensor.nbytes)
        return dict(sorted(found.items(), key=lambda x: (-x[1][1], x[0])))


def overview(model: Model, shapes: Shapes | None = None) -> Overview:
    """shapes: as in `costs`. InputError when they contradict the model; weights are not read."""
    ir = model.ir
    nodes = model.all_nodes()
    counts = Counter(operator(n) for n in nodes)
    spent = live = None
    why_not = ""
    try:
        spent = costs(model, shapes)
        live = memory(model, spent.types)
    except InputError:
        raise
    except TensorwrightError as error:
        why_not = error.what
    return Overview(
        model.label, " ".join(filter(None, map(text, (ir.producer_name, ir.producer_version)))), ir.ir_version,
        {text(d) or "ai.onnx": v for d, v in ir.opset_imports.items()},
        tuple((str(v.name), type_text(v)) for v in model.inputs),
        tuple((str(v.name), type_text(v)) for v in model.outputs), len(nodes),
        dict(sorted(counts.items(), key=lambda x: (-x[1], x[0]))),
        tuple("::".join(filter(None, map(text, key))) for key in ir.functions),
        {text(k): text(v) for k, v in ir.metadata_props.items()},
        inventory(model), spent, live, why_not)


def operator(node: onnx_ir.Node) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def type_text(value: onnx_ir.Value) -> str:
    """float32 (batch, 3, ?), as far as the model says."""
    if value.type is None:
        return "?"
    if value.dtype is None or not type(value.type).__name__.endswith("TensorType"):
        return str(value.type)
    if value.shape is None:
        return f"{named(value.dtype)} of unknown rank"
    dims = dims_text(value.shape)
    return f"{named(value.dtype)} ({', '.join(dims)}{',' if len(dims) == 1 else ''})"


def dims_text(shape: onnx_ir.Shape) -> list[str]:
    """? stands for what is not known; onnx's inference gives such dimensions names of its own, unk__0 and so on."""
    names = [str(d) if isinstance(d, int) else text(d.value) for d in shape]
    return ["?" if not name or name.startswith("unk__") else name for name in names]


def text(stored: object) -> str:
    """A string of the file; what is no UTF-8 arrives as bytes."""
    return stored.decode("utf-8", "replace") if isinstance(stored, bytes) else "" if stored is None else str(stored)
