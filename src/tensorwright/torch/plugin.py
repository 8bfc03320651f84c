"""A `torch.autograd.Function` and the plugin that computes the same: exported as a custom node, and compared.

What PyTorch's exporters need of a custom function, and `custom` gives it:

    script    a static method `symbolic(g, *arguments)` of the class that writes the node. It sees values without
              elements, and numbers as they are; attributes are written with a suffix for their type.
    dynamo    it looks into `forward` and exports what it finds there, so the custom node has to be put in the place of
              the call: torch.onnx.ops.symbolic, of PyTorch 2.8 or later, with the shapes of the results.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from .. import plugins
from ..dims import Dim, evaluate, symbol
from ..dtypes import DType
from ..errors import ExportError, InputError, TensorwrightError, UnsupportedError
from ..ir import TensorType
from ..plugins import Definition
from ..plugins.definition import declared_outputs
from ..plugins.op import keywords
from .call import Dynamic, call_of, installed
from .compare import check, evaluating, runner
from .report import Check, Report

if TYPE_CHECKING:
    import torch

_refused: ContextVar[list[TensorwrightError] | None] = ContextVar("_refused", default=None)
F = TypeVar("F", bound="type[torch.autograd.Function]")
#: Domain of nodes whose plugin has no namespace: exporters want one.
DOMAIN = "tensorwright"


def custom(function: F, plugin: Any, names: Mapping[str, str] | None = None) -> F:
    """Teach PyTorch's exporters that a function is a plugin: it becomes one node of the plugin's name.

        tensorwright.torch.custom(Swish, swish)
        tensorwright.torch.export(module_that_calls_Swish_apply, example, "model.onnx")

    function   a torch.autograd.Function; gets `symbolic`, and an `apply` that knows when it is exported
    plugin     what `custom_op` decorated, a Definition, or the name of a registered plugin
    names      parameter of forward → attribute of the plugin, where they are called differently
    Returns    the function. Tensors among its arguments are the plugin's inputs in order; the others are its attributes
               by name. InputError when a parameter is neither.
    """
    torch = installed()
    if not (isinstance(function, type) and issubclass(function, torch.autograd.Function)):
        raise InputError(f"{function!r:.60} is not a class derived from torch.autograd.Function")
    binding = Binding(function, definition_of(plugin), dict(names or {}))
    original = function.apply

    def apply(cls: Any, *arguments: Any) -> Any:
        if torch.onnx.is_in_onnx_export() and torch.compiler.is_exporting():
            try:
                return binding.node(arguments, original)
            except TensorwrightError as error:
                if (heard := _refused.get()) is not None:
                    heard.append(error)
                raise
        results = original(*arguments)
        return binding.traced(arguments, results) if torch.onnx.is_in_onnx_export() else results

    function.symbolic = staticmethod(binding.symbolic)  # type: ignore[attr-defined]
    function.apply = classmethod(apply)  # type: ignore  # tracers look for the class behind it
    function.plugin = binding.plugin  # type: ignore[attr-defined]
    return function


@contextlib.contextmanager
def refusals() -> Iterator[list[TensorwrightError]]:
    """The errors of custom nodes that PyTorch's exporter on torch.export meets, and may hide."""
    found: list[TensorwrightError] = []
    token = _refused.set(found)
    try:
        yield found
    finally:
        _refused.reset(token)


def check_plugin(function: type[torch.autograd.Function], *examples: Any, dynamic: Dynamic = "batch",
                 check_batches: Sequence[int] = (1, 2, 3), tolerance: float | None = None,
                 exporter: Literal["auto", "dynamo", "script"] = "auto") -> Report:
    """Compare the plugin of a function with its forward, without gradients, by way of an exported custom node.

    examples       arguments of the function, each a tuple (or one tensor): each is compared as it is; the first also
                   with random data, at each batch size of check_batches (axis 0 of its tensors, or as `dynamic` says)
    others         as `export` has them
    Raises         ExportError when results differ by more than the tolerance, in shape, or in number.
    """
    from .exporting import export
    if not hasattr(function, "plugin"):
        raise InputError(f"{function.__name__} has no plugin", try_="tensorwright.torch.custom(function, plugin) first")
    if not examples:
        raise InputError("no example is given", try_="check_plugin(function, (torch.randn(2, 3), 1.0))")
    module, tensors = as_module(function, examples[0])
    report = export(module, tensors, dynamic=dynamic, check_batches=check_batches, tolerance=tolerance,
                    exporter=exporter, lint=False)
    if not any(node.op_type == function.plugin.name for node in report.model.graph):
        raise ExportError(f"the {report.exporter} exporter left no node {function.plugin.title}",
                          try_="call the function by its apply, and not inside torch.export.export")
    return replace(report, checks=(*(as_it_is(function, example, report.exporter, tolerance) for example in examples),
                                   *report.checks))


