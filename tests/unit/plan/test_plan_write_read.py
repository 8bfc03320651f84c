"""The plan file: what is written comes back; what is damaged, hostile or foreign does not run."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from tensorwright.dims import ceildiv, floordiv, maximum, minimum, symbol
from tensorwright.dtypes import DType
from tensorwright.errors import PlanError
from tensorwright.plan import container, file, signing, tensors
from tensorwright.plan.container import CHUNK, Container, Draft, chunk_digests
from tensorwright.plan.records import (
    Buffer,
    HostStep,
    Kernel,
    Launch,
    LayerInfo,
    Plan,
    Profile,
    Program,
    TensorInfo,
    View,
)
from tensorwright.targets import CpuSpec

N, M = symbol("N"), symbol("M")
CPU = CpuSpec("znver9", "+avx2", "x86_64-unknown-linux-gnu", 256, 16, True, cores=4)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def sample() -> Plan:
    """One program with a bit of everything; its code is only bytes."""
    f32 = DType.float32
    buffers = (Buffer("input", 4 * N * M, "x"), Buffer("arena", 4 * ceildiv(N, 3) * M + 64, zero=True),
               Buffer("constant", 48, "packed/w"), Buffer("output", 4 * N * M, "y"))
    views = (View(0, 0, (N, M), (M, 1), f32), View(1, 32, (ceildiv(N, 3), M), (M, 1), f32),
             View(2, 44, (3, 4), (-4, -1), f32), View(3, 0, (N, M), (M, 1), f32))
    steps = (Launch("a", "k1", (views[0], None, views[2], views[1]), (N, M * 2, minimum(N, 7)),
                    (maximum(1, floordiv(N, 2)),), True),
             HostStep("h", "an operator", (views[1], None, "x"), (views[3], "extra"), "because"))
    layers = (LayerInfo("a", "Conv", ("n1", "n2"), "Tile(4, 2)", 1e-5, 10 ** 12, 77, "", ("float32 (N, M)",)),
              LayerInfo("h", "Host", note="because"))
    program = Program(Profile((("N", (0, 4, 100)), ("M", (1, 2, 3)))), CPU.key, buffers, (-1, 64, -1, -1), 2048, steps,
                      (Kernel("k1", ("k1.p0",), b"object code"),), (TensorInfo("x", (N, M), f32),),
                      (TensorInfo("y", (N, M), f32), TensorInfo("e", None, None)), (3, "extra"), layers, 2)
    weights = {"packed/w": np.arange(12, dtype=np.float32), "network/big": np.arange(400_000, dtype=np.float64),
               "network/big2": np.arange(400_000, dtype=np.float64), "network/s": np.array(["a", "é"], object),
               "network/b": np.ones((2, 3), ml_dtypes.bfloat16), "network/scalar": np.int8(5) * np.ones((), np.int8),
               "network/none": np.empty((0, 4), np.float32), "network/flag": np.array([True, False])}
    other = replace(program, target="other|cpu|1|f|1", threads=1)
    return Plan("sample", (program, other), '{"network": "text"}', weights,
                {"author": "me"}, {"seconds": "1"}, {"ok": True, "worst": np.float32(1e-6)}, {"p": "t"})


def save(plan: Plan, path, key: bytes | None = None):
    file.write(plan, path, key, encode_op=lambda op: {"name": op})
    return path


def load(path, **options) -> Plan:
    return file.read(path, decode_op=lambda data: data["name"], **options)


@pytest.fixture
def saved(tmp_path):
    return save(sample(), tmp_path / "sample.plan")


# there and back ------------------------------------------------------------------------------------------------------
def test_everything_comes_back(saved):
    plan, again = sample(), load(saved)
    assert again.programs == plan.programs
    assert (again.name, again.network, again.metadata, again.provenance, again.choices) == \
        (plan.name, plan.network, plan.metadata, plan.provenance, plan.choices)
    assert again.verification["ok"] is True and not again.no_code and again.path == str(saved)
    assert list(again.weights) == list(plan.weights) and len(again.weights) == 8
    for name, array in plan.weights.items():
        got = again.weights[name]
        assert got.dtype == array.dtype and got.shape == array.shape, name
        np.testing.assert_array_equal(got, array)
    assert not again.weights["packed/w"].flags.writeable
    assert again.weights["packed/w"].ctypes.data % 64 == 0
    with pytest.raises(KeyError):
        again.weights["absent"]


def test_read_plans_can_be_written_again(saved, tmp_path):
    save(load(saved), tmp_path / "copy.plan")
    assert load(tmp_path / "copy.plan").programs == sample().programs
    save(load(saved), saved)                                          # over itself
    assert load(saved).programs == sample().programs


def test_equal_arrays_and_code_are_stored_once(saved):
    assert saved.stat().st_size < 400_000 * 8 * 1.1
    index = json.loads(Container(saved).read("tensors"))
    assert index["network/big"]["offset"] == index["network/big2"]["offset"]
    assert Container(saved)["code"].size == len(b"object code")


def test_writing_is_all_or_nothing(saved, tmp_path, monkeypatch):
    before = saved.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(container.os, "fsync", full)
    with pytest.raises(PlanError, match="No space left"):
        save(replace(sample(), name="other"), saved, key=bytes(32))
    assert saved.read_bytes() == before and [p.name for p in tmp_path.iterdir() if p.is_file()] == ["sample.plan"]
    with pytest.raises(PlanError, match="cannot write"):
        save(sample(), tmp_path / "no" / "such" / "folder.plan", key=bytes(32))


def test_files_are_readable_like_others(saved):
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o666 & ~mask


def test_writing_leaves_the_process_as_it_is(tmp_path, monkeypatch):
    """The umask is everybody's: two threads that change it to read it may leave it changed."""
    monkeypatch.setattr(os, "umask", None)
    save(sample(), tmp_path / "sample.plan", key=bytes(32))
    save(sample(), tmp_path / ("long" * 60 + ".plan"), key=bytes(32))


