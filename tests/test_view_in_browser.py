"""The page of `wright onnx view` in a real browser: what a user does, and what hostile names do not."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tensorwright import onnx as toolkit
from tensorwright.onnx.view.content import Content
from tensorwright.onnx.view.server import Server

from .browser import Browser, find
from .unit.onnx import models
from .unit.onnx.test_view import EVIL, hostile

EXPORTS = Path(__file__).parent / "data" / "exports"

pytestmark = pytest.mark.skipif(find() is None, reason="no Chromium is installed (apt-get install chromium)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    try:
        made = Browser(find() or "", tmp_path_factory.mktemp("profile"))
    except (RuntimeError, OSError) as error:
        pytest.skip(f"Chromium does not start here: {error}")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_errors(browser: Browser) -> Iterator[None]:
    browser.errors.clear()
    yield
    assert not browser.errors


def shown(browser: Browser, path: str = "#right") -> str:
    return browser.run(f"document.querySelector({path!r}).innerText")


def middle(browser: Browser, box: str) -> tuple[float, float]:
    """Where on the screen the box is that this expression over `b` finds."""
    x, y = browser.run(f"""(() => {{ const b = App.scene.boxes.find((b) => {box}), v = App.view;
        const c = document.getElementById("canvas"), r = c.getBoundingClientRect();
        return [r.left + c.clientWidth / 2 + (b.x - v.x) * v.scale,
        r.top + c.clientHeight / 2 + (b.y + 10 - v.y) * v.scale]; }})()""")
    return x, y


def follow(browser: Browser, text: str) -> None:
    """Click on the link with this text in the panel."""
    browser.run(f"[...document.querySelectorAll('#right a')].find((a) => a.innerText === {text!r}).click()")


def choose(browser: Browser, menu: str, value: str) -> None:
    browser.run(f"(() => {{ const m = document.getElementById({menu!r}); m.value = {value!r}; m.onchange(); }})()")


def test_a_served_model(browser: Browser) -> None:
    """The model's panel; a click on a node; neighbours; a weight's values, fetched when asked for."""
    with Server(Content(toolkit.load(EXPORTS / "resnet.onnx"))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            browser.open(server.url)
            assert "52" in shown(browser) and "MEMORY OVER TIME" in shown(browser).upper()
            browser.click(*middle(browser, 'b.title === "Relu"'))
            browser.wait("App.chosen >= 0")
            assert shown(browser, "#right h2") == "Relu" and "node_Conv_334" in shown(browser)
            follow(browser, "node_Conv_334")
            panel = shown(browser)
            assert "kernel_shape" in panel and "Convolution + epilogue" in panel and 'File "tools/exports.py"' in panel
            browser.run("document.querySelector('#right a.values').click()")
            browser.wait("document.querySelector('#right .histogram rect')")
            assert "mean, deviation" in shown(browser)
        finally:
            server.shutdown()
            thread.join()


def test_search_colours_and_modules(browser: Browser, tmp_path: Path) -> None:
    browser.open(toolkit.save_page(toolkit.load(EXPORTS / "detector.onnx"), tmp_path / "page.html").as_uri())
    browser.run("App.search('resize')")
    expected = [n for n in toolkit.load(EXPORTS / "detector.onnx").nodes if any(
        "resize" in str(text).lower() for text in (n.op_type, n.name, *(v.name for v in (*n.inputs, *n.outputs) if v)))]
    assert shown(browser, "#count") == f"{len(expected)} of 292 nodes"
    browser.run("document.querySelector('#results li').click()")
    assert shown(browser, "#right h2") == "Resize"
    for colour, text in (("fused", "one layer"), ("flops", "FLOPs"), ("lint", "finding"), ("family", "activation")):
        choose(browser, "colour", colour)
        assert text in shown(browser, "#legend")
    browser.run("App.choose(App.findings.find((f) => f.at !== null).at)")
    assert "LINT" in shown(browser).upper() and "TW" in shown(browser, "#right .finding")
    whole = browser.run("App.scene.boxes.length")
    choose(browser, "depth", "0")
    assert browser.run("App.scene.boxes.length") < whole / 5
    browser.run("App.choose(-1)")
    browser.run("document.getElementById('fit').click()")
    browser.click(*middle(browser, 'b.kind === "group" && b.title === "stem"'))
    browser.wait("App.group")
    assert shown(browser, "#right h2") == "stem" and "open this module" in shown(browser)
    follow(browser, "open this module")
    assert browser.run("App.scene.boxes.some((b) => b.title === 'Conv')")


def test_zoom_pan_and_theme(browser: Browser, tmp_path: Path) -> None:
    browser.open(toolkit.save_page(toolkit.load(models.perceptron()), tmp_path / "page.html").as_uri())
    before = browser.run("({...App.view})")
    browser.wheel(700, 400, -200, control=True)
    browser.wait(f"App.view.scale > {before['scale']}")
    browser.wheel(700, 400, 300)
    browser.wait(f"App.view.y > {before['y'] + 50}")
    browser.run("document.getElementById('fit').click()")
    assert browser.run("App.view.scale") == 1
    dark = browser.run("getComputedStyle(document.body).backgroundColor")
    browser.run("document.getElementById('theme').click()")
    assert browser.run("getComputedStyle(document.body).backgroundColor") != dark


def test_boxes_of_a_row_do_not_overlap_and_edges_point_down(browser: Browser, tmp_path: Path) -> None:
    browser.open(toolkit.save_page(toolkit.load(EXPORTS / "bert.onnx"), tmp_path / "page.html").as_uri())
    boxes = browser.run("App.scene.boxes.map((b) => [b.x - b.w / 2, b.y, b.x + b.w / 2, b.y + b.h])")
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
    assert browser.run("App.scene.edges.every((e) => e.points[0][1] < e.points[e.points.length - 1][1])")
    model = toolkit.load(EXPORTS / "bert.onnx")
    drawn = {n.name for n in model.nodes if n.op_type != "Constant"}
    found = browser.run("App.scene.boxes.filter((b) => b.kind === 'node').map((b) => App.model.nodes[b.node].name)")
    assert set(found) == drawn


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    """On the page, in the lists, in all panels, values of weights included: no script of the model runs."""
    browser.open(toolkit.save_page(toolkit.load(hostile()), tmp_path / "page.html").as_uri())
    for script in ("App.choose(-1)", "App.choose(0)", "App.choose(2)", "App.search('hacked')",
                   "App.collapse(App.facts.keys[0].find((k) => App.facts.groups.has(k)))",
                   "document.querySelector('#right a').click()",
                   "App.choose(0), document.querySelector('#right a.values').click()"):
        browser.run(f"void ({script})")
        assert not browser.run("document.querySelector('#left img, #right img, main script')")
    assert EVIL in shown(browser) and EVIL in shown(browser, "#results")
    assert browser.run("window.hacked === undefined")


def test_the_policy_refuses_scripts_of_others(browser: Browser, tmp_path: Path) -> None:
    """The test of the test above: a script that did get onto the page would not run, and would be reported."""
    path = toolkit.save_page(toolkit.load(models.perceptron()), tmp_path / "page.html")
    path.write_text(path.read_text().replace("</main>", "</main><script>window.hacked = 1</script>"))
    browser.open(path.as_uri())
    assert browser.run("window.hacked === undefined")
    assert any("Content Security Policy" in e for e in browser.errors)
    browser.errors.clear()


def test_twenty_thousand_nodes_stay_fluent(browser: Browser, tmp_path: Path) -> None:
    nodes, last = [], "x"
    for k in range(5000):
        nodes += [helper.make_node("Neg", [last], [f"a{k}"], f"/s{k // 100}/b{k}/a"),
                  helper.make_node("Abs", [f"a{k}"], [f"b{k}"], f"/s{k // 100}/b{k}/b"),
                  helper.make_node("Exp", [f"b{k}"], [f"c{k}"], f"/s{k // 100}/b{k}/c"),
                  helper.make_node("Add", [f"c{k}", last], [f"d{k}"], f"/s{k // 100}/b{k}/d")]
        last = f"d{k}"
    value = (onnx.TensorProto.FLOAT, [4])
    content = Content(toolkit.load(models.model(nodes, {"x": value}, {last: value}, {"w": np.ones(1, np.float32)})))
    content._made.update(fusion={"why_not": "not part of this test"}, findings=[])
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            browser.open(server.url)
        finally:
            server.shutdown()
            thread.join()
    assert browser.run("App.scene.boxes.length") == 20_002 and 0 < browser.run("App.drawn") < 100
    begin = time.monotonic()
    browser.run("""(async () => { for (let k = 0; k < 30; k++) { App.view.y += 300;
        window.dispatchEvent(new Event("resize")); await new Promise(requestAnimationFrame); } })()""")
    assert time.monotonic() - begin < 15
    browser.run("document.getElementById('fit').click()")
    browser.wait("App.drawn === 20002")
