"""The decorators: a plugin is registered by a function that describes it, and gets its implementation from others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ...enums import QuickPluginCreationRequest
from ...tensor import ITensor
from ..registry import get_plugin_registry
from .plugin import Decorated, DecoratedCreator, made
from .schema import Plan, checked, described, fitted, split_id

Function = TypeVar("Function", bound=Callable[..., Any])

_plans: dict[str, Plan] = {}


class PluginDef:
    """A registered plugin, as `trt.plugin.op.<namespace>.<name>`. Called with tensors and attributes it gives what
    network.add_plugin takes."""

    def __init__(self) -> None:
        self._plan: Plan | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Used:
        """TypeError and ValueError for arguments that the plugin does not take."""
        plan = self._plan
        if plan is None:
            raise ValueError("this plugin is not registered")
        names = [*plan.inputs, *plan.attributes]
        if len(args) > len(names):
            raise ValueError(f"plugin {plan.id} takes {len(names)} arguments, {len(args)} are given")
        given = dict(zip(names, args, strict=False))
        if twice := [k for k in kwargs if k in given]:
            raise ValueError(f"plugin {plan.id}: {twice[0]!r} is given twice")
        given.update(kwargs)
        if missing := [n for n in plan.inputs if n not in given]:
            raise ValueError(f"plugin {plan.id} needs the tensor {missing[0]!r}")
        tensors = [given.pop(n) for n in plan.inputs]
        if wrong := [n for n, t in zip(plan.inputs, tensors, strict=True) if not isinstance(t, ITensor)]:
            raise TypeError(f"plugin {plan.id}: {wrong[0]!r} is an ITensor of a network")
        attributes = checked(plan.id, plan.attributes, plan.defaults, given)
        _announce(plan)
        return Used(plan, tensors, attributes)

    def __repr__(self) -> str:
        return f"<plugin {self._plan.id if self._plan else '?'}>"


class Used:
    """A plugin applied to tensors: for network.add_plugin. It is also the triple (inputs, shape_inputs, plugin)."""

    def __init__(self, plan: Plan, inputs: list[ITensor], attributes: dict[str, Any]) -> None:
        self._plan, self._inputs, self._attributes = plan, inputs, attributes

    def __call__(self, request: QuickPluginCreationRequest) -> tuple[list[ITensor], list[ITensor], Decorated]:
        return self._inputs, [], made(self._plan, self._attributes, request)

    def __iter__(self) -> Iterator[Any]:
        return iter(self(QuickPluginCreationRequest.UNKNOWN))

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: Any) -> Any:
        return self(QuickPluginCreationRequest.UNKNOWN)[index]


class _Namespace:
    """The plugins of one namespace, as attributes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._plugins: dict[str, PluginDef] = {}

    def __getattr__(self, name: str) -> PluginDef:
        found: PluginDef | None = None if name.startswith("_") else self._plugins.get(name)
        if found is None:
            raise AttributeError(f"no plugin {name!r} is registered in namespace {self._name!r}; there are "
                                 f"{', '.join(self._plugins)}")
        return found

    def __dir__(self) -> list[str]:
        return sorted(self._plugins)


class _Op:
    """All registered plugins: op.<namespace>.<name>."""

    def __init__(self) -> None:
        self._namespaces: dict[str, _Namespace] = {}

    def __getattr__(self, name: str) -> _Namespace:
        found: _Namespace | None = None if name.startswith("_") else self._namespaces.get(name)
        if found is None:
            raise AttributeError(f"no plugin is registered in namespace {name!r}; namespaces are "
                                 f"{', '.join(self._namespaces) or 'none'}")
        return found

    def __dir__(self) -> list[str]:
        return sorted(self._namespaces)


op = _Op()


def register(plugin_id: str, lazy_register: bool = False) -> Callable[[Function], Function]:
    """A decorator for the function that describes a plugin's outputs, of TensorDesc for its inputs and of attributes.

        @trt.plugin.register("acme::scale")
        def scale(x: trt.plugin.TensorDesc, by: float) -> trt.plugin.TensorDesc:
            return x.like()

    All parameters are annotated: tensors with TensorDesc, then attributes with int, float, str, bool, bytes or
    numpy.typing.NDArray. The result is annotated as TensorDesc or Tuple[TensorDesc, ...].

    lazy_register   the plugin registry hears of it when it is first used
    ValueError      for a plugin id that is taken or is not namespace::name, and for another signature
    """
    def decorate(function: Function) -> Function:
        plan = described(plugin_id, function)
        if plan.id in _plans:
            raise ValueError(f"plugin {plan.id} is registered already")
        if not lazy_register:
            _announce(plan)
        definition = PluginDef()
        definition._plan = plan
        op._namespaces.setdefault(plan.namespace, _Namespace(plan.namespace))._plugins[plan.name] = definition
        _plans[plan.id] = plan
        return function
    return decorate


def _announce(plan: Plan) -> None:
    """Put the plugin's creator into the registry, once. ValueError when another creator has its name there."""
    if not plan.registered:
        if not get_plugin_registry().register_creator(DecoratedCreator(plan), plan.namespace):
            raise ValueError(f"a plugin creator {plan.name!r} of namespace {plan.namespace!r} is registered already")
        plan.registered = True


def _further(plugin_id: str, which: str, more: tuple[str, ...]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        plan = _plans.get("::".join(split_id(plugin_id)))
        if plan is None:
            raise ValueError(f"plugin {plugin_id} is not registered", )
        if getattr(plan, which) is not None:
            raise ValueError(f"plugin {plugin_id} has its {which} already")
        fitted(plan, which, function, more)
        return function
    return decorate


def impl(plugin_id: str) -> Callable[[Function], Function]:
    """A decorator for the function that computes a plugin: of Tensor for its inputs, of those attributes it names, of
    `outputs`, a tuple of Tensor to write to, of `stream`, and, if it wants, of `tactic`.

        @trt.plugin.impl("acme::scale")
        def compute(x: trt.plugin.Tensor, by: float, outputs: Tuple[trt.plugin.Tensor], stream: int) -> None:
            np.asarray(outputs[0])[...] = np.asarray(x) * by
    """
    return _further(plugin_id, "impl", ("outputs", "stream", "tactic"))


def autotune(plugin_id: str) -> Callable[[Function], Function]:
    """A decorator for the function that says which types, formats and tactics a plugin can work with: of TensorDesc for
    its inputs, of those attributes it names, and of `outputs`, a tuple of TensorDesc; a list of AutoTuneCombination.

    Without it a plugin takes the types it is given, in linear format. Where several tactics fit, the fastest is used.
    """
    return _further(plugin_id, "autotune", ("outputs",))


def aot_impl(plugin_id: str) -> Callable[[Function], Function]:
    """A decorator for the function that gives a plugin's kernel compiled for a GPU, as (name, code, KernelLaunchParams,
    SymIntExprs). Such a kernel cannot run on a CPU: the function is kept and not called, the `impl` beside it runs
    instead, and a plugin without one is refused when it is added to a network.
    """
    return _further(plugin_id, "aot_impl", ("outputs", "tactic"))
