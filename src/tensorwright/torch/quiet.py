"""Hearing what PyTorch says without showing it."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Heard:
    """warnings raised, and text printed by PyTorch's C++ code; complete when the block is over."""

    warnings: list[warnings.WarningMessage] = field(default_factory=list)
    text: str = ""


@contextlib.contextmanager
def quiet(verbose: bool) -> Iterator[Heard]:
    """Warnings are collected; logs and prints are not heard, unless `verbose`. Not for several threads at once."""
    heard = Heard()
    with warnings.catch_warnings(record=True) as heard.warnings:
        warnings.simplefilter("always")
        if verbose:
            yield heard
            for w in heard.warnings:
                print(warnings.formatwarning(w.message, w.category, w.filename, w.lineno), end="")
            return
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), _files(heard):
                yield heard
        finally:
            logging.disable(before)


@contextlib.contextmanager
def _files(heard: Heard) -> Iterator[None]:
    """What is written to the process's own standard output and error goes into heard.text."""
    with tempfile.TemporaryFile() as file:
        try:
            kept = {number: os.dup(number) for number in (1, 2)}
        except OSError:                                  # a process without them
            yield
            return
        _flush()
        try:
            for number in kept:
                os.dup2(file.fileno(), number)
            yield
        finally:
            _flush()
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            heard.text = file.read(1 << 20).decode(errors="replace")


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):
            stream.flush()                               # type: ignore[union-attr]
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).fflush(None)
