// A robot that moves in the x-z plane, posed from its links as planar_links of robot.py describes them.

// The capsules' ends [[x, z], [x, z]] in metres, the root at x = 0; `positions` are the root's height and each link's angle.
export function planarRobot(links, [height, ...turns]) {
  const turned = ([x, z], angle) => [x * Math.cos(angle) + z * Math.sin(angle), z * Math.cos(angle) - x * Math.sin(angle)];
  const plus = (a, b, sign = 1) => [a[0] + sign * b[0], a[1] + sign * b[1]];
  const posed = [];
  links.forEach(({ parent, at, anchor, sign, ends }, i) => {
    const before = posed[parent] || { origin: [0, height], angle: 0 }, angle = before.angle + sign * turns[i];
    const origin = plus(plus(before.origin, turned(plus(at, anchor), before.angle)), turned(anchor, angle), -1); // it turns about its anchor
    posed.push({ origin, angle, ends: ends.map((end) => plus(origin, turned(end, angle))) });
  });
  return posed.map(({ ends }) => ends);
}
