"""The page of `wright onnx view`: its data, its server, and that names of a model never become markup."""

import hashlib
import http.client
import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.errors import InputError, ModelError
from tensorwright.onnx.view import page
from tensorwright.onnx.view.content import Content
from tensorwright.onnx.view.graph import graph_data
from tensorwright.onnx.view.scopes import scopes
from tensorwright.onnx.view.server import Server

from . import models

F = TensorProto.FLOAT
EVIL = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"


def hostile() -> onnx.ModelProto:
    """Markup and odd characters in every name there is."""
    random = np.random.default_rng(0)
    nodes = [helper.make_node("Gemm", [EVIL + "x", EVIL + "w"], [EVIL + "h"], f"{EVIL}/{EVIL}/a", doc_string=EVIL),
             helper.make_node("Relu", [EVIL + "h"], ["\u2028&'\"<y"], f"{EVIL}/{EVIL}/b"),
             helper.make_node(EVIL, ["\u2028&'\"<y"], [EVIL + "y"], "custom", domain=EVIL, text=EVIL)]
    nodes[0].metadata_props.add(key=EVIL, value=EVIL)
    proto = models.model(nodes, {EVIL + "x": (F, [EVIL, 4])}, {EVIL + "y": (F, [EVIL, 4])},
                         {EVIL + "w": random.standard_normal((4, 4), dtype=np.float32)}, doc_string=EVIL,
                         producer_name=EVIL)
    proto.opset_import.append(helper.make_opsetid(EVIL, 1))
    proto.metadata_props.add(key=EVIL, value=EVIL)
    return proto


# data ----------------------------------------------------------------------------------------------------------------
def test_data_of_a_small_model() -> None:
    model = toolkit.load(models.perceptron())
    data, places = graph_data(model, toolkit.costs(model))
    names = [v["name"] for v in data["values"]]
    assert [(n["op"], [names[v] for v in n["inputs"]], [names[v] for v in n["outputs"]]) for n in data["nodes"]] == [
        ("Gemm", ["x", "w1", "b1"], ["h"]), ("Relu", ["h"], ["r"]), ("Gemm", ["r", "w2", "b2"], ["y"])]
    assert {v["name"]: v["kind"] for v in data["values"]} == {
        "x": "input", "w1": "weight", "b1": "weight", "h": "computed", "r": "computed", "w2": "weight", "b2": "weight",
        "y": "output"}
    assert data["nodes"][0]["flops"] == 1056 and data["operators"]["Gemm"]["inputs"] == ["A", "B", "C"]
    assert places[model.value("w1")] == names.index("w1")


def test_data_of_branches_and_functions() -> None:
    model = toolkit.load(models.every_storage())
    data, _ = graph_data(model, None)
    inner = [n for n in data["nodes"] if n["groups"]]
    assert {n["groups"][0] for n in inner} == {"picked: yes", "picked: no", "function local::Twice"}
    branch = next(n for n in data["nodes"] if n["op"] == "If")
    assert [data["values"][v]["name"] for v in branch["inner"]] == ["no_y", "yes_y"]
    assert "flops" not in branch and json.dumps(data)


@pytest.mark.parametrize("stored, name, expected", [
    ("['', 'layers.1', 'layers.1.1', 'add']", "node_add", ["layers.1", "layers.1.1"]),
    ("", "/stem/stem.0/conv/Conv", ["stem", "stem.0", "conv"]), ("", "Conv_1", []),
    ("__import__('os')", "a/b", ["a"]), ("[1, 2]", "a/b", ["a"]), ("[" * 3000, "a/b", ["a"])])
def test_modules_around_a_node(stored: str, name: str, expected: list[str]) -> None:
    node = toolkit.load(models.perceptron()).node("relu")
    node.name = name
    node.metadata_props["pkg.torch.onnx.name_scopes"] = stored
    assert scopes(node) == expected


def test_fused_layers_name_their_nodes() -> None:
    """Conv → BatchNormalization → Relu is one layer; Identity is none; the unknown operator is neither."""
    ones = np.ones(4, np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]),
             helper.make_node("BatchNormalization", ["c", "s", "s", "s", "s"], ["b"]),
             helper.make_node("Relu", ["b"], ["r"]),
             helper.make_node("Identity", ["r"], ["i"]), helper.make_node("Magic", ["i"], ["m"], domain="far"),
             helper.make_node("MaxPool", ["i"], ["y"], kernel_shape=[2, 2])]
    proto = models.model(nodes, {"x": (F, [1, 3, 8, 8])}, {"y": (F, None), "m": (F, None)},
                         {"w": np.ones((4, 3, 3, 3), np.float32), "s": ones})
    proto.opset_import.append(helper.make_opsetid("far", 1))
    found = toolkit.fusion(toolkit.load(proto))
    assert [(x.what, x.nodes) for x in found.layers] == [("Convolution + epilogue", (0, 1, 2)), ("Pool", (5,))]
    assert found.gone == {3} and list(found.unread) == [4] and "far" in found.unread[4]


