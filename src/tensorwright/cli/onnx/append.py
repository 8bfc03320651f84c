"""wright onnx append: put post-processing behind a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import Console, UsageError
from .change import add_files, change
from .merge import add_connections, connections, interface, say_interface
from .prepend import size

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "put post-processing behind a model: another model, or softmax, argmax, YOLO decoding, NMS"
DESCRIPTION = """Put another model behind this one (--model), or ready-made pieces; several are put behind each other:
--softmax --argmax 5, or --yolo v8 --nms."""
EPILOG = """examples:
  wright onnx append model.onnx --model post.onnx -o whole.onnx
  wright onnx append resnet.onnx --softmax --argmax 5 -o whole.onnx
  wright onnx append yolo.onnx --yolo v8 --nms --iou 0.5 --score 0.3 -o whole.onnx
  wright onnx append yolo.onnx --yolo v8 --nms plugin -o for_tensorrt.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--model", dest="post", type=Path, metavar="POST", help="ONNX file to put behind the model")
    parser.add_argument("--softmax", action="store_true", help="probabilities")
    parser.add_argument("--argmax", nargs="?", const=0, type=int, metavar="K", help="the best class, or the best K "
                        "with their scores")
    parser.add_argument("--yolo", metavar="VERSION", help="boxes and scores of YOLO v5, v7, v8, v9, v10 or v11")
    parser.add_argument("--nms", nargs="?", const="onnx", choices=("onnx", "plugin"), help="non-maximum suppression: "
                        "ONNX's operator, or TensorRT's plugin EfficientNMS_TRT")
    add_connections(parser)
    more = parser.add_argument_group("pieces")
    more.add_argument("--outputs", nargs="+", metavar="NAME", help="of the model: the one that --softmax, --argmax or "
                      "--yolo is for, the three heads of v5 and v7, or the boxes and scores for --nms without --yolo")
    more.add_argument("--axis", type=int, help="of the classes, for --softmax and --argmax")
    more.add_argument("--classes", type=int, metavar="N", help="for --yolo: channels behind them are not classes")
    more.add_argument("--anchors", nargs="+", metavar="W,H,...", help="for --yolo with heads: the anchors of each in "
                      "pixels, finest first (default: those trained on COCO)")
    more.add_argument("--image-size", metavar="HxW", help="for --yolo with heads, when the model's input does not say")
    more.add_argument("--iou", type=float, metavar="X", help="for --nms: overlap above which a box is dropped (0.45)")
    more.add_argument("--score", type=float, metavar="X", help="for --nms, and v10: scores above it count (0.25)")
    more.add_argument("--limit", type=int, metavar="N", help="for --nms: detections per image (100)")
    more.add_argument("--agnostic", action="store_true", help="for --nms: boxes of all classes suppress each other")


#: option → the pieces that read it
READERS = {"axis": ("softmax", "argmax"), "classes": ("yolo",), "anchors": ("yolo",), "image_size": ("yolo",),
           "iou": ("nms",), "score": ("nms", "yolo"), "limit": ("nms",), "agnostic": ("nms",),
           "outputs": ("softmax", "argmax", "yolo", "nms"), "connect": ("post",), "keep": ("post",)}


def check(options: argparse.Namespace) -> None:
    """UsageError for pieces that do not go together and options that nothing would read."""
    asked = {name for name in ("softmax", "argmax", "yolo", "nms", "post")
             if getattr(options, name) not in (None, False)}
    if not asked:
        raise UsageError("say what to put behind the model: --model, --softmax, --argmax, --yolo or --nms")
    if ("post" in asked and len(asked) > 1) or (asked & {"softmax", "argmax"} and asked & {"yolo", "nms"}):
        raise UsageError(f"{' and '.join('--' + a.replace('post', 'model') for a in sorted(asked))} do not go together")
    for name, readers in READERS.items():
        if getattr(options, name) not in (None, False, []) and not asked & set(readers):
            raise UsageError(f"--{name.replace('_', '-')} is for "
                             + " and ".join("--" + r.replace("post", "model") for r in readers))
    if options.yolo == "v10" and "nms" in asked:
        raise UsageError("YOLO v10 needs no --nms: --yolo v10 gives detections already")
    if options.score is not None and "nms" not in asked and options.yolo != "v10":
        raise UsageError("--score is for --nms and --yolo v10")
    if options.outputs and asked == {"nms"} and len(options.outputs) != 2:
        raise UsageError("--outputs names two for --nms: boxes and scores")
    if options.outputs and asked & {"softmax", "argmax"} and len(options.outputs) != 1:
        raise UsageError("--outputs names one for --softmax and --argmax")


def pairs(text: str) -> list[tuple[float, float]]:
    """"10,13,16,30" → [(10, 13), (16, 30)]"""
    try:
        numbers = [float(n) for n in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or len(numbers) % 2 or min(numbers) <= 0:
        raise UsageError(f"--anchors takes width,height,width,height,... for each head, not {text!r}")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    check(options)

    def edit(model: Model) -> dict[str, Any]:
        if options.post is not None:
            onnx.append(model, onnx.load(options.post), **connections(options))
        else:
            put_pieces(model, options)
        say_interface(model, console)
        return interface(model)
    return change(options, console, edit)


def put_pieces(model: Model, options: argparse.Namespace) -> None:
    from ... import onnx
    from ...onnx import pieces

    outputs = list(options.outputs or [])
    limits = {k: getattr(options, k) for k in ("iou", "score", "limit") if getattr(options, k) is not None}
    output = outputs[0] if outputs else None
    with onnx.editing(model):
        if options.softmax:
            onnx.append(model, pieces.softmax(model, output, axis=options.axis), prefix=options.prefix)
            output = None if len(model.outputs) == 1 else str(model.outputs[-1].name)
        if options.argmax is not None:
            onnx.append(model, pieces.argmax(model, output, axis=options.axis, top=options.argmax or None),
                        prefix=options.prefix)
        if options.yolo:
            score = {"score": options.score} if options.score is not None and options.yolo == "v10" else {}
            decode = pieces.yolo(model, options.yolo, outputs or None, classes=options.classes,
                                 anchors=[pairs(text) for text in options.anchors] if options.anchors else None,
                                 image=size(options.image_size) if options.image_size else None, **score)
            onnx.append(model, decode, prefix=options.prefix)
        if options.nms:
            names = [str(v.name) for v in model.outputs[-2:]] if options.yolo else outputs or ["boxes", "scores"]
            onnx.append(model, pieces.nms(model, *names, agnostic=options.agnostic, kind=options.nms, **limits),
                        prefix=options.prefix)
