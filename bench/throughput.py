"""Requests per second at batch 1 when several wait: python bench/throughput.py [--streams 2] [name ...]

Clients are as many threads as there are streams; each sends its next request when it has the last one's answer.

latency    one engine as it is by default, one client: every request has all threads
shared     the same engine, all clients: one request has the team, the others their own thread
streams    Engine(plan, streams=N) of a plan built with threads=1
peers      ONNX Runtime with intra_op_num_threads=1, all clients; OpenVINO's THROUGHPUT hint with N streams, requests
           kept going by its AsyncInferQueue

In turns, medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorwright
from tensorwright.runtime import Engine
from tools.zoo import ZOO, inputs

Rate = Callable[[float], float]                              # seconds to measure for → requests per second


def clients(call: Callable[[], Any], count: int) -> Rate:
    """`count` threads that call again and again."""
    def rate(seconds: float) -> float:
        done, stop = [0] * count, time.perf_counter() + seconds

        def client(k: int) -> None:
            while time.perf_counter() < stop:
                call()
                done[k] += 1
        threads = [threading.Thread(target=client, args=(k,)) for k in range(count)]
        begin = time.perf_counter()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return sum(done) / (time.perf_counter() - begin)
    return rate


def onnxruntime(model: bytes, feeds: dict[str, np.ndarray], streams: int) -> Rate:
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return clients(lambda: session.run(None, feeds), streams)


def openvino(model: bytes, feeds: dict[str, np.ndarray], streams: int) -> Rate:
    import openvino as ov
    core = ov.Core()
    network = core.read_model(model)
    network.reshape({name: list(array.shape) for name, array in feeds.items()})
    compiled = core.compile_model(network, "CPU", {
        "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams,
        "INFERENCE_PRECISION_HINT": "f32"})
    queue = ov.AsyncInferQueue(compiled, streams)

    def rate(seconds: float) -> float:
        done, begin = 0, time.perf_counter()
        while time.perf_counter() < begin + seconds:
            queue.start_async(feeds)
            done += 1
        queue.wait_all()
        return done / (time.perf_counter() - begin)
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["mobilenet_v2", "resnet50"], metavar="name")
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.5, help="per figure and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vs", default="onnxruntime,openvino")
    args = parser.parse_args()
    peers = {"onnxruntime": onnxruntime, "openvino": openvino}
    for name in args.names:
        network = ZOO[name]
        model = network.model()
        feeds = inputs(model, {**network.sizes, "batch": 1}, network.limits)
        shapes = {k: v.shape for k, v in feeds.items()}
        together = tensorwright.build(model, shapes=shapes, threads=args.streams)
        apart = Engine(tensorwright.build(model, shapes=shapes, threads=1).plan, streams=args.streams)
        same = Engine(together.plan, streams=args.streams)
        rates: dict[str, Rate] = {
            "latency": clients(lambda: together.run(feeds), 1),  # noqa: B023
            "shared": clients(lambda: together.run(feeds), args.streams),  # noqa: B023
            "streams, plan for the team": clients(lambda: same.run(feeds), args.streams),  # noqa: B023
            "streams": clients(lambda: apart.run(feeds), args.streams)}  # noqa: B023
        for peer in filter(None, args.vs.split(",")):
            rates[peer] = peers[peer](model.SerializeToString(), feeds, args.streams)
        found: dict[str, list[float]] = {way: [] for way in rates}
        for _ in range(args.rounds):
            for way, rate in rates.items():
                time.sleep(0.01)
                found[way].append(rate(args.seconds))
        medians = {way: statistics.median(values) for way, values in found.items()}
        print(f"{name}, batch 1, {args.streams} streams, requests per second: " +
              "; ".join(f"{way} {value:.1f}" for way, value in medians.items()), flush=True)


if __name__ == "__main__":
    main()
