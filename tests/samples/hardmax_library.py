"""A plugin library: what registry.load_library runs in place of a compiled one."""

import numpy as np

import tensorwright


@tensorwright.custom_op("CustomHardmax", version="1")
def hardmax(x: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """1 where an element is the first largest along an axis, else 0."""
    y = np.zeros_like(x)
    np.put_along_axis(y, np.expand_dims(x.argmax(axis), axis), 1, axis)
    return y
