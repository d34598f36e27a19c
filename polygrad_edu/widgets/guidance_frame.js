// The guidance explorer's frame, computed in the page: the same numbers as guidance_frame in guidance_explorer.py.
// Settings come from Python: which stored states to begin at (rows), which trajectories (drawn) and actions (shown) to draw.
const BINS = 28, N_PLAYED = 400, N_STRENGTHS = 60, RUNAWAY = 100;

function* frameOf(model, settings, state) {
  const { observation_size: O, action_size: A, horizon: H } = model, { task } = settings, B = settings.rows.length;
  const gradient = state.rule === "gradient", convention = gradient ? state.convention : "polygrad";
  const first = firstObservations(model, settings, state), policy = turnedPolicy(model, state);
  const guidance = { rule: state.rule, convention, scale: gradient ? state.strength : 0 };
  let end;
  for (end of chain(model, { first, policy, guidance, visits: state.sampling_steps, noise: seededNoise(state.seed) })) yield;
  const { observations, actions } = inRawUnits(model, end), mean = policy.mean(observations);
  const deviations = actions.map((action, i) => action - mean[i]);
  const standardised = deviations.map((deviation) => deviation / state.policy_std);
  if (!standardised.every((value) => Math.abs(value) < RUNAWAY)) {
    throw new Error("the actions run away: each step overshoots the policy's mean; choose a smaller strength");
  }
  const trajectories = range(B).map((row) => range(H).map((h) => observations.slice((row * H + h) * O, (row * H + h + 1) * O)));
  const real = task === "point-mass" ? range(B).map((row) => playPointMass(first.slice(row * O, (row + 1) * O), actions.subarray(row * H * A, (row + 1) * H * A))) : null;
  const errors = real ? medianErrors(trajectories, real, model.units.observations.scale) : null;
  const { std, ks } = likeNormal(standardised), [curve, tuned] = gradient ? expectedCurve(model, convention, state) : [null, null];
  const path = (states) => pathOf(states, task, settings.dt, H);
  return {
    paths: { imagined: settings.drawn.map((row) => path(trajectories[row])), real: real ? settings.drawn.map((row) => path(real[row])) : null, task },
    actions: [0, 1].map((k) => settings.shown.map((point) => Math.min(Math.max(deviations[point * A + k], -20), 20))),
    policy_std: state.policy_std,
    histogram: histogram(standardised),
    errors: errors && errors.slice(1).map((error) => error === null ? null : Math.min(error, 10)),
    expected: curve,
    strength: { chosen: guidance.scale, std, tuned, ks },
    text: sentence(state.rule, std, ks, errors),
    answer: answer(state.rule, state.strength, tuned),
  };
}

// The stored states [B, O] to begin at, those that the reader dragged in their new places.
function firstObservations({ starts, observation_size: O }, { rows, drawn }, state) {
  const first = Float64Array.from(rows.flatMap((row) => [...starts.subarray(row * O, (row + 1) * O)]));
  (state.starts || []).forEach((place, i) => first.set(place, drawn[i] * O));
  return first;
}

// The policy with the reader's spread, goal and turn: it sees each place from its goal, and its mean is turned by hand.
function turnedPolicy(model, { policy_std: std, goal = [0, 0], turn = 0 }) {
  const O = model.observation_size, [x, y] = goal, cos = Math.cos((turn * Math.PI) / 180), sin = Math.sin((turn * Math.PI) / 180);
  const mean = (observations) => {
    const seen = x || y ? observations.map((value, i) => value - (i % O === 0 ? x : i % O === 1 ? y : 0)) : observations;
    const wanted = policyMean(model, seen);
    if (turn) {
      for (let i = 0; i < wanted.length; i += 2) {
        const [a, b] = [wanted[i], wanted[i + 1]];
        wanted[i] = cos * a - sin * b;
        wanted[i + 1] = sin * a + cos * b;
      }
    }
    return wanted;
  };
  return { mean, std: Array(model.action_size).fill(std) };
}

// Place across and up [2, H]: the point mass's, or the torso's, whose distance is summed up from its velocity.
function pathOf(states, task, dt, horizon) {
  let forward = 0;
  const at = (state, h) => task === "point-mass" ? [state[0], state[1]] : [h ? (forward += state[5] * dt) : 0, state[0]];
  const places = range(horizon).map((h) => (states[h] ? at(states[h], h) : [null, null])); // after its end an episode shows nothing
  return [0, 1].map((k) => places.map((place) => place[k]));
}

