"""Memory and load time of whole networks, each in a new process: python bench/memory.py [--save] [name ...]

A process that holds Python, NumPy and the inputs imports one runtime, loads one network from a file that is in the page
cache, and runs it three times. Peers read the .onnx file, tensorwright the plan that was built from it on this machine.

memory   peak resident set during the three runs, less the resident set after the import alone, less the size of the
         model's weights. Packed or transformed weights kept beside or instead of them count, and so do the activations
         and the results; a runtime that maps a file and never touches parts of it can come out below zero.
load     milliseconds from a file name to something that runs: `tensorwright.load`; InferenceSession; read_model,
         reshape and compile_model with a request. Importing comes before it and is reported by itself.
result   milliseconds of the load and the first run together: what was put off until then comes to light.

All figures are medians over new processes (--processes), runtimes in turns. Resident sets are those of
/proc/self/smaps_rollup and VmHWM, files mapped included: Linux only. With --figures FILE, networks that FILE has are
not measured again, and those measured are added to it: a long table in several goes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.report import Kept, Table, geometric_mean, machine, peers_of, versions

Figures = dict[str, float]

OURS = "tensorwright"
RUNS = 3


# the process measured ------------------------------------------------------------------------------------------------
def measured(runtime: str, file: str, feeds_file: str, threads: int) -> Figures:
    """Bytes and seconds, in this process, which must be new."""
    import numpy as np

    from tensorwright.cli import rivals
    feeds = dict(np.load(feeds_file))
    bare, begin = resident(), time.perf_counter()
    for module in ("tensorwright.api", "tensorwright.runtime.store") if runtime == OURS else (runtime,):
        importlib.import_module(module)
    imported, library = time.perf_counter() - begin, resident()
    begin = time.perf_counter()
    run: Callable[[], Any]
    if runtime == OURS:
        import tensorwright
        engine = tensorwright.load(file, strict=True, threads=threads)
        run = lambda: engine.run(feeds)  # noqa: E731
    else:
        run = rivals.load(runtime, file, feeds, threads).run
    loaded = time.perf_counter() - begin
    Path("/proc/self/clear_refs").write_text("5")                  # the peak begins anew
    run()
    first = time.perf_counter() - begin
    for _ in range(RUNS - 1):
        run()
    return {"import": imported, "library": library - bare, "load": loaded, "result": first,
            "memory": _status("VmHWM") - library}


def resident() -> int:
    """Bytes of this process in memory, exactly; VmRSS of /proc/self/status may lag behind."""
    return _kilobytes("/proc/self/smaps_rollup", "Rss")


def _status(field: str) -> int:
    return _kilobytes("/proc/self/status", field)


def _kilobytes(file: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(file).read_text(), re.MULTILINE)
    assert found is not None, f"{file} has no {field}"
    return int(found[1]) * 1024


# the process that asks -----------------------------------------------------------------------------------------------
def in_new_processes(files: dict[str, Path], feeds: Path, threads: int, count: int) -> dict[str, Figures | str]:
    """Runtime → medians of its figures, or the reason why it has none."""
    found: dict[str, list[Figures]] = {runtime: [] for runtime in files}
    refused: dict[str, str] = {}
    for _ in range(count):
        for runtime in [r for r in files if r not in refused]:
            command = [sys.executable, __file__, "--measure", runtime, str(files[runtime]), str(feeds), str(threads)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                refused[runtime] = next(iter(done.stderr.strip().splitlines()[-1:]), f"exit code {done.returncode}")
            else:
                found[runtime].append(json.loads(done.stdout.splitlines()[-1]))
    return {r: refused[r] if r in refused else
            {key: statistics.median(f[key] for f in figures) for key in figures[0]} for r, figures in found.items()}


def prepare(name: str, folder: Path, batch: int, threads: int, peers: list[str]) -> tuple[dict[str, Path], Path, int]:
    """(file of each runtime, file of the inputs, bytes of weights)"""
    import numpy as np
    import onnx

    import tensorwright
    from tools.zoo import ZOO, inputs
    network = ZOO[name]
    model = network.model()
    feeds = inputs(model, {**network.sizes, "batch": batch}, network.limits)
    plan, source, arrays = folder / "model.plan", folder / "model.onnx", folder / "feeds.npz"
    tensorwright.build(model, shapes={k: v.shape for k, v in feeds.items()}, threads=threads).save(plan)
    onnx.save(model, source)
    np.savez(arrays, **feeds)  # type: ignore[arg-type]
    weights = sum(onnx.numpy_helper.to_array(t).nbytes for t in model.graph.initializer)
    return {OURS: plan, **dict.fromkeys(peers, source)}, arrays, weights


class Report:
    """The table, and what sums it up."""

    def __init__(self, args: argparse.Namespace, runtimes: list[str]) -> None:
        self.runtimes = runtimes
        self.ratios: list[float] = []
        self.smaller: list[bool] = []
        self.all: dict[str, list[Figures]] = {r: [] for r in runtimes}
        self.table = Table(
            f"Memory and load time, batch {args.batch}, {args.threads} threads, float32",
            [machine(runtimes[1:]),
             f"Command: `python bench/memory.py --batch {args.batch} --threads {args.threads} --vs {args.vs} "
             f"--processes {args.processes}`.",
             "MB: peak of three runs without the weights and without the library. Load: from the file (ours: the plan, "
             "theirs: .onnx) to something that runs. Result: load and first run. Ratio: quicker peer's load / ours. "
             f"Medians of {args.processes} new processes; the head of bench/memory.py says exactly what is measured."],
            ["network", "weights MB", *(f"{r} MB" for r in runtimes), *(f"{r} load ms" for r in runtimes),
             "load ratio", *(f"{r} result ms" for r in runtimes)],
            f"memory_b{args.batch}_t{args.threads}" if args.save else "")

    def add(self, name: str, weights: int, results: dict[str, Figures | str]) -> None:
        figures = {r: f for r, f in results.items() if not isinstance(f, str)}
        self.table.notes += [f"{name}: {r}: {f}" for r, f in results.items() if isinstance(f, str)]
        for r, f in figures.items():
            self.all[r].append(f)
        peers, ratio = [figures[r] for r in self.runtimes[1:] if r in figures], "–"
        if OURS in figures and peers:
            self.ratios.append(min(f["load"] for f in peers) / figures[OURS]["load"])
            self.smaller.append(figures[OURS]["memory"] < min(f["memory"] for f in peers))
            ratio = f"{self.ratios[-1]:.2f}"

        def cells(key: str, show: Callable[[float], str]) -> list[str]:
            return [show(figures[r][key]) if r in figures else "–" for r in self.runtimes]

        empty = [""] * len(self.runtimes)
        self.table.add(
            [name, f"{weights / 1e6:.1f}", *cells("memory", lambda b: f"{(b - weights) / 1e6:.1f}"),
             *cells("load", _ms), ratio, *cells("result", _ms)],
            ["**geometric mean**", "", f"least in {sum(self.smaller)} of {len(self.smaller)}", *empty[1:], *empty,
             f"**{geometric_mean(self.ratios):.2f}**", *empty])

    def finish(self) -> None:
        self.table.notes += [f"Importing {r}: {_ms(statistics.median(f['import'] for f in fs))} ms, "
                             f"{statistics.median(f['library'] for f in fs) / 1e6:.0f} MB."
                             for r, fs in self.all.items() if fs]
        self.table.finish()


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}"


def main() -> None:
    from tools.zoo import ZOO
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(ZOO), metavar="name")
    parser.add_argument("--vs", default="onnxruntime,openvino")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--processes", type=int, default=5, help="of each runtime per network")
    parser.add_argument("--figures", metavar="FILE", help="take over what FILE has, add what is measured")
    parser.add_argument("--save", action="store_true", help="write a dated table to bench/results")
    args = parser.parse_args()
    peers = peers_of(args.vs)
    report = Report(args, [OURS, *peers])
    kept = Kept(args.figures, ["memory", args.batch, args.threads, args.processes, *versions(peers)])
    for name in args.names:
        if kept.get(name) is None:
            with tempfile.TemporaryDirectory() as folder:
                files, feeds, weights = prepare(name, Path(folder), args.batch, args.threads, peers)
                kept.put(name, [weights, in_new_processes(files, feeds, args.threads, args.processes)])
        report.add(name, *kept.get(name))
    report.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        wanted, file, feeds_file, threads = sys.argv[2:]
        print(json.dumps(measured(wanted, file, feeds_file, int(threads))))
    else:
        main()
