// What all widgets share: controls, and frames that the page computes, the kernel sends or the frozen grid holds.
// A widget's own file defines draw(panels, data, state).

const QUIET_MS = 40; // a hand in motion is let finish before the kernel is asked
const QUIET_MS_BESIDE_PAGE = 500; // where the page answers by itself, the kernel only hears of it, and completes the frame
const ROOM = 760; // pixels, from which all controls and the pictures fit one screen
const PLAY_MS = 180; // from one value to the next
const SMOOTH_STOPS = 200; // of a slider that may stand between its values
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
.pg-head { display: flex; justify-content: space-between; gap: 8px; font-weight: 600; margin-bottom: 6px; }
.pg-busy { flex: 1; font-size: 12px; font-weight: 400; text-align: right; min-width: 0; overflow: hidden; white-space: nowrap; visibility: hidden; }
.pg-busy.on { visibility: visible; transition: visibility 0s 0.15s; } /* what comes sooner does not flicker */
.pg-controls { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 6px 20px; }
.pg-control { display: flex; flex-wrap: wrap; align-items: center; align-content: start; gap: 0 8px; }
.pg-control label { flex: 1; }
.pg-control input, .pg-control select { flex: 0 0 100%; width: 100%; margin: 2px 0; }
.pg-control input { accent-color: ${COLOURS.blue}; height: 18px; }
@media (pointer: coarse) { .pg-control input { height: 28px; } }
.pg-control select { color: var(--ink); background: var(--paper); border: 1px solid var(--faint); border-radius: 4px;
  padding: 3px; font: inherit; }
.pg-control :focus-visible { outline: 2px solid ${COLOURS.orange}; outline-offset: 0; }
.pg-control.fixed { opacity: 0.55; }
.pg-control output { font-variant-numeric: tabular-nums; }
.pg-panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(250px, 100%), 1fr)); gap: 10px;
  margin-top: 10px; }
.pg .stale { opacity: 0.35; }
.pg .pg-panel { margin: 0; padding: 0; min-width: 0; max-width: 440px; }
.pg .pg-panel figcaption { color: var(--ink); font: 600 13px/1.5 system-ui, sans-serif; margin: 0; padding: 0; text-align: left; }
.pg-key { display: flex; flex-wrap: wrap; gap: 0 12px; font-size: 12px; min-height: 17px; }
.pg-key i { display: inline-block; width: 14px; height: 0; border-top: 3px solid; margin-right: 4px;
  vertical-align: middle; }
.pg-key i.dot { width: 8px; height: 8px; border: 0; border-radius: 50%; background: currentColor; }
.pg-panel svg { display: block; width: 100%; height: auto; }
.pg-panel text { fill: var(--ink); font-size: 11px; }
.pg-error { color: var(--ink); border-left: 4px solid ${COLOURS.orange}; padding: 4px 8px; margin: 8px 0 0; }
.pg-error:empty { display: none; }
.pg .pg-text, .pg .pg-note { margin: 6px 0 0; }
.pg-text { min-height: 2.8em; }
.pg-more { margin-top: 4px; }
.pg-more summary { cursor: pointer; font-size: 13px; }
.pg-more .pg-controls { grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 6px 16px; }
.pg-buttons { display: flex; flex-wrap: wrap; gap: 6px; }
.pg button { font: inherit; font-size: 13px; font-weight: 400; white-space: nowrap; color: var(--ink); background: var(--paper); border: 1px solid var(--ink);
  border-radius: 4px; padding: 2px 10px; cursor: pointer; }
