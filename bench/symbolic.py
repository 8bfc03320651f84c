"""What symbolic shapes cost: the same network built for fixed shapes and for ranges, at the size both are tuned for.

    python bench/symbolic.py [resnet50 ...] [--threads 2] [--seconds 3] [--layers 5]

Batch 1 to 8 tuned at 1; other dimensions from 1 to twice what they are tuned at. Both run in turns; lower quartiles,
which forgive what else the machine does.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorwright
from tools.zoo import ZOO, inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["resnet50", "mobilenet_v2", "bert_base", "vit_b16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="per network")
    parser.add_argument("--layers", type=int, default=0, metavar="N", help="show the N layers that lose most")
    args = parser.parse_args()
    print("| network | fixed ms | symbolic ms | symbolic costs |\n|---|---|---|---|")
    for name in args.names:
        network = ZOO[name]
        model = network.model()
        feeds = inputs(model, {**network.sizes, "batch": 1}, network.limits)
        ranges = {"batch": (1, 1, 8), **{d: (1, n, 2 * n) for d, n in network.sizes.items()}}
        fixed = tensorwright.build(model, shapes={k: v.shape for k, v in feeds.items()}, threads=args.threads)
        symbolic = tensorwright.build(model, shapes=ranges, threads=args.threads)
        one, other = in_turns(fixed, symbolic, feeds, args.seconds)
        print(f"| {name} | {one * 1e3:.2f} | {other * 1e3:.2f} | {other / one - 1:+.1%} |", flush=True)
        if args.layers:
            print_losses(fixed, symbolic, feeds, args.layers)


def in_turns(fixed: tensorwright.Engine, symbolic: tensorwright.Engine, feeds: dict, seconds: float) -> np.ndarray:
    """Seconds of a run of each: the lower quartile of all, after a few to warm up."""
    times: list[list[float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 20:
        times.append([])
        for engine in (fixed, symbolic):
            begin = time.perf_counter()
            engine.run(feeds)
            times[-1].append(time.perf_counter() - begin)
    return np.quantile(times[3:], 0.25, axis=0)


def print_losses(fixed: tensorwright.Engine, symbolic: tensorwright.Engine, feeds: dict, count: int) -> None:
    """The layers of the same name whose times differ most, with both tactics; then the layers only one of them has."""
    times = [dict(engine.profile(feeds, 20)) for engine in (fixed, symbolic)]
    tactics = [{x.name: x.tactic for x in engine.plan.programs[0].layers} for engine in (fixed, symbolic)]
    lost = {n: times[1].get(n, 0.0) - times[0].get(n, 0.0) for n in {**times[0], **times[1]}}
    for layer in sorted(lost, key=lambda n: -abs(lost[n]))[:count]:
        print(f"    {lost[layer] * 1e6:+8.1f} µs  {layer}")
        for kind, t, found in zip(("fixed", "symbolic"), times, tactics, strict=True):
            print(f"        {kind:8} {t.get(layer, 0.0) * 1e6:8.1f} µs  {found.get(layer, 'not a layer')}")


if __name__ == "__main__":
    main()
