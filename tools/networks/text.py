"""Networks over token sequences: an encoder, a decoder with a cache, and a recurrent tagger."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class BertLayer(nn.Module):
    """Post-norm encoder layer of BERT (arXiv 1810.04805), with separate projections as in the original."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out, self.norm1 = nn.Linear(width, width), nn.LayerNorm(width, eps=1e-12)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-12)

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, self.size).transpose(1, 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(self.size) + mask
        mixed = torch.matmul(scores.softmax(-1), v).transpose(1, 2).reshape(x.shape)
        x = self.norm1(x + self.out(mixed))
        return self.norm2(x + self.down(nn.functional.gelu(self.up(x))))


class Bert(nn.Module):
    """BERT-base encoder: token ids and mask (batch, tokens) → hidden states (batch, tokens, width)."""

    def __init__(
        self, words: int = 30522, width: int = 768, heads: int = 12, depth: int = 12, longest: int = 512
    ) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(words, width), nn.Embedding(longest, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList([BertLayer(width, heads) for _ in range(depth)])

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.words(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        x = self.norm(x)
        bias = (1.0 - mask[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.layers:
            x = layer(x, bias)
        return x


class GptBlock(nn.Module):
    """Pre-norm decoder block with a key-value cache, tanh-approximated GELU."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.norm1, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, past_k: Tensor, past_v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n, s, width = x.shape
        q, k, v = (t.reshape(n, s, self.heads, self.size).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
        scores = q @ k.transpose(-2, -1) * self.size**-0.5 + mask
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, s, width))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh")), k, v


class Gpt(nn.Module):
    """A small decoder: ids (batch, new), positions (new,), caches (batch, heads, past, size) → logits and caches."""

    def __init__(self, words: int = 8192, width: int = 384, heads: int = 6, depth: int = 6, longest: int = 512) -> None:
        super().__init__()
        self.heads, self.size, self.depth = heads, width // heads, depth
        self.words, self.positions = nn.Embedding(words, width), nn.Embedding(longest, width)
        self.blocks = nn.ModuleList([GptBlock(width, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, ids: Tensor, positions: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        x = self.words(ids) + self.positions(positions)
        keys = torch.arange(past[0].shape[2] + ids.shape[1])
        mask = torch.where(keys[None] <= positions[:, None], 0.0, -1e9)
        present: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x, k, v = block(x, past[2 * i], past[2 * i + 1], mask)
            present += [k, v]
        return (self.head(self.norm(x)), *present)


class LstmTagger(nn.Module):
    """Bidirectional LSTM over word vectors: ids (batch, tokens) → scores (batch, tokens, tags)."""

    def __init__(self, words: int = 10000, width: int = 128, hidden: int = 192, tags: int = 32) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.lstm = nn.LSTM(width, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.tags = nn.Linear(2 * hidden, tags)

    def forward(self, ids: Tensor) -> Tensor:
        return self.tags(self.lstm(self.words(ids))[0]).log_softmax(-1)
