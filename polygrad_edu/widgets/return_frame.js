// The return explorer's frame, computed in the page: the same numbers as return_frame in return_explorer.py.
// Settings come from Python: the rewards and values [H] of a trajectory, of which the last state has no action.

// Quick, so it yields nothing.
function* frameOf(_model, { rewards, values }, { lambda_: lambda, gamma, terminal }) {
  const n = rewards.length - 1, end = terminal === "none" ? Infinity : terminal;
  const estimate = (steps, weight) => advantagesOf(rewards, values, gamma, weight, end, steps);
  const advantages = estimate(n, lambda), returns = advantages.map((advantage, t) => advantage + values[t]), weights = returnWeights(lambda, n, end);
  return {
    rewards: rewards.slice(0, n), values, terminal: end === Infinity ? null : end, returns, advantages,
    real: advantages.map((_, t) => (t <= end ? 1 : 0)),
    n_step: advantages.map((_, i) => estimate(i + 1, 1)[0] + values[0]), // R^{(n)}_0
    weights,
    text: sentence(values[0], returns[0], advantages[0], weights, end),
  };
}

// Advantages of the first `steps` steps: A_t = \delta_t + \gamma \lambda (1 - d_t) A_{t+1}
function advantagesOf(rewards, values, gamma, lambda, end, steps) {
  const found = Array(steps).fill(0);
  let next = 0;
  for (let t = steps - 1; t >= 0; t--) {
    const alive = t === end ? 0 : 1;
    // \delta_t = r_t + \gamma (1 - d_t) V(s_{t+1}) - V(s_t)
    found[t] = rewards[t] + gamma * alive * values[t + 1] - values[t] + gamma * lambda * alive * next;
    next = found[t];
  }
  return found;
}

// Weights of the returns of 1, 2, ... n steps in the lambda-return of step 0; from the end on they are the same return.
function returnWeights(lambda, n, end) {
  const last = Math.min(end + 1, n);
  // w_n = (1 - \lambda) \lambda^{n-1}, and the last gets the rest
  return Array.from({ length: n }, (_, i) => (i + 1 < last ? (1 - lambda) * lambda ** i : i + 1 === last ? lambda ** i : 0));
}

function sentence(value, lambdaReturn, advantage, weights, end) {
  const short = (number) => String(Number(number.toPrecision(4))), plural = (count) => (count === 1 ? "" : "s");
  const verdict = Math.abs(advantage) < 5e-4 ? "as good as" : advantage > 0 ? "better than" : "worse than";
  let words = `From step 0 on the lambda-return is ${short(lambdaReturn)}, where the critic said ${short(value)}: an advantage `
    + `of ${advantage < 0 ? "" : "+"}${short(advantage)}, so the action was ${verdict} usual. `;
  const counted = weights.filter((weight) => weight > 0), steps = weights.findIndex((weight) => weight > 0) + 1;
  const asked = weights.reduce((sum, weight, i) => sum + (i + 1) * weight, 0);
  words += counted.length === 1 ? `All the weight is on the return of ${steps} step${plural(steps)}. `
    : `The return of 1 step counts ${Math.round(100 * weights[0])}%; on average a return of ${asked.toFixed(1)} steps is asked. `;
  if (end === Infinity) return `${words}No terminal flag: the critic speaks for all that comes after the last step.`;
  const after = weights.length - 1 - end;
  return `${words}The episode ends at step ${end}: nothing is expected after it, `
    + `and the ${after} step${plural(after)} behind it ${after === 1 ? "is" : "are"} no experience.`;
}
