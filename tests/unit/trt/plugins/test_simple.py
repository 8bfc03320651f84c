"""SimplePlugin: what its subclasses write, and that nothing else is needed."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import tensorwright
import tensorwright.plugin as trtp
from tensorwright.generations import v10

from .support import at, engine_of, logger, run, started


class Clip(tensorwright.SimplePlugin):
    plugin_name, plugin_namespace = "SimpleClip", "simple"
    low: float = 0.0
    high: float

    def output_shapes(self, x: Any) -> Any:
        return x

    def compute(self, x: Any, outputs: Any) -> None:
        np.clip(x, self.low, self.high, out=outputs[0])


class Windows(tensorwright.SimplePlugin):
    """Two outputs of other types and shapes, from fields of every type."""

    plugin_name, plugin_namespace, num_outputs = "SimpleWindows", "simple", 2
    size: int
    weights: npt.NDArray[np.float32]
    reverse: bool = False
    title: str = "none"
    raw: bytes = b"\x00\xff"

    def output_shapes(self, x: Any) -> Any:
        return [(x[0], trtp.cdiv(x[1], self.size)), x]

    def output_types(self, x: Any) -> Any:
        return tensorwright.int32, x

    def supports(self, position: int, tensors: Any) -> bool:
        return tensors[position].type == (tensorwright.int32 if position == 1 else tensorwright.float32)

    def compute(self, x: Any, outputs: Any) -> None:
        outputs[0][...] = len(self.title) + self.raw[-1]
        outputs[1][...] = (x[:, ::-1] if self.reverse else x) * self.weights.sum()


class Doubled(Clip):
    """A subclass of one, with enqueue instead of compute."""

    plugin_name = "SimpleDoubled"

    def enqueue(self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, workspace: int,
                stream: int) -> None:
        at(output_desc[0], outputs[0])[...] = at(input_desc[0], inputs[0]) * self.high


@pytest.fixture
def known() -> Any:
    creators = [c.register() for c in (Clip, Windows, Doubled)]
    yield creators
    for creator in creators:
        tensorwright.get_plugin_registry().deregister_creator(creator)


def test_added_to_a_network_kept_and_run(known: Any) -> None:
    builder, network, config = started(v10)
    x = network.add_input("x", v10.float32, (2, -1))
    weights = np.float32([1, 2])
    clip = network.add_plugin_v3([x], [], Clip(high=6.0))
    windows = network.add_plugin_v3([clip.get_output(0)], [], Windows(size=2, weights=weights, reverse=True, title="é"))
    doubled = network.add_plugin_v3([x], [], Doubled(high=2.0))
    outputs = [*(windows.get_output(i) for i in range(2)), doubled.get_output(0)]
    for name, tensor in zip(("a", "b", "c"), outputs, strict=True):
        tensor.name = name
        network.mark_output(tensor)
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (2, 1), (2, 3), (2, 8))
    config.add_optimization_profile(profile)
    context = engine_of(v10, builder, network, config).create_execution_context()
    for n in (3, 8):
        given = np.linspace(-4, 9, 2 * n, dtype=np.float32).reshape(2, n)
        results = run(context, x=given)
        np.testing.assert_array_equal(results["a"], np.full((2, -(-n // 2)), 256))
        np.testing.assert_array_equal(results["b"], np.clip(given, 0, 6)[:, ::-1] * 3)
        np.testing.assert_array_equal(results["c"], given * 2)


def test_a_model_and_the_registry_find_it(known: Any) -> None:
    node = onnx.helper.make_node("SimpleClip", ["x"], ["y"], domain="simple", high=1.5, low=-1.5)
    values = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", (4,)), ("y", None))]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]),
                                   opset_imports=[onnx.helper.make_opsetid("simple", 1)], ir_version=8)
    x = np.float32([-3, -1, 1, 3])
    np.testing.assert_array_equal(tensorwright.build(model)(x), [-1.5, -1, 1, 1.5])
    creator = v10.get_plugin_registry().get_creator("SimpleClip", "1", "simple")
    assert [f.name for f in creator.field_names] == ["low", "high"]
    with pytest.raises(tensorwright.InputError, match="registered already"):
        Clip.register()


def test_wrong_fields_and_answers(known: Any) -> None:
    for given, kind, words in (({}, ValueError, "needs the attribute 'high'"),
                               ({"high": "6"}, TypeError, "of type float, not str"),
                               ({"high": 1.0, "top": 2}, ValueError, "no attribute 'top'")):
        with pytest.raises(kind, match=words):
            Clip(**given)
    log = logger(v10)
    builder, network, config = started(v10, log)
    wrong = Windows(size=1, weights=np.float32([1]))
    layer = network.add_plugin_v3([network.add_input("x", v10.int32, (2, 3))], [], wrong)
    network.mark_output(layer.get_output(0))
    assert builder.build_serialized_network(network, config) is None
    assert "SimpleWindows does not support input 0 as int32" in log.errors()


def test_a_field_of_another_type_is_refused() -> None:
    class Wrong(tensorwright.SimplePlugin):
        plugin_name = "Wrong"
        table: dict[str, int]

    with pytest.raises(ValueError, match="field 'table' of Wrong"):
        Wrong.register()


