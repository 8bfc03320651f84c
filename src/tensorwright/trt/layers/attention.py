"""IAttention: queries, keys and values between an input and an output layer, for one fused kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...dtypes import DType
from ...errors import BuildError, ShapeError, UnsupportedError
from ...ops import Attention, Iota, MatMul, Pointwise, Reshape, Transpose
from ...ops.expr import Apply, Const, In
from ..enums import AttentionIOForm, AttentionNormalizationOp, CausalMaskKind, DataType, LayerType
from ..foundation import Closed
from ..layer import ILayer, Lowering, Param, pointwise

if TYPE_CHECKING:
    from ..tensor import ITensor

QUERY, KEY, VALUE, MASK, SCALE = range(5)


class IAttentionBoundaryLayer(ILayer):
    """A layer between an attention and the network around it."""

    _implicit_batch = False
    _attention = Param(None)

    @property
    def attention(self) -> IAttention:
        return self._attention                            # type: ignore[no-any-return]


class IAttentionInputLayer(IAttentionBoundaryLayer):
    """What goes into an attention."""

    _layer_type = LayerType.ATTENTION_INPUT

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        return []


class IAttentionOutputLayer(IAttentionBoundaryLayer):
    """What comes out of an attention."""

    _layer_type = LayerType.ATTENTION_OUTPUT

    def _notes(self) -> list[str]:
        return ["decomposable has no effect: one kernel computes the attention where there is one, else its parts do"] \
            if self.attention.decomposable else []

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        a = self.attention
        a._check()
        q, k, v = (to.type(x) for x in values[:3])
        if not q.rank == k.rank == v.rank == 4:
            raise ShapeError("attention takes (batch, heads, tokens, width)", query=q, key=k, value=v)
        (B, H, S, D), G, T = q.shape, k.shape[1], k.shape[2]
        mask = values[MASK] if len(values) > MASK else None
        if mask is not None and to.type(mask).rank != 4:
            raise ShapeError("a mask is (batch, heads, queries, keys); axes of size 1 broadcast", mask=to.type(mask))
        kind = a.causal_kind
        is_lower = kind == CausalMaskKind.LOWER_RIGHT or (kind == CausalMaskKind.UPPER_LEFT and S == T)
        if kind == CausalMaskKind.UPPER_LEFT and not is_lower:
            mask = self._upper_left(to, S, T)
        operands = list(values[:3])
        if H != G:
            if not isinstance(H, int) or not isinstance(G, int) or G < 1 or H % G:
                raise ShapeError(f"{H} heads of queries are not a multiple of {G} of keys", query=q, key=k)
            operands = [self._also(to, Reshape((B, G, H // G, S, D)), values[0])]
            operands += [self._also(to, Reshape((*t.shape[:2], 1, *t.shape[2:])), x)
                         for x, t in zip(values[1:3], (k, v), strict=True)]
            if mask is not None:
                m = to.type(mask)
                heads = (1, 1) if m.shape[1] == 1 else (G, H // G)
                mask = self._also(to, Reshape((m.shape[0], *heads, *m.shape[2:])), mask)
        if a.norm_op == AttentionNormalizationOp.SOFTMAX:
            op = Attention(1.0, is_lower)
            if H == G:
                return self._last(to, op, *operands, mask)
            y = self._also(to, op, *operands, mask)
        else:
            y = self._linear(to, operands, mask, is_lower)
        return self._last(to, Reshape((B, H, S, v.shape[3])), y)

    def _upper_left(self, to: Lowering, S: Any, T: Any, past: Any = 0) -> str:
        """(1, 1, S, T) bool: query i sees keys up to i + past."""
        i = self._also(to, Iota((1, 1, S, 1), 2, DType.int64, past))
        j = self._also(to, Iota((1, 1, 1, T), 3, DType.int64))
        return self._also(to, pointwise("le", DType.int64, DType.int64, result=DType.bool), j, i)

    def _linear(self, to: Lowering, operands: list[str], mask: str | None, causal: bool) -> str:
        """(q · kᵀ, masked) · v, without a softmax: what is masked out counts 0."""
        k = to.type(operands[1])
        swap = (*range(k.rank - 2), k.rank - 1, k.rank - 2)
        scores = self._also(to, MatMul(), operands[0], self._also(to, Transpose(swap), operands[1]))
        t = to.type(scores)
        if causal:
            S, T = t.shape[-2:]
            mask = self._upper_left(to, S, T, T - S)
        if mask is not None:
            m = to.type(mask)
            masked = Apply("where", (In(1, DType.bool), In(0, t.dtype), Const(0.0, t.dtype)), t.dtype) \
                if m.dtype is DType.bool else Apply("add", (In(0, t.dtype), In(1, m.dtype)), t.dtype)
            scores = self._also(to, Pointwise(masked), scores, mask)
        return self._also(to, MatMul(), scores, operands[2])


class IAttention(Closed):
    """softmax(q · kᵀ + mask) · v, without a scale: queries are scaled by who makes them. Keys may have fewer heads.

    mask: bool, True keeps; or added to the scores; not with a causal kind. norm_op NONE leaves the softmax out.
    """

    decomposable = False
    metadata = ""
    num_ranks = 1
    normalization_quantize_to_type = DataType.FLOAT
    query_form = AttentionIOForm.PADDED_BHND
    key_value_form = AttentionIOForm.PADDED_BHND
    query_lengths: ITensor | None = None
    key_value_lengths: ITensor | None = None

    def __init__(self, network: Any, operands: list[Any], norm_op: AttentionNormalizationOp, causal: CausalMaskKind,
                 name: str) -> None:
        self._network = network
        self._norm, self._causal, self._name = norm_op, causal, name
        self._scale: ITensor | None = None
        self._input: Any = network._add(IAttentionInputLayer, operands, 0, _attention=self)
        self._output: Any = None if self._input is None else \
            network._add(IAttentionOutputLayer, operands, _attention=self)
        if self._output is not None:
            self._output._optional_inputs = 1
        self._closed = True

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if self._closed:
            self._network._changed()

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value
        self._input.name, self._output.name = f"{value}.input", f"{value}.output"

    @property
    def norm_op(self) -> AttentionNormalizationOp:
        return self._norm

    @norm_op.setter
    def norm_op(self, value: AttentionNormalizationOp) -> None:
        self._norm = value

    @property
    def causal_kind(self) -> CausalMaskKind:
        return self._causal

    @causal_kind.setter
    def causal_kind(self, value: CausalMaskKind) -> None:
        """RuntimeError beside a mask."""
        if value != CausalMaskKind.NONE and self.mask is not None:
            raise RuntimeError("an attention has a mask or is causal, not both")
        self._causal = value

    @property
    def causal(self) -> bool:
        """Whether query i sees keys up to i only: CausalMaskKind.UPPER_LEFT."""
        return self._causal != CausalMaskKind.NONE

    @causal.setter
    def causal(self, value: bool) -> None:
        self.causal_kind = CausalMaskKind.UPPER_LEFT if value else CausalMaskKind.NONE

    @property
    def mask(self) -> ITensor | None:
        return self.get_input(MASK)

    @mask.setter
    def mask(self, tensor: ITensor) -> None:
        """RuntimeError when the attention is causal."""
        if not self.set_input(MASK, tensor):
            raise RuntimeError("an attention has a mask or is causal, not both")

    @property
    def normalization_quantize_scale(self) -> ITensor | None:
        return self._scale

    @normalization_quantize_scale.setter
    def normalization_quantize_scale(self, tensor: ITensor) -> None:
        self._scale = tensor

    @property
    def num_inputs(self) -> int:
        return 5 if self._scale is not None else int(self._output.num_inputs)

    @property
    def num_outputs(self) -> int:
        return 1

    def get_input(self, index: int) -> ITensor | None:
        return self._scale if index == SCALE else self._output.get_input(index)     # type: ignore[no-any-return]

    def get_output(self, index: int) -> ITensor | None:
        return self._output.get_output(index)             # type: ignore[no-any-return]

    def set_input(self, index: int, tensor: ITensor) -> bool:
        """0 query, 1 key, 2 value, 3 mask, 4 scale of quantized weights. False, logged, for any other."""
        if not 0 <= index <= SCALE or (index == MASK and self._causal != CausalMaskKind.NONE):
            self._network._error(f"attention {self._name!r}: input {index} cannot be set"
                                 f"{': it is causal, and has no mask' if index == MASK else ''}")
            return False
        if index == SCALE:
            self.normalization_quantize_scale = tensor
            return True
        self._output.set_input(index, tensor)
        if index < MASK:
            self._input.set_input(index, tensor)
        return True

    def _check(self) -> None:
        """Raises for what is not in this version."""
        padded = AttentionIOForm.PADDED_BHND
        if self._scale is not None:
            raise UnsupportedError(f"attention {self._name!r}: quantized weights of values are not in this version",
                                   try_="leave normalization_quantize_scale out")
        if (self.query_form, self.key_value_form) != (padded, padded) or self.query_lengths is not None \
                or self.key_value_lengths is not None:
            raise UnsupportedError(f"attention {self._name!r}: packed sequences and lengths are not in this version",
                                   try_="pad the sequences and give a mask")
        if self._causal != CausalMaskKind.NONE and self.mask is not None:
            raise BuildError(f"attention {self._name!r} has a mask and is causal")
