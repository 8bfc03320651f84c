"""wright shim: run a program in which `import tensorrt` is answered by tensorwright."""

from __future__ import annotations

import argparse
import os
import shutil

from .console import Console, UsageError

HELP = "run a script written for NVIDIA's TensorRT, without changing it"
DESCRIPTION = """Run a program in which `import tensorrt` gives tensorwright's API, with the names, enumeration integers
and version of one TensorRT generation. Nothing is installed; programs that it starts see the same."""
EPILOG = """examples:
  wright shim -- python build_engine.py
  wright shim --generation 8 -- python old_script.py --fp16"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..compat import GENERATIONS, USUAL
    parser.add_argument("--generation", default=USUAL, metavar="N",
                        help=f"TensorRT's major version: {', '.join(GENERATIONS)} (default {USUAL})")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="-- and the program with its arguments")


def run(options: argparse.Namespace, console: Console) -> int:
    from ..compat import environment
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not program:
        raise UsageError("which program? wright shim -- python script.py")
    found = shutil.which(program[0])
    if found is None:
        raise UsageError(f"there is no program {program[0]!r}")
    os.execve(found, program, environment(options.generation))
