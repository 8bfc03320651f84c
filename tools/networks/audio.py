"""Whisper's encoder (arXiv 2212.04356)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sinusoids(length: int, width: int) -> Tensor:
    """(length, width): sines, then cosines, of wavelengths from 2π to 20000π positions."""
    rates = torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
    angle = torch.arange(length)[:, None] * rates[None, :]
    return torch.cat([angle.sin(), angle.cos()], 1)


class SpeechBlock(nn.Module):
    """Pre-norm transformer block; keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.value, self.out = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def attend(self, x: Tensor) -> Tensor:
        n, s, width = x.shape
        split = (n, s, self.heads, width // self.heads)
        q, k, v = (f(x).reshape(split).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(n, s, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class WhisperEncoder(nn.Module):
    """The tiny model's: a mel spectrogram of 30 s (N, 80, 3000) → (N, 1500, 384).

    7,632,384 parameters; with the table of positions 8.2 million numbers.
    """

    def __init__(self, mels: int = 80, frames: int = 1500, width: int = 384, heads: int = 6, depth: int = 4) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(mels, width, 3, padding=1), nn.Conv1d(width, width, 3, 2, 1)
        self.register_buffer("positions", sinusoids(frames, width))
        self.blocks = nn.Sequential(*[SpeechBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)

    def forward(self, mel: Tensor) -> Tensor:
        x = nn.functional.gelu(self.conv2(nn.functional.gelu(self.conv1(mel))))
        return self.norm(self.blocks(x.transpose(1, 2) + self.positions))
