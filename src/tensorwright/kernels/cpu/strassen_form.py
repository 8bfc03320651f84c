"""Strassen's algorithm in Winograd's form, one level: seven products of half-matrices instead of eight.

    A = [A11 A12; A21 A22] is cut along rows and k, B along k and columns, and so y = A·B along rows and columns.

    P1 = A11·B11    P5 = S1·T1    S1 = A21 + A22    T1 = B12 − B11    U2 = P1 + P6    y11 = P1 + P2
    P2 = A12·B21    P6 = S2·T2    S2 = S1 − A11     T2 = B22 − T1     U3 = U2 + P7    y12 = U2 + P5 + P3
    P3 = S4·B22     P7 = S3·T3    S3 = A11 − A21    T3 = B22 − B12                    y21 = U3 − P4
    P4 = A22·T4                   S4 = A12 − S2     T4 = T2 − B21                     y22 = U3 + P5

Rows are halved along one pixel axis; columns by turns of a tile's width, so that both halves of a panel lie together.

Errors  The bound is normwise: |ŷ − y| ≤ (18·(k²/4 + 3k) − 6k)·u·max|A|·max|B|, about 4.5 times the plain product's k²·u
        (square matrices, one level). Measured against float64 with k from 256 to 3072, largest error relative to the
        largest output: 0.6 to 3·10⁻⁶ for normal and for rectified inputs, the plain product 0.4 to 1.9·10⁻⁶; with a
        mean of 3 up to 2.7 (1.5), one column of A a hundred times larger 4.6 (3.9), heavy tails 2.8·10⁻⁶ (1.2·10⁻⁶).
        It is not componentwise: a row shares the error of the row it is paired with. Paired with one a hundred times
        larger it was off by 1.3·10⁻⁴ of its own largest output; infinities and NaN reach the other row as NaN.
        A second level doubles these figures.

Sources: V. Strassen, Gaussian elimination is not optimal, Numer. Math. 13 (1969); S. Winograd, On multiplication of
2 × 2 matrices, Linear Algebra Appl. 4 (1971); N. J. Higham, Accuracy and Stability of Numerical Algorithms, ch. 23.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim, ceildiv, product
from .contraction import Contraction
from .cuts import Cut

PRODUCTS = 7


@dataclass(frozen=True)
class Halves:
    """A product of rows (pixels) by constant B, cut in half, and the layout of the sums of A.

    Sums lie in the order they are read: [product][tile][k / 2 / lanes][row of the tile][lanes].

    whole   the plain product: one tap loop of stride 1, no batch
    axis    the pixel axis that is halved, counted from the end: -1, -2, ...
    mr      rows of a tile, pixels of the innermost axis
    tiles   whose sums are kept at a time; 0: all
    """

    whole: Contraction
    axis: int
    mr: int
    lanes: int
    tiles: int = 0

    @property
    def k(self) -> int:
        k = self.whole.taps[0][0]
        assert isinstance(k, int)
        return k

    @property
    def depth(self) -> int:
        """k of the seven products: whole vectors."""
        return half_width(self.k, self.lanes)

    @property
    def extents(self) -> tuple[Dim, ...]:
        """The pixel axes of a half."""
        extents = [axis.extent for axis in self.whole.pixels]
        extents[self.axis] = ceildiv(extents[self.axis], 2)
        return tuple(extents)

    @property
    def cut(self) -> Cut:
        """The innermost axis of a half cut into tiles."""
        return Cut(self.extents[-1], self.mr)

    @property
    def uneven(self) -> bool:
        """Whether the lower half may be one shorter than the upper."""
        extent = self.whole.pixels[self.axis].extent
        return not isinstance(extent, int) or extent % 2 == 1

    @property
    def tile(self) -> int:
        """Elements of the sums for one product of a tile."""
        return self.depth * self.mr

    @property
    def plane(self) -> Dim:
        """Elements of the sums for one product."""
        return self.tile * (self.tiles or product(self.extents[:-1]) * self.cut.count)

    def product(self, sums: int) -> Contraction:
        """The seven products as one contraction over the sums of A, at argument `sums`; y and extras as in the whole.

        The A strides of the pixels are those within a tile.
        """
        pixels = [replace(x, extent=extent, a=0) for x, extent in zip(self.whole.pixels, self.extents, strict=True)]
        pixels[-1] = replace(pixels[-1], a=self.lanes)
        taps = ((PRODUCTS, self.plane), (self.depth // self.lanes, self.mr * self.lanes), (self.lanes, 1))
        return replace(self.whole, pixels=tuple(pixels), taps=taps, start=0, args=(sums, *self.whole.args[1:]))


def sums_of_b(b: np.ndarray, width: int, lanes: int) -> np.ndarray:
    """B (k, n) → flat [panel][product][k / 2][width], the products in the order P1 P2 P6 P7 P4 P5 P3, P4's negated.

    A panel holds 2·width columns of B, the last one as many vectors as it needs. Sums are rounded once.
    """
    k, n = b.shape
    depth, span = half_width(k, lanes), 2 * width
    padded = np.zeros((2 * depth, n), b.dtype)
    padded[:k] = b
    whole = n // span
    parts = [_panels(padded[:, : whole * span].reshape(2, depth, whole, 2, width))]
    if rest := n - whole * span:
        narrow = half_width(rest, lanes)
        tail = np.zeros((2 * depth, 2 * narrow), b.dtype)
        tail[:, :rest] = padded[:, whole * span:]
        parts.append(_panels(tail.reshape(2, depth, 1, 2, narrow)))
    return np.concatenate(parts)


def half_width(columns: int, lanes: int) -> int:
    """Columns of half a panel, steps of half of k: whole vectors."""
    return -(-columns // (2 * lanes)) * lanes


def _panels(b: np.ndarray) -> np.ndarray:
    """b (half of k, k / 2, panel, half of columns, width)"""
    (b11, b21), (b12, b22) = b[:, :, :, 0].astype(np.float64), b[:, :, :, 1].astype(np.float64)
    t2 = b22 - b12 + b11
    seven = np.stack([b11, b21, t2, b22 - b12, b21 - t2, b12 - b11, b22]).astype(b.dtype)
    return seven.transpose(2, 0, 1, 3).reshape(-1)
