"""Models of other frameworks become ONNX, where their converters are installed. Each runs in a process of its own.

    SavedModel folder, .h5, .keras, .tflite   tf2onnx:     python -m tf2onnx.convert --saved-model | --keras | --tflite
    .prototxt and .caffemodel                 caffe2onnx:  python -m caffe2onnx.convert --prototxt --caffemodel
    .pt2 (torch.export.save)                  PyTorch's own exporter

Keras files may hold layers written in Python, and .pt2 files pickles: reading those runs the code in them. They are
refused unless the caller trusts the file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError, ModelError, UnsupportedError
from .check import problem
from .model import Model
from .storage import load

#: Operator set asked of converters that take one.
OPSET = 18


@dataclass(frozen=True)
class Converter:
    """One way from a file to ONNX.

    packages    what must be importable, by name on the package index
    arguments   (file, weights, output, operator set) → arguments of `python -m`
    runs_code   why reading a file of this kind runs code in it; "" when it does not
    opset       whether the operator set can be chosen
    """

    kind: str
    packages: tuple[str, ...]
    arguments: Callable[[Path, Path | None, Path, int], list[str]]
    runs_code: str = ""
    opset: bool = True


def _tf2onnx(option: str) -> Callable[[Path, Path | None, Path, int], list[str]]:
    def arguments(file: Path, _: Path | None, output: Path, opset: int) -> list[str]:
        return ["tf2onnx.convert", option, str(file), "--output", str(output), "--opset", str(opset)]
    return arguments


def _caffe(file: Path, weights: Path | None, output: Path, _: int) -> list[str]:
    return ["caffe2onnx.convert", "--prototxt", str(file), "--caffemodel", str(weights), "--onnx", str(output)]


def _torch(file: Path, _: Path | None, output: Path, opset: int) -> list[str]:
    return ["tensorwright.torch.program", str(file), str(output), str(opset)]


TENSORFLOW = ("tf2onnx", "tensorflow")
KERAS = Converter("Keras file", TENSORFLOW, _tf2onnx("--keras"), "Lambda and custom layers in it are Python code")
CONVERTERS: dict[str, Converter] = {
    "": Converter("SavedModel", TENSORFLOW, _tf2onnx("--saved-model")),
    ".h5": KERAS, ".hdf5": KERAS, ".keras": KERAS,
    ".tflite": Converter("TFLite file", TENSORFLOW, _tf2onnx("--tflite")),
    ".prototxt": Converter("Caffe network", ("caffe2onnx",), _caffe, opset=False),
    ".pt2": Converter("PyTorch ExportedProgram", ("torch", "onnxscript"), _torch,
                      "torch.export.load unpickles parts of it"),
}
#: Suffix → why there is no converter for it
REFUSED = {
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt", ".safetensors"),
                    "it holds weights, or a pickled module, without the code that makes a network of them: build the "
                    "module in Python and call tensorwright.torch.export(module, example)"),
    ".onnx": "it is an ONNX model already",
    ".pb": "a frozen graph does not say which tensors are its inputs: python -m tf2onnx.convert --graphdef FILE "
           "--inputs ... --outputs ... --output model.onnx",
}


def convert(source: str | os.PathLike[str], *, weights: str | os.PathLike[str] | None = None,
            opset: int | None = None, trust: bool = False) -> Model:
    """The ONNX model of another framework's file.

    source    a SavedModel folder, or a file: .h5, .keras, .tflite, .prototxt (or .caffemodel), .pt2
    weights   the .caffemodel of a .prototxt; the one beside it with its name when None
    opset     version of ONNX's operator set; 18 when None. Not for Caffe.
    trust     read files although that runs code in them
    Raises    UnsupportedError when the converter is not installed, fails, or the kind of file is not known or not
              trusted; InputError when the file or its weights are not there; ModelError when the result is not valid.
    """
    path = Path(source).absolute()
    if path.suffix == ".caffemodel":
        path, weights = path.with_suffix(".prototxt"), weights or path
    if not path.exists():
        raise InputError(f"{path.name!r} is not there", at=str(path))
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix not in CONVERTERS or (path.is_dir() and not (path / "saved_model.pb").is_file()):
        known = ", ".join(s for s in CONVERTERS if s)
        raise UnsupportedError(f"{path.name!r} cannot be converted", at=str(path), try_=REFUSED.get(
            suffix, f"a SavedModel folder (with saved_model.pb), or a file of these kinds: {known}"))
    converter = CONVERTERS[suffix]
    if weights is not None and converter.arguments is not _caffe:
        raise InputError("weights is for Caffe networks; other files hold their own", at=str(path))
    if opset is not None and not converter.opset:
        raise InputError(f"the operator set of a {converter.kind} cannot be chosen", at=str(path))
    found = None
    if converter.arguments is _caffe:
        found = Path(weights or path.with_suffix(".caffemodel")).absolute()
        if not found.is_file():
            raise InputError(f"the weights {found.name!r} are not there", at=str(path), try_="weights=, or --weights")
    if converter.runs_code and not trust:
        raise UnsupportedError(f"reading a {converter.kind} runs code from it: {converter.runs_code}", at=str(path),
                               try_="trust=True, or --trust, if you know where the file comes from")
    missing = [name for name in converter.packages if find_spec(name) is None]
    if missing:
        raise UnsupportedError(f"converting a {converter.kind} needs {' and '.join(missing)}, which "
                               f"{'is' if len(missing) == 1 else 'are'} not installed", at=str(path),
                               try_=f"pip install {' '.join(converter.packages)}")
    return _run(converter, path, found, opset or OPSET)


def _run(converter: Converter, path: Path, weights: Path | None, opset: int) -> Model:
    with tempfile.TemporaryDirectory(prefix="tensorwright-") as folder:
        output = Path(folder) / "model.onnx"
        command = [sys.executable, "-m", *converter.arguments(path, weights, output, opset)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, cwd=folder)
        if done.returncode or not output.is_file():
            said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            raise UnsupportedError(f"{command[2]} could not convert the {converter.kind} (exit code {done.returncode})",
                                   at=str(path), says="\n         ".join(line[:300] for line in said[-6:]) or "nothing")
        model = load(output)
    if found := problem(model):
        raise ModelError(f"{command[2]} wrote a model that is not valid: {found}", at=str(path))
    model.label = path.name
    return model
