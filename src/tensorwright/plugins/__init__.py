"""Plugins: operators that users define. See docs/plugins.md."""

from .attributes import REQUIRED, Attribute
from .decorator import custom_op
from .definition import Definition, Output, UpTo, like_first
from .op import Plugin, use
from .registry import every, find, register, require, split, unregister, versions

__all__ = ["REQUIRED", "Attribute", "Definition", "Output", "Plugin", "UpTo", "custom_op", "every", "find",
           "like_first", "register", "require", "split", "unregister", "use", "versions"]
