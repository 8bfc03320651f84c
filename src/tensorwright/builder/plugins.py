"""Which plugins a network needs, and what its verification cannot say about them."""

from __future__ import annotations

from collections.abc import Mapping

from ..ir import Network
from ..plugins import Plugin


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