def as_it_is(function: Any, example: Any, exporter: Any, tolerance: float | None) -> Check:
    """The plugin and forward on one example, through a model of exactly its shapes."""
    from .exporting import export
    module, tensors = as_module(function, example)
    model = export(module, tensors, dynamic=None, tolerance=tolerance, exporter=exporter, lint=False).model
    with evaluating(module):
        _, run = runner(model)
        found = check(module, call_of(module, tensors, None, None), run, [str(v.name) for v in model.outputs])
    allowed = 1e-4 if tolerance is None else tolerance
    for name, value in found.differences.items():
        if not value <= allowed:
            raise ExportError(f"output {name!r} of plugin {function.plugin.title} differs from forward by {value:.2g}; "
                              f"{allowed:.2g} is allowed", shapes=found.shapes)
    return found


def as_module(function: type[torch.autograd.Function], example: Any) -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """(a module that calls the function with the example's numbers, and the tensors that it takes)."""
    import torch
    given = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    try:
        bound = inspect.Signature(parameters(function)).bind(*given)
    except TypeError as error:
        raise InputError(f"the example does not fit the forward of {function.__name__}: {error}") from error
    bound.apply_defaults()
    tensors = {name: x for name, x in bound.arguments.items() if isinstance(x, torch.Tensor)}

    def forward(self: Any, *arguments: Any) -> Any:
        rest = iter(arguments)
        return function.apply(*(next(rest) if name in tensors else x for name, x in bound.arguments.items()))

    names = ["self", *tensors]
    forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])
    return type(function.__name__, (torch.nn.Module,), {"forward": forward})().eval(), tuple(tensors.values())


def parameters(function: type[torch.autograd.Function]) -> list[inspect.Parameter]:
    """Those of forward, without the context that it gets unless there is a setup_context."""
    import torch
    found = list(inspect.signature(function.forward).parameters.values())
    return found if function.setup_context is not torch.autograd.Function.setup_context else found[1:]


def definition_of(plugin: Any) -> Definition:
    found = plugin if isinstance(plugin, Definition) else plugins.find(plugin) if isinstance(plugin, str) else \
        getattr(plugin, "definition", None)
    if not isinstance(found, Definition):
        raise InputError(f"{plugin!r:.60} is no registered plugin",
                         try_="what custom_op decorated, a Definition, or the name of a registered plugin")
    if "::" in found.namespace:
        raise InputError(f"the namespace {found.namespace!r} cannot be a domain of ONNX", try_="one without '::'")
    return found


