"""Plugins: operators that users define. See docs/plugins.md."""

from . import bodies as bodies
from .attributes import REQUIRED, Attribute
from .decorator import custom_op
from .definition import Definition, Output, UpTo, like_first
from .graph import expansion, ops
from .loading import load
from .native import from_address
from .op import Plugin, use
from .registry import every, find, overrides, register, require, split, unregister, versions

__all__ = ["REQUIRED", "Attribute", "Definition", "Output", "Plugin", "UpTo", "custom_op", "every",
           "expansion", "find", "from_address", "like_first", "load", "ops", "overrides", "register", "require",
           "split", "unregister", "use", "versions"]
