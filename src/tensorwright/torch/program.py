"""python -m tensorwright.torch.program FILE.pt2 OUTPUT.onnx OPSET: a saved ExportedProgram becomes ONNX.

Run by `tensorwright.onnx.convert`. Loading the file unpickles parts of it: only for files that are trusted.
"""

from __future__ import annotations

import sys


def main(source: str, output: str, opset: str) -> None:
    import torch
    program = torch.onnx.export(torch.export.load(source), (), dynamo=True, opset_version=int(opset), verbose=False)
    assert program is not None
    program.save(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
