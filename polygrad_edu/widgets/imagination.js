// An imagination in plain JavaScript: policy-guided trajectory diffusion (arXiv 2312.08533, Algorithm 1), one file.
//
// The Python package is the reference: noise_schedule.py, denoiser.py, trajectory_diffusion.py, score_guidance.py and
// guided_sampler.py say the same at greater length. Here stands what a page needs: an exported model in, imagined
// trajectories out, and nothing is loaded. B rows, H time points, O numbers of an observation, A of an action.
// A batch is one flat array in row-major order: a trajectory [B, H, O+2] holds observation, reward and terminal.

// ---- the exported model

// The model in a file that `polygrad-edu export --browser` wrote: a header of JSON, then the numbers.
export function readModel(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const manifest = JSON.parse(header.__metadata__.manifest);
  const tensor = (name) => {
    const { dtype, data_offsets: [from, to] } = header[name];
    const bytes = buffer.slice(8 + length + from, 8 + length + to);
    return dtype === "F16" ? Float64Array.from(new Uint16Array(bytes), fromHalf) : Float64Array.from(new Float32Array(bytes));
  };
  const linearAt = (name) => {
    const [outputs, inputs] = header[`${name}.weight`].shape;
    return { weight: tensor(`${name}.weight`), bias: tensor(`${name}.bias`), inputs, outputs };
  };
  const normAt = (name, epsilon) => ({ weight: tensor(`${name}.weight`), bias: tensor(`${name}.bias`), epsilon });
  const unitsOf = (name) => ({
    mean: tensor(`normaliser/${name}/mean`), scale: tensor(`normaliser/${name}/scale`), imagined: tensor(`normaliser/${name}/imagined_scale`) });
  return {
    ...manifest,
    betas: tensor("schedule/betas"),
    starts: tensor("starts/observations"), // [N, O] real observations to begin at
    units: { observations: unitsOf("observations"), actions: unitsOf("actions"), rewards: unitsOf("rewards"), terminals: unitsOf("terminals") },
    denoiser: DENOISERS[manifest.denoiser ?? "mlp"]({ tensor, linearAt, normAt }, manifest),
    policy: {
      layers: [linearAt("policy/network.0"), linearAt("policy/network.3"), linearAt("policy/network.6")],
      norms: [normAt("policy/network.1", 1e-3), normAt("policy/network.4", 1e-3)], std: tensor("policy/std"),
    },
  };
}

// The layers of each kind of denoiser, which older files do not name; staggered_imagination.js adds another.
const DENOISERS = {
  mlp: ({ tensor, linearAt, normAt }, { depth }) => ({
    project: linearAt("denoiser/project"), enter: linearAt("denoiser/enter"), leave: linearAt("denoiser/leave"),
    norm: normAt("denoiser/norm", 1e-5), frequencies: tensor("denoiser/embed_step.0.frequencies"),
    embed: [linearAt("denoiser/embed_step.1"), linearAt("denoiser/embed_step.3")],
    blocks: Array.from({ length: depth }, (_, i) => ({
      norm: normAt(`denoiser/blocks.${i}.norm`, 1e-5), linear: linearAt(`denoiser/blocks.${i}.linear`) })),
  }),
};

