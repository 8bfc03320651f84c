"""Debug tensors: intermediate values that a listener is shown after each execution.

A tensor marked by mark_debug is kept as an output that only the context sees; this hinders fusions around it, as an
output does. Unfused tensors are those that the compiler keeps anyway: the engine then has memory for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..builder.kept import KEPT
from ..cuda.memory import lent
from ..dims import evaluate
from ..dtypes import DType
from ..errors import UnsupportedError
from ..ops import Pointwise
from ..ops.expr import In
from ..plan.records import Launch, Plan, Program, View
from ..runtime.memory import address_of
from .callbacks import guarded
from .enums import DataType, TensorLocation
from .foundation import Closed, Dims, theirs
from .layer import Lowering

if TYPE_CHECKING:
    from .tensor import ITensor

#: Where a plan remembers its marked tensors: {"names": {output: tensor's name}, "hidden": [outputs of no one else]}.
DEBUG = "debug_tensors"


class IDebugListener:
    """Define process_debug_tensor; what it returns is ignored."""

    def __init__(self) -> None:
        pass

    def process_debug_tensor(self, addr: int, location: TensorLocation, type: DataType, shape: Dims, name: str,
                             stream: int) -> None:
        """addr: of a dense tensor in C order, in host memory, that is there until this returns."""
        raise NotImplementedError


class NetworkDebug(Closed):
    """The part of INetworkDefinition that marks debug tensors."""

    _debug: list[ITensor]
    _keep_unfused: bool

    def mark_debug(self: Any, tensor: ITensor) -> bool:
        """False for a network's input and for tensors of other networks."""
        if tensor._network is not self or tensor.is_network_input:
            self._error(f"mark_debug: {tensor.name!r} is "
                        + ("an input" if tensor._network is self else "of another network"))
            return False
        if not self.is_debug_tensor(tensor):
            self._debug.append(tensor)
        return True

    def unmark_debug(self: Any, tensor: ITensor) -> bool:
        """False when the tensor belongs to another network."""
        self._debug = [t for t in self._debug if t is not tensor]
        return bool(tensor._network is self)

    def is_debug_tensor(self, tensor: ITensor) -> bool:
        return any(t is tensor for t in self._debug)

    def mark_unfused_tensors_as_debug_tensors(self) -> bool:
        """Every tensor that fusions leave may be listened to; nothing is hindered by this."""
        self._keep_unfused = True
        return True

    def unmark_unfused_tensors_as_debug_tensors(self) -> bool:
        self._keep_unfused = False
        return True

    def _write_debug(self, to: Lowering) -> None:
        """Append the marked tensors' values to the network's outputs; those that are outputs already stay.

        UnsupportedError for a tensor inside a loop or a conditional, which has a value per iteration, or none.
        """
        editor, names, values = to.editor, dict[str, str](), list[str]()
        for tensor in self._debug:
            if (value := to.values.get(id(tensor))) is None:
                raise UnsupportedError(f"mark_debug: {tensor.name!r} lies inside a loop or a conditional",
                                       try_="mark the output of the loop or the conditional")
            if value not in editor.types:
                raise UnsupportedError(f"mark_debug: {tensor.name!r} is no tensor of the network")
            if value in editor.inputs or value in editor.constants:
                value = str(editor.add(Pointwise(In(0, to.type(value).dtype)), value, name=f"{tensor.name}.debug"))
            names[value] = tensor.name
            if value not in editor.outputs:
                values.append(value)
        editor.outputs += values
        if names:
            editor.metadata[DEBUG] = json.dumps({"names": names, "hidden": values})


def marked(plan: Plan) -> tuple[Mapping[str, str], Sequence[str]]:
    """(output → name of the marked tensor, outputs that are there for this only) of a plan."""
    found = json.loads(plan.metadata.get(DEBUG, "{}"))
    return found.get("names", {}), found.get("hidden", [])


