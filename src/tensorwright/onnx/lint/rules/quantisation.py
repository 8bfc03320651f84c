"""TW501 to TW503: QuantizeLinear and DequantizeLinear in the wrong places."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...rewire import remove_unread, take_over
from ..context import Context, integer, may_take_over, operand, standard
from ..record import Found, Severity, rule

if TYPE_CHECKING:
    import onnx_ir

#: What engines fuse behind a matrix product or convolution.
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ACTIVATIONS = ("Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSwish", "HardSigmoid", "BatchNormalization", "PRelu",
               "Tanh")


@rule("TW501", "qdq-between", Severity.WARNING, "Quantisation between a convolution and its activation", why="""
    Engines compute convolution, bias, normalisation and activation in one kernel, and round to int8 once, at its end. A
    QuantizeLinear and DequantizeLinear between them demand the rounding in the middle: the kernel ends there, the
    intermediate tensor is written out, and accuracy is lost for nothing.
    """, bad="""
    y = quant(self.conv(x))
    y = quant(F.relu(y))
    """, good="""
    y = quant(F.relu(self.conv(x)))
    """, fixed="""
    The pair goes where a Relu follows whose result is quantised with the same scale and zero point: then rounding
    before and after it gives the same. Elsewhere the numbers would change: move the quantiser and calibrate again.
    """, fixes=True)
def qdq_between(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        q = quantiser_of(node)
        if q is None or (maker := q.inputs[0].producer() if q.inputs[0] is not None else None) is None:
            continue
        after = context.only_reader(node.outputs[0])
        if after is None or not standard(after, *ACTIVATIONS) or \
                not standard(maker, *PRODUCTS, "Add", "BatchNormalization"):
            continue
        if maker.op_type == "Add" and after.op_type == "BatchNormalization":
            continue
        again = context.only_reader(after.outputs[0]) if after.op_type == "Relu" else None
        same = again is not None and standard(again, "QuantizeLinear") and same_scale(context, q, again) and \
            context.only_reader(q.outputs[0]) is node and zero_is_exact(context, q)
        yield Found(f"stands between {maker.op_type} and {after.op_type}: they cannot be one kernel", node,
                    str(node.outputs[0].name), (partial(drop_pair, context, node, q)) if same else None,
                    [q, node, after] if same else [])


@rule("TW502", "qdq-repeated", Severity.WARNING, "Numbers dequantised and quantised again alike", why="""
    A DequantizeLinear whose result goes straight into a QuantizeLinear with the same scale and zero point gives back
    the integers it took. Modules that each quantise their input and output leave such pairs at every seam; each is two
    passes over the tensor when the engine does not see through it.
    """, bad="""
    y = quant(self.block1(quant(x)))
    z = self.block2(quant(y))                 # y is quantised with that scale already
    """, good="""
    y = quant(self.block1(quant(x)))
    z = self.block2(y)
    """, fixed="""
    Readers of the second read the integers that were there before.
    """, fixes=True)
def qdq_repeated(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        if not standard(node, "QuantizeLinear") or node.inputs[0] is None:
            continue
        before = node.inputs[0].producer()
        if before is None or not standard(before, "DequantizeLinear") or before.inputs[0] is None:
            continue
        if same_scale(context, before, node) and context.dtype(before.inputs[0]) is context.dtype(node.outputs[0]):
            possible = may_take_over(node, before.inputs[0])
            yield Found(f"quantises as before what {before.name or 'DequantizeLinear'!r} has just dequantised",
                        node, str(node.outputs[0].name), partial(rejoin, context, node, before) if possible else None,
                        [node, before])


@rule("TW503", "half-quantised", Severity.WARNING, "A product with one quantised operand", why="""
    A convolution or matrix product runs in int8 when its input and its weight are both dequantised from integers. With
    one of them in float32 the engine dequantises the other and computes in float32: slower than a model that was
    never quantised.
    """, bad="""
    y = F.conv2d(quant(x), self.weight)
    """, good="""
    y = F.conv2d(quant(x), quant_weight(self.weight))
    """, fixed="""
    Not repaired: the missing scale comes from calibration.
    """)
def half_quantised(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        if not standard(node, *PRODUCTS) or len(node.inputs) < 2:
            continue
        quantised = [v is not None and (p := v.producer()) is not None and standard(p, "DequantizeLinear")
                     for v in node.inputs[:2]]
        if quantised[0] and not quantised[1] and context.is_constant(node.inputs[1]):
            yield Found("its input is quantised, its weight is not", node, str(node.outputs[0].name))
        elif quantised[1] and not quantised[0] and standard(node, "Conv", "Gemm") and integers_only(context, node):
            yield Found("its weight is quantised to 8 bits, its input is not", node, str(node.outputs[0].name))


def integers_only(context: Context, node: onnx_ir.Node) -> bool:
    """Whether other products of the model have quantised inputs: else it is weight-only quantisation, on purpose."""
    return any(standard(n, "Conv", "Gemm", "MatMul") and n is not node and n.inputs and n.inputs[0] is not None
               and (p := n.inputs[0].producer()) is not None and standard(p, "DequantizeLinear") for n in context.nodes)


def quantiser_of(node: onnx_ir.Node) -> onnx_ir.Node | None:
    """The QuantizeLinear in front of a DequantizeLinear."""
    if not standard(node, "DequantizeLinear") or node.inputs[0] is None:
        return None
    q = node.inputs[0].producer()
    return q if q is not None and standard(q, "QuantizeLinear") else None


def parameters(context: Context, node: onnx_ir.Node) -> tuple[Any, Any] | None:
    """(scale, zero point) as arrays; None when they are not constant."""
    scale, zero = context.constant(operand(node, 1)), operand(node, 2)
    if scale is None:
        return None
    if zero is None:
        return scale, np.zeros_like(scale, np.int32)
    point = context.constant(zero)
    return None if point is None else (scale, point.astype(np.int32))


def same_scale(context: Context, a: onnx_ir.Node, b: onnx_ir.Node) -> bool:
    one, other = parameters(context, a), parameters(context, b)
    return one is not None and other is not None and all(
        x.shape == y.shape and np.array_equal(x, y) for x, y in zip(one, other, strict=True)) and \
        integer(a, "axis", 1) == integer(b, "axis", 1) and integer(a, "block_size", 0) == integer(b, "block_size", 0)


def zero_is_exact(context: Context, q: onnx_ir.Node) -> bool:
    """Whether 0.0 is one of the quantised numbers: whole zero point within the type's range, as it always should be."""
    found = parameters(context, q)
    return found is not None and found[0].size == 1 and bool((found[0] > 0).all())


def drop_pair(context: Context, node: onnx_ir.Node, q: onnx_ir.Node) -> bool:
    if q.inputs[0] is None or not take_over(node, q.inputs[0]):
        return False
    remove_unread(context.model, [node])
    return True


def rejoin(context: Context, node: onnx_ir.Node, before: onnx_ir.Node) -> bool:
    source = before.inputs[0]
    if source is None or not take_over(node, source):
        return False
    remove_unread(context.model, [node])
    return True
