// The staggered sampler in plain JavaScript: each step of a trajectory waits `delay` visits for the one before it.
//
// It stands after imagination.js and uses its parts. The Python package is the reference: diffusion_forcing.py,
// step_denoiser.py and staggered_sampler.py. B rows, P time points. A step is an action, its reward and ending, and
// the state that it leads to: so in row t the state has step t's noise level, and action, reward and ending step t + 1's.

const CLEAN = -1; // the diffusion step of what has arrived

// ---- the walk

// Every call of the denoiser: the `visits` that the P points make in it (null: none), the diffusion `steps` that they
// stand at, the points `from` to before `to` that the call is about, and which actions are `guided`, and which `arrive`.
export function staggeredWalk(betas, points, visits, delay, eta = 1) {
  const own = walk(betas, visits, eta), wait = Math.min(delay, visits), last = points - 1, calls = [];
  // where steps wait for each other, an action is decided before its step begins; the first of them in an opening
  for (let call = wait ? -1 : 0; call < visits + wait * (points - 2); call++) {
    const made = Array.from({ length: points }, (_, point) => (point ? call - wait * (point - 1) : visits + 1)); // the first is known
    const visited = made.map((count) => own[count] || null), after = made.map((_, point) => made[Math.min(point + 1, last)]);
    const begin = visited.findIndex(Boolean), end = visited.findLastIndex(Boolean) + 1;
    calls.push({
      visits: visited,
      steps: made.map((count) => own[count]?.step ?? (count > 0 ? CLEAN : own[0].step)),
      from: Math.max(begin - 1, 0), to: end || 1, // the denoiser sees one point before those that move
      asksDenoiser: end > 0,
      guided: after.map((count) => count >= -1 && count < visits - 1),
      arrive: after.map((count) => count === visits - 1),
    });
  }
  return calls;
}

// ---- the denoiser

// The same small network at every step.
DENOISERS["step-mlp"] = ({ tensor, linearAt, normAt }, { depth }) => ({
  enter: linearAt("denoiser/enter"), norm: normAt("denoiser/norm", 1e-5), leave: linearAt("denoiser/leave"),
  blocks: Array.from({ length: depth }, (_, i) => ({
    norm: normAt(`denoiser/blocks.${i}.norm`, 1e-5), enter: linearAt(`denoiser/blocks.${i}.enter`), leave: linearAt(`denoiser/blocks.${i}.leave`) })),
  changeVariance: tensor("forcing/change_variance"), // 1 - \rho^2 of a state variable from one time point to the next
});

// What a noise level is to the denoiser: its share, the logarithm of signal to noise, sines and cosines.
function levelFeatures(step, alphaBar) {
  const share = (step + 1) / alphaBar.length, round = Math.fround; // near 0 and 1 the logarithm shows how numbers are rounded
  const signal = round(Math.min(Math.max(step === CLEAN ? 1 : alphaBar[step], 1e-5), 1 - 1e-5));
  const waves = [1, 2, 4].flatMap((n) => [Math.sin(Math.PI * n * share), Math.cos(Math.PI * n * share)]);
  return [share, Math.log(signal / round(1 - signal)) / 6, ...waves];
}

// A guess at a clean number from the noisy one x and from what the step before says of it (`prior` with `variance`):
// E[x_0 | x', x] = ((1 - \bar\alpha) E[x_0 | x'] + V \sqrt{\bar\alpha} x) / (1 - \bar\alpha + \bar\alpha V)
function guess(x, alphaBar, prior, variance) {
  const total = 1 - alphaBar + alphaBar * variance, signal = Math.sqrt(alphaBar);
  return {
    mean: ((1 - alphaBar) * prior + variance * signal * x) / total,
    std: Math.sqrt((variance * (1 - alphaBar)) / total), surprise: (x - signal * prior) / Math.sqrt(total),
  };
}

// What the denoiser sees in the steps to the points `from + 1` to `to - 1`: a trajectory [B, P, O+2], elsewhere as it is.
function seenByStep(model, { trajectory, actions }, { steps, from, to }, alphaBar, points) {
  const { denoiser, observation_size: O, action_size: A } = model, W = O + 2, B = trajectory.length / (points * W), moving = to - from - 1;
  const signalAt = (step) => (step === CLEAN ? 1 : alphaBar[step]), levels = steps.map((step) => levelFeatures(step, alphaBar));
  const inputs = new Float64Array(B * moving * denoiser.enter.inputs), guesses = [], width = denoiser.enter.inputs;
  const placeOf = (row, point, k) => (row * points + (k < O ? point : point - 1)) * W + k; // the step's state, reward and ending
  for (let row = 0; row < B; row++) {
    for (let point = from + 1; point < to; point++) {
      const before = (row * points + point - 1) * W, own = signalAt(steps[point]), past = signalAt(steps[point - 1]);
      const at = (row * moving + point - from - 1) * width;
      for (let k = 0; k < W; k++) {
        const x = trajectory[placeOf(row, point, k)], change = denoiser.changeVariance[k];
        // E[x_0 | x'] = \rho \sqrt{\bar\alpha'} x', V = 1 - \rho^2 \bar\alpha'; rewards and endings have nothing to do with those before
        const found = k < O ? guess(x, own, Math.sqrt((1 - change) * past) * trajectory[before + k], 1 - past + past * change) : guess(x, own, 0, 1);
        inputs[at + k] = x;
        inputs[at + W + k] = found.surprise;
        guesses.push(found);
      }
      inputs.set(trajectory.subarray(before, before + O), at + 2 * W);
      inputs.set(actions.subarray((row * points + point - 1) * A, (row * points + point) * A), at + 2 * W + O);
      inputs.set([...levels[point], ...levels[point - 1]], at + 2 * W + O + A);
    }
  }
  const output = correction(denoiser, inputs, B * moving), seen = trajectory.slice();
  for (let row = 0, i = 0; row < B; row++) {
    for (let point = from + 1; point < to; point++) {
      const alpha = signalAt(steps[point]);
      for (let k = 0; k < W; k++, i++) {
        const at = placeOf(row, point, k), { mean, std } = guesses[i];
        if (model.prediction === "change") seen[at] = mean + std * output[i];
        else seen[at] = model.prediction === "velocity" ? Math.sqrt(alpha) * trajectory[at] - Math.sqrt(1 - alpha) * output[i] : output[i];
      }
    }
  }
  return seen;
}

