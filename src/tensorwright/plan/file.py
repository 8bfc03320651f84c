"""Plans as files: what the sections of the container mean. See docs/plan_format.md.

    manifest      JSON: name, metadata, provenance, choices, format
    network       JSON text of the network after passes; its constants are among the tensors
    programs      JSON: one program per profile and target
    code          object code of all kernels, one after the other
    tensors       JSON: name, type, shape, place of every array in `weights`
    weights       the arrays; `digests` holds the checksum of every mebibyte
    verification  JSON: what the build compared with the reference
    signature     JSON: key id and HMAC-SHA256 over the names, sizes and checksums of all other sections
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..dtypes import DType
from ..errors import PlanError, TensorwrightError
from ..targets import CpuSpec
from . import container, programs, signing, tensors
from .check import check_program
from .container import Container, Draft
from .fields import Fields, parse
from .keys import why_rebuild
from .records import Plan
from .refit import Hollow, check_refit, from_json

FORMAT = f"{container.MAJOR}.{container.MINOR}"


def _no_ops(_: Any) -> Any:
    raise PlanError("the plan has host steps, and nobody said how to write or read their operators",
                    try_="use runtime.store.save and load")


def write(plan: Plan, path: str | os.PathLike[str], key: bytes | None = None, *,
          encode_op: Callable[[Any], Any] = _no_ops) -> None:
    """Write a plan, signed by key (default: this machine's). The file is complete or not there at all.

    encode_op   an operator of a host step → JSON
    """
    key = signing.machine_key() if key is None else key
    programs_json, code = programs.encode(plan.programs, encode_op)
    hollow = plan.weights if isinstance(plan.weights, Hollow) else Hollow(plan.weights, {})
    index, weights, digests = tensors.encode(hollow.there)
    manifest: dict[str, Any] = {"format": FORMAT, "name": plan.name, "metadata": dict(plan.metadata),
                                "provenance": dict(plan.provenance), "choices": dict(plan.choices)}
    if plan.refit:
        manifest |= {"refit": [w.to_json() for w in plan.refit], "stripped": hollow.to_json()}
    drafts = [Draft("manifest", [_dump(manifest)]), Draft("network", [plan.network.encode()]),
              Draft("programs", [_dump(programs_json)]), Draft("code", code), Draft("tensors", [_dump(index)]),
              digests, Draft("verification", [_dump(plan.verification)])]
    if key is not None:
        covered = {d.name: d.section() for d in (*drafts, weights)}
        drafts.append(Draft("signature", [_dump(signing.sign(key, container.identity(covered, "signature")))]))
    container.write(path, [*drafts, weights])


def _dump(x: Any) -> bytes:
    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, DType):
            return value.value
        if isinstance(value, np.ndarray):
            return value.tolist()
        return str(value)
    return json.dumps(x, separators=(",", ":"), default=plain).encode()


def read(path: str | os.PathLike[str], strict: bool = False, trust: Iterable[bytes] = (), *,
         cpu: CpuSpec | None = None, decode_op: Callable[[Any], Any] = _no_ops) -> Plan:
    """Read a plan. Everything but the weights is verified at once; those piece by piece before their first use.

    Machine code is only taken over when a trusted key signed the file; else `Plan.no_code` says why, and the plan has
    to be rebuilt from its network before it runs.

    strict      refuse, with PlanError, what cannot run on `cpu` exactly as it is
    trust       keys to trust besides this machine's own and those in its folder `trusted`
    cpu         the machine it is to run on
    decode_op   JSON → an operator of a host step
    """
    file = Container(path)
    try:
        plan = _read(file, list(trust), decode_op)
        reason = plan.no_code if cpu is None else why_rebuild(plan, cpu, strict)
        if strict and reason:
            raise PlanError(f"the plan cannot run here as it is: {reason}",
                            try_="read it without strict=True: it is then compiled again for this machine")
        return plan
    except TensorwrightError as error:
        if file.path not in error.at:
            error.located(file.path)
        raise


def _read(file: Container, trust: list[bytes], decode_op: Callable[[Any], Any]) -> Plan:
    manifest = Fields(parse(file.read("manifest"), "the manifest"), "manifest")
    index = Fields(parse(file.read("tensors"), "the index of tensors"), "tensors").data
    weights: Mapping[str, np.ndarray] = tensors.StoredTensors(file, index)
    refit = from_json(manifest.data.get("refit", []))
    if manifest.data.get("stripped"):
        weights = Hollow.read(weights, manifest.data["stripped"])
    check_refit(refit, weights)
    no_code = _why_not_trusted(file, trust)
    code = file.read("code")
    decoded = programs.decode(parse(file.read("programs"), "programs"), None if no_code else code, decode_op)
    for number, program in enumerate(decoded):
        try:
            check_program(program, weights)
        except PlanError as error:
            raise error.located(f"program {number}") from None
    verification = Fields(parse(file.read("verification"), "the verification"), "verification").data
    try:
        network = file.read("network").decode()
    except UnicodeDecodeError as error:
        raise PlanError(f"the network is not text: {error}") from None
    return Plan(manifest.text("name"), decoded, network, weights, manifest.textmap("metadata"),
                manifest.textmap("provenance"), verification, manifest.textmap("choices"), no_code, file.path,
                refit)


def _why_not_trusted(file: Container, trust: list[bytes]) -> str:
    """Why the file's machine code may not run; "" when it may."""
    if "signature" not in file.sections:
        return "its machine code is not signed"
    signature = parse(file.read("signature"), "the signature")
    if signing.signer(signature, file.identity("signature"), [*trust, *signing.trusted_keys()]) is None:
        by = signature.get("key") if isinstance(signature, dict) else None
        return f"its machine code is signed by key {str(by)[:40]}, which this machine does not trust"
    return ""


def verify(plan: Plan) -> None:
    """Verify the checksums of all weights now. PlanError when one is wrong."""
    there = plan.weights.there if isinstance(plan.weights, Hollow) else plan.weights
    if isinstance(there, tensors.StoredTensors):
        there.verify()
