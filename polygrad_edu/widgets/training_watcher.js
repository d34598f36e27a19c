// Training watcher: three curves, and in the live view the buttons, how far the run is, and the policy's film.
function draw(panels, data) {
  const x = [0, 1.06 * data.progress.of];
  const both = (name) => [
    ...(data.kept ? [{ line: data.kept[name], colour: "grey", label: "the course's run" }] : []),
    { line: data.run[name], colour: "blue", label: data.run[name][0].length ? "this run" : "" },
    ...(data.run[name][0].length < 12 ? [{ points: data.run[name], colour: "blue", radius: 3 }] : []),
  ];
  const values = (name) => [data.run[name][1], data.kept ? data.kept[name][1] : []];
  panels.plot({ title: "Return of the evaluated policy", x, y: rangeOf(...values("return"), [0]), xLabel: "real steps", yLabel: "return", layers: both("return") });
  panels.plot({ title: "World model's loss", x, y: rangeOf(...values("loss"), [0]), xLabel: "real steps", yLabel: "loss", layers: both("loss") });
  panels.plot({
    title: "On-policy std (1 is right)", x, y: rangeOf(...values("std"), [0.8, 1.2]), xLabel: "real steps", yLabel: "in units of the policy's",
    layers: [{ horizontal: 1, colour: "orange", dash: true, width: 1.6, label: "on-policy" }, ...both("std")],
  });
}

const BUTTONS = `
.pg-run { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 12px; grid-column: 1 / -1; }
.pg-run button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--ink); border-radius: 4px;
  padding: 3px 14px; min-width: 84px; cursor: pointer; }
.pg-run button[aria-disabled="true"] { opacity: 0.45; cursor: default; }
.pg-run button:focus-visible { outline: 2px solid ${COLOURS.orange}; outline-offset: 2px; }
.pg-run progress { flex: 1 1 120px; accent-color: ${COLOURS.blue}; }
.pg-film { margin: 10px 0 0; max-width: 260px; }
.pg-film video { display: block; width: 100%; }
.pg-film figcaption { font: 600 13px/1.5 system-ui, sans-serif; color: var(--ink); }`;

// The live view. A button that does nothing now stays in place, and so does the keyboard on it.
function renderWatcher({ model, el }) {
  const done = render({ model, el });
  const button = () => element("button", { type: "button" });
  const toggle = button(), stop = button(), bar = element("progress"), far = element("span", { class: "pg-far" });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const video = element("video", { controls: "", loop: "", playsinline: "", ...(still ? {} : { autoplay: "" }), "aria-label": "the policy's episode" });
  video.muted = true;
  const film = element("figure", { class: "pg-film" }, element("figcaption", {}, "The best policy so far"), video);
  stop.textContent = "Stop";
  el.querySelector(".pg-controls").append(element("style", {}, BUTTONS), element("div", { class: "pg-run" }, toggle, stop, bar, far));
  el.querySelector(".pg-panels").after(film);
  for (const pressed of [toggle, stop]) {
    pressed.addEventListener("click", () => {
      if (pressed.getAttribute("aria-disabled") === "false") model.send({ press: pressed.textContent });
    });
  }

  function look() {
    const { data } = model.get("frame");
    if (!data) return;
    const { step, of, seconds } = data.progress;
    toggle.textContent = data.buttons.toggle;
    toggle.setAttribute("aria-disabled", data.status === "saving");
    stop.setAttribute("aria-disabled", !data.buttons.stop);
    bar.max = of;
    bar.value = step;
    bar.setAttribute("aria-label", "real steps");
    if (data.status === "training" && !step) bar.removeAttribute("value"); // it is starting
    far.textContent = data.status === "new" ? "" : `${data.status}: ${step.toLocaleString("en")} of ${of.toLocaleString("en")} steps, ${seconds} s`;
    el.querySelector(".pg").dataset.status = data.status;
  }

  function show() {
    film.hidden = !model.get("film");
    if (model.get("film")) video.src = model.get("film");
  }

  look();
  show();
  model.on("change:frame", look);
  model.on("change:film", show);
  return () => {
    done();
    model.off("change:frame", look);
    model.off("change:film", show);
  };
}
