// Score field: the plane of all routes with the score, and what the denoiser says of each, as a road.
function draw(panels, data) {
  const [x, y] = data.routes, [half, end] = data.seen, [fromX, fromY, toX, toY] = data.arrows;
  const some = (wanted, values) => values.filter((_, n) => data.left[n] === wanted);
  const sides = [[1, "blue", "goes left in the end"], [0, "orange", "goes right"]];
  const rings = data.ways.flatMap(([across, up]) => [1, 2].map((stds) => (
    { ellipse: [across, up, stds * data.std, stds * data.std], colour: "grey", width: 1, opacity: 0.7 })));
  const moved = fromX.map((_, i) => i).filter((i) => Math.hypot(toX[i] - fromX[i], toY[i] - fromY[i]) > 0.05);
  panels.plot({
    title: "All routes under this much noise", x: [-3, 3], y: [-3, 3], square: true, xLabel: "left of the middle, half-way (m)", yLabel: "at the wall (m)",
    layers: [
      ...rings,
      { lines: moved.map((i) => arrow(fromX[i], fromY[i], toX[i], toY[i])), colour: "green", width: 0.8, label: "score" },
      ...sides.map(([wanted, colour, label]) => ({ points: [some(wanted, x), some(wanted, y)], colour, label, radius: 2.6 })),
    ],
  });
  panels.plot({
    title: "What the denoiser says of each", x: [0, 2.1], y: [-3, 3], square: false, xLabel: "along the road", yLabel: "left of the middle (m)",
    layers: [
      ...sides.map(([wanted, colour]) => (
        { lines: some(wanted, half).map((at, n) => [[0, 1, 2], [0, at, some(wanted, end)[n]]]), colour, width: 1, opacity: 0.6 })),
      { line: [[2, 2], [-data.wall, data.wall]], width: 7, label: "wall" },
    ],
  });
}

// A shaft and two barbs, drawn in one line.
function arrow(fromX, fromY, toX, toY) {
  const barb = (turn) => {
    const angle = Math.atan2(toY - fromY, toX - fromX) + Math.PI + turn;
    return [toX + 0.1 * Math.cos(angle), toY + 0.1 * Math.sin(angle)];
  };
  const [[x1, y1], [x2, y2]] = [barb(0.5), barb(-0.5)];
  return [[fromX, toX, x1, toX, x2], [fromY, toY, y1, toY, y2]];
}
