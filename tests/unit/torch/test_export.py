"""tensorwright.torch.export: names, dynamic dimensions, checks against the module, and explanations of failures."""

import collections
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import tensorwright.torch as tt
from tensorwright import onnx as toolkit
from tensorwright.errors import ExportError, InputError

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
nn = torch.nn

HERE = Path(__file__).name


class Net(nn.Module):
    """A layer that differs in training, one with a running average, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.drop, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Linear(4, 5)

    def forward(self, image: torch.Tensor, *, temperature: float = 2.0) -> dict[str, torch.Tensor]:
        x = self.drop(torch.relu(self.bn(self.conv(image)))).mean((2, 3))
        return {"logits": self.fc(x) / temperature, "features": x}


def shape(model: toolkit.Model, name: str) -> list:
    return [d if isinstance(d, int) else d.value for d in model.value(name).shape]


@pytest.mark.parametrize("exporter", ["dynamo", "script"])
def test_names_batch_and_mode(exporter: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    net = Net().train()
    net.bn.eval()
    example = torch.randn(1, 3, 8, 8)
    report = tt.export(net, example, tmp_path / "net.onnx", exporter=exporter, lint=False)
    assert (net.training, net.bn.training, net.drop.training) == (True, False, True), "every part is in its mode again"
    assert [v.name for v in report.model.inputs] == ["image"] and shape(report.model, "image") == ["batch", 3, 8, 8]
    assert [v.name for v in report.model.outputs] == ["logits", "features"]
    assert shape(report.model, "logits") == ["batch", 5]
    assert [c.batch for c in report.checks] == [1, 2, 3] and report.difference < 1e-4
    assert (report.exporter, report.runtime, report.model.opset) == (exporter, "onnxruntime", 18)
    heard = capfd.readouterr()
    assert not heard.out and not heard.err, "exporters are not heard"
    expected = net.eval()(example)["logits"].detach().numpy()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()                                    # the model has weights of its own
    for model in (report.path, report.model.proto().SerializeToString()):
        got = onnxruntime.InferenceSession(model).run(["logits"], {"image": example.numpy()})[0]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert "batch 3" in str(report) and "image" in str(report)


class Reshaped(nn.Module):
    """What TorchScript's exporter knows no size of."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.reshape(x.shape[0], -1), x.flatten(1)], 1)


@pytest.mark.parametrize("exporter", ["dynamo", "script"])
def test_the_batch_of_outputs_is_called_so(exporter: str) -> None:
    report = tt.export(Reshaped(), torch.randn(1, 2, 3), exporter=exporter, lint=False)
    assert shape(report.model, "output") == ["batch", 12]


class Nested(nn.Module):
    def forward(self, ids: torch.Tensor, past: Any, mask: torch.Tensor | None = None) -> Any:
        y = ids.float() + past[0]["k"] + past[1]["k"]
        return collections.namedtuple("Out", "sum product")(y if mask is None else y * mask, past[0]["k"] * 2)


@pytest.mark.parametrize("exporter", ["dynamo", "script"])
def test_nested_arguments_own_names_and_axes(exporter: str) -> None:
    shared = torch.randn(2, 6)                           # one tensor in two places stays two inputs
    example = {"ids": torch.randint(0, 9, (2, 6)), "past": [{"k": shared}, {"k": shared}]}
    axes = {n: {0: "batch", 1: "tokens"} for n in ("ids", "past_0_k", "past_1_k")}
    report = tt.export(Nested(), example, exporter=exporter, dynamic=axes, lint=False)
    assert [v.name for v in report.model.inputs] == ["ids", "past_0_k", "past_1_k"]
    assert [v.name for v in report.model.outputs] == ["sum", "product"]
    assert all(shape(report.model, n) == ["batch", "tokens"] for n in axes)
    named = tt.export(Nested(), example, names=(["a", "b", "c"], ["d", "e"]), exporter=exporter, dynamic=None,
                      lint=False)
    assert [v.name for v in (*named.model.inputs, *named.model.outputs)] == list("abcde")
    assert shape(named.model, "a") == [2, 6] and [c.batch for c in named.checks] == [None]


def test_our_reference_checks_where_onnx_runtime_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = tt.export(Net(), torch.randn(2, 3, 8, 8), lint=False)
    assert report.runtime == "tensorwright" and report.difference < 1e-4


