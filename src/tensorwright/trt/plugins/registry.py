"""IPluginRegistry: the plugins of this process, as TensorRT's API sees them.

There is one registry, `tensorwright.plugins`. A creator registered here becomes a Definition there, which networks,
models and plans find by name; a Definition that came another way is seen here as a creator.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ... import plugins
from ...errors import InputError, TensorwrightError
from ...plugins import Definition
from ..enums import EngineCapability
from ..foundation import Closed, PerGeneration
from ..logger import ILogger, say
from ..recorder import Recorded, Voice
from .adapters import call
from .creators import IPluginCreator, IPluginCreatorInterface
from .defined import creator_for
from .finding import CreatorDefinition, definition_of
from .interfaces import IPluginResource

_log = logging.getLogger("tensorwright")


class _Shared:
    """What all registry objects, one per generation, have in common."""

    resources: dict[str, tuple[IPluginResource, int]] = {}
    libraries: dict[int, list[Definition]] = {}


class _PythonLog(ILogger):
    """The logger until init_libnvinfer_plugins is given one: Python's, as "tensorwright"."""

    def log(self, severity: Any, msg: str) -> None:
        _log.log(logging.ERROR if severity <= ILogger.ERROR else logging.WARNING, "%s", msg)


_voice = Voice(_PythonLog())


