"""A classifier of digits trained elsewhere, built layer by layer from its weights (network_api_pytorch_mnist).

With --torch the weights come from a PyTorch module's state_dict, else from NumPy. Prints the share of right answers.
"""

import argparse
from importlib import resources

import numpy as np
import tensorrt as trt
from buffers import allocate, infer, release

LOGGER = trt.Logger(trt.Logger.WARNING)
CHANNELS, WINDOW, CLASSES = 12, 3, 10


def digits():
    """Images (N, 1, 8, 8) and what they show."""
    with np.load(resources.files("tensorwright") / "data" / "digits_test.npz") as data:
        return data["image"], data["label"]


def features(images, kernel, bias):
    """What the convolution, the activation and the pooling of the network give, flat."""
    windows = np.lib.stride_tricks.sliding_window_view(images[:, 0], (WINDOW, WINDOW), (1, 2))
    y = np.einsum("nhwij,oij->nohw", windows, kernel[:, 0]) + bias[:, None, None]
    y = np.maximum(y, 0).reshape(len(images), CHANNELS, 3, 2, 3, 2).max((3, 5))
    return y.reshape(len(images), -1)


def train(images, labels):
    """Weights by name, as a state_dict has them: fixed filters, and a matrix fitted by least squares."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(CHANNELS, 1, WINDOW, WINDOW)).astype(np.float32)
    bias = rng.normal(size=CHANNELS).astype(np.float32) * 0.1
    x = np.c_[features(images, kernel, bias), np.ones(len(images))]
    fitted = np.linalg.solve(x.T @ x + 1e-2 * np.eye(x.shape[1]), x.T @ np.eye(CLASSES)[labels])
    return {"conv1.weight": kernel, "conv1.bias": bias, "fc1.weight": fitted[:-1].T.astype(np.float32),
            "fc1.bias": fitted[-1].astype(np.float32)}


def through_torch(weights):
    """The same weights out of a module's state_dict."""
    import torch
    module = torch.nn.Module()
    module.conv1 = torch.nn.Conv2d(1, CHANNELS, WINDOW)
    module.fc1 = torch.nn.Linear(weights["fc1.weight"].shape[1], CLASSES)
    module.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in weights.items()})
    return {k: v.numpy() for k, v in module.state_dict().items()}


def fully_connected(network, x, w, b):
    rows = network.add_shuffle(x)
    rows.reshape_dims = trt.Dims2(1, w.shape[1])
    matrix = network.add_constant(trt.Dims2(*w.shape), np.ascontiguousarray(w))
    product = network.add_matrix_multiply(rows.get_output(0), trt.MatrixOperation.NONE, matrix.get_output(0),
                                          trt.MatrixOperation.TRANSPOSE)
    bias = network.add_constant(trt.Dims2(1, b.size), b)
    added = network.add_elementwise(product.get_output(0), bias.get_output(0), trt.ElementWiseOperation.SUM)
    result = network.add_shuffle(added.get_output(0))
    result.reshape_dims = trt.Dims4(1, b.size, 1, 1)
    return result


def populate(network, weights):
    x = network.add_input(name="data", dtype=trt.float32, shape=(1, 1, 8, 8))
    old = hasattr(network, "add_convolution")            # generations up to 8
    convolve = network.add_convolution if old else network.add_convolution_nd
    conv = convolve(input=x, num_output_maps=CHANNELS, kernel_shape=(WINDOW, WINDOW), kernel=weights["conv1.weight"],
                    bias=weights["conv1.bias"])
    active = network.add_activation(input=conv.get_output(0), type=trt.ActivationType.RELU)
    if old:
        conv.stride = (1, 1)
        pool = network.add_pooling(input=active.get_output(0), type=trt.PoolingType.MAX, window_size=(2, 2))
        pool.stride = (2, 2)
    else:
        conv.stride_nd = (1, 1)
        pool = network.add_pooling_nd(input=active.get_output(0), type=trt.PoolingType.MAX, window_size=(2, 2))
        pool.stride_nd = trt.Dims2(2, 2)
    fc = fully_connected(network, pool.get_output(0), weights["fc1.weight"], weights["fc1.bias"])
    fc.get_output(0).name = "prob"
    network.mark_output(tensor=fc.get_output(0))


def build(weights):
    builder = trt.Builder(LOGGER)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    config = builder.create_builder_config()
    if hasattr(config, "max_workspace_size"):
        config.max_workspace_size = 1 << 28
    else:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 28)
    populate(network, weights)
    return trt.Runtime(LOGGER).deserialize_cuda_engine(builder.build_serialized_network(network, config))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--torch", action="store_true")
    images, labels = digits()
    weights = train(images[::2], labels[::2])
    if parser.parse_args().torch:
        weights = through_torch(weights)
    engine = build(weights)
    inputs, outputs, addresses, stream = allocate(engine)
    context = engine.create_execution_context()
    right, count = 0, 100
    expected = features(images[1::2], weights["conv1.weight"], weights["conv1.bias"]) @ weights["fc1.weight"].T \
        + weights["fc1.bias"]
    for image, label, scores in zip(images[1::2][:count], labels[1::2][:count], expected, strict=False):
        np.copyto(inputs[0].host, image.ravel())
        output, = infer(engine, context, inputs, outputs, addresses, stream)
        np.testing.assert_allclose(output, scores, rtol=1e-3, atol=1e-3)
        right += int(np.argmax(output) == label)
    release(inputs, outputs, stream)
    print(f"right: {right / count:.2f}")


if __name__ == "__main__":
    main()
