"""Random models, full of what lint repairs: repaired they compute the same, and nothing is left to repair."""

from __future__ import annotations

import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.onnx.lint import fix, lint

from . import models, random_models


class Maker:
    """A model that grows by steps. shapes: tensor → its shape behind the batch; all are float32."""

    def __init__(self, seed: int) -> None:
        self.dice, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.shapes: dict[str, tuple[int, ...]] = {"x": self.dice.choice([(4, 6), (6, 4, 2), (2, 4, 4)])}
        self.count = 0

    def model(self, steps: int) -> onnx.ModelProto:
        for _ in range(steps):
            x = self.dice.choice(list(self.shapes)[-3:])
            step = self.dice.choice([self.transpose, self.elementwise, self.cast, self.reshape, self.shuffle,
                                     self.expand, self.quantise, self.scatter, self.resize, self.nothing])
            y, shape = step(x, self.shapes[x])
            self.shapes[y] = shape
        made = [n for n in self.shapes if n != "x"]
        outputs = dict.fromkeys([made[-1], *self.dice.sample(made, min(len(made), self.dice.randrange(3)))])
        return models.model(self.nodes, {"x": (TensorProto.FLOAT, ["batch", *self.shapes["x"]])},
                            {n: (TensorProto.FLOAT, ["batch", *self.shapes[n]]) for n in outputs}, self.weights)

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        self.count += 1
        name = f"t{self.count}"
        self.nodes.append(helper.make_node(operator, inputs, [name], f"n{self.count}", **attributes))
        return name

    def constant(self, values: object) -> str:
        self.count += 1
        self.weights[name := f"c{self.count}"] = np.asarray(values)
        return name

    def random(self, *shape: int) -> np.ndarray:
        return self.numbers.standard_normal(shape, np.float32)

    # steps: tensor and shape → tensor and shape ----------------------------------------------------------------------
    def transpose(self, x, shape):
        perm = [0, *self.dice.sample(range(1, len(shape) + 1), len(shape))]
        return self.node("Transpose", x, perm=perm), tuple(shape[p - 1] for p in perm[1:])

    def elementwise(self, x, shape):
        operator = self.dice.choice(["Relu", "Sigmoid", "Add", "Mul", "Min"])
        other = [self.constant(self.random(*self.dice.choice([(), (1,), shape[-1:]])))] if len(operator) == 3 else []
        return self.node(operator, x, *other), shape

    def cast(self, x, shape):
        x = self.node("Cast", x, to=self.dice.choice([TensorProto.DOUBLE, TensorProto.FLOAT]))
        if self.nodes[-1].attribute[0].i == TensorProto.DOUBLE:
            if self.dice.random() < 0.5:
                x = self.node("Mul", x, self.constant(self.numbers.standard_normal(1)))
            x = self.node("Cast", x, to=TensorProto.FLOAT)
        return x, shape

    def reshape(self, x, shape):
        target = self.dice.choice([(int(np.prod(shape)),), (*shape, 1), (int(np.prod(shape[:2])), *shape[2:])])
        batch = self.node("Gather", self.node("Shape", x), self.constant(np.array([0])), axis=0)
        rest = self.constant(np.array(target))
        return self.node("Reshape", x, self.node("Concat", batch, rest, axis=0)), target

    def shuffle(self, x, shape):
        if shape[0] % 2:
            return self.transpose(x, shape)
        split = (2, shape[0] // 2, *shape[1:], 1)
        wide = self.node("Reshape", x, self.constant(np.array([0, *split])))
        y, mixed = self.transpose(wide, split)
        joined = (int(np.prod(mixed[:2])), *mixed[2:])
        return self.node("Reshape", y, self.constant(np.array([-1, *joined]))), joined

    def expand(self, x, shape):
        weight = self.constant(self.random(1, *[1 if self.dice.random() < 0.5 else d for d in shape]))
        large = self.node("Expand", weight, self.node("Shape", x))
        return self.node(self.dice.choice(["Add", "Mul"]), x, large), shape

    def quantise(self, x, shape):
        scales = [self.constant(np.float32(s)) for s in (0.125, 0.25)]
        zero = self.constant(np.int8(self.dice.choice([0, 3])))
        for _ in range(self.dice.choice([1, 2])):
            scale = self.dice.choice(scales)
            x = self.node("DequantizeLinear", self.node("QuantizeLinear", x, scale, zero), scale, zero)
        return x, shape

    def scatter(self, x, shape):
        start, count = self.dice.randrange(shape[0]), self.dice.choice([1, 2])
        rows = [(start + i * self.dice.choice([1, 1, 1, 2])) % shape[0] for i in range(count)]
        first = self.node("Transpose", x, perm=[1, 0, *range(2, len(shape) + 1)])
        new = self.node("Gather", first, self.constant(np.arange(count) % shape[0]), axis=0)
        if len(set(rows)) < count:                       # which one wins is not defined
            return x, shape
        done = self.node("ScatterND", first, self.constant(np.array(rows)[:, None]), new)
        return self.node("Transpose", done, perm=[1, 0, *range(2, len(shape) + 1)]), shape

    def resize(self, x, shape):
        if len(shape) != 3 or np.prod(shape) > 500:
            return self.nothing(x, shape)
        sizes = [shape[1] * self.dice.choice([1, 2]), shape[2] + self.dice.choice([0, shape[2], 1])]
        whole = self.node("Concat", self.node("Shape", x, start=0, end=2), self.constant(np.array(sizes)), axis=0)
        mode = self.dice.choice(["nearest", "linear"])
        return self.node("Resize", x, "", "", whole, mode=mode), (shape[0], *sizes)

    def nothing(self, x, shape):
        return self.node(self.dice.choice(["Identity", "Dropout"]), x), shape


def holds(proto: onnx.ModelProto) -> None:
    model = toolkit.load(proto)
    fix(model)
    repaired = model.proto()
    onnx.checker.check_model(repaired, full_check=not proto.functions)
    assert not [str(f) for f in lint(model, level="info") if f.fixable]
    for batch in (1, 3):
        data = random_models.feeds(proto, batch, seed=batch)
        before, after = random_models.run(proto, data), random_models.run(repaired, data)
        for name, y in before.items():
            assert y.shape == after[name].shape
            np.testing.assert_allclose(after[name], y, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("seed", range(25))
def test_models_full_of_findings(seed: int) -> None:
    holds(Maker(seed).model(8))


@pytest.mark.parametrize("seed", range(25))
def test_models_with_branches_bodies_and_functions(seed: int) -> None:
    dice = random.Random(seed)
    holds(random_models.make(dice, dice.randrange(1, 14)))