.pg button:disabled { opacity: 0.45; cursor: default; }
.pg :is(button, summary):focus-visible { outline: 2px solid ${COLOURS.orange}; outline-offset: 2px; }
.pg-answer { margin: 8px 0 0; }
.pg-handle { cursor: grab; touch-action: none; outline: none; }
.pg-handle:focus-visible circle:last-child { stroke: ${COLOURS.orange}; stroke-width: 3; }
.pg.holding, .pg.holding * { cursor: grabbing; }
.pg-note { font-size: 12px; opacity: 0.8; }`;

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
  let engine = makeEngine(model, (frame) => show(frame, "page"), (unanswered) => {
    engine = null; // this page forbids Workers
    if (live && unanswered) move();
  });
  const free = live || engine !== null;

  const busy = element("span", { class: "pg-busy" }, "computing …");
  const buttons = element("div", { class: "pg-buttons" });
  const controls = element("div", { class: "pg-controls" }), folded = element("div", { class: "pg-controls" });
  const more = element("details", { class: "pg-more" }, element("summary", {}), folded);
  const panels = element("div", { class: "pg-panels" });
  const error = element("p", { class: "pg-error", role: "alert" });
  const text = element("p", { class: "pg-text", "aria-live": "polite" });
  const root = element("div", { class: "pg", role: "group", "aria-label": model.get("heading") },
    element("style", {}, STYLE), element("div", { class: "pg-head" }, model.get("heading"), busy, buttons), controls, text, error, more, panels);
  const note = live ? "" : engine ? model.get("page_settings").note || "All of this is computed in the page." : frozen
    ? `${frozen.frames.length} stored settings; in JupyterLab every control moves freely.`
    : "One stored setting: the notebook brings it to life.";
  if (note) root.append(element("p", { class: "pg-note" }, note));
  root.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab would take the arrows
  for (const near of ["pointerenter", "focusin"]) root.addEventListener(near, () => engine?.warm({ ...state }), { once: true });
  el.replaceChildren(root);
  const grip = engine && makeGrip(root, (name, place) => move(name, place));
  const place = { plot: (spec) => panels.append(plot(spec, grip)), add: (node) => panels.append(node), answer: false };

  const inputs = model.get("controls").filter(({ kind }) => kind !== "place").map((control) => {
    const made = control.kind === "button" ? makeButton(control, state, free, move) : makeControl(control, state, free, frozen, move);
    (control.kind === "button" ? buttons : control.folded ? folded : controls).append(made.root);
    return made;
  });
  const inside = model.get("controls").filter((control) => control.folded).map(({ label }) => label.toLowerCase());
  more.hidden = !inside.length;
  more.open = root.clientWidth > ROOM || !root.clientWidth;
  more.querySelector("summary").textContent = `More to move: ${inside.join(", ")}`;
  const places = model.get("controls").filter(({ kind }) => kind === "place");
  if (places.length && free) {
    const back = element("button", { type: "button" }, "Put back");
    back.addEventListener("click", () => {
      for (const { name, default: start } of places) state[name] = start;
      move();
    });
    buttons.append(back);
  }
  const answer = makeAnswer((open) => {
    place.answer = open;
    show(shown);
  });
  panels.after(answer.root);

  let shown = first;
  function show(frame, by = "store") {
    shown = frame;
    if (by === "page" && engine.idle()) busy.classList.remove("on");
    error.textContent = frame.error || "";
    for (const part of [panels, text]) part.classList.toggle("stale", Boolean(frame.error));
    if (!frame.data) return; // the old picture and its sentence stay, pale
    const held = panels.querySelector(":focus")?.dataset.handle;
    panels.replaceChildren();
    draw(place, frame.data, state);
    if (held) panels.querySelector(`[data-handle="${held}"]`)?.focus();
    text.textContent = frame.data.text || "";
    answer.set(frame.data.answer || "");
    root.dataset.shown = JSON.stringify(frame.state);
    root.dataset.by = by;
    root.frame = frame; // for whoever wants the numbers
  }

  function move(name, value) {
    if (name) state[name] = value;
    if (live || engine) {
      busy.textContent = "computing …";
      busy.classList.add("on");
    }
    if (engine) engine.ask({ ...state });
    if (!live) return engine ? undefined : show(frozenFrame(frozen, { ...state }));
    changed = true;
    clearTimeout(timer);
    timer = setTimeout(ask, engine ? QUIET_MS_BESIDE_PAGE : QUIET_MS);
  }

  // One question at a time: what was moved since goes into the next, so the kernel never works off a queue.
  function ask() {
    if (waiting || !changed) return;
    waiting = true;
    changed = false;
    asked += 1;
    clearTimeout(patience);
    if (!engine) patience = setTimeout(() => (busy.textContent = "the kernel is busy or gone; if gone, run the cell again"), 8000);
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
    if (!engine || !changed) show(frame, "kernel"); // the page has drawn a later one
    if (changed) ask();
    else if (!engine || engine.idle()) busy.classList.remove("on");
  }

  show(first);
  model.on("change:frame", answered);
  return () => {
    clearTimeout(timer);
    clearTimeout(patience);
    engine?.close();
    model.off("change:frame", answered);
  };
}

let labels = 0;

function makeControl({ name, label, kind, values, unit, smooth, play }, state, free, frozen, move) {
  const between = smooth && free ? smoothStops(values) : null;
  const here = between || (free ? [...values] : (frozen && frozen.grid[name]) || [state[name]]);
  const id = `pg-${name}-${(labels += 1)}-${Math.random().toString(36).slice(2, 7)}`;
  const output = element("output", { for: id });
  const input = kind === "menu"
    ? element("select", { id }, ...here.map((value, i) => element("option", { value: i }, value)))
    : element("input", { id, type: "range", min: 0, max: here.length - 1, step: 1 });
  const tell = (value) => {
    const words = `${short(value)}${unit && " " + unit}`;
    output.textContent = kind === "menu" ? "" : words;
    if (kind !== "menu") input.setAttribute("aria-valuetext", words); // a menu's choice is read out as it is
  };
  const set = (wanted) => {
    const value = wanted[name];
    if (!between && !here.includes(value)) { // set from Python, between two stops
      here.push(value);
      if (kind === "slider") here.sort((one, other) => one - other);
      if (kind === "menu") input.append(element("option", { value: here.length - 1 }, value));
      input.max = here.length - 1;
    }
    input.value = between ? here.findLastIndex((stop) => stop <= value * 1.0001) : here.indexOf(value);
    tell(value);
  };
  set(state);
  input.disabled = here.length < 2;
  input.addEventListener("input", () => {
    tell(here[input.value]);
    move(name, here[input.value]);
  });
  const root = element("div", { class: `pg-control${input.disabled ? " fixed" : ""}` }, element("label", { for: id }, label), output, input);
  root.dataset.control = name;
  if (play && !input.disabled) output.before(makePlay(input));
  return { root, set };
}

// A button that takes a slider to its end, step by step, from the beginning if it is there.
function makePlay(input) {
  const root = element("button", { type: "button" }, "Play");
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    root.textContent = "Play";
  };
  const step = (to) => {
    input.value = to;
    input.dispatchEvent(new Event("input"));
  };
  root.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (input.value === input.max) step(0);
    root.textContent = "Pause";
    timer = setInterval(() => {
      if (input.value === input.max || !root.isConnected) return stop();
      step(Number(input.value) + 1);
    }, PLAY_MS);
  });
  return root;
}

// Numbers from the first value to the last, evenly spread in their logarithm and fine enough for a hand.
function smoothStops(values) {
  const low = values[0], high = values[values.length - 1];
  return Array.from({ length: SMOOTH_STOPS + 1 }, (_, i) => Number((low * (high / low) ** (i / SMOOTH_STOPS)).toPrecision(3)));
}

// A button that goes to the next value.
function makeButton({ name, button, values }, state, free, move) {
  const root = element("button", { type: "button" }, button);
  root.dataset.control = name;
  root.disabled = !free;
  let now = state[name];
  root.addEventListener("click", () => {
    now = values[(values.indexOf(now) + 1) % values.length];
    move(name, now);
  });
  return { root, set: (wanted) => (now = wanted[name]) };
}

// Keeps an answer until it is asked for.
function makeAnswer(opened) {
  const button = element("button", { type: "button", "aria-expanded": "false" }, "Show the answer");
  const words = element("p", { class: "pg-text" });
  const root = element("div", { class: "pg-answer" });
  let answer = "", open = false;
  const tell = () => {
    if (answer && !root.children.length) root.append(button, words);
    root.hidden = !answer;
    words.hidden = !open;
    words.textContent = open ? answer : "";
    button.textContent = open ? "Hide the answer" : "Show the answer";
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => {
    open = !open;
    opened(open);
    tell();
  });
  tell();
  return { root, set: (text) => { answer = text; tell(); } };
}

// Lets the reader move the handles of plots, by pointer or arrows: `moved(name, value)` hears where they are.
function makeGrip(root, moved) {
  const STEP = 0.05, REACH = 0.95; // of an arrow; of the arena
  const now = {}; // the places of the handles, by name
  let held = null;
  const put = (of, i, place) => {
    now[of] = now[of].with(i, place.map((value) => Number(Math.min(Math.max(value, -REACH), REACH).toFixed(3))));
    moved(of, now[of].length > 1 ? now[of] : now[of][0]);
  };
  root.addEventListener("pointermove", (event) => {
    if (!held) return;
    const box = held.around.getBoundingClientRect(), unit = held.around.viewBox.baseVal.width / box.width;
    put(held.of, held.i, held.toValues((event.clientX - box.left) * unit, (event.clientY - box.top) * unit));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    root.addEventListener(end, () => {
      held = null;
      root.classList.remove("holding");
    });
  }
  return ({ part, of, i, places }, around, toValues) => {
    now[of] = places;
    if (held?.of === of && held.i === i) held.around = around; // the plot was drawn anew under the hand
    part.addEventListener("pointerdown", (event) => {
      held = { of, i, around, toValues };
      root.setPointerCapture(event.pointerId); // of the whole widget, because the handle may be drawn anew
      root.classList.add("holding");
      part.focus();
      event.preventDefault();
    });
    part.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] }[event.key];
      if (!step) return;
      event.preventDefault();
      put(of, i, [now[of][i][0] + step[0], now[of][i][1] + step[1]]);
    });
  };
}
