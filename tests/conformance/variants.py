"""The same cases as exporters write them: parameters as constants, and dimensions left open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from .cases import Case

#: Formal inputs that are parameters rather than data.
PARAMETERS = {"axes", "axis", "shape", "starts", "ends", "steps", "repeats", "pads", "constant_value", "split", "sizes",
              "scales", "roi", "K", "k", "depth", "start", "limit", "delta", "M", "cond", "training_mode", "ratio",
              "size", "output_shape", "image_shape", "block_shape", "dft_length", "frame_step", "frame_length",
              "y_zero_point", "x_zero_point", "target_shape", "shape_input", "tile", "num_classes",
              "max_output_boxes_per_class", "min", "max", "x_scale", "y_scale"}


def with_constants(case: Case) -> Case | None:
    """Parameters of the nodes as initializers; None when no input is one."""
    names = _parameter_inputs(case.model)
    if not names or len(case.data_sets) != 1:
        return None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, expected = case.data_sets[0]
    kept_infos, kept = [], []
    for info, value in zip(case.model.graph.input, inputs, strict=False):
        if info.name in names and isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "iufb":
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), info.name))
        else:
            kept_infos.append(info)
            kept.append(value)
    if len(kept) == len(inputs):
        return None
    del model.graph.input[:]
    model.graph.input.extend(kept_infos)
    model.ir_version = max(model.ir_version, 4)
    return replace(case, model=model, data_sets=[(kept, expected)])


def _parameter_inputs(model: onnx.ModelProto) -> set[str]:
    """Graph inputs that only feed parameters."""
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    parameters: set[str] = set()
    data: set[str] = set()
    for node in model.graph.node:
        try:
            formal = [i.name for i in onnx.defs.get_schema(node.op_type, opset, node.domain).inputs]
        except Exception:
            formal = []
        formal += formal[-1:] * (len(node.input) - len(formal))
        for name, kind in zip(node.input, formal or [""] * len(node.input), strict=False):
            (parameters if kind in PARAMETERS else data).add(name)
    return parameters - data


def with_symbols(case: Case) -> Case | None:
    """Every dimension of every tensor input left open; None when there is none."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    stored = {t.name for t in model.graph.initializer}
    changed = False
    for info in model.graph.input:
        if info.name not in stored and info.type.HasField("tensor_type"):
            for d in info.type.tensor_type.shape.dim:
                d.Clear()
                changed = True
    return replace(case, model=model) if changed else None


