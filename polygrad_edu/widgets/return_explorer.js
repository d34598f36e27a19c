// Return explorer: what was paid, what was expected, how much better it went, and which n-step returns were asked.
function draw(panels, data, state) {
  const n = data.rewards.length, steps = data.rewards.map((_, i) => i), all = data.values.map((_, i) => i);
  const ended = data.terminal !== null;
  const across = [-0.6, n + 0.6], end = ended ? [{ vertical: data.terminal + 0.5, colour: "grey", dash: true, label: "the end" }] : [];
  const counts = (heights, wanted) => heights.map((height, i) => (Boolean(data.real[i]) === wanted ? height : 0));
  const halves = (heights) => [
    { bars: counts(heights, true), from: -0.5, to: n - 0.5, colour: "blue" },
    ...(ended ? [{ bars: counts(heights, false), from: -0.5, to: n - 0.5, colour: "grey", opacity: 0.5, label: "no experience" }] : []),
  ];
  panels.plot({
    title: "What was paid", x: across, y: rangeOf([...data.rewards, 0]), xLabel: "step t", yLabel: "reward",
    layers: [...halves(data.rewards), ...end],
  });
  const upto = ended ? data.terminal + 1 : n; // after the end nothing is returned
  panels.plot({
    title: "What was expected, and what came", x: across, y: rangeOf(data.values, data.returns), xLabel: "step t", yLabel: "return",
    layers: [
      ...end.map(({ label, ...line }) => line), // it is named beside
      { lines: steps.slice(0, upto).map((t) => [[t, t], [data.values[t], data.returns[t]]]), colour: "orange", width: 5, opacity: 0.6, label: "advantage" },
      { line: [all, data.values], colour: "grey", width: 1 },
      { points: [all, data.values], colour: "grey", radius: 4, label: "critic's value" },
      { points: [steps.slice(0, upto), data.returns.slice(0, upto)], colour: "blue", radius: 4, label: "lambda-return" },
    ],
  });
  panels.plot({
    title: "Advantages", x: across, y: rangeOf([...data.advantages, 0]), xLabel: "step t", yLabel: "advantage",
    layers: [...halves(data.advantages), { horizontal: 0, colour: "grey", width: 1 }, ...end],
  });
  const ns = steps.map((t) => t + 1), width = [0.4, n + 0.6];
  const cut = ended ? [{ vertical: data.terminal + 1.5, colour: "grey", dash: true, label: "cut off by the end" }] : [];
  panels.plot({
    title: "Weights in step 0's lambda-return", x: width, y: [0, 1.05], xLabel: "n, steps before the critic is asked", yLabel: "weight",
    layers: [{ bars: data.weights, from: 0.5, to: n + 0.5, colour: "green" }, ...cut],
  });
  panels.plot({
    title: "The n-step returns of step 0", x: width, y: rangeOf(data.n_step, [data.values[0]]), xLabel: "n, steps before the critic is asked", yLabel: "return",
    layers: [
      { horizontal: data.values[0], colour: "grey", width: 2, label: "critic's value" },
      { horizontal: data.returns[0], colour: "blue", dash: true, label: "their average" },
      { points: [ns, data.n_step], colour: "green", radius: 4, label: "n-step return" },
      ...cut.map(({ label, ...line }) => line),
    ],
  });
}
