"""Models that trtexec took besides ONNX up to generation 8: Caffe's, and TensorFlow's in UFF."""

from __future__ import annotations

from typing import Any

from ...errors import InputError
from ...trt import CaffeParser, DataType, INetworkDefinition, UffInputOrder, UffParser
from ..console import UsageError
from .flags import Asked
from .log import Log


def uff_input(text: str) -> tuple[str, tuple[int, ...]]:
    """name,C,H,W"""
    name, *sizes = text.split(",")
    if not name or not sizes or not all(s.isdecimal() and int(s) for s in sizes):
        raise UsageError(f"{text!r} is not NAME,C,H,W")
    return name, tuple(map(int, sizes))


def is_older(asked: Asked) -> bool:
    return asked["deploy"] is not None or asked["uff"] is not None


def check_older(asked: Asked) -> None:
    """UsageError for flags that do not go together."""
    if asked["deploy"] is not None and asked["uff"] is not None:
        raise UsageError("give a model with --deploy or with --uff, and not both")
    for name, with_ in (("model", "deploy"), ("uffInput", "uff"), ("uffNHWC", "uff")):
        if asked[name] and asked[with_] is None:
            raise UsageError(f"--{name} needs --{with_}=FILE")
    if is_older(asked) and not outputs(asked):
        raise UsageError("name what the network gives: --output=NAME, repeated for each")
    if asked["uff"] is not None and not asked["uffInput"]:
        raise UsageError("name what the network takes: --uffInput=NAME,C,H,W")
    for name in ("output", "batch", "maxBatch"):
        if asked[name] and not is_older(asked):
            raise UsageError(f"--{name} is for models of --deploy and --uff",
                             "an ONNX model has its outputs, and its batch in its shapes: --shapes")


def outputs(asked: Asked) -> list[str]:
    return [name for one in asked.given if one.flag.name == "output" for name in one.value.split(",")]


def filled(asked: Asked, network: INetworkDefinition, log: Log) -> bool:
    """Fill the network, of the batch size that --batch or else --maxBatch says. False after logging why not."""
    batch = asked["batch"] or asked["maxBatch"] or 1
    if asked["uff"] is not None:
        parser: Any = UffParser()
        order = UffInputOrder.NHWC if asked["uffNHWC"] else UffInputOrder.NCHW
        for name, sizes in (one.value for one in asked.given if one.flag.name == "uffInput"):
            if not parser.register_input(name, sizes, order):
                raise InputError(f"--uffInput: {name!r} cannot have the shape {sizes}")
        for name in outputs(asked):
            parser.register_output(name)
        parser._batch = batch
        return bool(parser.parse(str(asked["uff"]), network))
    parser = CaffeParser()
    parser._batch = batch
    if asked["model"] is None:
        log.warning("without --model, the weights are random")
    model = None if asked["model"] is None else str(asked["model"])
    tensors = parser.parse(str(asked["deploy"]), model, network, DataType.FLOAT)
    for name in outputs(asked) if tensors is not None else ():
        if (tensor := tensors.find(name)) is None:
            raise InputError(f"--output: the network has no blob {name!r}")
        network.mark_output(tensor)
    return tensors is not None
