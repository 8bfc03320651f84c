"""An ONNX file becomes an engine, watched by a progress monitor where the generation has one, and classifies digits
(introductory_parser_samples, simple_progress_monitor). Prints the share of right answers and the phases.

onnx_model.py MODEL [--damaged]: with --damaged the file is cut, and the parser's errors are printed.
"""

import sys
from importlib import resources

import numpy as np
import tensorrt as trt
from buffers import allocate, infer, release

LOGGER = trt.Logger(trt.Logger.WARNING)


def monitor():
    """A progress monitor that keeps what it was told; None in generations without."""
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):
        def __init__(self):
            trt.IProgressMonitor.__init__(self)
            self.open, self.finished, self.steps = {}, [], 0

        def phase_start(self, phase_name, parent_phase, num_steps):
            assert parent_phase is None or parent_phase in self.open
            self.open[phase_name] = num_steps

        def step_complete(self, phase_name, step):
            assert 0 <= step < self.open[phase_name]
            self.steps += 1
            return True

        def phase_finish(self, phase_name):
            del self.open[phase_name]
            self.finished.append(phase_name)

    return Monitor()


def build(model, watcher):
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1)              # explicit batch, whatever the first flag is called
    config = builder.create_builder_config()
    parser = trt.OnnxParser(network, LOGGER)
    if hasattr(config, "max_workspace_size"):
        config.max_workspace_size = 1 << 30
    else:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 30)
    if watcher is not None:
        config.progress_monitor = watcher
    if not parser.parse(model):
        for i in range(parser.num_errors):
            print(parser.get_error(i))
        return None
    shape = tuple(network.get_input(0).shape)
    network.get_input(0).shape = (1, *shape[1:])     # the batch is fixed before the build
    plan = builder.build_serialized_network(network, config)
    return trt.Runtime(LOGGER).deserialize_cuda_engine(plan)


def main():
    path, damaged = sys.argv[1], "--damaged" in sys.argv
    with open(path, "rb") as file:
        model = file.read()
    watcher = monitor()
    engine = build(model[: len(model) // 2] if damaged else model, watcher)
    if engine is None:
        sys.exit(1)
    with np.load(resources.files("tensorwright") / "data" / "digits_test.npz") as data:
        images, labels = data["image"][:100], data["label"][:100]
    inputs, outputs, addresses, stream = allocate(engine)
    context = engine.create_execution_context()
    right = 0
    for image, label in zip(images, labels, strict=True):
        np.copyto(inputs[0].host, image.ravel())
        scores, = infer(engine, context, inputs, outputs, addresses, stream)
        right += int(np.argmax(scores) == label)
    release(inputs, outputs, stream)
    if watcher is not None:
        assert not watcher.open and watcher.steps
        print("phases:", *watcher.finished)
    print(f"right: {right / 100:.2f}")


if __name__ == "__main__":
    main()
