"""LLVM IR → object code, with llvmlite and nothing else of ours: also a program of its own, for `compilers`.

As a program it says READY and answers requests on standard input until that ends. A request is the JSON of [text,
target]; its answer is DONE and the object code, or REFUSED and LLVM's words. `send` and `receive` frame them.
"""

from __future__ import annotations

import json
import signal
import struct
import sys
from functools import cache
from typing import IO

if __name__ == "__main__":
    sys.path.append(sys.argv[1])                           # the folder that llvmlite lies in

import llvmlite.binding as llvm

READY, DONE, REFUSED = b"ready", b"+", b"-"
#: Before every message: its length in bytes.
LENGTH = struct.Struct("<Q")
#: (LLVM target triple, CPU name, feature string)
Target = tuple[str, str, str]


@cache
def initialize(native: bool) -> None:
    if native:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        llvm.initialize_native_asmparser()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()


@cache
def machine(target: Target, opt: int) -> llvm.TargetMachine:
    """RuntimeError when this LLVM does not know the target."""
    triple, name, features = target
    initialize(native=llvm.get_default_triple().split("-")[0] == triple.split("-")[0])
    found = llvm.Target.from_triple(triple)
    return found.create_target_machine(cpu=name, features=features, opt=opt, reloc="pic", codemodel="default")


def parse(text: str, target: Target, opt: int) -> llvm.ModuleRef:
    """The module, verified, for the target. RuntimeError with LLVM's words otherwise."""
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = target[0], str(machine(target, opt).target_data)
    module.verify()
    return module


def object_code(text: str, target: Target, opt: int = 3) -> bytes:
    """Position-independent object code. Only the code generator runs, no pass over the IR."""
    return bytes(machine(target, opt).emit_object(parse(text, target, opt)))


def send(message: bytes, pipe: IO[bytes]) -> None:
    pipe.write(LENGTH.pack(len(message)) + message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes:
    """The next message. EOFError when the pipe ends before or within it."""
    head = pipe.read(LENGTH.size)
    message = pipe.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else None
    if message is None or len(message) != LENGTH.unpack(head)[0]:
        raise EOFError
    return message


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)           # Ctrl-C is the parent's: it closes our input
    initialize(native=True)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answer = READY
    while True:
        send(answer, answers)
        try:
            text, target = json.loads(receive(requests))
        except EOFError:
            return
        try:
            answer = DONE + object_code(text, tuple(target))
        except RuntimeError as error:                      # what LLVM says of a text or a target it refuses
            answer = REFUSED + str(error).strip().encode()


if __name__ == "__main__":
    _serve()
