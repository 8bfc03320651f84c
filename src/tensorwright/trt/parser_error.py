"""ParserError: one thing that the ONNX parser objected to; and what all that read models have in common."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from ..errors import InputError, ModelError, ShapeError, TensorwrightError, TypeMismatch, UnsupportedError
from ..importer.survey import Fault
from .enums import ErrorCode
from .foundation import Closed
from .logger import ILogger, say

_CODES = ((ModelError, ErrorCode.MODEL_DESERIALIZE_FAILED), (UnsupportedError, ErrorCode.UNSUPPORTED_NODE),
          (ShapeError, ErrorCode.INVALID_NODE), (TypeMismatch, ErrorCode.UNSUPPORTED_NODE_DATATYPE),
          (InputError, ErrorCode.INVALID_VALUE))


class ParserError:
    """All accessors are methods; str() is one line."""

    def __init__(self, fault: Fault) -> None:
        error = fault.error
        self._fault = fault
        self._code = next((code for kind, code in _CODES if isinstance(error, kind)), ErrorCode.INTERNAL_ERROR)
        if self._code is ErrorCode.MODEL_DESERIALIZE_FAILED and fault.node >= 0:
            self._code = ErrorCode.INVALID_NODE
        facts = ", ".join(f"{name}: {value}" for name, value in error.facts.items())
        self._desc = f"{error.what} ({facts})" if facts else error.what

    def code(self) -> ErrorCode:
        return self._code

    def desc(self) -> str:
        return self._desc

    def file(self) -> str:
        """Where the model was read, as far as that is known."""
        return self._fault.error.at[0].partition(", node ")[0] if self._fault.error.at else ""

    def line(self) -> int:
        """0: models have no lines."""
        return 0

    def func(self) -> str:
        """Empty: which function of the parser objected is in no error."""
        return ""

    def node(self) -> int:
        """Index of the node in the model's graph; -1 when no node is to blame."""
        return self._fault.node

    def node_name(self) -> str:
        """Of the node at fault; when local_function_stack is not empty, one inside the last function there."""
        return self._fault.name

    def node_operator(self) -> str:
        return self._fault.operator

    def local_function_stack(self) -> list[str]:
        """Names of the model's functions around the node at fault, the outermost first."""
        return list(self._fault.stack)

    def local_function_stack_size(self) -> int:
        return len(self._fault.stack)

    def __str__(self) -> str:
        where = f"In node {self.node()} with name: {self.node_name()} and operator: {self.node_operator()}"
        inside = f" (inside {' -> '.join(self._fault.stack)})" if self._fault.stack else ""
        return f"{where + inside + ': ' if self.node() >= 0 else ''}{self._code.name}: {self._desc}"

    __repr__ = __str__


class ParserErrors(Closed):
    """What a reader of models objected to in the last one, and models that are given in pieces."""

    _logger: ILogger
    _errors: list[ParserError]
    _loaded: Any                                          # an onnx.ModelProto

    def _object(self, faults: list[Fault]) -> bool:
        """Remember and log what is wrong; whether nothing is."""
        self._errors = [self._class(ParserError)(fault) for fault in faults]
        for fault in faults:
            say(self._logger, ILogger.ERROR, str(fault.error))
        return not faults

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def clear_errors(self) -> None:
        self._errors = []

    def load_model_proto(self: Any, model: Any, path: str | None = None) -> bool:
        """Take a model without parsing it yet: load_initializer may give it weights, parse_model_proto parses it."""
        from ..importer.source import load_model
        try:
            self._loaded = load_model(bytes(model), os.path.dirname(path) or "." if path else None)
        except TensorwrightError as error:
            return bool(self._object([Fault(error)]))
        return bool(self._object([]))

    def load_initializer(self: Any, name: str, data: int, size: int) -> bool:
        """Give an initializer of the loaded model `size` bytes at an address, which are copied. False when there is no
        such initializer, or it takes another number of bytes."""
        from ..importer.source import bits_of, elements
        if self._loaded is None:
            return bool(self._object([Fault(InputError("no model is loaded", try_="load_model_proto"))]))
        found = next((t for t in self._loaded.proto.graph.initializer if t.name == name), None)
        if found is None:
            return bool(self._object([Fault(InputError(f"the model has no initializer {name!r}"))]))
        need = (elements(tuple(found.dims), f"initializer {name!r}") * bits_of(found.data_type) + 7) // 8
        if need != size or (size and not data):
            return bool(self._object([Fault(InputError(f"initializer {name!r} has {need} bytes, {size} are given at "
                                                       f"{int(data):#x}"))]))
        for field in ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data",
                      "external_data", "data_location"):
            found.ClearField(field)
        found.raw_data = ctypes.string_at(int(data), size) if size else b""
        return True
