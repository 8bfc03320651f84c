"use strict";
// The model as boxes and edges: modules that are collapsed are one box each; constants are lines in their readers' boxes.
const Graph = (() => {
  const SEPARATOR = "\n";

  // Facts about the model that do not depend on what is collapsed.
  function index(model) {
    const producer = new Int32Array(model.values.length).fill(-1), readers = model.values.map(() => []);
    model.nodes.forEach((node, i) => {
      for (const v of node.outputs) if (v >= 0) producer[v] = i;
      for (const v of new Set([...node.inputs, ...node.inner])) if (v >= 0) readers[v].push(i);
    });
    const groups = new Map();                     // key → places of its nodes
    const keys = model.nodes.map((node) => {
      const found = [];
      node.groups.forEach((name, depth) => found.push(depth ? found[depth - 1] + SEPARATOR + name : name));
      return found;
    });
    keys.forEach((found, i) => found.forEach((key) => {
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(i);
    }));
    for (const [key, nodes] of groups) if (nodes.length < 2) groups.delete(key);
    const hidden = model.nodes.map((n) => n.op === "Constant" && n.outputs.every((v) => v < 0 || model.values[v].kind === "weight"));
    return { producer, readers, groups, keys, hidden, deepest: keys.reduce((most, k) => Math.max(most, k.filter((g) => groups.has(g)).length), 0) };
  }

  function atDepth(facts, depth) {                // modules that are collapsed when `depth` levels are open
    const found = new Set();
    if (depth < 0) return found;
    for (const keys of facts.keys) {
      const real = keys.filter((k) => facts.groups.has(k));
      if (real.length > depth) found.add(real[depth]);
    }
    return found;
  }

  const title = (key) => key.slice(key.lastIndexOf(SEPARATOR) + 1);
  const brief = (text, most) => text.length <= most ? text : "…" + text.slice(text.length - most + 1);
  const dims = (value) => value.shape ? value.shape.join("×") || "scalar" : "";

  function lines(model, node) {
    const roles = (model.operators[node.op] || {}).inputs || [], made = [];
    node.inputs.forEach((v, i) => {
      if (v >= 0 && model.values[v].kind === "weight" && made.length < 4) made.push(`${roles[Math.min(i, roles.length - 1)] || i}  ${dims(model.values[v])}`);
    });
    const attributes = Object.entries(node.attributes).filter(([name, text]) => text.length < 40 && telling(model, node, name, text, made.length > 0));
    for (const [name, text] of attributes.slice(0, 4)) made.push(`${name}  ${brief(text.replace(/[[\]]/g, ""), 24)}`);
    if (attributes.length > 4) made.push(`and ${attributes.length - 4} more`);
    return made;
  }

  // Attributes worth a line in the box: not those that say what holds anyway.
  function telling(model, node, name, text, weighted) {
    const usual = { strides: /^\[?1(, 1)*\]?$/, dilations: /^\[?1(, 1)*\]?$/, pads: /^\[?0(, 0)*\]?$/, group: /^1$/, storage_order: /^0$/ }[name];
    if (usual && usual.test(text)) return false;
    if (name === "kernel_shape" && weighted) return false;
    return ((model.operators[node.op] || {}).defaults || {})[name] !== text;
  }

  function build(model, facts, collapsed) {
    const boxes = [], edges = [], boxOf = new Int32Array(model.nodes.length).fill(-1), groupBox = new Map();
    const inputBox = new Map();
    for (const v of model.inputs) {
      inputBox.set(v, boxes.length);
      boxes.push({ kind: "input", title: model.values[v].name, lines: [model.values[v].type], value: v });
    }
    model.nodes.forEach((node, i) => {
      if (facts.hidden[i]) return;
      const key = facts.keys[i].find((k) => collapsed.has(k));
      if (key === undefined) {
        boxOf[i] = boxes.length;
        boxes.push({ kind: "node", title: node.op, name: brief(node.name, 30), lines: lines(model, node), node: i });
      } else {
        if (!groupBox.has(key)) {
          groupBox.set(key, boxes.length);
          boxes.push({ kind: "group", title: title(key), lines: [], key, nodes: facts.groups.get(key) });
        }
        boxOf[i] = groupBox.get(key);
      }
    });
    for (const box of groupBox.values()) boxes[box].lines = contents(model, boxes[box].nodes);
    const seen = new Set(), labelled = new Set();
    const connect = (from, to, v) => {
      const key = from * 4194304 + to;
      if (from === to || from < 0 || to < 0 || seen.has(key)) return;
      seen.add(key);
      const tensor = `${from} ${v}`;              // one label for all readers of a tensor
      edges.push({ from, to, value: v, labelled: !labelled.has(tensor) });
      labelled.add(tensor);
    };
    model.nodes.forEach((node, i) => {
      for (const v of [...node.inputs, ...node.inner]) {
        if (v < 0 || boxOf[i] < 0) continue;
        const maker = facts.producer[v];
        connect(maker >= 0 ? boxOf[maker] : inputBox.has(v) ? inputBox.get(v) : -1, boxOf[i], v);
      }
    });
    for (const v of model.outputs) {
      const maker = facts.producer[v], to = boxes.length;
      boxes.push({ kind: "output", title: model.values[v].name, lines: [model.values[v].type], value: v });
      connect(maker >= 0 ? boxOf[maker] : inputBox.has(v) ? inputBox.get(v) : -1, to, v);
    }
    const tensors = new Map();                    // of one tensor of a box the label stands below the box
    for (const edge of edges) if (edge.labelled) tensors.set(edge.from, (tensors.get(edge.from) || 0) + 1);
    for (const edge of edges) edge.alone = tensors.get(edge.from) === 1;
    return { boxes, edges, boxOf };
  }

  function contents(model, nodes) {
    const counts = new Map();
    for (const i of nodes) counts.set(model.nodes[i].op, (counts.get(model.nodes[i].op) || 0) + 1);
    const found = [...counts].sort((a, b) => b[1] - a[1]);
    const shown = found.slice(0, 4).map(([op, n]) => `${n} ${op}`);
    if (found.length > 4) shown.push(`and ${found.length - 4} other operators`);
    return [`${nodes.length} nodes`, ...shown];
  }

  return { index, atDepth, build, title, brief, dims };
})();
