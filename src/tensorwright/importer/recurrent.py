"""LSTM, GRU and RNN."""

from __future__ import annotations

from ..errors import ModelError, ShapeError
from ..ops import Recurrent
from .node import Node
from .registry import operator
from .values import Decline, Value

#: Activations that take alpha, and alpha and beta, with ONNX's defaults.
PARAMETERS = {"leakyrelu": (0.01, 0.0), "thresholdedrelu": (1.0, 0.0), "elu": (1.0, 0.0), "hardsigmoid": (0.2, 0.5),
              "scaledtanh": (1.0, 1.0), "affine": (1.0, 0.0)}
TAKES_BETA = ("hardsigmoid", "scaledtanh", "affine")


@operator("LSTM", "GRU", "RNN")
def recurrent(n: Node) -> tuple[Value | None, ...]:
    """Layout 1 (batch first) is transposed around the layer."""
    x, w, r, kind = n[0], n[1], n[2], n.op_type.lower()
    if r.rank != 3:
        raise ShapeError(f"recurrence weights are {r.type}; (directions, gates·hidden, hidden) is needed")
    width = r.shape[2]
    hidden = n.integer("hidden_size", width if isinstance(width, int) else 0)
    if not hidden:
        raise Decline("the number of hidden units is known at run time only")
    batch_first = n.flag("layout")
    names = tuple(a.lower() for a in n.strings("activations"))
    alphas, betas = activation_parameters(names, n.floats("activation_alpha"), n.floats("activation_beta"))
    clip = n.number("clip", 0.0) if n.has("clip") else None
    op = Recurrent(kind, hidden, n.text("direction", "forward").lower(), names, clip,
                   n.flag("linear_before_reset"), n.flag("input_forget"), alphas, betas)
    states = [n.optional(i) for i in range(3, 8 if kind == "lstm" else 6)]
    if batch_first:
        x = n.transpose(x, (1, 0, 2))
        states[2:4] = [None if s is None else n.transpose(s, (1, 0, 2)) for s in states[2:4]]
    results = n.add_many(op, x, w, r, *states)
    if batch_first:
        y, *last = results
        results = (n.transpose(y, (2, 0, 1, 3)), *(n.transpose(s, (1, 0, 2)) for s in last))
    return results


def activation_parameters(names: tuple[str, ...], alphas: tuple[float, ...], betas: tuple[float, ...],
                          ) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """One alpha and one beta per activation. The model lists them for those activations that take them, or for all."""
    for a in names:
        if a not in PARAMETERS and a not in ("relu", "tanh", "sigmoid", "softsign", "softplus"):
            raise ModelError(f"no activation is named {a!r}")
    if not any(a in PARAMETERS for a in names):
        return (), ()
    full_alphas = alphas if len(alphas) == len(names) else _consumed(names, alphas, 0)
    full_betas = betas if len(betas) == len(names) else _consumed(names, betas, 1)
    return full_alphas, full_betas


def _consumed(names: tuple[str, ...], given: tuple[float, ...], which: int) -> tuple[float, ...]:
    rest = list(given)
    result = []
    for a in names:
        takes = a in PARAMETERS and (which == 0 or a in TAKES_BETA)
        result.append(rest.pop(0) if takes and rest else PARAMETERS.get(a, (0.0, 0.0))[which])
    return tuple(result)
