"""What an engine executes, as data: records, their file, their checks, their table for people."""

from .keys import why_rebuild
from .records import Buffer, HostStep, Kernel, Launch, LayerInfo, Plan, Profile, Program, TensorInfo, View

__all__ = [
           "Buffer",
           "HostStep",
           "Kernel",
           "Launch",
           "LayerInfo",
           "Plan",
           "Profile",
           "Program",
           "TensorInfo",
           "View",
           "why_rebuild",
]