def test_the_same_plan_gives_the_same_file(saved, tmp_path):
    assert save(sample(), tmp_path / "again.plan").read_bytes() == saved.read_bytes()


# trust ---------------------------------------------------------------------------------------------------------------
def test_the_key_is_made_once_and_private(saved, home, tmp_path):
    key = home / "machine.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and stat.S_IMODE(home.stat().st_mode) == 0o700
    before = key.read_bytes()
    save(sample(), tmp_path / "b.plan")
    assert key.read_bytes() == before and len(before) == 32 and [p.name for p in home.iterdir()] == ["machine.key"]


def test_code_of_strangers_is_dropped(saved, monkeypatch, tmp_path):
    monkeypatch.setenv("TENSORWRIGHT_HOME", str(tmp_path / "another machine"))
    plan = load(saved, cpu=CPU)
    assert "does not trust" in plan.no_code and all(k.code == b"" for p in plan.programs for k in p.kernels)
    assert plan.programs[0].steps == sample().programs[0].steps and (plan.weights["packed/w"] == np.arange(12)).all()
    with pytest.raises(PlanError, match="does not trust"):
        load(saved, strict=True, cpu=CPU)


def test_trusted_keys(monkeypatch, tmp_path, home):
    key = bytes(range(32))
    path = save(sample(), tmp_path / "theirs.plan", key)
    assert load(path).no_code
    assert not load(path, trust=[key]).no_code
    assert load(path, trust=[bytes(32)]).no_code
    trusted = home / "trusted" / "friend.key"
    trusted.parent.mkdir(parents=True)
    trusted.write_bytes(key)
    trusted.chmod(0o644)
    with pytest.raises(PlanError, match=r"others may read this key(.|\n)*chmod 600"):
        load(path)
    trusted.chmod(0o600)
    assert not load(path).no_code
    trusted.write_bytes(key[:5])
    with pytest.raises(PlanError, match="32 bytes"):
        load(path)


