"""What a plan keeps of one use of a TensorRT plugin: who it is, its rule of shapes, its parameters. JSON as bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...dims import Dim, evaluate, parse, substitute, symbol, symbols
from ...dtypes import DType
from ...errors import PlanError, ShapeError
from ...ir import TensorType
from ...plugins import Output, UpTo
from .adapters import Kept


@dataclass(frozen=True)
class Rule:
    """The shape and type of an output, in terms of the inputs: dimension `axis` of input `i` is the symbol i<i>_<axis>,
    value `k` of shape input `i` is s<i>_<k>; a size tensor has its own symbol."""

    shape: tuple[str, ...]
    dtype: str


@dataclass(frozen=True)
class Use:
    """One use of a plugin.

    interface   of the adapter: how it is spoken with
    layer       the layer's name, which creators are told
    rules       per output
    sizes       symbol of a size tensor → (the output that gives it, its upper bound as text)
    inputs      element type and rank of each input the plugin sees
    values      how many values each shape input has
    lead        1: the first axis is the batch, of which the plugin does not know
    kept        the plugin's parameters
    tactic      0: it has no choice
    workspace   bytes, for the largest shapes
    aliased     per output: the input in whose memory it lies, or -1
    token       of the plugin object in this process; of no use in another
    settled     configured for a build: parameters may be taken from `kept`
    """

    interface: str
    layer: str
    rules: tuple[Rule, ...]
    sizes: Mapping[str, tuple[int, str]]
    inputs: tuple[tuple[str, int], ...]
    values: tuple[int, ...] = ()
    lead: int = 0
    kept: Kept = Kept()
    tactic: int = 0
    workspace: int = 0
    aliased: tuple[int, ...] = ()
    token: int = 0
    settled: bool = False

    def encode(self) -> bytes:
        tree = asdict(self)
        tree["kept"] = {"data": _text(self.kept.data), "fields": [[n, t, c, _text(d)] for n, t, c, d in
                                                                 self.kept.fields]}
        return json.dumps(tree, sort_keys=True).encode()

    @classmethod
    def decode(cls, state: bytes) -> Use:
        """PlanError when the bytes are not what `encode` writes."""
        try:
            tree = json.loads(state)
            kept = tree["kept"]
            fields = tuple((str(n), str(t), int(c), base64.b64decode(d)) for n, t, c, d in kept["fields"])
            return cls(str(tree["interface"]), str(tree["layer"]),
                       tuple(Rule(tuple(map(str, r["shape"])), str(r["dtype"])) for r in tree["rules"]),
                       {str(k): (int(o), str(u)) for k, (o, u) in tree["sizes"].items()},
                       tuple((str(t), int(r)) for t, r in tree["inputs"]), tuple(map(int, tree["values"])),
                       int(tree["lead"]), Kept(base64.b64decode(kept["data"]), fields), int(tree["tactic"]),
                       int(tree["workspace"]), tuple(map(int, tree["aliased"])), int(tree["token"]),
                       bool(tree["settled"]))
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise PlanError(f"a plugin's record is damaged: {type(error).__name__}: {error}") from None

    def changed(self, **changes: Any) -> Use:
        return replace(self, **changes)

    def outputs(self, inputs: Sequence[TensorType | None], values: Sequence[Sequence[Dim]]) -> tuple[Any, ...]:
        """The outputs for inputs of these types: TensorType, or Output where the plugin's run decides sizes.

        ShapeError for inputs of other number, type or rank than the plugin was asked about.
        """
        env = self.environment(inputs, values)
        bounds = {name: substitute(parse(upper), env) for name, (_, upper) in self.sizes.items()}
        made: list[TensorType | Output] = []
        for rule in self.rules:
            dims = [substitute(parse(d), env) for d in rule.shape]
            if any(symbols(d) & bounds.keys() for d in dims):
                made.append(Output(tuple(UpTo(_most(d, bounds)) if symbols(d) & bounds.keys() else d for d in dims),
                                   DType(rule.dtype)))
            else:
                made.append(TensorType(tuple(dims), DType(rule.dtype)))
        return tuple(made)

    def environment(self, inputs: Sequence[TensorType | None], values: Sequence[Sequence[Dim]]) -> dict[str, Dim]:
        if len(inputs) < len(self.inputs) or tuple(map(len, values)) != self.values:
            raise ShapeError(f"plugin layer {self.layer!r} was made for {len(self.inputs)} inputs, not {len(inputs)}")
        env: dict[str, Dim] = {}
        for i, ((dtype, rank), given) in enumerate(zip(self.inputs, inputs, strict=False)):
            if given is None or given.dtype.value != dtype or given.rank != rank + self.lead:
                raise ShapeError(f"input {i} of plugin layer {self.layer!r} is {given}; the plugin was asked about "
                                 f"{dtype} of {rank + self.lead} dimensions")
            env.update({f"i{i}_{axis}": d for axis, d in enumerate(given.shape)})
        env.update({f"s{i}_{k}": d for i, series in enumerate(values) for k, d in enumerate(series)})
        return env

    def actual(self, output: int, inputs: Sequence[TensorType], sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape of an output once the size tensors are known."""
        env = {k: int(d) for k, d in self.environment(inputs, [()] * len(self.values)).items()  # type: ignore[arg-type]
               } if not any(self.values) else {}
        return tuple(evaluate(parse(d), {**env, **sizes}) for d in self.rules[output].shape)


def _most(d: Dim, bounds: Mapping[str, Dim]) -> Dim:
    """The greatest a dimension can be, for dimensions that grow, or shrink, with each size tensor."""
    from ...dims import maximum
    return maximum(substitute(d, bounds), substitute(d, {name: 0 for name in bounds}))


def placeholders(inputs: Sequence[tuple[Dim, ...]], letter: str) -> list[tuple[Dim, ...]]:
    """The shapes with a symbol of its own for each dimension that is not a number."""
    return [tuple(d if isinstance(d, int) else symbol(f"{letter}{i}_{k}") for k, d in enumerate(shape))
            for i, shape in enumerate(inputs)]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
