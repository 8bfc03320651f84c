"""The real exports that the toolkit's tests work on: they are what their README says, and can be exported again."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

EXPORTS = Path(__file__).parents[2] / "data" / "exports"


def feeds(name: str, batch: int, tokens: int = 9) -> dict[str, np.ndarray]:
    random = np.random.default_rng(batch)
    if name != "bert":
        image = random.random((batch, 3, 64, 64), dtype=np.float32)
        return {"images" if name == "detector" else "image": image}
    mask = np.ones((batch, tokens), np.int64)
    mask[-1, tokens // 2:] = 0
    return {"input_ids": random.integers(0, 200, (batch, tokens)), "attention_mask": mask,
            "token_type_ids": random.integers(0, 2, (batch, tokens))}


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)


@pytest.mark.parametrize(("name", "producer", "opset"), [("detector", "2.13.0", 17), ("resnet", "2.13.0+cpu", 18),
                                                         ("bert", "2.13.0+cpu", 18)])
def test_a_small_dynamic_model_of_pytorch(name: str, producer: str, opset: int) -> None:
    path = EXPORTS / f"{name}.onnx"
    assert path.stat().st_size < 300_000
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, model.producer_version, model.opset_import[0].version) == ("pytorch", producer, opset)
    shapes = {"detector": [(9, 84)], "resnet": [(10,)], "bert": [(9, 32), (32,)]}[name]
    for batch in (1, 3):
        results = run(model, feeds(name, batch))
        assert [r.shape for r in results] == [(batch, *shape) for shape in shapes]
        assert all(np.isfinite(r).all() and r.std() > 0.01 for r in results)


@pytest.mark.parametrize("name", ["detector", "resnet", "bert"])
def test_it_computes_what_the_module_computes(name: str) -> None:
    torch = pytest.importorskip("torch")
    from tools import exports
    model, inputs = onnx.load(EXPORTS / f"{name}.onnx"), feeds(name, 2)
    with torch.no_grad():
        results = exports.MODULES[name]()(*(torch.from_numpy(a) for a in inputs.values()))
    for got, expected in zip(run(model, inputs), results if isinstance(results, tuple) else [results], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["detector", "resnet", "bert"])
def test_another_export_computes_the_same(name: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from tools import exports
    again, committed, inputs = exports.EXPORTS[name](), onnx.load(EXPORTS / f"{name}.onnx"), feeds(name, 2)
    for new, old in zip(run(again, inputs), run(committed, inputs), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4)