def test_what_a_rewrite_reads_through_is_inside_its_layer() -> None:
    """Attention is recognised through its scaling, mask and softmax: all of them are in its layer, none is gone."""
    model = toolkit.load(Path(__file__).parents[2] / "data" / "exports" / "bert.onnx")
    found, nodes = toolkit.fusion(model), model.nodes
    attention = [[nodes[n].op_type for n in x.nodes] for x in found.layers if x.what.startswith("Attention")]
    assert len(attention) == 2
    for inside in attention:
        assert inside.count("MatMul") == 2 and {"Div", "Add", "Softmax"} <= set(inside)
    assert not {"MatMul", "Gemm", "Softmax", "LayerNormalization", "Gelu", "Erf", "Tanh"} & {
        nodes[n].op_type for n in found.gone}


def test_host_steps_are_marked() -> None:
    found = toolkit.fusion(toolkit.load(models.every_storage()))
    assert {n for x in found.layers if x.host for n in x.nodes} == {1} and 4 in found.gone, "If; 4 is folded"


def test_findings_point_at_their_nodes() -> None:
    """Two transpositions that undo each other: each finding of lint is at the node of its name."""
    nodes = [helper.make_node("Transpose", ["x"], ["t"], "first", perm=[1, 0]),
             helper.make_node("Transpose", ["t"], ["u"], perm=[1, 0]), helper.make_node("Relu", ["u"], ["y"], "relu")]
    content = Content(toolkit.load(models.model(nodes, {"x": (F, [2, 3])}, {"y": (F, [2, 3])})))
    found, data = content.part("findings"), content.part("model")
    expected = [(f.rule, f.message) for f in toolkit.lint(content.model)]
    assert found and [(f["rule"], f["message"]) for f in found] == expected
    assert any(f["at"] is not None and data["nodes"][f["at"]]["op"] == "Transpose" for f in found)
    assert all((f["at"] is None) == (f["node"] is None) for f in found)


# page ----------------------------------------------------------------------------------------------------------------
def test_a_page_on_its_own_is_data_and_its_own_scripts(tmp_path: Path) -> None:
    path = toolkit.save_page(toolkit.load(hostile()), tmp_path / "page.html")
    text = path.read_text()
    assert EVIL not in text and "window.hacked" in text and list(tmp_path.iterdir()) == [path]
    bodies = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert [b for b in bodies] == [page.asset(name) for name in page.SCRIPTS]
    assert text.count("<script") == len(bodies) + 1 and not re.search(r"(src|href)=[\"']", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None and "default-src 'none'" in policy[1] and "unsafe" not in policy[1]
    for body in bodies:
        assert b64encode(hashlib.sha256(body.encode()).digest()).decode() in policy[1]
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])        # type: ignore[index]
    assert data["model"]["nodes"][2]["op"] == f"{EVIL}::{EVIL}" and len(data["tensors"]) == 1


def test_a_large_models_page_holds_no_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_WEIGHTS", 100)
    text = toolkit.save_page(toolkit.load(models.perceptron()), tmp_path / "page.html").read_text()
    assert '"tensors":null' in text


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot write the page"):
        toolkit.save_page(toolkit.load(models.perceptron()), tmp_path / "no" / "page.html")


def test_values_of_weights() -> None:
    proto = models.every_storage()
    proto.graph.initializer.append(helper.make_tensor("bad", F, [300], [np.nan, np.inf] + [0.0] * 298))
    content = Content(toolkit.load(proto))
    data = content.part("model")
    for place, value in enumerate(data["values"]):
        if value["kind"] == "weight":
            found = content.tensor(place)
            assert found["count"] == int(np.prod(value["shape"])) and json.dumps(found, allow_nan=False)
        else:
            with pytest.raises(KeyError):
                content.tensor(place)


# server --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Content(toolkit.load(models.perceptron()))) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body, answer.headers.get("Content-Security-Policy", "")


def test_the_server_hands_out_the_page_and_its_parts(server: Server) -> None:
    status, text, policy = ask(server, "/")
    assert status == 200 and "main.js" in text and "script-src 'self'" in policy and "unsafe" not in policy
    for name in (*page.SCRIPTS, page.STYLE):
        assert ask(server, f"/{name}")[:2] == (200, page.asset(name))
    data = json.loads(ask(server, "/model.json")[1])
    assert len(data["nodes"]) == 3 and json.loads(ask(server, "/fusion.json")[1])["layers"]
    place = [v["name"] for v in data["values"]].index("w1")
    assert json.loads(ask(server, f"/tensor.json?place={place}")[1])["count"] == 512
    status, text, _ = ask(server, "/", "HEAD")
    assert (status, text) == (200, "")


@pytest.mark.parametrize("path", ["/nothing", "/../pyproject.toml", "/page.html", "/tensor.json?place=0",
                                  "/tensor.json?place=-1", "/tensor.json?place=%C2%B2", "/tensor.json", "/%2e%2e/x",
                                  "/model.json.json"])
def test_the_server_has_nothing_else(server: Server, path: str) -> None:
    assert ask(server, path)[0] in (400, 404)


def test_only_reading_and_only_under_its_own_name(server: Server) -> None:
    assert ask(server, "/", "POST")[0] == ask(server, "/", "DELETE")[0] == 501
    for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1", "", "127.0.0.1:1"):
        assert ask(server, "/model.json", Host=host)[0] == 421
    assert ask(server, "/model.json", Host=f"localhost:{server.server_port}")[0] == 200
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken(server: Server) -> None:
    with pytest.raises(InputError, match=f"port {server.server_port} cannot be used"):
        Server(server.content, server.server_port)