class Branch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:                                  # LINE branch
            return x * 2
        return x * 3


class Loop(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[i] * (i + 1) for i in range(x.shape[0])])     # LINE loop


class Unknown(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x)                # LINE unknown


class Halves(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(2, -1)                          # a shape that is right for any batch, and no batch of results


class Grown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total += 1
        x.mul_(2)
        return x + self.total


def line(mark: str) -> str:
    lines = Path(__file__).read_text().splitlines()
    number = next(i for i, text in enumerate(lines, 1) if text.endswith(f"LINE {mark}"))
    return f"{HERE}, line {number}"


@pytest.mark.parametrize(("module", "exporter", "says", "mark"), [
    (Branch(), "dynamo", "control flow depends on values", "branch"), (Loop(), "dynamo", "Python number", "loop"),
    (Loop(), "script", "batch 1", ""), (Unknown(), "dynamo", "bessel_j0 has no ONNX form", "unknown"),
    (Unknown(), "script", "bessel_j0 has no ONNX form", "unknown"), (Unknown(), "auto", "the script exporter", ""),
])
def test_failures_are_explained(module: nn.Module, exporter: str, says: str, mark: str, tmp_path: Path,
                                capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExportError) as error:
        tt.export(module, torch.randn(2, 3), tmp_path / "x.onnx", exporter=exporter)
    text = str(error.value)
    assert says in text and error.value.try_ and (line(mark) in text if mark else True), text
    assert not list(tmp_path.iterdir()) and module.training
    heard = capfd.readouterr()
    assert not heard.out and not heard.err


def test_a_frozen_branch_is_noted_and_caught() -> None:
    """Positive data takes the same branch everywhere: only the note tells. Other data shows the difference."""
    module = Branch()
    report = tt.export(module, torch.full((2, 300), 5.0), exporter="script", lint=False)
    assert any("if or while" in n.what and line("branch") in n.where for n in report.notes)
    with pytest.raises(ExportError, match="differs"):
        tt.export(module, torch.zeros(2, 300), exporter="script", check_batches=range(1, 12))
    assert any("dynamo exporter was tried first" in n.what for n in tt.export(module, torch.full((2, 300), 5.0),
                                                                              lint=False).notes)


def test_state_and_inputs_changed_by_forward_are_noted_and_put_back() -> None:
    module, x = Grown(), torch.ones(2, 3)
    report = tt.export(module, x, lint=False)
    assert {n.what.split("'")[1] for n in report.notes} >= {"x", "total"}
    assert not module.total.any() and (x == 1).all()


class Positions(nn.Module):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return ids * torch.from_numpy(np.arange(int(ids.shape[1])))


def test_a_length_that_became_a_constant_is_caught_too() -> None:
    """TorchScript's exporter says the axis is dynamic, and it is not: NumPy saw its size."""
    with pytest.raises(ExportError, match=r"cannot run batch 2|has the shape"):
        tt.export(Positions(), torch.ones(2, 6, dtype=torch.int64), exporter="script",
                  dynamic={"ids": {0: "batch", 1: "tokens"}})


@pytest.mark.parametrize(("example", "more"), [
    ((), {}), ({"y": 1}, {}), (torch.ones(2, 3), {"names": (["a", "b"], None)}), (torch.ones(2, 3), {"dynamic": "all"}),
    (torch.ones(2, 3), {"dynamic": {"x": {5: "n"}}}), (torch.ones(2, 3), {"dynamic": {"y": {0: "n"}}}),
    (torch.ones(2, 3), {"exporter": "best"}), (torch.ones(2, 3), {"names": (None, ["x"])}), ((object(),), {}),
])
def test_wrong_requests(example: Any, more: dict) -> None:
    with pytest.raises(InputError):
        tt.export(Halves(), example, **more)


def test_a_forward_that_fails_is_told_before_exporting() -> None:
    with pytest.raises(ExportError, match="forward fails with the example"):
        tt.export(Net(), torch.ones(2, 4, 8, 8))


def test_findings_of_the_linter() -> None:
    class Square(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.double() @ torch.eye(3, dtype=torch.float64)
    assert tt.export(Square(), torch.ones(2, 3), exporter="script").findings
    assert not tt.export(Square(), torch.ones(2, 3), exporter="script", lint=False).findings
