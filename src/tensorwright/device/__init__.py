"""Machines: describing, compiling for, loading into, running on, timing on them."""

from .cpu import Library, assembly, compile, describe, load

__all__ = ["Library", "assembly", "compile", "describe", "load"]
