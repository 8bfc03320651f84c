"""Plugins that are expressions of standard operators: compiled in models, evaluated where they are called alone.

An expression is a function of symbolic tensors (see `plugins.graph`). Models lower it like their own nodes. Networks
that hold the plugin as a layer, and tests, compute it through onnx's reference evaluator.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import wraps
from threading import Lock
from typing import Any

import numpy as np

from ...dtypes import DType
from ...ir import TensorType
from ..attributes import Attribute
from ..definition import Definition
from ..graph import Tensor, expansion, ops
from ..registry import register

#: Expressions whose evaluators are kept.
KEPT = 64


def expression(name: str, expand: Callable[..., Any], infer: Callable[..., Any], attributes: Mapping[str, Attribute],
               inputs: tuple[int, int | None], versions: Iterable[str] = ("1",)) -> None:
    """Register a plugin that is an expression. infer checks types and attributes before the expression is made."""
    @wraps(expand)
    def checked(*tensors: Tensor | None, **given: Any) -> Any:
        infer(*(None if t is None else TensorType(t.shape, t.dtype) for t in tensors), **given)
        return expand(*tensors, **given)
    for version in versions:
        written = Definition(name, None, infer, attributes, version, inputs=inputs, expand=checked)
        register(replace(written, compute=Evaluator(written)))


class Evaluator:
    """compute(*arrays, **attributes) of a plugin that has only an expression."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.lock = Lock()
        #: (types, attributes; arrays by identity) → (evaluator, the arrays, so that their identities stay theirs)
        self.known: OrderedDict[Any, tuple[Any, tuple[Any, ...]]] = OrderedDict()

    def __call__(self, *arrays: np.ndarray | None, **attributes: Any) -> Any:
        types = tuple(None if a is None else TensorType(a.shape, DType.of(a)) for a in arrays)
        key = types, tuple((k, id(v) if isinstance(v, np.ndarray) else v) for k, v in attributes.items())
        with self.lock:
            if key in self.known:
                self.known.move_to_end(key)
            else:
                self.known[key] = self._made(types, attributes), tuple(attributes.values())
                while len(self.known) > KEPT:
                    self.known.popitem(last=False)
            evaluator = self.known[key][0]
            feeds = {f"x{i}": np.ascontiguousarray(a) for i, a in enumerate(arrays) if a is not None}
            results = evaluator.run(None, feeds)            # not safe to be run by several threads at once
        return results[0] if len(results) == 1 else tuple(results)

    def _made(self, types: tuple[TensorType | None, ...], attributes: Mapping[str, Any]) -> Any:
        from onnx import ValueInfoProto, helper
        from onnx.reference import ReferenceEvaluator
        from onnx.reference.op_run import OpRun

        class GatherElements(OpRun):
            """The evaluator's own cannot read rows of more than 64 elements."""

            def _run(self, data: np.ndarray, indices: np.ndarray, axis: int = 0) -> tuple[np.ndarray]:
                return (np.take_along_axis(data, indices, axis),)

        body = expansion(self.definition, attributes, types)
        inputs, outputs = ([ValueInfoProto(name=n) for n in names] for names in (body.input, body.output))
        graph = helper.make_graph(list(body.node), body.name, inputs, outputs)
        return ReferenceEvaluator(helper.make_model(graph, opset_imports=list(body.opset_import)),
                                  new_ops=[GatherElements])


def size(x: Tensor, axis: int) -> Any:
    """A dimension: a number where it is known, else a tensor int64 (1,). Both can be calculated with."""
    d = x.shape[axis]
    return d if isinstance(d, int) else ops.Gather(ops.Shape(x), np.array([axis]), axis=0)


def divided(extent: Any, by: int) -> Any:
    """A size, of which `by` is a divisor, divided by it."""
    return extent // by if isinstance(extent, int) else extent / by


def shape(*sizes: Any) -> Any:
    """Sizes as the shape operators take: an array when all are numbers."""
    if all(isinstance(s, int) for s in sizes):
        return np.array(sizes, np.int64)
    return ops.Concat(*(np.array([s], np.int64) if isinstance(s, int) else s for s in sizes), axis=0)


def ramp(length: Any) -> Any:
    """0 … length − 1, int64; length a number or a tensor (1,)."""
    if isinstance(length, int):
        return np.arange(length)
    return ops.Range(np.array(0), ops.Squeeze(length, np.array([0])), np.array(1))


def weights(x: np.ndarray, *dims: int) -> np.ndarray:
    """A plugin's weights as a float32 array of these dimensions."""
    return np.asarray(x, np.float32).reshape(dims or -1)
