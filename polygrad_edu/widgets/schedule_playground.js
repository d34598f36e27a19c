// Schedule playground: the noised trajectory, and the schedule with the steps that a sampler visits.
function draw(panels, data) {
  const { step, signal, noise } = data.curves;
  const last = step[step.length - 1] || 1;
  panels.plot({
    title: "The trajectory, noised", x: [-3, 3], y: [-3, 3], square: true, xLabel: "x", yLabel: "y",
    layers: [
      { line: data.clean, colour: "grey", label: "clean" },
      { line: data.noised, colour: "orange", width: 0.6, opacity: 0.5 },
      { points: data.noised, colour: "orange", label: `at step ${data.at.step}` },
    ],
  });
  panels.plot({
    title: "How much is left", x: [0, last], y: [0, 1.05], xLabel: "step t", yLabel: "factor",
    layers: [
      { line: [step, signal], colour: "blue", label: "signal" },
      { line: [step, noise], colour: "orange", dash: true, label: "noise" },
      { vertical: data.at.step, colour: "grey", width: 1.2, label: "place in the chain" },
      { points: [data.visits.step, data.visits.signal], colour: "green", radius: 3.2, label: "visited" },
    ],
  });
}
