"""A decorated plugin as an object with the Quick capabilities, and its creator."""

from __future__ import annotations

from typing import Any

from ....dims import Dim, substitute
from ....errors import InputError, TypeMismatch, UnsupportedError
from ...enums import PluginCapabilityType, QuickPluginCreationRequest, TensorFormat, TensorRTPhase
from ..creators import IPluginCreatorV3Quick
from ..exprs import DimsExprs, IDimensionExpr, IExprBuilder
from ..fields import PluginField, PluginFieldCollection
from ..quick import IPluginV3QuickBuild, IPluginV3QuickCore, IPluginV3QuickRuntime
from ..tensors import DynamicPluginTensorDesc, PluginTensorDesc
from ..v3 import IPluginV3
from .memory import Tensor
from .schema import Plan, field_of, field_type, value_of
from .symbols import ShapeExpr, ShapeExprs
from .tensors import Shape, SizeTensorDesc, TensorDesc
from .tuning import AutoTuneCombination, Combination


class Decorated(IPluginV3, IPluginV3QuickCore, IPluginV3QuickBuild, IPluginV3QuickRuntime):
    """One use of a decorated plugin, with its attributes."""

    def __init__(self, plan: Plan, attributes: dict[str, Any]) -> None:
        self._plan, self._attributes = plan, attributes
        self.plugin_name, self.plugin_version, self.plugin_namespace = plan.name, "1", plan.namespace
        self._tactic = 0
        self._tactics: list[int] = []
        self._notes: list[str] = []

    def get_capability_interface(self, type: PluginCapabilityType) -> Decorated:
        return self

    def clone(self) -> Decorated:
        made = Decorated(self._plan, dict(self._attributes))
        vars(made).update(vars(self))
        return made

    # ---- build

    def _described(self, types: list[Any], shapes: list[ShapeExprs]) -> tuple[list[TensorDesc], list[TensorDesc]]:
        """(inputs, outputs) as the plugin's own function describes them."""
        inputs = [TensorDesc(s, t, TensorFormat.LINEAR, 1.0) for s, t in zip(shapes, types, strict=True)]
        found = self._plan.called("describe", inputs, self._attributes)
        outputs = list(found) if isinstance(found, tuple) else [found]
        for i, output in enumerate(outputs):
            if not isinstance(output, TensorDesc):
                raise TypeError(f"the function registered as {self._plan.id} gave {output!r} for output {i}")
            if isinstance(output, SizeTensorDesc):
                output._index = i
        return inputs, outputs

    def _fake(self, types: list[Any], ranks: list[int]) -> list[TensorDesc]:
        return self._described(types, [ShapeExprs(rank) for rank in ranks])[1]

    def get_num_outputs(self) -> int:
        return self._count

    def get_output_data_types(self, input_types: list[Any], ranks: list[int]) -> list[Any]:
        """Asked first: how many outputs there are is known from then on."""
        outputs = self._fake(input_types, ranks)
        self._types, self._count = list(input_types), len(outputs)
        return [o.dtype for o in outputs]

    def get_output_shapes(self, inputs: list[DimsExprs], shape_inputs: list[DimsExprs],
                          expr_builder: IExprBuilder) -> list[DimsExprs]:
        given = [ShapeExprs.from_tuple(tuple(ShapeExpr(shape[k]) for k in range(len(shape)))) for shape in inputs]
        descs, outputs = self._described(self._types, given)
        declared: dict[str, Dim] = {}
        for i, output in enumerate(outputs):
            if isinstance(output, SizeTensorDesc):
                bounds = [IDimensionExpr(_known(e, "a size tensor")) for e in (output.opt, output.upper_bound)]
                declared[str(output._symbol)] = expr_builder.declare_size_tensor(i, *bounds)._dim
        self._aliases = [next((k for k, d in enumerate(descs) if d is o.get_aliased()), -1) for o in outputs]
        return [DimsExprs(IDimensionExpr(substitute(_known(e, f"output {i}"), declared)) for e in o.shape_expr)
                for i, o in enumerate(outputs)]

    _types: list[Any]
    _aliases: list[int]
    _count = 0

    def get_aliased_input(self, output_index: int) -> int:
        return self._aliases[output_index]

    def _ways(self, descs: list[DynamicPluginTensorDesc], inputs: int) -> list[tuple[Combination, list[int]]]:
        """All combinations that the plugin can do, each with its tactics."""
        if self._plan.autotune is None:
            return [((tuple(d.desc.type for d in descs), (TensorFormat.LINEAR,) * len(descs)), [])]
        made = []
        for d in descs:
            desc = TensorDesc(None, d.desc.type, d.desc.format, d.desc.scale)
            desc.shape = Shape(d)
            made.append(desc)
        found = self._plan.called("autotune", made[:inputs], self._attributes, outputs=tuple(made[inputs:]))
        if not isinstance(found, (list, tuple)) or not all(isinstance(c, AutoTuneCombination) for c in found):
            raise TypeError(f"the autotune of {self._plan.id} must give a list of AutoTuneCombination")
        return [(way, c._tactics) for c in found for way in c._combinations(len(descs))]

    def get_supported_format_combinations(self, in_out: list[DynamicPluginTensorDesc],
                                          num_inputs: int) -> list[PluginTensorDesc]:
        made = []
        for (types, formats), _ in self._ways(in_out, num_inputs):
            for d, dtype, format in zip(in_out, types, formats, strict=True):
                desc = PluginTensorDesc()
                desc.dims, desc.type, desc.format, desc.scale = d.desc.dims, dtype, format, d.desc.scale
                made.append(desc)
        return made

    def configure_plugin(self, inputs: list[DynamicPluginTensorDesc], outputs: list[DynamicPluginTensorDesc]) -> None:
        descs = [*inputs, *outputs]
        chosen = tuple(d.desc.type for d in descs), tuple(d.desc.format for d in descs)
        tactics = [t for way, ts in self._ways(descs, len(inputs)) if way == chosen for t in ts]
        self._tactics = list(dict.fromkeys(tactics))

    def get_valid_tactics(self) -> list[int]:
        return self._tactics

    # ---- run

    def set_tactic(self, tactic: int) -> None:
        self._tactic = tactic

    def get_fields_to_serialize(self) -> PluginFieldCollection:
        return PluginFieldCollection(field_of(n, k, self._attributes[n]) for n, k in self._plan.attributes.items())

    def enqueue(self, input_desc: list[PluginTensorDesc], output_desc: list[PluginTensorDesc], inputs: list[int],
                outputs: list[int], in_strides: Any, out_strides: Any, stream: int) -> None:
        if self._plan.impl is None:
            raise unsupported(self._plan)
        sources = [Tensor._at(d, a, tuple(s)) for d, a, s in zip(input_desc, inputs, in_strides, strict=True)]
        targets = [Tensor._at(d, a, tuple(s)) for d, a, s in zip(output_desc, outputs, out_strides, strict=True)]
        for target in targets:
            target._alias = next((s for s in sources if s.data_ptr == target.data_ptr and s.numel()), None)
        for target, decided in zip(targets, self._decided(input_desc), strict=True):
            target._data_dependent = decided
        self._plan.called("impl", sources, self._attributes, outputs=tuple(targets), stream=stream, tactic=self._tactic)


    def _decided(self, inputs: list[PluginTensorDesc]) -> list[bool]:
        """Which outputs have sizes that the run decides: those that are not numbers though the inputs' sizes are."""
        key = tuple((d.type.name, tuple(d.dims)) for d in inputs)
        if self._told is None or self._told[0] != key:
            shapes = [ShapeExprs.from_tuple(tuple(d.dims)) for d in inputs]
            outputs = self._described([d.type for d in inputs], shapes)[1]
            self._told = key, [any(not isinstance(e._dim, int) for e in o.shape_expr) for o in outputs]
        return self._told[1]

    _told: tuple[Any, list[bool]] | None = None


