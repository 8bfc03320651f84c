"""Quantization by scales that the data themselves decide, one per block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dims import Dim, floordiv
from ..dtypes import DType
from ..errors import ShapeError, TypeMismatch
from ..ir import Op, TensorType
from .rules import need_float, taken, widen

#: Largest finite magnitude of the types that are quantized to.
LARGEST = {DType.float4_e2m1: 6.0, DType.float8_e4m3fn: 448.0, DType.int8: 127.0}


@dataclass(frozen=True)
class DynamicQuantize(Op):
    """q = x / (s · t), rounded to a narrow type; s = max |x| over a block / (largest of the type · t), rounded too

    Inputs  x, floating point; t, one number by which scales are quantized in turn, or None: 1.
    Output  q, of x's shape; s, one per block. Scales that are powers of two are rounded up, others to nearest.
    Params  block: extent of a block along each axis. to, scale: element types of q and s.
    Errors  ShapeError when blocks do not divide an axis; TypeMismatch for types without a largest value here.
    Source  OCP Microscaling Formats (float8 with scales 2^k), NVFP4 (float4 with float8 scales, and t).
    """

    block: tuple[int, ...]
    to: DType
    scale: DType

    @property
    def on_host(self) -> str:
        return "no kernel computes in 8 bit or 4 bit floating point"

    def infer(self, x: TensorType, t: TensorType | None = None) -> tuple[TensorType, ...]:  # type: ignore[override]
        need_float(taken(x))
        if self.to not in LARGEST or not self.scale.is_float:
            raise TypeMismatch(f"blocks are quantized to {', '.join(map(str, LARGEST))} with floating-point scales, "
                               f"not to {self.to} with {self.scale}", x=x)
        if len(self.block) != x.rank:
            raise ShapeError(f"a block has {len(self.block)} axes, x {x.rank}", x=x)
        if t is not None and t.size != 1:
            raise ShapeError("the scale of scales must be one number", x=x, scale=t)
        if any(isinstance(d, int) and (b < 1 or d % b) for d, b in zip(x.shape, self.block, strict=True)):
            raise ShapeError(f"blocks of {self.block} do not divide x", x=x)
        scales: tuple[Dim, ...] = tuple(floordiv(d, b) for d, b in zip(x.shape, self.block, strict=True))
        return TensorType(x.shape, self.to), TensorType(scales, self.scale)

    def reference(self, x: np.ndarray, t: np.ndarray | None = None) -> tuple[np.ndarray, ...]:  # type: ignore[override]
        if any(d % b for d, b in zip(x.shape, self.block, strict=True)):
            raise ShapeError(f"blocks of {self.block} do not divide {x.shape}")
        wide = widen(x).astype(np.float32)
        outer = np.float32(1) if t is None else np.float32(np.asarray(t).reshape(()))
        split = [n for d, b in zip(x.shape, self.block, strict=True) for n in (d // b, b)]
        within = tuple(range(1, 2 * x.ndim, 2))
        blocks = wide.reshape(split)
        with np.errstate(all="ignore"):
            wanted = np.abs(blocks).max(within, keepdims=True, initial=0) / np.float32(LARGEST[self.to]) / outer
            scales = self._rounded(wanted)
            factor = scales.astype(np.float32) * outer
            q = np.where(factor == 0, 0, blocks / factor)
        limit = np.float32(LARGEST[self.to])
        q = np.clip(np.rint(q) if self.to is DType.int8 else q, -limit, limit).astype(self.to.numpy)
        return q.reshape(x.shape), scales.reshape([d // b for d, b in zip(x.shape, self.block, strict=True)])

    def _rounded(self, s: np.ndarray) -> np.ndarray:
        """Scales in their type, not above its largest value; in float8_e8m0 the smallest power of two not below s."""
        if self.scale is DType.float8_e8m0:
            power = np.ceil(np.log2(np.where(s > 0, s, 2.0 ** -127))).clip(-127, 127)
            return np.asarray(np.exp2(power.astype(np.float32)), np.float32).astype(self.scale.numpy)
        largest = LARGEST.get(self.scale)
        return (s if largest is None else np.minimum(s, np.float32(largest))).astype(self.scale.numpy)