def kept(plan: Plan, profile: int) -> dict[str, View]:
    """Name → where an unfused tensor lies after a run of a profile's program."""
    rows = json.loads(plan.metadata.get(KEPT, "[]"))
    return {name: _view(plan.programs[profile], step, operand) for step, operand, name in rows[profile]} if rows else {}


def _view(program: Program, step: int, operand: int) -> View:
    found: Any = program.steps[step]
    view = found.args[operand] if isinstance(found, Launch) else found.outputs[operand]
    assert isinstance(view, View)
    return view


class ContextDebug(Closed):
    """The part of IExecutionContext that shows debug tensors to a listener."""

    _listener: IDebugListener | None
    _states: dict[str, bool]                              # marked tensor → whether to show it
    _show_unfused: bool
    _values: dict[str, np.ndarray]                        # hidden output → its value, or memory for it

    def set_debug_listener(self, listener: IDebugListener | None) -> bool:
        self._listener = listener
        return True

    def get_debug_listener(self) -> IDebugListener | None:
        return self._listener

    def set_tensor_debug_state(self: Any, name: str, flag: bool) -> bool:
        """Whether to show a marked tensor. False, with an error in the log, for other tensors."""
        if name not in self._states:
            return bool(self._refuse(f"{name!r} is not marked as a debug tensor"))
        self._states[name] = bool(flag)
        return True

    def get_debug_state(self, name: str) -> bool:
        return self._states.get(name, False)

    def set_all_tensors_debug_state(self, flag: bool) -> bool:
        """Of all marked tensors; unfused ones have unfused_tensors_debug_state."""
        self._states = dict.fromkeys(self._states, bool(flag))
        return True

    @property
    def unfused_tensors_debug_state(self) -> bool:
        return self._show_unfused

    @unfused_tensors_debug_state.setter
    def unfused_tensors_debug_state(self: Any, flag: bool) -> None:
        if flag and KEPT not in self._engine._plan.metadata:
            self._refuse("this engine keeps no unfused tensors: use network.mark_unfused_tensors_as_debug_tensors")
            return
        self._show_unfused = bool(flag)

    # ---- behind the scenes

    def _start_debugging(self: Any) -> None:
        self._listener, self._show_unfused, self._values = None, False, {}
        self._states = dict.fromkeys(self._engine._debug_names.values(), False)

    def _make_room(self: Any) -> None:
        """Memory for the hidden outputs at the shapes that are set, where those tell their sizes."""
        env = self._env()
        for info in self._engine._engine.outputs:
            if info.name in self._engine._hidden and info.shape is not None:
                shape = tuple(evaluate(d, env) for d in info.shape)
                if self._values.get(info.name, np.empty(0)).shape != shape or not shape:
                    self._values[info.name] = np.empty(shape, info.dtype.numpy)
                self._addresses[info.name] = address_of(self._values[info.name])

    def _show(self: Any, stream: int) -> None:
        """Tell the listener the values that it wants, after an execution."""
        for output, name in self._engine._debug_names.items():
            if self._states[name]:
                self._tell(name, self._value(output), stream)
        if self._show_unfused:
            for name, view in kept(self._engine._plan, self._index).items():
                self._tell(name, self._context.peek(view), stream)

    def _value(self: Any, output: str) -> np.ndarray:
        """What an execution gave for an output, hidden or not."""
        if output in self._engine._hidden or not self._ready:
            return np.asarray(self._values[output])
        return np.asarray(self._array(self._engine._tensors[output]))

    def _tell(self: Any, name: str, value: np.ndarray, stream: int) -> None:
        value = np.ascontiguousarray(value)
        lead = int(self._engine.has_implicit_batch_dimension)
        with lent((address_of(value), value.nbytes)):
            guarded(self._listener.process_debug_tensor, address_of(value), self._class(TensorLocation).DEVICE,
                    theirs(DType.of(value)), Dims(value.shape[lead:]), name, stream)
