"""SimplePlugin: a plugin of version 3 whose class is all there is to write."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, get_origin

import numpy as np

from ...errors import InputError
from ..enums import DataType, PluginCapabilityType, TensorFormat, TensorRTPhase
from .creators import IPluginCreatorV3One
from .decorated.schema import attribute_kind, checked, field_of, field_type, value_of
from .decorated.symbols import ShapeExpr, ShapeExprs
from .exprs import DimsExprs, IDimensionExpr, IExprBuilder
from .fields import PluginField, PluginFieldCollection
from .interfaces import IPluginResourceContext
from .registry import get_plugin_registry
from .session import array_of
from .tensors import DynamicPluginTensorDesc, PluginTensorDesc
from .v2 import undefined
from .v3 import IPluginV3, IPluginV3OneBuildV2, IPluginV3OneCore, IPluginV3OneRuntime


class SimplePlugin(IPluginV3, IPluginV3OneCore, IPluginV3OneBuildV2, IPluginV3OneRuntime):
    """Subclass it, say the name, the fields, the shapes of outputs, the types it takes, and what it computes.

        class Clip(tensorwright.SimplePlugin):
            plugin_name, plugin_namespace = "Clip", "acme"
            low: float = 0.0                             # fields: int, float, str, bool, bytes, NDArray[...]
            high: float

            def output_shapes(self, x):
                return x

            def compute(self, x, outputs):
                np.clip(x, self.low, self.high, out=outputs[0])

        Clip.register()                                  # models, plans and the plugin registry know it from now on
        network.add_plugin_v3([tensor], [], Clip(high=6.0))

    Everything else that TensorRT's interfaces ask for is here: capabilities, copies, what a plan keeps, the creator.
    Any hook of IPluginV3 and its capabilities may be overridden, `enqueue` too where addresses are wanted, not arrays.
    """

    plugin_version = "1"

    def __init__(self, **fields: Any) -> None:
        """TypeError and ValueError for fields that the class does not have, or of another type."""
        kinds, defaults = self._fields()
        for name, value in checked(type(self).__name__, kinds, defaults, fields).items():
            setattr(self, name, value)

    # ---- what subclasses write

    def output_shapes(self, *inputs: ShapeExprs) -> Any:
        """The shape of the output from those of the inputs, or a list of one per output: as ShapeExprs, or as tuples of
        integers and of what is computed from the inputs' sizes with + - * // and plugin.cdiv, max and min."""
        raise undefined(self, "output_shapes(*inputs)")

    def output_types(self, *inputs: DataType) -> Any:
        """The type of the output, or a list of one per output. Default: the type of the first input for all."""
        return [inputs[0]] * self.num_outputs

    def supports(self, position: int, tensors: Sequence[PluginTensorDesc]) -> bool:
        """Whether the tensor at a position, inputs first, may be of the type and format that its description has, given
        those before it. Default: linear, and of the first tensor's type."""
        desc = tensors[position]
        return desc.format == TensorFormat.LINEAR and desc.type == tensors[0].type

    def compute(self, *arrays: Any, outputs: tuple[np.ndarray, ...]) -> None:
        """Write the outputs, arrays of their shapes, from the inputs, arrays too."""
        raise undefined(self, "compute(*inputs, outputs)")

    # ---- the registry

    @classmethod
    def register(cls, namespace: str = "") -> IPluginCreatorV3One:
        """Make the class known by its name, version and namespace. InputError when these are taken."""
        creator = SimpleCreator(cls)
        if not get_plugin_registry().register_creator(creator, namespace):
            raise InputError(f"a plugin {cls.plugin_name!r}, version {cls.plugin_version}, is registered already in "
                             f"namespace {namespace or cls.plugin_namespace!r}")
        return creator

    @classmethod
    def _fields(cls) -> tuple[dict[str, Any], dict[str, Any]]:
        """(types, defaults) of the annotated attributes of subclasses. ValueError for a type that no field has."""
        kinds: dict[str, Any] = {}
        for c in reversed(cls.__mro__[:cls.__mro__.index(SimplePlugin)]):
            for name, annotation in inspect.get_annotations(c, eval_str=True).items():
                if not name.startswith("_") and get_origin(annotation) is not ClassVar:
                    kinds[name] = attribute_kind(annotation, f"field {name!r} of {cls.__name__}")
        return kinds, {name: getattr(cls, name) for name in kinds if hasattr(cls, name)}

    # ---- TensorRT's interfaces

    def get_capability_interface(self, type: PluginCapabilityType) -> SimplePlugin:
        return self

    def clone(self) -> SimplePlugin:
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        return made

    def attach_to_context(self, resource_context: IPluginResourceContext) -> SimplePlugin:
        return self.clone()

    def get_output_data_types(self, input_types: list[DataType]) -> list[DataType]:
        found = self.output_types(*input_types)
        return list(found) if isinstance(found, (list, tuple)) else [found]

    def get_output_shapes(self, inputs: list[DimsExprs], shape_inputs: list[DimsExprs],
                          expr_builder: IExprBuilder) -> list[DimsExprs]:
        given = [ShapeExprs.from_tuple(tuple(ShapeExpr(s[k]) for k in range(len(s)))) for s in (*inputs, *shape_inputs)]
        found = self.output_shapes(*given)
        shapes = [ShapeExprs.from_tuple(s) if isinstance(s, tuple) else s
                  for s in (found if isinstance(found, list) else [found])]
        if not all(isinstance(s, ShapeExprs) for s in shapes):
            raise TypeError(f"output_shapes gave {found!r}: a shape is a ShapeExprs, or a tuple")
        return [DimsExprs(IDimensionExpr(e._dim) for e in s) for s in shapes]

    def supports_format_combination(self, pos: int, in_out: list[DynamicPluginTensorDesc], num_inputs: int) -> bool:
        return self.supports(pos, [d.desc for d in in_out])

    def configure_plugin(self, in_: list[DynamicPluginTensorDesc], out: list[DynamicPluginTensorDesc]) -> None:
        pass

    def on_shape_change(self, in_: list[PluginTensorDesc], out: list[PluginTensorDesc]) -> None:
        pass

    def get_fields_to_serialize(self) -> PluginFieldCollection:
        return PluginFieldCollection(field_of(n, k, getattr(self, n)) for n, k in self._fields()[0].items())

    def enqueue(self, input_desc: list[PluginTensorDesc], output_desc: list[PluginTensorDesc], inputs: list[int],
                outputs: list[int], workspace: int, stream: int) -> None:
        arrays = [array_of(d, p) for d, p in zip(input_desc, inputs, strict=True)]
        self.compute(*arrays, outputs=tuple(array_of(d, p) for d, p in zip(output_desc, outputs, strict=True)))


class SimpleCreator(IPluginCreatorV3One):
    """The creator of a SimplePlugin."""

    def __init__(self, kind: type[SimplePlugin]) -> None:
        super().__init__()
        self._plugin, self._kinds = kind, kind._fields()[0]
        self.name, self.plugin_version = kind.plugin_name, kind.plugin_version
        self.plugin_namespace = kind.plugin_namespace
        self.field_names = PluginFieldCollection([PluginField(n, None, field_type(k)) for n, k in self._kinds.items()])

    def create_plugin(self, name: str, field_collection: Any, phase: TensorRTPhase) -> SimplePlugin:
        plugin = self._plugin(**{f.name: value_of(self._kinds[f.name], f) for f in field_collection
                                 if f.name in self._kinds})
        plugin.plugin_namespace = self.plugin_namespace
        return plugin
