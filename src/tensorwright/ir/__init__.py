"""Frozen records of a network: types, operators, layers, values."""

from .network import Layer, Network, NetworkEditor
from .op import Cost, Op
from .types import OpaqueType, TensorType, ValueType

__all__ = ["Cost", "Layer", "Network", "NetworkEditor", "Op", "OpaqueType", "TensorType", "ValueType"]
