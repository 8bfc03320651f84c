"""What a build asks of a network's plugins before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UnsupportedError
from ...ir import Network
from ...plugins import Plugin
from ..enums import PreviewFeature
from .layers import aliases

if TYPE_CHECKING:
    from ..config import IBuilderConfig


def check_plugins(network: Network, config: IBuilderConfig) -> None:
    """UnsupportedError for libraries that the plan should carry, and for aliases that are not allowed."""
    if config.plugins_to_serialize:
        raise UnsupportedError(f"a plan carries no code of plugins: {', '.join(config.plugins_to_serialize)}",
                               try_="clear config.plugins_to_serialize, and register them where the plan is loaded")
    allowed = getattr(config, "get_preview_feature", lambda feature: True)(PreviewFeature.ALIASED_PLUGIN_IO_10_03)
    for layer in network.layers:
        if not allowed and isinstance(layer.op, Plugin) and any(i >= 0 for i in aliases(layer.op)):
            raise UnsupportedError(f"plugin {layer.op.title} has an output in the memory of an input, which the "
                                   "configuration does not allow", at=f"layer {layer.name!r}", try_="config."
                                   "set_preview_feature(PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)")