// The number that 16 bits stand for: a sign, five bits of exponent, ten of fraction.
function fromHalf(half) {
  const sign = half & 0x8000 ? -1 : 1, exponent = (half >> 10) & 31, fraction = half & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

// ---- noise

// Standard normal numbers that depend on the seed, the stream and their place alone, so Python draws the same ones
// (page_noise.py), and one trajectory keeps its noise when others change.
export function standardNormal(seed, stream, count) {
  const start = mix(mix(seed + 0x9e3779b9) + stream); // not from 0, which is its own hash
  const uniform = (place) => (mix(start + place) + 0.5) / 2 ** 32;
  // \sqrt{-2 \ln u} \cos(2 \pi v), the Box-Muller transform
  return Float64Array.from({ length: count }, (_, i) => Math.sqrt(-2 * Math.log(uniform(2 * i))) * Math.cos(2 * Math.PI * uniform(2 * i + 1)));
}

// A hash of 32 bits in which each bit of the answer depends on every bit of the number.
function mix(number) {
  let x = number >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

// The noise of a whole chain: draw 0 is the start, draw n belongs to the n-th visit.
export function seededNoise(seed) {
  return { trajectory: (draw, count) => standardNormal(seed, 2 * draw, count), actions: (draw, count) => standardNormal(seed, 2 * draw + 1, count) };
}

// ---- noise schedule

// \bar\alpha(u) = \cos(u \pi / 2)^{2 \tau}, the share of the signal's variance that is left (arXiv 2301.10972)
export function cosineBetas(steps, tau) {
  const last = Math.cos(Math.PI / 2) ** (2 * tau); // zero up to rounding, which a small tau magnifies
  const signal = Float64Array.from({ length: steps + 1 }, (_, i) =>
    (last - Math.max(Math.cos((i / steps) * (Math.PI / 2)), 0) ** (2 * tau)) / (last - 1));
  return Float64Array.from({ length: steps }, (_, t) => Math.fround(Math.min(1 - signal[t + 1] / signal[t], 0.999)));
}

// \bar\alpha_t = \prod_{s \le t} (1 - \beta_s), rounded to 32 bits as the package keeps it
export function signalVariances(betas) {
  let left = 1;
  return Float64Array.from(betas, (beta) => Math.fround((left *= Math.fround(1 - beta))));
}

// Variance and mean of the step from x_t to x_{t-1}; the mean is onClean x_0 + onNoisy x_t. With eta 1 it draws from the
// posterior q(x_{t-1} | x_t, x_0), as the paper does; with eta 0 it draws no noise (DDIM, arXiv 2010.02502).
function posterior(beta, alphaBar, previous, eta = 1) {
  // \tilde\beta_t = \beta_t (1 - \bar\alpha_{t-1}) / (1 - \bar\alpha_t)
  const variance = (eta ** 2 * (beta * (1 - previous))) / (1 - alphaBar);
  if (eta === 1) { // E[x_{t-1} | x_t, x_0] = c_1 x_0 + c_2 x_t
    const onClean = (beta * Math.sqrt(previous)) / (1 - alphaBar), onNoisy = ((1 - previous) * Math.sqrt(1 - beta)) / (1 - alphaBar);
    return { variance, onClean, onNoisy };
  }
  // c_2 = \sqrt{(1 - \bar\alpha_{t-1} - \eta^2 \tilde\beta_t) / (1 - \bar\alpha_t)}, c_1 = \sqrt{\bar\alpha_{t-1}} - c_2 \sqrt{\bar\alpha_t}
  const onNoisy = Math.sqrt(Math.max(1 - previous - variance, 0) / (1 - alphaBar));
  return { variance, onClean: Math.sqrt(previous) - onNoisy * Math.sqrt(alphaBar), onNoisy };
}

// The visits of a sampler to some of the T trained steps, evenly spread, the noisiest first.
export function walk(betas, visits, eta = 1) {
  const stored = signalVariances(betas), last = betas.length - 1, whole = visits === betas.length && eta === 1;
  const stds = Array.from(betas, (beta, t) => Math.sqrt(posterior(beta, stored[t], t ? stored[t - 1] : 1).variance));
  let left = 1; // ratios of tiny signals would lose 32 bits' digits
  const alphaBar = whole ? stored : Float64Array.from(betas, (beta) => (left *= 1 - beta));
  const visited = Array.from({ length: visits }, (_, i) => (visits > 1 ? roundHalfToEven((i * last) / (visits - 1)) : last));
  const made = visited.map((step, index) => {
    const before = index ? visited[index - 1] : -1, previous = index ? alphaBar[before] : 1;
    const beta = whole ? betas[step] : Math.min(1 - alphaBar[step] / previous, 1 - 1e-12); // \beta' = 1 - \bar\alpha_t / \bar\alpha_s
    return {
      step, jump: step - before, alphaBar: alphaBar[step], ...posterior(beta, alphaBar[step], previous, eta),
      trainedStds: stds.slice(Math.max(before + 1, 1), step + 1).reverse(), // the step to x_0 draws nothing
    };
  });
  return made.reverse();
}

function roundHalfToEven(value) {
  const down = Math.floor(value), rest = value - down;
  return rest === 0.5 ? down + (down % 2) : Math.round(value);
}

// ---- networks

// y = W x + b for each row. Four rows and two outputs at a time: each number that is read serves several sums.
function linear(x, rows, { weight, bias, inputs, outputs }) {
  const y = new Float64Array(rows * outputs), lastRow = rows - 1, lastOut = outputs - 1;
  for (let row = 0; row < rows; row += 4) {
    const r1 = Math.min(row + 1, lastRow), r2 = Math.min(row + 2, lastRow), r3 = Math.min(row + 3, lastRow); // the last ones may repeat
    const x0 = row * inputs, x1 = r1 * inputs, x2 = r2 * inputs, x3 = r3 * inputs;
    for (let out = 0; out < outputs; out += 2) {
      const next = Math.min(out + 1, lastOut), w0 = out * inputs, w1 = next * inputs;
      let s00 = bias[out], s01 = bias[next], s10 = s00, s11 = s01, s20 = s00, s21 = s01, s30 = s00, s31 = s01;
      for (let k = 0; k < inputs; k++) {
        const u = weight[w0 + k], v = weight[w1 + k], a = x[x0 + k], b = x[x1 + k], c = x[x2 + k], d = x[x3 + k];
        s00 += a * u;
        s01 += a * v;
        s10 += b * u;
        s11 += b * v;
        s20 += c * u;
        s21 += c * v;
        s30 += d * u;
        s31 += d * v;
      }
      y[row * outputs + out] = s00;
      y[row * outputs + next] = s01;
      y[r1 * outputs + out] = s10;
      y[r1 * outputs + next] = s11;
      y[r2 * outputs + out] = s20;
      y[r2 * outputs + next] = s21;
      y[r3 * outputs + out] = s30;
      y[r3 * outputs + next] = s31;
    }
  }
  return y;
}

// (x - mean) / \sqrt{variance + \epsilon}, scaled and shifted, for each row
function layerNorm(x, rows, { weight, bias, epsilon }) {
  const width = weight.length, y = new Float64Array(x.length);
  for (let row = 0; row < rows; row++) {
    const at = row * width;
    let sum = 0, squares = 0;
    for (let k = 0; k < width; k++) sum += x[at + k];
    const mean = sum / width;
    for (let k = 0; k < width; k++) squares += (x[at + k] - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / width + epsilon);
    for (let k = 0; k < width; k++) y[at + k] = (x[at + k] - mean) * scale * weight[k] + bias[k];
  }
  return y;
}

// Functions of each number, in place of it: no layer needs what it was given again.
function relu(x) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
  return x;
}

function silu(x) {
  for (let i = 0; i < x.length; i++) x[i] /= 1 + Math.exp(-x[i]);
  return x;
}

function elu(x) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = Math.expm1(x[i]);
  return x;
}

