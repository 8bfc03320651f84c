"""Recurrent layers: LSTM, GRU and the simple recurrent network."""

from __future__ import annotations

from dataclasses import dataclass

from ..dims import Dim
from ..errors import ShapeError, TypeMismatch
from ..ir import Op, TensorType
from .rules import differ, need_float, same_dtype, taken

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
FUNCTIONS_PER_DIRECTION = {"lstm": 3, "gru": 2, "rnn": 1}


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
            (f,) for rnn; () means sigmoid and tanh as ONNX has them. clip: bound on the activations' arguments.
            linear_before_reset: gru only. input_forget: lstm only, couples the input and forget gates.
            alphas, betas: one per activation, () means ONNX's defaults.
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
