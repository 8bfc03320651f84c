"""OnnxParserRefitter: the weights of an ONNX model for an engine that was built from one like it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InputError, TensorwrightError
from ..importer.keep import constants_of
from ..importer.source import ModelSource, load_model
from ..importer.survey import Fault
from .foundation import Weights, theirs
from .logger import ILogger
from .parser_error import ParserErrors
from .recorder import Voice
from .refitter import Refitter


class OnnxParserRefitter(ParserErrors):
    """Gives a Refitter the weights of a model, by their names; Refitter.refit_cuda_engine puts them to use.

    Weights of the model that the engine does not have are left out, and those of the engine that the model does not
    have are not touched: Refitter.get_missing_weights tells whether some are needed.
    """

    def __init__(self, refitter: Refitter, logger: ILogger) -> None:
        self._refitter, self._logger = refitter, Voice(logger)
        self._errors, self._loaded = [], None
        self._closed = True

    def refit_from_bytes(self, model: Any, path: str | None = None) -> bool:
        """model: the bytes of an ONNX file. path: where it lies, for external weights beside it."""
        return self._refit_from(bytes(model), os.path.dirname(path) or "." if path else None)

    def refit_from_file(self, model: str) -> bool:
        return self._refit_from(os.fspath(model), None)

    def refit_model_proto(self) -> bool:
        """With the model that load_model_proto took."""
        if self._loaded is None:
            return self._object([Fault(InputError("no model is loaded", try_="load_model_proto"))])
        return self._refit(self._loaded)

    def _refit_from(self, model: str | bytes, base: str | None) -> bool:
        try:
            source = load_model(model, base)
        except TensorwrightError as error:
            return self._object([Fault(error)])
        return self._refit(source)

    def _refit(self, source: ModelSource) -> bool:
        """All that fits is given, also when something else does not."""
        faults: list[Fault] = []
        wanted, found = set(self._refitter.get_all_weights()), 0
        for name, array in self._arrays(source, wanted, faults):
            prototype = self._refitter.get_weights_prototype(name)
            if (prototype.dtype, prototype.size) != (theirs_of(array), array.size):
                faults.append(Fault(InputError(f"weights {name!r} are {array.dtype} {array.shape}, the engine takes "
                                               f"{prototype.size} of {prototype.dtype}", at=source.label)))
            else:
                found += self._refitter.set_named_weights(name, Weights(np.ascontiguousarray(array)))
        if not faults and wanted and not found:
            faults.append(Fault(InputError("the model has none of the engine's weights", at=source.label,
                                           engine=", ".join(sorted(wanted)[:8]), try_="take the model the engine was "
                                           "built from, with other weights")))
        return self._object(faults)

    def _arrays(self, source: ModelSource, wanted: set[str], faults: list[Fault]) -> Iterator[tuple[str, np.ndarray]]:
        for name, stored in constants_of(source.proto.graph).items():
            if name in wanted:
                try:
                    yield name, source.array(stored)
                except TensorwrightError as error:
                    faults.append(Fault(error))


def theirs_of(array: np.ndarray) -> Any:
    from ..dtypes import DType
    return theirs(DType.of(array))
