"""Plugins as expressions: a function of symbolic tensors becomes nodes of standard operators.

    @tensorwright.custom_op("acme::gate", expand=True)
    def gate(x, y, scale: float = 1.0):
        return x * ops.Sigmoid(scale * y)

Tensors take Python's operators, NumPy's functions listed here, and any standard operator as `ops.Name(...)`. What comes
out is lowered and fused like the model's own nodes; to run it no plugin is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..errors import InputError, ShapeError
from ..ir import TensorType, ValueType
from .definition import Definition

if TYPE_CHECKING:
    import onnx

#: Version of the standard operators that `ops` offers.
OPSET = 20
_graph: ContextVar[Graph | None] = ContextVar("_graph", default=None)

#: NumPy function → the operator of the same meaning.
UFUNCS = {np.add: "Add", np.subtract: "Sub", np.multiply: "Mul", np.divide: "Div", np.power: "Pow", np.matmul: "MatMul",
          np.negative: "Neg", np.absolute: "Abs", np.exp: "Exp", np.log: "Log", np.sqrt: "Sqrt", np.sign: "Sign",
          np.floor: "Floor", np.ceil: "Ceil", np.rint: "Round", np.reciprocal: "Reciprocal", np.maximum: "Max",
          np.minimum: "Min", np.sin: "Sin", np.cos: "Cos", np.tan: "Tan", np.arctan: "Atan", np.tanh: "Tanh",
          np.sinh: "Sinh", np.cosh: "Cosh", np.greater: "Greater", np.greater_equal: "GreaterOrEqual",
          np.less: "Less", np.less_equal: "LessOrEqual", np.equal: "Equal", np.logical_and: "And",
          np.logical_or: "Or", np.logical_not: "Not", np.isnan: "IsNaN"}
REDUCTIONS = {np.sum: "ReduceSum", np.mean: "ReduceMean", np.max: "ReduceMax", np.min: "ReduceMin",
              np.prod: "ReduceProd"}


class Tensor(np.lib.mixins.NDArrayOperatorsMixin):
    """A value that is known when the model runs. shape, dtype: of the plugin's inputs only."""

    def __init__(self, graph: Graph, name: str, type: TensorType | None = None) -> None:
        self._graph, self._name, self._type = graph, name, type

    def _known(self) -> TensorType:
        if self._type is None:
            raise InputError("shape and element type are known of the plugin's inputs only",
                             try_="use ops.Shape(x) or ops.CastLike(y, x)")
        return self._type

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self._known().shape

    @property
    def dtype(self) -> DType:
        return self._known().dtype

    def astype(self, dtype: Any) -> Tensor:
        return ops.Cast(self, to=DType.of(dtype))

    def __bool__(self) -> bool:
        raise InputError("a tensor has no truth before the model runs", try_="use np.where or ops.Where")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise InputError("a tensor has no elements before the model runs",
                         try_="use ops.Name for the standard operator that computes it")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc not in UFUNCS:
            if ufunc is np.square and not options:
                return ops.Mul(inputs[0], inputs[0])
            raise InputError(f"np.{ufunc.__name__} cannot be used in the expression of a plugin",
                             try_="use ops.Name for the standard operator that computes it")
        return getattr(ops, UFUNCS[ufunc])(*inputs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        if function in REDUCTIONS:
            return _reduced(REDUCTIONS[function], *args, **options)
        if function is np.where and len(args) == 3 and not options:
            condition, a, b = args
            like = a if isinstance(a, Tensor) else b
            return ops.Where(condition, *(self._graph.operand(x, like) for x in (a, b)))
        if function is np.clip and len(args) == 3 and not options:
            x, low, high = args
            x = x if low is None else np.maximum(x, low)
            return x if high is None else np.minimum(x, high)
        if function is np.concatenate:
            return ops.Concat(*args[0], axis=(args[1] if len(args) > 1 else options.get("axis", 0)))
        raise InputError(f"np.{function.__name__} cannot be used like this in the expression of a plugin",
                         try_="use ops.Name for the standard operator that computes it")


def _reduced(name: str, x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Any:
    if axis is None:
        return getattr(ops, name)(x, keepdims=int(keepdims))
    axes = np.array([axis] if isinstance(axis, int) else list(axis), np.int64)
    return getattr(ops, name)(x, axes, keepdims=int(keepdims))


class Graph:
    """The nodes of one expression, in order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.names = 0

    def fresh(self) -> str:
        self.names += 1
        return f"v{self.names}"

    def operand(self, x: Any, like: Any = None) -> Tensor:
        """x as a tensor: numbers get the type of `like`, arrays keep theirs."""
        if isinstance(x, Tensor):
            return x
        if isinstance(x, (bool, int, float, np.generic)) or (isinstance(x, np.ndarray) and x.dtype.kind in "biuf"):
            made = self.add("Constant", (), 1, {"value": np.asarray(x)})
            number = isinstance(x, (bool, int, float)) and isinstance(like, Tensor)
            return self.add("CastLike", (made, like), 1, {}) if number else made
        raise InputError(f"{type(x).__name__} {x!r:.60} is no tensor and no number")

    def add(self, name: str, inputs: Sequence[Tensor | None], outputs: int, attributes: Mapping[str, Any]) -> Any:
        import onnx
        given = {k: _attribute(v) for k, v in attributes.items() if v is not None}
        made = tuple(Tensor(self, self.fresh()) for _ in range(outputs))
        self.nodes.append(onnx.helper.make_node(name, [x._name if x is not None else "" for x in inputs],
                                                [m._name for m in made], name=f"{name}_{len(self.nodes)}", **given))
        return made[0] if outputs == 1 else made


def _attribute(x: Any) -> Any:
    import onnx
    if isinstance(x, np.ndarray):
        return onnx.numpy_helper.from_array(x)
    if isinstance(x, DType):
        return onnx.helper.np_dtype_to_tensor_dtype(x.numpy)
    return x


class Operators:
    """The standard operators by name: ops.Sigmoid(x), ops.Softmax(x, axis=1), ops.TopK(x, k, outputs=2)."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        import onnx
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            schema = onnx.defs.get_schema(name, OPSET, "")
        except Exception:
            raise InputError(f"{name!r} is not a standard operator of version {OPSET}") from None

        def apply(*inputs: Any, outputs: int | None = None, **attributes: Any) -> Any:
            graph = _graph.get()
            if graph is None:
                raise InputError(f"ops.{name} is for functions that are decorated with custom_op(..., expand=True)")
            for key in attributes:
                if key not in schema.attributes:
                    raise InputError(f"operator {name} has no attribute {key!r}",
                                     attributes=", ".join(schema.attributes) or "none")
            if not schema.min_input <= len(inputs) <= schema.max_input:
                raise InputError(f"operator {name} takes {schema.min_input} to {schema.max_input} inputs, "
                                 f"{len(inputs)} are given")
            like = next((x for x in inputs if isinstance(x, Tensor)), None)
            operands = [None if x is None else graph.operand(x, like) for x in inputs]
            return graph.add(name, operands, outputs or max(1, schema.min_output), attributes)
        return apply


ops = Operators()


def expansion(definition: Definition, arguments: Mapping[str, Any], types: Sequence[ValueType | None]
              ) -> onnx.FunctionProto:
    """The nodes that a plugin stands for, as a function of its inputs. Absent inputs are None to it."""
    import onnx
    assert definition.expand is not None
    definition.check_inputs(len(types))
    graph = Graph()
    names = [f"x{i}" for i in range(len(types))]
    given = [None if t is None else Tensor(graph, name, t if isinstance(t, TensorType) else None)
             for name, t in zip(names, types, strict=True)]
    token = _graph.set(graph)
    try:
        results = definition.expand(*given, **arguments)
        found = tuple(results) if isinstance(results, (tuple, list)) else (results,)
        like = next((t for t in given if t is not None), None)
        outputs = [ops.Identity(graph.operand(x, like))._name for x in found]
    except (TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise ShapeError(f"the expression of plugin {definition.title} failed: {type(error).__name__}: {error}"
                         ) from error
    finally:
        _graph.reset(token)
    return onnx.helper.make_function("tensorwright.plugins", definition.name.replace(".", "_"), names, outputs,
                                     graph.nodes, [onnx.helper.make_opsetid("", OPSET)])
