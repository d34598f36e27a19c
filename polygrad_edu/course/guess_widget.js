// A question with its lock: live in JupyterLab, and in a page without a kernel. While it waits, what follows is hidden.

const SURE = [["", "(not said)"], [50, "a mere guess, 50%"], [75, "fairly, 75%"], [95, "nearly certain, 95%"]]; // percent

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The field of a question: its element, and a function that gives the guess, or null where there is none yet.
function makeField(name, choices, between) {
  if (choices.length) {
    const buttons = choices.map((choice) => element("input", { type: "radio", name, value: choice }));
    const labels = buttons.map((button, i) => element("label", {}, button, choices[i]));
    const legend = { role: "radiogroup", "aria-label": "Your guess" };
    return [element("fieldset", legend, ...labels), () => buttons.find((button) => button.checked)?.value ?? null];
  }
  if (between.length) {
    const [low, high] = between;
    const slider = element("input", { type: "range", min: low, max: high, step: (high - low) / 100, "aria-label": "Your guess" });
    slider.value = (low + high) / 2;
    const told = element("output", {}, "…");
    let moved = false; // the middle, where it starts, is nobody's guess
    slider.addEventListener("input", () => {
      moved = true;
      told.textContent = String(Number(slider.value));
    });
    return [element("label", {}, String(low), slider, String(high), told), () => (moved ? Number(slider.value) : null)];
  }
  const box = element("input", { type: "text", inputmode: "decimal", autocomplete: "off", placeholder: "a number", "aria-label": "Your guess" });
  const read = () => {
    const typed = box.value.replaceAll(",", "").trim();
    return typed && Number.isFinite(Number(typed)) ? Number(typed) : null;
  };
  return [box, read];
}

// Show the answers that wait for this question in a page without a kernel.
function openAnswers(question, guess) {
  for (const answer of document.querySelectorAll(".guess-answer.waiting")) {
    if (answer.dataset.question !== question) continue;
    if (guess !== null) answer.prepend(`You guessed ${guess}. `);
    answer.classList.remove("waiting");
  }
}

// What this browser remembers of a page's guesses; some browsers forbid it to a file from disk.
function remembered(key, value) {
  try {
    if (value !== undefined) localStorage.setItem(key, JSON.stringify(value));
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function render({ model, el }) {
  const question = model.get("question"), live = Boolean(model.get("live"));
  const [field, read] = makeField(`guess-${Math.random()}`, model.get("choices"), model.get("between"));
  const sure = element("select", {}, ...SURE.map(([percent, words]) => element("option", { value: percent }, words)));
  sure.value = "";
  const lock = element("button", { type: "submit", class: "lock" }, "Lock in");
  const skip = element("button", { type: "button" }, "Show without a guess");
  const form = element("form", {}, field, element("label", {}, "How sure?", sure), lock, skip);
  const said = element("p", { role: "status", tabindex: -1 });
  const root = element("div", { class: "guess", role: "group", "aria-label": `Question ${question}` }, form, said);
  root.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab would take the keys
  el.replaceChildren(root);

  function settle(guess) {
    root.classList.remove("waiting");
    form.hidden = true;
    form.style.display = "none";
    said.textContent = model.get("said") || (guess === null ? "No guess: the answer is open." : `Locked in: ${guess}.`);
    if (!live) {
      remembered(`polygrad-guess ${question}`, { guess });
      openAnswers(question, guess);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const guess = read();
    if (guess === null) {
      said.textContent = model.get("choices").length ? "Choose one of the answers." : model.get("between").length ? "Move the slider to your guess." : "Write a number.";
      return;
    }
    model.send({ guess, sure: sure.value ? Number(sure.value) : null });
    settle(guess); // the kernel may be busy, and what follows need not wait for it
    said.focus(); // the button is gone, and the keyboard goes on from here
  });
  skip.addEventListener("click", () => {
    model.send({ guess: null });
    settle(null);
    said.focus();
  });

  const told = () => settle(null); // the kernel has words for it
  const before = live ? null : remembered(`polygrad-guess ${question}`);
  if (model.get("said")) told();
  else if (before) settle(before.guess);
  else root.classList.add("waiting");
  model.on("change:said", told);
  return () => model.off("change:said", told);
}

// The questions of a page without a kernel.
function bringToLife() {
  for (const place of document.querySelectorAll(".guess-place")) {
    const state = JSON.parse(place.dataset.state);
    render({ model: { get: (name) => state[name], on() {}, off() {}, send() {} }, el: place });
  }
}
