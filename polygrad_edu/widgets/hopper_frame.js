// The frame of the hopper out of the noise, computed in the page: the same numbers as hopper_frame in hopper_from_noise.py.
// Settings come from Python: the stored state to begin at (row), the number of visits, the robot's links, the action drawn.
const chains = new Map(); // the last one, so that a moved visit is there at once

function* frameOf(model, settings, { strength, visit: number, seed }) {
  const { observation_size: O, action_size: A } = model, key = `${strength} ${seed}`;
  const policy = { mean: (observations) => policyMean(model, observations), std: model.policy.std };
  if (!chains.has(key)) {
    const first = model.starts.slice(settings.row * O, (settings.row + 1) * O), states = [];
    const asked = { first, policy, guidance: { rule: "gradient", scale: strength }, visits: settings.visits, noise: seededNoise(seed) };
    for (const state of chain(model, asked)) {
      states.push(state);
      yield;
    }
    chains.clear();
    chains.set(key, states);
  }
  const states = chains.get(key), state = states[number], next = states[number + 1], now = inRawUnits(model, state), end = inRawUnits(model, states[settings.visits]);
  const mean = policy.mean(inRawUnits(model, { trajectory: next ? next.seen : state.trajectory, actions: state.actions }).observations);
  const drawn = (values) => [...values.filter((_, i) => i % A === settings.action)], sigma = model.policy.std[settings.action];
  const endMean = policy.mean(end.observations), squares = end.actions.map((action, i) => ((action - endMean[i]) / model.policy.std[i % A]) ** 2);
  return {
    robots: Array.from({ length: model.horizon }, (_, h) => planarRobot(settings.links, now.observations.slice(h * O, h * O + 1 + settings.links.length))),
    radii: settings.links.map(({ radius }) => radius),
    actions: { now: drawn(now.actions), mean: drawn(mean), low: drawn(mean).map((value) => value - sigma), high: drawn(mean).map((value) => value + sigma) },
    text: sentence(number, settings.visits, Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / squares.length)),
  };
}

function sentence(visit, visits, spread) {
  const where = visit === 0 ? "One real pose, and nine that are noise." : visit === visits ? "Imagined: nine steps ahead, written at once."
    : `After ${visit} of ${visits} visits of the denoiser.`;
  const verdict = spread < 0.8 ? "too strong" : spread > 1.25 ? "too weak" : "about right";
  return `${where} The policy's pull is ${verdict}, the actions end ${spread.toFixed(2)} times as wide as the policy.`;
}
