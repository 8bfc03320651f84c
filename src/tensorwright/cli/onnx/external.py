"""wright onnx external: where the weights are, in the model's file or in files beside it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..console import OK, Console, UsageError

HELP = "put weights into files of their own, or into the model file"
DESCRIPTION = """Write the model with its weights in one file beside it, in several of at most --shard bytes, or inside
the model file (--embed, up to 2 GiB). Nothing is copied into memory."""
EPILOG = """examples:
  wright onnx external model.onnx -o split.onnx
  wright onnx external model.onnx -o split.onnx --file weights.bin
  wright onnx external model.onnx -o split.onnx --shard 2GB
  wright onnx external split.onnx -o one.onnx --embed"""
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help="write the model there")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--embed", action="store_true", help="weights go into the model file")
    how.add_argument("--file", metavar="NAME", help="weights go into this file beside it (default: FILE.data)")
    parser.add_argument("--shard", metavar="SIZE", help="several files of at most this size, like 500MB or 2GB")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    if options.embed and options.shard:
        raise UsageError("--embed makes one file, --shard several")
    shard = None if options.shard is None else size(options.shard)
    model = onnx.load(options.model)
    path = onnx.save(model, options.output, external=False if options.embed else options.file or True, shard=shard)
    console.say(f"wrote {path}")
    console.result(output=str(path))
    return OK


def size(text: str) -> int:
    number = text.upper().rstrip("KMGIB")
    unit = text.upper()[len(number):]
    try:
        return int(float(number) * UNITS[unit])
    except (KeyError, ValueError):
        raise UsageError(f"--shard takes a size like 500MB or 2GB, not {text!r}") from None
