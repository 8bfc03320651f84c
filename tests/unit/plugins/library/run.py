"""Plugins of the library, called as a network calls them: attributes checked, results held to the shape rule."""

from typing import Any

import numpy as np

from tensorwright.dtypes import DType
from tensorwright.ir import TensorType
from tensorwright.plugins import registry, use


def run(name: str, *arrays: np.ndarray, version: str = "1", **attributes: Any) -> Any:
    definition = registry.require(name, version)
    types = tuple(TensorType(a.shape, DType.of(a)) for a in arrays)
    for a in arrays:
        a.setflags(write=False)
    return use(definition, attributes, types).reference(*arrays)
