"""A YOLOv8-style detector: CSP backbone, SPPF, path aggregation, anchor-free head with distribution focal decoding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvSiLU(nn.Module):
    def __init__(self, c: int, k: int, size: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(c, k, size, stride, size // 2, bias=False), nn.BatchNorm2d(k, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, c: int, add: bool) -> None:
        super().__init__()
        self.first, self.second, self.add = ConvSiLU(c, c, 3), ConvSiLU(c, c, 3), add

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        return x + y if self.add else y


class C2f(nn.Module):
    """Split, a chain of bottlenecks, all intermediate results concatenated."""

    def __init__(self, c: int, k: int, count: int, add: bool) -> None:
        super().__init__()
        self.half = k // 2
        self.first, self.last = ConvSiLU(c, k), ConvSiLU((2 + count) * self.half, k)
        self.chain = nn.ModuleList([Bottleneck(self.half, add) for _ in range(count)])

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.first(x).split(self.half, 1))
        for block in self.chain:
            parts.append(block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Sppf(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.first, self.last, self.pool = ConvSiLU(c, c // 2), ConvSiLU(2 * c, c), nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        b = self.pool(a)
        c = self.pool(b)
        return self.last(torch.cat([a, b, c, self.pool(c)], 1))


class Head(nn.Module):
    """Per scale: box distribution (4 × bins) and class scores; boxes decoded to pixels (x, y, w, h)."""

    def __init__(self, channels: tuple[int, ...], classes: int, bins: int, image: int) -> None:
        super().__init__()
        self.bins, self.classes = bins, classes
        mid_box, mid_class = max(16, channels[0] // 4, 4 * bins), max(channels[0], min(classes, 100))
        self.boxes = nn.ModuleList(
            [
                nn.Sequential(ConvSiLU(c, mid_box, 3), ConvSiLU(mid_box, mid_box, 3), nn.Conv2d(mid_box, 4 * bins, 1))
                for c in channels
            ]
        )
        self.scores = nn.ModuleList(
            [
                nn.Sequential(
                    ConvSiLU(c, mid_class, 3), ConvSiLU(mid_class, mid_class, 3), nn.Conv2d(mid_class, classes, 1)
                )
                for c in channels
            ]
        )
        points, strides = [], []
        for stride in (8, 16, 32):
            side = image // stride
            ys, xs = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
            points.append(torch.stack([xs.flatten(), ys.flatten()]))
            strides.append(torch.full((1, side * side), float(stride)))
        self.register_buffer("points", torch.cat(points, 1)[None])
        self.register_buffer("strides", torch.cat(strides, 1)[None])
        self.register_buffer("steps", torch.arange(bins, dtype=torch.float32).view(1, bins, 1, 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        n = maps[0].shape[0]
        boxes = torch.cat([f(x).view(n, 4 * self.bins, -1) for f, x in zip(self.boxes, maps, strict=True)], 2)
        scores = torch.cat([f(x).view(n, self.classes, -1) for f, x in zip(self.scores, maps, strict=True)], 2)
        distances = (boxes.view(n, 4, self.bins, -1).transpose(1, 2).softmax(1) * self.steps).sum(1)
        low, high = self.points - distances[:, :2], self.points + distances[:, 2:]
        boxes = torch.cat([(low + high) / 2, high - low], 1) * self.strides
        return torch.cat([boxes, scores.sigmoid()], 1)


class Detector(nn.Module):
    """Image (batch, 3, side, side) → (batch, 4 + classes, boxes). Widths of the "nano" size."""

    def __init__(self, image: int = 640, classes: int = 80, width: int = 16, bins: int = 16) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(ConvSiLU(3, w, 3, 2), ConvSiLU(w, 2 * w, 3, 2), C2f(2 * w, 2 * w, 1, True))
        self.down3 = nn.Sequential(ConvSiLU(2 * w, 4 * w, 3, 2), C2f(4 * w, 4 * w, 2, True))
        self.down4 = nn.Sequential(ConvSiLU(4 * w, 8 * w, 3, 2), C2f(8 * w, 8 * w, 2, True))
        self.down5 = nn.Sequential(ConvSiLU(8 * w, 16 * w, 3, 2), C2f(16 * w, 16 * w, 1, True), Sppf(16 * w))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.up4, self.up3 = C2f(24 * w, 8 * w, 1, False), C2f(12 * w, 4 * w, 1, False)
        self.half4, self.pan4 = ConvSiLU(4 * w, 4 * w, 3, 2), C2f(12 * w, 8 * w, 1, False)
        self.half5, self.pan5 = ConvSiLU(8 * w, 8 * w, 3, 2), C2f(24 * w, 16 * w, 1, False)
        self.head = Head((4 * w, 8 * w, 16 * w), classes, bins, image)

    def forward(self, image: Tensor) -> Tensor:
        p3 = self.down3(self.stem(image))
        p4 = self.down4(p3)
        p5 = self.down5(p4)
        u4 = self.up4(torch.cat([self.up(p5), p4], 1))
        u3 = self.up3(torch.cat([self.up(u4), p3], 1))
        q4 = self.pan4(torch.cat([self.half4(u3), u4], 1))
        q5 = self.pan5(torch.cat([self.half5(q4), p5], 1))
        return self.head([u3, q4, q5])
