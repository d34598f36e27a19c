// Guidance explorer: trajectories, actions, their histogram, the dynamics error, and where the tuned strength lies.
const NORMAL = (() => {
  const xs = Array.from({ length: 81 }, (_, i) => -4 + i / 10);
  return [xs, xs.map((z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI))];
})();

function draw(panels, data, state) {
  const { imagined, real, task } = data.paths;
  const plane = task === "point-mass";
  const starts = imagined.map(([xs, ys]) => [xs[0], ys[0]]);
  panels.plot({
    title: plane ? "Trajectories in the arena" : "The torso's way", square: plane,
    x: plane ? [-1.1, 1.1] : [-0.05, 0.25], y: plane ? [-1.1, 1.1] : [0.9, 1.6],
    xLabel: plane ? "x" : "forward (m)", yLabel: plane ? "y" : "height (m)",
    layers: [
      ...(plane ? [{ line: [[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]], colour: "grey", width: 1 }] : []),
      ...(real ? [{ lines: real, colour: "grey", width: 3, opacity: 0.7, label: "simulated" }] : []),
      { lines: imagined, colour: "blue", width: 1.6, label: "imagined" },
      ...(plane
        ? [{ handles: state.starts?.length ? state.starts : starts, of: "starts", names: "start", colour: "green", label: "starts: drag them" },
          { handles: [state.goal || [0, 0]], of: "goal", names: "goal", colour: "orange", radius: 6, label: "goal" }]
        : [{ points: [starts.map(([x]) => x), starts.map(([, y]) => y)], colour: "green", radius: 3, label: "start" }]),
    ],
  });
  const { chosen, std, tuned, ks } = data.strength;
  panels.plot({
    title: `Standardised: std ${std.toFixed(2)}, KS ${ks.toFixed(2)}`,
    x: [-4, 4], y: [0, Math.max(0.6, Math.max(...data.histogram) * 1.05)], xLabel: "(action - mean) / std", yLabel: "density",
    layers: [
      { bars: data.histogram, from: -4, to: 4, colour: "blue", label: "imagined" },
      { line: NORMAL, colour: "orange", label: "N(0, 1)" },
    ],
  });
  const reach = 4 * data.policy_std;
  panels.plot({
    title: "Actions about the policy's mean", square: true, x: [-reach, reach], y: [-reach, reach], xLabel: "first action", yLabel: "second action",
    layers: [
      { points: data.actions, colour: "blue", opacity: 0.7, label: "imagined" },
      { ellipse: [0, 0, data.policy_std, data.policy_std], colour: "orange", label: "policy, 1 and 2 std" },
      { ellipse: [0, 0, 2 * data.policy_std, 2 * data.policy_std], colour: "orange", width: 1 },
    ],
  });
  if (data.errors) {
    const ahead = data.errors.map((_, i) => i + 1);
    panels.plot({
      title: "Dynamics error", x: acrossSteps(1, ahead.length), y: [0.01, 10], yLog: true, xLabel: "steps ahead", yLabel: "in the data's std",
      layers: [{ line: [ahead, data.errors], colour: "blue" }, { points: [ahead, data.errors], colour: "blue", radius: 3 }],
    });
  }
  if (!data.expected || !panels.answer) return;
  panels.plot({
    title: "Where the right strength lies", x: [1e-4, 3], y: [0.05, 20], xLog: true, yLog: true, xLabel: "guidance strength", yLabel: "std, standardised",
    layers: [
      { horizontal: 1, colour: "grey", width: 1 },
      { line: data.expected, colour: "orange", label: "expected" },
      ...(tuned ? [{ vertical: tuned, colour: "green", dash: true, label: "the right one" }] : []),
      { points: [[chosen], [std]], colour: "blue", radius: 5, label: "yours, measured" },
    ],
  });
}
