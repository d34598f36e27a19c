// The guided pendulum's frame, computed in the page: the same numbers as pendulum_frame in guided_pendulum.py.
// Settings come from Python: the stored states to begin at (rows), time points and visits, which steps are drawn (rods)
// and told (ahead), and the spread expected about a mean that stands still, by the policy's std.
const RUNAWAY = 100;

function* frameOf(model, { rows, points: P, visits, rods, ahead, expected }, { strength, delay, policy_std: sigma, seed }) {
  const { observation_size: O } = model, policy = { mean: (observations) => policyMean(model, observations), std: [sigma] };
  const first = Float64Array.from(rows.flatMap((row) => [...model.starts.subarray(row * O, (row + 1) * O)]));
  const asked = { first, policy, guidance: { rule: "gradient", scale: strength }, points: P, visits, delay, noise: seededNoise(seed) };
  let end;
  for (end of staggeredChain(model, asked)) yield;
  const { observations, actions } = inRawUnits(model, end), mean = policy.mean(observations);
  const standardised = actions.map((action, i) => (action - mean[i]) / sigma), std = spreadOf(standardised);
  if (!standardised.every((value) => Math.abs(value) < RUNAWAY)) {
    throw new Error("the actions run away: each step overshoots the policy's mean; choose a smaller strength");
  }
  const imagined = range(rows.length).map((row) => range(P).map((h) => [...observations.subarray((row * P + h) * O, (row * P + h + 1) * O)]));
  const real = range(rows.length).map((row) => playPendulum(first.subarray(row * O, (row + 1) * O), actions.subarray(row * P, (row + 1) * P)));
  const errors = medianErrors(imagined, real, model.units.observations.scale), drawn = (values) => [...values.subarray(0, P)];
  const curve = expected[sigma], tips = (states) => rods.map((h) => states[h].slice(0, 2));
  return {
    rods: { imagined: tips(imagined[0]), real: tips(real[0]) },
    actions: { now: drawn(actions), mean: drawn(mean), low: drawn(mean.map((value) => value - sigma)), high: drawn(mean.map((value) => value + sigma)) },
    spread: { expected: curve, chosen: strength, std },
    error: errors[ahead],
    text: sentence(std, between(curve, strength), errors[ahead], ahead),
  };
}

// Standard deviation of some numbers.
function spreadOf(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

// Value of a curve [xs, ys] at x, on a straight line between the logarithms of two of its points.
function between([xs, ys], x) {
  const right = Math.max(xs.findIndex((value) => value >= x), 1), [low, high] = [Math.log(xs[right - 1]), Math.log(xs[right])];
  const share = Math.min(Math.max((Math.log(x) - low) / (high - low), 0), 1);
  return ys[right - 1] ** (1 - share) * ys[right] ** share;
}

function sentence(std, expected, error, ahead) {
  return `${verdictOn(std)}: the actions spread ${std.toFixed(2)} times as far as the policy does; about a mean that stands still it `
    + `would be ${expected.toFixed(2)}. Imagined and true states are ${error.toFixed(2)} of the data's std apart ${ahead} steps ahead.`;
}
