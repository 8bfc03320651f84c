"use strict";
// The page's state and what the user does to it.
const App = (() => {
  const $ = (id) => document.getElementById(id);
  const app = { model: null, facts: null, fusion: null, findings: [], findingsAt: new Map(), collapsed: new Set(), scene: null, chosen: -1,
    found: new Set(), view: { x: 0, y: 0, scale: 1 }, colour: "family", layersOf: new Map(), byIndex: new Map(), drawn: 0, ready: false };
  const inside = $("data") ? JSON.parse($("data").textContent) : null;

  async function part(name) {
    if (inside) return inside[name];
    const answer = await fetch(`${name}.json`);
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  app.tensor = async (v) => {
    if (inside) return inside.tensors ? inside.tensors[v] : null;
    const answer = await fetch(`tensor.json?place=${v}`);
    return answer.ok ? answer.json() : { error: await answer.text() };
  };
  app.nameOf = (i) => {
    const n = app.model.nodes[i];
    return n.name ? Graph.brief(n.name, 34) : `${n.op} ${i}`;
  };

  // what is shown
  function rebuild(keep) {
    const scene = Graph.build(app.model, app.facts, app.collapsed);
    scene.boxes.forEach(Draw.measure);
    Layout.place(scene.boxes, scene.edges);
    scene.bands = Draw.bands(scene);
    app.scene = scene;
    if (!keep) fit(); else draw();
  }

  function boxOf(i) { return app.scene.boxes[app.scene.boxOf[i]] || null; }

  function fit() {
    const stage = $("canvas"), b = app.scene.bands, w = b.right - b.left + 60, h = b.bottom + 60;
    const scale = Math.min(1, stage.clientWidth / w, stage.clientHeight / h);
    Object.assign(app.view, { scale: Math.max(scale, 1e-4), x: (b.left + b.right) / 2, y: b.bottom / 2 });
    draw();
  }

  function start() {                              // all of a small model, the beginning of a large one
    fit();
    if (app.view.scale > 0.45) return;
    const first = app.scene.boxes.reduce((best, box) => box.y < best.y ? box : best, app.scene.boxes[0]);
    app.view.scale = 0.85;
    app.view.x = first ? first.x : 0;
    app.view.y = $("canvas").clientHeight / 2 / 0.85 - 30;
    draw();
  }

  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      app.drawn = Draw.draw($("canvas"), app.scene, app.view, look());
    });
  }

  function look() {
    const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
    const dark = document.documentElement.dataset.theme === "dark", chosen = app.chosen >= 0 ? boxOf(app.chosen) : app.group ? app.scene.boxes.find((b) => b.key === app.group) : null;
    const at = chosen ? app.scene.boxes.indexOf(chosen) : -1;
    return { surface: colour("--surface"), ground: colour("--ground"), text: colour("--text"), soft: colour("--soft"), accent: colour("--accent"),
      edge: dark ? "#56626f" : "#a3adb8", paint: (box) => paint(box, dark), selected: (box) => box === chosen,
      found: (box) => box.node !== undefined && app.found.has(box.node), marked: (edge) => at >= 0 && (edge.from === at || edge.to === at),
      label: (edge) => Graph.dims(app.model.values[edge.value]) };
  }

  const most = (a, b) => Math.max(a, b);
  function badgeOf(box) {                         // how many findings are about it
    if (box.badge === undefined) box.badge = (box.nodes || [box.node]).reduce((sum, i) => sum + (app.findingsAt.get(i) || 0), 0);
    return box.badge;
  }

  function paint(box, dark) {
    const line = dark ? "#3f4a56" : "#c3cad2", neutral = { fill: dark ? "#39434e" : "#e4e8ed", border: line, text: dark ? "#e4e9ee" : "#1c2530" };
    const badge = badgeOf(box);
    if (box.kind === "input" || box.kind === "output") return { fill: dark ? "#e4e9ee" : "#2a323b", text: dark ? "#14181d" : "#ffffff", border: line };
    if (box.kind === "group") return { ...neutral, dashed: true, badge };
    const n = app.model.nodes[box.node], solid = (fill) => ({ fill, border: line, text: "#ffffff", badge });
    if (app.colour === "family") return solid(Families.of(n.op).colour);
    if (app.colour === "lint") return badge ? { ...solid("#a86f00"), badge } : neutral;
    if (app.colour === "flops") {
      const share = n.flops ? Math.sqrt(n.flops / app.mostFlops) : 0;
      return n.flops ? { fill: `hsl(${210 - 200 * share} 62% ${dark ? 24 + 20 * share : 46 - 8 * share}%)`, border: line, text: "#ffffff", badge } : { ...neutral, badge };
    }
    if (!app.fusion || app.fusion.why_not || n.index === undefined) return { ...neutral, badge };
    const layers = app.layersOf.get(n.index) || [];
    if (app.fusion.unread[n.index] !== undefined || layers.some((k) => app.fusion.layers[k].host)) return { ...solid("#b3261e"), badge };
    if (!layers.length) return { ...neutral, dashed: true, badge };
    const together = layers.find((k) => app.fusion.layers[k].nodes.length > 1);
    return together === undefined ? { ...neutral, badge } : solid(Families.numbered(together, dark));
  }

  function legend() {
    const entry = (colour, text) => {
      const mark = Panel.make("i", {});
      mark.style.background = colour;
      return Panel.make("span", {}, mark, text);
    };
    const used = new Set(app.model.nodes.map((n) => Families.of(n.op)));
    const parts = app.colour === "family" ? Families.all.filter((f) => used.has(f)).map((f) => entry(f.colour, f.title))
      : app.colour === "flops" ? [entry("hsl(210 62% 46%)", "little"), entry("hsl(10 62% 38%)", `up to ${Panel.whole(app.mostFlops)} FLOPs a node`)]
        : app.colour === "lint" ? [entry("#a86f00", app.findings.length ? `${app.findings.length} findings` : "no findings")]
          : !app.fusion ? ["the compiler is reading the model …"]
            : app.fusion.why_not ? [`the compiler cannot read the model: ${app.fusion.why_not}`]
              : [entry(Families.numbered(1), "same colour: one layer"), entry("#8a949e", "a layer of its own; dashed: nothing left to do"), entry("#b3261e", "host step, or not known to the compiler")];
    $("legend").replaceChildren(...parts);
  }

  // what is chosen
  function show(parts) { $("right").replaceChildren(...parts); $("right").scrollTop = 0; }

  app.choose = (i, stay) => {
    app.chosen = i;
    app.group = null;
    if (i < 0) { show(Panel.model(app)); draw(); return; }
    const hiding = app.facts.keys[i].find((k) => app.collapsed.has(k));
    if (hiding !== undefined && !stay) {
      for (const key of app.facts.keys[i]) app.collapsed.delete(key);
      rebuild(true);
    }
    show(Panel.node(app, i));
    const box = boxOf(i);
    if (box && !stay) centre(box);
    draw();
  };
  app.chooseStep = (index) => app.choose(app.byIndex.get(index));
  app.chooseGroup = (key) => { app.chosen = -1; app.group = key; show(Panel.group(app, key)); draw(); };
  app.collapse = (key) => { app.collapsed.add(key); rebuild(true); app.chooseGroup(key); centre(app.scene.boxes.find((b) => b.kind === "group" && b.key === key)); };
  app.expand = (key) => {
    app.collapsed.delete(key);
    rebuild(true);
    app.choose(app.facts.groups.get(key).find((i) => !app.facts.hidden[i]));
  };
  function centre(box) {
    if (!box) return;
    app.view.scale = Math.max(app.view.scale, 0.7);
    Object.assign(app.view, { x: box.x, y: box.y + box.h / 2 });
    draw();
  }

  // search
  app.search = (text) => { $("search").value = text; search(); };
  function search() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean), list = $("results"), hits = [];
    app.found = new Set();
    if (words.length) app.texts.forEach((text, i) => { if (words.every((w) => text.includes(w))) { hits.push(i); app.found.add(i); } });
    $("count").textContent = words.length ? `${hits.length} of ${app.model.nodes.length} nodes` : `${app.model.nodes.length} nodes`;
    const shown = words.length ? hits : app.texts.map((_, i) => i);
    list.replaceChildren(...shown.slice(0, 300).map((i) => {
      const n = app.model.nodes[i], item = Panel.make("li", { onclick: () => mark(item, i) }, n.op, Panel.make("small", {}, n.name || "–"));
      return item;
    }));
    if (shown.length > 300) list.append(Panel.make("li", { class: "soft" }, `and ${shown.length - 300} more`));
    draw();
  }
  function mark(item, i) {
    for (const other of $("results").children) other.classList.toggle("chosen", other === item);
    app.choose(i);
  }

  // hands
  function listen() {
    const canvas = $("canvas"), view = app.view;
    let held = null;
    const point = (e) => { const r = canvas.getBoundingClientRect(); return { x: e.clientX - r.left, y: e.clientY - r.top }; };
    const zoom = (factor, at = { x: canvas.clientWidth / 2, y: canvas.clientHeight / 2 }) => {
      const scale = Math.min(4, Math.max(1e-4, view.scale * factor)), dx = at.x - canvas.clientWidth / 2, dy = at.y - canvas.clientHeight / 2;
      view.x += dx / view.scale - dx / scale;
      view.y += dy / view.scale - dy / scale;
      view.scale = scale;
      draw();
    };
    const under = (e) => {
      const p = point(e);
      return Draw.boxAt(app.scene, view.x + (p.x - canvas.clientWidth / 2) / view.scale, view.y + (p.y - canvas.clientHeight / 2) / view.scale);
    };
    canvas.addEventListener("wheel", (e) => {
      e.preventDefault();
      if (e.ctrlKey || e.metaKey) return zoom(Math.exp(-e.deltaY / 200), point(e));
      view.x += (e.shiftKey ? e.deltaY : e.deltaX) / view.scale;
      view.y += (e.shiftKey ? 0 : e.deltaY) / view.scale;
      draw();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (e) => { held = { x: e.clientX, y: e.clientY, moved: false }; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointermove", (e) => {
      if (!held) { canvas.style.cursor = under(e) ? "pointer" : ""; return; }
      if (Math.abs(e.clientX - held.x) + Math.abs(e.clientY - held.y) > 3) held.moved = true;
      if (!held.moved) return;
      canvas.classList.add("grabbed");
      view.x -= e.movementX / view.scale;
      view.y -= e.movementY / view.scale;
      draw();
    });
    canvas.addEventListener("pointerup", (e) => {
      canvas.classList.remove("grabbed");
      const click = held && !held.moved, box = click ? under(e) : null;
      held = null;
      if (!click) return;
      if (!box || box.kind === "input" || box.kind === "output") app.choose(-1);
      else if (box.kind === "group") app.chooseGroup(box.key);
      else app.choose(box.node, true);
    });
    canvas.addEventListener("dblclick", (e) => { const box = under(e); if (box && box.kind === "group") app.expand(box.key); });
    window.addEventListener("resize", draw);
    window.addEventListener("keydown", (e) => {
      if (e.target.tagName === "INPUT") { if (e.key === "Escape") { app.search(""); e.target.blur(); } return; }
      if (e.ctrlKey || e.metaKey || e.altKey) return;
      const does = { "/": () => { $("search").focus(); e.preventDefault(); }, "+": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit, Escape: () => app.choose(-1) }[e.key];
      if (does) does();
    });
    $("in").onclick = () => zoom(1.3);
    $("out").onclick = () => zoom(1 / 1.3);
    $("fit").onclick = fit;
    $("theme").onclick = () => { theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); draw(); };
    $("colour").onchange = () => { app.colour = $("colour").value; legend(); draw(); };
    $("depth").onchange = () => { app.collapsed = Graph.atDepth(app.facts, Number($("depth").value)); rebuild(true); start(); };
    $("search").oninput = search;
    $("search").onkeydown = (e) => { if (e.key === "Enter" && $("results").firstChild) $("results").firstChild.click(); };
  }

  function theme(name) { document.documentElement.dataset.theme = name; }

  async function begin() {
    theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    app.model = await part("model");
    const s = app.model.summary;
    document.title = `${s.label} – wright`;
    $("title").textContent = s.label;
    $("subtitle").textContent = `${Panel.whole(s.nodes)} nodes, ${Panel.whole(s.parameters)} parameters${s.flops ? `, ${Panel.size(s.flops, "FLOP")}` : ""}`;
    app.facts = Graph.index(app.model);
    app.model.nodes.forEach((n, i) => { if (n.index !== undefined) app.byIndex.set(n.index, i); });
    app.mostFlops = app.model.nodes.reduce((top, n) => most(top, n.flops || 0), 1);
    app.texts = app.model.nodes.map((n) => [n.op, n.name, ...[...n.inputs, ...n.outputs].map((v) => v < 0 ? "" : app.model.values[v].name)].join(" ").toLowerCase());
    $("depth").append(Panel.make("option", { value: -1 }, "all open"));
    for (let d = 0; d < app.facts.deepest; d++) $("depth").append(Panel.make("option", { value: d }, d ? `${d} level${d > 1 ? "s" : ""} open` : "all closed"));
    listen();
    rebuild(true);
    start();
    search();
    app.choose(-1);
    legend();
    app.ready = true;
    app.findings = await part("findings");
    for (const f of app.findings) if (f.at !== null) app.findingsAt.set(f.at, (app.findingsAt.get(f.at) || 0) + 1);
    for (const box of app.scene.boxes) delete box.badge;
    draw();
    app.fusion = await part("fusion");
    (app.fusion.layers || []).forEach((layer, k) => layer.nodes.forEach((n) => app.layersOf.set(n, [...(app.layersOf.get(n) || []), k])));
    legend();
    if (app.chosen < 0 && !app.group) app.choose(-1);
    draw();
    app.complete = true;
  }

  begin().catch((error) => { $("title").textContent = "the page could not be made"; $("right").replaceChildren(Panel.make("p", { class: "bad" }, String(error))); });
  return app;
})();
