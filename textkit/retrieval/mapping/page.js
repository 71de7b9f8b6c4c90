"use strict";
// A map of texts: points on a canvas that can be moved, zoomed, searched and coloured. Points are drawn into a picture's bytes,
// because a hundred thousand of them take a canvas's own calls too long. Texts reach the page as text nodes alone, never as HTML.
// It is one file of more than 300 lines because a page that needs nothing else has one script.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const count = data.texts.length;
  const xs = Float32Array.from(new Uint16Array(bytes(data.x)), (v) => v / 65535);
  const ys = Float32Array.from(new Uint16Array(bytes(data.y)), (v) => v / 65535);
  const columns = data.columns.map((column) => ({
    ...column,
    codes: column.codes === undefined ? null : new Uint16Array(bytes(column.codes)),
    values: column.values === undefined ? null : new Float32Array(bytes(column.values)),
  }));
  const PALETTE = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#2aa198", "#d4a017", "#ff7fa5", "#9c755f", "#5d69b1",
    "#8cc152", "#d37295", "#3ba3d8", "#c0603f", "#7b61c4", "#4aa37c", "#e06fcb", "#a3862b", "#6b8ba4", "#b5495b"];
  const SCALE = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"]; // viridis
  const REST = 65535; // the code of what has no value of its own: noise, blank, all the rare values
  const stage = $("stage"), points = $("points"), over = $("over"), tip = $("tip");
  const paint = points.getContext("2d", { alpha: false }), ink = over.getContext("2d");
  let wide = 1, high = 1, dense = 1, picture = null, pixels = null; // the stage in CSS pixels; device pixels in one of them
  let scale = 1, left = 0, top = 0; // a point (x, y) is drawn at ((x - left) * scale, (y - top) * scale)
  let column = columns[data.color] || columns[0], shown = new Set(), hits = null, hovered = -1, chosen = -1, step = -1, waiting = 0;
  let lower = null;

  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const dark = () => document.documentElement.dataset.theme === "dark";
  const grey = () => (dark() ? [98, 104, 114] : [176, 180, 187]);
  const scaled = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (SCALE.length - 1), low = Math.min(Math.floor(at), SCALE.length - 2);
    const one = rgb(SCALE[low]), other = rgb(SCALE[low + 1]);
    return one.map((value, i) => Math.round(value + (other[i] - value) * (at - low)));
  };
  const colorOfCode = (code) => (code === REST ? grey() : rgb(PALETTE[code % PALETTE.length]));
  let tints = new Uint8Array(3 * count); // the colour of each point
  function tint() {
    const range = column.values ? column.most - column.least || 1 : 1;
    const rest = grey();
    for (let i = 0; i < count; i++) {
      const color = column.values
        ? (Number.isNaN(column.values[i]) ? rest : scaled((column.values[i] - column.least) / range))
        : colorOfCode(column.codes[i]);
      tints.set(color, 3 * i);
    }
  }

  // --- the grid, which finds the points near a place -------------------------------------------------------------------
  const GRID = Math.max(1, Math.min(256, Math.round(Math.sqrt(count / 4))));
  const cellOf = (v) => Math.min(GRID - 1, Math.max(0, Math.floor(v * GRID)));
  const starts = new Uint32Array(GRID * GRID + 1), inCells = new Uint32Array(count);
  {
    const cells = new Uint32Array(count);
    for (let i = 0; i < count; i++) starts[(cells[i] = cellOf(ys[i]) * GRID + cellOf(xs[i])) + 1]++;
    for (let c = 0; c < GRID * GRID; c++) starts[c + 1] += starts[c];
    const next = starts.slice();
    for (let i = 0; i < count; i++) inCells[next[cells[i]]++] = i;
  }
  function nearest(px, py, reach) {
    const x = px / scale + left, y = py / scale + top, r = reach / scale;
    let best = -1, least = r * r;
    for (let cy = cellOf(y - r); cy <= cellOf(y + r); cy++)
      for (let cx = cellOf(x - r); cx <= cellOf(x + r); cx++)
        for (let at = starts[cy * GRID + cx]; at < starts[cy * GRID + cx + 1]; at++) {
          const i = inCells[at], d = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
          if (d < least && isLit(i)) [best, least] = [i, d];
        }
    return best;
  }
  const isLit = (i) => (!hits || hits.has(i)) && (!shown.size || (column.codes && shown.has(column.codes[i])));

  // --- drawing ---------------------------------------------------------------------------------------------------------
  function radius() {
    const zoomed = scale / fitted();
    return Math.min(7, Math.max(1.1, 4.2 - 0.62 * Math.log10(count + 1)) * Math.pow(zoomed, 0.32));
  }
  function disc(r) { // offsets and coverages of a disc's pixels, with soft edges
    const found = [], reach = Math.ceil(r);
    for (let dy = -reach; dy <= reach; dy++)
      for (let dx = -reach; dx <= reach; dx++) {
        const cover = Math.min(1, Math.max(0, r + 0.5 - Math.hypot(dx, dy)));
        if (cover > 0.02) found.push([dx, dy, cover]);
      }
    const column = (at) => Float32Array.from(found, (one) => one[at]);
    return { reach, dx: column(0), dy: column(1), cover: column(2), offset: Int32Array.from(found, ([dx, dy]) => 4 * (dy * points.width + dx)) };
  }
  function stamp(mask, i, strength) {
    const width = points.width, height = points.height;
    const px = Math.round((xs[i] - left) * scale * dense), py = Math.round((ys[i] - top) * scale * dense);
    if (px < -20 || py < -20 || px > width + 20 || py > height + 20) return;
    const r = tints[3 * i], g = tints[3 * i + 1], b = tints[3 * i + 2], { reach, dx, dy, cover, offset } = mask;
    const inside = px >= reach && py >= reach && px + reach < width && py + reach < height, middle = 4 * (py * width + px);
    for (let m = 0; m < cover.length; m++) {
      if (!inside) {
        const qx = px + dx[m], qy = py + dy[m];
        if (qx < 0 || qy < 0 || qx >= width || qy >= height) continue;
      }
      const at = middle + offset[m], a = cover[m] * strength;
      pixels[at] += (r - pixels[at]) * a;
      pixels[at + 1] += (g - pixels[at + 1]) * a;
      pixels[at + 2] += (b - pixels[at + 2]) * a;
    }
  }
  function draw() {
    waiting = 0;
    const ground = rgb(getComputedStyle(document.documentElement).getPropertyValue("--ground").trim());
    new Uint32Array(pixels.buffer).fill((255 << 24) | (ground[2] << 16) | (ground[1] << 8) | ground[0]);
    const some = hits !== null || shown.size > 0, mask = disc(radius() * dense);
    const strength = count > 20000 ? 0.6 : count > 3000 ? 0.72 : 0.85;
    for (let i = 0; i < count; i++) if (!some || !isLit(i)) stamp(mask, i, some ? 0.1 : strength);
    if (some) for (let i = 0; i < count; i++) if (isLit(i)) stamp(mask, i, 0.92);
    paint.putImageData(picture, 0, 0);
    drawOver();
  }
  function drawOver() {
    ink.setTransform(dense, 0, 0, dense, 0, 0);
    ink.clearRect(0, 0, wide, high);
    const style = getComputedStyle(document.documentElement), own = (name) => style.getPropertyValue(name).trim();
    for (const i of [chosen, hovered]) {
      if (i < 0) continue;
      ink.beginPath();
      ink.arc(...screen(i), radius() + 3, 0, 7);
      ink.lineWidth = 2;
      ink.strokeStyle = own("--ink");
      ink.stroke();
    }
    if (!$("labels").checked) return;
    ink.font = "600 12.5px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.lineJoin = "round";
    const taken = [];
    for (const cluster of data.clusters) { // the largest first; a name that would cover another is left out
      const x = (cluster.x - left) * scale, y = (cluster.y - top) * scale, half = ink.measureText(cluster.name).width / 2 + 5;
      if (x + half < 0 || x - half > wide || y < -10 || y > high + 10) continue;
      if (taken.some((box) => Math.abs(box[0] - x) < box[2] + half && Math.abs(box[1] - y) < 19)) continue;
      taken.push([x, y, half]);
      ink.lineWidth = 4;
      ink.strokeStyle = own("--ground");
      ink.strokeText(cluster.name, x, y);
      ink.fillStyle = own("--ink");
      ink.fillText(cluster.name, x, y);
    }
  }
  const later = () => (waiting = waiting || requestAnimationFrame(draw));
  const screen = (i) => [(xs[i] - left) * scale, (ys[i] - top) * scale];

  // --- the view --------------------------------------------------------------------------------------------------------
  const fitted = () => Math.min(wide, high) * 0.92;
  function fit(some) {
    let [x0, x1, y0, y1] = [0, 1, 0, 1];
    if (some && some.length) {
      [x0, x1, y0, y1] = [1, 0, 1, 0];
      for (const i of some) [x0, x1, y0, y1] = [Math.min(x0, xs[i]), Math.max(x1, xs[i]), Math.min(y0, ys[i]), Math.max(y1, ys[i])];
    }
    scale = Math.min(fitted() * 40, Math.min(wide / Math.max(x1 - x0, 0.02), high / Math.max(y1 - y0, 0.02)) * 0.92);
    left = (x0 + x1) / 2 - wide / scale / 2;
    top = (y0 + y1) / 2 - high / scale / 2;
    later();
  }
  function zoom(by, px = wide / 2, py = high / 2) {
    const next = Math.min(fitted() * 400, Math.max(fitted() * 0.3, scale * by));
    left += px / scale - px / next;
    top += py / scale - py / next;
    scale = next;
    later();
  }
  function move(dx, dy) {
    left -= dx / scale;
    top -= dy / scale;
    later();
  }
  function center(i) {
    left = xs[i] - wide / scale / 2;
    top = ys[i] - high / scale / 2;
    later();
  }
  function measure() {
    const [before, middle] = [fitted(), [left + wide / scale / 2, top + high / scale / 2]], first = !picture;
    [wide, high, dense] = [stage.clientWidth || 1, stage.clientHeight || 1, Math.min(3, window.devicePixelRatio || 1)];
    for (const canvas of [points, over]) [canvas.width, canvas.height] = [Math.round(wide * dense), Math.round(high * dense)];
    picture = paint.createImageData(points.width, points.height);
    pixels = picture.data;
    if (first) return fit();
    scale *= fitted() / before;
    [left, top] = [middle[0] - wide / scale / 2, middle[1] - high / scale / 2];
    later();
  }

  // --- what is said about a point --------------------------------------------------------------------------------------
  function element(name, text, kind) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }
  const valueOf = (of, i) => (of.values ? (Number.isNaN(of.values[i]) ? "" : String(of.values[i]))
    : of.codes[i] === REST ? of.rest : of.names[of.codes[i]]);
  const about = (i) => columns.map((of) => [of.name, valueOf(of, i)]).filter(([, value]) => value !== "");
  function cut(text, most) {
    return text.length > most ? text.slice(0, most) + "…" : text;
  }
  function describe(into, i, most) {
    into.replaceChildren();
    if (data.places) into.append(element("span", data.places[i], "about"));
    into.append(marked(cut(data.texts[i] || "(blank)", most)));
    for (const [name, value] of about(i)) into.append(element("span", `${name}: ${value}`, "about"));
  }
  function terms() {
    return $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  }
  function marked(text) { // the text with the words that are searched in <mark>
    const made = document.createDocumentFragment(), small = text.toLowerCase(), words = small.length === text.length ? terms() : [];
    let at = 0;
    while (at < text.length) {
      const found = words.map((word) => [small.indexOf(word, at), word.length]).filter(([place]) => place >= 0).sort((a, b) => a[0] - b[0]);
      if (!found.length) break;
      const [place, length] = found[0];
      made.append(text.slice(at, place), element("mark", text.slice(place, place + length)));
      at = place + length;
    }
    made.append(text.slice(at));
    return made;
  }
  function hover(i, px, py) {
    if (i !== hovered) {
      hovered = i;
      over.classList.toggle("near", i >= 0);
      tip.hidden = i < 0;
      if (i >= 0) describe(tip, i, 500);
      drawOver();
    }
    if (i < 0) return;
    const beside = px + 16 + tip.offsetWidth > wide ? px - 16 - tip.offsetWidth : px + 16;
    tip.style.left = `${Math.max(6, Math.min(beside, wide - tip.offsetWidth - 6))}px`;
    tip.style.top = `${Math.max(6, Math.min(py + 14, high - tip.offsetHeight - 6))}px`;
  }
  function choose(i) {
    chosen = i;
    $("chosen").hidden = i < 0;
    if (i >= 0) {
      describe($("chosen"), i, 20000);
      $("count").textContent = `${said()}. Chosen: ${cut(data.texts[i], 120)}`;
    }
    later();
  }

  // --- search and colours ----------------------------------------------------------------------------------------------
  const number = (value) => value.toLocaleString("en");
  const said = () => (hits ? `${number(hits.size)} of ${number(count)} texts` : `${number(count)} texts`);
  function search() {
    const words = terms();
    lower = lower || data.texts.map((text) => text.toLowerCase());
    hits = null;
    if (words.length) {
      hits = new Set();
      for (let i = 0; i < count; i++) if (words.every((word) => lower[i].includes(word))) hits.add(i);
    }
    step = -1;
    $("count").textContent = said();
    $("hits").replaceChildren(...[...(hits || [])].slice(0, 100).map((i) => {
      const item = element("li"), button = element("button");
      button.type = "button";
      button.append(marked(cut(data.texts[i], 160)));
      button.onclick = () => go(i);
      button.onfocus = button.onmouseenter = () => { hovered = i; drawOver(); };
      item.append(button);
      return item;
    }));
    later();
  }
  function go(i) {
    if (scale < fitted() * 3) scale = fitted() * 3;
    center(i);
    choose(i);
  }
  function walk(by) { // to the next hit, or to the next text in view
    const some = hits ? [...hits] : [];
    if (!hits)
      for (let i = 0; i < count; i++) {
        const [px, py] = screen(i);
        if (px >= 0 && py >= 0 && px <= wide && py <= high && isLit(i)) some.push(i);
      }
    if (!some.length) return;
    const at = some.indexOf(chosen);
    step = at < 0 ? (by > 0 ? 0 : some.length - 1) : (at + by + some.length) % some.length;
    if (hits) center(some[step]);
    choose(some[step]);
  }
  function legend() {
    const list = $("legend");
    list.replaceChildren();
    if (column.values) {
      const item = element("li"), ends = element("div", undefined, "ends"), bar = element("div", undefined, "scale");
      bar.style.background = `linear-gradient(to right, ${SCALE.join(", ")})`;
      ends.append(element("span", String(column.least)), element("span", String(column.most)));
      item.append(bar, ends);
      list.append(item);
      return;
    }
    const sizes = new Map();
    for (const code of column.codes) sizes.set(code, (sizes.get(code) || 0) + 1);
    for (const code of [...column.names.keys(), REST]) {
      if (!sizes.has(code)) continue;
      const item = element("li"), button = element("button"), dot = element("span", undefined, "dot");
      button.type = "button";
      button.setAttribute("aria-pressed", String(shown.has(code)));
      dot.style.background = `rgb(${colorOfCode(code).join(",")})`;
      const name = code === REST ? column.rest || "(blank)" : column.names[code] || "(blank)";
      button.append(dot, element("span", name, "name"), element("span", number(sizes.get(code)), "size"));
      button.onclick = () => {
        if (!shown.delete(code)) shown.add(code);
        button.setAttribute("aria-pressed", String(shown.has(code)));
        later();
      };
      item.append(button);
      list.append(item);
    }
  }
  function recolor() {
    shown = new Set();
    tint();
    legend();
    later();
  }
  function theme(name) {
    document.documentElement.dataset.theme = name;
    recolor();
  }

  // --- hands -----------------------------------------------------------------------------------------------------------
  const held = new Map(); // pointers that are down, and where
  let dragged = 0;
  const place = (event) => {
    const box = over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  over.addEventListener("pointerdown", (event) => {
    over.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    dragged = 0;
  });
  over.addEventListener("pointermove", (event) => {
    const [px, py] = place(event), before = held.get(event.pointerId);
    if (!before) return hover(nearest(px, py, Math.max(8, radius() + 4)), px, py);
    if (held.size === 2) {
      const other = [...held.entries()].find(([id]) => id !== event.pointerId)[1];
      const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) || 1;
      zoom(apart([px, py]) / apart(before), (px + other[0]) / 2, (py + other[1]) / 2);
    } else move(px - before[0], py - before[1]);
    dragged += Math.abs(px - before[0]) + Math.abs(py - before[1]);
    if (dragged > 4) {
      over.classList.add("moving");
      hover(-1);
    }
    held.set(event.pointerId, [px, py]);
  });
  const release = (event) => {
    held.delete(event.pointerId);
    over.classList.remove("moving");
    if (event.type === "pointerup" && dragged <= 4) choose(nearest(...place(event), Math.max(10, radius() + 5)));
  };
  over.addEventListener("pointerup", release);
  over.addEventListener("pointercancel", release);
  over.addEventListener("pointerleave", () => hover(-1));
  over.addEventListener("dblclick", (event) => zoom(2, ...place(event)));
  over.addEventListener("wheel", (event) => {
    event.preventDefault();
    hover(-1);
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...place(event));
  }, { passive: false });
  const keys = {
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": () => fit(),
    ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
    Enter: () => choose(nearest(wide / 2, high / 2, Math.max(wide, high))), ",": () => walk(-1), ".": () => walk(1),
    "/": () => $("search").focus(),
    Escape: () => { choose(-1); hover(-1); $("search").value = ""; shown = new Set(); legend(); search(); },
  };
  over.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { keys.Escape(); over.focus(); }
    if (event.key === "Enter" && hits && hits.size) { search(); fit([...hits]); }
  });
  let typed = 0;
  $("search").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(search, 80); });
  $("in").onclick = () => zoom(1.6);
  $("out").onclick = () => zoom(1 / 1.6);
  $("all").onclick = () => fit();
  $("labels").onchange = drawOver;
  $("theme").onclick = () => theme(dark() ? "light" : "dark");
  $("color").append(...columns.map((of, at) => new Option(of.name, at)));
  $("color").value = String(columns.indexOf(column));
  $("color").onchange = () => { column = columns[$("color").value]; recolor(); };
  $("by").hidden = columns.length < 2;
  $("labels").checked = data.labels;
  $("labels").parentElement.hidden = !data.clusters.length;
  $("count").textContent = said();
  const wanted = window.matchMedia("(prefers-color-scheme: dark)");
  wanted.addEventListener("change", () => theme(wanted.matches ? "dark" : "light"));
  new ResizeObserver(measure).observe(stage);
  measure();
  theme(wanted.matches ? "dark" : "light");
  window.textkitMap = { // for the browser's console, and for tests
    screen, zoom, fit, go, draw,
    get view() { return { scale, left, top }; },
    get state() { return { hovered, chosen, hits: hits && hits.size, column: column.name, count }; },
  };
})();