class IPluginRegistry(Recorded):
    """All plugins of the process. Calls that fail log an error, tell the error recorder, and say so in their result."""

    def __init__(self) -> None:
        self._logger = _voice
        self._closed = True

    # ---- creators

    @property
    def all_creators(self) -> list[IPluginCreatorInterface]:
        return list(self._creators())

    @property
    def all_creators_recursive(self) -> list[IPluginCreatorInterface]:
        """all_creators: this registry has no parent."""
        return self.all_creators

    @property
    def plugin_creator_list(self) -> list[IPluginCreator]:
        """Creators of plugins of version 2."""
        return [c for c in self._creators() if isinstance(c, IPluginCreator)]

    def _creators(self) -> Iterator[Any]:
        for definition in plugins.every():
            if (creator := creator_for(definition, self)) is not None:
                yield creator

    def register_creator(self, creator: IPluginCreatorInterface, plugin_namespace: str = "") -> bool:
        """False when a creator of this name, version and namespace is registered. The creator takes the namespace."""
        if not isinstance(creator, IPluginCreatorInterface):
            raise TypeError(f"a plugin creator is needed, not {type(creator).__name__}")
        made: Any = creator
        namespace = plugin_namespace or str(made.plugin_namespace)
        try:
            definition = definition_of(str(made.name), str(made.plugin_version), namespace, creator)
            present = plugins.versions(definition.name, definition.namespace).get(definition.version)
            unclaimed = isinstance(present, CreatorDefinition) and present.creator is None
            plugins.register(definition, replace=unclaimed)
        except TensorwrightError as error:
            return self._failed(f"register_creator: {error.what}")
        if made.plugin_namespace != namespace:
            made.plugin_namespace = namespace
        return True

    def deregister_creator(self, creator: IPluginCreatorInterface) -> bool:
        """False when it is not registered. Engines that use its plugins keep them."""
        for definition in plugins.every():
            if creator_for(definition, self, make=False) is creator:
                plugins.unregister(definition)
                return True
        return self._failed(f"deregister_creator: {getattr(creator, 'name', creator)!r} is not registered")

    def get_creator(self, type: str, version: str, plugin_namespace: str = "") -> Any:
        """The creator; None when there is none."""
        definition = plugins.versions(type, plugin_namespace).get(version)
        creator = None if definition is None else creator_for(definition, self)
        if creator is None:
            self._failed(f"there is no plugin creator of type {type!r}, version {version!r}, namespace "
                         f"{plugin_namespace!r}")
        return creator

    def get_plugin_creator(self, type: str, version: str, plugin_namespace: str = "") -> IPluginCreator | None:
        """The creator, if it makes plugins of version 2; else None."""
        creator = self.get_creator(type, version, plugin_namespace)
        return creator if isinstance(creator, IPluginCreator) else None

    # ---- libraries

    def load_library(self, plugin_path: str) -> object | None:
        """Run a Python file that registers plugins; a handle for deregister_library. None for any other library: those
        written for TensorRT's own C++ classes and for CUDA cannot run here."""
        path = Path(plugin_path)
        before = plugins.every()
        if path.suffix != ".py" or not path.is_file():
            self._failed(f"load_library: {plugin_path!r} is no Python file that is there: compiled plugin libraries "
                         "need TensorRT's own runtime")
            return None
        try:
            module = plugins.load(path)
        except TensorwrightError as error:
            self._failed(f"load_library: {error.what}")
            return None
        _Shared.libraries[id(module)] = [d for d in plugins.every() if d not in before]
        return module

    def deregister_library(self, handle: object) -> None:
        """Forget the plugins that a library registered."""
        found = _Shared.libraries.pop(id(handle), None)
        if found is None:
            self._failed("deregister_library: this is not the handle of a library that is loaded")
        present = plugins.every()
        for definition in found or ():
            if definition in present:
                plugins.unregister(definition)

    # ---- resources and parents

    def acquire_plugin_resource(self, key: str, resource: IPluginResource) -> IPluginResource | None:
        """The resource that all plugins share under this key: a clone of the first one given. None when that fails."""
        held, count = _Shared.resources.get(key, (None, 0))
        if held is None:
            try:
                held = call(resource, "clone", title=f"resource {key!r}")
            except InputError as error:
                self._failed(error.what)
            if held is None:
                return None
        _Shared.resources[key] = held, count + 1
        return held

    def release_plugin_resource(self, key: str) -> int:
        """0; -1 when nothing is acquired under this key. The last release releases the resource itself."""
        held, count = _Shared.resources.get(key, (None, 0))
        if held is None:
            self._failed(f"release_plugin_resource: nothing is acquired under {key!r}")
            return -1
        if count > 1:
            _Shared.resources[key] = held, count - 1
            return 0
        del _Shared.resources[key]
        try:
            call(held, "release", title=f"resource {key!r}")
        except InputError as error:
            self._failed(error.what)
            return -1
        return 0

    @property
    def parent_search_enabled(self) -> bool:
        """True. There is one registry, and no parent that could be left out."""
        return True

    @parent_search_enabled.setter
    def parent_search_enabled(self, value: bool) -> None:
        if not value:
            say(self._logger, ILogger.WARNING, "parent_search_enabled has no effect: this registry has no parent")

    def _failed(self, text: str) -> bool:
        say(self._logger, ILogger.ERROR, text)
        return False


_registries: dict[type, IPluginRegistry] = {}


def registry_of(kind: type[IPluginRegistry]) -> IPluginRegistry:
    """The one registry, as one generation sees it: always the same object."""
    return _registries.setdefault(kind, kind())


class PluginUser(Closed):
    """The part of Builder and Runtime that hands out the registry."""

    def get_plugin_registry(self) -> IPluginRegistry:
        """The registry of the process: a builder or a runtime has none of its own."""
        return registry_of(self._class(IPluginRegistry))


@PerGeneration
def get_plugin_registry(of: Callable[[Any], Any]) -> IPluginRegistry:
    """get_plugin_registry(): the registry of this process, always the same object."""
    return registry_of(of(IPluginRegistry))


@PerGeneration
def get_builder_plugin_registry(of: Callable[[Any], Any], capability: EngineCapability) -> IPluginRegistry:
    """get_builder_plugin_registry(capability): the registry, one for all capabilities."""
    return registry_of(of(IPluginRegistry))


def init_libnvinfer_plugins(logger: ILogger | None, namespace: str) -> bool:
    """True: the plugins that TensorRT bundles are there without it. From now on the registry logs to this logger."""
    if logger is not None:
        _voice.logger = logger
    return True
