// What all widgets share: controls, asking the kernel or the frozen grid, and plots as SVG.
// A widget's own file defines draw(panels, data, state).

const COLOURS = { blue: "#0072b2", orange: "#d55e00", green: "#009e73", grey: "#999999" }; // told apart by everyone
const SVG = "http://www.w3.org/2000/svg";
const QUIET_MS = 40; // a hand in motion is let finish
const STYLE = `
.pg { --ink: var(--jp-ui-font-color1, var(--pst-color-text-base, #222));
  --faint: var(--jp-border-color2, var(--pst-color-border, #ccc));
  --paper: var(--jp-layout-color0, var(--pst-color-background, #fff));
  color: var(--ink); background: var(--paper); font: 14px/1.4 system-ui, sans-serif; padding: 10px; max-width: 1000px;
  border: 1px solid var(--faint); border-radius: 6px; box-sizing: border-box; container-type: inline-size; }
@media (prefers-color-scheme: dark) { :root:not([data-theme]):not(:has([data-jp-theme-light])) .pg {
  --ink: #ddd; --faint: #555; --paper: #1b1b1b; } }
.cell_output .text_html:has(> .pg, > div > .pg) { background: none !important; padding: 0 !important; }
.pg * { box-sizing: border-box; }
.pg-head { display: flex; justify-content: space-between; font-weight: 600; margin-bottom: 6px; }
.pg-busy { font-weight: 400; visibility: hidden; }
.pg-busy.on { visibility: visible; }
.pg-controls { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 6px 20px; }
.pg-control { display: grid; grid-template-columns: 1fr auto; align-items: center; }
.pg-control input, .pg-control select { grid-column: 1 / -1; width: 100%; margin: 2px 0; }
.pg-control input { accent-color: ${COLOURS.blue}; height: 18px; }
.pg-control select { color: var(--ink); background: var(--paper); border: 1px solid var(--faint); border-radius: 4px;
  padding: 3px; font: inherit; }
.pg-control :focus-visible { outline: 2px solid ${COLOURS.orange}; outline-offset: 2px; }
.pg-control.fixed { opacity: 0.55; }
.pg-control output { font-variant-numeric: tabular-nums; }
.pg-panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(270px, 100%), 1fr)); gap: 10px;
  margin-top: 10px; }
.pg-panels.stale { opacity: 0.35; }
.pg .pg-panel { margin: 0; padding: 0; min-width: 0; max-width: 440px; }
.pg .pg-panel figcaption { color: var(--ink); font: 600 13px/1.5 system-ui, sans-serif; margin: 0; text-align: left; }
.pg-key { display: flex; flex-wrap: wrap; gap: 0 12px; font-size: 12px; min-height: 17px; }
.pg-key i { display: inline-block; width: 14px; height: 0; border-top: 3px solid; margin-right: 4px;
  vertical-align: middle; }
.pg-key i.dot { width: 8px; height: 8px; border: 0; border-radius: 50%; background: currentColor; }
.pg-panel svg { display: block; width: 100%; height: auto; }
.pg-panel text { fill: var(--ink); font-size: 11px; }
.pg-error { color: var(--ink); border-left: 4px solid ${COLOURS.orange}; padding: 4px 8px; margin: 8px 0 0; }
.pg-error:empty { display: none; }
.pg-text, .pg-note { margin: 8px 0 0; }
.pg-note { font-size: 12px; opacity: 0.8; }`;

// An HTML element, or an SVG one if its name begins with "svg:".
function element(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : value);

// ---- plots

