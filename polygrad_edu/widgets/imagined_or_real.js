// Imagined or real: both robots, one observation of both by step, and the error as it grows.
function draw(panels, data) {
  const steps = (values) => values.map((_, i) => i);
  const { label, imagined, real } = data.curves;
  const last = imagined.length - 1, noted = (name) => `${name}, ${data.ahead} step${data.ahead === 1 ? "" : "s"} ahead`;
  panels.add(robots(noted("Imagined"), data.robots.imagined));
  panels.add(robots(noted("Simulated"), data.robots.real));
  panels.plot({
    title: label, x: acrossSteps(0, last), y: rangeOf(imagined, real), xLabel: "steps ahead",
    layers: [
      { vertical: data.ahead, colour: "grey", width: 1 },
      { line: [steps(real), real], colour: "orange", width: 3, opacity: 0.8, label: "simulated" },
      { line: [steps(imagined), imagined], colour: "blue", label: "imagined" },
      { points: [[data.ahead], [imagined[data.ahead]]], colour: "blue", radius: 4 },
      { points: [[data.ahead], [real[data.ahead]]], colour: "orange", radius: 4 },
    ],
  });
  panels.plot({
    title: "Squared error, in the data's variance", x: acrossSteps(0, last), y: [1e-4, 10], yLog: true, xLabel: "steps ahead",
    layers: [
      { line: [data.errors.steps, data.errors.typical], colour: "grey", dash: true, label: "median of many" },
      { line: [steps(data.errors.own), data.errors.own], colour: "blue", label: "this one" },
      { points: [steps(data.errors.own), data.errors.own], colour: "blue", radius: 3.2 },
    ],
  });
}
