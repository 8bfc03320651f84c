"use strict";
// Layers from top to bottom: ranks by longest path, order by barycentres, places by least squares. Time grows with the
// number of boxes and of ranks that edges cross; edges across very many ranks are drawn straight instead.
const Layout = (() => {
  const GAP = 30, BETWEEN = 46, MOST_BENDS = 150000;

  // boxes: {w, h}; edges: {from, to}. Gives boxes x, y (centre, top) and edges points [[x, y], ...].
  function place(boxes, edges) {
    const rank = ranks(boxes, edges);
    const vertices = boxes.map((box, i) => ({ w: box.w, h: box.h, rank: rank[i], up: [], down: [] }));
    const direct = bend(vertices, edges, rank);
    const rows = sorted(vertices);
    const tops = heights(rows);
    spread(rows);
    boxes.forEach((box, i) => { box.x = vertices[i].x; box.y = tops[rank[i]] + (rowHeight(rows[rank[i]]) - box.h) / 2; });
    for (const edge of edges) route(edge, boxes, vertices, rows, tops, direct.has(edge));
  }

  function ranks(boxes, edges) {
    const count = boxes.length;
    const next = Array.from({ length: count }, () => []), waiting = new Int32Array(count), rank = new Int32Array(count);
    for (const e of edges) { next[e.from].push(e.to); waiting[e.to]++; }
    const done = new Uint8Array(count), ready = [], order = [], late = new Uint8Array(count).fill(1);
    for (let i = 0; i < count; i++) if (!waiting[i]) ready.push(i);
    let lowest = 0;
    for (let at = 0, left = count; left; left--) {
      if (at === ready.length) {                  // a circle: collapsed modules may be in each other's way
        while (done[lowest]) lowest++;
        ready.push(lowest);
      }
      const i = ready[at++];
      if (done[i]) { left++; continue; }
      done[i] = 1;
      order.push(i);
      for (const j of next[i]) if (!done[j]) {
        if (!late[i] || boxes[i].kind === "input") late[j] = 0;
        rank[j] = Math.max(rank[j], rank[i] + 1);
        if (!--waiting[j]) ready.push(j);
      }
    }
    for (const i of order.reverse()) {            // what needs no input goes to where it is needed, and inputs too
      if (!late[i]) continue;
      const nearest = next[i].reduce((best, j) => Math.min(best, rank[j]), Infinity);
      if (nearest !== Infinity) rank[i] = Math.max(rank[i], nearest - 1);
    }
    return rank;
  }

  // Edges across ranks get a bend in each; those against the direction, and the longest when bends run out, are direct.
  function bend(vertices, edges, rank) {
    const direct = new Set();
    let left = MOST_BENDS;
    for (const e of [...edges].sort((a, b) => (rank[a.to] - rank[a.from]) - (rank[b.to] - rank[b.from]))) {
      const span = rank[e.to] - rank[e.from];
      e.bends = [];
      if (span < 1 || span - 1 > left) { direct.add(e); continue; }
      left -= span - 1;
      let above = e.from;
      for (let r = rank[e.from] + 1; r < rank[e.to]; r++) {
        e.bends.push(vertices.length);
        vertices.push({ w: 8, h: 0, rank: r, up: [], down: [] });
        link(vertices, above, vertices.length - 1);
        above = vertices.length - 1;
      }
      link(vertices, above, e.to);
    }
    return direct;
  }

  function link(vertices, a, b) { vertices[a].down.push(vertices[b]); vertices[b].up.push(vertices[a]); }

  function sorted(vertices) {
    const rows = [];
    const seen = new Set();
    for (const first of vertices) {               // depth first from the top: branches stay together
      if (first.up.length || seen.has(first)) continue;
      const stack = [first];
      while (stack.length) {
        const v = stack.pop();
        if (seen.has(v)) continue;
        seen.add(v);
        (rows[v.rank] = rows[v.rank] || []).push(v);
        for (let k = v.down.length - 1; k >= 0; k--) stack.push(v.down[k]);
      }
    }
    for (let r = 0; r < rows.length; r++) rows[r] = rows[r] || [];
    const sweeps = vertices.length > 60000 ? 2 : vertices.length > 10000 ? 4 : 10;
    const number = (row) => row.forEach((v, i) => { v.order = i; });
    rows.forEach(number);
    for (let s = 0; s < sweeps; s++) {
      const down = s % 2 === 0;
      for (let k = 0; k < rows.length; k++) {
        const row = rows[down ? k : rows.length - 1 - k];
        if (row.length < 2) continue;
        for (const v of row) {
          const others = down ? v.up : v.down;
          v.centre = others.length ? others.reduce((sum, o) => sum + o.order, 0) / others.length : v.order;
        }
        row.sort((a, b) => a.centre - b.centre || a.order - b.order);
        number(row);
      }
    }
    return rows;
  }

  const rowHeight = (row) => row.reduce((most, v) => Math.max(most, v.h), 0);

  function heights(rows) {
    const tops = [];
    let y = 0;
    for (const row of rows) { tops.push(y); y += rowHeight(row) + BETWEEN; }
    return tops;
  }

  // Every box as near as possible to the middle of its neighbours, boxes of a row in order and apart. Bends count as much as
  // boxes: what weighs more would push its neighbour aside in every block of a network, and the drawing would drift away.
  function spread(rows) {
    for (const row of rows) {
      let x = 0;
      row.forEach((v, i) => { if (i) x += (row[i - 1].w + v.w) / 2 + GAP; v.x = x; });
      for (const v of row) v.x -= x / 2;
    }
    for (let s = 0; s < 8; s++) {
      const down = s % 2 === 0;
      for (let k = 0; k < rows.length; k++) settle(rows[down ? k : rows.length - 1 - k], down, s > 3);
    }
  }

  function settle(row, down, both) {
    const blocks = [];
    let offset = 0;
    row.forEach((v, i) => {
      if (i) offset += (row[i - 1].w + v.w) / 2 + GAP;
      const near = both ? [...v.up, ...v.down] : down ? v.up : v.down;
      const wish = near.length ? near.reduce((sum, o) => sum + o.x, 0) / near.length : v.x;
      let block = { value: wish - offset, count: 1 };
      while (blocks.length && blocks[blocks.length - 1].value > block.value) {
        const last = blocks.pop(), count = last.count + block.count;
        block = { value: (last.value * last.count + block.value * block.count) / count, count };
      }
      blocks.push(block);
      v.offset = offset;
    });
    let i = 0;
    for (const block of blocks) for (let k = 0; k < block.count; k++, i++) row[i].x = block.value + row[i].offset;
  }

  function route(edge, boxes, vertices, rows, tops, direct) {
    const a = boxes[edge.from], b = boxes[edge.to];
    edge.points = [[a.x, a.y + a.h]];
    if (!direct) for (const bendAt of edge.bends) {
      const v = vertices[bendAt], top = tops[v.rank];
      edge.points.push([v.x, top], [v.x, top + rowHeight(rows[v.rank])]);
    }
    edge.points.push([b.x, b.y]);
    edge.direct = direct;
    delete edge.bends;
  }

  return { place };
})();
