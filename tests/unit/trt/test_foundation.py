"""Shapes, weights, buffers, enumerations, loggers."""

import re

import ml_dtypes
import numpy as np
import pytest

import tensorwright as trt


def test_dims_behave_like_a_sequence() -> None:
    dims = trt.Dims([1, 3, 224, 224])
    assert len(dims) == 4 and dims[1] == 3 and dims[-1] == 224 and dims[1:3] == (3, 224)
    assert dims == (1, 3, 224, 224) and dims == [1, 3, 224, 224] and str(dims) == "(1, 3, 224, 224)"
    dims[0] = 8
    assert tuple(dims) == (8, 3, 224, 224)
    with pytest.raises(IndexError):
        dims[4]
    with pytest.raises(ValueError):
        trt.Dims(range(9))
    with pytest.raises(ValueError):
        len(trt.Dims.invalid())


def test_fixed_dims() -> None:
    hw = trt.DimsHW(3, 5)
    assert (hw.h, hw.w) == (3, 5) and trt.DimsHW((3, 5)) == hw and trt.Dims4(1, 2, 3, 4) == (1, 2, 3, 4)
    with pytest.raises(ValueError):
        trt.Dims3(1, 2)


def test_permutation_is_eight_long() -> None:
    assert tuple(trt.Permutation([1, 0])) == (1, 0, 2, 3, 4, 5, 6, 7)


def test_volume() -> None:
    assert trt.volume(()) == 1 and trt.volume((2, 3, 4)) == 24 and trt.volume(trt.Dims((2, -1))) == -2


def test_nptype() -> None:
    assert trt.nptype(trt.float32) is np.float32 and trt.nptype(trt.int64) is np.int64
    assert trt.nptype(trt.bool) is np.bool_ and trt.nptype(trt.float16) is np.float16
    for dtype in (trt.bfloat16, trt.fp8, trt.int4, trt.fp4, trt.e8m0):
        with pytest.raises(TypeError):
            trt.nptype(dtype)


def test_weights_from_an_array_share_its_memory() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    weights = trt.Weights(array)
    assert (weights.size, weights.nbytes, len(weights), weights.dtype) == (6, 24, 6, trt.float32)
    array[0, 0] = 7
    assert weights.numpy()[0] == 7


def test_weights_from_an_address() -> None:
    array = np.array([1.5, 2.5], np.float32)
    weights = trt.Weights(trt.float32, array.ctypes.data, 2)
    assert weights.numpy().tolist() == [1.5, 2.5] and trt.Weights(trt.int8).size == 0


def test_weights_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        trt.Weights(np.zeros((4, 4), np.float32).T[1:])
    with pytest.raises(ValueError, match="float64"):
        trt.Weights(np.zeros(3))
    with pytest.raises(ValueError):
        trt.Weights(np.array(["a"]))


def test_weights_without_numpy_type_give_themselves() -> None:
    weights = trt.Weights(np.zeros(3, ml_dtypes.bfloat16))
    assert weights.dtype is trt.bfloat16 and weights.numpy() is weights


def test_host_memory_is_a_buffer() -> None:
    memory = trt.IHostMemory(b"abc")
    assert bytes(memory) == b"abc" and memoryview(memory).nbytes == memory.nbytes == 3 and memory
    with memory as inner:
        assert inner is memory


def test_enumerations() -> None:
    flag = trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH
    assert 1 << int(flag) == 1 and str(trt.DataType.FLOAT) == "DataType.FLOAT" and trt.float32 is trt.DataType.FLOAT
    assert trt.DataType.FLOAT != 0 and trt.DataType.FLOAT != trt.ActivationType.RELU
    assert hash(trt.DataType.FLOAT) != hash(trt.ActivationType.RELU)
    assert trt.DataType(8) is trt.int64 and "FP16" in trt.BuilderFlag.__members__
    assert trt.Logger.Severity.ERROR < trt.Logger.Severity.INFO
    with pytest.raises(TypeError):
        trt.DataType.FLOAT < trt.DataType.HALF  # type: ignore[operator]  # noqa: B015


@pytest.mark.parametrize(("member", "value"), [
    (trt.DataType.BF16, 7), (trt.LayerType.CONVOLUTION, 0), (trt.LayerType.SHUFFLE, 13), (trt.UnaryOperation.ERF, 19),
    (trt.BuilderFlag.TF32, 6), (trt.BuilderFlag.REFIT, 4), (trt.PaddingMode.SAME_UPPER, 2),
    (trt.ElementWiseOperation.FLOOR_DIV, 7), (trt.ActivationType.GELU_TANH, 13), (trt.MemoryPoolType.WORKSPACE, 0),
    (trt.TensorIOMode.INPUT, 1), (trt.ReduceOperation.AVG, 4), (trt.ProfilingVerbosity.DETAILED, 2),
    (trt.Logger.VERBOSE, 4), (trt.TensorFormat.HWC, 8)])
def test_integers_of_generation_10(member: object, value: int) -> None:
    assert int(member) == value  # type: ignore[call-overload]


def test_itemsize() -> None:
    assert [t.itemsize for t in (trt.float32, trt.float16, trt.int4, trt.int64, trt.bool)] == [4, 2, 0.5, 8, 1]


def test_logger_prints_what_is_severe_enough(capsys: pytest.CaptureFixture[str]) -> None:
    logger = trt.Logger()
    logger.log(trt.Logger.INFO, "quiet")
    logger.log(trt.Logger.ERROR, "loud")
    assert re.fullmatch(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[TRT\] \[E\] loud\n", capsys.readouterr().out)
    logger.min_severity = trt.Logger.VERBOSE
    logger.log(trt.Logger.VERBOSE, "detail")
    assert "[V] detail" in capsys.readouterr().out


def test_exceptions_in_a_users_logger_stay_inside(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(trt.ILogger):
        def log(self, severity: object, msg: str) -> None:
            raise KeyError("inside")
    network = trt.Builder(Broken()).create_network()
    assert network.add_input("", trt.float32, (1,)) is None
    assert "inside" in capsys.readouterr().err


def test_names_of_no_generation_are_missing() -> None:
    for name in ("nonsense", "np", "IPluginV4"):
        assert not hasattr(trt, name)


def test_top_level_and_module_agree() -> None:
    from tensorwright import trt as module
    assert set(module.__all__) - {"bool"} <= set(trt.__all__)
    for name in trt.__all__:
        assert getattr(trt, name) is not None
    assert trt.bool is module.bool
