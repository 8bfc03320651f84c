"use strict";
// Boxes and edges on the canvas: only what is visible, and less detail the smaller it is.
const Draw = (() => {
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
  const TITLE = `600 13px ${FONT}`, SMALL = `11px ${FONT}`, LINE = 16, HEAD = 25, PAD = 9, BAND = 1200;
  const context = document.createElement("canvas").getContext("2d"), widths = new Map();

  function width(text, font) {
    const key = font + text;
    if (!widths.has(key)) { context.font = font; widths.set(key, context.measureText(text).width); }
    return widths.get(key);
  }

  function measure(box) {
    const rows = [...(box.name ? [box.name] : []), ...box.lines];
    box.rows = rows;
    box.w = Math.ceil(Math.max(84, width(box.title, TITLE) + 2 * PAD + 8, ...rows.map((t) => width(t, SMALL) + 2 * PAD)));
    box.h = HEAD + (rows.length ? rows.length * LINE + 7 : 0);
  }

  // What lies where: boxes and pieces of edges by bands of height.
  function bands(scene) {
    const boxes = new Map(), pieces = new Map(), far = [];
    const put = (map, from, to, item) => {
      for (let k = Math.floor(from / BAND); k <= Math.floor(to / BAND); k++) {
        if (!map.has(k)) map.set(k, []);
        map.get(k).push(item);
      }
    };
    for (const box of scene.boxes) put(boxes, box.y, box.y + box.h, box);
    for (const edge of scene.edges) {
      if (edge.direct) { far.push(edge); continue; }
      for (let k = 1; k < edge.points.length; k++) {
        const a = edge.points[k - 1], b = edge.points[k];
        put(pieces, Math.min(a[1], b[1]), Math.max(a[1], b[1]), { edge, a, b, first: k === 1 });
      }
    }
    const xs = scene.boxes.flatMap((b) => [b.x - b.w / 2, b.x + b.w / 2]), ys = scene.boxes.map((b) => b.y + b.h);
    const edge = (list, pick, start) => list.reduce((m, v) => pick(m, v), start);
    return { boxes, pieces, far, left: edge(xs, Math.min, 0), right: edge(xs, Math.max, 1), bottom: edge(ys, Math.max, 1) };
  }

  function inBands(map, top, bottom) {
    const found = new Set();
    for (let k = Math.floor(top / BAND); k <= Math.floor(bottom / BAND); k++) for (const item of map.get(k) || []) found.add(item);
    return found;
  }

  // view: {x, y, scale}: the point of the graph in the middle of the canvas. look: how boxes are coloured.
  function draw(canvas, scene, view, look) {
    const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
    }
    const c = canvas.getContext("2d"), s = view.scale;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, h);
    c.setTransform(ratio * s, 0, 0, ratio * s, ratio * (w / 2 - view.x * s), ratio * (h / 2 - view.y * s));
    const seen = { left: view.x - w / 2 / s, right: view.x + w / 2 / s, top: view.y - h / 2 / s, bottom: view.y + h / 2 / s };
    const across = (x0, x1) => x1 >= seen.left && x0 <= seen.right;
    drawEdges(c, scene, seen, across, look, s);
    let count = 0;
    for (const box of inBands(scene.bands.boxes, seen.top, seen.bottom)) {
      if (!across(box.x - box.w / 2, box.x + box.w / 2) || box.y > seen.bottom || box.y + box.h < seen.top) continue;
      drawBox(c, box, look, s);
      count++;
    }
    return count;
  }

  function drawEdges(c, scene, seen, across, look, s) {
    const pieces = inBands(scene.bands.pieces, seen.top, seen.bottom), marked = [];
    const labels = s > 0.5 && pieces.size < 3000, plain = s < 0.25 || pieces.size > 4000;
    c.lineWidth = Math.max(1.2, 0.6 / s);
    c.strokeStyle = look.edge;
    c.beginPath();
    for (const piece of pieces) {
      if (!across(Math.min(piece.a[0], piece.b[0]), Math.max(piece.a[0], piece.b[0]))) continue;
      if (look.marked(piece.edge)) marked.push(piece); else stroke(c, piece.a, piece.b, plain);
    }
    for (const edge of scene.bands.far) if (look.marked(edge)) marked.push({ a: edge.points[0], b: edge.points[1], edge }); else stroke(c, edge.points[0], edge.points[1], true);
    c.stroke();
    c.strokeStyle = look.accent;
    c.lineWidth = Math.max(2.2, 1.2 / s);
    c.beginPath();
    for (const piece of marked) stroke(c, piece.a, piece.b, plain);
    c.stroke();
    if (!labels) return;
    c.font = SMALL; c.textAlign = "center"; c.textBaseline = "middle";
    for (const piece of pieces) {
      const text = piece.first && piece.edge.labelled ? look.label(piece.edge) : "";
      if (!text) continue;
      const { a, b } = piece, half = width(text, SMALL) / 2;
      const x = piece.edge.alone ? a[0] : (a[0] + b[0]) / 2, y = piece.edge.alone ? a[1] + 12 : (a[1] + b[1]) / 2;
      c.fillStyle = look.ground;
      c.fillRect(x - half - 3, y - 7, 2 * half + 6, 14);
      c.fillStyle = look.soft;
      c.fillText(text, x, y);
    }
  }

  function stroke(c, a, b, plain) {
    c.moveTo(a[0], a[1]);
    if (plain || Math.abs(a[0] - b[0]) < 1) c.lineTo(b[0], b[1]);
    else { const y = (a[1] + b[1]) / 2; c.bezierCurveTo(a[0], y, b[0], y, b[0], b[1]); }
  }

  function drawBox(c, box, look, s) {
    const x = box.x - box.w / 2, paint = look.paint(box), radius = 7;
    if (s < 0.12) {                               // a speck
      c.fillStyle = look.selected(box) ? look.accent : paint.fill;
      c.fillRect(x, box.y, box.w, Math.max(box.h, 1 / s));
      return;
    }
    c.beginPath();
    c.roundRect(x, box.y, box.w, box.h, radius);
    c.fillStyle = look.surface;
    c.fill();
    c.save();
    c.clip();
    c.fillStyle = paint.fill;
    c.fillRect(x, box.y, box.w, HEAD);
    c.restore();
    c.lineWidth = look.selected(box) ? 3 : look.found(box) ? 2.5 : 1.2;
    c.strokeStyle = look.selected(box) || look.found(box) ? look.accent : paint.border;
    c.setLineDash(paint.dashed ? [5, 4] : []);
    c.beginPath();
    c.roundRect(x, box.y, box.w, box.h, radius);
    c.stroke();
    c.setLineDash([]);
    if (s < 0.3) return;
    c.textBaseline = "middle"; c.textAlign = "center";
    c.font = TITLE; c.fillStyle = paint.text;
    c.fillText(box.title, box.x, box.y + HEAD / 2 + 0.5);
    c.font = SMALL; c.textAlign = "left";
    box.rows.forEach((text, i) => {
      c.fillStyle = box.name && i === 0 ? look.soft : look.text;
      c.fillText(text, x + PAD, box.y + HEAD + 4 + LINE * (i + 0.5));
    });
    if (paint.badge) badge(c, x + box.w - 4, box.y + 4, paint.badge);
  }

  function badge(c, x, y, count) {
    c.beginPath(); c.arc(x, y, 9, 0, 7); c.fillStyle = "#d99a00"; c.fill();
    c.fillStyle = "#ffffff"; c.font = `700 11px ${FONT}`; c.textAlign = "center"; c.textBaseline = "middle";
    c.fillText(count > 9 ? "9+" : String(count), x, y + 0.5);
  }

  function boxAt(scene, x, y) {
    for (const box of inBands(scene.bands.boxes, y, y)) if (Math.abs(x - box.x) <= box.w / 2 && y >= box.y && y <= box.y + box.h) return box;
    return null;
  }

  return { measure, bands, draw, boxAt };
})();
