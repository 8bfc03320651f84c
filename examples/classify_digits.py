"""The short door: build the model that ships with the package, save it, load it, and classify held-out images.

    python examples/classify_digits.py
"""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

import numpy as np

import tensorwright

DATA = resources.files("tensorwright") / "data"


def main() -> None:
    model, test = (DATA / "digits.onnx").read_bytes(), np.load((DATA / "digits_test.npz").open("rb"))
    engine = tensorwright.build(model, shapes={"image": ((1, 1, 8, 8), (8, 1, 8, 8), (64, 1, 8, 8))})
    with tempfile.TemporaryDirectory() as folder:
        engine.save(Path(folder) / "digits.plan")
        engine = tensorwright.load(Path(folder) / "digits.plan")        # as another process would
    right = 0
    for start in range(0, len(test["image"]), 64):
        logits = engine(test["image"][start:start + 64])
        right += int((logits.argmax(axis=1) == test["label"][start:start + 64]).sum())
    print(f"{right} of {len(test['label'])} held-out digits are right")
    print(engine.inspect())
    assert right > 0.98 * len(test["label"])


if __name__ == "__main__":
    main()
