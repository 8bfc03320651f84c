"""Train the digits model that ships with tensorwright, and write it with its held-out images.

    python tools/train_digits.py            # writes src/tensorwright/data/digits.onnx and digits_test.npz

A residual network of 12 convolutions learns the 8×8 handwritten digits of scikit-learn on the CPU: seeded, half a
minute on two cores. A quarter of the images, drawn by class, never touches training; accuracy on it is printed and must
reach 98 %.
Needs torch, onnxscript and scikit-learn, which the package itself does not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

DATA = Path(__file__).resolve().parent.parent / "src" / "tensorwright" / "data"


class Block(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)): (N, C, H, W) → (N, K, H / stride, W / stride)"""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class DigitsNet(nn.Module):
    """(N, 1, 8, 8) in 0..1 → logits (N, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.blocks = nn.Sequential(Block(32, 32), Block(32, 32), Block(32, 64, 2), Block(64, 64), Block(64, 64))
        self.head = nn.Linear(64, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(image)).mean((2, 3)))


def load(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, then held-out images and labels. Images are float32 (N, 1, 8, 8) in 0..1."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    x, held_x, y, held_y = train_test_split(
        images, digits.target, test_size=0.25, random_state=seed, stratify=digits.target
    )
    return x, y, held_x, held_y


def shifted(x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Each image moved by at most one pixel each way, zeros coming in."""
    moves = torch.randint(0, 3, (len(x), 2), generator=random)
    padded = F.pad(x, (1, 1, 1, 1))
    return torch.stack([p[:, i : i + 8, j : j + 8] for p, (i, j) in zip(padded, moves.tolist(), strict=True)])


def train(x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> DigitsNet:
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    model, batch = DigitsNet(), 64
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs=epochs, steps_per_epoch=-(-len(x) // batch))
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(images), generator=random).split(batch):
            loss = F.cross_entropy(model(shifted(images[chosen], random)), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1:2}/{epochs}  loss {total / len(x):.4f}", flush=True)
    return model.eval()


def export(model: DigitsNet, path: Path) -> None:
    """ONNX, opset 18, batch dynamic. The exporter folds the batch normalisations into the convolutions."""
    example = torch.zeros(2, 1, 8, 8)
    torch.onnx.export(
        model,
        (example,),
        str(path),
        input_names=["image"],
        output_names=["logits"],
        opset_version=18,
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    strip(path)


def strip(path: Path) -> None:
    """Without the exporter's notes about the source code it was traced from: they name paths of the machine."""
    import onnx

    proto = onnx.load(path)
    graph = proto.graph
    for holder in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del holder.metadata_props[:]
        if hasattr(holder, "doc_string"):
            holder.ClearField("doc_string")
    proto.graph.name = "digits"
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=DATA, help="folder to write to")
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    x, y, held_x, held_y = load(options.seed)
    model = train(x, y, options.epochs, options.seed)
    with torch.no_grad():
        accuracy = float((model(torch.from_numpy(held_x)).argmax(1).numpy() == held_y).mean())
    print(f"held-out accuracy {accuracy:.4f} on {len(held_y)} images")
    if accuracy < 0.98:
        raise SystemExit("accuracy below 98 %: nothing written")
    options.output.mkdir(parents=True, exist_ok=True)
    export(model, options.output / "digits.onnx")
    np.savez_compressed(options.output / "digits_test.npz", image=held_x, label=held_y.astype(np.int64))
    for name in ("digits.onnx", "digits_test.npz"):
        print(f"{name}: {(options.output / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
