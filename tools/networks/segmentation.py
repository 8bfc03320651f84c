"""Networks that label every pixel: DeepLabV3 on MobileNetV3-Large, and U-Net."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .mobile import LARGE, mobilenet_v3_features
from .vision import conv_bn

#: MobileNetV3-Large whose last three blocks see twice as far instead of halving the image again
DILATED = (*LARGE[:12], *(row._replace(stride=1, dilation=2) for row in LARGE[12:]))


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: the image seen at five scales, joined. (N, C, H, W) → (N, 256, H, W)"""

    def __init__(self, c: int, rates: tuple[int, ...] = (12, 24, 36)) -> None:
        super().__init__()
        atrous = [conv_bn(c, 256, 3, act=nn.ReLU, dilation=r) for r in rates]
        self.scales = nn.ModuleList([conv_bn(c, 256, 1, act=nn.ReLU), *atrous])
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn(c, 256, 1, act=nn.ReLU))
        self.project = conv_bn(5 * 256, 256, 1, act=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        whole = nn.functional.interpolate(self.whole(x), size=x.shape[-2:], mode="bilinear", align_corners=False)
        return self.project(torch.cat([*(scale(x) for scale in self.scales), whole], 1))


class DeepLabV3(nn.Module):
    """DeepLabV3 (arXiv 1706.05587) on MobileNetV3-Large, output stride 16, for 21 classes: 11,025,477 parameters.

    Training has 3,851 more in an auxiliary classifier.
    """

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.features = mobilenet_v3_features(DILATED)
        self.head = nn.Sequential(Pyramid(960), conv_bn(256, 256, 3, act=nn.ReLU), nn.Conv2d(256, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        return nn.functional.interpolate(self.head(self.features(x)), size=size, mode="bilinear", align_corners=False)


def twice(c: int, k: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(c, k, 3, act=nn.ReLU), conv_bn(k, k, 3, act=nn.ReLU))


class UNet(nn.Module):
    """U-Net (arXiv 1505.04597) with padded convolutions and batch normalisation, 32 channels at full size.

    (N, 3, H, W) → (N, 1, H, W): the probability of the foreground. 7.8 million parameters.
    """

    def __init__(self, width: int = 32, levels: int = 4) -> None:
        super().__init__()
        widths = [width << i for i in range(levels + 1)]
        self.down = nn.ModuleList([twice(c, k) for c, k in zip([3, *widths], widths, strict=False)])
        pairs = [*pairwise(widths)][::-1]
        self.up = nn.ModuleList([nn.ConvTranspose2d(k, c, 2, 2) for c, k in pairs])
        self.join = nn.ModuleList([twice(2 * c, c) for c, _ in pairs])
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for up, join, skipped in zip(self.up, self.join, kept[-2::-1], strict=True):
            x = join(torch.cat([up(x), skipped], 1))
        return torch.sigmoid(self.last(x))
