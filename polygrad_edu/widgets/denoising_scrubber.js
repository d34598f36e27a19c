// Denoising scrubber: the trajectory now, what the denoiser sees in it, and where it ends.
function draw(panels, data) {
  const steps = (values) => values.map((_, i) => i);
  const wide = ([low, high], factor) => [low - factor * (high - low), high + factor * (high - low)];
  if (data.plane) {
    const { now, seen, final } = data.plane;
    panels.plot({
      title: "The way through the arena", square: true, x: [-1.6, 1.6], y: [-1.6, 1.6], xLabel: "x", yLabel: "y",
      layers: [
        { line: [[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]], colour: "grey", width: 1 },
        { line: final, colour: "grey", width: 4, opacity: 0.6, label: "in the end" },
        { line: now, colour: "orange", width: 1, opacity: 0.7 },
        { points: now, colour: "orange", radius: 3.5, label: "now" },
        { line: seen, colour: "blue", label: "what the denoiser sees" },
      ],
    });
  } else {
    panels.add(robots("Now, at steps 0, 3, 6, 9", data.robots.now));
    panels.add(robots("What the denoiser sees in it", data.robots.seen));
  }
  const { label } = data.channel;
  const curves = ({ now, seen, final }, title, y) =>
    panels.plot({
      title, x: acrossSteps(0, final.length - 1), y, xLabel: "step of the trajectory", yLabel: "",
      layers: [
        { line: [steps(final), final], colour: "grey", width: 4, opacity: 0.6, label: "in the end" },
        { points: [steps(now), now], colour: "orange", radius: 3.2, label: "now" },
        { line: [steps(seen), seen], colour: "blue", label: "what the denoiser sees" },
      ],
    });
  curves(data.channel, `State: ${label}`, wide(rangeOf(data.channel.final), 1.2));
  curves(data.rewards, "Reward", wide(rangeOf(data.rewards.final), 1.2));
  const { now, mean, low, high } = data.actions;
  panels.plot({
    title: "First action, and the policy there", x: acrossSteps(0, now.length - 1), y: [-2, 2], xLabel: "step of the trajectory",
    layers: [
      { line: [steps(low), low], colour: "blue", width: 1, dash: true, label: "policy's mean, 1 std" },
      { line: [steps(high), high], colour: "blue", width: 1, dash: true },
      { line: [steps(mean), mean], colour: "blue" },
      { points: [steps(now), now], colour: "orange", radius: 3.2, label: "now" },
    ],
  });
}
