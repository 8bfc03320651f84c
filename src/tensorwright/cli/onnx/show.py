"""wright onnx show: what a model consists of and what it costs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import OK, Console, UsageError, size
from ..values import SHAPES_HELP, shapes, whole

if TYPE_CHECKING:
    from ...onnx import Model, Overview

HELP = "inputs, outputs, operators, weights, FLOPs, bytes and memory of a model"
DESCRIPTION = """Show what a model consists of and what it costs. Weights are not read. FLOPs and bytes are those of the
compiler's operators, at the sizes that --shapes gives; dynamic dimensions without a size count as 1 on axis 0 and as 64
elsewhere, and the output says so. Memory over time runs the nodes one after the other in the file's order, each tensor
in memory of its own."""
EPILOG = """examples:
  wright onnx show model.onnx
  wright onnx show model.onnx --shapes image=8x3x224x224 --nodes --sort flops --limit 20
  wright onnx show model.onnx --weights --sort bytes
  wright onnx show model.onnx --json | jq '.operators'"""

SORTS = ("flops", "bytes", "params")
#: Steps of the picture of memory over time, and its heights.
WIDTH, BARS = 60, " ▁▂▃▄▅▆▇█"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("--nodes", action="store_true", help="list the nodes of the main graph")
    parser.add_argument("--weights", action="store_true", help="list the weights")
    parser.add_argument("--sort", choices=SORTS, help="largest first; weights by params or bytes "
                                                      "(default: in the file's order)")
    parser.add_argument("--limit", type=whole(1), metavar="N", help="list so many (default: all)")
    add_shapes(parser)


def add_shapes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shapes", action="append", default=[], metavar="SHAPES",
                        help=f"{SHAPES_HELP}; of three the usual one counts")


def sizes(options: argparse.Namespace) -> dict[str, tuple[int, ...]]:
    """--shapes as one shape each. UsageError when a name has several profiles."""
    found = {}
    for name, triples in shapes(options.shapes).items():
        if len(triples) > 1:
            raise UsageError(f"--shapes gives {name!r} twice: one set of sizes is shown at a time")
        found[name] = tuple(triples[0][1])               # type: ignore[index,arg-type]
    return found


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    if options.sort == "flops" and options.weights and not options.nodes:
        raise UsageError("--sort flops is for --nodes; weights are sorted by params or bytes")
    if (options.sort or options.limit) and not (options.nodes or options.weights):
        raise UsageError("--sort and --limit go with --nodes or --weights")
    model = onnx.load(options.model)
    found = onnx.overview(model, sizes(options))
    summary(found, console)
    if options.nodes:
        nodes(model, found, options.sort, options.limit, console)
    if options.weights:
        list_weights(found, options.sort, options.limit, console)
    return OK


def summary(found: Overview, console: Console) -> None:
    opsets = ", ".join(f"{d} {v}" for d, v in found.opsets.items())
    console.say(f"{found.label}: {found.nodes} nodes, {found.parameters:,} parameters, opset {opsets}")
    console.say(f"  made by {found.producer or 'an unnamed producer'}, IR version {found.ir_version}")
    for kind, ends in (("input", found.inputs), ("output", found.outputs)):
        for name, text in ends:
            console.say(f"  {kind:<7} {name}: {text}")
    for key, value in found.metadata.items():
        console.say(f"  {key}: {value if len(value) <= 80 else value[:77] + '...'}")
    console.say("operators")
    text = ", ".join(f"{op} {n}" for op, n in found.operators.items()) or "none"
    for line in wrapped(text, 110):
        console.say(f"  {line}")
    if found.functions:
        console.say(f"  functions of the model: {', '.join(found.functions)}")
    console.say("weights")
    rows: list[Sequence[str]] = [("type", "tensors", "elements", "bytes")]
    rows += [(t, f"{n:,}", f"{e:,}", size(b)) for t, (n, e, b) in found.dtypes.items()]
    console.table(rows, right=(1, 2, 3))
    for where, (count, stored) in found.storages.items():
        console.say(f"  {where}: {count} tensor{'s' if count != 1 else ''}, {size(stored)}")
    cost(found, console)
    console.result(
        model=found.label, producer=found.producer, ir_version=found.ir_version, opsets=dict(found.opsets),
        inputs=dict(found.inputs), outputs=dict(found.outputs), node_count=found.nodes,
        operators=dict(found.operators), functions=list(found.functions), metadata=dict(found.metadata),
        parameters=found.parameters,
        weight_types={t: {"tensors": n, "elements": e, "bytes": b} for t, (n, e, b) in found.dtypes.items()},
        weight_storage={w: {"tensors": n, "bytes": b} for w, (n, b) in found.storages.items()})


def cost(found: Overview, console: Console) -> None:
    if found.costs is None or found.memory is None:
        console.say(f"cost: not known, the compiler cannot read the model: {found.why_not}")
        console.result(cost=None, why_no_cost=found.why_not)
        return
    spent, live = found.costs, found.memory
    at = ", ".join(f"{n} {'x'.join(map(str, s)) or 'scalar'}" for n, s in spent.sizes.shapes.items())
    console.say(f"cost at {at}" if at else "cost")
    if spent.sizes.assumed:
        console.say("  assumed: " + ", ".join(f"{n} = {v}" for n, v in spent.sizes.assumed.items())
                    + "; --shapes gives other sizes")
    console.say(f"  {flops(spent.flops)}, {size(spent.bytes)} read and written if nothing is cached")
    if spent.unknown:
        console.say(f"  not counted: {plural(spent.unknown, 'node')} whose work is not known")
    for node in unknown_reasons(found):
        console.say(f"    {node}")
    console.say(f"memory over time: at most {size(live.peak)} of intermediate tensors"
                + (f", at step {live.at} of {len(live.live)}" if live.live else ""))
    if live.peak:
        console.say(f"  |{picture(live.live)}|")
        for name, count in live.alive[:5]:
            console.say(f"  {size(count):>8}  {name}")
        if len(live.alive) > 5:
            console.say(f"            and {len(live.alive) - 5} more")
    if live.unknown:
        names = ", ".join(live.unknown[:4]) + (" ..." if len(live.unknown) > 4 else "")
        console.say(f"  not counted: {plural(len(live.unknown), 'tensor')} of unknown shape: {names}")
    console.result(cost={
        "shapes": {n: list(s) for n, s in spent.sizes.shapes.items()}, "assumed": dict(spent.sizes.assumed),
        "flops": spent.flops, "bytes": spent.bytes, "unknown_nodes": spent.unknown}, memory={
        "peak": live.peak, "step": live.at, "live": list(live.live), "unknown_tensors": list(live.unknown),
        "alive_at_peak": [{"tensor": n, "bytes": b} for n, b in live.alive]})


def unknown_reasons(found: Overview) -> list[str]:
    """Each reason once, with how often it holds."""
    reasons: dict[str, int] = {}
    for node in found.costs.nodes if found.costs else ():
        if node.flops is None:
            reasons[node.why] = reasons.get(node.why, 0) + 1
    return [f"{count} x {why}" for why, count in reasons.items()][:8]


def nodes(model: Model, found: Overview, sort: str | None, limit: int | None, console: Console) -> None:
    from ...onnx.look.nodes import label
    from ...onnx.look.overview import operator
    from ...onnx.structure.tensors import constant
    rows: list[dict[str, Any]] = []
    for index, node in enumerate(model.nodes):
        spent = found.costs.nodes[index] if found.costs else None
        constants = [t for v in node.inputs if (t := constant(v)) is not None]
        types = found.costs.types if found.costs else {}
        rows.append({"index": index, "name": label(node), "operator": operator(node),
                     "outputs": {v.name: str(types.get(str(v.name), "?")) for v in node.outputs if v.name},
                     "flops": spent.flops if spent else None, "bytes": spent.bytes if spent else None,
                     "params": sum(t.size for t in constants), "way": spent.way if spent else "unknown",
                     "why": spent.why if spent else found.why_not})
    rows = ordered(rows, sort)[:limit]
    total = (found.costs.flops if found.costs else 0) or 1
    table: list[Sequence[str]] = [("", "operator", "name", "makes", "FLOPs", "share", "bytes", "params", "")]
    for row in rows:
        count, moved = row["flops"], row["bytes"]
        table.append((str(row["index"]), row["operator"], short(row["name"], 36),
                      short(next(iter(row["outputs"].values()), ""), 28), "?" if count is None else f"{count:,}",
                      "" if not count else f"{count / total:.1%}", "?" if moved is None else size(moved),
                      f"{row['params']:,}" if row["params"] else "", "" if row["way"] == "compiled" else row["way"]))
    console.say("nodes")
    console.table(table, right=(0, 4, 5, 6, 7))
    console.result(nodes=rows)


def list_weights(found: Overview, sort: str | None, limit: int | None, console: Console) -> None:
    from ...onnx.look.nodes import label
    rows = ordered([{"name": w.name, "type": w.dtype, "shape": list(w.shape), "params": w.tensor.size,
                     "bytes": w.tensor.nbytes, "place": w.place, "storage": w.storage,
                     "readers": [label(n) for n in w.readers]} for w in found.weights], sort)[:limit]
    table: list[Sequence[str]] = [("weight", "type", "shape", "bytes", "stored as", "read by")]
    for row in rows:
        readers = ", ".join(short(r, 30) for r in row["readers"][:2]) + (" ..." if len(row["readers"]) > 2 else "")
        table.append((short(row["name"], 44), row["type"], "x".join(map(str, row["shape"])) or "scalar",
                      size(row["bytes"]), f"{row['place']}, {row['storage']}", readers or "nobody"))
    console.say("weights, one by one")
    console.table(table, right=(3,))
    console.result(weights=rows)


def ordered(rows: list[dict[str, Any]], sort: str | None) -> list[dict[str, Any]]:
    """Largest first by one of SORTS; what is not known comes last."""
    return rows if sort is None else sorted(rows, key=lambda r: -(-1 if r.get(sort) is None else r[sort]))


def picture(live: Sequence[int]) -> str:
    """Bytes over steps as a line of bars; each shows the largest of its steps."""
    columns = min(WIDTH, len(live))
    top = max(live)
    spans = [live[i * len(live) // columns : (i + 1) * len(live) // columns] for i in range(columns)]
    return "".join(BARS[-(-max(s) * (len(BARS) - 1) // top)] for s in spans)


def flops(count: float) -> str:
    for unit in ("", "k", "M", "G"):
        if count < 1000:
            return f"{count:.4g} {unit}FLOP"
        count /= 1000
    return f"{count:.4g} TFLOP"


def plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def short(text: str, width: int) -> str:
    """Names differ at their ends: the middle goes."""
    return text if len(text) <= width else f"{text[: width // 3]}…{text[len(text) - (width - width // 3 - 1):]}"


def wrapped(text: str, width: int) -> list[str]:
    import textwrap
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
