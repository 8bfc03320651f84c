"""What holds of the layers of every class, in every generation that has it: names, classes, attributes, builds."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tensorwright.generations import v7, v8, v10, v11, view
from tests.unit.trt.every_layer import ABSTRACT, MAKERS, Making, attention
from tests.unit.trt.test_build_and_run import Log

VIEWS: dict[str, ModuleType] = {"7": v7, "8": v8, "10": v10, "11": v11}
CASES = [(name, g) for name in MAKERS for g in VIEWS if g in view.table()["classes"][name]["generations"].split()]
#: Layers that no machine with one device, or without 4-bit kernels, builds: what the refusal says.
REFUSED = {"IDistCollectiveLayer": "communicator"}


def started(generation: str) -> tuple[Log, Any, Making]:
    log, module = Log(), VIEWS[generation]
    builder = module.Builder(log)
    return log, builder, Making(module, builder.create_network(1 if generation in "78" else 0))


def test_every_class_of_layers_is_here() -> None:
    listed = {n for n in view.table()["classes"] if n.startswith("I") and n.endswith("Layer")}
    assert listed == set(MAKERS) | ABSTRACT


@pytest.mark.parametrize(("name", "generation"), CASES)
def test_class_type_and_attributes(name: str, generation: str) -> None:
    """The layer is of its generation's class; get_layer gives an ILayer whose `type` is a LayerType, to be recast;
    every attribute can be read, and what can be written can be written with what was read."""
    log, _, b = started(generation)
    layer = MAKERS[name](b)
    assert layer is not None, log.errors()
    kind = getattr(b.m, name)
    assert type(layer) is kind
    place = next(i for i in range(b.n.num_layers) if b.n.get_layer(i).name == layer.name)
    plain = b.n[place]
    assert type(plain) is b.m.ILayer and plain == layer and isinstance(plain.type, b.m.LayerType)
    plain.__class__ = kind
    members = view.table()["classes"][name]["members"]
    properties = [m for m, g in members.items() if generation in g.split() and not m.startswith("__")
                  and not callable(getattr(kind, m))]
    before = {m: repr(getattr(plain, m)) for m in properties}
    for m in properties:
        try:
            setattr(plain, m, getattr(layer, m))
        except (AttributeError, ValueError, RuntimeError, TypeError) as error:
            assert isinstance(error, (AttributeError, ValueError)) or getattr(layer, m) is None, (m, error)
    assert {m: repr(getattr(layer, m)) for m in properties} == before
    layer.name = "renamed"
    if generation != "7":
        layer.metadata = "note"
        assert plain.metadata == "note"
    assert plain.name == "renamed" and layer.num_inputs >= 0 <= layer.num_outputs
    assert layer.get_input(99) is None and layer.get_output(99) is None


@pytest.mark.parametrize(("name", "generation"), [(n, g) for n, g in CASES if g in "8 11"
                                                  or "8" not in view.table()["classes"][n]["generations"].split()])
def test_a_network_of_it_is_built_and_runs(name: str, generation: str) -> None:
    log, builder, b = started(generation)
    layer = MAKERS[name](b)
    last = b.n[b.n.num_layers - 1] if layer.num_outputs == 0 or name.startswith(("IIf", "IIter", "IRecur")) else layer
    if last.num_outputs == 0:                                     # assertions and trip limits give nothing
        last = b.n.add_identity(b.x(2, 3))
    last.get_output(0).name = "y"
    b.n.mark_output(last.get_output(0))
    config = builder.create_builder_config()
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = 0
    plan = builder.build_serialized_network(b.n, config) if hasattr(builder, "build_serialized_network") else None
    if name in REFUSED:
        assert plan is None and REFUSED[name] in log.errors()
        return
    engine = b.m.Runtime(log).deserialize_cuda_engine(plan) if plan is not None else builder.build_engine(b.n, config)
    assert engine is not None, log.errors()
    context = engine.create_execution_context()
    result, names = {}, [engine[i] for i in range(b.inputs + 1)]
    for n in names:
        place = b.n.get_input(int(n[1:]) - 1) if n != "y" else None
        shape = tuple(place.shape) if place is not None else tuple(last.get_output(0).shape)
        result[n] = np.ones([64 if d < 0 else d for d in shape], np.float32)
        if n == "y":
            result[n] = np.full(max(4096, result[n].size), 77, np.float64)
    if hasattr(context, "execute_async_v3"):
        for n, array in result.items():
            assert context.set_tensor_address(n, array.ctypes.data)
        assert context.execute_async_v3(0), log.errors()
    else:
        assert context.execute_v2([a.ctypes.data for a in result.values()]), log.errors()
    assert result["y"].view(np.uint64)[0] != np.float64(77).view(np.uint64)


@pytest.mark.parametrize("generation", ["10", "11"])
def test_layers_of_an_attention_belong_to_it(generation: str) -> None:
    log, _, b = started(generation)
    made = attention(b)
    assert made is not None, log.errors()
    layers = [b.n.get_layer(i) for i in range(b.n.num_layers)]
    assert {x.type for x in layers} == {b.m.LayerType.ATTENTION_INPUT, b.m.LayerType.ATTENTION_OUTPUT}
    for plain in layers:
        plain.__class__ = b.m.IAttentionInputLayer if plain.type == b.m.LayerType.ATTENTION_INPUT \
            else b.m.IAttentionOutputLayer
        assert isinstance(plain, b.m.IAttentionBoundaryLayer) and plain.attention is made
