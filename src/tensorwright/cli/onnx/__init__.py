"""wright onnx: one file per command, or per family of commands; COMMANDS lists them in the order help shows."""

from . import (
    add_node,
    add_output,
    append,
    boundary,
    check,
    clean_names,
    deduplicate,
    delete_node,
    diff,
    dims,
    external,
    extract,
    find_pattern,
    fold,
    get_attributes,
    get_weight,
    insert_node,
    lint,
    merge,
    node,
    opset,
    precision,
    prepend,
    remove_output,
    remove_unused,
    rename,
    replace_pattern,
    set_attribute,
    set_input,
    set_weight,
    show,
    simplify,
    tensor,
    view,
)

HELP = "look at, edit, check, merge and convert ONNX files"
DESCRIPTION = """Look at ONNX files and change them. A command that changes a model writes a new file (-o), or the same
one with --in-place; the model is valid afterwards, or nothing is written and the error says why."""
EPILOG = """examples:
  wright onnx show model.onnx
  wright onnx check model.onnx
  wright onnx lint model.onnx"""

COMMANDS = (show, node, tensor, view, diff, check, lint, fold, simplify, deduplicate, clean_names, merge, prepend,
            append, dims, get_weight, set_weight, get_attributes, set_attribute, rename, delete_node, insert_node,
            add_node, set_input, find_pattern, replace_pattern, add_output, remove_output, remove_unused, extract,
            precision, boundary, opset, external)
