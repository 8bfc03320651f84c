"""TW105: Resize told by sizes what integer scales say."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...reshapes import whole_scales
from ...rewire import drop
from ..context import Context, integers, operand, standard, text
from ..record import Found, Severity, rule
from .targets import write

if TYPE_CHECKING:
    import onnx_ir


@rule("TW105", "resize-sizes", Severity.WARNING, "Resize with sizes where integer scales say the same", why="""
    A Resize by integer scales is a pattern of copies or fixed weights that engines have kernels for, whatever the size
    of the input. With sizes, the scale must be worked out from shapes, and the sizes themselves are usually glued
    together from Shape, Slice and Concat so that batch and channels pass through. `F.interpolate(size=...)` exports so.
    """, bad="""
    x = F.interpolate(x, size=(x.shape[2] * 2, x.shape[3] * 2))
    """, good="""
    x = F.interpolate(x, scale_factor=2.0)
    """, fixed="""
    The sizes are replaced by scales where every output dimension is a whole multiple of the input's, for all sizes
    of dynamic axes; the nodes that computed the sizes go. Both forms put the same pixels in the same places then.
    """, fixes=True)
def resize_sizes(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        sizes = operand(node, 3)
        if not standard(node, "Resize") or sizes is None or node.inputs[0] is None:
            continue
        if text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" or \
                text(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
            continue
        shape, content = context.shape(node.inputs[0]), context.content(sizes)
        if shape is None or content is None:
            continue
        axes = integers(node, "axes") or tuple(range(len(shape)))
        scales = whole_scales(list(content.reshape(-1)), [shape[a] for a in axes])
        if scales is None:
            continue
        yield Found(f"sizes ({', '.join(map(str, content.reshape(-1)))}) are {list(map(int, scales))} times the "
                    f"input's ({', '.join(str(shape[a]) for a in axes)})", node, str(node.outputs[0].name),
                    partial(by_scales, context, node, scales), [node])


def by_scales(context: Context, node: onnx_ir.Node, scales: list[float]) -> bool:
    sizes = node.inputs[3]
    assert sizes is not None
    node.resize_inputs(3)
    write(context, node, 2, np.array(scales, np.float32), "scales")
    drop(context.model, sizes)
    return True
