"""Enumerations: what tensors are and where they lie."""

from __future__ import annotations

from .choice import Choice, OrderedChoice


class DataType(Choice):
    """Element type of a tensor. `itemsize` is bytes per element (0.5 for 4-bit types). From 100 on: ours alone."""

    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8
    INT4 = 9
    FP4 = 10
    E8M0 = 11
    DOUBLE = 100
    INT16 = 101
    UINT16 = 102
    UINT32 = 103
    UINT64 = 104

    @property
    def itemsize(self) -> float:
        return {"HALF": 2, "BF16": 2, "INT64": 8, "FLOAT": 4, "INT32": 4, "INT4": 0.5, "FP4": 0.5, "DOUBLE": 8,
                "INT16": 2, "UINT16": 2, "UINT32": 4, "UINT64": 8}.get(self.name, 1)


class DimensionType(Choice):
    """What a dimension stands for."""

    SPATIAL = 0
    CHANNEL = 1
    INDEX = 2
    SEQUENCE = 3


class TensorFormat(OrderedChoice):
    """Layout of a tensor of the engine. This version has LINEAR only."""

    LINEAR = 0
    CHW2 = 1
    HWC8 = 2
    CHW4 = 3
    CHW16 = 4
    CHW32 = 5
    DHWC8 = 6
    CDHW32 = 7
    HWC = 8
    DLA_LINEAR = 9
    DLA_HWC4 = 10
    HWC16 = 11
    DHWC = 12


class TensorIOMode(Choice):
    """Whether a tensor is an input or an output of the engine."""

    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(Choice):
    """Where a tensor lies. On the CPU, device memory is host memory."""

    DEVICE = 0
    HOST = 1


class PluginFormat(Choice):
    """Layouts, as plugins of generations 5 to 7 name them."""

    NCHW = 0
    NC2HW2 = 1
    NHWC8 = 2


class BoundingBoxFormat(Choice):
    """Corners (x1, y1, x2, y2), or centre and size (x, y, w, h)."""

    CORNER_PAIRS = 0
    CENTER_SIZES = 1
