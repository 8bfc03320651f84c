"""TW401 to TW404: the numbers in the weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...meaning import array_of
from ...structure.weights import set_weight
from ..context import Context, standard
from ..record import Found, Severity, rule
from ..weights import FLOATS, Weight

if TYPE_CHECKING:
    import onnx_ir

#: Operators that multiply by the tensor: an infinity in it spreads.
MULTIPLYING = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Mul", "Div", "BatchNormalization", "LayerNormalization",
               "InstanceNormalization", "GroupNormalization", "LSTM", "GRU", "RNN", "Einsum", "PRelu", "Gather")
#: A weight this large is worth storing once.
WORTH_SHARING = 1 << 14
#: Bytes compared before whole tensors are.
SAMPLE = 4096


def multiplied(weight: Weight) -> bool:
    return any(standard(n, *MULTIPLYING) for n in weight.readers)


@rule("TW401", "not-finite", Severity.ERROR, "NaN or infinity in weights", why="""
    One NaN in a weight makes NaN of everything behind it. It comes from training that diverged, from a BatchNorm that
    was never run, or from a conversion to float16. Infinities are reported where they are multiplied: 0 times infinity
    is NaN. A mask of -inf that is added before a softmax is right, and not reported.
    """, bad="""
    mask = (1 - keep) * float("-inf")              # NaN where keep is 1
    """, good="""
    scores = scores.masked_fill(keep == 0, float("-inf"))
    """, fixed="""
    Not repaired: the number that should be there is not in the file.
    """)
def not_finite(context: Context) -> Iterator[Found]:
    for weight in context.weights:
        facts = weight.facts
        if facts is None or not (facts.nan or facts.plus_infinity or facts.minus_infinity):
            continue
        infinite = (facts.plus_infinity + facts.minus_infinity) if multiplied(weight) else 0
        parts = [f"{facts.nan:,} NaN"] if facts.nan else []
        parts += [f"{infinite:,} infinite"] if infinite else []
        if parts:
            yield Found(f"{' and '.join(parts)} among {weight.size:,} numbers", next(iter(weight.readers), None),
                        weight.name)


@rule("TW402", "denormals", Severity.WARNING, "Denormal numbers in weights", why="""
    Numbers below 1.2e-38 are stored without a leading one, and processors that do not flush them to zero take up to a
    hundred times longer for each multiplication with one. Training with weight decay drives unused filters and
    variances there. They contribute nothing.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx")              # pruned by weight decay alone
    """, good="""
    for p in model.parameters():
        p.data[p.abs() < torch.finfo(p.dtype).tiny] = 0
    """, fixed="""
    They become zero: results change by less than 1e-37 times the largest activation. Not in float16, where numbers of
    that kind begin at 6e-5 and matter, and not where the tensor is a divisor or is not multiplied.
    """, fixes=True)
def denormals(context: Context) -> Iterator[Found]:
    for weight in context.weights:
        facts = weight.facts
        if facts is None or not facts.denormal or weight.tensor.dtype.name == "FLOAT16":
            continue
        safe = bool(weight.readers) and not weight.value.is_graph_input() and \
            all(standard(n, *MULTIPLYING) and not (n.op_type == "Div" and n.inputs[-1] is weight.value)
                for n in weight.readers)
        yield Found(f"{facts.denormal:,} of {weight.size:,} numbers are denormal", next(iter(weight.readers), None),
                    weight.name, partial(flush, context, weight) if safe else None, weight.readers if safe else ())


def flush(context: Context, weight: Weight) -> bool:
    layout = FLOATS[weight.tensor.dtype.name]
    array = np.array(array_of(weight.tensor))
    bits: np.ndarray = array.reshape(-1).view(layout.bits)
    sign = layout.bits(1 << (bits.itemsize * 8 - 1))
    bits[(bits & ~sign) < layout.normal] &= sign
    set_weight(context.model, weight.value, array)
    return True


@rule("TW403", "float16-range", Severity.WARNING, "Numbers that float16 cannot hold", why="""
    float16 ends at 65504. A weight beyond that becomes infinity in an engine of half precision, and the results NaN.
    Large weights are reported as warnings; constants that are only added, compared or selected, like -1e9 in a mask,
    as infos: -inf is what a mask means, but `(1 - mask) * -1e9` becomes 0 times infinity.
    """, bad="""
    bias = (1 - mask) * -1e9
    """, good="""
    bias = torch.zeros_like(scores).masked_fill(mask == 0, torch.finfo(torch.float16).min)
    """, fixed="""
    Not repaired: in float32 the numbers are right. Keep the layer in float32 when you convert
    (`wright onnx precision --keep`), or scale it when you train.
    """)
def float16_range(context: Context) -> Iterator[Found]:
    for weight in context.weights:
        facts = weight.facts
        if facts is not None and facts.overflow:
            heavy = weight.size > 16 and any(standard(n, *MULTIPLYING[:4]) for n in weight.readers)
            yield Found(f"{facts.overflow:,} of {weight.size:,} numbers exceed 65504, up to {facts.largest:.3g}",
                        next(iter(weight.readers), None), weight.name,
                        severity=Severity.WARNING if heavy else Severity.INFO)


@rule("TW404", "duplicate-weights", Severity.WARNING, "The same weights stored more than once", why="""
    Tied weights, an embedding that is also the output layer for example, are one tensor in PyTorch and two in the file
    when the exporter transposed or folded one of them, or when layers were copied. The file, the engine and its
    memory are larger, and on a CPU the second copy drives the first out of the cache.
    """, bad="""
    self.decoder.weight = nn.Parameter(self.encoder.weight.detach().clone())
    """, good="""
    self.decoder.weight = self.encoder.weight
    """, fixed="""
    Readers read the first copy; the others go. Weights below 16 KiB are not looked at.
    """, fixes=True)
def duplicate_weights(context: Context) -> Iterator[Found]:
    alike: dict[Any, list[Weight]] = {}
    for weight in context.weights:
        if weight.value.producer() is None and weight.value.graph is context.model.graph \
                and not weight.value.is_graph_input() and weight.tensor.nbytes >= WORTH_SHARING \
                and weight.tensor.dtype.name != "STRING":
            shape = tuple(int(d) for d in weight.tensor.shape)
            alike.setdefault((weight.tensor.dtype.name, shape), []).append(weight)
    for group in alike.values():
        firsts: dict[bytes, list[Weight]] = {}
        for weight in group if len(group) > 1 else ():
            known = firsts.setdefault(sample(weight), [])
            same = next((w for w in known if equal(w, weight)), None)
            if same is None:
                known.append(weight)
                continue
            yield Found(f"{weight.tensor.nbytes:,} bytes are those of {same.name!r}", next(iter(weight.readers), None),
                        weight.name, partial(share, weight, same), list({*weight.readers}))


def raw(weight: Weight) -> np.ndarray:
    return np.ascontiguousarray(array_of(weight.tensor)).reshape(-1).view(np.uint8)


def sample(weight: Weight) -> bytes:
    """Some bytes of the beginning, the middle and the end."""
    flat = raw(weight)
    middle = flat.size // 2
    return b"".join(bytes(part) for part in (flat[:SAMPLE], flat[middle : middle + SAMPLE], flat[-SAMPLE:]))


def equal(a: Weight, b: Weight) -> bool:
    one, other = raw(a), raw(b)
    step = 1 << 20
    return all(np.array_equal(one[i : i + step], other[i : i + step]) for i in range(0, one.size, step))


def share(weight: Weight, same: Weight) -> bool:
    value: onnx_ir.Value = weight.value
    if value.is_graph_output() or same.value.graph is not value.graph or value.graph is None:
        return False
    value.replace_all_uses_with(same.value)
    del value.graph.initializers[str(value.name)]
    return True


