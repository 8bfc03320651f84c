"""The rules: one file per rule, or per few rules about the same thing. Importing this package registers them all."""

from ..record import RULES
from . import (
    casts,
    constant_batch,
    control_flow,
    dynamic_axes,
    expand,
    float64,
    foldable,
    high_rank,
    host_steps,
    identities,
    int64,
    names,
    numbers,
    opset,
    outputs,
    quantisation,
    resize,
    shape_arithmetic,
    slice_assignment,
    training,
    transposes,
    unused,
    validity,
)

__all__ = ["COUNT", "casts", "constant_batch", "control_flow", "dynamic_axes", "expand", "float64", "foldable",
           "high_rank", "host_steps", "identities", "int64", "names", "numbers", "opset", "outputs", "quantisation",
           "resize", "shape_arithmetic", "slice_assignment", "training", "transposes", "unused", "validity"]

#: How many rules there are.
COUNT = len(RULES)