class Binding:
    """Which arguments of a function are the plugin's inputs, and which its attributes."""

    def __init__(self, function: Any, plugin: Definition, names: dict[str, str]) -> None:
        self.plugin, self.label = plugin, function.__name__
        self.attributes: list[str | None] = []           # per argument: the attribute it is, None for an input
        for p in parameters(function):
            name = names.get(p.name, p.name)
            self.attributes.append(name if name in plugin.attributes else None)
            if p.name in names and name not in plugin.attributes:
                raise InputError(f"plugin {plugin.title} has no attribute {name!r}",
                                 attributes=", ".join(plugin.attributes) or "none")
        self.node_name = f"{plugin.namespace or DOMAIN}::{plugin.name}"
        self.seen: dict[str, set[tuple[tuple[torch.dtype, int], ...]]] = {}

    def split(self, arguments: Sequence[Any], is_tensor: Callable[[Any], bool]) -> tuple[list[Any], dict[str, Any]]:
        """(inputs with None for absent ones, attributes) of one call."""
        inputs, given = [], {}
        for number, x in enumerate(arguments):
            name = self.attributes[number] if number < len(self.attributes) else None
            if name is not None:
                given[name] = x.detach().cpu().numpy() if hasattr(x, "detach") else x
            elif x is None or is_tensor(x):
                inputs.append(x)
            else:
                raise InputError(f"argument {number} of {self.label} is {x!r:.40}, neither a tensor nor an attribute "
                                 f"of plugin {self.plugin.title}",
                                 attributes=", ".join(self.plugin.attributes) or "none",
                                 try_="call it as the attribute, or give names={parameter: attribute}")
        while inputs and inputs[-1] is None:
            inputs.pop()
        return inputs, {k: v for k, v in keywords(self.plugin, given).items() if v is not None}

    # ---- script ---------------------------------------------------------------------------------------------------

    def traced(self, arguments: Sequence[Any], results: Any) -> Any:
        """Remember what forward gave while the exporter traced it: `symbolic` is not told."""
        import torch
        _, given = self.split(arguments, lambda x: isinstance(x, torch.Tensor))
        found = results if isinstance(results, (tuple, list)) else (results,)
        self.seen.setdefault(_key(given), set()).add(tuple((y.dtype, y.ndim) for y in found))
        return results

    def symbolic(self, g: Any, *arguments: Any) -> Any:
        """What PyTorch's exporter on TorchScript calls: the node, with the ranks and types of its outputs."""
        import torch
        inputs, given = self.split(arguments, lambda x: isinstance(x, torch._C.Value))
        if None in inputs:
            absent = g.op("prim::Constant")
            absent.setType(torch._C.OptionalType.ofTensor())
            inputs = [absent if x is None else x for x in inputs]
        written: dict[str, Any] = {"plugin_version_s": self.plugin.version}
        for name, x in given.items():
            suffix, value = _written(self.plugin.attributes[name].kind, x)
            written[f"{name}_{suffix}"] = value
        seen = self.seen.get(_key(given), set())
        counts = {len(results) for results in seen}
        if len(counts) != 1:
            raise ExportError(f"how many results {self.label} has is not known", try_='exporter="dynamo"')
        results = g.op(self.node_name, *inputs, outputs=counts.pop(), **written)
        if len(seen) == 1 and isinstance(first := inputs[0].type() if inputs else None, torch._C.TensorType):
            for y, (dtype, rank) in zip(results if isinstance(results, tuple) else (results,), *seen, strict=True):
                y.setType(first.with_dtype(dtype).with_sizes([None] * rank))
        return results

    # ---- dynamo ---------------------------------------------------------------------------------------------------

    def node(self, arguments: Sequence[Any], original: Callable[..., Any]) -> Any:
        """What stands in the place of a call while PyTorch's exporter on torch.export traces it."""
        import torch
        inputs, given = self.split(arguments, lambda x: isinstance(x, torch.Tensor))
        symbolic: Any = getattr(getattr(torch.onnx, "ops", None), "symbolic_multi_out", None)
        if symbolic is None:
            raise UnsupportedError("custom nodes with this exporter need PyTorch 2.8 or later",
                                   try_='exporter="script", or update PyTorch')
        if any(self.plugin.attributes[k].kind in ("bytes", "array") or x == () for k, x in given.items()):
            raise UnsupportedError("this exporter writes no arrays, bytes or empty sequences as attributes",
                                   try_='exporter="script"')
        if self.plugin.compute is None:                  # an expression has no shape rule
            found = original(*arguments)
            outputs = [(y.dtype, tuple(y.shape)) for y in (found if isinstance(found, tuple) else (found,))]
        else:
            outputs = self.outputs(inputs, given)
        written = {k: list(x) if isinstance(x, tuple) else x for k, x in given.items()}
        results = symbolic(self.node_name, inputs, {**written, "plugin_version": self.plugin.version},
                           dtypes=[d for d, _ in outputs], shapes=[s for _, s in outputs], version=1)
        return results[0] if len(results) == 1 else tuple(results)

    def outputs(self, inputs: Sequence[Any], given: Mapping[str, Any]) -> list[tuple[torch.dtype, tuple[Any, ...]]]:
        """(element type, shape) of each output by the plugin's shape rule; dimensions may be PyTorch's symbols."""
        import torch
        values: dict[str, Any] = {}

        def dim(i: int, axis: int, n: Any) -> Dim:
            if isinstance(n, int):
                return n
            values[f"d{i}_{axis}"] = n
            return symbol(f"d{i}_{axis}")
        types = [None if x is None else TensorType(tuple(dim(i, a, n) for a, n in enumerate(x.shape)),
                                                   DType(str(x.dtype).removeprefix("torch.")))
                 for i, x in enumerate(inputs)]
        found = []
        for t in declared_outputs(self.plugin, tuple(types), given):
            if not isinstance(t, TensorType):
                raise UnsupportedError(f"plugin {self.plugin.title} has an output whose size the data decide: {t}",
                                       try_='exporter="script"')
            found.append((getattr(torch, t.dtype.value), tuple(evaluate(d, values) for d in t.shape)))
        return found


def _key(given: Mapping[str, Any]) -> str:
    return repr(sorted(given.items()))


def _written(kind: str, x: Any) -> tuple[str, Any]:
    """(suffix, value) of an attribute as the exporter on TorchScript takes it."""
    import torch
    if kind in ("bytes", "array") or x == ():            # it has no suffix for these: a tensor says all
        array = np.frombuffer(x, np.uint8) if kind == "bytes" else np.asarray(x, None if kind == "array" else np.int64)
        return "t", torch.from_numpy(array.copy())
    suffix = {"bool": "i", "int": "i", "float": "f", "str": "s", "bools": "i", "ints": "i", "floats": "f",
              "strs": "s"}[kind]
    number = (lambda v: int(v)) if suffix == "i" else (lambda v: v)
    return suffix, [number(v) for v in x] if isinstance(x, tuple) else number(x)
