"""Plugin objects become operators of a network: asked for their outputs when used, configured when built."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from ...dims import Dim, evaluate, symbols
from ...dtypes import DType
from ...errors import BuildError, InputError, TypeMismatch, UnsupportedError
from ...ir import TensorType
from ...plan.records import Profile
from ...plugins import Output
from ..enums import TensorFormat
from ..foundation import ours
from .adapters import Adapter, Kept, Operand
from .exprs import IExprBuilder
from .plans import Rule, Use, placeholders
from .session import Session, room, sizes

#: Plugin objects of this process that uses refer to, by token.
LIVE: WeakValueDictionary[int, Adapter] = WeakValueDictionary()
#: Those that engines of this process use, whose creators are not registered. They stay.
KEPT: dict[int, Adapter] = {}
#: Element types of which TensorRT packs several into one byte: plugins cannot be handed them here.
_NOTHING = Kept()
_PACKED = frozenset({DType.int4, DType.uint4, DType.float4_e2m1})
#: Formats that are tried to say in which one a plugin would work that does not take the linear one.
_OTHERS = tuple(f for f in TensorFormat if f is not TensorFormat.LINEAR)


def held(adapter: Adapter) -> int:
    """A token for a plugin object, valid while the adapter lives."""
    token = secrets.randbits(62) | 1
    LIVE[token] = adapter
    return token


def asked(adapter: Adapter, types: Sequence[TensorType], values: Sequence[Sequence[Dim]] = (), *, layer: str = "",
          lead: int = 0, kept: Kept = _NOTHING, token: int = 0) -> Use:
    """What a plugin makes of inputs of these types: the use of it, not configured yet.

    values   of its shape inputs, as far as they are known functions of shapes
    lead     1 in a network with an implicit batch dimension
    """
    if lead and not adapter.per_sample:
        raise UnsupportedError(f"plugin {adapter.name} is for networks of explicit batch", try_="builder."
                               "create_network(1 << int(NetworkDefinitionCreationFlag.EXPLICIT_BATCH))")
    for t in types:
        if t.dtype in _PACKED:
            raise UnsupportedError(f"plugin {adapter.name} has an input of {t.dtype}: plugins take no types of less "
                                   "than a byte in this version", try_="add_cast")
    builder = adapter.kind(IExprBuilder)()
    given = adapter.output_types([t.dtype for t in types], [t.rank for t in types])
    inputs, known = placeholders([t.shape[lead:] for t in types], "i"), placeholders([tuple(v) for v in values], "s")
    shapes = adapter.output_shapes(inputs, known, builder)
    first: tuple[Dim, ...] = ()
    if lead:
        first = placeholders([types[0].shape[:1]], "i")[0] if types else (1,)
    dtypes = [_dtype(adapter, t) for t in given]
    sizes = {s.name: (s.output, str(s.upper)) for s in builder._declared.values()}
    for output, _ in sizes.values():
        if not 0 <= output < len(shapes) or shapes[output] or dtypes[output] not in (DType.int32, DType.int64):
            raise InputError(f"plugin {adapter.name} declares output {output} as a size tensor: that must be one of "
                             f"its {len(shapes)} outputs, of rank 0 and type INT32 or INT64")
    rules = tuple(Rule(tuple(map(str, (*first, *s))), t.value) for s, t in zip(shapes, dtypes, strict=True))
    aliased = tuple(adapter.aliased(i) for i in range(len(rules)))
    for i, source in enumerate(aliased):
        if source >= len(types) or (source >= 0 and (types[source].dtype != dtypes[i] or rules[i].shape != tuple(
                map(str, (*first, *inputs[source]))))):
            raise InputError(f"plugin {adapter.name}: output {i} is to lie in the memory of input {source}, which is "
                             "not of its shape and type")
    return Use(adapter.interface, layer, rules, sizes, tuple((t.dtype.value, t.rank - lead) for t in types),
               tuple(map(len, values)), lead, kept, aliased=aliased, token=token)


def _dtype(adapter: Adapter, given: Any) -> DType:
    try:
        return ours(given)
    except KeyError:
        raise InputError(f"plugin {adapter.name} gives {given!r} for an output's type, not a DataType") from None


def settled(use: Use, adapter: Adapter, types: Sequence[TensorType], values: Sequence[Sequence[Dim]],
            profiles: Sequence[Profile], note: Callable[[str], None], warn: Callable[[str], None],
            ) -> tuple[Use, Adapter]:
    """The use of a plugin, configured for the profiles of a build, parameters in `kept`; and the configured copy."""
    plugin = adapter.cloned()
    for name in plugin.without_effect():
        warn(f"plugin {plugin.name}: {name} has no effect: tactics are timed in every build, in linear formats")
    declared = use.outputs(types, values)
    _negotiated(use, plugin, _operands(use, types, profiles[0]), _operands(use, declared, profiles[0]))
    workspace = 0
    for profile in profiles:
        inputs, outputs = _operands(use, types, profile), _operands(use, declared, profile)
        batch = max((t.high[0] for t in _operands(use, types, profile, whole=True)), default=1) if use.lead else 1
        plugin.configure(inputs, outputs, batch)
        workspace = max(workspace, plugin.workspace(inputs, outputs, batch))
    tactics = plugin.tactics()
    if len(set(tactics)) != len(tactics) or any(t <= 0 for t in tactics):
        raise InputError(f"plugin {plugin.name}: get_valid_tactics gave {tactics}: each must be positive, and once")
    use = use.changed(workspace=workspace, settled=True, tactic=tactics[0] if tactics else 0)
    if len(tactics) > 1:
        spent = {t: _timed(use.changed(tactic=t), plugin, types, values, profiles) for t in tactics}
        best = min(spent, key=lambda t: spent[t])
        note(f"plugin {plugin.name}, layer {use.layer!r}: tactic {best} of " + ", ".join(
            f"{t} ({s * 1e3:.3f} ms)" for t, s in spent.items()))
        use = use.changed(tactic=best)
    return use.changed(kept=plugin.kept(), token=0), plugin


def _negotiated(use: Use, plugin: Adapter, inputs: list[Operand], outputs: list[Operand]) -> None:
    """Raises unless the plugin takes all its tensors as they are: of these types, dense and in C order."""
    operands, linear = [*inputs, *outputs], [TensorFormat.LINEAR] * (len(inputs) + len(outputs))
    for position, operand in enumerate(operands):
        if plugin.supports(position, operands, len(inputs), linear):
            continue
        kind = f"input {position}" if position < len(inputs) else f"output {position - len(inputs)}"
        other = next((f for f in _OTHERS if plugin.supports(
            position, operands, len(inputs), [*linear[:position], f, *linear[position + 1:]])), None)
        if other is not None:
            raise UnsupportedError(f"plugin {plugin.name} takes {kind} in {other} only; {TensorFormat.LINEAR} is the "
                                   "only format in this version", at=f"layer {use.layer!r}",
                                   try_=f"let supports_format_combination allow {TensorFormat.LINEAR} too")
        raise TypeMismatch(f"plugin {plugin.name} does not support {kind} as {operand.dtype}, linear",
                           at=f"layer {use.layer!r}", try_="add_cast before the plugin, or let it support this type")


def _operands(use: Use, types: Sequence[TensorType | Output], profile: Profile, whole: bool = False) -> list[Operand]:
    """What a plugin is told: -1 for what varies, and its range. Sizes that it decides count with their bounds."""
    made = []
    for t in types:
        shape = tuple(d if isinstance(d, int) else -1 for d in t.shape)
        dims: list[Any] = [getattr(d, "bound", d) for d in t.shape]
        low, best, high = (tuple(_at(d, env) for d in dims) for env in
                           (profile.minimum(), profile.optimum(), profile.maximum()))
        skip = 0 if whole else use.lead
        made.append(Operand(t.dtype, shape[skip:], low[skip:], best[skip:], high[skip:]))
    return made


def _at(d: Dim, env: Mapping[str, int]) -> int:
    if not symbols(d) <= env.keys():
        raise BuildError(f"the dimension {d} of a plugin's tensor has no range", try_="give a profile")
    return evaluate(d, env)


def _timed(use: Use, plugin: Adapter, types: Sequence[TensorType], values: Sequence[Sequence[Dim]],
           profiles: Sequence[Profile]) -> float:
    """Seconds of a run with the use's tactic at the usual shapes, summed over the profiles: the best of five."""
    import time
    total = 0.0
    session = Session(use, plugin)
    try:
        for profile in profiles:
            env = profile.optimum()
            arrays = []
            for t in types:
                array = room(sizes(TensorType(tuple(_at(d, env) for d in t.shape), t.dtype)), t.dtype.numpy)
                array.fill(0)
                arrays.append(array)
            numbers = [[_at(d, env) for d in v] for v in values]
            seconds = []
            for _ in range(6):
                begin = time.perf_counter()
                session.run(arrays, numbers, [None] * len(use.rules))
                seconds.append(time.perf_counter() - begin)
            total += min(seconds[1:])
    finally:
        session.close()
    return total