function ticks([low, high], log) {
  if (log) {
    const powers = [];
    for (let p = Math.ceil(Math.log10(low) - 1e-9); p <= Math.floor(Math.log10(high) + 1e-9); p++) powers.push(10 ** p);
    return powers;
  }
  const rough = (high - low) / 4;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

// The range of some arrays, a little wider; what is null is left out.
function rangeOf(...arrays) {
  const numbers = arrays.flat(3).filter((value) => value !== null && Number.isFinite(value));
  const low = Math.min(...numbers), high = Math.max(...numbers);
  const margin = (high - low || 1) * 0.06;
  return numbers.length ? [low - margin, high + margin] : [0, 1];
}

// One picture. Layers, drawn in order, each with a colour and perhaps a label:
//   { line: [xs, ys] }, { lines: [[xs, ys], ...] }, { points: [xs, ys] }, { bars: heights, from, to },
//   { vertical: x }, { horizontal: y }, { ellipse: [x, y, radiusX, radiusY] }
function plot({ title, x, y, xLabel = "", yLabel = "", xLog = false, yLog = false, square = false, layers }) {
  const width = 320, height = square ? 260 : 220, left = 46, right = 8, top = 6, bottom = xLabel ? 36 : 22;
  const w = width - left - right, h = height - top - bottom;
  if (square) [x, y] = sameScale(x, y, w, h);
  const scale = ([low, high], log, size) => (value) =>
    log ? (Math.log(Math.max(value, 1e-12) / low) / Math.log(high / low)) * size : ((value - low) / (high - low)) * size;
  const px = scale(x, xLog, w), rising = scale(y, yLog, h), py = (value) => h - rising(value);
  const inside = element("svg:svg", { x: left, y: top, width: w, height: h, overflow: "hidden" });
  const around = element("svg:svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  for (const value of ticks(x, xLog)) {
    inside.append(element("svg:line", { x1: px(value), x2: px(value), y1: 0, y2: h, stroke: "var(--faint)", "stroke-width": 0.5 }));
    around.append(element("svg:text", { x: left + px(value), y: top + h + 14, "text-anchor": "middle" }, short(value)));
  }
  for (const value of ticks(y, yLog)) {
    inside.append(element("svg:line", { x1: 0, x2: w, y1: py(value), y2: py(value), stroke: "var(--faint)", "stroke-width": 0.5 }));
    around.append(element("svg:text", { x: left - 5, y: top + py(value) + 4, "text-anchor": "end" }, short(value)));
  }
  if (xLabel) around.append(element("svg:text", { x: left + w / 2, y: height - 5, "text-anchor": "middle" }, xLabel));
  if (yLabel) around.append(element("svg:text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(10 ${top + h / 2}) rotate(-90)` }, yLabel));
  for (const layer of layers) inside.append(...marks(layer, px, py, w, h));
  around.append(inside, element("svg:rect", { x: left, y: top, width: w, height: h, fill: "none", stroke: "var(--faint)" }));
  const key = element("div", { class: "pg-key" });
  for (const { label, colour, points, ellipse, dash } of layers.filter((layer) => layer.label)) {
    const mark = element("i", { style: `color: ${COLOURS[colour]}; border-top-style: ${dash ? "dashed" : "solid"}` });
    if (points || ellipse) mark.className = "dot";
    key.append(element("span", {}, mark, label));
  }
  return element("figure", { class: "pg-panel" }, element("figcaption", {}, title), key, around);
}

// Widen one range until a unit is as long across as up.
function sameScale(x, y, w, h) {
  const unit = Math.max((x[1] - x[0]) / w, (y[1] - y[0]) / h);
  const widened = ([low, high], size) => [(low + high - unit * size) / 2, (low + high + unit * size) / 2];
  return [widened(x, w), widened(y, h)];
}

function marks(layer, px, py, w, h) {
  const colour = COLOURS[layer.colour] || "var(--ink)";
  const stroke = { fill: "none", stroke: colour, "stroke-width": layer.width || 2, opacity: layer.opacity || 1, "stroke-linejoin": "round" };
  if (layer.dash) stroke["stroke-dasharray"] = "5 4";
  if (layer.line || layer.lines) {
    return (layer.lines || [layer.line]).map(([xs, ys]) => {
      let path = "", pen = "M";
      xs.forEach((value, i) => {
        if (value === null || ys[i] === null) return (pen = "M"); // a gap
        path += `${pen}${px(value).toFixed(1)} ${py(ys[i]).toFixed(1)}`;
        pen = "L";
      });
      return element("svg:path", { d: path, ...stroke });
    });
  }
  if (layer.points) {
    const [xs, ys] = layer.points;
    const dot = (value, i) => element("svg:circle", {
      cx: px(value).toFixed(1), cy: py(ys[i]).toFixed(1), r: layer.radius || 2.2, fill: colour, opacity: layer.opacity || 1 });
    return xs.map((value, i) => [value, i]).filter(([value, i]) => value !== null && ys[i] !== null).map(([value, i]) => dot(value, i));
  }
  if (layer.bars) {
    const wide = (layer.to - layer.from) / layer.bars.length;
    return layer.bars.map((value, i) => element("svg:rect", {
      x: px(layer.from + i * wide), width: Math.max(px(layer.from + wide) - px(layer.from) - 0.5, 0.5),
      y: Math.min(py(value), py(0)), height: Math.abs(py(0) - py(value)), fill: colour, opacity: layer.opacity || 0.7 }));
  }
  if (layer.ellipse) {
    const [x, y, rx, ry] = layer.ellipse;
    return [element("svg:ellipse", { cx: px(x), cy: py(y), rx: px(x + rx) - px(x), ry: py(y) - py(y + ry), ...stroke })];
  }
  const ends = layer.vertical !== undefined
    ? { x1: px(layer.vertical), x2: px(layer.vertical), y1: 0, y2: h } : { x1: 0, x2: w, y1: py(layer.horizontal), y2: py(layer.horizontal) };
  return [element("svg:line", { ...ends, ...stroke })];
}

// Robots side by side, each as drawn_robots of robot.py describes it.
function robots(title, pictures) {
  const row = element("div", { style: "display: grid; grid-template-columns: repeat(auto-fit, minmax(110px, 1fr)); gap: 4px" });
  for (const { size: [width, height], level, ticks, shapes } of pictures) {
    const picture = element("svg:svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
    picture.append(element("svg:rect", { width, height, fill: "#eef3f8" }));
    if (level !== null && level < height) {
      picture.append(element("svg:rect", { y: level, width, height: height - level, fill: "#d6cebe" }));
      for (const x of ticks) picture.append(element("svg:path", { d: `M${x} ${level}l-4 8`, stroke: "#b0a692", "stroke-width": 1.5 }));
    }
    for (const [red, green, blue, radius, ...numbers] of shapes) {
      const fill = `rgb(${red} ${green} ${blue})`, ink = "#2d3748";
      const d = `M${numbers.join(" ")}`;
      if (radius === null) {
        picture.append(element("svg:path", { d: `${d}Z`, fill, stroke: ink }));
        continue;
      }
      for (const [colour, width] of [[ink, 2 * radius + 2.5], [fill, 2 * radius]]) { // the outline is a larger shape below
        picture.append(element("svg:path", { d, fill: "none", stroke: colour, "stroke-width": width, "stroke-linecap": "round" }));
      }
    }
    row.append(picture);
  }
  return element("figure", { class: "pg-panel" }, element("figcaption", {}, title), row);
}

// ---- frozen grid

// Stands in for the kernel's model in a page that has none.
function standIn(state) {
  const nothing = () => {};
  return { get: (name) => state[name], set: nothing, on: nothing, off: nothing, send: nothing, save_changes: nothing };
}

function frozenFrame(frozen, state) {
  let place = 0;
  for (const [name, values] of Object.entries(frozen.grid)) place = place * values.length + values.indexOf(state[name]);
  const found = frozen.frames[place];
  if (typeof found === "string") return { state, data: null, error: found };
  return { state, error: null, data: Object.fromEntries(frozen.keys.map((key, i) => [key, frozen.pool[found[i]]])) };
}

// ---- the widget

function render({ model, el }) {
  const live = Boolean(model.get("live")), frozen = live ? null : model.get("frozen");
  const view = Math.random().toString(36).slice(2); // answers name who asked
  const first = model.get("frame");
  const state = { ...first.state };
  let asked = 0, waiting = false, changed = false, timer = null, patience = null;

  const busy = element("span", { class: "pg-busy" }, "computing …");
  const controls = element("div", { class: "pg-controls" });
  const panels = element("div", { class: "pg-panels" });
  const error = element("p", { class: "pg-error", role: "alert" });
  const text = element("p", { class: "pg-text", "aria-live": "polite" });
  const root = element("div", { class: "pg", role: "group", "aria-label": model.get("heading") },
    element("style", {}, STYLE), element("div", { class: "pg-head" }, model.get("heading"), busy), controls, panels, error, text);
  if (!live) {
    root.append(element("p", { class: "pg-note" }, frozen
      ? `${frozen.frames.length} stored settings; in JupyterLab every control moves freely.`
      : "One stored setting: the notebook brings it to life."));
  }
  root.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab would take the arrows
  el.replaceChildren(root);
  const place = { plot: (spec) => panels.append(plot(spec)), add: (node) => panels.append(node) };

  const inputs = model.get("controls").map((control) => makeControl(control, state, live, frozen, move));
  controls.append(...inputs.map((input) => input.root));

  function show(frame) {
    error.textContent = frame.error || "";
    panels.classList.toggle("stale", Boolean(frame.error));
    if (!frame.data) return; // the old picture stays, pale
    panels.replaceChildren();
    draw(place, frame.data, frame.state);
    text.textContent = frame.data.text || "";
    root.dataset.shown = JSON.stringify(frame.state);
  }

  function move(name, value) {
    state[name] = value;
    if (!live) return show(frozenFrame(frozen, { ...state }));
    changed = true;
    busy.textContent = "computing …";
    busy.classList.add("on");
    clearTimeout(timer);
    timer = setTimeout(ask, QUIET_MS);
  }

  // One question at a time: what was moved since goes into the next, so the kernel never works off a queue.
  function ask() {
    if (waiting || !changed) return;
    waiting = true;
    changed = false;
    asked += 1;
    clearTimeout(patience);
    patience = setTimeout(() => (busy.textContent = "the kernel is busy or gone; if gone, run the cell again"), 8000);
    model.send({ number: asked, view, state: { ...state } });
  }

  function answered() {
    const frame = model.get("frame");
    const mine = frame.view === view;
    if (mine ? frame.number !== asked : waiting || changed) return; // stale, or somebody else's
    if (mine) {
      waiting = false;
      clearTimeout(patience);
    } else {
      Object.assign(state, frame.state); // moved from Python or in another view
      inputs.forEach((input) => input.set(frame.state));
    }
    show(frame);
    if (changed) ask();
    else busy.classList.remove("on");
  }

  show(first);
  model.on("change:frame", answered);
  return () => {
    clearTimeout(timer);
    clearTimeout(patience);
    model.off("change:frame", answered);
  };
}

let labels = 0;

function makeControl({ name, label, kind, values, unit }, state, live, frozen, move) {
  const here = live ? [...values] : (frozen && frozen.grid[name]) || [state[name]];
  const id = `pg-${name}-${(labels += 1)}-${Math.random().toString(36).slice(2, 7)}`;
  const output = element("output", { for: id });
  const input = kind === "menu"
    ? element("select", { id }, ...here.map((value, i) => element("option", { value: i }, value)))
    : element("input", { id, type: "range", min: 0, max: here.length - 1, step: 1 });
  const tell = () => {
    const words = `${short(here[input.value])}${unit && " " + unit}`;
    output.textContent = kind === "menu" ? "" : words;
    input.setAttribute("aria-valuetext", words);
  };
  const set = (wanted) => {
    if (!here.includes(wanted[name])) { // set from Python, between two stops
      here.push(wanted[name]);
      if (kind === "slider") here.sort((one, other) => one - other);
      if (kind === "menu") input.append(element("option", { value: here.length - 1 }, wanted[name]));
      input.max = here.length - 1;
    }
    input.value = here.indexOf(wanted[name]);
    tell();
  };
  set(state);
  input.disabled = here.length < 2;
  input.addEventListener("input", () => {
    tell();
    move(name, here[input.value]);
  });
  const root = element("div", { class: `pg-control${input.disabled ? " fixed" : ""}` }, element("label", { for: id }, label), output, input);
  root.dataset.control = name;
  return { root, set };
}
