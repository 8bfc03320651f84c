"""A torch.autograd.Function with its plugin: exported as one node by both exporters, and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorwright
import tensorwright.torch as tt
from tensorwright import ExportError, InputError, plugins
from tensorwright.plugins import Attribute, Output, UpTo, ops
from tests.unit.plugins.conftest import own_registry

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
assert own_registry
BOTH = pytest.mark.parametrize("exporter", ["script", "dynamo"])


def swish(exponent: Any = np.exp, **options: Any) -> Any:
    @tensorwright.custom_op("acme::swish", version="2", **options)
    def swish(x, beta: float = 1.0):
        return x / (1 + exponent(-beta * x))

    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, beta):                       # NumPy inside: no exporter can look into it
            a = x.detach().double().numpy()
            return torch.from_numpy(a / (1 + np.exp(-beta * a))).to(x.dtype)

    return tt.custom(Swish, swish)


class Net(torch.nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.fc = function, torch.nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function.apply(self.fc(x), 1.5).flatten(1) + 1


@BOTH
def test_a_module_exports_with_the_node_and_builds(exporter: Any, tmp_path) -> None:
    torch.manual_seed(0)
    net = Net(swish())
    report = tt.export(net, torch.randn(2, 3), tmp_path / "net.onnx", exporter=exporter, lint=False)
    custom = [n for n in report.model.graph if n.op_type == "swish"]
    assert [(n.domain, n.attributes["beta"].value, n.attributes["plugin_version"].value) for n in custom] == [
        ("acme", 1.5, "2")]
    assert report.runtime == "tensorwright" and [c.batch for c in report.checks] == [1, 2, 3]
    engine = tensorwright.build(tmp_path / "net.onnx", shapes={"batch": (1, 2, 8)}, tune_budget=0.0, threads=1,
                                timing_cache=False)
    x = torch.randn(7, 3)
    np.testing.assert_allclose(engine(x.numpy()), net(x).detach().numpy(), rtol=1e-4, atol=1e-5)


@BOTH
def test_the_plugin_is_compared_with_forward(exporter: Any) -> None:
    function = swish()
    report = tt.check_plugin(function, (torch.randn(4, 3, requires_grad=True), 0.5), (torch.zeros(1, 2, 2), -3.0),
                             exporter=exporter)
    assert [c.batch for c in report.checks] == [None, None, 1, 2, 3] and report.difference < 1e-5
    assert report.checks[1].shapes == {"output": (1, 2, 2)}


def test_a_plugin_that_differs_is_found() -> None:
    with pytest.raises(ExportError, match="differs"):
        tt.check_plugin(swish(lambda x: np.exp(x) * 1.01), (torch.randn(4, 3), 0.5), exporter="script")
    with pytest.raises(ExportError, match="swish"):
        tt.check_plugin(swish(replace=True, shape=lambda x: (x.shape[1], x.shape[0])), (torch.randn(4, 3), 0.5),
                        exporter="script")


@BOTH
def test_two_outputs_an_absent_input_and_attributes_of_other_names(exporter: Any) -> None:
    @tensorwright.custom_op("best", shape=lambda x, bias=None, *, k: [(x.shape[0], k), (x.shape[0],)],
                            dtype=("float32", "int64"))
    def best(x, bias=None, *, k: int, scales: tuple[float, ...] = (1.0,), mode: str = "max", flip: bool = False):
        x = (x if bias is None else x + bias) * np.float32(np.prod(scales)) * (-1 if flip else 1)
        return -np.sort(-x, axis=1)[:, :k], x.argmax(1) if mode == "max" else x.argmin(1)

    class Best(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, bias, count, scales, flip):
            y = (x if bias is None else x + bias) * float(np.prod(scales)) * (-1 if flip else 1)
            return y.topk(count, 1).values, y.argmax(1)

    tt.custom(Best, best, names={"count": "k"})
    report = tt.check_plugin(Best, (torch.randn(3, 5), None, 2, (0.5, 3.0), True), exporter=exporter)
    assert set(report.checks[0].differences) == {"output_0", "output_1"}
    (node,) = [n for n in report.model.graph if n.op_type == "best"]
    assert node.domain == "tensorwright" and len(node.outputs) == 2
    dynamic = {"x": {0: "batch"}}
    tt.check_plugin(Best, (torch.randn(3, 5), torch.randn(5), 1, (2.0,), False), exporter=exporter, dynamic=dynamic)


@BOTH
def test_an_expression_is_exported_as_a_node_too(exporter: Any) -> None:
    @tensorwright.custom_op("acme::gelu", expand=True)
    def gelu(x, scale: float = 1.0):
        return ops.Gelu(x) * scale

    class Gelu(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            return torch.nn.functional.gelu(x) * scale

    report = tt.check_plugin(tt.custom(Gelu, gelu), (torch.randn(2, 3), 2.0), exporter=exporter)
    assert report.difference < 1e-5


def test_arrays_bytes_and_sizes_that_the_data_decide_with_the_script_exporter() -> None:
    got: dict = {}

    @tensorwright.custom_op("acme::keep", shape=lambda x: (UpTo(x.shape[0]), x.shape[1]),
                            attributes={"table": Attribute("array"), "raw": Attribute("bytes")})
    def keep(x, axes: tuple[int, ...] = (1,), **more):
        got.update(more, axes=axes)
        return x[x[:, 0] > 0]

    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, table, raw, axes):
            return x[x[:, 0] > 0]

    tt.custom(Keep, "acme::keep")

    class Fixed(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Keep.apply(x, np.int16([[1, 2]]), b"a\xff", ()) * 2

    tt.export(Fixed(), torch.tensor([[1.0, 2], [-1, 3], [4, 5]]), exporter="script", lint=False)
    np.testing.assert_array_equal(got["table"], [[1, 2]])
    assert got["raw"] == b"a\xff" and got["axes"] == ()
    with pytest.raises(ExportError, match="no arrays, bytes or empty"):
        tt.check_plugin(Keep, (torch.randn(3, 2), np.ones(2), b"", (1,)), exporter="dynamo")


def test_the_dynamo_exporter_does_not_hide_that_it_cannot_write_the_node() -> None:
    plugins.register(plugins.Definition("acme::keep", lambda x: x[x > 0], lambda x: Output((UpTo(6),), x.dtype)))

    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2                                 # it could be traced, were it not a plugin

    with pytest.raises(ExportError, match="data decide"):
        tt.check_plugin(tt.custom(Keep, "acme::keep"), torch.randn(3, 2), exporter="dynamo")


def test_wrong_uses() -> None:
    function = swish()
    with pytest.raises(InputError, match="not a class derived"):
        tt.custom(Net, "acme::swish")
    with pytest.raises(InputError, match="no registered plugin"):
        tt.custom(function, "acme::none")
    with pytest.raises(InputError, match="no attribute 'gamma'"):
        tt.custom(function, "acme::swish", names={"beta": "gamma"})
    with pytest.raises(InputError, match="no example"):
        tt.check_plugin(function)

    class Other(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, alpha):
            return x * alpha

    with pytest.raises(InputError, match="has no plugin"):
        tt.check_plugin(Other, torch.randn(2))
    with pytest.raises(ExportError, match="neither a tensor nor an attribute"):
        tt.check_plugin(tt.custom(Other, plugins.find("acme::swish")), (torch.randn(2), 2.0), exporter="script")
