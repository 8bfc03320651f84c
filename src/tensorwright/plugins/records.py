"""The classes that may appear in a plan: our operators, and the one that stands for plugins."""

from ..ops import registry as operators
from .attributes import Array
from .op import Plugin

#: name → class: what ir.codec may write and read.
REGISTRY: dict[str, type] = {**operators.REGISTRY, "Plugin": Plugin, "Array": Array}
