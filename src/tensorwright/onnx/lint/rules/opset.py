"""TW002 and TW003: old operator sets and operators that were given up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ....errors import TensorwrightError
from ...model import Model
from ...versions import set_opset
from ..context import Context, plural, standard
from ..record import Found, Severity, rule
from ..run import interface

#: Below it Resize, Pad, Clip, Slice and others have forms that newer engines read through a translation, or not at all.
OLD = 11
#: What old models are converted to: all that engines ask for, and few operators differ from 11.
GOOD = 13
#: Operators of the standard domain that later versions have no more → what took their place.
GONE = {"Upsample": "Resize (opset 10)", "Scatter": "ScatterElements (opset 11)", "Crop": "Slice",
        "Affine": "Mul and Add", "ImageScaler": "Mul and Add", "ParametricSoftplus": "Softplus and Mul",
        "ScaledTanh": "Tanh and Mul",
        "GivenTensorFill": "Constant", "GRUUnit": "GRU", "ATen": "operators of ONNX", "Scale": "Mul"}


@rule("TW002", "old-opset", Severity.WARNING, "An operator set older than 11", why="""
    Before opset 11 Clip and Pad keep their numbers in attributes, Resize cannot say how it places pixels, and negative
    axes are forbidden in places. Engines translate old models on their way in; Resize is the part that comes out
    wrong most often. TensorRT, OpenVINO and ONNX Runtime's quantisation tools ask for 11 or 13 and newer.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx", dynamo=False, opset_version=9)
    """, good="""
    torch.onnx.export(model, (x,), "model.onnx", opset_version=18)
    """, fixed="""
    The model is converted to opset 13, by onnx's converter; where that cannot convert a node, the finding says so.
    Later ones: `wright onnx opset --to 18`. Exporting again with a newer opset is better where you can.
    """, fixes=True)
def old_opset(context: Context) -> Iterator[Found]:
    if not 0 < context.model.opset < OLD:
        return
    trial, why = context.model.clone(), ""
    try:
        set_opset(trial, GOOD)
        if interface(trial) != interface(context.model):
            why = "onnx's converter changes its inputs or outputs"
    except TensorwrightError as error:
        why = error.what
    yield Found(f"the model uses opset {context.model.opset}" + (f", and cannot be converted: {why}" if why else ""),
                fix=None if why else partial(convert, context.model))


def convert(model: Model) -> bool:
    set_opset(model, GOOD)
    return True


@rule("TW003", "deprecated-operator", Severity.WARNING, "Operators that ONNX has given up", why="""
    An operator that the standard removed works only as long as every tool on the way keeps its old table of operators.
    Upsample, which older exports write for `F.interpolate`, is the common one: it knows no coordinate transformation,
    and runtimes disagree about its pixels.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx", dynamo=False, opset_version=9)     # F.interpolate: Upsample
    """, good="""
    torch.onnx.export(model, (x,), "model.onnx", opset_version=18)                  # F.interpolate: Resize
    """, fixed="""
    The repair of TW002 converts them; `wright onnx opset --to 18` does so on its own.
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
