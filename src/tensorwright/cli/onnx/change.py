"""What all commands that change a model have in common: where it comes from, where it goes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import OK, Console, UsageError

if TYPE_CHECKING:
    from ...onnx import Model


def add_files(parser: argparse.ArgumentParser) -> None:
    """MODEL, -o, --in-place, --external: the arguments that `change` reads."""
    parser.add_argument("model", type=Path, help="ONNX file")
    goes = parser.add_mutually_exclusive_group(required=True)
    goes.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the changed model there")
    goes.add_argument("--in-place", action="store_true", help="replace the file")
    parser.add_argument("--external", action=argparse.BooleanOptionalAction, default=None,
                        help="keep weights in a file of their own, or in the model file (default: as they are)")


def change(options: argparse.Namespace, console: Console, edit: Callable[[Model], dict[str, Any] | None]) -> int:
    """Load, edit, save; what `edit` returns goes into the JSON result."""
    from ... import onnx
    if not options.in_place and options.output.suffix == ".plan":
        raise UsageError("-o names an ONNX file here; `wright build` makes plans")
    model = onnx.load(options.model)
    facts = edit(model) or {}
    path = onnx.save(model, options.model if options.in_place else options.output, external=options.external)
    console.say(f"wrote {path}")
    console.result(output=str(path), **facts)
    return OK
