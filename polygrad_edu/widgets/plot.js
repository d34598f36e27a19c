// Plots and robots as SVG, drawn in the colours of the page.

const COLOURS = { blue: "#0072b2", orange: "#d55e00", green: "#009e73", grey: "#999999" }; // told apart by everyone
const SVG = "http://www.w3.org/2000/svg";

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
  const rough = (high - low) / 5;
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

// The range from one step to another, a little wider, so that dots at its ends are whole.
const acrossSteps = (first, last) => [first - 0.3, last + 0.3];

// One picture, `bare` without axes. Layers, drawn in order, each with a colour and perhaps a label:
//   { line: [xs, ys] }, { lines: [[xs, ys], ...] }, { points: [xs, ys] }, { bars: heights, from, to },
//   { vertical: x }, { horizontal: y }, { ellipse: [x, y, radiusX, radiusY] },
//   { handles: [[x, y], ...], of: "name" }, which the reader can move; `grip` hears of it.
function plot({ title, x, y, xLabel = "", yLabel = "", xLog = false, yLog = false, square = false, bare = false, layers }, grip) {
  const width = 320, height = square ? 260 : 220, left = bare ? 1 : 46, right = bare ? 1 : 8, top = 6, bottom = xLabel ? 36 : bare ? 1 : 22;
  const w = width - left - right, h = height - top - bottom;
  if (square) [x, y] = sameScale(x, y, w, h);
  const scale = ([low, high], log, size) => (value) =>
    log ? (Math.log(Math.max(value, 1e-12) / low) / Math.log(high / low)) * size : ((value - low) / (high - low)) * size;
  const px = scale(x, xLog, w), rising = scale(y, yLog, h), py = (value) => h - rising(value);
  const inside = element("svg:svg", { x: left, y: top, width: w, height: h, overflow: "hidden" });
  const role = grip && layers.some((layer) => layer.handles) ? "group" : "img"; // an image holds nothing to move
  const around = element("svg:svg", { viewBox: `0 0 ${width} ${height}`, role, "aria-label": title });
  for (const value of bare ? [] : ticks(x, xLog)) {
    inside.append(element("svg:line", { x1: px(value), x2: px(value), y1: 0, y2: h, stroke: "var(--faint)", "stroke-width": 0.5 }));
    around.append(element("svg:text", { x: left + px(value), y: top + h + 14, "text-anchor": "middle" }, short(value)));
  }
  for (const value of bare ? [] : ticks(y, yLog)) {
    inside.append(element("svg:line", { x1: 0, x2: w, y1: py(value), y2: py(value), stroke: "var(--faint)", "stroke-width": 0.5 }));
    around.append(element("svg:text", { x: left - 5, y: top + py(value) + 4, "text-anchor": "end" }, short(value)));
  }
  if (xLabel) around.append(element("svg:text", { x: left + w / 2, y: height - 5, "text-anchor": "middle" }, xLabel));
  if (yLabel) around.append(element("svg:text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(10 ${top + h / 2}) rotate(-90)` }, yLabel));
  for (const layer of layers) if (!layer.handles) inside.append(...marks(layer, px, py, w, h));
  const toValues = (across, down) => [x[0] + ((across - left) / w) * (x[1] - x[0]), y[1] - ((down - top) / h) * (y[1] - y[0])];
  for (const layer of layers) if (layer.handles) inside.append(...handles(layer, px, py, grip && ((part) => grip(part, around, toValues))));
  around.append(inside, element("svg:rect", { x: left, y: top, width: w, height: h, fill: "none", stroke: "var(--faint)", "pointer-events": "none" }));
  const key = element("div", { class: "pg-key" });
  for (const { label, colour, points, handles, ellipse, dash } of layers.filter((layer) => layer.label)) {
    const mark = element("i", { style: `color: ${COLOURS[colour]}; border-top-style: ${dash ? "dashed" : "solid"}` });
    if (points || ellipse || handles) mark.className = "dot";
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

// Points that can be moved: a larger circle without colour takes the finger, and arrows move the one in focus.
function handles({ handles: places, of, colour, names, radius = 4 }, px, py, grip) {
  return places.flatMap(([x, y], i) => {
    const at = { cx: px(x).toFixed(1), cy: py(y).toFixed(1) }, dot = { ...at, r: radius, fill: COLOURS[colour], "pointer-events": "none" };
    if (!grip) return [element("svg:circle", dot)];
    const words = `${names} ${places.length > 1 ? i + 1 : ""}`.trim();
    const part = element("svg:g", { class: "pg-handle", tabindex: 0, role: "slider", "aria-label": `${words}: arrows move it`, "data-handle": `${of} ${i}`,
      "aria-valuenow": x.toFixed(2), "aria-valuetext": `x ${x.toFixed(2)}, y ${y.toFixed(2)}` },
      element("svg:circle", { ...at, r: 11, fill: "transparent" }), element("svg:circle", dot));
    grip({ part, of, i, places });
    return [part];
  });
}

// Robots side by side in pairs, so that of four none stands alone; each as drawn_robots of robot.py describes it.
function robots(title, pictures) {
  const row = element("div", { style: "display: grid; grid-template-columns: repeat(auto-fit, minmax(min(140px, 100%), 1fr)); gap: 4px" });
  for (let i = 0; i < pictures.length; i += 2) {
    const pair = pictures.slice(i, i + 2).map((described) => robot(title, described));
    row.append(element("div", { style: `display: grid; grid-template-columns: repeat(${pair.length}, minmax(0, 1fr)); gap: 4px` }, ...pair));
  }
  return element("figure", { class: "pg-panel" }, element("figcaption", {}, title), row);
}

function robot(title, { size: [width, height], level, ticks, shapes }) {
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
  return picture;
}
