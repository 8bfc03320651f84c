"""How the module is called: its inputs by name, which of their axes are dynamic, and the same call with other data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from ..errors import InputError, UnsupportedError

if TYPE_CHECKING:
    import torch

#: "batch", None (all sizes fixed), or input → axis → name of the dimension
Dynamic = Union[str, None, Mapping[str, Mapping[int, str]]]


def installed() -> Any:
    """PyTorch. UnsupportedError where it is not installed."""
    try:
        import torch
    except ImportError:
        raise UnsupportedError("tensorwright.torch needs PyTorch, which is not installed",
                               try_="pip install 'tensorwright[torch]'") from None
    return torch


@dataclass(frozen=True)
class Call:
    """A call of a module's forward.

    bound    its arguments; tensors are copies of the example's, so that none is in two places
    names    names of the ONNX model's inputs, one for each tensor, in order
    axes     input → axis → name, of dynamic dimensions
    batch    number of examples in the tensors; None when the batch is not dynamic
    """

    bound: inspect.BoundArguments
    names: tuple[str, ...]
    axes: Mapping[str, Mapping[int, str]]
    batch: int | None

    @property
    def args(self) -> tuple[Any, ...]:
        return self.bound.args

    @property
    def kwargs(self) -> dict[str, Any]:
        return self.bound.kwargs

    def tensors(self) -> dict[str, torch.Tensor]:
        return dict(zip(self.names, (t for _, t in walk(self.bound.arguments)), strict=True))

    def shapes(self, dimension: Callable[[str], Any]) -> tuple[Any, ...] | dict[str, Any]:
        """The arguments' structure with {axis: dimension} in the place of tensors, as torch.export takes it."""
        names = iter(self.names)

        def axes(tensor: Any) -> Any:
            return {axis: dimension(name) for axis, name in self.axes.get(next(names), {}).items()}
        given = replaced(self.bound.arguments, axes, lambda other: None)
        bound = inspect.BoundArguments(self.bound.signature, given)
        return {**dict(zip(given, bound.args, strict=False)), **bound.kwargs} if bound.kwargs else bound.args

    def of_batch(self, size: int | None, seed: int) -> Call:
        """Other data of the example's kind: floats with noise, integers and truth values shuffled within each row."""
        import torch
        generator = torch.Generator().manual_seed(seed)
        names = iter(self.names)

        def other(tensor: torch.Tensor) -> torch.Tensor:
            axis = next((a for a, n in self.axes.get(next(names), {}).items() if n == "batch"), None)
            rows = tensor.detach()
            if axis is not None and size is not None:
                rows = rows.index_select(axis, torch.arange(size, device=rows.device) % rows.shape[axis])
            if rows.is_floating_point():
                noise = torch.randn(rows.shape, generator=generator).to(rows)
                spread = float(rows.float().std()) if rows.numel() > 1 else 0.0
                return rows + noise * (0.3 * spread if spread > 0 else 1.0)
            if rows.ndim and rows.shape[-1] > 1:
                order = torch.rand(rows.shape, generator=generator).argsort(-1).to(rows.device)
                return rows.gather(-1, order)
            return rows.clone()
        arguments = replaced(self.bound.arguments, other)
        return Call(inspect.BoundArguments(self.bound.signature, arguments), self.names, self.axes, size)

    def shortened(self) -> Call | None:
        """The call with one less on every dynamic axis that is not the batch; None when there is none."""
        names = iter(self.names)
        shorter: list[str] = []

        def narrowed(tensor: torch.Tensor) -> torch.Tensor:
            for axis, name in self.axes.get(next(names), {}).items():
                if name != "batch" and tensor.shape[axis] > 1:
                    tensor = tensor.narrow(axis, 0, tensor.shape[axis] - 1)
                    shorter.append(name)
            return tensor.clone()
        arguments = replaced(self.bound.arguments, narrowed)
        if not shorter:
            return None
        return Call(inspect.BoundArguments(self.bound.signature, arguments), self.names, self.axes, self.batch)


