"""The plugins of this process, by name, version and namespace."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points
from threading import RLock

from ..errors import InputError, PlanError
from .definition import PACKAGE, Definition

#: Modules of ours that register plugins when imported: looked into when a name is not known.
BUILT_IN: tuple[str, ...] = ("tensorwright.plugins.library",)
#: Installed packages announce modules of plugins in this group of entry points; each is named like a plugin
#: ("acme::swish"), or like a namespace ("acme"), and imported when that is asked for and not known.
GROUP = "tensorwright.plugins"

_lock = RLock()
_table: dict[tuple[str, str], dict[str, Definition]] = {}       # (namespace, name) → version → definition


def register(definition: Definition, *, replace: bool = False) -> Definition:
    """Make a plugin known. InputError when its name, version and namespace are taken, unless replace."""
    with _lock:
        versions = _table.setdefault((definition.namespace, definition.name), {})
        if definition.version in versions and not replace:
            raise InputError(f"plugin {definition.title}, version {definition.version}, is registered already",
                             try_="give it another version, or register with replace=True")
        versions[definition.version] = definition
    return definition


def unregister(definition: Definition) -> None:
    """Forget a plugin. InputError when it is not registered."""
    with _lock:
        versions = _table.get((definition.namespace, definition.name), {})
        if versions.get(definition.version) is not definition:
            raise InputError(f"plugin {definition.title}, version {definition.version}, is not registered")
        del versions[definition.version]


def versions(name: str, namespace: str = "") -> dict[str, Definition]:
    """The registered versions of a plugin, in order of registration; none when there is no such plugin."""
    namespace, name = split(name, namespace)
    with _lock:
        found = _table.get((namespace, name))
        if not found:
            _import_built_in()
            _import_announced(namespace, name)
            found = _table.get((namespace, name))
        return dict(found or {})


def find(name: str, version: str | None = None, namespace: str = "") -> Definition | None:
    """The plugin of this name and namespace, None when there is none.

    version   None: any; of several "1" when it is among them, else the one registered last
    """
    found = versions(name, namespace)
    if version is not None:
        return found.get(version)
    return found.get("1") or (list(found.values())[-1] if found else None)


def require(name: str, version: str, namespace: str = "", package: str = "") -> Definition:
    """The plugin that a plan or network needs. PlanError says what is missing, and what to install."""
    if (known := _table.get((namespace, name), {}).get(version)) is not None:        # asked for in every run
        return known
    found = versions(name, namespace)
    if version in found:
        return found[version]
    namespace, name = split(name, namespace)
    what = f"plugin {name!r}, version {version}, namespace {namespace!r}"
    install = f"install the package {package!r} (pip install {package}), or " if PACKAGE.fullmatch(package) else ""
    if found:
        raise PlanError(f"{what} is needed; registered is version {', '.join(found)}",
                        try_=f"{install}import the module that registers version {version}")
    raise PlanError(f"{what} is needed and not registered",
                    try_=f"{install}import the module that registers it, before the plan is loaded")


def overrides(name: str) -> bool:
    """Whether a plugin registered so far wants to take the place of the standard operator of this name."""
    with _lock:
        return any(d.overrides for d in _table.get(("", name), {}).values())


def every() -> list[Definition]:
    """All registered plugins, our own included, by namespace and name."""
    with _lock:
        _import_built_in()
        return [d for _, found in sorted(_table.items()) for d in found.values()]


def split(name: str, namespace: str = "") -> tuple[str, str]:
    """("acme", "swish") of "acme::swish"; the namespace given counts where the name has none."""
    inside, _, short = name.rpartition("::")
    return inside or namespace, short


@cache
def _import_built_in() -> None:
    for module in BUILT_IN:
        importlib.import_module(module)


@cache
def _import_announced(namespace: str, name: str) -> None:
    """Import what installed packages announce for a plugin or its namespace. Their errors are theirs to show."""
    title = f"{namespace}::{name}" if namespace else name
    for point in entry_points(group=GROUP):
        if point.name == title or (namespace and point.name == namespace):
            point.load()
