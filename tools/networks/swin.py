"""Swin-T (arXiv 2103.14030): attention within windows of 7×7 patches, every other time shifted by half a window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WINDOW = 7
#: what is added to the scores of patches that only the shift made neighbours
FAR_APART = -100.0


def windows(x: Tensor) -> Tensor:
    """(N, H, W, C) → (N · windows, 49, C)"""
    n, h, w, c = x.shape
    x = x.reshape(n, h // WINDOW, WINDOW, w // WINDOW, WINDOW, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, WINDOW * WINDOW, c)


def from_windows(x: Tensor, h: int, w: int) -> Tensor:
    """(N · windows, 49, C) → (N, H, W, C)"""
    x = x.reshape(-1, h // WINDOW, w // WINDOW, WINDOW, WINDOW, x.shape[-1]).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, h, w, x.shape[-1])


def relative_positions() -> Tensor:
    """(49 · 49,) rows of the bias table: how far apart two patches of a window are, down and across."""
    rows, columns = torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij")
    place = torch.stack([rows.flatten(), columns.flatten()])
    apart = place[:, :, None] - place[:, None, :] + WINDOW - 1
    return (apart[0] * (2 * WINDOW - 1) + apart[1]).flatten()


def shifted_mask(h: int, w: int, shift: int) -> Tensor:
    """(windows, 49, 49): 0 between patches of one region of the shifted image, FAR_APART between others."""
    region = torch.zeros(1, h, w, 1)
    edges = (slice(0, -WINDOW), slice(-WINDOW, -shift), slice(-shift, None))
    for i, rows in enumerate(edges):
        for j, columns in enumerate(edges):
            region[:, rows, columns] = 3 * i + j
    flat = windows(region)[:, :, 0]
    return torch.where(flat[:, None, :] == flat[:, :, None], 0.0, FAR_APART)


class WindowAttention(nn.Module):
    """Self-attention within windows, with a learnt bias by relative position."""

    def __init__(self, width: int, heads: int, positions: Tensor) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.randn((2 * WINDOW - 1) ** 2, heads) * 0.5)
        self.register_buffer("positions", positions)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        n, s, width = x.shape
        q, k, v = self.qkv(x).reshape(n, s, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q * self.scale) @ k.transpose(-2, -1)
        scores = scores + self.bias[self.positions].reshape(s, s, self.heads).permute(2, 0, 1)
        if mask is not None:
            scores = scores.reshape(-1, len(mask), self.heads, s, s) + mask[:, None]
            scores = scores.reshape(-1, self.heads, s, s)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, s, width))


class SwinBlock(nn.Module):
    """Pre-norm block; shift: patches that the windows move down and across."""

    def __init__(self, width: int, heads: int, shift: int, positions: Tensor) -> None:
        super().__init__()
        self.shift = shift
        self.norm1, self.attention = nn.LayerNorm(width), WindowAttention(width, heads, positions)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        _, h, w, _ = x.shape
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = from_windows(self.attention(windows(y), mask if self.shift else None), h, w)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class Merging(nn.Module):
    """(N, H, W, C) → (N, H / 2, W / 2, 2 · C): the four patches of each 2×2 square become one."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.norm, self.reduce = nn.LayerNorm(4 * c), nn.Linear(4 * c, 2 * c, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        corners = (x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2])
        return self.reduce(self.norm(torch.cat(corners, -1)))


class SwinTiny(nn.Module):
    """Images of 224 pixels, patches of 4: 28,288,354 parameters."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.patches, self.norm0 = nn.Conv2d(3, 96, 4, 4), nn.LayerNorm(96)
        positions = relative_positions()
        self.stages, self.merges = nn.ModuleList(), nn.ModuleList()
        for depth, width, side in ((2, 96, 56), (2, 192, 28), (6, 384, 14), (2, 768, 7)):
            shift = WINDOW // 2 if side > WINDOW else 0  # one window has nowhere to go
            self.stages.append(
                nn.ModuleList(SwinBlock(width, width // 32, shift * (i % 2), positions) for i in range(depth))
            )
            if side > WINDOW:
                self.merges.append(Merging(width))
        self.norm, self.head = nn.LayerNorm(768), nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm0(self.patches(x).permute(0, 2, 3, 1))
        for i, stage in enumerate(self.stages):
            if i:
                x = self.merges[i - 1](x)
            mask = shifted_mask(x.shape[1], x.shape[2], WINDOW // 2)
            for block in stage:  # type: ignore[attr-defined]
                x = block(x, mask)
        return self.head(self.norm(x).mean((1, 2)))
