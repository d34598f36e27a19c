// The denoising scrubber's frame, computed in the page: the same numbers as scrubber_frame in denoising_scrubber.py.
// Settings come from Python: the number of visits, the policy's std, the stored state (rows) that each seed begins at.
const chains = new Map(); // by seed, so that a moved slider finds its chain made

function* frameOf(model, settings, { visit: number, seed }) {
  const { observation_size: O } = model, row = settings.rows[seed], policy = policyWith(model, settings.policy_std);
  if (!chains.has(seed)) {
    const first = model.starts.slice(row * O, (row + 1) * O), states = [];
    for (const state of chain(model, { first, policy, guidance: { rule: "fixed-noise" }, visits: settings.visits, noise: seededNoise(seed) })) {
      states.push(state);
      yield;
    }
    chains.set(seed, states);
  }
  const states = chains.get(seed), state = states[number], next = states[number + 1], end = states[settings.visits];
  const seen = { trajectory: next ? next.seen : state.trajectory, actions: state.actions }; // what the next visit finds
  const [now, denoised, final] = [state, seen, end].map((each) => inRawUnits(model, each));
  const mean = policy.mean(denoised.observations).filter((_, i) => i % model.action_size === 0), std = settings.policy_std;
  const column = ({ observations }, k) => [...observations.filter((_, i) => i % O === k)];
  const both = (pick) => ({ now: pick(now), seen: pick(denoised), final: pick(final) });
  const signal = next ? Math.sqrt(next.visit.alphaBar) : 1;
  return {
    plane: both((path) => [column(path, 0), column(path, 1)]), robots: null,
    channel: { label: settings.label, ...both((path) => column(path, 0)) },
    rewards: both((path) => [...path.rewards]),
    actions: {
      now: [...now.actions.filter((_, i) => i % model.action_size === 0)], mean: [...mean],
      low: [...mean.map((value) => value - std)], high: [...mean.map((value) => value + std)],
    },
    text: sentence(number, settings.visits, signal, away(model, state.trajectory, end.trajectory), away(model, seen.trajectory, end.trajectory)),
  };
}

const policyWith = (model, std) => ({ mean: (observations) => policyMean(model, observations), std: Array(model.action_size).fill(std) });

// Root mean square of how far the states of two normalised trajectories are apart.
function away({ observation_size: O }, one, other) {
  const squared = one.map((value, i) => (value - other[i]) ** 2).filter((_, i) => i % (O + 2) < O);
  return Math.sqrt(squared.reduce((sum, value) => sum + value, 0) / squared.length);
}

function sentence(visit, visits, signal, far, seenFar) {
  if (visit === visits) return `After all ${visits} visits: this is what was imagined, and its actions are the policy's.`;
  const before = visit === 0 ? "Before the first visit" : `After ${visit} of ${visits} visits`;
  return `${before} ${(100 * signal).toFixed(0)}% of the signal is there. The states are ${far.toFixed(2)} of the data's std away from where `
    + `they will end; what the denoiser sees in them is ${seenFar.toFixed(2)} away.`;
}
