"""Whole networks against ONNX Runtime and OpenVINO: python bench/networks.py [--batch 1,8] [--threads 1,2] [name ...]

Same model, inputs, thread count and float32 for all; interleaved bursts; medians of paired ratios; ratio > 1 means
tensorwright is faster. One table for each thread count and batch. --save writes it to bench/results, dated, after each
row. --busy measures beside another process that never sleeps, pinned to one core, into tables of their own. With
--figures FILE, networks that FILE has are not measured again, and those measured are added to it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorwright
from bench.report import Kept, Table, geometric_mean, machine, peers_of, versions
from tensorwright.cli import rivals
from tensorwright.device.peak import peak_flops
from tensorwright.errors import UnsupportedError
from tools.zoo import ZOO, inputs

#: Results further apart than this, relative to their largest value, are worth a note.
DISAGREE = 1e-3
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(10**6))"


@contextlib.contextmanager
def busy_core(wanted: bool) -> Iterator[None]:
    """While inside, and when wanted: a process that computes all the time on the last core this one may use."""
    if not wanted:
        yield
        return
    core = max(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        process.kill()
        process.wait()


class Configuration:
    """One table: all networks at one batch size and one number of threads."""

    def __init__(self, args: argparse.Namespace, batch: int, threads: int) -> None:
        self.args, self.batch, self.threads = args, batch, threads
        self.peers = peers_of(args.vs)
        self.kept = Kept(args.figures, ["networks", batch, threads, args.busy, *versions(self.peers)])
        self.peak = peak_flops(threads)
        self.ratios: dict[str, list[float]] = {p: [] for p in [*self.peers, "better"]}
        some = f" {' '.join(args.names)}" if args.names != list(ZOO) else ""
        beside = ", beside a busy process" if args.busy else ""
        name = f"networks_b{batch}_t{threads}" + "_busy" * args.busy + "_some" * bool(some)
        self.table = Table(
            f"Networks, batch {batch}, {threads} thread{'s' * (threads != 1)}, float32{beside}",
            [machine(self.peers, f"measured FMA peak {self.peak / 1e9:.0f} GFLOP/s at this number of threads"),
             f"Command: `python bench/networks.py --batch {batch} --threads {threads} --vs {args.vs}"
             f"{' --busy' * args.busy}{some}`.",
             *["Another process computes without pause, pinned to one of the cores; engines were built without it."
               ] * args.busy,
             "Milliseconds: median over interleaved bursts of each burst's median. Ratio: median over rounds of peer / "
             "tensorwright; above 1 tensorwright is faster. Better: the smaller of a network's ratios. Share of peak "
             "counts the operations of direct convolution, so Winograd may exceed 100 %."],
            ["network", "GFLOP", "tensorwright ms", "share of peak",
             *(column for p in self.peers for column in (f"{p} ms", "ratio")), "better"],
            name if args.save else "")

    def run(self) -> None:
        for name in self.args.names:
            if self.kept.get(name) is None:
                self.kept.put(name, self.measure(name))
            self.show(name, self.kept.get(name))
        self.table.finish()

    def measure(self, name: str) -> dict[str, Any]:
        """flops; ours: median seconds; peers: [median seconds, ratio] of those that run it; notes."""
        network = ZOO[name]
        model = network.model()
        feeds = inputs(model, {**network.sizes, "batch": self.batch}, network.limits)
        shapes = {k: v.shape for k, v in feeds.items()}
        engine = tensorwright.build(model, shapes=shapes, threads=self.threads)
        notes: list[str] = []
        others = self.load(name, engine, model.SerializeToString(), feeds, notes)
        with busy_core(self.args.busy):
            mine, *theirs = rivals.interleaved([lambda: engine.run(feeds), *(o.run for o in others.values())],
                                               self.args.seconds)
        if self.args.layers:
            for layer, seconds in sorted(engine.profile(feeds, 20), key=lambda t: -t[1])[: self.args.layers]:
                print(f"    {seconds * 1e6:9.1f} µs  {layer}")
        return {"flops": sum(layer.flops for layer in engine.plan.programs[0].layers), "ours": mine.median,
                "peers": {p: [t.median, mine.ratio(t)] for p, t in zip(others, theirs, strict=True)}, "notes": notes}

    def load(self, name: str, engine: tensorwright.Engine, model: bytes, feeds: Mapping[str, np.ndarray],
             notes: list[str]) -> dict[str, rivals.Rival]:
        """The peers that run the model; why the others do not is a note."""
        loaded: dict[str, rivals.Rival] = {}
        ours = engine.run(feeds)
        for p in self.peers:
            try:
                loaded[p] = rivals.load(p, model, feeds, self.threads)
                difference = rivals.disagreement(ours, loaded[p].outputs())
            except UnsupportedError as error:
                notes.append(f"{name}: {error.what}")
            except Exception as error:                          # whatever a peer raises when it first runs
                loaded.pop(p, None)
                notes.append(f"{name}: {p} does not run it: {type(error).__name__}: {str(error)[:300]}")
            else:
                if not difference <= DISAGREE:
                    notes.append(f"{name}: results differ from {p}'s by {difference:.1e} of the largest")
        return loaded

    def show(self, name: str, figures: Mapping[str, Any]) -> None:
        found = figures["peers"]
        ratios = {p: ratio for p, (_, ratio) in found.items()}
        if ratios:
            ratios["better"] = min(ratios.values())
        for p, ratio in ratios.items():
            self.ratios[p].append(ratio)
        flops, seconds = figures["flops"], figures["ours"]
        cells = [name, f"{flops / 1e9:.2f}", f"{seconds * 1e3:.2f}", f"{flops / seconds / self.peak:.0%}"]
        last = ["**geometric mean**", "", "", ""]
        for p in self.peers:
            cells += [f"{found[p][0] * 1e3:.2f}", f"{ratios[p]:.2f}"] if p in found else ["–", "–"]
            last += ["", self.mean(p)]
        self.table.notes += figures["notes"]
        self.table.add([*cells, f"{ratios['better']:.2f}" if ratios else "–"], [*last, self.mean("better")])

    def mean(self, peer: str) -> str:
        return f"**{geometric_mean(self.ratios[peer]):.2f}**"


def numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(ZOO), metavar="name")
    parser.add_argument("--vs", default="onnxruntime,openvino")
    parser.add_argument("--threads", type=numbers, default=[2], metavar="N,...")
    parser.add_argument("--batch", type=numbers, default=[1], metavar="N,...")
    parser.add_argument("--seconds", type=float, default=4.0, help="per network")
    parser.add_argument("--layers", type=int, default=0, metavar="N", help="show the N slowest layers")
    parser.add_argument("--figures", metavar="FILE", help="take over what FILE has, add what is measured")
    parser.add_argument("--busy", action="store_true", help="with another process that computes on one core")
    parser.add_argument("--save", action="store_true", help="write dated tables to bench/results")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(ZOO)):
        parser.error(f"no network is called {', '.join(unknown)}; there are {', '.join(ZOO)}")
    for threads in args.threads:
        for batch in args.batch:
            Configuration(args, batch, threads).run()


if __name__ == "__main__":
    main()
