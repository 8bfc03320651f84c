"use strict";
// The panel on the right: the model, a node, a module, or a tensor. All text goes in as text, never as markup.
const Panel = (() => {
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "onclick") element.addEventListener("click", value); else element.setAttribute(name, value);
    }
    for (const child of children) if (child !== null && child !== undefined) element.append(child);
    return element;
  }
  const heading = (text) => make("h3", {}, text);
  const rows = (pairs) => make("table", {}, ...pairs.map(([k, v]) => make("tr", {}, make("td", {}, k), make("td", { class: "number" }, v))));
  const whole = (n) => n === null || n === undefined ? "not known" : n.toLocaleString("en");

  function size(count, unit = "B") {
    if (count === null || count === undefined) return "not known";
    const powers = ["", "k", "M", "G", "T"];
    let k = 0;
    while (count >= 1000 && k < powers.length - 1) { count /= 1000; k++; }
    return `${+count.toPrecision(3)} ${powers[k]}${unit}`;
  }

  function number(value) { return value === null ? "not known" : String(+value.toPrecision(6)); }

  function model(app) {
    const s = app.model.summary, parts = [make("h2", {}, s.label)];
    if (app.model.note) parts.push(make("p", { class: "bad" }, `some types are not known: ${app.model.note}`));
    if (s.why_not) parts.push(make("p", { class: "bad" }, `the compiler cannot read the model: ${s.why_not}`));
    parts.push(rows([["producer", s.producer || "not named"], ["opsets", Object.entries(s.opsets).map(([d, v]) => `${d} ${v}`).join(", ")],
      ["nodes", whole(s.nodes)], ["parameters", whole(s.parameters)], ["weights", size(s.weight_bytes)],
      ["FLOPs", s.flops === null ? "not known" : whole(s.flops)], ["traffic", size(s.bytes)], ["peak memory", size(s.peak)],
      ...(s.unknown ? [["not counted", `${whole(s.unknown)} nodes`]] : [])]));
    const assumed = Object.entries(s.assumed);
    if (assumed.length) parts.push(make("p", { class: "soft" }, `assumed: ${assumed.map(([k, v]) => `${k} = ${v}`).join(", ")}; --shapes gives other sizes`));
    if (s.live.length > 1 && s.peak) parts.push(heading("memory over time"), curve(s.live, s.peak, (step) => app.chooseStep(step)));
    parts.push(heading("inputs and outputs"), ...[...app.model.inputs, ...app.model.outputs].map((v) => tensor(app, v)));
    parts.push(heading("operators"), rows(Object.entries(s.operators).map(([op, n]) => [make("a", { onclick: () => app.search(op) }, op), whole(n)])));
    if (Object.keys(s.metadata).length) parts.push(heading("metadata"), rows(Object.entries(s.metadata)));
    parts.push(...findings(app, app.findings.filter((f) => f.at === null)));
    return parts;
  }

  function node(app, i) {
    const n = app.model.nodes[i], operator = app.model.operators[n.op] || {}, parts = [make("h2", {}, n.op)];
    parts.push(make("p", { class: "mono" }, n.name || "without a name"));
    if (operator.about) parts.push(make("p", { class: "soft" }, operator.about));
    if (operator.url) parts.push(make("p", {}, make("a", { href: operator.url, target: "_blank", rel: "noopener noreferrer" }, `${n.op}, version ${n.version}`)));
    parts.push(...findings(app, app.findings.filter((f) => f.at === i)));
    const attributes = [...Object.entries(n.attributes).map(([k, v]) => [k, v]), ...Object.entries(operator.defaults || {})
      .filter(([k]) => !(k in n.attributes)).map(([k, v]) => [k, make("span", { class: "soft" }, `${v} (default)`)])];
    if (attributes.length) parts.push(heading("attributes"), rows(attributes));
    const role = (names, k) => (names || [])[Math.min(k, (names || []).length - 1)] || String(k);
    parts.push(heading("inputs"), ...n.inputs.map((v, k) => v < 0 ? make("p", { class: "soft" }, `${role(operator.inputs, k)}: absent`) : tensor(app, v, role(operator.inputs, k))));
    if (n.inner.length) parts.push(heading("results of its graphs"), ...n.inner.map((v) => tensor(app, v)));
    parts.push(heading("outputs"), ...n.outputs.filter((v) => v >= 0).map((v) => tensor(app, v, role(operator.outputs, n.outputs.indexOf(v)))));
    if (n.way) parts.push(heading("cost"), rows([["FLOPs", whole(n.flops)], ["traffic", size(n.bytes)], ["runs", n.way + (n.why ? `: ${n.why}` : "")]]));
    parts.push(...fused(app, n.index));
    const modules = app.facts.keys[i].filter((k) => app.facts.groups.has(k));
    if (modules.length) parts.push(heading("part of"), ...modules.map((k) => make("p", {}, make("a", { onclick: () => app.collapse(k) }, Graph.title(k)), make("span", { class: "soft" }, `  ${app.facts.groups.get(k).length} nodes, click to collapse`))));
    for (const [key, value] of Object.entries(n.notes || {})) parts.push(heading(key), make("pre", {}, value));
    return parts;
  }

  function fused(app, index) {
    if (index === undefined || !app.fusion) return [];
    if (app.fusion.why_not) return [heading("compiled to"), make("p", { class: "bad" }, app.fusion.why_not)];
    if (app.fusion.unread[index] !== undefined) return [heading("compiled to"), make("p", { class: "bad" }, `the compiler cannot read it: ${app.fusion.unread[index]}`)];
    const layers = app.layersOf.get(index) || [];
    if (!layers.length) return [heading("compiled to"), make("p", {}, "nothing: it is computed while building, a matter of layout, equal to another node, or never needed")];
    return [heading("compiled to"), ...layers.slice(0, 6).map((k) => {
      const layer = app.fusion.layers[k], others = layer.nodes.filter((o) => o !== index);
      return make("div", { class: "tensor" }, make("p", { class: layer.host ? "bad" : "" }, `layer ${k}: ${layer.what}`),
        ...(others.length ? [make("p", { class: "soft" }, "together with ", ...others.slice(0, 20).flatMap((o) => [make("a", { onclick: () => app.chooseStep(o) }, app.nameOf(app.byIndex.get(o))), " "]), others.length > 20 ? `and ${others.length - 20} more` : "")] : []));
    })];
  }

  function findings(app, found) {
    if (!found.length) return [];
    return [heading("lint"), ...found.map((f) => make("div", { class: "finding" },
      make("strong", {}, `${f.rule} ${f.name}`), make("span", { class: "soft" }, `  ${f.severity}${f.fixable ? ", --fix repairs it" : ""}`),
      make("div", {}, f.node === null && f.tensor ? `tensor ${f.tensor}: ${f.message}` : f.message)))];
  }

  function tensor(app, v, role) {
    const value = app.model.values[v], maker = app.facts.producer[v], readers = app.facts.readers[v];
    const card = make("div", { class: "tensor" }, make("div", {}, role ? make("span", { class: "soft" }, `${role}  `) : null, make("span", { class: "mono" }, value.name)),
      make("div", { class: "soft number" }, `${value.type}${value.bytes !== undefined ? `, ${size(value.bytes)}` : ""}${value.kind === "computed" ? "" : `, ${value.kind}`}`));
    const go = (i) => make("a", { onclick: () => app.choose(i) }, app.nameOf(i));
    if (maker >= 0 && maker !== app.chosen && !app.facts.hidden[maker]) card.append(make("div", {}, make("span", { class: "soft" }, "made by "), go(maker)));
    const others = readers.filter((r) => r !== app.chosen);
    if (others.length) card.append(make("div", {}, make("span", { class: "soft" }, "read by "), ...others.slice(0, 12).flatMap((r) => [go(r), " "]), others.length > 12 ? `and ${others.length - 12} more` : ""));
    if (value.kind === "weight") {
      const place = make("div", {}), more = make("a", { onclick: async () => { more.remove(); place.append("reading …"); place.replaceChildren(...values(await app.tensor(v))); } }, "values");
      more.className = "values";
      card.append(more, place);
    }
    return card;
  }

  function values(t) {
    if (t === null) return [make("p", { class: "soft" }, "this page holds no values: the model is large. `wright onnx view` without --output shows them")];
    if (t.error) return [make("p", { class: "bad" }, t.error)];
    const parts = [], pairs = [["elements", whole(t.count)], ["zero", whole(t.zeros)]];
    for (const [name, key] of [["NaN", "nans"], ["infinite", "infs"], ["denormal", "denormals"]]) if (t[key]) pairs.push([name, whole(t[key])]);
    if (t.min !== null) {
      pairs.push(["from, to", `${number(t.min)}, ${number(t.max)}`], ["mean, deviation", `${number(t.mean)}, ${number(t.std)}`]);
      if (t.percentiles) pairs.push(["1, 50, 99 %", [1, 50, 99].map((p) => number(t.percentiles[p])).join(", ")]);
      parts.push(bars(t.histogram));
    }
    pairs.push(["stored in", t.storage]);
    return [...parts, rows(pairs), make("pre", {}, t.first.join("  ") + (t.count > t.first.length ? "  …" : ""))];
  }

  const shape = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [k, v] of Object.entries(attributes)) element.setAttribute(k, v);
    return element;
  };

  function bars(counts) {
    const top = Math.max(...counts), picture = shape("svg", { viewBox: `0 0 ${counts.length * 10} 74`, preserveAspectRatio: "none", class: "histogram" });
    counts.forEach((n, k) => picture.append(shape("rect", { x: k * 10 + 0.5, width: 9, height: n ? Math.max(1, n / top * 72) : 0, y: 74 - (n ? Math.max(1, n / top * 72) : 0) })));
    return picture;
  }

  function curve(live, peak, go) {
    const columns = Math.min(live.length, 320), picture = shape("svg", { viewBox: `0 0 ${columns} 74`, preserveAspectRatio: "none" });
    let path = "M0 74";
    for (let k = 0; k < columns; k++) {
      const from = Math.floor(k * live.length / columns), to = Math.max(from + 1, Math.floor((k + 1) * live.length / columns));
      const y = 74 - live.slice(from, to).reduce((a, b) => Math.max(a, b), 0) / peak * 72;
      path += `L${k} ${y}L${k + 1} ${y}`;
    }
    picture.append(shape("path", { d: `${path}L${columns} 74Z` }));
    picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      go(Math.min(live.length - 1, Math.floor((event.clientX - box.left) / box.width * live.length)));
    });
    return picture;
  }

  function group(app, key) {
    const nodes = app.facts.groups.get(key), known = nodes.map((i) => app.model.nodes[i]);
    const sum = (name) => known.reduce((total, n) => total + (n[name] || 0), 0);
    const counts = new Map();
    for (const n of known) counts.set(n.op, (counts.get(n.op) || 0) + 1);
    return [make("h2", {}, Graph.title(key)), make("p", { class: "soft" }, key.split("\n").join(" › ")),
      make("p", {}, make("a", { onclick: () => app.expand(key) }, "open this module")),
      rows([["nodes", whole(nodes.length)], ["FLOPs", whole(sum("flops"))], ["traffic", size(sum("bytes"))]]),
      heading("operators"), rows([...counts].sort((a, b) => b[1] - a[1]).map(([op, n]) => [op, whole(n)]))];
  }

  return { make, model, node, group, tensor, size, whole };
})();
