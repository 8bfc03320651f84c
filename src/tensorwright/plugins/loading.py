"""Python files and modules that register plugins."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from ..errors import InputError, TensorwrightError


def load(source: str | os.PathLike[str]) -> ModuleType:
    """Run a Python file (a path that ends with .py), or import a module by its name, for the plugins it registers.

    InputError when it is not there, is a compiled library, or fails; what it raises of ours passes as it is.
    """
    text = os.fspath(source)
    path = Path(text)
    if path.suffix == ".py":
        spec = importlib.util.spec_from_file_location(f"tensorwright_plugins_{path.stem}", path)
        if not path.is_file() or spec is None or spec.loader is None:
            raise InputError(f"there is no file {text!r}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            del sys.modules[module.__name__]
            raise _told(error, text) from error
        return module
    if not all(part.isidentifier() for part in text.split(".")) or path.suffix in (".so", ".dll", ".dylib"):
        raise InputError(f"{text!r} is neither a Python file nor the name of a module",
                         try_="compiled libraries for TensorRT cannot run here; a Python file can make plugins of "
                         "compiled functions: plugins.from_address")
    try:
        return importlib.import_module(text)
    except BaseException as error:
        raise _told(error, text) from error


def _told(error: BaseException, source: str) -> BaseException:
    """The error for the user; interruptions and exits stay what they are."""
    if isinstance(error, TensorwrightError):
        return error.located(source)
    if not isinstance(error, Exception):
        return error
    return InputError(f"{source!r} cannot be loaded: {type(error).__name__}: {error}")
