"""UFF's protocol buffer messages: class factories. Source: what NVIDIA's converter writes."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...errors import ModelError
from ..caffe.messages import classes

TABLE = {
    "MetaGraph": "version 1 int64; descriptor_core_version 2 int64; graphs 4 Graph*; referenced_data 5 Entry*",
    "Graph": "id 1 string; nodes 2 Node*",
    "Node": "id 1 string; inputs 2 string*; operation 3 string; fields 4 Entry*; extra_fields 100 Entry*",
    "Entry": "key 1 string; value 2 Data",
    "Data": "s 1 string; s_list 2 Strings; d 3 double; d_list 4 Doubles; b 5 bool; b_list 6 Bools; i 7 int64; "
            "i_list 8 Integers; blob 9 bytes; ref 100 string; dtype 101 int32; dtype_list 102 Integers; "
            "dim_orders 103 Orders; dim_orders_list 104 OrdersList",
    "Strings": "val 1 string*", "Doubles": "val 1 double+", "Bools": "val 1 bool+", "Integers": "val 1 int64+",
    "Orders": "orders 1 Order*", "Order": "key 1 int32; value 2 Integers", "OrdersList": "val 1 Orders*",
}
DTYPES = {65544: np.int8, 65552: np.int16, 65568: np.int32, 65600: np.int64, 131088: np.float16, 131104: np.float32}


@functools.cache
def message(name: str) -> Any:
    """The class of a message."""
    return classes("uff", TABLE, {})[name]


def read(content: bytes) -> Any:
    """The MetaGraph of a file. ModelError when it is none."""
    from google.protobuf.message import DecodeError
    found = message("MetaGraph")()
    try:
        found.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(f"not a UFF file: {error}") from None
    if not found.graphs:
        raise ModelError("not a UFF file: it holds no graph")
    return found


class Fields:
    """The fields of a node by name, with what they refer to."""

    def __init__(self, node: Any, referenced: dict[str, Any]) -> None:
        self._found = {e.key: e.value for e in (*node.extra_fields, *node.fields)}
        self._referenced = referenced

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __getitem__(self, name: str) -> Any:
        """A number, a text, bytes, or a list of them. ModelError when the node lacks the field."""
        if name not in self._found:
            raise ModelError(f"the node has no field {name!r}", has=", ".join(sorted(self._found)) or "none")
        data = self._found[name]
        if data.HasField("ref"):
            if data.ref not in self._referenced:
                raise ModelError(f"the file lacks the data {data.ref!r} that field {name!r} refers to")
            data = self._referenced[data.ref]
        for field, value in data.ListFields():
            if field.name == "dim_orders_list":
                return [[list(o.value.val) for o in orders.orders] for orders in value.val]
            return list(value.val) if field.name.endswith("_list") else value
        return []

    def get(self, name: str, default: Any) -> Any:
        return self[name] if name in self else default

    def names(self) -> list[str]:
        return sorted(self._found)

    def array(self) -> np.ndarray:
        """The content of a Const node."""
        kind, shape, blob = DTYPES.get(self["dtype"]), [int(d) for d in self.get("shape", [])], self.get("values", b"")
        if kind is None:
            raise ModelError(f"constants of type {self['dtype']} are not known")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        itemsize = np.dtype(kind).itemsize
        if any(d < 0 for d in shape) or not isinstance(blob, bytes) or len(blob) != count * itemsize:
            raise ModelError(f"a constant of shape {shape} has {len(blob)} bytes, {count * itemsize} are needed")
        return np.frombuffer(blob, kind).reshape(shape)

    def channels_last(self, input: int, default: bool) -> bool:
        """Whether the node's data, as its framework stored them, have their channels last (N+C), not second (NC+)."""
        orders = self.get("inputs_orders", [])
        return orders[input][0][-1] == 1 if input < len(orders) and orders[input] and len(orders[input][0]) > 2 \
            else default

    def transposed(self, input: int, default: bool) -> bool:
        """Whether a matrix is stored with its two axes swapped: CN for NC, CK for KC."""
        orders = self.get("inputs_orders", [])
        return orders[input][0] == [1, 0] if input < len(orders) and orders[input] else default
