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


def typed(builder: Any, module: Any) -> Any:
    """y = -x, strongly typed."""
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    x = network.add_input("x", module.float32, (2,))
    layer = network.add_unary(x, module.UnaryOperation.NEG)
    layer.name = "negation"
    network.mark_output(layer.get_output(0))
    return network


@pytest.mark.parametrize("module", [trt, v10])
def test_a_strongly_typed_network_takes_no_wishes_about_types(module: Any) -> None:
    def refusal(prepare: Any) -> str:
        builder = module.Builder(log := Log())
        network, config = typed(builder, module), quick(builder)
        prepare(config, network)
        supported = builder.is_network_supported(network, config)
        plan = builder.build_serialized_network(network, config)
        assert (plan is not None) == supported == (not log.errors())
        return log.errors()

    def named(config: Any, network: Any) -> None:
        network.get_layer(0).precision = module.float32

    def cast(config: Any, network: Any) -> None:
        network.get_layer(0).set_output_type(0, module.float16)

    def reset(config: Any, network: Any) -> None:
        named(config, network)
        cast(config, network)
        network.get_layer(0).reset_precision()
        network.get_layer(0).reset_output_type(0)
    for name in ("FP16", "BF16", "INT8", "FP8", "INT4", "FP4", "OBEY_PRECISION_CONSTRAINTS",
                 "PREFER_PRECISION_CONSTRAINTS"):
        flag = module.BuilderFlag[name]
        assert f"BuilderFlag.{name} is set" in refusal(lambda c, n, flag=flag: c.set_flag(flag))
    assert "'negation' has a precision" in refusal(named) and "'negation' has an output type" in refusal(cast)
    assert not refusal(reset) and not refusal(lambda c, n: c.set_flag(module.BuilderFlag.REFIT))
    assert plan_of(lambda c, n: c.set_flag(trt.BuilderFlag.FP16))[0]           # without STRONGLY_TYPED: a permission


def test_what_is_no_flag_no_name_and_no_level_is_refused() -> None:
    builder = v10.Builder(log := Log())
    config = builder.create_builder_config()
    for call in (config.set_flag, config.clear_flag, config.get_flag):
        for wrong in (0, "FP16", None, v10.MemoryPoolType.WORKSPACE):
            with pytest.raises(TypeError, match="BuilderFlag"):
                call(wrong)
    config.set_flag(v8.BuilderFlag.DEBUG)
    assert config.get_flag(v10.BuilderFlag.DEBUG) and config.get_flag(trt.BuilderFlag.DEBUG)
    for wrong in (3, None, b"x"):
        with pytest.raises(TypeError, match="str"):
            builder.create_network().add_input(wrong, v10.float32, (1,))
    assert config.builder_optimization_level == 3
    config.builder_optimization_level = 5
    assert not log.errors()
    for level in (-1, 6):
        config.builder_optimization_level = level
        assert f"{level} is outside 0 to 5; it stays 5" in log.errors() and config.builder_optimization_level == 5
    with pytest.raises(TypeError):
        config.builder_optimization_level = "2"
    config.reset()
    assert config.builder_optimization_level == 3
    with pytest.raises(ValueError, match="6 is outside"):
        trt.IBuilderConfig().builder_optimization_level = 6