function add(x, y) {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
  return x;
}

// What the step is to the denoiser: [t, \sin 2 \pi w t, \cos 2 \pi w t], then two layers.
function embedStep({ denoiser, step_unit: unit }, step) {
  const round = Math.fround, t = round(unit * step); // phases may reach thousands of radians, so they are rounded as in Python
  const angles = denoiser.frequencies.map((frequency) => round(round(round(t * frequency) * 2) * round(Math.PI)));
  const features = Float64Array.of(t, ...angles.map(Math.sin), ...angles.map(Math.cos));
  const [first, second] = denoiser.embed;
  return linear(silu(linear(features, 1, first)), 1, second);
}

// The residual MLP: a clean trajectory (or the velocity) [B, H, O+2] from a noisy one, and actions at its signal level.
function denoise(model, trajectory, actions, visit, rows) {
  const { denoiser, horizon, action_size: A } = model, P = model.observation_size + 2;
  const joined = new Float64Array(rows * horizon * (P + A)); // each time point: trajectory, then action
  for (let point = 0; point < rows * horizon; point++) {
    joined.set(trajectory.subarray(point * P, (point + 1) * P), point * (P + A));
    for (let k = 0; k < A; k++) joined[point * (P + A) + P + k] = Math.sqrt(visit.alphaBar) * actions[point * A + k];
  }
  const step = embedStep(model, visit.step), projected = linear(joined, rows, denoiser.project);
  let x = linear(projected.map((value, i) => value + step[i % step.length]), rows, denoiser.enter);
  for (const { norm, linear: layer } of denoiser.blocks) x = add(x, linear(relu(layerNorm(x, rows, norm)), rows, layer));
  return linear(relu(layerNorm(x, rows, denoiser.norm)), rows, denoiser.leave);
}

// The policy's mean \tanh(f(s)) at raw observations [N, O]: [N, A].
export function policyMean({ policy }, observations) {
  const [first, second, last] = policy.layers, rows = observations.length / first.inputs;
  let x = elu(layerNorm(linear(observations, rows, first), rows, policy.norms[0]));
  x = elu(layerNorm(linear(x, rows, second), rows, policy.norms[1]));
  return linear(x, rows, last).map(Math.tanh);
}

// ---- guidance

export const GUIDANCE = {
  rule: "gradient", convention: "polygrad", scale: 0.005, clip_std: 3, change_limit: 0.25, persistence: 0.95, inertia: 0,
  action_noise_scale: 1, precondition: false, guide_at: "reconstruction", action_limit: 0,
};
const CHANGE_LIMIT_STEPS = 10; // the change limit acts at this trained step and below

