"""Which plugins a network needs, and what its verification cannot say about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import TensorwrightError
from ..ir import Network
from ..ops import Host
from ..plan.records import Profile
from ..plugins import Plugin
from ..plugins.bodies import in_bodies


def settled(network: Network, profiles: tuple[Profile, ...]) -> Network:
    """The network with its plugins configured for these profiles, by those that want to be told."""
    layers = []
    for layer in network.layers:
        if isinstance(op := layer.op, Plugin) and (settle := op.definition.settle) is not None:
            types = tuple(None if i is None else network.types[i] for i in layer.inputs)
            try:
                layer = replace(layer, op=settle(op, types, profiles))
            except TensorwrightError as error:
                raise error.located(f"layer {layer.name!r}") from None
        layers.append(layer)
    return network.with_changes(layers=tuple(layers))


def used_plugins(network: Network) -> list[dict[str, str]]:
    """Name, version, namespace and package of each plugin, once; those in bodies that run on the host included."""
    found: dict[tuple[str, str, str, str], None] = {}
    for layer in network.layers:
        used = [op] if isinstance(op := layer.op, Plugin) else in_bodies(op) if isinstance(op, Host) else []
        found.update(dict.fromkeys((p.name, p.version, p.namespace, p.package) for p in used))
    return [dict(zip(("name", "version", "namespace", "package"), key, strict=True)) for key in found]


def unproven(plugin: Mapping[str, str]) -> str:
    title = f"{plugin['namespace']}::{plugin['name']}" if plugin["namespace"] else plugin["name"]
    return f"plugin {title} is its own reference: its results are not compared with anything else"
