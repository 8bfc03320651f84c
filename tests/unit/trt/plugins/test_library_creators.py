"""The plugins of the library by way of their creators: fields, layers of a network, engines."""

from typing import Any

import numpy as np
import pytest

from tensorwright.generations import v10 as trt
from tests.unit.plugins.library.cases import CASES, Case
from tests.unit.plugins.library.run import run as computed

from .support import engine_of, logger, run, started

#: One version of each plugin.
USED = list({c.name: c for c in reversed(CASES)}.values())


def field(name: str, value: Any) -> Any:
    """An attribute as scripts give it: arrays of 32 bits."""
    if isinstance(value, str):
        return trt.PluginField(name, value.encode(), trt.PluginFieldType.CHAR)
    data = np.atleast_1d(np.asarray(value))
    data = data.astype(np.int32 if data.dtype.kind in "ib" else np.float32)
    kind = trt.PluginFieldType.INT32 if data.dtype == np.int32 else trt.PluginFieldType.FLOAT32
    return trt.PluginField(name, data, kind)


@pytest.mark.parametrize("case", USED, ids=str)
def test_from_fields_to_an_engine(case: Case) -> None:
    log = logger(trt)
    creator = trt.get_plugin_registry().get_creator(case.name, case.version, "")
    plugin = creator.create_plugin("p", trt.PluginFieldCollection([field(k, v) for k, v in case.attributes.items()]))
    assert plugin is not None, log.errors()
    builder, network, config = started(trt, log)
    arrays = {f"x{i}": a for i, a in enumerate(case.inputs(1, 4))}
    kinds = {np.dtype(np.float32): trt.float32, np.dtype(np.int32): trt.int32, np.dtype(np.int64): trt.int64}
    inputs = [network.add_input(n, kinds[a.dtype], a.shape) for n, a in arrays.items()]
    layer = network.add_plugin_v2(inputs, plugin)
    assert layer is not None, log.errors()
    for i in range(layer.num_outputs):
        layer.get_output(i).name = f"y{i}"
        network.mark_output(layer.get_output(i))
    results = run(engine_of(trt, builder, network, config, log).create_execution_context(), **arrays)
    expected = computed(case.name, *(a.copy() for a in arrays.values()), version=case.version, **case.attributes)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert layer.num_outputs == len(expected)
    for i, wanted in enumerate(expected):
        assert results[f"y{i}"].dtype == wanted.dtype and results[f"y{i}"].shape == wanted.shape
        np.testing.assert_allclose(results[f"y{i}"], wanted, rtol=case.tolerance, atol=case.tolerance)
