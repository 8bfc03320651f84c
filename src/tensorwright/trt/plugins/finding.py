"""Creators as definitions of the core registry, and plugin objects out of what a use of them keeps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import plugins
from ...dims import Dim
from ...errors import InputError, PlanError, UnsupportedError
from ...ir import TensorType, ValueType
from ...plan.records import Plan as RunPlan
from ...plan.records import Profile
from ...plugins import Definition, Plugin
from ...plugins.op import arguments
from ..enums import PluginFieldType, QuickPluginCreationRequest, TensorRTPhase
from .adapters import Adapter, DynamicAdapter, Kept, call, fields_of
from .adapters_quick import QuickAdapter
from .adapters_static import ElderAdapter, StaticAdapter
from .adapters_three import ThreeAdapter
from .creators import IPluginCreator, IPluginCreatorV3Quick
from .elder import IPlugin, IPluginFactory
from .fields import PluginField
from .nodes import fields_for
from .plans import Use
from .quick import IPluginV3QuickBuild, IPluginV3QuickCore, IPluginV3QuickRuntime
from .session import Session
from .uses import KEPT, LIVE, asked, held, settled
from .v2 import IPluginV2, IPluginV2DynamicExt
from .v3 import IPluginV3

_log = logging.getLogger("tensorwright")

#: The definition that stands for all IPlugin objects, which have no name of their own.
ELDER = ("IPlugin", "1", "tensorwright.elder")


def adapter_of(plugin: Any) -> Adapter:
    """How to speak with a plugin object. TypeError for what is none."""
    if isinstance(plugin, IPluginV2DynamicExt):
        return DynamicAdapter(plugin)
    if isinstance(plugin, IPluginV2):
        return StaticAdapter(plugin)
    if isinstance(plugin, IPlugin):
        return ElderAdapter(plugin)
    if isinstance(plugin, IPluginV3):
        quick = ThreeAdapter(plugin)
        found = [quick.core, quick.runtime]
        fast = any(isinstance(c, (IPluginV3QuickCore, IPluginV3QuickBuild, IPluginV3QuickRuntime)) for c in found)
        return QuickAdapter(plugin) if fast else quick
    raise TypeError(f"a plugin is needed, not {type(plugin).__name__}")


@dataclass(frozen=True, eq=False)
class CreatorDefinition(Definition):
    """The plugins of a creator. None: objects were used whose creator is not registered, in this process only."""

    creator: Any = None


def definition_of(name: str, version: str, namespace: str, creator: Any = None) -> CreatorDefinition:
    """InputError for a name that none can have."""
    def load(state: bytes) -> Loaded:
        return Loaded(name, version, namespace, state)

    def node(attributes: Mapping[str, Any], types: Sequence[ValueType | None], layer: str) -> Plugin:
        if creator is None:
            raise PlanError(f"plugin {name!r}, version {version}, has no creator that is registered")
        kept = Kept(fields=fields_for(creator, attributes))
        adapter = adapter_of(made_by(creator, Use("", layer, (), {}, (), kept=kept)))
        use = asked(adapter, tensors(types, name), layer=layer, kept=kept)
        return Plugin(name, version, namespace, state=use.encode(), count=len(use.rules))

    return CreatorDefinition(name, compute, infer, {}, version, namespace, load=load, pure=False, session=Attached,
                             node=node, settle=settle, creator=creator)


def known(adapter: Adapter) -> Definition:
    """The definition that stands for a plugin object's kind; made when nobody has registered its creator."""
    name, version, namespace = ELDER if isinstance(adapter, ElderAdapter) else (
        adapter.name, adapter.version, adapter.namespace)
    found = plugins.versions(name, namespace).get(version)
    return found or plugins.register(definition_of(name, version, namespace))


class Loaded:
    """A use of a plugin with the object that an engine holds for it: for a plan made at once, for a network when it is
    asked for."""

    def __init__(self, name: str, version: str, namespace: str, state: bytes) -> None:
        self.title = (name, version, namespace)
        self.use = Use.decode(state)
        self._plugin: Adapter | None = None
        self._lock = threading.Lock()
        if self.use.settled:
            self._plugin = self._made()

    @property
    def plugin(self) -> Adapter:
        """PlanError when there is no creator for it; InputError when its creator fails."""
        with self._lock:
            if self._plugin is None:
                self._plugin = self._made()
            return self._plugin

    def _made(self) -> Adapter:
        live = LIVE.get(self.use.token) or KEPT.get(self.use.token)
        if live is not None:
            return live
        name, version, namespace = self.title
        definition = plugins.versions(name, namespace).get(version)
        creator = getattr(definition, "creator", None)
        what = f"plugin {name!r}, version {version}, namespace {namespace!r}"
        if self.title == ELDER:
            raise PlanError(f"layer {self.use.layer!r} is an IPlugin: a factory is needed to make it again",
                            try_="runtime.deserialize_cuda_engine(plan, plugin_factory)")
        if creator is None:
            raise PlanError(f"{what} has no creator that is registered", at=f"layer {self.use.layer!r}",
                            try_="get_plugin_registry().register_creator(creator, namespace) before the plan is loaded")
        return adapter_of(made_by(creator, self.use))


