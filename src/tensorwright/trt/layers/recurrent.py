"""Recurrent layers of generations 5 to 9: IRNNv2Layer, whose gates are set singly, and IRNNLayer with flat weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...dims import product
from ...errors import BuildError, ShapeError
from ...ops import Concat, Pointwise, Recurrent, Reshape, Slice, Transpose
from ...ops.expr import In
from ..enums import LayerType, RNNDirection, RNNGateType, RNNInputMode, RNNOperation
from ..foundation import numbers
from ..layer import ILayer, Lowering, Param, WeightsParam, number

if TYPE_CHECKING:
    from ..tensor import ITensor

G = RNNGateType
#: Gates of each cell in the order in which the operator Recurrent has them.
GATES = {RNNOperation.RELU: (G.INPUT,), RNNOperation.TANH: (G.INPUT,),
         RNNOperation.LSTM: (G.INPUT, G.OUTPUT, G.FORGET, G.CELL), RNNOperation.GRU: (G.UPDATE, G.RESET, G.HIDDEN)}
#: ... and in the order in which IRNNLayer's weights have them.
FLAT = {**GATES, RNNOperation.LSTM: (G.FORGET, G.INPUT, G.CELL, G.OUTPUT)}
HIDDEN, CELL, LENGTHS = 1, 2, 3


def operand(index: int) -> Any:
    """A property that is an optional input."""
    def get(layer: ILayer) -> ITensor | None:
        return layer.get_input(index)

    def put(layer: ILayer, tensor: ITensor) -> None:
        layer.set_input(index, tensor)
    return property(get, put)


class _Recurrent(ILayer):
    """Cells over sequences (..., T, E), layer upon layer; with both directions a layer gives both results side by side.

    Inputs   data; hidden state and, for LSTM, cell state (..., layers · directions, H); lengths of the sequences (...).
    Outputs  (..., T, directions · H); the last hidden states; for LSTM the last cell states.
    GRU      h ← (1 − z) · tanh(Wx + b + r · (Rh + c)) + z · h
    """

    _optional_inputs = 3
    op = Param(RNNOperation.RELU)
    input_mode = Param(RNNInputMode.LINEAR)
    direction = Param(RNNDirection.UNIDIRECTION)
    _layers = Param(1, int)
    _hidden = Param(1, int)
    _length = Param(0, int)
    hidden_state = operand(HIDDEN)
    cell_state = operand(CELL)

    @property
    def num_layers(self) -> int:
        return int(self._layers)

    @property
    def hidden_size(self) -> int:
        return int(self._hidden)

    @property
    def max_seq_length(self) -> int:
        return int(self._length)

    @property
    def data_length(self) -> int:
        """E; 0 when it is not known."""
        shape = None if self._inputs[0] is None else self._inputs[0].shape
        return int(shape[-1]) if shape is not None and shape.nbDims > 0 and shape[-1] > 0 else 0

    def _cell(self, index: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """W (gates · H, width), R (gates · H, H) and biases (2 · gates · H,) of a layer in one direction."""
        raise NotImplementedError(type(self).__name__)

    def _skips(self, index: int) -> bool:
        """Whether the data go into the gates without weights: in the first layer, in mode SKIP."""
        both = self.direction == RNNDirection.BIDIRECTION
        return bool(self.input_mode == RNNInputMode.SKIP and index < (2 if both else 1))

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        values = [*values, None, None, None][:4]
        x, H, L = to.type(values[0]), self.hidden_size, self.num_layers
        D = 2 if self.direction == RNNDirection.BIDIRECTION else 1
        if x.rank < 2 or L < 1 or H < 1:
            raise ShapeError("a recurrent layer takes sequences (..., T, E)", x=x)
        lead, (T, E) = x.shape[:-2], x.shape[-2:]
        if isinstance(T, int) and self.max_seq_length and T != self.max_seq_length:
            raise ShapeError(f"the sequences have {T} elements, max_seq_length is {self.max_seq_length}", x=x)
        N, width = product(lead), number(E, "the width of a sequence's elements")
        if self._skips(0) and width != H:
            raise ShapeError(f"mode SKIP needs elements of width {H}, they have {width}", x=x)
        states = [self._state(to, values[i], (N, L * D, H)) for i in (HIDDEN, CELL)]
        lengths = None if values[LENGTHS] is None else self._also(to, Reshape((N,)), values[LENGTHS])
        value = self._also(to, Transpose((1, 0, 2)), self._also(to, Reshape((N, T, E)), values[0]))
        kind = {RNNOperation.LSTM: "lstm", RNNOperation.GRU: "gru"}.get(self.op, "rnn")
        names = ("relu",) * D if self.op == RNNOperation.RELU else ()
        op = Recurrent(kind, H, "bidirectional" if D == 2 else "forward", names, linear_before_reset=kind == "gru")
        last: list[list[str]] = [[], []]
        for k in range(L):
            cells = [self._cell(k * D + d, width) for d in range(D)]
            weights = [to.constant(np.stack(parts), f"{self.name}.{k}.{what}")
                       for what, parts in zip("WRB", zip(*cells, strict=True), strict=True)]
            begin = [None if s is None else self._also(to, Slice((k * D, 0, 0), (D, N, H), (1, 1, 1)), s)
                     for s in states]
            made = to.editor.add(op, value, *weights, lengths, *begin[: 2 if kind == "lstm" else 1],
                                 name=f"{self.name}.{k}")
            for found, state in zip(last, made[1:], strict=False):
                found.append(state)
            value = self._also(to, Reshape((T, N, D * H)), self._also(to, Transpose((0, 2, 1, 3)), made[0]))
            width = D * H
        turned = self._also(to, Transpose((1, 0, 2)), value)
        outputs = [self._also(to, Reshape((*lead, T, D * H)), turned)]
        for found in last[: 2 if kind == "lstm" else 1]:
            whole = found[0] if L == 1 else self._also(to, Concat(0), *found)
            outputs.append(self._also(to, Reshape((*lead, L * D, H)), self._also(to, Transpose((1, 0, 2)), whole)))
        return [str(to.editor.add(Pointwise(In(0, x.dtype)), v, name=self.name, outputs=[n]))
                for v, n in zip(outputs, self._names(to), strict=True)]

    def _state(self, to: Lowering, value: str | None, shape: tuple[Any, ...]) -> str | None:
        """(..., layers · directions, H) as (layers · directions, N, H)."""
        if value is None:
            return None
        return self._also(to, Transpose((1, 0, 2)), self._also(to, Reshape(shape), value))


class IRNNv2Layer(_Recurrent):
    """Weights and biases are set gate by gate. layer_index: layer · directions + direction, backward second."""

    _layer_type = LayerType.RNN_V2
    seq_lengths = operand(LENGTHS)
    _gates = Param(None)

    def _set(self, what: str, layer_index: int, gate: RNNGateType, is_w: bool, numbers_: Any) -> None:
        self._gates = {**(self._gates or {}), (what, int(layer_index), gate.name, bool(is_w)): numbers(numbers_)}

    def _get(self, what: str, layer_index: int, gate: RNNGateType, is_w: bool) -> np.ndarray:
        found = (self._gates or {}).get((what, int(layer_index), gate.name, bool(is_w)))
        return np.empty(0, np.float32) if found is None else found

    def set_weights_for_gate(self, layer_index: int, gate: RNNGateType, is_w: bool, weights: Any) -> None:
        """is_w: those of the data, (H, E); else those of the state, (H, H)."""
        self._set("weights", layer_index, gate, is_w, weights)

    def get_weights_for_gate(self, layer_index: int, gate: RNNGateType, is_w: bool) -> np.ndarray:
        return self._get("weights", layer_index, gate, is_w)

    def set_bias_for_gate(self, layer_index: int, gate: RNNGateType, is_w: bool, bias: Any) -> None:
        """(H,); zero where none is set."""
        self._set("bias", layer_index, gate, is_w, bias)

    def get_bias_for_gate(self, layer_index: int, gate: RNNGateType, is_w: bool) -> np.ndarray:
        return self._get("bias", layer_index, gate, is_w)

    def _cell(self, index: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        H, parts = self.hidden_size, []
        for is_w, columns in ((True, width), (False, H)):
            for gate in GATES[self.op]:
                if is_w and self._skips(index):
                    parts.append(np.eye(H, dtype=np.float32))
                    continue
                weights = self._get("weights", index, gate, is_w)
                if weights.size != H * columns:
                    raise BuildError(f"the {'data' if is_w else 'state'} weights of {gate} in layer {index} are "
                                     f"{weights.size} numbers, {H} x {columns} are needed",
                                     try_="layer.set_weights_for_gate(layer_index, gate, is_w, weights)")
                parts.append(weights.reshape(H, columns))
        biases = []
        for is_w in (True, False):
            for gate in GATES[self.op]:
                bias = self._get("bias", index, gate, is_w)
                if bias.size not in (0, H):
                    raise BuildError(f"the bias of {gate} in layer {index} is {bias.size} numbers, not {H}")
                biases.append(bias if bias.size else np.zeros(H, parts[0].dtype))
        half = len(parts) // 2
        return np.concatenate(parts[:half]), np.concatenate(parts[half:]), np.concatenate(biases)


class IRNNLayer(_Recurrent):
    """weights: for each layer and direction the matrices of the data, then those of the state, gate by gate
    (LSTM: f, i, c, o; GRU: z, r, h); mode SKIP leaves those of the first layer's data out. bias: likewise."""

    _layer_type = LayerType.RNN
    weights = WeightsParam()
    bias = WeightsParam()

    def _cell(self, index: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        H, order = self.hidden_size, [FLAT[self.op].index(g) for g in GATES[self.op]]
        D = 2 if self.direction == RNNDirection.BIDIRECTION else 1
        count, at = len(order), 0
        for i in range(index + 1):                        # where this layer's begin
            first = i < D
            columns = (0 if self._skips(i) else self.data_length) if first else D * H
            size = count * H * (columns + H)
            at, begin = at + size, at
        total = self.weights.size
        if at > total:
            raise BuildError(f"{total} weights are given, layer {index} ends at {at}")
        W, R = np.split(self.weights[begin:at], [count * H * columns])
        wide = np.tile(np.eye(H, dtype=W.dtype), (count, 1)) if not columns else \
            W.reshape(count, H, columns)[order].reshape(count * H, columns)
        biases = np.zeros(2 * count * H, W.dtype)
        if self.bias.size:
            part = self.bias[2 * count * H * index :][: 2 * count * H]
            if part.size != biases.size:
                raise BuildError(f"{self.bias.size} biases are given, layer {index} ends at "
                                 f"{2 * count * H * (index + 1)}")
            biases = part.reshape(2, count, H)[:, order].reshape(-1)
        return wide, R.reshape(count, H, H)[order].reshape(count * H, H), biases
