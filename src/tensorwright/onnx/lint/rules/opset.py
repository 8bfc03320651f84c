"""TW313 and TW314: old operator sets and operators that were given up."""

from __future__ import annotations

from collections.abc import Iterator

from ..context import Context, plural, standard
from ..record import Found, Severity, rule

#: Below it Resize, Pad, Clip, Slice and others have forms that newer engines read through a translation, or not at all.
OLD = 11
#: Operators of the standard domain that later versions have no more → what took their place.
GONE = {"Upsample": "Resize (opset 10)", "Scatter": "ScatterElements (opset 11)", "Crop": "Slice",
        "Affine": "Mul and Add", "ImageScaler": "Mul and Add", "ParametricSoftplus": "Softplus and Mul",
        "ScaledTanh": "Tanh and Mul",
        "GivenTensorFill": "Constant", "GRUUnit": "GRU", "ATen": "operators of ONNX", "Scale": "Mul"}


@rule("TW313", "old-opset", Severity.WARNING, "An operator set older than 11", why="""
    Before opset 11 Clip and Pad keep their numbers in attributes, Resize cannot say how it places pixels, and negative
    axes are forbidden in places. Engines translate old models on their way in; Resize is the part that comes out
    wrong most often. TensorRT, OpenVINO and ONNX Runtime's quantisation tools ask for 11 or 13 and newer.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx", dynamo=False, opset_version=9)
    """, good="""
    torch.onnx.export(model, (x,), "model.onnx", opset_version=18)
    """, fixed="""
    Not repaired by `--fix`: `wright onnx opset --to 18` converts operator by operator and says what it cannot convert;
    exporting again with a newer opset is better where you can.
    """)
def old_opset(context: Context) -> Iterator[Found]:
    if 0 < context.model.opset < OLD:
        yield Found(f"the model uses opset {context.model.opset}")


@rule("TW314", "deprecated-operator", Severity.WARNING, "Operators that ONNX has given up", why="""
    An operator that the standard removed works only as long as every tool on the way keeps its old table of operators.
    Upsample, which older exports write for `F.interpolate`, is the common one: it knows no coordinate transformation,
    and runtimes disagree about its pixels.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx", dynamo=False, opset_version=9)     # F.interpolate: Upsample
    """, good="""
    torch.onnx.export(model, (x,), "model.onnx", opset_version=18)                  # F.interpolate: Resize
    """, fixed="""
    `wright onnx opset --to 18` converts the model to an operator set that has its successor.
    """)
def deprecated_operator(context: Context) -> Iterator[Found]:
    import onnx
    for name in sorted({n.op_type for n in context.everywhere if standard(n)}):
        nodes = [n for n in context.everywhere if standard(n, name)]
        try:
            given_up = onnx.defs.get_schema(name, context.model.opset or 1, "").deprecated
        except onnx.defs.SchemaError:                    # TW602 speaks of operators nobody knows
            given_up = name in GONE
        if given_up or name in GONE:
            instead = f"; {GONE[name]} took its place" if name in GONE else ""
            yield Found(f"{plural(len(nodes), 'node')} {'is' if len(nodes) == 1 else 'are'} {name}{instead}", nodes[0],
                        str(nodes[0].outputs[0].name))
