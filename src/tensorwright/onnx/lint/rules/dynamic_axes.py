"""TW103: inputs with more dynamic axes than they need."""

from __future__ import annotations

from collections.abc import Iterator

from ..context import Context
from ..record import Found, Severity, rule

#: Axes of an input, the first aside, that may be dynamic without a word: one for the length of a sequence.
USUAL = 1


@rule("TW103", "dynamic-axes", Severity.WARNING, "An input with several dynamic axes besides the batch", why="""
    A dynamic axis is paid for at every size: kernels cannot be chosen for one shape, paddings and tile counts are
    computed at run time, memory is planned for the largest case, and an engine needs a range (smallest, usual,
    largest) for each. Exports often leave height and width dynamic, though the application resizes every image to the
    same size. One dynamic axis besides the batch, the length of a sequence say, is not reported.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx", input_names=["image"],
                      dynamic_axes={"image": {0: "batch", 2: "height", 3: "width"}})
    """, good="""
    torch.onnx.export(model, (x,), "model.onnx", input_names=["image"],
                      dynamic_axes={"image": {0: "batch"}})
    """, fixed="""
    Which sizes the application needs is not in the file. Set them: `wright onnx dims model.onnx -o fixed.onnx
    --input image=batch,3,640,640`, or give the ranges when building: `wright build --shapes image=1x3x640x640`.
    """)
def dynamic_axes(context: Context) -> Iterator[Found]:
    for value in context.model.inputs:
        if value.shape is None:
            yield Found(f"input {value.name!r} has no shape at all: not even its number of axes is known",
                        next(iter(value.consumers()), None), str(value.name))
            continue
        axes = [f"{i} ({d.value or 'unnamed'})" for i, d in enumerate(value.shape) if i and not isinstance(d, int)]
        if len(axes) > USUAL:
            yield Found(f"input {value.name!r} has {len(axes)} dynamic axes besides the first: {', '.join(axes)}",
                        next(iter(value.consumers()), None), str(value.name))
