"""What plugins are told about their tensors: with concrete shapes, and with the ranges of a profile."""

from __future__ import annotations

from typing import Any

from ..enums import DataType, TensorFormat
from ..foundation import Closed, Dims, Shape


class _Sizes:
    """An attribute that is a Dims, whatever sequence is assigned."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self if obj is None else getattr(obj, self.name)

    def __set__(self, obj: Any, value: Shape) -> None:
        setattr(obj, self.name, value if isinstance(value, Dims) else Dims(value))


class PluginTensorDesc(Closed):
    """A tensor of concrete shape: dims, type, format, and the scale of INT8 elements."""

    dims = _Sizes()
    type: DataType = DataType.FLOAT
    format: TensorFormat = TensorFormat.LINEAR
    scale = 0.0

    def __init__(self) -> None:
        self.dims = Dims()
        self._closed = True

    def __repr__(self) -> str:
        return f"<PluginTensorDesc {self.type} {self.dims} {self.format}>"


class DynamicPluginTensorDesc(Closed):
    """A tensor of a profile: `desc` with -1 for sizes that only run time knows; its smallest, usual, largest shape."""

    min, opt, max = _Sizes(), _Sizes(), _Sizes()

    def __init__(self) -> None:
        self._desc = self._class(PluginTensorDesc)()
        self.min, self.opt, self.max = Dims(), Dims(), Dims()
        self._closed = True

    @property
    def desc(self) -> PluginTensorDesc:
        return self._desc

    @desc.setter
    def desc(self, value: PluginTensorDesc) -> None:
        if not isinstance(value, PluginTensorDesc):
            raise TypeError(f"desc is a PluginTensorDesc, not {type(value).__name__}")
        self._desc = value

    def __repr__(self) -> str:
        return f"<DynamicPluginTensorDesc {self.desc} of {self.min} to {self.max}>"
