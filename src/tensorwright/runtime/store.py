"""Saving and loading plans, operators of host steps included."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ..device import cpu as device
from ..ir import codec
from ..plan import file
from ..plan.records import Plan


def save(plan: Plan, path: str | os.PathLike[str], key: bytes | None = None) -> None:
    """Write a plan, signed by this machine's key or the one given."""
    file.write(plan, path, key, encode_op=codec.encode)


def load(path: str | os.PathLike[str], strict: bool = False, trust: Iterable[bytes] = ()) -> Plan:
    """Read a plan for this machine. When `plan.why_rebuild(plan, cpu)` gives a reason, rebuild it before running."""
    return file.read(path, strict, trust, cpu=device.describe(), decode_op=decode_op)


def decode_op(data: Any) -> Any:
    from ..plugins.records import REGISTRY  # importing all operators takes a while; most plans need none
    return codec.decode(data, REGISTRY)