def test_unsigned_when_no_key_can_be_kept(tmp_path, monkeypatch):
    (tmp_path / "afile").write_text("")
    monkeypatch.setenv("TENSORWRIGHT_HOME", str(tmp_path / "afile" / "home"))
    with pytest.warns(UserWarning, match="cannot keep a signing key"):
        path = save(sample(), tmp_path / "u.plan")
    assert load(path).no_code == "its machine code is not signed"


def test_users_without_a_home(tmp_path, monkeypatch):
    for name in ("TENSORWRIGHT_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")
    monkeypatch.setattr("pathlib.Path.home", homeless)
    with pytest.warns(UserWarning, match="cannot keep a signing key"):
        path = save(sample(), tmp_path / "h.plan")
    assert load(path).no_code


@pytest.mark.parametrize("section", ["programs", "code", "network", "manifest", "weights", "tensors"])
def test_nothing_can_be_exchanged_under_a_signature(saved, tmp_path, section):
    """A file put together anew, with right checksums, from a signed one and a part of another: not trusted."""
    old, drafts = Container(saved), []
    for name, s in old.sections.items():
        data = bytearray(old.memory[s.offset:s.offset + s.size])
        if name == section:
            data = bytearray(data.replace(b"sample", b"samplf").replace(b"serial", b"serial").replace(b"text", b"tex!"))
            if name in ("code", "weights"):
                data[3] ^= 1
            elif name in ("programs", "tensors"):
                data += b" "
        drafts.append(Draft(name, [bytes(data)], chunk_digests([bytes(data)]) if s.chunked else None))
    by_name = {d.name: d for d in drafts}
    drafts[drafts.index(by_name["digests"])] = Draft("digests", [b"".join(chunk_digests(by_name["weights"].parts))])
    container.write(tmp_path / "forged.plan", drafts)
    plan = load(tmp_path / "forged.plan")
    assert "does not trust" in plan.no_code and not any(k.code for p in plan.programs for k in p.kernels)


@pytest.mark.parametrize("signature", [[], 5, {}, {"key": 1, "hmac": None}, {"key": "x", "hmac": "é"}])
def test_odd_signatures(saved, tmp_path, signature):
    old = Container(saved)
    drafts = [Draft(n, [old.memory[s.offset:s.offset + s.size]], old.digests("digests", n) if s.chunked else None)
              for n, s in old.sections.items() if n != "signature"]
    container.write(tmp_path / "odd.plan", [Draft("signature", [json.dumps(signature).encode()]), *drafts])
    assert load(tmp_path / "odd.plan").no_code


# other machines ------------------------------------------------------------------------------------------------------
def test_why_rebuild(saved):
    other = replace(CPU, name="pentium", vector_bits=128)
    assert load(saved, cpu=CPU, strict=True).no_code == ""
    with pytest.raises(PlanError, match=r"CPU znver9 \(here pentium\), vector bits 256 \(here 128\)"):
        load(saved, cpu=other, strict=True)
    assert load(saved, cpu=other).programs
    with pytest.raises(PlanError, match=r"cores 4 \(here 8\)"):
        load(saved, cpu=replace(CPU, cores=8), strict=True)
    with pytest.raises(PlanError, match=r"features \+avx2 \(here \+sse2\)"):
        load(saved, cpu=replace(CPU, features="+sse2"), strict=True)


# damage --------------------------------------------------------------------------------------------------------------
def test_not_a_plan(tmp_path):
    mangled = b"\x89TWP\n\x1a\n" + bytes(99)
    for content, message in ((b"", "0 bytes"), (b"ONNX" * 40, "not a plan"), (mangled, "not a plan")):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(PlanError, match=message):
            load(tmp_path / "x")
    with pytest.raises(PlanError, match="cannot read"):
        load(tmp_path / "absent")
    with pytest.raises(PlanError, match="cannot read"):
        load(tmp_path)


def test_other_versions(saved, tmp_path):
    data = bytearray(saved.read_bytes())

    def with_version(major: int, minor: int) -> str:
        data[8:10], data[10:12] = major.to_bytes(2, "little"), minor.to_bytes(2, "little")
        end = container.HEADER.size + container.ENTRY.size * data[12]
        data[32:64] = hashlib.sha256(data[:32] + data[64:end]).digest()
        (tmp_path / "v").write_bytes(data)
        return str(tmp_path / "v")
    with pytest.raises(PlanError, match=r"format 2\.0, this version reads 1\.x"):
        load(with_version(2, 0))
    assert load(with_version(1, 7)).name == "sample"             # a newer minor version only adds


