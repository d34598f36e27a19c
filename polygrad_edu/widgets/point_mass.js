// The point mass's true physics, as tasks/point_mass.py: Newton's law with friction, in steps of a twentieth of a second.
const DT = 0.05, MASS = 1, FRICTION = 0.5, FORCE = 4, ARENA = 1;

// Play actions [H, 2] from a state (x, y, v_x, v_y): the states [H, 4] in which they are taken, and how many of them
// come before the mass has left the arena.
export function playPointMass(state, actions) {
  let [x, y, vx, vy] = state;
  const states = [], push = (action) => FORCE * Math.min(Math.max(action, -1), 1);
  for (let step = 0; step < actions.length; step += 2) {
    states.push([x, y, vx, vy]);
    // v' = v + (F - k v) dt / m, x' = x + v' dt
    vx += ((push(actions[step]) - FRICTION * vx) * DT) / MASS;
    vy += ((push(actions[step + 1]) - FRICTION * vy) * DT) / MASS;
    x += vx * DT;
    y += vy * DT;
    if (Math.abs(x) > ARENA || Math.abs(y) > ARENA) break;
  }
  return states;
}
