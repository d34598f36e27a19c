// Delay explorer: which step is denoised when, the pendulum that comes out, its true way, and how far they are apart.
function draw(panels, data) {
  const { heights, rods, levels, errors } = data;
  const rod = (i, [cos, sin]) => { // three in a row; upright is angle 0
    const x = 2.6 * (i % 3), y = -2.6 * Math.floor(i / 3);
    return [[x, x + sin], [y, y + cos]];
  };
  panels.plot({
    title: `The pendulum, every ${rods.at[1]} steps`, square: true, bare: true, x: [-1.3, 6.5], y: [-3.9, 1.3],
    layers: [
      { lines: rods.real.map((tip, i) => rod(i, tip)), colour: "grey", width: 9, opacity: 0.6, label: "true physics" },
      { lines: rods.imagined.map((tip, i) => rod(i, tip)), colour: "blue", width: 3, label: "imagined" },
      { points: [rods.at.map((_, i) => 2.6 * (i % 3)), rods.at.map((_, i) => -2.6 * Math.floor(i / 3))], radius: 3.5 },
    ],
  });
  panels.plot({
    title: "Which step is denoised when", x: [0, levels.calls], y: [0.5, levels.made.length + 0.5], xLabel: "call of the denoiser", yLabel: "step",
    layers: [
      { lines: levels.made.map((calls, i) => [calls, [i + 1, i + 1]]), colour: "orange", width: 4, label: "makes its visits" },
      { vertical: levels.now, colour: "grey", width: 1.5, label: "place in the chain" },
    ],
  });
  const across = heights.real[0].map((_, i) => i), ways = (several) => several.map((one) => [across, one]);
  panels.plot({
    title: "Height of the tip", x: [0, across.length - 1], y: [-1.6, 1.6], xLabel: "step", yLabel: "1 is upright",
    layers: [
      { lines: ways(heights.real), colour: "grey", width: 4, opacity: 0.6, label: "true physics" },
      { lines: ways(heights.imagined), colour: "blue", width: 1.6, label: "imagined" },
    ],
  });
  const ahead = errors.map((_, i) => i + 1);
  panels.plot({
    title: "Error at the end of the chain", x: [1, ahead.length], y: [0.001, 10], yLog: true, xLabel: "steps ahead", yLabel: "in the data's std",
    layers: [{ line: [ahead, errors], colour: "blue" }],
  });
}
