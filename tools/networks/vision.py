"""Convolutional classifiers and a vision transformer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def conv_bn(
    c: int,
    k: int,
    size: int,
    stride: int = 1,
    groups: int = 1,
    act: type[nn.Module] | None = nn.ReLU6,
    dilation: int = 1,
) -> nn.Sequential:
    pad = size // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(c, k, size, stride, pad, dilation, groups, bias=False),
        nn.BatchNorm2d(k),
    ]
    return nn.Sequential(*layers, *([act()] if act else []))


class InvertedResidual(nn.Module):
    """MobileNetV2's block (arXiv 1801.04381): expand, depthwise, project; residual when shapes agree."""

    def __init__(self, c: int, k: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = c * expand
        self.residual = stride == 1 and c == k
        first = [conv_bn(c, hidden, 1)] if expand != 1 else []
        self.body = nn.Sequential(*first, conv_bn(hidden, hidden, 3, stride, hidden), conv_bn(hidden, k, 1, act=None))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        plan = [
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ]
        layers: list[nn.Module] = [conv_bn(3, 32, 3, 2)]
        c = 32
        for expand, k, count, stride in plan:
            for i in range(count):
                layers.append(InvertedResidual(c, k, stride if i == 0 else 1, expand))
                c = k
        layers.append(conv_bn(c, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class SqueezeExcite(nn.Module):
    def __init__(self, c: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce, self.expand = nn.Conv2d(c, squeezed, 1), nn.Conv2d(squeezed, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.expand(nn.functional.silu(self.reduce(self.pool(x)))))


class MBConv(nn.Module):
    """EfficientNet's block (arXiv 1905.11946)."""

    def __init__(self, c: int, k: int, size: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = c * expand
        self.residual = stride == 1 and c == k
        first = [conv_bn(c, hidden, 1, act=nn.SiLU)] if expand != 1 else []
        self.body = nn.Sequential(
            *first,
            conv_bn(hidden, hidden, size, stride, hidden, nn.SiLU),
            SqueezeExcite(hidden, max(1, c // 4)),
            conv_bn(hidden, k, 1, act=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class EfficientNetB0(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        plan = [
            (1, 16, 1, 1, 3),
            (6, 24, 2, 2, 3),
            (6, 40, 2, 2, 5),
            (6, 80, 3, 2, 3),
            (6, 112, 3, 1, 5),
            (6, 192, 4, 2, 5),
            (6, 320, 1, 1, 3),
        ]
        layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, act=nn.SiLU)]
        c = 32
        for expand, k, count, stride, size in plan:
            for i in range(count):
                layers.append(MBConv(c, k, size, stride if i == 0 else 1, expand))
                c = k
        layers.append(conv_bn(c, 1280, 1, act=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class SelfAttention(nn.Module):
    """Multi-head attention written out: projections, scaled scores, optional additive mask, softmax, mix."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        n, s, width = x.shape
        q, k, v = self.qkv(x).reshape(n, s, 3, self.heads, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.size)
        if mask is not None:
            scores = scores + mask
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, s, width))


class EncoderBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width, eps=1e-6), SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """ViT-B/16 (arXiv 2010.11929)."""

    def __init__(
        self, width: int = 768, heads: int = 12, depth: int = 12, patch: int = 16, image: int = 224, classes: int = 1000
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, (image // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*[EncoderBlock(width, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])
