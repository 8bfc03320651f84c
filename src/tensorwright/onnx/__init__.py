"""The ONNX toolkit: look at models, edit, check, merge and export them.

    from tensorwright import onnx

    model = onnx.load("model.onnx")
    onnx.save(model, "new.onnx")

Every function takes a `Model`, whatever its size; weights are mapped and not copied. Functions that change a model
leave it valid or raise ModelError and leave it as it was. Names are looked up when they are first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

#: Public name → the module that defines it.
_HOME = {
    "check": "check", "infer": "check", "problem": "check",
    "clean_names": "clean",
    "Redimensioned": "dimensions", "set_batch": "dimensions", "set_dims": "dimensions",
    "deduplicate": "duplicates", "merge_duplicates": "duplicates", "merge_initialisers": "duplicates",
    "edit": "edit", "editing": "edit", "settle_later": "edit",
    "Folded": "fold", "fold": "fold",
    "explain": "lint.page",
    "Finding": "lint.record", "Severity": "lint.record",
    "fix": "lint.run", "lint": "lint.run",
    "Costs": "look.cost", "costs": "look.cost",
    "Diff": "look.diff", "diff": "look.diff",
    "Fusion": "look.fusion", "fusion": "look.fusion",
    "Memory": "look.memory", "memory": "look.memory",
    "describe": "look.nodes",
    "Overview": "look.overview", "overview": "look.overview",
    "Statistics": "look.statistics", "statistics": "look.statistics",
    "convert": "convert",
    "append": "merge", "merge": "merge", "prepend": "merge",
    "Model": "model",
    "merge_transposes": "noops", "remove_casts": "noops", "remove_identity": "noops", "remove_reshapes": "noops",
    "remove_slices": "noops",
    "Match": "pattern.match", "find_pattern": "pattern.match",
    "Replaced": "pattern.replace", "replace_node": "pattern.replace", "replace_pattern": "pattern.replace",
    "constant_shapes": "reshapes",
    "Simplified": "simplify", "simplify": "simplify",
    "load": "storage", "save": "storage",
    "delete_attribute": "structure.attributes", "get_attribute": "structure.attributes",
    "get_attributes": "structure.attributes", "set_attribute": "structure.attributes",
    "Builder": "structure.build",
    "add_node": "structure.insert", "add_weight": "structure.insert", "insert_after": "structure.insert",
    "insert_before": "structure.insert", "insert_between": "structure.insert",
    "delete_node": "structure.nodes", "delete_nodes": "structure.nodes", "replace_tensor": "structure.nodes",
    "set_input": "structure.nodes",
    "add_output": "structure.outputs", "extract": "structure.outputs", "remove_output": "structure.outputs",
    "reorder_outputs": "structure.outputs",
    "rename_by": "structure.rename", "rename_node": "structure.rename", "rename_nodes": "structure.rename",
    "rename_tensor": "structure.rename", "rename_tensors": "structure.rename",
    "Removed": "structure.unused", "remove_inputs": "structure.unused", "remove_unused": "structure.unused",
    "consumers": "structure.walk", "downstream": "structure.walk", "producers": "structure.walk",
    "upstream": "structure.walk",
    "get_weight": "structure.weights", "set_weight": "structure.weights", "weights": "structure.weights",
    "Converted": "precision", "remove_doubles": "precision", "set_precision": "precision",
    "narrow_integers": "integers",
    "set_layout": "boundary", "set_type": "boundary",
    "set_ir_version": "versions", "set_opset": "versions",
    "save_page": "view.page",
}

if TYPE_CHECKING:
    from .boundary import set_layout, set_type
    from .check import check, infer, problem
    from .clean import clean_names
    from .convert import convert
    from .dimensions import Redimensioned, set_batch, set_dims
    from .duplicates import deduplicate, merge_duplicates, merge_initialisers
    from .edit import edit, editing, settle_later
    from .fold import Folded, fold
    from .integers import narrow_integers
    from .lint.page import explain
    from .lint.record import Finding, Severity
    from .lint.run import fix, lint
    from .look.cost import Costs, costs
    from .look.diff import Diff, diff
    from .look.fusion import Fusion, fusion
    from .look.memory import Memory, memory
    from .look.nodes import describe
    from .look.overview import Overview, overview
    from .look.statistics import Statistics, statistics
    from .merge import append, merge, prepend
    from .model import Model
    from .noops import merge_transposes, remove_casts, remove_identity, remove_reshapes, remove_slices
    from .pattern.match import Match, find_pattern
    from .pattern.replace import Replaced, replace_node, replace_pattern
    from .precision import Converted, remove_doubles, set_precision
    from .reshapes import constant_shapes
    from .simplify import Simplified, simplify
    from .storage import load, save
    from .structure.attributes import delete_attribute, get_attribute, get_attributes, set_attribute
    from .structure.build import Builder
    from .structure.insert import add_node, add_weight, insert_after, insert_before, insert_between
    from .structure.nodes import delete_node, delete_nodes, replace_tensor, set_input
    from .structure.outputs import add_output, extract, remove_output, reorder_outputs
    from .structure.rename import rename_by, rename_node, rename_nodes, rename_tensor, rename_tensors
    from .structure.unused import Removed, remove_inputs, remove_unused
    from .structure.walk import consumers, downstream, producers, upstream
    from .structure.weights import get_weight, set_weight, weights
    from .versions import set_ir_version, set_opset
    from .view.page import save_page

__all__ = ["Builder", "Converted", "Costs", "Diff", "Finding", "Folded", "Fusion", "Match", "Memory", "Model",
           "Overview", "Redimensioned", "Removed", "Replaced", "Severity", "Simplified", "Statistics", "add_node",
           "add_output", "add_weight", "append", "check", "clean_names", "constant_shapes", "consumers", "convert",
           "costs", "deduplicate", "delete_attribute", "delete_node", "delete_nodes", "describe", "diff", "downstream",
           "edit", "editing", "explain", "extract", "find_pattern", "fix", "fold", "fusion", "get_attribute",
           "get_attributes", "get_weight", "infer", "insert_after", "insert_before", "insert_between", "lint", "load",
           "memory", "merge", "merge_duplicates", "merge_initialisers", "merge_transposes", "narrow_integers",
           "overview", "prepend", "problem", "producers", "remove_casts", "remove_doubles", "remove_identity",
           "remove_inputs", "remove_output", "remove_reshapes", "remove_slices", "remove_unused", "rename_by",
           "rename_node", "rename_nodes", "rename_tensor", "rename_tensors", "reorder_outputs", "replace_node",
           "replace_pattern", "replace_tensor", "save", "save_page", "set_attribute", "set_batch", "set_dims",
           "set_input", "set_ir_version", "set_layout", "set_opset", "set_precision", "set_type", "set_weight",
           "settle_later", "simplify", "statistics", "upstream", "weights"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Python makes an imported submodule an attribute of its package: `check` stays the function, not its module."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
