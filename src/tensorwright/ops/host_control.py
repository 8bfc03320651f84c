"""Loop, Scan and Optional for the reference evaluator, where the onnx package's own leave parts of the standard out.

Its Loop stacks scan outputs of any rank but 1 wrongly, its Scan knows neither other axes and directions nor version 8,
and its Optional wraps values in a list. Classes are named like the operators: the evaluator looks them up so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference.op_run import OpRun


class Loop(OpRun):
    """Runs its body up to M times, or while the condition holds; scan outputs are stacked along a new first axis."""

    def need_context(self) -> bool:
        return True

    def _run(self, M: Any = None, cond: Any = None, *states: Any, context: dict[str, Any] | None = None,
             **_: Any) -> tuple[Any, ...]:
        body: Any = self.body  # type: ignore[attr-defined]
        names, results = list(body.input_names), list(body.output_names)
        current = list(states)
        stacks: list[list[Any]] = [[] for _ in results[1 + len(current):]]
        limit = None if M is None else int(np.asarray(M).reshape(()))
        go = cond is None or bool(np.asarray(cond).reshape(()))
        step = 0
        while go and (limit is None or step < limit):
            given = [np.array(step, np.int64), np.array(go), *current]
            outputs = body.run(None, {**(context or {}), **dict(zip(names, given, strict=True))})
            go = outputs[0] is not None and bool(np.asarray(outputs[0]).reshape(()))
            current = list(outputs[1 : 1 + len(current)])
            for stack, y in zip(stacks, outputs[1 + len(current):], strict=True):
                stack.append(y)
            step += 1
        infos = self.onnx_body().output[1 + len(current):]
        return (*current, *(stacked(s, info, 0) for s, info in zip(stacks, infos, strict=True)))

    def onnx_body(self) -> onnx.GraphProto:
        return next(a.g for a in self.onnx_node.attribute if a.name == "body")


def stacked(parts: Sequence[Any], info: onnx.ValueInfoProto, axis: int) -> np.ndarray:
    """Scan outputs stacked along a new axis; of no iterations, an array of the declared type without elements."""
    if parts:
        return np.stack([np.asarray(p) for p in parts], axis)
    t = info.type.tensor_type
    dims = [d.dim_value for d in t.shape.dim]
    dims.insert(axis if axis >= 0 else len(dims) + 1 + axis, 0)
    return np.zeros(dims, onnx.helper.tensor_dtype_to_np_dtype(t.elem_type or onnx.TensorProto.FLOAT))


class Scan(OpRun):
    """Runs its body once per slice of the scanned inputs. Version 8 has a batch axis first, and lengths."""

    def need_context(self) -> bool:
        return True

    def _run(self, *inputs: Any, context: dict[str, Any] | None = None, **_: Any) -> tuple[Any, ...]:
        if self.run_params["opsets"][""] > 8:
            return tuple(self._scan(list(inputs), context or {}))
        lengths, *rest = inputs
        batches = []
        for b in range(rest[0].shape[0]):
            limit = None if lengths is None else int(lengths[b])
            batches.append(self._scan([x[b] for x in rest], context or {}, limit))
        return tuple(np.stack(parts) for parts in zip(*batches, strict=True))

    def _scan(self, inputs: list[Any], context: dict[str, Any], limit: int | None = None) -> list[Any]:
        body: Any = self.body  # type: ignore[attr-defined]
        scanned = int(self.num_scan_inputs)  # type: ignore[attr-defined]
        states, sequences = inputs[: len(inputs) - scanned], inputs[len(inputs) - scanned:]
        collected = len(body.output_names) - len(states)
        in_axes = self._listed("scan_input_axes", scanned)
        in_ways = self._listed("scan_input_directions" if limit is None else "directions", scanned)
        out_axes, out_ways = (self._listed(n, collected) for n in ("scan_output_axes", "scan_output_directions"))
        sequences = [np.moveaxis(x, a, 0) for x, a in zip(sequences, in_axes, strict=True)]
        sequences = [x[::-1] if way else x for x, way in zip(sequences, in_ways, strict=True)]
        stacks: list[list[Any]] = [[] for _ in range(collected)]
        steps = len(sequences[0]) if limit is None else limit
        for i in range(steps):
            given = [*states, *(x[i] for x in sequences)]
            outputs = body.run(None, {**context, **dict(zip(body.input_names, given, strict=True))})
            states = list(outputs[: len(states)])
            for stack, y in zip(stacks, outputs[len(states):], strict=True):
                stack.append(y)
        infos = next(a.g for a in self.onnx_node.attribute if a.name == "body").output[len(states):]
        results = [stacked(s[::-1] if way else s, info, axis)
                   for s, info, axis, way in zip(stacks, infos, out_axes, out_ways, strict=True)]
        if limit is not None:       # version 8: what lies beyond a sequence's length is zero
            longest = len(sequences[0])
            results = [np.concatenate([r, np.zeros((longest - len(r), *r.shape[1:]), r.dtype)]) for r in results]
        return [*states, *results]

    def _listed(self, name: str, count: int) -> list[int]:
        found = getattr(self, name, None)
        return [0] * count if found is None else [int(v) for v in found]


class Optional(OpRun):
    """The value itself, or None: an optional is represented by what it holds."""

    def _run(self, x: Any = None, **_: Any) -> tuple[Any]:
        return (x,)


CORRECTED = [Loop, Scan, Optional]
