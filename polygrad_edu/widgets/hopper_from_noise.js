// A hopper out of the noise: its poses side by side, and one torque with the policy that pulls it.
const SCENE = { left: -0.6, right: 0.5, top: 1.7, bottom: -0.3 }; // metres

function draw(panels, data) {
  const figure = poses(data.robots, data.radii);
  panels.add(figure);
  const { now, mean, low, high } = data.actions, across = now.map((_, i) => i);
  panels.plot({
    title: "Torque at the knee", x: acrossSteps(0, now.length - 1), y: [-2, 2], xLabel: "step", yLabel: "",
    layers: [
      { line: [across, low], colour: "blue", width: 1, dash: true, label: "policy's mean, 1 std" },
      { line: [across, high], colour: "blue", width: 1, dash: true },
      { line: [across, mean], colour: "blue" },
      { points: [across, now], colour: "orange", radius: 4, label: "imagined" },
    ],
  });
  playOnce(figure);
}

// The poses in two rows, beside the torque where there is room: the real one in grey, then what is imagined.
function poses(robots, radii) {
  const { left, right, top, bottom } = SCENE, unit = 100;
  const row = element("div", { style: "display: grid; grid-template-columns: repeat(5, 1fr); gap: 2px" });
  robots.forEach((links, step) => {
    const words = step ? `+${step}` : "real";
    const picture = element("svg:svg", { viewBox: `0 0 ${unit * (right - left)} ${unit * (top - bottom)}`, role: "img", "aria-label": `Pose ${words}`,
      style: "overflow: visible" }); // a pose that is still noise may reach out of its place
    const place = ([x, z]) => `${(unit * (x - left)).toFixed(1)} ${(unit * (top - z)).toFixed(1)}`;
    picture.append(element("svg:path", { d: `M${place([left, 0])}L${place([right, 0])}`, stroke: "var(--ink)", "stroke-width": 1.5 }));
    links.forEach(([from, to], i) => {
      for (const [colour, more] of [["var(--ink)", 3], [step ? COLOURS.blue : COLOURS.grey, 0]]) { // the outline is a larger shape below
        picture.append(element("svg:path", { d: `M${place(from)}L${place(to)}`, fill: "none", stroke: colour,
          "stroke-width": 2 * unit * radii[i] + more, "stroke-linecap": "round" }));
      }
    });
    picture.append(element("svg:text", { x: 8, y: 20, style: "font-size: 18px" }, words));
    row.append(picture);
  });
  return element("figure", { class: "pg-panel", style: "grid-column: 1 / -2; max-width: none" }, element("figcaption", {}, "Ten poses, eight milliseconds apart"), row);
}

// The chain plays by itself when the page opens, unless the reader asks for less motion.
let played = false;
function playOnce(figure) {
  if (played || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  played = true;
  setTimeout(() => {
    const play = figure.closest(".pg")?.querySelector("[data-control=visit] button");
    if (play?.textContent === "Play") play.click();
  });
}
