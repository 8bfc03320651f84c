"""All nodes of a model that cannot be imported, not the first one only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, TensorwrightError, UnsupportedError
from ..plugins.nodes import plugin_of
from .expand import schema_of
from .graph import DEEPEST, STANDARD, Frame, GraphImporter, opset_versions
from .host import captured_names
from .inputs import input_types
from .source import ModelSource, load_model
from .values import Value

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Fault:
    """Why a node cannot be imported.

    node      its index in the model's graph; -1 when it is the model that is wrong, not a node
    operator, name   of the node at fault, which may be one of a function that node calls
    stack     functions around the node at fault, the outermost first
    """

    error: TensorwrightError
    node: int = -1
    operator: str = ""
    name: str = ""
    stack: tuple[str, ...] = ()


@dataclass
class Survey:
    """What became of the nodes of a model's graph, by index.

    faults     those that cannot be imported, in order
    uncertain  those of which only the operator was looked at: they read what a faulty node would have computed, and the
               model does not say what type that has
    """

    count: int = 0
    faults: list[Fault] = field(default_factory=list)
    uncertain: set[int] = field(default_factory=set)

    def groups(self) -> list[tuple[list[int], bool]]:
        """Runs of nodes without faults; True for those that are certain to be importable."""
        faulty, found, new = {f.node for f in self.faults}, list[tuple[list[int], bool]](), True
        for index in range(self.count):
            if index in faulty:
                new = True
                continue
            if new:
                found.append(([], True))
                new = False
            nodes, certain = found[-1]
            nodes.append(index)
            found[-1] = nodes, certain and index not in self.uncertain
        return found


def survey(model: str | os.PathLike[str] | bytes | Any, base_dir: str | os.PathLike[str] | None = None,
           plugins_first: bool = False, values_are_sizes: bool = False) -> Survey:
    """Try every node of an ONNX model, with the meaning that `importer.load` gives these parameters. Behind a faulty
    node, types are those that the model declares."""
    from . import families
    assert families.COUNT, "no lowering is registered"
    try:
        source = load_model(model, base_dir)
    except TensorwrightError as error:
        return Survey(faults=[Fault(error)])
    surveyor = Surveyor(source, plugins_first)
    found = surveyor.found
    try:
        surveyor.network({}, values_are_sizes)
    except TensorwrightError as error:
        if not found.faults:
            found.faults.append(surveyor.fault(error, -1))
    except Exception as error:                            # a model is untrusted: what it makes fail is its own fault
        if not found.faults:
            found.faults.append(Fault(ModelError(f"the model is inconsistent: {type(error).__name__}: {error}",
                                                 at=source.label)))
    return found


class Surveyor(GraphImporter):
    """An importer that goes on after a node that it cannot import."""

    def __init__(self, source: ModelSource, plugins_first: bool = False) -> None:
        super().__init__(source, plugins_first)
        graph = self.proto.graph
        self.found = Survey(len(graph.node))
        self.declared = {v.name: v for v in (*graph.value_info, *graph.output)}
        self.lost: set[str] = set()                       # values of unknown type

    def nodes(self, nodes: Iterable[onnx.NodeProto], frame: Frame) -> None:
        if frame.depth:
            super().nodes(nodes, frame)
            return
        for index, proto in enumerate(nodes):
            try:
                if self.lost.intersection((*proto.input, *captured_names(proto))):
                    self.found.uncertain.add(index)
                    self.check_operator(proto, frame.opsets)
                    self.replace_outputs(proto, frame)
                else:
                    self.node(proto, index, frame)
            except (TensorwrightError, RecursionError) as error:
                if not isinstance(error, TensorwrightError):
                    error = ModelError("subgraphs are nested too deeply")
                what = f"{proto.op_type} {proto.name or f'{proto.op_type}_{index}'!r}"
                self.found.faults.append(self.fault(error if what in error.at else error.located(what), index))
                self.replace_outputs(proto, frame)

    def check_operator(self, proto: onnx.NodeProto, opsets: Mapping[str, int], depth: int = 0) -> None:
        """UnsupportedError when the operator, or one in the function it stands for, is unknown."""
        where = f"{proto.op_type} {proto.name or proto.op_type!r}"
        if depth > DEEPEST:
            raise ModelError(f"functions are nested more than {DEEPEST} deep", at=where)
        if function := self.function(proto):
            for inner in function.node:
                try:
                    self.check_operator(inner, opset_versions(function.opset_import), depth + 1)
                except TensorwrightError as error:
                    raise error.located(where) if depth else error from None
            return
        if plugin_of(proto, self.source.array) is not None:
            return
        domain = "" if proto.domain in STANDARD else proto.domain
        version = opsets.get(proto.domain, opsets.get("", opsets.get("ai.onnx", 1)))
        if schema_of(proto.op_type, version, domain) is None:
            raise UnsupportedError(f"operator {proto.op_type} is not in version {version} of domain "
                                   f"{domain or 'ai.onnx'!r}", at=where if depth else None)

    def replace_outputs(self, proto: onnx.NodeProto, frame: Frame) -> None:
        """Give a node's outputs the types that the model declares; the others are lost."""
        for name in proto.output:
            info = self.declared.get(name)
            if not name or name in frame.scope:
                continue
            if info is None or not info.type.WhichOneof("value"):
                self.lost.add(name)
                continue
            t = input_types([info], {})[name]
            frame.scope[name] = Value(t, self.editor.input(f"{name} (declared)", t), hint=name)

    def fault(self, error: TensorwrightError, index: int) -> Fault:
        """The innermost node that an error speaks of, and the functions around it."""
        nodes = [m for m in (re.fullmatch(r"(\S+) '(.*)'", place) for place in error.at) if m]
        stack = tuple(m[1] for m in nodes[:-1] if any(m[1] == name for _, name, _ in self.functions))
        operator, name = (nodes[-1][1], nodes[-1][2]) if nodes and index >= 0 else ("", "")
        if index >= 0:
            error.located(f"{self.source.label}, node {index}")
        return Fault(error, index, operator, name, stack)
