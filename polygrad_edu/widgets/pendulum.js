// The pendulum's true physics, as Gymnasium's Pendulum-v1: a rod that a weak motor must swing up, in steps of a twentieth of a second.
const PENDULUM = { dt: 0.05, gravity: 10, mass: 1, length: 1, torque: 2, speed: 8 };

// Play actions [H] from a state (cos, sin, speed), upright at angle 0: the states [H, 3] in which they are taken.
export function playPendulum([cos, sin, speed], actions) {
  const { dt, gravity: g, mass: m, length: l, torque, speed: fastest } = PENDULUM;
  let angle = Math.atan2(sin, cos), w = speed;
  return Array.from(actions, (action) => {
    const state = [Math.cos(angle), Math.sin(angle), w], u = torque * Math.min(Math.max(action, -1), 1);
    // w' = w + (3 g / 2 l \sin(angle) + 3 u / m l^2) dt, angle' = angle + w' dt
    w = Math.min(Math.max(w + ((3 * g) / (2 * l) * Math.sin(angle) + (3 / (m * l ** 2)) * u) * dt, -fastest), fastest);
    angle += w * dt;
    return state;
  });
}
