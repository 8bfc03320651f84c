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
    "Model": "model", "load": "storage", "save": "storage",
    "check": "check", "infer": "check", "problem": "check",
    "edit": "edit", "editing": "edit", "settle_later": "edit",
    "append": "merge", "merge": "merge", "prepend": "merge",
    "get_weight": "structure.weights", "set_weight": "structure.weights", "weights": "structure.weights",
    "delete_attribute": "structure.attributes", "get_attribute": "structure.attributes",
    "get_attributes": "structure.attributes", "set_attribute": "structure.attributes",
    "rename_by": "structure.rename", "rename_node": "structure.rename", "rename_nodes": "structure.rename",
    "rename_tensor": "structure.rename", "rename_tensors": "structure.rename",
    "Removed": "structure.unused", "remove_inputs": "structure.unused", "remove_unused": "structure.unused",
    "consumers": "structure.walk", "downstream": "structure.walk", "producers": "structure.walk",
    "upstream": "structure.walk",
    "Costs": "look.cost", "Memory": "look.memory", "Overview": "look.overview", "Statistics": "look.statistics",
    "costs": "look.cost", "describe": "look.nodes", "memory": "look.memory", "overview": "look.overview",
    "statistics": "look.statistics",
    "Folded": "fold", "fold": "fold",
    "Simplified": "simplify", "simplify": "simplify",
    "merge_transposes": "noops", "remove_casts": "noops", "remove_identity": "noops", "remove_reshapes": "noops",
    "remove_slices": "noops",
    "deduplicate": "duplicates", "merge_duplicates": "duplicates", "merge_initialisers": "duplicates",
    "constant_shapes": "reshapes",
    "clean_names": "clean",
    "Redimensioned": "dimensions", "set_batch": "dimensions", "set_dims": "dimensions",
    "Finding": "lint.record", "Severity": "lint.record", "explain": "lint.page", "fix": "lint.run", "lint": "lint.run",
}

if TYPE_CHECKING:
    from .check import check, infer, problem
    from .clean import clean_names
    from .dimensions import Redimensioned, set_batch, set_dims
    from .duplicates import deduplicate, merge_duplicates, merge_initialisers
    from .edit import edit, editing, settle_later
    from .fold import Folded, fold
    from .lint.page import explain
    from .lint.record import Finding, Severity
    from .lint.run import fix, lint
    from .look.cost import Costs, costs
    from .look.memory import Memory, memory
    from .look.nodes import describe
    from .look.overview import Overview, overview
    from .look.statistics import Statistics, statistics
    from .merge import append, merge, prepend
    from .model import Model
    from .noops import merge_transposes, remove_casts, remove_identity, remove_reshapes, remove_slices
    from .reshapes import constant_shapes
    from .simplify import Simplified, simplify
    from .storage import load, save
    from .structure.attributes import delete_attribute, get_attribute, get_attributes, set_attribute
    from .structure.rename import rename_by, rename_node, rename_nodes, rename_tensor, rename_tensors
    from .structure.unused import Removed, remove_inputs, remove_unused
    from .structure.walk import consumers, downstream, producers, upstream
    from .structure.weights import get_weight, set_weight, weights

__all__ = ["Costs", "Finding", "Folded", "Memory", "Model", "Overview", "Redimensioned", "Removed", "Severity",
           "Simplified", "Statistics", "append", "check", "clean_names", "constant_shapes", "consumers", "costs",
           "deduplicate", "delete_attribute", "describe", "downstream", "edit", "editing", "explain", "fix", "fold",
           "get_attribute", "get_attributes", "get_weight", "infer", "lint", "load", "memory", "merge",
           "merge_duplicates", "merge_initialisers", "merge_transposes", "overview", "prepend", "problem", "producers",
           "remove_casts", "remove_identity", "remove_inputs", "remove_reshapes", "remove_slices", "remove_unused",
           "rename_by", "rename_node", "rename_nodes", "rename_tensor", "rename_tensors", "save", "set_attribute",
           "set_batch", "set_dims", "set_weight", "settle_later", "simplify", "statistics", "upstream", "weights"]


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
