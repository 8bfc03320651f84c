"""What every edit promises: the model is valid afterwards, or it is as it was and the error says why.

    @edit
    def delete_node(model, node): ...

    with editing(model):           # one check for many edits: all of them, or none
        delete_node(model, "a")
        delete_node(model, "b")
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from ..errors import ModelError
from .check import problem, problems
from .model import Model
from .structure.settle import settle, sort

if TYPE_CHECKING:
    import onnx_ir

P = ParamSpec("P")
R = TypeVar("R")


def edit(function: Callable[Concatenate[Model, P], R]) -> Callable[Concatenate[Model, P], R]:
    """A function that changes its model: what it leaves invalid is undone and refused."""
    @functools.wraps(function)
    def guarded(model: Model, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with editing(model):
            return function(model, *args, **kwargs)
    return guarded


@contextlib.contextmanager
def editing(model: Model) -> Iterator[Model]:
    """Edits inside are checked together, at the end. When one fails or the end is not valid, none has happened.

    After a failure the model consists of new node and value objects: look them up by name again. A model that was not
    valid before may stay so; the edit is refused when it breaks something else.
    """
    if model.edit_depth:
        model.edit_depth += 1
        try:
            yield model                                  # the outermost one settles, checks and restores
        finally:
            model.edit_depth -= 1
        return
    try:
        before = model.ir.clone()
    except Exception as error:                           # onnx_ir's, for nodes that read what nobody makes
        raise ModelError("the model is too damaged to be edited", at=model.label,
                         try_="`wright onnx check` says what is wrong; export or download the model again") from error
    model.edit_depth, model.unsettled, model.names = 1, False, None
    try:
        yield model
        if model.unsettled:
            _settle(model, before)
        found = problems(model)
        known = problems(Model(before, model.label, model.base)) if any(found) else found
        if new := next((f for f, k in zip(found, known, strict=True) if f and f != k), None):
            raise ModelError(f"the edit would leave an invalid model: {new}", at=model.label)
    except BaseException:
        model.ir = before
        raise
    finally:
        model.edit_depth, model.unsettled, model.names = 0, False, None


def _settle(model: Model, before: onnx_ir.Model) -> None:
    try:
        settle(model)
    except ModelError:
        if problem(Model(before, model.label, model.base)) is None:
            raise
        sort(model)                                      # shapes contradicted each other before, too


def settle_later(model: Model) -> None:
    """To be called in an edit that moves nodes or changes what flows between them.

    At the end of the outermost edit nodes are put into order, and types and shapes are renewed.
    """
    model.unsettled = True
