"""ParserError: one thing that the ONNX parser objected to."""

from __future__ import annotations

from ..errors import InputError, ModelError, ShapeError, TypeMismatch, UnsupportedError
from ..importer.survey import Fault
from .enums import ErrorCode

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
