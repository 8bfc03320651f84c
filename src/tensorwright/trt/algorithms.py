"""IAlgorithmSelector: a user's say in which kernel a layer gets. Generations 7 to 10.

Algorithms are our tactics: `implementation` tells their kinds apart, `tactic` each of them, the same in every build of
this version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BuildError
from .callbacks import guarded
from .enums import BuilderFlag, DataType, TensorFormat
from .foundation import Dims, theirs
from .logger import ILogger, say

if TYPE_CHECKING:
    from ..builder.selection import Offer, Question, Tensor
    from .config import IBuilderConfig


class IAlgorithmIOInfo:
    """How an algorithm wants a tensor. strides: in elements, at the shapes the engine is tuned for."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    @property
    def dtype(self) -> DataType:
        return theirs(self._tensor.dtype)

    @property
    def strides(self) -> Dims:
        return Dims(self._tensor.strides)

    @property
    def tensor_format(self) -> TensorFormat:
        return TensorFormat.LINEAR

    @property
    def vectorized_dim(self) -> int:
        return -1

    @property
    def components_per_element(self) -> int:
        return 1


class IAlgorithmVariant:
    """Two numbers that stand for an algorithm."""

    def __init__(self, offer: Offer) -> None:
        self._tactic = offer.tactic

    @property
    def implementation(self) -> int:
        return number(type(self._tactic).__qualname__)

    @property
    def tactic(self) -> int:
        return number(repr(self._tactic))


class IAlgorithm:
    """One way to do a layer."""

    def __init__(self, question: Question, offer: Offer) -> None:
        self._tensors, self._offer = (*question.inputs, *question.outputs), offer

    @property
    def algorithm_variant(self) -> IAlgorithmVariant:
        return IAlgorithmVariant(self._offer)

    @property
    def timing_msec(self) -> float:
        """0 where it was not timed."""
        return (self._offer.seconds or 0.0) * 1e3

    @property
    def workspace_size(self) -> int:
        """Bytes."""
        return self._offer.workspace

    def get_algorithm_io_info(self, index: int) -> IAlgorithmIOInfo | None:
        """The inputs, weights left out, then the outputs; None beyond them."""
        return IAlgorithmIOInfo(self._tensors[index]) if 0 <= index < len(self._tensors) else None


class IAlgorithmContext:
    """The layer that an algorithm is for, after layers were joined."""

    def __init__(self, question: Question) -> None:
        self._question = question

    @property
    def name(self) -> str:
        return self._question.layer

    @property
    def num_inputs(self) -> int:
        return len(self._question.inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._question.outputs)

    def get_shape(self, index: int) -> list[Dims]:
        """[min, opt, max] of an input or output, by the same index as get_algorithm_io_info; empty beyond them."""
        tensors = (*self._question.inputs, *self._question.outputs)
        return [Dims(shape) for shape in tensors[index].shapes] if 0 <= index < len(tensors) else []


class IAlgorithmSelector:
    """Subclass it, call this __init__, define select_algorithms and report_algorithms."""

    def __init__(self) -> None:
        pass

    def select_algorithms(self, context: IAlgorithmContext, choices: list[IAlgorithm]) -> Sequence[int]:
        """Which choices the layer may get; the fastest of them is taken. None of them: the build fails with
        BuilderFlag.REJECT_EMPTY_ALGORITHMS, and decides as if all were allowed without it."""
        raise NotImplementedError(f"{type(self).__name__} does not define select_algorithms")

    def report_algorithms(self, contexts: list[IAlgorithmContext], choices: list[IAlgorithm]) -> None:
        """Told what each layer of the engine got."""
        raise NotImplementedError(f"{type(self).__name__} does not define report_algorithms")


class Selection:
    """Between a build and a selector: questions become contexts and choices, answers are checked."""

    selector: Any

    def __init__(self, config: IBuilderConfig, logger: ILogger) -> None:
        self.config, self.logger, self.selector = config, logger, config.algorithm_selector
        self.stands: dict[tuple[str, Any], Question] = {}

    def ask(self, question: Question) -> Sequence[int]:
        """Raises BuildError when the selector raises, or answers with anything but numbers of choices."""
        choices = [self._made(IAlgorithm, question, offer) for offer in question.offers]
        context = self._made(IAlgorithmContext, question)
        answer = guarded(self.selector.select_algorithms, context, choices)
        if answer is None or not all(isinstance(i, int) and 0 <= i < len(choices) for i in answer):
            raise BuildError(f"select_algorithms answered {answer!r} for {question.layer!r}, which has "
                             f"{len(choices)} choices", try_="return a list of indices")
        if not len(answer) and self.config.get_flag(BuilderFlag.REJECT_EMPTY_ALGORITHMS):
            raise BuildError(f"select_algorithms rejected all {len(choices)} choices of {question.layer!r}")
        if not len(answer):
            say(self.logger, ILogger.WARNING, f"select_algorithms rejected all choices of {question.layer!r}: the "
                "fastest is taken there")
        return answer or range(len(choices))

    def tell(self, question: Question) -> None:
        self.stands[question.layer, tuple(t.shapes for t in question.inputs)] = question

    def report(self, layers: set[str]) -> None:
        """layers: names of those in the engine."""
        final = [q for q in self.stands.values() if q.layer in layers]
        guarded(self.selector.report_algorithms, [self._made(IAlgorithmContext, q) for q in final],
                [self._made(IAlgorithm, q, q.offers[q.chosen]) for q in final])

    def _made(self, kind: Any, *arguments: Any) -> Any:
        return self.config._class(kind)(*arguments)


def number(text: str) -> int:
    """A positive 63-bit number for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
