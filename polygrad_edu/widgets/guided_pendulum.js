// Guided pendulum: how wide all actions spread, one of the pendulums, and its actions beside the policy's.
function draw(panels, data) {
  const { rods, actions, spread } = data, rod = ([cos, sin]) => [[0, sin], [0, cos]]; // upright is angle 0
  const { expected, chosen, std } = spread, strengths = expected[0];
  panels.plot({
    title: "Spread of all actions", x: [strengths[0], strengths[strengths.length - 1]], y: [0.05, 20], xLog: true, yLog: true,
    xLabel: "guidance strength", yLabel: "in the policy's std",
    layers: [
      { horizontal: 1, colour: "grey", width: 1 },
      { line: expected, colour: "orange", label: "if its mean stood still" },
      { points: [[chosen], [std]], colour: "blue", radius: 5, label: "measured" },
    ],
  });
  panels.plot({
    title: "One of them, every three steps", square: true, bare: true, x: [-1.1, 1.1], y: [-1.1, 1.1],
    layers: [
      { lines: rods.real.map(rod), colour: "grey", width: 9, opacity: 0.6, label: "true physics" },
      { lines: rods.imagined.map(rod), colour: "blue", width: 3, label: "imagined" },
      { points: [[0], [0]], radius: 4 },
    ],
  });
  const across = actions.now.map((_, i) => i);
  panels.plot({
    title: "Its actions", x: acrossSteps(0, across.length - 1), y: [-2.5, 2.5], xLabel: "step", yLabel: "",
    layers: [
      { line: [across, actions.low], colour: "orange", width: 1, dash: true, label: "policy's mean, 1 std" },
      { line: [across, actions.high], colour: "orange", width: 1, dash: true },
      { line: [across, actions.mean], colour: "orange" },
      { points: [across, actions.now], colour: "blue", radius: 4, label: "imagined" },
    ],
  });
}