// A density over -4 to 4; what lies outside counts in the last bins.
function histogram(values) {
  const heights = Array(BINS).fill(0);
  for (const value of values) heights[Math.floor(((Math.min(Math.max(value, -3.99), 3.99) + 4) / 8) * BINS)] += 1;
  return heights.map((height) => ((height / values.length) * BINS) / 8);
}

// Standard deviation, and the largest distance of the distribution function from the standard normal one.
function likeNormal(values) {
  const n = values.length, sorted = Float64Array.from(values).sort(), mean = sorted.reduce((sum, value) => sum + value, 0) / n;
  const std = Math.sqrt(sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n);
  const ks = sorted.reduce((far, value, i) => Math.max(far, (i + 1) / n - normalCdf(value), normalCdf(value) - i / n), 0);
  return { std, ks };
}

// \Phi(z), to seven digits (Abramowitz and Stegun, 26.2.17)
function normalCdf(z) {
  const t = 1 / (1 + 0.2316419 * Math.abs(z)), density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  const tail = density * t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z > 0 ? 1 - tail : tail;
}

// Strengths, the spread expected at each if the policy's mean stood still, and where that first falls through 1.
const curves = new Map();
function expectedCurve(model, convention, { policy_std: std, sampling_steps: visits }) {
  const key = `${convention} ${std} ${visits}`;
  if (!curves.has(key)) {
    const scales = range(N_STRENGTHS).map((i) => 10 ** (-4 + (i * (Math.log10(3) + 4)) / (N_STRENGTHS - 1)));
    const spread = scales.map((scale) => Math.min(Math.max(expectedStd(model, convention, scale, std, visits) || 1e3, 1e-3), 1e3));
    const below = spread.findIndex((value) => value < 1);
    let right = null;
    if (below > 0) { // a straight line between logarithms
      const [x, next] = [Math.log(scales[below - 1]), Math.log(scales[below])], [y, after] = [Math.log(spread[below - 1]), Math.log(spread[below])];
      right = Math.exp(x + ((next - x) * y) / (y - after));
    }
    curves.set(key, [[scales, spread], right]);
  }
  return curves.get(key);
}

// Spread of actions about a mean that stands still, relative to the policy's: the gradient rule itself, played.
function expectedStd({ betas, action_size: A, units }, convention, scale, policyStd, visits) {
  const alphaBar = signalVariances(betas), unit = units.actions.scale, count = N_PLAYED * A, mean = new Float64Array(count), std = Array(A).fill(policyStd);
  let actions = standardNormal(0, 0, count).map((value, i) => value * unit[i % A]), clip = 0;
  walk(betas, visits).forEach((visit, i) => {
    const here = guidanceAt(visit, { ...GUIDANCE, convention, scale }, betas, alphaBar);
    clip = here.clip_std;
    if (visit.trainedStds.length) actions = guideActions(actions, mean, std, here, playedNoise(i + 1, count), visit.trainedStds, unit);
  });
  const last = clipToPolicy(actions, mean, std, clip);
  return Math.sqrt(last.reduce((sum, action) => sum + action ** 2, 0) / count) / policyStd;
}

// The noise of the n-th visit is the same at all strengths, so it is drawn once.
const played = new Map();
function playedNoise(visit, count) {
  if (!played.has(visit)) played.set(visit, standardNormal(0, visit, count));
  return played.get(visit);
}

function sentence(rule, std, ks, errors) {
  let words = `${verdictOn(std)}: standardised, the actions' std is ${std.toFixed(2)} (1 is right), their distance to N(0, 1) ${ks.toFixed(2)} (KS; 0 is right).`;
  if (errors) {
    const ahead = errors.findLastIndex((error) => error !== null); // the last step that any trajectory reached
    words += ` ${ahead} steps ahead, imagined and true states are ${errors[ahead].toFixed(2)} of the data's std apart.`;
  }
  return rule === "gradient" ? words : `${words} The rule ${rule} has no strength and one convention.`;
}

function answer(rule, strength, tuned) {
  if (rule !== "gradient") return "";
  const where = tuned ? `about ${Number(tuned.toPrecision(2))}` : "at none";
  return `If the policy's mean stood still, the right strength would be ${where}; yours is ${Number(strength.toPrecision(2))}.`;
}
