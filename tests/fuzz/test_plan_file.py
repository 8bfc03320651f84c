"""Damaged plan files: seeded byte flips, cuts, insertions and exchanged pieces give PlanError or the same plan, never
anything else, and never a run of what was not signed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tensorwright.device import cpu
from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.errors import PlanError, TensorwrightError
from tensorwright.kernels.llvm import arg, entry, module
from tensorwright.plan import container, file, signing
from tensorwright.plan.container import Container, Draft
from tensorwright.plan.records import Buffer, Kernel, Launch, Plan, Profile, Program, TensorInfo, View
from tensorwright.runtime import Engine

KEY = bytes(range(32))
N = symbol("N")


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    """y = x + k, signed with KEY."""
    f = entry("plus")
    x, k, y = (arg(f, i) for i in range(3))
    with f.loop("i", f.begin, f.end) as i:
        at = f.op("mul", "i64", i, "4")
        f.store("float", f.op("fadd", "float", f.load("float", f.at(x, at)), f.load("float", f.at(k, at))), f.at(y, at))
    spec, f32 = cpu.describe(), DType.float32
    buffers = (Buffer("input", 4 * N, "x"), Buffer("constant", 400, "packed/k"), Buffer("output", 4 * N, "y"))
    step = Launch("add", "plus", tuple(View(b, 0, (N,), (1,), f32) for b in range(3)), (), (N,))
    program = Program(Profile((("N", (1, 8, 100)),)), spec.key, buffers, (-1,) * 3, 0, (step,),
                      (Kernel("plus", ("plus",), cpu.compile(module(f), spec)),), (TensorInfo("x", (N,), f32),),
                      (TensorInfo("y", (N,), f32),), (2,))
    path = tmp_path_factory.mktemp("plan") / "honest.plan"
    file.write(Plan("plus", (program,), "{}", {"packed/k": np.arange(100, dtype=np.float32),
                                               "network/k": np.arange(500_000, dtype=np.float32)}), path, KEY)
    return path


def use(path: Path) -> str:
    """What comes of a file: "refused", or "ran" with the right result. Anything else fails."""
    try:
        plan = file.read(path, trust=[KEY])
        if plan.no_code:
            return "not trusted"
        engine = Engine(plan)
        for n in (1, 7, 100):
            x = np.full(n, 0.5, np.float32)
            np.testing.assert_array_equal(engine(x), x + np.arange(n))
        assert plan.weights["network/k"].shape == (500_000,)
        return "ran"
    except PlanError as error:
        assert str(error).startswith("PlanError: ") and len(str(error)) < 5000
        return "refused"


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One of the ways in which files break. Half of the damage is near the beginning, where the structure is."""
    data = bytearray(data)
    at = int(rng.integers(0, min(len(data), 6000) if rng.random() < 0.5 else len(data)))
    match int(rng.integers(0, 7)):
        case 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        case 1:
            data[at] = int(rng.integers(0, 256))
        case 2:
            del data[at:]
        case 3:
            del data[at:at + int(rng.integers(1, 100))]
        case 4:
            data[at:at] = rng.bytes(int(rng.integers(1, 100)))
        case 5:
            other, size = int(rng.integers(0, len(data))), int(rng.integers(1, 4097))
            data[at:at + size], data[other:other + size] = data[other:other + size], data[at:at + size]
        case 6:
            number = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1][int(rng.integers(0, 7))]
            data[at:at + 8] = number.to_bytes(8, "little")
    return bytes(data)


def test_the_honest_file_runs(honest):
    assert use(honest) == "ran"


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files(honest, tmp_path, seed):
    rng, original = np.random.default_rng(seed), honest.read_bytes()
    path = tmp_path / "damaged.plan"
    for _ in range(100):
        data = damaged(original, rng)
        path.write_bytes(data)
        result = use(path)                           # gaps between sections hold nothing: damage there does no harm
        assert result == "refused" or _only_gaps_differ(original, data)


def _only_gaps_differ(original: bytes, data: bytes) -> bool:
    if len(original) != len(data):
        return False
    path_sections = container.ENTRY.iter_unpack(original[64:64 + 96 * original[12]])
    covered = np.zeros(len(original), bool)
    covered[:64 + 96 * original[12]] = True
    for _, offset, size, *_ in path_sections:
        covered[offset:offset + size] = True
    different = np.frombuffer(original, np.uint8) != np.frombuffer(data, np.uint8)
    return not (different & covered).any()


def _mutated(x: object, rng: np.random.Generator) -> object:
    """JSON with one value somewhere replaced by another that has no business there."""
    strange = [None, True, -1, 0, 1, 3, 2 ** 31, 2 ** 63, -2 ** 64, 1e308, "", "x", "N", "N*N", "N - 200", "-N",
               "N // 0", "Q", [], {}, [[]], ["N"], "é" * 300]
    if isinstance(x, list) and x and rng.random() < 0.9:
        k = int(rng.integers(0, len(x)))
        return [*x[:k], _mutated(x[k], rng), *x[k + 1:]] if rng.random() < 0.9 else [*x[:k], *x[k + 1:]]
    if isinstance(x, dict) and x and rng.random() < 0.95:
        key = list(x)[int(rng.integers(0, len(x)))]
        if rng.random() < 0.05:
            return {k: v for k, v in x.items() if k != key}
        return {**x, key: _mutated(x[key], rng)}
    return strange[int(rng.integers(0, len(strange)))]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("section", ["programs", "tensors", "manifest"])
def test_signed_nonsense_does_not_crash(honest, tmp_path, seed, section):
    """Even with all checksums and the signature right. The machine code itself is what the signer vouches for."""
    rng, old, path = np.random.default_rng(seed), Container(honest), tmp_path / "nonsense.plan"
    for _ in range(40):
        drafts = {n: Draft(n, [old.memory[s.offset:s.offset + s.size]],
                           old.digests("digests", n) if s.chunked else None) for n, s in old.sections.items()}
        data = json.loads(drafts[section].parts[0])
        drafts[section] = Draft(section, [json.dumps(_mutated(data, rng)).encode()])
        identity = container.identity({n: d.section() for n, d in drafts.items()}, "signature")
        drafts["signature"] = Draft("signature", [json.dumps(signing.sign(KEY, identity)).encode()])
        container.write(path, list(drafts.values()))
        try:
            plan = file.read(path, trust=[KEY])
            engine = Engine(plan)
            _checked_chunks(plan)
            engine.run([np.zeros(5, np.float32)])
        except TensorwrightError:
            pass


def _checked_chunks(plan: Plan) -> None:
    """What the code itself does with its arguments is the signer's business: do not run it with others."""
    program = plan.programs[0]
    step = program.steps[0] if program.steps else None
    views = tuple(View(b, 0, (N,), (1,), DType.float32) for b in range(3))
    if not isinstance(step, Launch) or step.chunks != (N,) or step.args != views:
        raise PlanError("the launch is not the kernel's")
