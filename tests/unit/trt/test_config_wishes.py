"""What a configuration asks for is obeyed, refused with numbers, or logged: devices, memory, tactics, routes."""

import json
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.builder import race, tune
from tensorwright.generations import v8, v10, v11

from .tiny import Log, chain, quick


def plan_of(prepare: Any, network_of: Any = chain) -> tuple[Any, Log]:
    builder = trt.Builder(log := Log())
    network, config = network_of(builder), quick(builder)
    prepare(config, network)
    return builder.build_serialized_network(network, config), log


def test_layers_for_a_dla_need_a_way_back() -> None:
    def on_dla(config: Any, network: Any) -> None:
        layer = network.get_layer(1)
        assert config.get_device_type(layer) is trt.DeviceType.GPU and not config.can_run_on_DLA(layer)
        config.set_device_type(layer, trt.DeviceType.DLA)
        assert config.is_device_type_set(network[1]) and config.get_device_type(network[1]) is trt.DeviceType.DLA

    def fallback(config: Any, network: Any) -> None:
        on_dla(config, network)
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)

    def reset(config: Any, network: Any) -> None:
        on_dla(config, network)
        config.reset_device_type(network[1])
        assert not config.is_device_type_set(network[1])
    plan, log = plan_of(on_dla)
    assert plan is None and "matrixmultiply_1" in log.errors() and "GPU_FALLBACK" in log.errors()
    plan, log = plan_of(fallback)
    assert plan and "the CPU runs them instead" in log.text()
    plan, log = plan_of(reset)
    assert plan and "DLA" not in log.text()


def pooled(builder: Any) -> Any:
    """A top-k, whose kernels need scratch memory."""
    network = builder.create_network()
    x = network.add_input("x", trt.float32, (512, 4096))
    k = network.add_topk(x, trt.TopKOperation.MAX, 64, 1 << 1)
    network.mark_output(k.get_output(0))
    return network


def test_the_workspace_bounds_scratch_memory() -> None:
    limit = trt.MemoryPoolType.WORKSPACE
    plan, log = plan_of(lambda c, n: c.set_memory_pool_limit(limit, 8), pooled)
    assert plan is None and "workspace limit of 8 bytes; the least is" in log.errors()
    least = int(log.errors().split("the least is ")[1].split()[0])
    assert plan_of(lambda c, n: c.set_memory_pool_limit(limit, least - 1), pooled)[0] is None
    assert plan_of(lambda c, n: c.set_memory_pool_limit(limit, least), pooled)[0]
    assert plan_of(lambda c, n: c.set_memory_pool_limit(limit, 0))[0]         # products of matrices need none
    config = trt.Builder(log := Log()).create_builder_config()
    whole = config.get_memory_pool_limit(limit)
    config.set_memory_pool_limit(limit, -1)
    assert config.get_memory_pool_limit(limit) == whole and "cannot have -1 bytes" in log.errors()
    assert config.get_memory_pool_limit(trt.MemoryPoolType.TACTIC_DRAM) == whole
    assert config.get_memory_pool_limit(trt.MemoryPoolType.DLA_LOCAL_DRAM) == 0


def timed(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(candidates, launches asked for at least) of every race that a build holds."""
    races: list[tuple[int, int]] = []

    def watched(runners: Any, threads: int, end: Any = None, least: int = 0) -> list[float]:
        races.append((len(runners), least))
        return race.race(runners, threads, end, least)
    monkeypatch.setattr(tune, "race", watched)
    builder = trt.Builder(log := Log())
    config = builder.create_builder_config()
    config.set_timing_cache(config.create_timing_cache(b""), False)
    prepare(config)
    network = builder.create_network()
    x = network.add_input("x", trt.float32, (1, 16, 14, 14))
    w = np.random.default_rng(0).standard_normal((16, 16, 3, 3), dtype=np.float32)
    network.mark_output(network.add_convolution_nd(x, 16, (3, 3), w).get_output(0))
    assert builder.build_engine_with_config(network, config), log.errors()
    return races


def test_numbers_of_tactics_and_of_launches_are_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(config: Any) -> None:
        config.max_num_tactics, config.avg_timing_iterations = 2, 9
    assert set(timed(two, monkeypatch)) == {(2, 9)} and max(timed(lambda c: None, monkeypatch))[0] > 2

    def by_route(config: Any) -> None:
        config.build_route = "-max_num_tactics=2 -timing_iterations=7"
    assert set(timed(by_route, monkeypatch)) == {(2, 7)}
    assert timed(lambda c: setattr(c, "build_route", "-optimization_level=0"), monkeypatch) == []


def test_a_race_launches_each_runner_as_often_as_asked() -> None:
    class Runner:
        count = 0

        def sample(self, threads: int, count: int) -> np.ndarray:
            self.count += count
            return np.full(count, 1e-3)
    few, many = [Runner(), Runner()], [Runner(), Runner()]
    race.race(few, 1)
    race.race(many, 1, None, 50)
    assert all(r.count < 40 for r in few) and all(r.count >= 50 for r in many)


def test_routes() -> None:
    config = v11.Builder(v11.Logger()).create_builder_config()
    assert "-optimization_level" in json.loads(config.all_build_routes) and config.build_route == ""
    assert not hasattr(v10.IBuilderConfig, "build_route")
    for wrong in ("-nonsense=1", "-threads", "-threads=x", "-threads=1 -threads=2", "threads=1"):
        plan, log = plan_of(lambda c, n, route=wrong: setattr(c, "build_route", route))
        assert plan is None and "build_route" in log.errors()


def test_plans_move_and_say_what_they_were_built_for() -> None:
    def moving(config: Any, network: Any) -> None:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        config.runtime_platform = trt.RuntimePlatform.WINDOWS_AMD64
    plan, log = plan_of(moving)
    engine = trt.Runtime(log).deserialize_cuda_engine(plan)
    assert engine.hardware_compatibility_level is trt.HardwareCompatibilityLevel.AMPERE_PLUS
    assert log.text().count("compiled and tuned again when it is loaded") == 3
    plain = trt.Runtime(log).deserialize_cuda_engine(plan_of(lambda c, n: None)[0])
    assert plain.hardware_compatibility_level is trt.HardwareCompatibilityLevel.NONE


def test_wishes_without_effect_are_logged_and_answered() -> None:
    def wish(config: Any, network: Any) -> None:
        config.tiling_optimization_level = trt.TilingOptimizationLevel.FULL
        config.remote_auto_tuning_config = "ssh://elsewhere"
        config.set_preview_feature(trt.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10, True)
        assert config.get_preview_feature(trt.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10)
    plan, log = plan_of(wish)
    for name in ("tiling_optimization_level", "remote_auto_tuning_config", "RUNTIME_ACTIVATION_RESIZE_10_10"):
        assert plan and f"{name} has no effect" in log.text().replace("PreviewFeature.", "")
    config = v10.Builder(v10.Logger()).create_builder_config()
    assert config.get_preview_feature(v10.PreviewFeature.PROFILE_SHARING_0806) and config.max_num_tactics == -1
    assert not v8.Builder(v8.Logger()).create_builder_config().get_preview_feature(
        v8.PreviewFeature.FASTER_DYNAMIC_SHAPES_0805)


def test_memory_is_monitored() -> None:
    plan, log = plan_of(lambda c, n: c.set_flag(trt.BuilderFlag.MONITOR_MEMORY))
    lines = [line for line in log.text().splitlines() if line.startswith("[MemUsage]")]
    assert plan and len(lines) >= 2 and "'verify'" in lines[-1] and float(lines[0].split("most ")[1].split()[0]) > 10
