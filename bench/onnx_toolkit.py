"""The ONNX toolkit on large models, each step in a new process: python bench/onnx_toolkit.py [--gigabytes G] [--peers]

large    weights of --gigabytes: matrix products, every other weight stored transposed, with the Transpose to fold
chain    20 000 small nodes, every fifth foldable, and an exporter's shape arithmetic

time     seconds of a whole process: Python and imports, reading, the step, writing
memory   peak resident set (mapped pages of the file included), against the size of the file

The criterion is 10 s for both, and for the large one twice the file's size in memory. The file is in the page cache
before. Peers fold the same file: onnxscript's optimizer, and ONNX Runtime writing
its optimised model at the basic level.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

SECONDS, TIMES = 10.0, 2.0
WIDTH = 2048
#: step → arguments of the command line
COMMANDS = {"check": ["check", "{in}"], "show": ["show", "{in}"], "lint": ["lint", "{in}"],
            "save": ["external", "{in}", "-o", "{out}"], "fold": ["fold", "{in}", "-o", "{out}"],
            "simplify": ["simplify", "{in}", "-o", "{out}"], "dims": ["dims", "{in}", "-o", "{out}", "--batch", "8"]}
PEERS = {
    "onnxscript": "import onnx, onnxscript.optimizer, onnx_ir; m = onnx_ir.load(r'{in}'); "
                  "onnxscript.optimizer.optimize(m, input_size_limit=1 << 40, output_size_limit=1 << 40); "
                  "onnx_ir.save(m, r'{out}', external_data='out.data')",
    "onnxruntime": "import onnxruntime as o; s = o.SessionOptions(); s.optimized_model_filepath = r'{out}'; "
                   "s.graph_optimization_level = o.GraphOptimizationLevel.ORT_ENABLE_BASIC; "
                   "s.add_session_config_entry('session.optimized_model_external_initializers_file_name', 'out.data'); "
                   "o.InferenceSession(r'{in}', s, providers=['CPUExecutionProvider'])",
    "onnxsim": "import onnx, onnxsim; onnx.save(onnxsim.simplify(onnx.load(r'{in}'))[0], r'{out}', "
               "save_as_external_data=True, location='out.data')",
    "onnxslim": "import onnx, onnxslim; onnx.save(onnxslim.slim(onnx.load(r'{in}')), r'{out}', "
                "save_as_external_data=True, location='out.data')",
    "onnx_graphsurgeon": "import onnx, onnx_graphsurgeon as gs; g = gs.import_onnx(onnx.shape_inference.infer_shapes("
                         "onnx.load(r'{in}'))); onnx.save(gs.export_onnx(g.fold_constants().cleanup()), r'{out}', "
                         "save_as_external_data=True, location='out.data')",
}


def large(path: Path, gigabytes: float) -> None:
    """Products of (batch, WIDTH) with matrices of 16 MB each, in external data."""
    from onnx import TensorProto, helper
    count = max(2, round(gigabytes * 1e9 / (4 * WIDTH * WIDTH)))
    random, nodes, weights, x = np.random.default_rng(0), [], [], "x"
    data = path.with_suffix(".data").open("wb")
    for i in range(count):
        tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=[WIDTH, WIDTH],
                             data_location=TensorProto.EXTERNAL)
        size = 4 * WIDTH * WIDTH
        for key, value in (("location", data.name.rpartition("/")[2]), ("offset", i * size), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        data.write(random.standard_normal((WIDTH, WIDTH), dtype=np.float32).tobytes())
        weights.append(tensor)
        if i % 2:
            nodes.append(helper.make_node("Transpose", [f"w{i}"], [f"t{i}"], perm=[1, 0]))
        nodes.append(helper.make_node("MatMul", [x, f"t{i}" if i % 2 else f"w{i}"], [x := f"h{i}"]))
    data.close()
    save(path, nodes, weights, x, WIDTH)


def chain(path: Path, count: int) -> None:
    from onnx import helper, numpy_helper
    nodes, x = [], "x"
    weights = [numpy_helper.from_array(np.float32(v), n) for n, v in (("a", 2), ("b", 3))]
    weights += [numpy_helper.from_array(np.array(v), n) for n, v in (("one", 1), ("front", [0]), ("all", [-1]))]
    while len(nodes) < count:
        i = len(nodes)
        nodes += [helper.make_node("Add", ["a", "b"], [f"c{i}"]), helper.make_node("Mul", [x, f"c{i}"], [f"m{i}"]),
                  helper.make_node("Sigmoid", [f"m{i}"], [f"s{i}"]), helper.make_node("Add", [f"s{i}", x], [f"r{i}"]),
                  helper.make_node("Shape", [f"r{i}"], [f"n{i}"]),
                  helper.make_node("Gather", [f"n{i}", "one"], [f"g{i}"]),
                  helper.make_node("Unsqueeze", [f"g{i}", "front"], [f"u{i}"]),
                  helper.make_node("Concat", ["all", f"u{i}"], [f"k{i}"], axis=0),
                  helper.make_node("Reshape", [f"r{i}", f"k{i}"], [f"y{i}"]),
                  helper.make_node("Relu", [f"y{i}"], [f"z{i}"])]
        x = f"z{i}"
    save(path, nodes, weights, x, 16)


def save(path: Path, nodes: list, weights: list, result: str, width: int) -> None:
    from onnx import TensorProto, helper
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "bench", [value("x", TensorProto.FLOAT, ["batch", width])],
                              [value(result, TensorProto.FLOAT, ["batch", width])], weights)
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
                     .SerializeToString())


def measure(command: list[str]) -> tuple[float, float, int, str]:
    """Seconds, bytes of the peak resident set, exit code and last words of a new process."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begin
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines()
    return seconds, usage.ru_maxrss * 1024.0, os.waitstatus_to_exitcode(status), words[-1] if words else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of the large model (1)")
    parser.add_argument("--nodes", type=int, default=20_000, help="nodes of the chain (20000)")
    parser.add_argument("--steps", default=",".join(COMMANDS), help="comma-separated")
    parser.add_argument("--peers", action="store_true", help="fold with the peers that are installed, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    from tensorwright.cli import onnx as family
    known = {m.__name__.rpartition(".")[2] for m in family.COMMANDS}
    figures: dict[str, dict[str, dict[str, object]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make, amount in (("large", large, options.gigabytes), ("chain", chain, options.nodes)):
            (place := Path(folder) / name).mkdir()
            make(path := place / "in.onnx", amount)
            size = sum(p.stat().st_size for p in place.glob("in.*"))
            paths = {"in": str(path), "out": str(place / "out.onnx")}
            print(f"{name}: {size / 1e6:.0f} MB", file=sys.stderr)
            steps = {s: [sys.executable, "-m", "tensorwright.cli.main", "onnx",
                         *(a.format(**paths) for a in COMMANDS[s])]
                     for s in options.steps.split(",") if COMMANDS[s][0] in known}
            for peer in (p for p in PEERS if find_spec(p)) if options.peers else ():
                steps[peer] = [sys.executable, "-c", PEERS[peer].replace("{in}", paths["in"])
                               .replace("{out}", paths["out"])]
            for step, command in steps.items():
                seconds, memory, code, words = measure(command)
                for left in place.glob("out*"):
                    left.unlink()
                met = code in (0, 1) and seconds <= SECONDS and (name == "chain" or memory <= TIMES * size)
                figures.setdefault(name, {})[step] = {"seconds": seconds, "memory": memory, "of_file": memory / size,
                                                      "exit": code, "met": met}
                if not options.json:
                    verdict = f"failed: {words}" if code not in (0, 1) else "" if met else "over the criterion"
                    print(f"  {name:<6} {step:<12} {seconds:6.2f} s  {memory / 1e6:7.0f} MB  "
                          f"{memory / size:6.2f} × file  {verdict}", flush=True)
    if options.json:
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
