// The schedule playground's frame, computed in the page: the same numbers as schedule_frame in schedule_playground.py.
const N_POINTS = 48, MAX_DRAWN = 64;
const places = (count, last) => Array.from({ length: count }, (_, i) => (count > 1 ? (i * last) / (count - 1) : 0));

// Quick, so it yields nothing.
function* frameOf(_model, _settings, { tau, n_steps: T, sampling_steps: S, progress }) {
  if (S > T) throw new Error(`can visit 1 to ${T} of ${T} steps, not ${S}`);
  const betas = cosineBetas(T, tau), alphaBar = signalVariances(betas), at = roundHalfToEven(progress * (T - 1));
  const signal = Math.sqrt(alphaBar[at]), noise = Math.sqrt(1 - alphaBar[at]);
  const drawn = places(Math.min(T, MAX_DRAWN), T - 1).map(roundHalfToEven), visited = walk(betas, S).reverse();
  // a figure of eight, and one draw of noise for all settings, so that what changes is the schedule
  const time = places(N_POINTS, 2 * Math.PI), clean = [time.map((t) => 1.4 * Math.sin(t)), time.map((t) => Math.sin(2 * t))];
  const draw = standardNormal(0, 0, 2 * N_POINTS);
  const rough = visited.filter(({ step }) => Math.sqrt(alphaBar[step]) < 0.5).length;
  return {
    curves: { step: drawn, signal: drawn.map((t) => Math.sqrt(alphaBar[t])), noise: drawn.map((t) => Math.sqrt(1 - alphaBar[t])) },
    clean,
    noised: clean.map((values, k) => values.map((value, i) => signal * value + noise * draw[2 * i + k])), // x_t = \sqrt{\bar\alpha_t} x_0 + \sqrt{1 - \bar\alpha_t} \epsilon
    visits: { step: visited.map(({ step }) => step), signal: visited.map((visit) => Math.sqrt(visit.alphaBar)) },
    at: { step: at, signal, noise },
    text: `At step ${at} of 0 to ${T - 1} the trajectory is ${signal.toFixed(2)} times itself plus ${noise.toFixed(2)} times noise. `
      + `A sampler that visits ${S} steps makes ${rough} of its visits where less than half of the trajectory is left.`,
  };
}