def call_of(module: torch.nn.Module, example: Any, names: Sequence[str] | None, dynamic: Dynamic) -> Call:
    """The call that `example` describes: a tensor, a tuple of arguments, or a dict of named ones.

    Raises   InputError when it does not fit forward's signature, holds something that is no tensor, number, text or
             None, or when batch sizes disagree.
    """
    import torch

    bound = _bound(module, example)
    bound.arguments = replaced(bound.arguments, lambda t: t.detach().clone())
    found = list(walk(bound.arguments))
    if not found:
        raise InputError("the example holds no tensor", try_="example=torch.randn(1, 3, 224, 224)")
    if names is not None and (len(names) != len(found) or len(set(names)) != len(names)):
        raise InputError(f"the module takes {len(found)} tensors ({', '.join(n for n, _ in found)}) and names has "
                         f"{len(names)} for them: {', '.join(names)}")
    inputs = tuple(names or (n for n, _ in found))
    tensors = dict(zip(inputs, (t for _, t in found), strict=True))
    axes = _axes(tensors, dynamic)
    sizes = {name: tensors[name].shape[axis] for name, by in axes.items() for axis, dim in by.items() if dim == "batch"}
    if len(set(sizes.values())) > 1:
        raise InputError(f"the example's tensors do not agree on the batch: {sizes}",
                         try_='dynamic={"input": {0: "batch"}} names those that have one; dynamic=None fixes all sizes')
    batch = next(iter(sizes.values()), None)
    call = Call(bound, inputs, axes, batch)
    if batch == 1:                                       # exporters take a size of 1 for a constant
        widened = replaced(bound.arguments, _repeater(call))
        call = Call(inspect.BoundArguments(bound.signature, widened), inputs, axes, 2)
    assert all(isinstance(t, torch.Tensor) for t in call.tensors().values())
    return call


def _repeater(call: Call) -> Callable[[Any], Any]:
    import torch
    names = iter(call.names)

    def repeat(tensor: torch.Tensor) -> torch.Tensor:
        axis = next((a for a, n in call.axes.get(next(names), {}).items() if n == "batch"), None)
        return tensor if axis is None else torch.cat([tensor, tensor], axis)
    return repeat


def _bound(module: Any, example: Any) -> inspect.BoundArguments:
    args, kwargs = ((), dict(example)) if isinstance(example, Mapping) else \
        (tuple(example), {}) if isinstance(example, (tuple, list)) else ((example,), {})
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise InputError(f"the example does not fit forward{inspect.signature(module.forward)}: {error}",
                         try_="a tensor, a tuple of arguments, or a dict of named ones") from error
    bound.apply_defaults()                               # of positional ones; exporters take few of the others
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and bound.arguments[name] is parameter.default:
            del bound.arguments[name]
    return bound


def _axes(tensors: Mapping[str, torch.Tensor], dynamic: Dynamic) -> dict[str, dict[int, str]]:
    if dynamic is None:
        return {}
    if dynamic == "batch":
        return {name: {0: "batch"} for name, t in tensors.items() if t.ndim}
    if isinstance(dynamic, str):
        raise InputError(f'dynamic is "batch", None, or input → axis → name, not {dynamic!r}')
    axes: dict[str, dict[int, str]] = {}
    for name, by in dynamic.items():
        if name not in tensors:
            raise InputError(f"dynamic names the input {name!r}; the inputs are {', '.join(tensors)}")
        rank = tensors[name].ndim
        if not all(isinstance(a, int) and -rank <= a < rank and str(n).isidentifier() for a, n in by.items()):
            raise InputError(f"dynamic gives {name!r} the axes {dict(by)}; it has {rank} axes")
        axes[name] = {a % rank: str(n) for a, n in by.items()}
    return axes


def walk(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors in nested lists, tuples and dicts, with names made of the way to them."""
    import torch
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from walk(inner, f"{name}_{key}" if name and name != "kwargs" else str(key))
    elif isinstance(value, (list, tuple)):
        keys: Sequence[Any] = getattr(value, "_fields", range(len(value)))
        for key, inner in zip(keys, value, strict=True):
            yield from walk(inner, f"{name}_{key}" if name else str(key))
    elif not (value is None or isinstance(value, (bool, int, float, str, torch.dtype, torch.device))):
        raise InputError(f"{name or 'the example'} is a {type(value).__name__}; tensors, numbers, text and None, and "
                         "lists, tuples and dicts of them can be exported")


def replaced(value: Any, new: Callable[[Any], Any], other: Callable[[Any], Any] = lambda v: v) -> Any:
    """The same structure with new(tensor) for every tensor, and other(…) for what is not one."""
    import torch
    if isinstance(value, torch.Tensor):
        return new(value)
    if isinstance(value, Mapping):
        return {key: replaced(inner, new, other) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        items = [replaced(inner, new, other) for inner in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return other(value)
