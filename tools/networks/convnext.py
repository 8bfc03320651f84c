"""ConvNeXt-T (arXiv 2201.03545)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of an image (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """x + γ · mlp(norm(depthwise 7×7 of x)). Training starts γ at 1e-6; here it is as large as training makes it."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(c, c, 7, padding=3, groups=c)
        self.norm = nn.LayerNorm(c, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))
        self.scale = nn.Parameter(torch.full((c, 1, 1), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))
        return x + self.scale * y.permute(0, 3, 1, 2)


class ConvNeXtTiny(nn.Module):
    """Four stages, each after a normalisation and a strided convolution: 28,589,128 parameters."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 96, 4, 4), ChannelNorm(96, eps=1e-6)]
        c = 96
        for k, depth in ((96, 3), (192, 3), (384, 9), (768, 3)):
            if k != c:
                layers += [ChannelNorm(c, eps=1e-6), nn.Conv2d(c, k, 2, 2)]
            layers += [ConvNeXtBlock(k) for _ in range(depth)]
            c = k
        self.features = nn.Sequential(*layers)
        self.norm, self.head = ChannelNorm(c, eps=1e-6), nn.Linear(c, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(nn.functional.adaptive_avg_pool2d(self.features(x), 1)).flatten(1))
