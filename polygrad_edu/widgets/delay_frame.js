// The delay explorer's frame, computed in the page: the same numbers as delay_frame in delay_explorer.py.
// Settings come from Python: the stored states to begin at (rows), how many trajectories are drawn, the time points.
const runs = new Map(); // the last chain, so that a moved place in it is there at once

function* frameOf(model, settings, { delay, visits, place, seed }) {
  const key = `${delay} ${visits} ${seed}`;
  if (!runs.has(key)) {
    const made = yield* imagineAndPlay(model, settings, delay, visits, seed);
    runs.clear();
    runs.set(key, made);
  }
  const { states, calls, errors, real, seconds } = runs.get(key), P = settings.points, now = Math.round(place * (states.length - 1));
  const heights = (states) => states.map(([cos]) => cos), imagined = states[now];
  return {
    heights: { imagined: imagined.map(heights), real: real.map(heights) },
    rods: { at: settings.rods, imagined: settings.rods.map((h) => imagined[0][h].slice(0, 2)), real: settings.rods.map((h) => real[0][h].slice(0, 2)) },
    levels: { made: range(P - 1).map((step) => [step * Math.min(delay, visits), step * Math.min(delay, visits) + visits]), now: place * calls, calls },
    errors: errors.slice(1),
    text: sentence(Math.min(delay, visits), visits, calls, errors, seconds),
  };
}

// The whole chain, of which the drawn trajectories are kept in the environment's units, and what the true physics makes of the actions.
function* imagineAndPlay(model, { rows, drawn, points: P }, delay, visits, seed) {
  const { observation_size: O, action_size: A, guidance } = model, begin = performance.now(), states = [];
  const first = Float64Array.from(rows.flatMap((row) => [...model.starts.subarray(row * O, (row + 1) * O)]));
  const policy = { mean: (observations) => policyMean(model, observations), std: model.policy.std };
  const trajectories = (observations, count) => range(count).map((row) => range(P).map((h) => [...observations.subarray((row * P + h) * O, (row * P + h + 1) * O)]));
  let end, waited = 0;
  for (end of staggeredChain(model, { first, policy, guidance, points: P, visits, delay, noise: seededNoise(seed) })) {
    states.push(trajectories(inRawUnits(model, { trajectory: end.trajectory.subarray(0, drawn * P * (O + 2)), actions: end.actions }).observations, drawn));
    const pause = performance.now();
    yield;
    waited += performance.now() - pause;
  }
  const seconds = (performance.now() - begin - waited) / 1000, { observations, actions } = inRawUnits(model, end);
  const real = range(rows.length).map((row) => playPendulum(first.subarray(row * O, (row + 1) * O), actions.subarray(row * P * A, (row + 1) * P * A)));
  const calls = visits + Math.min(delay, visits) * (P - 2);
  return { states, calls, seconds, real: real.slice(0, drawn), errors: medianErrors(trajectories(observations, rows.length), real, model.units.observations.scale) };
}

function sentence(delay, visits, calls, errors, seconds) {
  const order = delay === 0 ? "All steps at once, as in the paper" : delay === visits ? "One step after the other: autoregressive diffusion"
    : `Each step begins ${delay} visit${delay > 1 ? "s" : ""} after the one before it`;
  const far = (ahead) => errors[ahead].toPrecision(2), last = errors.length - 1;
  return `${order}. ${calls} ${calls === 1 ? "call" : "calls"} of the denoiser in a row, ${seconds.toFixed(2)} s here. `
    + `Imagined and true states are ${far(10)} of the data's std apart ten steps ahead, ${far(last)} after ${last}.`;
}
