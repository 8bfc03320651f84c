"""Refitter: engines with other weights compute what engines built with them compute."""

import threading
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.cuda import memory as device_memory

from .test_build_and_run import Log, execute, quick

rng = np.random.default_rng(3)
FLAG, ROLE = trt.BuilderFlag, trt.WeightsRole


def random(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def weights() -> dict[str, np.ndarray]:
    """conv 3×3 → scale per channel → ReLU → fully connected-like product with a constant."""
    return {"kernel": random(8 * 3 * 9), "bias": random(8), "scale": random(8), "shift": random(8),
            "matrix": random(8 * 36 * 5)}


def network(builder: Any, w: dict[str, np.ndarray]) -> Any:
    net = builder.create_network()
    x = net.add_input("x", trt.float32, (2, 3, 6, 6))
    conv = net.add_convolution_nd(x, 8, (3, 3), w["kernel"], w["bias"])
    conv.name, conv.padding_nd = "conv", (1, 1)
    scale = net.add_scale(conv.get_output(0), trt.ScaleMode.CHANNEL, w["shift"], w["scale"])
    scale.name = "scale"
    relu = net.add_activation(scale.get_output(0), trt.ActivationType.RELU)
    flat = net.add_shuffle(relu.get_output(0))
    flat.reshape_dims = (2, 288)
    matrix = net.add_constant((288, 5), w["matrix"])
    matrix.name = "matrix"
    product = net.add_matrix_multiply(flat.get_output(0), trt.MatrixOperation.NONE, matrix.get_output(0),
                                      trt.MatrixOperation.NONE)
    product.get_output(0).name = "y"
    net.mark_output(product.get_output(0))
    for name, array in w.items():
        assert net.set_weights_name(trt.Weights(array), f"the {name}")
    return net


def built(w: dict[str, np.ndarray], log: Log, *flags: Any, marked: tuple[str, ...] = ()) -> Any:
    builder = trt.Builder(log)
    config = quick(builder)
    for flag in flags:
        config.set_flag(flag)
    net = network(builder, w)
    for name in marked:
        assert net.mark_weights_refittable(name)
    plan = builder.build_serialized_network(net, config)
    assert plan, log.errors()
    engine = trt.Runtime(log).deserialize_cuda_engine(plan)
    assert engine, log.errors()
    return engine


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def x() -> np.ndarray:
    return random(2, 3, 6, 6)


def results(engine: Any, x: np.ndarray) -> np.ndarray:
    return execute(engine, x=x)["y"]


LAYERS = {"kernel": ("conv", ROLE.KERNEL), "bias": ("conv", ROLE.BIAS), "scale": ("scale", ROLE.SCALE),
          "shift": ("scale", ROLE.SHIFT), "matrix": ("matrix", ROLE.CONSTANT)}


@pytest.mark.parametrize("by", ["role", "name"])
def test_all_weights(by: str, log: Log, x: np.ndarray) -> None:
    old, new = weights(), weights()
    engine, fresh = built(old, log, FLAG.REFIT), built(new, log, FLAG.REFIT)
    assert engine.refittable
    refitter = trt.Refitter(engine, log)
    assert set(zip(*refitter.get_all(), strict=True)) == set(LAYERS.values())
    assert set(refitter.get_all_weights()) == {f"the {n}" for n in old}
    assert refitter.get_missing() == ([], []) and refitter.get_missing_weights() == []
    for name, array in new.items():
        assert refitter.set_weights(*LAYERS[name], array) if by == "role" else \
            refitter.set_named_weights(f"the {name}", trt.Weights(array))
    before = results(engine, x)
    assert refitter.refit_cuda_engine(), log.errors()
    np.testing.assert_array_equal(results(engine, x), results(fresh, x))
    assert not np.allclose(results(engine, x), before)


def test_some_weights_and_then_others(log: Log, x: np.ndarray) -> None:
    """What is not given stays, also what an earlier refit gave: the scale is folded into the filter."""
    old, new = weights(), weights()
    engine = built(old, log, FLAG.REFIT)
    now = dict(old)
    for names in (["scale"], ["kernel", "shift"], ["matrix", "bias"]):
        refitter = trt.Refitter(engine, log)
        for name in names:
            assert refitter.set_named_weights(f"the {name}", new[name])
            now[name] = new[name]
        assert refitter.refit_cuda_engine(), log.errors()
        np.testing.assert_array_equal(results(engine, x), results(built(now, log, FLAG.REFIT), x))


@pytest.mark.parametrize("value", [0, 1])
def test_weights_that_invite_shortcuts(value: int, log: Log, x: np.ndarray) -> None:
    """Built with scales of one, shifts and biases of zero: nothing is left out that other weights need."""
    tempting = weights()
    for name in ("bias", "shift", "scale"):
        tempting[name] = np.full(8, value if name != "scale" else 1, np.float32)
    new = weights()
    engine = built(tempting, log, FLAG.REFIT)
    refitter = trt.Refitter(engine, log)
    for name in new:
        refitter.set_named_weights(f"the {name}", new[name])
    assert refitter.refit_cuda_engine(), log.errors()
    np.testing.assert_array_equal(results(engine, x), results(built(new, log, FLAG.REFIT), x))


def test_live_contexts_see_the_new_weights(log: Log, x: np.ndarray) -> None:
    old, new = weights(), weights()
    engine = built(old, log, FLAG.REFIT)
    expected = results(built(new, log, FLAG.REFIT), x)
    contexts = [engine.create_execution_context() for _ in range(3)]
    outputs = [np.empty((2, 5), np.float32) for _ in contexts]
    def run(context: Any, y: np.ndarray) -> None:
        assert context.execute_v2([x.ctypes.data, y.ctypes.data])
    def all_at_once() -> None:
        threads = [threading.Thread(target=run, args=pair) for pair in zip(contexts, outputs, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    all_at_once()
    assert all(np.array_equal(y, results(engine, x)) for y in outputs)
    refitter = trt.Refitter(engine, log)
    for name in new:
        assert refitter.set_weights(*LAYERS[name], new[name])
    assert refitter.refit_cuda_engine_async(0), log.errors()
    all_at_once()
    for y in outputs:
        np.testing.assert_array_equal(y, expected)


def test_wrong_weights_are_refused(log: Log, x: np.ndarray) -> None:
    engine = built(weights(), log, FLAG.REFIT)
    refitter, before = trt.Refitter(engine, log), results(engine, x)
    assert not refitter.set_weights("conv", ROLE.KERNEL, random(7)) and "216 of DataType.FLOAT are" in log.errors()
    assert not refitter.set_weights("conv", ROLE.KERNEL, np.zeros(216, np.float16))
    assert not refitter.set_weights("conv", ROLE.SCALE, random(8)) and "has no weights of" in log.errors()
    assert not refitter.set_weights("nobody", ROLE.KERNEL, random(8))
    assert not refitter.set_named_weights("nothing", random(8)) and "no weights named 'nothing'" in log.errors()
    assert not refitter.unset_named_weights("the bias")
    assert refitter.refit_cuda_engine()
    np.testing.assert_array_equal(results(engine, x), before)


def test_given_weights_can_be_asked_for_and_forgotten(log: Log, x: np.ndarray) -> None:
    engine = built(weights(), log, FLAG.REFIT)
    refitter, bias, before = trt.Refitter(engine, log), random(8), results(engine, x)
    prototype = refitter.get_weights_prototype("the bias")
    assert (prototype.size, prototype.dtype) == (8, trt.float32)
    assert refitter.get_weights_prototype("nothing").size == 0
    assert refitter.get_named_weights("the bias").size == 0
    assert refitter.set_named_weights("the bias", bias)
    np.testing.assert_array_equal(refitter.get_named_weights("the bias").numpy(), bias)
    assert refitter.get_weights_location("the bias") == trt.TensorLocation.HOST
    assert refitter.unset_named_weights("the bias") and refitter.get_named_weights("the bias").size == 0
    assert refitter.refit_cuda_engine()
    np.testing.assert_array_equal(results(engine, x), before)


def test_weights_on_the_emulated_device(log: Log, x: np.ndarray) -> None:
    old, bias = weights(), random(8)
    engine = built(old, log, FLAG.REFIT)
    address = device_memory.SPACE.allocate(bias.nbytes)
    device_memory.copy(address, bias.ctypes.data, bias.nbytes)
    refitter = trt.Refitter(engine, log)
    there = trt.Weights(trt.float32, address, 8)
    assert not refitter.set_named_weights("the bias", there)                         # said to be the host's
    assert refitter.set_named_weights("the bias", there, trt.TensorLocation.DEVICE), log.errors()
    assert refitter.get_weights_location("the bias") == trt.TensorLocation.DEVICE
    assert refitter.refit_cuda_engine(), log.errors()
    np.testing.assert_array_equal(results(engine, x), results(built({**old, "bias": bias}, log, FLAG.REFIT), x))


def test_engines_that_were_not_built_for_it(log: Log) -> None:
    engine = built(weights(), log)
    assert not engine.refittable
    refitter = trt.Refitter(engine, log)
    assert refitter.get_all() == ([], []) and not refitter.refit_cuda_engine()
    assert "build it with BuilderFlag.REFIT" in log.errors()


def test_only_marked_weights(log: Log, x: np.ndarray) -> None:
    old, new = weights(), weights()
    engine = built(old, log, FLAG.REFIT_INDIVIDUAL, marked=("the kernel", "the bias"))
    refitter = trt.Refitter(engine, log)
    assert refitter.get_all_weights() == ["the kernel", "the bias"]
    assert not refitter.set_named_weights("the scale", new["scale"])
    assert refitter.set_named_weights("the kernel", new["kernel"])
    assert refitter.refit_cuda_engine(), log.errors()
    np.testing.assert_allclose(results(engine, x), results(built({**old, "kernel": new["kernel"]}, log), x), 1e-4, 1e-4)


def test_marks(log: Log) -> None:
    net = network(trt.Builder(log), weights())
    assert not net.mark_weights_refittable("nothing") and "no weights are named 'nothing'" in log.errors()
    assert not net.are_weights_marked_refittable("the bias")
    assert net.mark_weights_refittable("the bias") and net.are_weights_marked_refittable("the bias")
    assert net.unmark_weights_refittable("the bias") and not net.unmark_weights_refittable("the bias")
    assert not net.set_weights_name(random(8), "elsewhere")


def test_identical_weights_only(log: Log, x: np.ndarray) -> None:
    old = weights()
    engine = built(old, log, FLAG.REFIT_IDENTICAL)
    refitter, before = trt.Refitter(engine, log), results(engine, x)
    assert refitter.set_named_weights("the kernel", old["kernel"]) and refitter.refit_cuda_engine(), log.errors()
    assert refitter.set_named_weights("the kernel", old["kernel"] + 1) and not refitter.refit_cuda_engine()
    assert "are not those the engine was built with" in log.errors()
    np.testing.assert_array_equal(results(engine, x), before)


def test_dynamic_ranges(log: Log) -> None:
    refitter = trt.Refitter(built(weights(), log, FLAG.REFIT), log)
    assert refitter.get_tensors_with_dynamic_range() == [] and not refitter.set_dynamic_range("x", [-1.0, 1.0])
    with pytest.raises(ValueError, match="two numbers"):
        refitter.set_dynamic_range("x", [1.0])


def test_a_recorder_hears_refusals(log: Log) -> None:
    class Recorder(trt.IErrorRecorder):
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def report_error(self, val: Any, desc: str) -> bool:
            self.errors.append(desc)
            return False
    refitter = trt.Refitter(built(weights(), log, FLAG.REFIT), log)
    refitter.error_recorder = recorder = Recorder()
    refitter.set_named_weights("nothing", random(8))
    assert recorder.errors == ["no weights named 'nothing' can be replaced"]


def test_resources_can_be_released(log: Log, x: np.ndarray) -> None:
    old, bias = weights(), random(8)
    engine = built(old, log, FLAG.REFIT)
    refitter = trt.Refitter(engine, log)
    assert refitter.set_named_weights("the bias", bias) and refitter.refit_cuda_engine()
    refitter.release_refit_resources()
    assert refitter.get_named_weights("the bias").size == 0 and refitter.refit_cuda_engine()
    np.testing.assert_array_equal(results(engine, x), results(built({**old, "bias": bias}, log, FLAG.REFIT), x))
