"""What a plan keeps of a plugin's use: written and read back, and refused when it is damaged."""

import json
import random
from typing import Any

import pytest

from tensorwright.dims import maximum, symbol
from tensorwright.dtypes import DType
from tensorwright.errors import PlanError, ShapeError, TensorwrightError
from tensorwright.ir import TensorType
from tensorwright.plugins import Output, UpTo
from tensorwright.trt.plugins.adapters import Kept
from tensorwright.trt.plugins.plans import Rule, Use

USE = Use("v3", "layer é", (Rule(("i0_0", "2*size_that_output_1_gives", "s0_0"), "float32"), Rule((), "int32")),
          {"size_that_output_1_gives": (1, "i0_0*i0_1")}, (("float32", 2),), (1,), 0,
          Kept(b"\x00\xff", (("pads", "INT32", 2, b"12345678"),)), 3, 64, (-1, -1), 0, True)


def test_it_is_read_back_as_it_was() -> None:
    assert Use.decode(USE.encode()) == USE


def test_outputs_follow_from_the_rules() -> None:
    n = symbol("n")
    first, second = USE.outputs([TensorType((n, 5), DType.float32)], [(7,)])
    assert first == Output((n, UpTo(maximum(n * 10, 0)), 7), DType.float32) and second == TensorType((), DType.int32)
    for types, values in (([TensorType((n, 5), DType.float16)], [(7,)]), ([TensorType((n,), DType.float32)], [(7,)]),
                          ([], [(7,)]), ([TensorType((n, 5), DType.float32)], [])):
        with pytest.raises(ShapeError):
            USE.outputs(types, values)


def test_damaged_records_are_errors_of_ours() -> None:
    rng, text = random.Random(0), USE.encode()
    tree = json.loads(text)
    for key in tree:
        for wrong in (None, [], "x", {"a": 1}, -1.5, [[1]]):
            _refused_or_sound(json.dumps({**tree, key: wrong}).encode())
        _refused_or_sound(json.dumps({k: v for k, v in tree.items() if k != key}).encode())
    for _ in range(300):
        damaged = bytearray(text)
        damaged[rng.randrange(len(text))] = rng.randrange(256)
        _refused_or_sound(bytes(damaged))
    for bad in (b"", b"[" * 100000, b"\xff", json.dumps({**tree, "tactic": float("inf")}).encode()):
        with pytest.raises(PlanError, match="damaged"):
            Use.decode(bad)


def _refused_or_sound(state: bytes) -> Any:
    try:
        return Use.decode(state)
    except TensorwrightError:
        return None