def unsupported(plan: Plan) -> UnsupportedError:
    return UnsupportedError(f"plugin {plan.id} has no implementation that runs on a CPU: its aot_impl gives a kernel "
                            "compiled for a GPU", try_=f'@trt.plugin.impl("{plan.id}") beside it, in NumPy say')


def _known(e: Any, what: str) -> Dim:
    if e is None or e._dim is None:
        raise InputError(f"{what} has a dimension that is not known")
    dim: Dim = e._dim
    return dim


class DecoratedCreator(IPluginCreatorV3Quick):
    """Makes uses of a decorated plugin, of its attributes as fields."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan
        self.name, self.plugin_version, self.plugin_namespace = plan.name, "1", plan.namespace
        fields = [PluginField(n, None, field_type(k)) for n, k in plan.attributes.items()]
        self.field_names = PluginFieldCollection(fields)

    def create_plugin(self, name: str, namespace: str, field_collection: Any, phase: TensorRTPhase,
                      quickPluginType: QuickPluginCreationRequest) -> Decorated:
        """UnsupportedError when a kernel for a GPU is asked for, or is all there is."""
        given = {f.name: f for f in field_collection}
        attributes = {n: value_of(k, given[n]) if n in given else self._plan.defaults[n]
                      for n, k in self._plan.attributes.items() if n in given or n in self._plan.defaults}
        if missing := [n for n in self._plan.attributes if n not in attributes]:
            raise TypeMismatch(f"plugin {self._plan.id} needs the attribute {missing[0]!r}")
        return made(self._plan, attributes, quickPluginType)


def made(plan: Plan, attributes: dict[str, Any], request: QuickPluginCreationRequest) -> Decorated:
    """A use of a plugin, by the implementation asked for. UnsupportedError when that cannot run here."""
    if plan.impl is None or request == QuickPluginCreationRequest.STRICT_AOT:
        if plan.impl is None and plan.aot_impl is None:
            raise UnsupportedError(f"plugin {plan.id} has no implementation", try_=f'@trt.plugin.impl("{plan.id}")')
        raise unsupported(plan)
    plugin = Decorated(plan, attributes)
    if plan.aot_impl is not None and request != QuickPluginCreationRequest.STRICT_JIT:
        plugin._notes.append(f"plugin {plan.id}: its aot_impl is for a GPU; its impl runs instead")
    return plugin
