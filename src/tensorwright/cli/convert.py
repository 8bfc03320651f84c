"""wright convert: models of other frameworks become ONNX."""

from __future__ import annotations

import argparse
from pathlib import Path

from .console import OK, Console, UsageError

HELP = "convert a model of TensorFlow, Keras, TFLite, Caffe or PyTorch (.pt2) to ONNX"
DESCRIPTION = """Convert a TensorFlow SavedModel, a Keras or TFLite file (with tf2onnx), a Caffe network (with
caffe2onnx) or a PyTorch ExportedProgram (with PyTorch) to ONNX. The converter must be installed; the message says how
when it is not. Files whose reading runs code that is in them (Keras, .pt2) are refused without --trust."""
EPILOG = """examples:
  wright convert saved_model_folder -o model.onnx
  wright convert model.tflite -o model.onnx
  wright convert deploy.prototxt --weights net.caffemodel -o model.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="SavedModel folder, or .h5, .keras, .tflite, .prototxt, .pt2 file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="write the ONNX model there")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="the .caffemodel (default: of the same name)")
    parser.add_argument("--opset", type=int, metavar="N", help="version of ONNX's operator set (default: 18)")
    parser.add_argument("--trust", action="store_true", help="read the file although that runs code from it")


def run(options: argparse.Namespace, console: Console) -> int:
    from .. import onnx
    from .onnx.merge import interface, say_interface
    if options.output.suffix == ".plan":
        raise UsageError("-o names an ONNX file here; `wright build` makes plans")
    model = onnx.convert(options.model, weights=options.weights, opset=options.opset, trust=options.trust)
    path = onnx.save(model, options.output)
    say_interface(model, console)
    console.say(f"wrote {path}")
    console.result(output=str(path), opset=model.opset, **interface(model))
    return OK