// x + a two-layer network of its normalised values, some times over.
function correction({ enter, blocks, norm, leave }, inputs, rows) {
  let x = linear(inputs, rows, enter);
  for (const block of blocks) x = add(x, linear(silu(linear(layerNorm(x, rows, block.norm), rows, block.enter)), rows, block.leave));
  return linear(silu(layerNorm(x, rows, norm)), rows, leave);
}

// ---- the sampler

// Every state of the reverse process, as `chain` of imagination.js gives them: a normalised `trajectory` and `actions`,
// and the `call` that led there. `points` may be any number: the denoiser looks at one step at a time.
export function* staggeredChain(model, { first, policy, guidance, points, visits, delay, noise, eta = 1 }) {
  const { units, betas, observation_size: O, action_size: A } = model, rows = first.length / O, alphaBar = signalVariances(betas);
  const whole = { ...GUIDANCE, ...guidance }, normedFirst = normalise(units.observations, first), kept = noise.actions(0, rows * points * A);
  const begin = withFirst(noise.trajectory(0, rows * points * (O + 2)), normedFirst, { ...model, horizon: points });
  let state = { trajectory: begin, actions: kept, call: null }, draw = 0;
  yield state;
  for (const call of staggeredWalk(betas, points, visits, delay, eta)) {
    draw += 1;
    const wide = call.to - call.from, fresh = eta ? noise.trajectory(draw, rows * wide * (O + 2)) : new Float64Array(rows * wide * (O + 2));
    const seen = call.asksDenoiser ? seenByStep(model, state, call, alphaBar, points) : state.trajectory;
    const { mean, trajectory } = lessNoisy(model, state.trajectory, seen, call, fresh, whole.change_limit, points);
    const asked = whole.guide_at === "posterior_mean" ? mean : seen;
    const drawn = whole.rule === "fixed-noise" ? null : noise.actions(draw, rows * wide * A);
    const actions = state.actions.slice();
    for (let point = call.from; point < call.to; point++) {
      if (!call.guided[point] && !call.arrive[point]) continue; // decided long ago, or not yet to be
      const wanted = policy.mean(denormalise(units.observations, part(atPoint(asked, points, point, O + 2), O + 2, 0, O)));
      const before = denormalise(units.actions, atPoint(state.actions, points, point, A));
      const actionNoise = drawn ? atPoint(drawn, wide, point - call.from, A) : atPoint(kept, points, point, A);
      const stds = call.visits[Math.min(point + 1, points - 1)]?.trainedStds || [];
      const moved = call.guided[point]
        ? guideActions(before, wanted, policy.std, whole, actionNoise, stds, units.actions.scale)
        : clipToPolicy(before, wanted, policy.std, whole.clip_std);
      const within = whole.action_limit ? moved.map((action) => limited(action, whole.action_limit)) : moved;
      normalise(units.actions, within).forEach((action, i) => (actions[(Math.floor(i / A) * points + point) * A + (i % A)] = action));
    }
    state = { trajectory, actions, call };
    yield state;
  }
}

// The trajectory after a call, and its mean before noise: each number by the visit that its own step makes.
function lessNoisy({ observation_size: O }, noisy, seen, { visits, from, to }, fresh, changeLimit, points) {
  const mean = noisy.slice(), trajectory = noisy.slice(), width = O + 2, rows = noisy.length / (points * width);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let point = from; point < to; point++) {
      for (let k = 0; k < width; k++, i++) {
        const visit = visits[k < O ? point : point + 1], at = (row * points + point) * width + k;
        if (!visit) continue; // it rests, or nothing follows it
        const reach = visit.step > CHANGE_LIMIT_STEPS ? Infinity : changeLimit * visit.jump;
        mean[at] += limited(visit.onClean * seen[at] + visit.onNoisy * noisy[at] - noisy[at], reach);
        trajectory[at] = mean[at] + Math.sqrt(visit.variance) * fresh[i];
      }
    }
  }
  return { mean, trajectory };
}

// The numbers [B, size] at one time point of values [B, points, size].
function atPoint(values, points, point, size) {
  const rows = values.length / (points * size), found = new Float64Array(rows * size);
  for (let row = 0; row < rows; row++) found.set(values.subarray((row * points + point) * size, (row * points + point + 1) * size), row * size);
  return found;
}
