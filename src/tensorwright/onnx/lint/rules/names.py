"""TW309 and TW310: names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from ...rewire import Names
from ...structure.rename import rename_nodes
from ..context import Context, plural
from ..record import Found, Severity, rule

#: What exporters call a tensor that nobody named.
GENERATED = re.compile(r"\d+|onnx::\w+|input\.\d+|val_\d+|(.*/)?\w+_output_\d+")


@rule("TW309", "generated-names", Severity.WARNING, "Inputs or outputs without a name of their own", why="""
    `input.1` and `495` are counters of the exporter: with the next version of PyTorch or one more layer they are
    others, and every program that feeds the engine by name breaks. A build configuration that gives shape ranges by
    name breaks too.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx")
    """, good="""
    torch.onnx.export(model, (x,), "model.onnx", input_names=["image"], output_names=["scores"])
    """, fixed="""
    Names of inputs and outputs are the model's interface: choose them, `wright onnx rename model.onnx 495 scores -o
    named.onnx`.
    """)
def generated_names(context: Context) -> Iterator[Found]:
    for kind, values in (("input", context.model.inputs), ("output", context.model.outputs)):
        for value in values:
            if GENERATED.fullmatch(str(value.name)):
                yield Found(f"the {kind} is called {value.name!r}, a number of the exporter's",
                            value.producer() or next(iter(value.consumers()), None), str(value.name))


@rule("TW310", "unnamed-nodes", Severity.INFO, "Nodes without names, or with the same name", why="""
    Profiles, error messages, precision settings per layer and calibration files name nodes. A node without a name
    gets one from its place in the file, which the next export changes; two nodes of one name cannot be told apart.
    """, bad="""
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    """, good="""
    node = onnx.helper.make_node("Relu", ["x"], ["y"], name="stem/relu")
    """, fixed="""
    Nodes are named after the tensor they make. The first of several of one name keeps it.
    """, fixes=True)
def unnamed_nodes(context: Context) -> Iterator[Found]:
    seen: set[str] = set()
    nameless = [n for n in context.everywhere if n.op_type != "Constant" and not n.name]
    doubled = []
    for node in context.everywhere:
        if node.name and node.name in seen:
            doubled.append(node)
        seen.add(node.name or "")
    for nodes, what in ((nameless, "no name"), (doubled, "the name of another node")):
        if nodes:
            yield Found(f"{plural(len(nodes), 'node')} {'has' if len(nodes) == 1 else 'have'} {what}, the first is a "
                        f"{nodes[0].op_type}", nodes[0], str(nodes[0].outputs[0].name), partial(name, context, nodes))


def name(context: Context, nodes: list[Any]) -> bool:
    names, still = Names(context.model), set(context.model.all_nodes())       # others may have gone since
    rename_nodes(context.model, {n: names.fresh(f"{n.op_type}_{n.outputs[0].name}") for n in nodes if n in still})
    return True
