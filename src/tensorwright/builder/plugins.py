"""Which plugins a network needs, and what its verification cannot say about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import TensorwrightError
from ..ir import Network
from ..plan.records import Profile
from ..plugins import Plugin


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
    """Name, version, namespace and package of each plugin, once."""
    found: dict[tuple[str, str, str, str], None] = {}
    for layer in network.layers:
        if isinstance(op := layer.op, Plugin):
            found[op.name, op.version, op.namespace, op.package] = None
    return [dict(zip(("name", "version", "namespace", "package"), key, strict=True)) for key in found]


def unproven(plugin: Mapping[str, str]) -> str:
    title = f"{plugin['namespace']}::{plugin['name']}" if plugin["namespace"] else plugin["name"]
    return f"plugin {title} is its own reference: its results are not compared with anything else"
