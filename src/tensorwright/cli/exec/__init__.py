"""wright exec: trtexec's command line. One file per concern; `inventory` lists the flags, `session` runs them."""

from __future__ import annotations

import argparse

from ..console import Console
from .flags import add_flags
from .inventory import FLAGS

HELP = "build, run and measure with the command line of NVIDIA's trtexec"
DESCRIPTION = """Build an engine from an ONNX model, or load one, run it, and report throughput and latency, with the
flags, the report and the files of trtexec (generation 10; spellings of older and newer ones are accepted too). Each
flag says how far it is supported. The exit code is 0, or 1 when anything failed; 2 when the command line cannot be
read."""
EPILOG = """examples:
  wright exec --onnx=model.onnx --saveEngine=model.plan
  wright exec --loadEngine=model.plan --shapes=image:4x3x224x224 --duration=5 --exportTimes=times.json
  wright exec --onnx=model.onnx --minShapes=x:1x8 --optShapes=x:4x8 --maxShapes=x:16x8 --skipInference"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, FLAGS)


def run(options: argparse.Namespace, console: Console) -> int:
    from .session import run
    return run(getattr(options, "given", ()), console)
