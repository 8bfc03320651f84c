"""The `onnx.backend` interface: `prepare(model).run(inputs)`. The module itself is the backend, as ONNX's tools expect.

    import tensorwright.onnx_backend as backend
    outputs = backend.run_model(model, [x])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, Device, DeviceType

from .errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from .runtime import Engine


class PreparedModel(BackendRep):
    """An engine behind ONNX's interface: inputs and outputs in the order of the model's graph."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Outputs for inputs given as a sequence, by name, or, for a single input, as an array."""
        names = [t.name for t in self.engine.inputs]
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        if not isinstance(inputs, Mapping):
            if len(inputs) != len(names):
                raise InputError(f"{len(inputs)} inputs are given, the model takes {len(names)}",
                                 inputs=", ".join(names))
            inputs = dict(zip(names, inputs, strict=True))
        results = self.engine.run(inputs)
        return tuple(results[t.name] for t in self.engine.outputs)


def open_shapes(model: onnx.ModelProto, inputs: Any) -> dict[str, tuple[int, ...]]:
    """Input → shape of the array given, for inputs that the model leaves a dimension of open."""
    stored = {t.name for t in model.graph.initializer}
    infos = [i for i in model.graph.input if i.name not in stored]
    given = inputs if isinstance(inputs, Mapping) else dict(
        zip((i.name for i in infos), [inputs] if isinstance(inputs, np.ndarray) else inputs, strict=False))
    found = {}
    for info in infos:
        t, x = info.type.tensor_type, given.get(info.name)
        closed = t.HasField("shape") and all(d.HasField("dim_value") for d in t.shape.dim)
        if info.type.HasField("tensor_type") and isinstance(x, np.ndarray) and x.dtype.kind != "O" and not closed:
            found[info.name] = x.shape
    return found


class TensorwrightBackend(Backend):
    """Compiles models for the CPU of this machine."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> PreparedModel:
        """Compile a model. Further keyword arguments are those of `tensorwright.build`."""
        if not cls.supports_device(device):
            raise UnsupportedError(f"device {device!r} is not supported", try_='device="CPU"')
        from .api import build
        return PreparedModel(build(model, **kwargs))

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Compile a model for the shapes of these inputs and run it once."""
        kwargs.setdefault("shapes", open_shapes(model, inputs))
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(cls, node: onnx.NodeProto, inputs: Sequence[Any], device: str = "CPU",
                 outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None, **kwargs: Any) -> tuple[Any, ...]:
        """Compile a model of one node for these inputs, and run it. opset_version: of the standard domain."""
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        arrays = [np.asarray(x) for x in inputs]
        names = [name for name in node.input if name]
        infos = [onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                 for name, a in zip(names, arrays, strict=True)]
        graph = onnx.helper.make_graph([node], node.op_type, infos,
                                       [onnx.ValueInfoProto(name=name) for name in node.output if name])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
        return cls.run_model(model, arrays, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        try:
            return Device(device).type == DeviceType.CPU
        except (AttributeError, ValueError):
            return False

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether all of the model's domains are known: the standard ones, and its own functions'."""
        own = {f.domain for f in model.functions}
        return cls.supports_device(device) and all(
            o.domain in ("", "ai.onnx", "ai.onnx.ml") or o.domain in own for o in model.opset_import)


prepare = TensorwrightBackend.prepare
run_model = TensorwrightBackend.run_model
run_node = TensorwrightBackend.run_node
supports_device = TensorwrightBackend.supports_device
is_compatible = TensorwrightBackend.is_compatible
