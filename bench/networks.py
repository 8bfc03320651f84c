"""Whole networks against ONNX Runtime and OpenVINO: python bench/networks.py [--vs onnxruntime,openvino] [name ...]

Same model, inputs, thread count and float32 for all; interleaved bursts; medians of paired ratios; ratio > 1 means
tensorwright is faster. --save writes a dated table to bench/results.
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorwright
from tensorwright.cli import rivals
from tensorwright.device import describe
from tensorwright.device.peak import peak_flops
from tools.zoo import ZOO, inputs


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def heading(args: argparse.Namespace, peers: list[str], peak: float) -> list[str]:
    packages = ", ".join(f"{p} {version(p)}" for p in ["tensorwright", "llvmlite", "numpy", *peers])
    chosen = f" {' '.join(args.names)}" if args.names != list(ZOO) else ""
    return [
        f"# Networks, batch {args.batch}, {args.threads} threads, float32",
        "",
        f"{datetime.date.today()}; {cpu_name()} ({describe().name}), {describe().cores} cores, measured FMA peak "
        f"{peak / 1e9:.0f} GFLOP/s on {args.threads} threads; Python {platform.python_version()}, {packages}.",
        f"Command: `python bench/networks.py --batch {args.batch} --threads {args.threads} --vs {args.vs}{chosen}`.",
        "Milliseconds: median over interleaved bursts of each burst's median. Ratio: median over rounds of peer / "
        "tensorwright; above 1 tensorwright is faster. Share of peak counts the operations of direct convolution, so "
        "Winograd may exceed 100 %.",
        "",
        "| network | GFLOP | tensorwright ms | share of peak | " + " | ".join(f"{p} ms | ratio" for p in peers) + " |",
        "|---|---|---|---|" + "---|---|" * len(peers),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(ZOO), metavar="name")
    parser.add_argument("--vs", default="onnxruntime,openvino")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0, help="per network")
    parser.add_argument("--layers", type=int, default=0, metavar="N", help="show the N slowest layers")
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    peers = [p for p in args.vs.split(",") if p]
    peak = peak_flops(args.threads)
    head = heading(args, peers, peak)
    print("\n".join(head), flush=True)
    rows: list[str] = []
    ratios: dict[str, list[float]] = {p: [] for p in peers}
    for name in args.names:
        network = ZOO[name]
        model = network.model()
        feeds = inputs(model, {**network.sizes, "batch": args.batch}, network.limits)
        shapes = {k: v.shape for k, v in feeds.items()}
        engine = tensorwright.build(model, shapes=shapes, threads=args.threads)
        others = [rivals.load(p, model.SerializeToString(), feeds, args.threads) for p in peers]
        mine, *theirs = rivals.interleaved([lambda: engine.run(feeds), *(o.run for o in others)], args.seconds)  # noqa: B023
        flops = sum(layer.flops for layer in engine.plan.programs[0].layers)
        cells = [name, f"{flops / 1e9:.2f}", f"{mine.median * 1e3:.2f}", f"{flops / mine.median / peak:.0%}"]
        for p, timing in zip(peers, theirs, strict=True):
            ratios[p].append(mine.ratio(timing))
            cells += [f"{timing.median * 1e3:.2f}", f"{ratios[p][-1]:.2f}"]
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
        if args.layers:
            for layer, seconds in sorted(engine.profile(feeds, 20), key=lambda t: -t[1])[: args.layers]:
                print(f"    {seconds * 1e6:9.1f} µs  {layer}")
    means = [f"{math.exp(sum(map(math.log, r)) / len(r)):.2f}" for r in ratios.values()]
    rows.append("| **geometric mean** | | | | " + " | ".join(f"| **{m}**" for m in means) + " |")
    print(rows[-1])
    if args.save:
        folder = Path(__file__).parent / "results"
        folder.mkdir(exist_ok=True)
        path = folder / f"{datetime.date.today()}_networks_b{args.batch}_t{args.threads}.md"
        path.write_text("\n".join([*head, *rows]) + "\n")
        print(f"written to bench/results/{path.name}")


if __name__ == "__main__":
    main()
