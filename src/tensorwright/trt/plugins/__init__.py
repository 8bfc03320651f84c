"""Plugins as TensorRT's API has them: interfaces to implement, creators, the registry, layers."""

from ..versioned import InterfaceInfo, IVersionedInterface
from .creators import IPluginCreator, IPluginCreatorInterface, IPluginCreatorV3One, IPluginCreatorV3Quick
from .elder import IPlugin, IPluginExt, IPluginFactory
from .exprs import DimsExprs, IDimensionExpr, IExprBuilder, ISymExpr, ISymExprs, KernelLaunchParams
from .fields import PluginField, PluginFieldCollection, PluginFieldCollection_
from .interfaces import IPluginCapability, IPluginResource, IPluginResourceContext
from .layers import IPluginLayer, IPluginV2Layer, IPluginV3Layer
from .quick import IPluginV3QuickAOTBuild, IPluginV3QuickBuild, IPluginV3QuickCore, IPluginV3QuickRuntime
from .registry import IPluginRegistry, get_builder_plugin_registry, get_plugin_registry, init_libnvinfer_plugins
from .simple import SimplePlugin
from .tensors import DynamicPluginTensorDesc, PluginTensorDesc
from .v2 import IPluginV2, IPluginV2DynamicExt, IPluginV2DynamicExtBase, IPluginV2Ext
from .v3 import IPluginV3, IPluginV3OneBuild, IPluginV3OneBuildV2, IPluginV3OneCore, IPluginV3OneRuntime

__all__ = [
    "DimsExprs",
    "DynamicPluginTensorDesc",
    "IDimensionExpr",
    "IExprBuilder",
    "IPlugin",
    "IPluginCapability",
    "IPluginCreator",
    "IPluginCreatorInterface",
    "IPluginCreatorV3One",
    "IPluginCreatorV3Quick",
    "IPluginExt",
    "IPluginFactory",
    "IPluginLayer",
    "IPluginRegistry",
    "IPluginResource",
    "IPluginResourceContext",
    "IPluginV2",
    "IPluginV2DynamicExt",
    "IPluginV2DynamicExtBase",
    "IPluginV2Ext",
    "IPluginV2Layer",
    "IPluginV3",
    "IPluginV3Layer",
    "IPluginV3OneBuild",
    "IPluginV3OneBuildV2",
    "IPluginV3OneCore",
    "IPluginV3OneRuntime",
    "IPluginV3QuickAOTBuild",
    "IPluginV3QuickBuild",
    "IPluginV3QuickCore",
    "IPluginV3QuickRuntime",
    "ISymExpr",
    "ISymExprs",
    "IVersionedInterface",
    "InterfaceInfo",
    "KernelLaunchParams",
    "PluginField",
    "PluginFieldCollection",
    "PluginFieldCollection_",
    "PluginTensorDesc",
    "SimplePlugin",
    "get_builder_plugin_registry",
    "get_plugin_registry",
    "init_libnvinfer_plugins",
]
