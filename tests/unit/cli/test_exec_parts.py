"""The parts of wright exec: how values are spelled, profiles grouped, queries timed, figures taken."""

import argparse
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tensorwright.cli.console import UsageError
from tensorwright.cli.exec import files, syntax
from tensorwright.cli.exec.build import grouped
from tensorwright.cli.exec.flags import Asked, add_flags
from tensorwright.cli.exec.inventory import FLAGS
from tensorwright.cli.exec.profile import LayerTimes
from tensorwright.cli.exec.report import Figures, percentile
from tensorwright.cli.exec.timing import Pace, measure


def asked(*arguments: str) -> Asked:
    parser = argparse.ArgumentParser()
    add_flags(parser, FLAGS)
    return Asked(FLAGS, getattr(parser.parse_args(arguments), "given", ()))


def test_shapes() -> None:
    assert syntax.shapes("x:1x3,a:b:7,'c:d':2x2,s:,t:scalar") == {"x": (1, 3), "a:b": (7,), "c:d": (2, 2), "s": (),
                                                                   "t": ()}
    assert syntax.shown((1, 3)) == "1x3"
    for wrong in ("x", "x:1x", "x:1x-1", "x:1,", ":1", "x:1.5"):
        with pytest.raises(UsageError):
            syntax.shapes(wrong)


@pytest.mark.parametrize(("text", "size"), [("512", 512 << 20), ("0.5", 1 << 19), ("7B", 7), ("3k", 3 << 10),
                                            ("2M", 2 << 20), ("1.5G", 3 << 29)])
def test_sizes_are_in_mib_unless_they_say_otherwise(text: str, size: int) -> None:
    assert syntax.pools(f"workspace:{text}") == {"workspace": size}


def test_formats_and_types_and_files() -> None:
    assert syntax.formats("fp32:chw,int8:chw+hwc8") == [("FLOAT", ("LINEAR",)), ("INT8", ("LINEAR", "HWC8"))]
    assert syntax.layer_types("conv*:fp16,last:fp32+int8") == {"conv*": ("HALF",), "last": ("FLOAT", "INT8")}
    assert syntax.files("x:a/b:c.raw,'y:0':d") == {"x": "a/b:c.raw", "y:0": "d"}


def test_defaults_are_those_of_trtexec() -> None:
    nothing = asked()
    assert [nothing[n] for n in ("warmUp", "duration", "iterations", "avgRuns", "infStreams", "percentile")] == \
        [200, 3, 10, 10, 1, (90, 95, 99)]
    assert str(asked("--onnx=a b.onnx", "--fp16")) == "'--onnx=a b.onnx' --fp16"


def test_profiles_are_grouped_in_order() -> None:
    one = [(1, 2), (4, 2), (8, 2)]
    first = ["--minShapes=x:1x2", "--optShapes=x:4x2", "--maxShapes=x:8x2"]
    assert grouped(asked(*first)) == [{"x": one}]
    both = grouped(asked("--profile=1", "--optShapes=x:3x2,y:5", "--profile=0", *first))
    assert both == [{"x": one}, {"x": [(3, 2)] * 3, "y": [(5,)] * 3}]
    for wrong in (["--profile=1", "--optShapes=x:3"], ["--minShapes=x:1", "--maxShapes=x:2"],
                  ["--minShapes=x:1", "--optShapes=y:1", "--maxShapes=x:2"], [*first, "--minShapes=x:1x2"]):
        with pytest.raises(UsageError):
            grouped(asked(*wrong))


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 99, 100, 1000])
@pytest.mark.parametrize("p", [0, 1, 50, 90, 95, 99, 100])
def test_percentile_is_the_element_that_many_lie_behind(count: int, p: int) -> None:
    values = list(range(count))
    behind = int((1 - Fraction(p, 100)) * count)
    assert percentile(values, p) == max(0, count - 1 - behind)


def test_figures() -> None:
    figures = Figures.of([3.0, 1.0, 2.0, 10.0], (90,))
    assert (figures.least, figures.most, figures.mean, figures.median) == (1, 10, 4, 2.5)
    assert str(figures) == "min = 1 ms, max = 10 ms, mean = 4 ms, median = 2.5 ms, percentile(90%) = 10 ms"


def test_warm_up_does_not_count_and_both_limits_hold() -> None:
    calls: list[float] = []

    def query() -> None:
        calls.append(time.perf_counter())
        time.sleep(0.002)
    trace = measure([query], Pace(iterations=5, duration=0.0, warmup=0.01))
    assert len(trace.samples) == 5 and trace.warmups >= 1 and len(calls) == trace.warmups + 5
    assert trace.samples[0][0] - calls[0] >= 0.009 and min(trace.latencies) >= 2
    longer = measure([query], Pace(iterations=1, duration=0.03, warmup=0.0))
    assert longer.wall >= 0.028 and longer.warmups == 0
    assert longer.relative()[0][0] == 0 and longer.relative()[-1][1] == pytest.approx(longer.wall)


def test_streams_run_at_once_on_threads_of_their_own() -> None:
    meet = threading.Barrier(3, timeout=10)              # passes only when three queries are in flight together
    seen = [set() for _ in range(3)]                     # type: list[set[int]]

    def stream(k: int) -> None:
        seen[k].add(threading.get_ident())
        meet.wait()
    trace = measure([lambda k=k: stream(k) for k in range(3)], Pace(iterations=4, duration=0, warmup=0))  # type: ignore
    assert len(trace.samples) == 12 and len(set.union(*seen)) == 3
    assert list(trace.samples) == sorted(trace.samples)


def test_a_failing_stream_stops_the_others() -> None:
    def fails() -> None:
        raise RuntimeError("broken")
    with pytest.raises(RuntimeError, match="broken"):
        measure([lambda: time.sleep(0.001), fails], Pace(duration=-1))


def test_an_endless_measurement_ends_well_when_interrupted() -> None:
    left = iter(range(20))

    def query() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
    assert len(measure([query], Pace(duration=-1, warmup=0)).samples) == 20
    with pytest.raises(KeyboardInterrupt):
        measure([query], Pace(duration=1, warmup=0))
    with pytest.raises(KeyboardInterrupt):               # nothing was measured
        measure([query], Pace(duration=-1, warmup=0))


def test_layer_times_of_layers_with_one_name() -> None:
    layers = LayerTimes()
    for scale in (1, 3):
        layers.report_layer_time("a", 1.0 * scale)
        layers.report_layer_time("a", 3.0 * scale)
        layers.end_query()
    count, first, second = files.profile(layers)
    assert count == {"count": 2}
    assert first == {"name": "a", "timeMs": 4, "averageMs": 2, "medianMs": 2, "percentage": 25}
    assert second["percentage"] == 75


def test_files_are_json_whatever_the_numbers(tmp_path: Path) -> None:
    arrays = {"x": np.array([[1, np.nan, np.inf]], np.float32), "b": np.array([True, False]), "s": np.array(3)}
    files.write_json(tmp_path / "o.json", files.outputs(arrays))
    import json
    x, b, s = json.loads((tmp_path / "o.json").read_text())
    assert x == {"name": "x", "dimensions": "1x3", "values": [1, None, None]}
    assert b["values"] == [1, 0] and s["dimensions"] == "scalar"
    assert [p.name for p in tmp_path.iterdir()] == ["o.json"]