// How much a convention pulls at each trained step t of T; the step to x_0, t = 0, is unguided or nearly.
function stepWeight(convention, t, betas, alphaBar) {
  if (convention === "diffuser") return posterior(betas[t], alphaBar[t], t ? alphaBar[t - 1] : 1).variance;
  if (t === 0) return 0;
  if (convention === "polygrad") return 1;
  const T = betas.length, done = (T - 1 - t) / T; // policy-guided diffusion: 1 - k / T + 0.3 \sin(\pi (k + 1) / T)
  return 1 - done + 0.3 * Math.sin(Math.PI * (done + 1 / T));
}

// The guidance of one visit: its scale is the mean of the trained steps that it stands for.
function guidanceAt(visit, guidance, betas, alphaBar) {
  const { convention } = guidance, count = visit.trainedStds.length;
  if (convention === "polygrad") return guidance;
  let sum = 0;
  for (let t = visit.step - count + 1; t <= visit.step; t++) sum += stepWeight(convention, t, betas, alphaBar);
  const place = convention === "diffuser" ? "posterior_mean" : "noisy"; // where they ask the policy; neither clips
  return { ...guidance, scale: count ? (guidance.scale * sum) / count : 0, clip_std: 0, guide_at: place };
}

// Raw actions within `clip` standard deviations of the policy's mean; with 0, as they are.
const clipToPolicy = (actions, mean, std, clip) => (clip
  ? actions.map((action, i) => limited(action - mean[i], clip * std[i % std.length]) + mean[i])
  : actions);
const limited = (value, reach) => Math.min(Math.max(value, -reach), reach);

// Move raw actions towards N(mean, std^2), for all the trained steps of one visit; `units` are a normalised action's.
export function guideActions(actions, mean, std, guidance, noise, trainedStds, units) {
  const { rule, scale, persistence, inertia, precondition } = guidance, A = units.length, steps = trainedStds.length;
  if (rule === "none") return actions;
  if (rule === "sample" || rule === "fixed-noise") {
    const stays = rule === "fixed-noise" && inertia ? inertia ** steps : 0;
    return actions.map((action, i) => {
      const wanted = mean[i] + std[i % A] * noise[i]; // a = \mu(s) + \sigma \epsilon
      return wanted + stays * (action - wanted);
    });
  }
  const near = clipToPolicy(actions, mean, std, guidance.clip_std);
  if (rule === "ornstein-uhlenbeck") {
    const rho = persistence ** steps, fresh = Math.sqrt(1 - rho ** 2);
    // a <- \mu + \rho (a - \mu) + \sqrt{1 - \rho^2} \sigma \epsilon leaves N(\mu, \sigma^2) as it is
    return near.map((action, i) => mean[i] + rho * (action - mean[i]) + fresh * std[i % A] * noise[i]);
  }
  // Each step a <- a + \lambda \nabla_a \log \pi(a | s) + \tilde\beta_t^{1/2} \epsilon contracts a - \mu by r = 1 - \lambda / \sigma^2
  // and adds its noise, so k of them are a <- \mu + r^k (a - \mu) + \sqrt{\sum_j v_j r^{2(k-1-j)}} \epsilon
  const byAction = Array.from(std, (sigma, k) => {
    const r = 1 - scale / (precondition ? 1 : sigma ** 2), unit = precondition ? sigma : units[k];
    // numbers overflow where the package's do, which have 32 bits: both tell from where on actions run away
    const variance = trainedStds.reduce((sum, stepStd) => Math.fround(r ** 2 * sum + stepStd ** 2), 0);
    return { keep: Math.fround(r ** steps), spread: guidance.action_noise_scale * unit * Math.sqrt(variance) };
  });
  return near.map((action, i) => mean[i] + byAction[i % A].keep * (action - mean[i]) + byAction[i % A].spread * noise[i]);
}

// ---- the sampler

const normalise = ({ mean, scale }, values) => values.map((value, i) => (value - mean[i % mean.length]) / scale[i % mean.length]);
const denormalise = ({ mean, imagined }, values) => values.map((value, i) => value * imagined[i % mean.length] + mean[i % mean.length]);

// The first `count` numbers of each time point of a trajectory, or those from `from` on.
function part(trajectory, width, from, to) {
  const found = new Float64Array((trajectory.length / width) * (to - from));
  for (let point = 0; point * width < trajectory.length; point++) {
    found.set(trajectory.subarray(point * width + from, point * width + to), point * (to - from));
  }
  return found;
}