def made_by(creator: Any, use: Use) -> Any:
    """What a creator makes for a use. InputError when that is nothing."""
    plugin = created(creator, use)
    if plugin is None:
        raise InputError(f"the creator of plugin {str(creator.name)!r} made none", at=f"layer {use.layer!r}")
    return plugin


def created(creator: Any, use: Use) -> Any:
    """The plugin that a creator makes for a use: of a network's fields, or again of what a plan keeps."""
    title, phases = str(creator.name), creator._class(TensorRTPhase)
    fields = fields_of(use.kept, creator._class(PluginField), creator._class(PluginFieldType))
    if isinstance(creator, IPluginCreator):
        if use.settled:
            return call(creator, "deserialize_plugin", use.layer, use.kept.data, title=title)
        return call(creator, "create_plugin", use.layer, fields, title=title)
    phase = phases.RUNTIME if use.settled else phases.BUILD
    if isinstance(creator, IPluginCreatorV3Quick):
        request = creator._class(QuickPluginCreationRequest).STRICT_JIT
        return call(creator, "create_plugin", use.layer, creator.plugin_namespace, fields, phase, request, title=title)
    return call(creator, "create_plugin", use.layer, fields, phase, title=title)


def with_factory(plan: RunPlan, factory: IPluginFactory) -> RunPlan:
    """The plan with the IPlugin objects that a factory makes of its layers. InputError when it makes none of one."""
    def step(given: Any) -> Any:
        op = getattr(given, "op", None)
        if not isinstance(op, Plugin) or (op.name, op.version, op.namespace) != ELDER:
            return given
        use = Use.decode(op.state)
        plugin = call(factory, "create_plugin", use.layer, use.kept.data, title="IPlugin")
        if not isinstance(plugin, IPlugin):
            raise InputError(f"the plugin factory made {plugin!r} of layer {use.layer!r}, not an IPlugin")
        adapter = ElderAdapter(plugin)
        use = use.changed(token=held(adapter))
        KEPT[use.token] = adapter
        return replace(given, op=replace(op, state=use.encode()))

    programs = tuple(replace(p, steps=tuple(map(step, p.steps))) for p in plan.programs)
    return replace(plan, programs=programs)


class Attached:
    """A plugin attached to one context."""

    def __init__(self, state: Loaded, values: Sequence[Sequence[int]] = ()) -> None:
        self.session = Session(state.use, state.plugin)

    def run(self, arrays: Sequence[np.ndarray], targets: Sequence[np.ndarray | None], state: Loaded,
            values: Sequence[Sequence[int]] = ()) -> tuple[np.ndarray, ...]:
        return tuple(self.session.run(arrays, values, targets))

    def __del__(self) -> None:
        if hasattr(self, "session"):
            try:
                self.session.close()
            except Exception:                             # printed already; nobody is left to tell
                pass


def settle(op: Plugin, types: Sequence[ValueType | None], profiles: Sequence[Profile]) -> Plugin:
    """The operator for a build: its plugin configured, and its parameters kept in it."""
    state: Loaded = arguments(op.definition, op)["state"]
    if state.use.settled:
        return op
    use, plugin = settled(state.use, state.plugin, tensors(types, op.title), op.values, profiles, _log.info,
                          _log.warning)
    if getattr(op.definition, "creator", None) is None:
        use = use.changed(token=held(plugin))
        KEPT[use.token] = plugin
    else:
        plugin.discard()
    return replace(op, state=use.encode())


def tensors(types: Sequence[ValueType | None], title: str) -> list[TensorType]:
    """The types, all of tensors. UnsupportedError when one is absent, or its shape is only known at run time."""
    known = [t for t in types if isinstance(t, TensorType)]
    if len(known) != len(types):
        at = next(i for i, t in enumerate(types) if not isinstance(t, TensorType))
        raise UnsupportedError(f"input {at} of plugin {title} is {types[at] or 'absent'}: a plugin made by a creator "
                               "takes tensors whose shapes follow from those of the network's inputs")
    return known


def infer(*types: TensorType | None, state: Loaded, values: Sequence[Sequence[Dim]] = ()) -> tuple[Any, ...]:
    """The shape rule of all plugins that come from creators: what the plugin said when the network was built."""
    return state.use.outputs(types, values)


def compute(*arrays: np.ndarray, state: Loaded, values: Sequence[Sequence[int]] = ()) -> tuple[np.ndarray, ...]:
    """One run, in a session of its own."""
    session = Session(state.use, state.plugin)
    try:
        return tuple(session.run(arrays[:len(state.use.inputs)], values, [None] * len(state.use.rules)))
    finally:
        session.close()
