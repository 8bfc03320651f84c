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

from bench.contestants import PEERS, ours
from bench.interleave import interleave
from tools.zoo import ZOO, inputs


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


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

    from tensorwright.device import describe
    from tensorwright.device.peak import peak_flops

    peak = peak_flops(args.threads)
    packages = ["tensorwright", "llvmlite", *peers]
    head = [
        f"# Networks, batch {args.batch}, {args.threads} threads, float32",
        "",
        f"{datetime.date.today()}; {cpu_name()} ({describe().name}), {describe().cores} cores, "
        f"FMA peak {peak / 1e9:.0f} GFLOP/s on {args.threads} threads; Python {platform.python_version()}, "
        + ", ".join(f"{p} {version(p)}" for p in packages),
        f"Command: `python bench/networks.py --batch {args.batch} --threads {args.threads} --vs {args.vs}`.",
        "Best ms per contestant; ratio = median of peer / tensorwright over interleaved rounds: above 1 we are faster.",
        "",
        "| network | GFLOP | tensorwright ms | share of peak | "
        + " | ".join(f"{p} ms | {p} / ours" for p in peers)
        + " |",
        "|---|---|---|---|" + "---|---|" * len(peers),
    ]
    print("\n".join(head), flush=True)
    rows, ratios = [], {p: [] for p in peers}
    for name in args.names:
        network = ZOO[name]
        model = network.model()
        feeds = inputs(model, {**network.sizes, "batch": args.batch}, network.limits)
        run, engine = ours(model, feeds, args.threads)
        result = interleave({"ours": run, **{p: PEERS[p](model, feeds, args.threads) for p in peers}}, args.seconds)
        flops = sum(layer.flops for layer in engine.plan.programs[0].layers)
        mine = result.milliseconds["ours"]
        cells = [name, f"{flops / 1e9:.2f}", f"{mine:.2f}", f"{flops / (mine * 1e-3) / peak:.0%}"]
        for p in peers:
            cells += [f"{result.milliseconds[p]:.2f}", f"{result.ratio[p]:.2f}"]
            ratios[p].append(result.ratio[p])
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
        if args.layers:
            for layer, seconds in sorted(engine.profile(feeds, 20), key=lambda t: -t[1])[: args.layers]:
                print(f"    {seconds * 1e6:9.1f} µs  {layer}")
    means = [f"{math.exp(sum(map(math.log, r)) / len(r)):.2f}" for r in ratios.values()]
    last = "| geometric mean | | | | " + " | ".join(f"| {m}" for m in means) + " |"
    print(last)
    if args.save:
        folder = Path(__file__).parent / "results"
        folder.mkdir(exist_ok=True)
        path = folder / f"{datetime.date.today()}_networks_b{args.batch}_t{args.threads}.md"
        path.write_text("\n".join([*head, *rows, last]) + "\n")
        print(f"written to bench/results/{path.name}")


if __name__ == "__main__":
    main()