// The trajectory with the real first observation in its place: it is known.
function withFirst(trajectory, normedFirst, { horizon, observation_size: O }) {
  const whole = trajectory.slice();
  for (let row = 0; row * O < normedFirst.length; row++) whole.set(normedFirst.subarray(row * O, (row + 1) * O), row * horizon * (O + 2));
  return whole;
}

// One visit's answers before anything is moved: the clean trajectory that is seen, and the mean of the less noisy one.
function predict(model, { trajectory, actions }, visit, normedFirst, changeLimit) {
  const rows = normedFirst.length / model.observation_size, signal = Math.sqrt(visit.alphaBar), noise = Math.sqrt(1 - visit.alphaBar);
  // \hat x_0 = f_\theta(x_t, \sqrt{\bar\alpha_t} a, t), or \sqrt{\bar\alpha_t} x_t - \sqrt{1 - \bar\alpha_t} \hat v
  const answer = denoise(model, trajectory, actions, visit, rows);
  const clean = model.prediction === "velocity" ? answer.map((velocity, i) => signal * trajectory[i] - noise * velocity) : answer;
  const seen = withFirst(clean, normedFirst, model);
  // \tilde\mu_t = c_1 \hat x_0 + c_2 x_t, and near the end no further from x_t than the change limit
  const reach = visit.step > CHANGE_LIMIT_STEPS ? Infinity : changeLimit * visit.jump;
  const mean = seen.map((x0, i) => trajectory[i] + limited(visit.onClean * x0 + visit.onNoisy * trajectory[i] - trajectory[i], reach));
  return { seen, mean };
}

// Every state of the reverse process, pure noise first. Each has a normalised `trajectory` and `actions`, and what was
// `seen` in the one before, at which `visit`. Stop asking, and it stops computing.
//   first: [B, O] raw observations to begin at.
//   policy: { mean: raw observations [N, O] -> raw actions [N, A], std: [A] }.
//   guidance: what differs from GUIDANCE.
//   noise: as seededNoise makes it.
export function* chain(model, { first, policy, guidance, visits, noise, eta = 1 }) {
  const { units, betas, observation_size: O } = model, points = (first.length / O) * model.horizon, alphaBar = signalVariances(betas);
  const normedFirst = normalise(units.observations, first), whole = { ...GUIDANCE, ...guidance };
  const keptNoise = noise.actions(0, points * model.action_size); // the one draw that the fixed-noise rule uses throughout
  let state = { trajectory: withFirst(noise.trajectory(0, points * (O + 2)), normedFirst, model), actions: keptNoise, seen: null, visit: null };
  yield state;
  let draw = 0;
  for (const visit of walk(betas, visits, eta)) {
    draw += 1;
    const here = guidanceAt(visit, whole, betas, alphaBar), guided = visit.trainedStds.length > 0;
    const { seen, mean } = predict(model, state, visit, normedFirst, here.change_limit);
    const asked = { reconstruction: seen, posterior_mean: mean, noisy: state.trajectory }[here.guide_at];
    const wanted = policy.mean(denormalise(units.observations, part(asked, O + 2, 0, O)));
    const before = denormalise(units.actions, state.actions);
    const actionNoise = guided && here.rule !== "fixed-noise" ? noise.actions(draw, before.length) : keptNoise;
    // a <- a + \lambda \nabla_a \log \pi(a | \hat s) + noise; at the last visit, no guidance and no noise
    let actions = guided
      ? guideActions(before, wanted, policy.std, here, actionNoise, visit.trainedStds, units.actions.scale)
      : clipToPolicy(before, wanted, policy.std, here.clip_std);
    if (here.action_limit) actions = actions.map((action) => limited(action, here.action_limit));
    // x_{t-1} = \tilde\mu_t + \tilde\beta_t^{1/2} \epsilon
    const fresh = guided && visit.variance ? noise.trajectory(draw, mean.length) : null;
    const trajectory = fresh ? mean.map((value, i) => value + Math.sqrt(visit.variance) * fresh[i]) : mean;
    state = { trajectory: withFirst(trajectory, normedFirst, model), actions: normalise(units.actions, actions), seen, visit };
    yield state;
  }
}

// A state of the chain in the environment's units.
export function inRawUnits(model, { trajectory, actions }) {
  const { units, observation_size: O } = model;
  return {
    observations: denormalise(units.observations, part(trajectory, O + 2, 0, O)),
    rewards: denormalise(units.rewards, part(trajectory, O + 2, O, O + 1)),
    terminals: denormalise(units.terminals, part(trajectory, O + 2, O + 1, O + 2)).map((value) => (value > 0.5 ? 1 : 0)),
    actions: denormalise(units.actions, actions),
  };
}
