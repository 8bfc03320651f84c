"""Enumerations: plugins, their fields and phases."""

from __future__ import annotations

from .choice import Choice, OrderedChoice


class APILanguage(Choice):
    """Language a plugin is written in."""

    CPP = 0
    PYTHON = 1


class DimensionOperation(OrderedChoice):
    """Arithmetic on dimensions in a plugin's shape rule."""

    SUM = 0
    PROD = 1
    MAX = 2
    MIN = 3
    SUB = 4
    EQUAL = 5
    LESS = 6
    FLOOR_DIV = 7
    CEIL_DIV = 8


class FieldType(Choice):
    """Element type of a FieldMap of a plugin for Caffe or UFF."""

    FLOAT = 0
    INT32 = 1
    CHAR = 2
    DIMS = 4
    DATATYPE = 5
    UNKNOWN = 6


class PluginArgDataType(OrderedChoice):
    """Element type of a scalar argument of a compiled plugin."""

    INT8 = 0
    INT16 = 1
    INT32 = 2


class PluginArgType(OrderedChoice):
    """Kind of a scalar argument of a compiled plugin."""

    INT = 0


class PluginCapabilityType(OrderedChoice):
    """Parts of a plugin of version 3."""

    CORE = 0
    BUILD = 1
    RUNTIME = 2


class PluginCreatorVersion(Choice):
    """Interface a plugin creator has."""

    V1 = 0
    V1_PYTHON = 1


class PluginFieldType(Choice):
    """Element type of a PluginField."""

    FLOAT16 = 0
    FLOAT32 = 1
    FLOAT64 = 2
    INT8 = 3
    INT16 = 4
    INT32 = 5
    CHAR = 6
    DIMS = 7
    UNKNOWN = 8
    BF16 = 9
    INT64 = 10
    FP8 = 11
    INT4 = 12
    FP4 = 13


class QuickPluginCreationRequest(OrderedChoice):
    """Which of its two forms a decorated plugin takes."""

    UNKNOWN = 0
    PREFER_JIT = 1
    PREFER_AOT = 2
    STRICT_JIT = 3
    STRICT_AOT = 4


class TensorRTPhase(OrderedChoice):
    """Whether a plugin is made for building or for running."""

    BUILD = 0
    RUNTIME = 1
