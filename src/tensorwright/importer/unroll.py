"""Loop, Scan and If that are decided by constants and shapes: their bodies are imported once per iteration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError, ShapeError
from ..ops import Concat
from .node import Node
from .values import Decline, Value, axis_of, constant

if TYPE_CHECKING:
    import onnx

#: (graph, its inputs by name) → its outputs
RunGraph = Callable[["onnx.GraphProto", Mapping[str, Value]], "list[Value]"]
#: Loops of more iterations, or of more nodes after unrolling, are left to the host.
MOST_ITERATIONS, MOST_NODES = 256, 4096


def control_flow(n: Node, run: RunGraph) -> tuple[Value, ...] | None:
    """The outputs of a control-flow node; None for other operators. Decline when only the run can tell."""
    if n.op_type == "If":
        condition = decided(n[0], "which branch is taken is known at run time only")
        return tuple(run(n.graph("then_branch" if condition else "else_branch"), {}))
    if n.op_type == "Loop":
        return loop(n, run)
    if n.op_type == "Scan":
        return scan(n, run)
    return None


def decided(v: Value, otherwise: str) -> bool:
    if v.array is None or v.array.size != 1:
        raise Decline(otherwise)
    return bool(v.array.reshape(())[()])


def check_size(iterations: int, body: onnx.GraphProto) -> None:
    if iterations > MOST_ITERATIONS or iterations * len(body.node) > MOST_NODES:
        raise Decline(f"more than {MOST_ITERATIONS} iterations, or {MOST_NODES} nodes, when unrolled")


def loop(n: Node, run: RunGraph) -> tuple[Value, ...]:
    """Iterations follow each other while the condition is constantly true; scan outputs are stacked."""
    body = n.graph("body")
    limit_value, condition, states = n.optional(0), n.optional(1), [n[i] for i in range(2, len(n.inputs))]
    limit = None if limit_value is None else n.whole(0)[0]
    if len(body.input) != len(states) + 2 or len(body.output) < len(states) + 1:
        raise ModelError(f"the body takes {len(body.input)} values and gives {len(body.output)}, "
                         f"the loop carries {len(states)}")
    check_size(limit if limit is not None else 0, body)
    running = condition is None or decided(condition, "whether the loop runs is known at run time only")
    stacks: list[list[Value]] = [[] for _ in body.output[1 + len(states):]]
    step = 0
    while running and (limit is None or step < limit):
        check_size(step + 1, body)
        given = [constant(np.array(step, np.int64)), constant(np.array(True)), *states]
        results = run(body, {i.name: v for i, v in zip(body.input, given, strict=True)})
        running = decided(results[0], "the number of iterations is known at run time only")
        states = results[1 : 1 + len(states)]
        for stack, y in zip(stacks, results[1 + len(states):], strict=True):
            stack.append(y)
        step += 1
    return (*states, *(stacked(n, s, 0) for s in stacks))


def stacked(n: Node, parts: Sequence[Value], axis: int) -> Value:
    """Values of one shape along a new axis."""
    if not parts:
        raise Decline("no iteration gives the shape of a scan output")
    rank = parts[0].rank + 1
    axis = axis_of(axis, rank)
    wide = [n.reshape(p, [*p.shape[:axis], 1, *p.shape[axis:]]) for p in parts]
    return wide[0] if len(wide) == 1 else n.add(Concat(axis), *wide)


def scan(n: Node, run: RunGraph) -> tuple[Value, ...]:
    """One iteration per slice of the scanned inputs, whose number must be known."""
    if n.since < 9:
        raise Decline("version 8 has a batch axis and lengths")
    body, scanned = n.graph("body"), n.integer("num_scan_inputs")
    values = [n[i] for i in range(len(n.inputs))]
    if not 0 < scanned <= len(values) or len(body.input) != len(values) or len(body.output) < len(values) - scanned:
        raise ModelError(f"the body takes {len(body.input)} values, the scan {len(values)}, {scanned} of them sliced")
    states, sequences = values[: len(values) - scanned], values[len(values) - scanned:]
    collected = len(body.output) - len(states)
    in_axes = [axis_of(a, x.rank) for a, x in zip(listed(n, "scan_input_axes", scanned), sequences, strict=True)]
    in_back, out_back = listed(n, "scan_input_directions", scanned), listed(n, "scan_output_directions", collected)
    lengths = {x.shape[a] for x, a in zip(sequences, in_axes, strict=True)}
    if len(lengths) != 1:
        raise ShapeError(f"sequences have different lengths: {', '.join(map(str, lengths))}")
    (length,) = lengths
    if not isinstance(length, int):
        raise Decline("the number of iterations is known at run time only")
    check_size(length, body)
    stacks: list[list[Value]] = [[] for _ in range(collected)]
    for step in range(length):
        slices = [piece(n, x, a, length - 1 - step if back else step)
                  for x, a, back in zip(sequences, in_axes, in_back, strict=True)]
        results = run(body, {i.name: v for i, v in zip(body.input, [*states, *slices], strict=True)})
        states = results[: len(states)]
        for stack, y in zip(stacks, results[len(states):], strict=True):
            stack.append(y)
    axes = listed(n, "scan_output_axes", collected)
    return (*states, *(stacked(n, s[::-1] if back else s, a)
                       for s, a, back in zip(stacks, axes, out_back, strict=True)))


def listed(n: Node, name: str, count: int) -> tuple[int, ...]:
    found = n.ints(name, (0,) * count)
    if len(found) != count:
        raise ModelError(f"{name} has {len(found)} entries, {count} are needed")
    return found


def piece(n: Node, x: Value, axis: int, index: int) -> Value:
    return n.reshape(n.take(x, axis, index, 1), [d for i, d in enumerate(x.shape) if i != axis])

