"""One engine, several threads: `run` may be called from all of them at once.

    python examples/many_threads.py
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import numpy as np

import tensorwright

DATA = resources.files("tensorwright") / "data"


def main() -> None:
    test = np.load((DATA / "digits_test.npz").open("rb"))
    engine = tensorwright.build((DATA / "digits.onnx").read_bytes(), threads=1,
                                shapes={"image": ((1, 1, 8, 8), (1, 1, 8, 8), (4, 1, 8, 8))})

    def classify(index: int) -> bool:
        return int(engine(test["image"][index:index + 1]).argmax()) == int(test["label"][index])

    with ThreadPoolExecutor(4) as pool:
        right = sum(pool.map(classify, range(len(test["label"]))))
    print(f"{right} of {len(test['label'])} right, four threads at a time")
    assert right > 0.98 * len(test["label"])


if __name__ == "__main__":
    main()