def test_damaged_weights_are_noticed_before_use(saved):
    section = Container(saved)["weights"]
    data = bytearray(saved.read_bytes())
    data[section.offset + 2 * CHUNK + 5] ^= 4                    # in the middle of network/big
    saved.write_bytes(data)
    plan = load(saved)
    np.testing.assert_array_equal(plan.weights["packed/w"], np.arange(12))
    for _ in range(2):
        with pytest.raises(PlanError, match="checksum of bytes 2097152 to 3145728 of the weights"):
            plan.weights["network/big"]
    with pytest.raises(PlanError, match="damaged"):
        file.verify(plan)


def test_verify_reads_everything(saved):
    plan = load(saved)
    file.verify(plan)
    file.verify(sample())
    assert all(plan.weights._good)


def test_chunk_digests_do_not_depend_on_the_parts():
    data = bytes(range(256)) * (2 * CHUNK // 256) + b"rest"
    whole = chunk_digests([data])
    assert len(whole) == 3 and whole == chunk_digests([data[:5], b"", data[5:CHUNK], data[CHUNK:]])
    assert whole[0] == hashlib.sha256(data[:CHUNK]).digest() and chunk_digests([]) == []


# hostile -------------------------------------------------------------------------------------------------------------
def forged(tmp_path, section: str, change, key: bytes = bytes(32)) -> Plan:
    """The sample with one JSON section changed, all checksums right, signed with a trusted key."""
    old = Container(save(sample(), tmp_path / "honest.plan", key))
    drafts = {n: Draft(n, [old.memory[s.offset:s.offset + s.size]], old.digests("digests", n) if s.chunked else None)
              for n, s in old.sections.items()}
    data = json.loads(drafts[section].parts[0])
    result = change(data)
    text = result if isinstance(result, bytes) else json.dumps(data).encode()
    drafts[section] = Draft(section, [text])
    identity = container.identity({n: d.section() for n, d in drafts.items()}, "signature")
    drafts["signature"] = Draft("signature", [json.dumps(signing.sign(key, identity)).encode()])
    container.write(tmp_path / "forged.plan", list(drafts.values()))
    return load(tmp_path / "forged.plan", trust=[key])


def at(*path):
    """A change: set the value at a path to the last item."""
    def change(data):
        for key in path[:-2]:
            data = data[key]
        data[path[-2]] = path[-1]
    return change


@pytest.mark.parametrize("change, message", [
    (at(0, "views", 0, 1, 4), "view of buffer 0 reaches from byte 4 to 1204, the buffer has 1200"),
    (at(0, "views", 0, 1, -4), "reaches from byte -4"),
    (at(0, "views", 0, 2, ["N", "2*M"]), "reaches from byte"),
    (at(0, "views", 0, 3, ["M", "M"]), "reaches from byte"),
    (at(0, "views", 1, 3, ["M", 1 << 46]), "reaches from byte"),
    (at(0, "views", 1, 2, ["N - 1000", "M"]), r"shape \(-900, 3\)"),
    (at(0, "views", 1, 2, ["N // (M - 3)", "M"]), "has no value"),
    (at(0, "views", 1, 2, ["Q", "M"]), r"names \['Q'\]"),
    (at(0, "views", 1, 2, ["N"]), "1 dimensions and 2 strides"),
    (at(0, "views", 1, 2, ["N" + "*N" * 20, "M"]), "is 1000"),
    (at(0, "views", 1, 2, ["*".join(["(N + M)"] * 600)]), "more than 256 terms|longer than"),
    (at(0, "views", 1, 2, ["(" * 900 + "N" + ")" * 900]), "not a dimension"),
    (at(0, "views", 1, 2, ["__import__('os')"]), "not a dimension"),
    (at(0, "views", 1, 2, [True, "M"]), "not a dimension"),
    (at(0, "views", 1, 2, [1 << 80, "M"]), "not a dimension"),
    (at(0, "views", 1, 4, "float33"), "not an element type"),
    (at(0, "views", 1, 4, ["a"]), "not an element type"),
    (at(0, "views", 1, 4, "string"), "view of strings"),
    (at(0, "views", 0, 0, 9), "buffer 9 of 4"),
    (at(0, "views", 0, 0, -1), "buffer -1 of 4"),
    (at(0, "steps", 0, "args", [77]), "not one of"),
    (at(0, "steps", 0, "args", ["x"]), "not one of"),
    (at(0, "steps", 0, "kernel", "nobody"), "no kernel 'nobody'"),
    (at(0, "steps", 0, "chunks", [1, 2]), "1 phases, the launch 2"),
    (at(0, "steps", 0, "chunks", ["N - 900"]), "negative number of chunks"),
    (at(0, "steps", 0, "chunks", [1 << 90]), "not a dimension"),
    (at(0, "steps", 0, "dims", ["Q"]), r"names \['Q'\]"),
    (at(0, "steps", 0, "dims", 5), "not dimensions"),
    (at(0, "steps", 1, "inputs", ["later"]), "reads 'later', which nothing wrote"),
    (at(0, "steps", 1, "outputs", [0, "extra"]), "writes into a buffer of kind 'input'"),
    (at(0, "steps", 1, {}), "must be"),
    (at(0, "buffers", 0, "kind", "disk"), "kind 'disk'"),
    (at(0, "buffers", 0, "name", "z"), "no input tensor"),
    (at(0, "buffers", 0, "bytes", 4), "does not fill|reaches"),
    (at(0, "buffers", 1, "bytes", -1), "has -1 bytes"),
    (at(0, "buffers", 1, "bytes", "1000000000*N*1000000"), "is 1"),
    (at(0, "buffers", 1, "offset", 2000), "not in the arena"),
    (at(0, "buffers", 1, "offset", -5), "'offset' must be"),
    (at(0, "buffers", 1, "offset", -1), "not in the arena"),
    (at(0, "buffers", 2, "name", "packed/q"), "no constant 'packed/q'"),
    (at(0, "buffers", 2, "bytes", 52), "has 48 bytes, 52 are expected"),
    (at(0, "arena", -1), "'arena' must be"),
    (at(0, "arena", 100), "not in the arena"),
    (at(0, "threads", 10 ** 9), "'threads' must be"),
    (at(0, "values", [3]), "2 outputs have 1 values"),
    (at(0, "values", [9, "extra"]), "does not exist"),
    (at(0, "values", [3, "ghost"]), "which nothing writes"),
    (at(0, "values", [3, None]), "'values' must be"),
    (at(0, "values", [0, "extra"]), "nobody gives its memory"),
    (at(0, "values", [3, 3]), "memory but no shape"),
    (at(0, "profile", [["N", 5, 4, 3], ["M", 1, 2, 3]]), "range of N"),
    (at(0, "profile", [["N", 0, 4, 100]]), r"names \['M'\]"),
    (at(0, "profile", [["N", 0, 4, 1 << 60], ["M", 1, 2, 3]]), "range of N"),
    (at(0, "profile", 3), "'profile' must be"),
    (at(0, "kernels", 0, "offset", 5), "11 bytes at 5 of 11"),
    (at(0, "kernels", 0, "bytes", 1 << 62), "'bytes' must be"),
    (at(0, "kernels", 0, "entries", []), "no phases"),
    (at(0, "kernels", 0, "id", None), "'id' must be a string"),
    (at(0, "layers", 0, "seconds", "fast"), "a number or null"),
    (lambda d: d.clear(), "1 to 1024 programs"),
    (lambda d: b"[" * 100_000, "not JSON"),
    (lambda d: b"{" + b'"a":' * 5, "not JSON"),
    (lambda d: b"\xff\xfe", "not JSON"),
    (lambda d: b"[NaN]", "not JSON"),
    (lambda d: b"[" + b"9" * 10_000 + b"]", "not JSON"),
    (lambda d: b'"text"', "1 to 1024 programs"),
    (lambda d: b"[null]", "an object is expected")])
def test_hostile_programs_are_refused(tmp_path, change, message):
    with pytest.raises(PlanError, match=message):
        forged(tmp_path, "programs", change)


@pytest.mark.parametrize("change, message", [
    (at("packed/w", "offset", 32), "48 bytes at 32"), (at("packed/w", "offset", 1 << 60), "'offset' must be"),
    (at("packed/w", "offset", -64), "'offset' must be"), (at("packed/w", "bytes", 1 << 70), "'bytes' must be"),
    (at("packed/w", "shape", [1 << 40]), "has 4398046511104 bytes"), (at("packed/w", "shape", [-12]), "whole numbers"),
    (at("packed/w", "shape", [True]), "whole numbers"), (at("packed/w", "shape", [1] * 40), "shape"),
    (at("packed/w", "dtype", "object"), "an element type"), (at("packed/w", []), "an object is expected"),
    (lambda d: b"[]", "an object is expected")])
def test_hostile_tensors_are_refused(tmp_path, change, message):
    with pytest.raises(PlanError, match=message):
        forged(tmp_path, "tensors", change)


@pytest.mark.parametrize("change", [at("name", 5), at("metadata", {"a": 1}), at("choices", []), lambda d: b"3"])
def test_hostile_manifests_are_refused(tmp_path, change):
    with pytest.raises(PlanError):
        forged(tmp_path, "manifest", change)


def test_strings_of_a_tensor_are_checked(tmp_path):
    for text in (b'["a", 5]', b'["a"]', b"{}", b"[" * 50):
        index = {"s": {"dtype": "string", "shape": [2], "offset": 0, "bytes": len(text)}}
        digests = chunk_digests([text])
        container.write(tmp_path / "s", [Draft("weights", [text], digests), Draft("digests", [b"".join(digests)])])
        with pytest.raises(PlanError, match="does not hold 2 strings"):
            tensors.StoredTensors(Container(tmp_path / "s"), index)["s"]


@pytest.mark.parametrize("name, offset, size, flags, message", [
    ("code", 1 << 63, 8, 0, "lies at"), ("code", 64, 1 << 63, 0, "lies at"),
    ("code", (1 << 64) - 64, 128, 0, "lies at"), ("code", 0, 8, 0, "lies at"),
    ("code", 257, 8, 0, "lies at"), ("code", 256, 8, 1, "lies at"),
    ("no name", 320, 8, 0, "unknown properties"), ("code", 320, 8, 2, "unknown properties"), ("", 320, 8, 0, "unknown"),
    ("one", 320, 8, 0, "twice"), ("code", 256, 8, 0, "lies at")])
def test_hostile_tables_are_refused(tmp_path, name, offset, size, flags, message):
    entries = container.ENTRY.pack(b"one", 256, 8, 0, 0, bytes(32)) + \
        container.ENTRY.pack(name.encode(), offset, size, flags, 0, bytes(32))
    bare = container.HEADER.pack(container.MAGIC, 1, 0, 2, 1024, bytes(32))[:-32]
    data = bare + hashlib.sha256(bare + entries).digest() + entries
    (tmp_path / "t").write_bytes(data + bytes(1024 - len(data)))
    with pytest.raises(PlanError, match=message):
        Container(tmp_path / "t")


def test_sections_that_overlap_or_are_too_many(tmp_path):
    bare = container.HEADER.pack(container.MAGIC, 1, 0, 65000, 1024, bytes(32))[:-32]
    (tmp_path / "t").write_bytes(bare + bytes(1024 - len(bare)))
    with pytest.raises(PlanError, match="65000 sections"):
        Container(tmp_path / "t")


def test_missing_sections(tmp_path):
    container.write(tmp_path / "t", [Draft("manifest", [b"{}"])])
    with pytest.raises(PlanError, match="no section 'tensors'"):
        load(tmp_path / "t")
