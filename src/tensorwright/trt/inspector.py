"""EngineInspector: the engine's layers as text or JSON, in the form that viewers of TensorRT's engines read."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..dims import Dim, evaluate
from ..dtypes import DType
from ..errors import InputError
from ..plan.inspect import layers
from ..plan.records import Launch, LayerInfo, Program, Step, View
from .calibration import ranges_of
from .context import IExecutionContext
from .engine import ICudaEngine
from .enums import LayerInformationFormat, ProfilingVerbosity
from .logger import ILogger, say
from .recorder import Recorded, Voice

#: How viewers spell element types in descriptions of formats.
TYPES = {DType.float32: "FP32", DType.float16: "FP16", DType.int8: "Int8", DType.int32: "Int32", DType.bool: "BOOL",
         DType.uint8: "UInt8", DType.int64: "Int64", DType.bfloat16: "BFloat16", DType.float64: "FP64"}
#: Row-major descriptions that viewers know by heart; others follow the general form.
ROW_MAJOR = {DType.float32: "Row major linear FP32", DType.int32: "Row major linear Int32",
             DType.int8: "Row major Int8 format", DType.bool: "Row major linear BOOL"}
#: Between the parts of Metadata.
SEPARATOR = "\x1e"


class EngineInspector(Recorded):
    """What an engine consists of.

    How much it tells is decided by IBuilderConfig.profiling_verbosity when the engine is built: nothing, layers as bare
    names, or everything. Layers of profile k > 0 follow those of the profiles before it, and their names, like those of
    their tensors, end with " [profile k]". Dimensions that only run time knows are -1, unless execution_context has the
    profile and its shapes are set.
    """

    execution_context: IExecutionContext | None = None

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._logger = engine, Voice(engine._logger)
        self._closed = True

    def get_layer_information(self, layer_index: int, format: LayerInformationFormat) -> str:
        """One layer, by its number among those of all profiles; empty for a number the engine lacks."""
        found = self._layers()
        if not 0 <= layer_index < len(found):
            say(self._logger, ILogger.ERROR, f"layer {layer_index} was asked for, the engine has {len(found)}")
            return ""
        layer = found[layer_index]
        return json.dumps(layer, indent=2) if format == LayerInformationFormat.JSON else one_line(layer)

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        """{"Layers": [...], "Bindings": [...]}, or a line per layer and binding."""
        found = self._layers()
        bindings = [self._engine.get_binding_name(i) for i in range(self._engine.num_bindings)]
        if format == LayerInformationFormat.JSON:
            return json.dumps({"Layers": found, "Bindings": bindings}, indent=2)
        return "\n".join(["Layers:", *map(one_line, found), "", "Bindings:", *map(str, bindings)])

    def _layers(self) -> list[Any]:
        verbosity = self._engine.profiling_verbosity
        if verbosity == ProfilingVerbosity.NONE:
            return []
        found: list[Any] = []
        known = ranges_of(self._engine._plan)
        for number, program in enumerate(self._engine._plan.programs):
            suffix = f" [profile {number}]" if number else ""
            if verbosity == ProfilingVerbosity.LAYER_NAMES_ONLY:
                found += [info.name + suffix for info in layers(program)]
            else:
                sizes = self._sizes(number)
                rows = [detailed(program, step, info, sizes, suffix)
                        for step, info in zip(program.steps, layers(program), strict=True)]
                for entry in (t for row in rows for t in (*row["Inputs"], *row["Outputs"])):
                    if range := known.get(entry["Name"].removesuffix(suffix)):
                        entry["DynamicRange"] = range         # found by calibration, or given by the script
                found += rows
        return found

    def _sizes(self, profile: int) -> dict[str, int]:
        """Values of symbols, as far as the context's shapes give them."""
        context = self.execution_context
        if context is None or context.active_optimization_profile != profile:
            return {}
        try:
            return context._env()
        except InputError:
            return {}


def detailed(program: Program, step: Step, info: LayerInfo, sizes: dict[str, int], suffix: str) -> dict[str, Any]:
    """A step with everything about it."""
    operands = step.args if isinstance(step, Launch) else (*step.inputs, *step.outputs)
    ends = info.reads, info.reads + len(info.types)
    read, written = operands[:ends[0]], operands[ends[0]:ends[1]]
    known = dict(info.attributes)
    kind = "Host" if not isinstance(step, Launch) else known.get("ParameterType", info.kind)
    layer: dict[str, Any] = {
        "Name": info.name + suffix, "LayerType": "PointWiseV2" if kind == "PointWise" else kind,
        "Inputs": [t for v in read if (t := tensor(program, v, sizes, suffix))],
        "Outputs": [t for v in written if (t := tensor(program, v, sizes, suffix))],
        **known}
    layer["Origin"] = known.get("Origin", "; ".join(info.origin))
    if isinstance(step, Launch):
        layer["TacticName"] = info.tactic
        layer["TacticValue"] = f"0x{hashlib.sha256(step.kernel.encode()).hexdigest()[:16]}"
    else:
        layer["TacticName"] = f"NumPy: {info.note}" if info.note else "NumPy"
        layer["TacticValue"] = "0x0000000000000000"
    layer |= {"StreamId": 0, "Metadata": SEPARATOR.join(f"[ONNX Layer: {node(o)}]" for o in info.origin)}
    if info.seconds is not None:
        layer["TimeUs"] = info.seconds * 1e6
    if info.note:
        layer["Note"] = info.note
    return layer


def node(origin: str) -> str:
    """The name in "Conv 'name'"."""
    return origin.partition(" ")[2].strip("'") or origin


def tensor(program: Program, value: View | str | None, sizes: dict[str, int], suffix: str) -> dict[str, Any] | None:
    """One operand; None for weights and absent ones, which are no tensors of the graph."""
    if value is None:
        return None
    if isinstance(value, str):                               # its type is known only when it is there
        return {"Name": value + suffix, "Location": "Host", "Dimensions": [], "Format/Datatype": "Unknown format",
                "Format": "Unknown format", "Datatype": "Unknown"}
    buffer = program.buffers[value.buffer]
    if buffer.kind == "constant":
        return None
    text = format_of(value)
    return {"Name": buffer.name + suffix, "Location": "Device",
            "Dimensions": [resolved(d, sizes) for d in value.shape],
            "Format/Datatype": text, "Format": text, "Datatype": TYPES.get(value.dtype, str(value.dtype))}


def resolved(d: Dim, sizes: dict[str, int]) -> int:
    try:
        return evaluate(d, sizes)
    except KeyError:
        return -1


def format_of(view: View) -> str:
    """The order of the axes in memory, and the element type."""
    name, rank = TYPES.get(view.dtype, str(view.dtype)), len(view.shape)
    if rank >= 3 and view.strides[1] == 1 and view.shape[1] != 1 and view.strides[-1] != 1:
        return f"Channel major {name} format" + (" with 3 spatial dimensions" if rank == 5 else "")
    return ROW_MAJOR.get(view.dtype, f"Row major linear {name} format")


def one_line(layer: Any) -> str:
    """A layer's fields one after the other."""
    return layer if isinstance(layer, str) else ", ".join(f"{k}: {shown(v)}" for k, v in layer.items())


def shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{k}: {shown(v)}' for k, v in value.items())} }}"
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else str(value)
