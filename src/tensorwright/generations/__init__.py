"""TensorRT's Python API as single generations have it: v5, v6, v7, v8, v10 and v11.

    from tensorwright.generations import v8 as trt        # get_binding_shape, BuilderFlag.STRICT_TYPES, no STRIP_PLAN

Each module has the names, the enumeration integers and a `__version__` of its generation and nothing else, so that
scripts that probe with hasattr or compare versions take the branch written for it. Classes are subclasses of those in
`tensorwright.trt`, where all the work is done; what the objects of a generation make is of that generation too.
"""
