"""An ONNX node that no kernel computes, evaluated by the onnx package's reference implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import InputError, TensorwrightError
from ..ir import Op, OpaqueType, TensorType, ValueType

if TYPE_CHECKING:                                # the onnx package is slow to import; only host steps need it
    import onnx
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun


#: ONNX operators whose results differ from run to run.
RANDOM = (b"RandomNormal", b"RandomUniform", b"Multinomial", b"Bernoulli", b"Dropout")


#: What makes classes for the evaluator of nodes in bodies that it does not know, from a model: `plugins/` adds itself.
FOREIGN: list[Callable[[onnx.ModelProto], list[type[OpRun]]]] = []


@dataclass(frozen=True)
class Host(Op):
    """(y0, y1, ...) = what ONNX defines for one node

    Inputs  one per input of the model's graph, in order: arrays, lists (sequences) or None (absent).
    Output  a tuple, one per output of the model's graph. Types are given where the layer is added
            (NetworkEditor.add(types=...)); by itself the operator only knows how many there are.
    Params  model: a serialized ModelProto, self-contained. node: operator type, for people.
    Cost    not known: one operation per output element.
    Errors  InputError with the node's type when the reference implementation refuses.
    Source  onnx.reference.ReferenceEvaluator.
    """

    model: bytes
    node: str
    types_are_given: ClassVar[bool] = True       # what reads a network must not infer this operator's types again

    @property
    def on_host(self) -> str:
        return f"{self.node} has no kernel"

    @property
    def repeatable(self) -> bool:
        return not any(r in self.model for r in RANDOM)

    def infer(self, *inputs: TensorType | None) -> ValueType | tuple[ValueType, ...]:
        import onnx
        types = tuple(OpaqueType() for _ in onnx.load_model_from_string(self.model).graph.output)
        return types[0] if len(types) == 1 else types

    def reference(self, *inputs: Any) -> tuple[Any, ...]:
        try:
            session = evaluator(self.model)
        except Exception as error:                # a node that contradicts its operator's definition
            raise InputError(f"{self.node}: {type(error).__name__}: {error}") from error
        names = session.input_names
        if len(inputs) > len(names):
            raise InputError(f"{self.node} takes {len(names)} inputs, {len(inputs)} are given")
        feeds = dict(zip(names, inputs, strict=False))
        try:
            with np.errstate(all="ignore"):
                results = session.run(None, feeds)
        except TensorwrightError as error:        # of a plugin in a body
            raise error.located(self.node) from None
        except Exception as error:                # whatever the reference implementation raises, it is about the inputs
            raise InputError(f"{self.node}: {type(error).__name__}: {error}") from error
        return tuple(np.asarray(y) if np.isscalar(y) else y for y in results)


@lru_cache(maxsize=256)
def evaluator(model: bytes) -> ReferenceEvaluator:
    """The evaluator of a serialized model, made once."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    from .host_boxes import CORRECTED as BOXES
    from .host_control import CORRECTED
    from .host_sampling import CORRECTED as QUICKER
    proto = onnx.load_model_from_string(model)
    ours: list[Any] = [*CORRECTED, *QUICKER, *BOXES, *(op for make in FOREIGN for op in make(proto))]
    return ReferenceEvaluator(proto, new_ops=ours)


def host_node(node: onnx.NodeProto, opsets: Mapping[str, int], functions: Iterable[onnx.FunctionProto] = (),
              captured: Iterable[str] = ()) -> Host:
    """The operator that evaluates `node`, taking the node's own inputs in order (None where its name is empty), then
    the values its subgraphs capture, in the order of `captured`. A node that reads one value twice gets it twice.
    Outputs the node leaves unnamed are not computed and not counted.

    opsets     domain → version, as the model imports them
    functions  model-local functions the node calls
    """
    import onnx
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.input[:]
    graph = onnx.GraphProto(name=node.op_type or "node")
    for i, name in enumerate(node.input):
        copy.input.append(f"in{i}.{name}" if name else "")
        graph.input.append(onnx.ValueInfoProto(name=f"in{i}.{name}"))
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in captured)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
    graph.node.append(copy)
    imports = [onnx.OperatorSetIdProto(domain=domain, version=version) for domain, version in opsets.items()]
    model = onnx.ModelProto(ir_version=10, opset_import=imports, functions=list(functions), graph=graph)
    return Host(model.SerializeToString(deterministic=True), node.op_type)
