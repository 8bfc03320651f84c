"""Recurrent layers: LSTM, GRU and the simple recurrent network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import Dim
from ..errors import ShapeError, TypeMismatch
from ..ir import Cost, Op, TensorType
from .activations import Activation, chosen, known
from .rules import differ, need_float, same_dtype, taken, widen

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
FUNCTIONS_PER_DIRECTION = {"lstm": 3, "gru": 2, "rnn": 1}
DEFAULTS = {"lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh"), "rnn": ("tanh",)}


@dataclass(frozen=True)
class Recurrent(Op):
    """An LSTM, GRU or simple recurrent layer over a sequence

    Inputs  X (T, N, I); W (D, G·H, I); R (D, G·H, H); B (D, 2·G·H) or None; sequence_lens int32 (N,) or None;
            initial_h (D, N, H) or None; for lstm also initial_c (D, N, H) or None and P (D, 3·H) or None.
            D: directions, H: hidden, G: gates, 4 for lstm (order i o f c), 3 for gru (z r h), 1 for rnn. One
            floating-point type.
    Output  Y (T, D, N, H), zero beyond a sequence's length; Y_h (D, N, H); for lstm Y_c (D, N, H): the last states.
    Params  kind: "lstm", "gru" or "rnn". hidden: H. direction: "forward", "reverse" or "bidirectional".
            activations: names as in ONNX, lower case, for each direction in turn: (f, g, h) for lstm, (f, g) for gru,
            (f,) for rnn; () means sigmoid and tanh as ONNX has them. clip: bound on the arguments of
            activations (as in ONNX Runtime, an lstm's h takes the cell state unbounded).
            linear_before_reset: gru only. input_forget: lstm only, couples the input and forget gates.
            alphas, betas: taken in turn by the activations that have such a parameter; ONNX's defaults where they end.
    Cost    2·T·D·N·G·H·(I + H) operations.
    Errors  ShapeError when shapes or the number of activations disagree; TypeMismatch when element types do.
    Source  ONNX operators LSTM, GRU and RNN, version 22, layout 0.
    """

    kind: str
    hidden: int
    direction: str = "forward"
    activations: tuple[str, ...] = ()
    clip: float | None = None
    linear_before_reset: bool = False
    input_forget: bool = False
    alphas: tuple[float, ...] = ()
    betas: tuple[float, ...] = ()

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    def infer(self, X: TensorType, W: TensorType, R: TensorType,  # type: ignore[override]
              *optional: TensorType | None) -> tuple[TensorType, ...]:
        self._check_parameters()
        if taken(X).rank != 3:
            raise ShapeError(f"input has rank {X.rank}, 3 is needed: (T, N, I)", X=X)
        need_float(X)
        B, lens, h, c, P = (*optional, None, None, None, None, None)[:5]
        (T, N, I), D, H, G = X.shape, self.directions, self.hidden, GATES[self.kind]
        expected: list[tuple[str, TensorType | None, tuple[Dim, ...]]] = [
            ("W", W, (D, G * H, I)), ("R", R, (D, G * H, H)), ("B", B, (D, 2 * G * H)), ("sequence_lens", lens, (N,)),
            ("initial_h", h, (D, N, H)), ("initial_c", c, (D, N, H)), ("P", P, (D, 3 * H))]
        for name, t, shape in expected:
            if t is not None and (t.rank != len(shape) or any(map(differ, t.shape, shape))):
                raise ShapeError(f"{name} is {t}, shape ({', '.join(map(str, shape))}) is needed", X=X)
        if lens is not None and not lens.dtype.is_int:
            raise TypeMismatch(f"sequence lengths have element type {lens.dtype}")
        kind = same_dtype(X, W, R, B, h, c, P)
        state = TensorType((D, N, H), kind)
        return (TensorType((T, D, N, H), kind), state, *([state] if self.kind == "lstm" else []))

    def _check_parameters(self) -> None:
        if self.kind not in GATES or self.direction not in ("forward", "reverse", "bidirectional"):
            raise ShapeError(f"no recurrent layer {self.kind!r}, {self.direction!r}")
        needed = FUNCTIONS_PER_DIRECTION[self.kind] * self.directions
        if self.activations and len(self.activations) != needed:
            raise ShapeError(f"{len(self.activations)} activations, {self.kind} {self.direction} needs {needed}")
        for name in self.activations:
            known(name)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        T, N, I = taken(inputs[0]).shape
        work = 2 * self.directions * GATES[self.kind] * self.hidden * T * N * (I + self.hidden)
        return Cost(work, super().cost(inputs, outputs).bytes)

    def reference(self, X: np.ndarray, W: np.ndarray, R: np.ndarray,  # type: ignore[override]
                  *optional: np.ndarray | None) -> tuple[np.ndarray, ...]:
        B, lens, h, c, P = (*optional, None, None, None, None, None)[:5]
        (T, N, _), D, H, G = X.shape, self.directions, self.hidden, GATES[self.kind]
        x = widen(X)
        bias = np.zeros((D, 2 * G * H), x.dtype) if B is None else widen(B)
        state, memory = (np.zeros((D, N, H), x.dtype) if s is None else widen(s).copy() for s in (h, c))
        peephole = np.zeros((D, 3 * H), x.dtype) if P is None else widen(P)
        length = np.full(N, T) if lens is None else np.asarray(lens)
        Y = np.zeros((T, D, N, H), x.dtype)
        functions = chosen(self.activations or DEFAULTS[self.kind] * D, self.alphas, self.betas)
        for d in range(D):
            backward = self.direction == "reverse" or d == 1
            order = _reversal(T, length) if backward else np.broadcast_to(np.arange(T)[:, None], (T, N))
            sequence = np.take_along_axis(x, order[:, :, None], 0)
            weights = _Weights(widen(W)[d], widen(R)[d], bias[d, :G * H], bias[d, G * H:], peephole[d])
            per = FUNCTIONS_PER_DIRECTION[self.kind]
            steps = self._run(sequence, weights, state[d], memory[d], length, functions[d * per:(d + 1) * per])
            np.put_along_axis(Y[:, d], order[:, :, None], steps, 0)
        results = (Y, state, memory) if self.kind == "lstm" else (Y, state)
        return tuple(r.astype(X.dtype, copy=False) for r in results)

    def _run(self, x: np.ndarray, w: _Weights, h: np.ndarray, c: np.ndarray, length: np.ndarray,
             functions: Sequence[Activation]) -> np.ndarray:
        """One direction over x (T, N, I): outputs (T, N, H), zero beyond each length. h, c end as the last states."""
        step = {"lstm": self._lstm, "gru": self._gru, "rnn": self._rnn}[self.kind]
        inputs = np.matmul(x, w.W.T) + w.Wb                      # (T, N, G·H), for all steps at once
        y = np.zeros((len(x), *h.shape), x.dtype)
        with np.errstate(all="ignore"):
            for t in range(len(x)):
                active = (t < length)[:, None]
                new_h, new_c = step(inputs[t], w, h, c, functions)
                h[...], c[...] = np.where(active, new_h, h), np.where(active, new_c, c)
                y[t] = np.where(active, h, 0)
        return y

    def _clipped(self, x: np.ndarray) -> np.ndarray:
        return x if self.clip is None else np.clip(x, -self.clip, self.clip)

    def _lstm(self, x: np.ndarray, w: _Weights, h: np.ndarray, c: np.ndarray,
              functions: Sequence[Activation]) -> tuple[np.ndarray, np.ndarray]:
        f, g, last = functions
        i, o, forget, cell = np.split(x + h @ w.R.T + w.Rb, 4, axis=-1)
        Pi, Po, Pf = np.split(w.P, 3)
        i = f(self._clipped(i + Pi * c))
        forget = 1 - i if self.input_forget else f(self._clipped(forget + Pf * c))
        c = forget * c + i * g(self._clipped(cell))
        return f(self._clipped(o + Po * c)) * last(c), c

    def _gru(self, x: np.ndarray, w: _Weights, h: np.ndarray, c: np.ndarray,
             functions: Sequence[Activation]) -> tuple[np.ndarray, np.ndarray]:
        (f, g), (Rz, Rr, Rh), (bz, br, bh) = functions, np.split(w.R, 3), np.split(w.Rb, 3)
        xz, xr, xh = np.split(x, 3, axis=-1)
        z = f(self._clipped(xz + h @ Rz.T + bz))
        r = f(self._clipped(xr + h @ Rr.T + br))
        hidden = r * (h @ Rh.T + bh) if self.linear_before_reset else (r * h) @ Rh.T + bh
        return (1 - z) * g(self._clipped(xh + hidden)) + z * h, c

    def _rnn(self, x: np.ndarray, w: _Weights, h: np.ndarray, c: np.ndarray,
             functions: Sequence[Activation]) -> tuple[np.ndarray, np.ndarray]:
        return functions[0](self._clipped(x + h @ w.R.T + w.Rb)), c


@dataclass(frozen=True, eq=False)
class _Weights:
    """One direction's W (G·H, I), R (G·H, H), the two biases (G·H,) and the peepholes (3·H,)."""

    W: np.ndarray
    R: np.ndarray
    Wb: np.ndarray
    Rb: np.ndarray
    P: np.ndarray


def _reversal(T: int, length: np.ndarray) -> np.ndarray:
    """(T, N): which step of each sequence is number t when it is read from its end; padding steps stay in place."""
    t = np.arange(T)[:, None]
    return np.where(t < length, length - 1 - t, t)
