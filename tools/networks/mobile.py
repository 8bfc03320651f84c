"""Convolutional networks for small machines: MobileNetV3-Large and RegNetY-400MF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .vision import conv_bn


class SqueezeExcite(nn.Module):
    """x · gate(expand(relu(reduce(mean of x)))): each channel weighted by what all channels hold on average."""

    def __init__(self, c: int, squeezed: int, gate: type[nn.Module]) -> None:
        super().__init__()
        self.reduce, self.expand, self.gate = nn.Conv2d(c, squeezed, 1), nn.Conv2d(squeezed, c, 1), gate()

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.expand(torch.relu(self.reduce(pooled))))


class Bneck(NamedTuple):
    """A row of the paper's table 1: filter size, expanded and output channels, squeeze-excite, activation, stride."""

    size: int
    expanded: int
    k: int
    squeezes: bool
    act: type[nn.Module]
    stride: int
    dilation: int = 1


RE, HS = nn.ReLU, nn.Hardswish
LARGE = (
    Bneck(3, 16, 16, False, RE, 1),
    Bneck(3, 64, 24, False, RE, 2),
    Bneck(3, 72, 24, False, RE, 1),
    Bneck(5, 72, 40, True, RE, 2),
    Bneck(5, 120, 40, True, RE, 1),
    Bneck(5, 120, 40, True, RE, 1),
    Bneck(3, 240, 80, False, HS, 2),
    Bneck(3, 200, 80, False, HS, 1),
    Bneck(3, 184, 80, False, HS, 1),
    Bneck(3, 184, 80, False, HS, 1),
    Bneck(3, 480, 112, True, HS, 1),
    Bneck(3, 672, 112, True, HS, 1),
    Bneck(5, 672, 160, True, HS, 2),
    Bneck(5, 960, 160, True, HS, 1),
    Bneck(5, 960, 160, True, HS, 1),
)


def rounded(channels: float) -> int:
    """The nearest multiple of eight, at most a tenth below."""
    eights = max(8, int(channels + 4) // 8 * 8)
    return eights + 8 if eights < 0.9 * channels else eights


class BneckBlock(nn.Module):
    """MobileNetV3's block: expand, depthwise, squeeze and excite, project; residual when shapes agree."""

    def __init__(self, c: int, row: Bneck) -> None:
        super().__init__()
        self.residual = row.stride == 1 and c == row.k
        layers: list[nn.Module] = [conv_bn(c, row.expanded, 1, act=row.act)] if row.expanded != c else []
        layers.append(conv_bn(row.expanded, row.expanded, row.size, row.stride, row.expanded, row.act, row.dilation))
        if row.squeezes:
            layers.append(SqueezeExcite(row.expanded, rounded(row.expanded / 4), nn.Hardsigmoid))
        self.body = nn.Sequential(*layers, conv_bn(row.expanded, row.k, 1, act=None))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


def mobilenet_v3_features(rows: tuple[Bneck, ...] = LARGE) -> nn.Sequential:
    """(N, 3, H, W) → (N, 960, H / 32, W / 32)"""
    widths = [16, *(r.k for r in rows)]
    blocks = [BneckBlock(c, row) for c, row in zip(widths, rows, strict=False)]
    return nn.Sequential(conv_bn(3, 16, 3, 2, act=HS), *blocks, conv_bn(widths[-1], 960, 1, act=HS))


class MobileNetV3Large(nn.Module):
    """MobileNetV3-Large 1.0 (arXiv 1905.02244): 5,483,032 parameters."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.features = mobilenet_v3_features()
        self.classifier = nn.Sequential(nn.Linear(960, 1280), HS(), nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class YBlock(nn.Module):
    """RegNet's Y block: 1×1, grouped 3×3, squeeze and excite, 1×1; the shortcut is projected where shapes differ."""

    def __init__(self, c: int, k: int, stride: int, group_width: int) -> None:
        super().__init__()
        self.shortcut = conv_bn(c, k, 1, stride, act=None) if stride != 1 or c != k else nn.Identity()
        self.body = nn.Sequential(
            conv_bn(c, k, 1, act=nn.ReLU),
            conv_bn(k, k, 3, stride, k // group_width, nn.ReLU),
            SqueezeExcite(k, round(c / 4), nn.Sigmoid),
            conv_bn(k, k, 1, act=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.body(x))


class RegNetY400MF(nn.Module):
    """RegNetY-400MF (arXiv 2003.13678): four stages, groups of eight channels; 4,344,144 parameters."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.features = nn.Sequential(conv_bn(3, 32, 3, 2, act=nn.ReLU), *self._blocks())
        self.classifier = nn.Linear(440, classes)

    @staticmethod
    def _blocks() -> Iterator[YBlock]:
        c = 32
        for k, depth in ((48, 1), (104, 3), (208, 6), (440, 6)):
            for i in range(depth):
                yield YBlock(c, k, 2 if i == 0 else 1, 8)
                c = k

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))
