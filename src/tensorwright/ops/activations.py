"""Activation functions that recurrent layers name, with their parameters alpha and beta."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import ShapeError
from .expr import FUNCTIONS

Activation = Callable[[np.ndarray], np.ndarray]

#: name → (function of x, alpha, beta; default alpha, default beta), None for a parameter it does not have.
ACTIVATIONS: dict[str, tuple[Callable[..., np.ndarray], float | None, float | None]] = {
    "relu": (lambda x, a, b: np.maximum(x, 0), None, None),
    "tanh": (lambda x, a, b: np.tanh(x), None, None),
    "sigmoid": (lambda x, a, b: FUNCTIONS["sigmoid"][1](x), None, None),
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "leakyrelu": (lambda x, a, b: np.where(x >= 0, x, a * x), 0.01, None),
    "thresholdedrelu": (lambda x, a, b: np.where(x >= a, x, 0), 1.0, None),
    "scaledtanh": (lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), 0.2, 0.5),
    "elu": (lambda x, a, b: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0))), 1.0, None),
    "softsign": (lambda x, a, b: x / (1 + np.abs(x)), None, None),
    "softplus": (lambda x, a, b: np.logaddexp(x, np.zeros_like(x)), None, None),
}


def known(name: str) -> None:
    """ShapeError when recurrent layers have no activation of that name."""
    if name.lower() not in ACTIVATIONS:
        raise ShapeError(f"recurrent layers know no activation {name!r}", try_=f"one of {', '.join(ACTIVATIONS)}")


def chosen(names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> list[Activation]:
    """The named functions. Each that has an alpha (beta) takes the next of alphas (betas), or its default."""
    left_a, left_b, result = list(alphas), list(betas), []
    for name in names:
        known(name)
        fn, alpha, beta = ACTIVATIONS[name.lower()]
        if alpha is not None and left_a:
            alpha = left_a.pop(0)
        if beta is not None and left_b:
            beta = left_b.pop(0)
        result.append(_bound(fn, alpha, beta))
    return result


def _bound(fn: Callable[..., np.ndarray], alpha: float | None, beta: float | None) -> Activation:
    return lambda x: np.asarray(fn(x, alpha, beta)).astype(x.dtype, copy=False)
