"""Plugins as decorated functions, as `tensorrt.plugin` has them.

    import tensorwright.plugin as trtp                     # or: import tensorrt.plugin, under `wright shim`

    @trtp.register("acme::scale")
    def scale(x: trtp.TensorDesc, by: float) -> trtp.TensorDesc:
        return x.like()

    @trtp.impl("acme::scale")
    def compute(x: trtp.Tensor, by: float, outputs: tuple[trtp.Tensor], stream: int) -> None:
        np.asarray(outputs[0])[...] = np.asarray(x) * by

    layer = network.add_plugin(trtp.op.acme.scale(tensor, by=2.0))
"""

from .trt.plugins.decorated.memory import Tensor
from .trt.plugins.decorated.registering import PluginDef, aot_impl, autotune, impl, op, register
from .trt.plugins.decorated.symbols import (
    ShapeExpr,
    ShapeExprs,
    SymExpr,
    SymExprs,
    SymInt8,
    SymInt16,
    SymInt32,
    SymIntExpr,
    SymIntExprs,
    cdiv,
)
from .trt.plugins.decorated.symbols import largest as max
from .trt.plugins.decorated.symbols import smallest as min
from .trt.plugins.decorated.tensors import (
    Shape,
    SizeTensorDesc,
    SizeTensorShapeExpr,
    TensorDesc,
    from_shape_expr,
    size_tensor,
)
from .trt.plugins.decorated.tuning import AutoTuneCombination, KernelLaunchParams

__all__ = [
    "AutoTuneCombination",
    "KernelLaunchParams",
    "PluginDef",
    "Shape",
    "ShapeExpr",
    "ShapeExprs",
    "SizeTensorDesc",
    "SizeTensorShapeExpr",
    "SymExpr",
    "SymExprs",
    "SymInt8",
    "SymInt16",
    "SymInt32",
    "SymIntExpr",
    "SymIntExprs",
    "Tensor",
    "TensorDesc",
    "aot_impl",
    "autotune",
    "cdiv",
    "from_shape_expr",
    "impl",
    "max",
    "min",
    "op",
    "register",
    "size_tensor",
]
