"""wright onnx: one file per command, or per family of commands; COMMANDS lists them in the order help shows."""

from . import append, check, clean_names, deduplicate, dims, fold, lint, merge, node, prepend, show, simplify, tensor

HELP = "look at, edit, check, merge and convert ONNX files"
DESCRIPTION = """Look at ONNX files and change them. A command that changes a model writes a new file (-o), or the same
one with --in-place; the model is valid afterwards, or nothing is written and the error says why."""
EPILOG = """examples:
  wright onnx show model.onnx
  wright onnx check model.onnx
  wright onnx lint model.onnx"""

COMMANDS = (show, node, tensor, check, lint, fold, simplify, deduplicate, clean_names, merge, prepend, append, dims)
