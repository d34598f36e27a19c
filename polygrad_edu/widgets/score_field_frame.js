// The score field's frame, computed in the page: the same numbers as score_field_frame in score_field.py.
const ROUTES = 60, VISITS = 32, REACH = 3, ARROWS = 11, LONGEST = 0.45;
const WAYS = [[0.9, 1.6], [-0.9, -1.6]], SHARES = [2 / 3, 1 / 3], SPREAD = 0.18, WALL = 0.8; // as tasks/road_fork.py

// E[x_0 | x_t]: the ways, each as likely as Bayes' rule says, and what the noise leaves to see of the distance from it.
function bestDenoiser(x, alphaBar) {
  const root = Math.sqrt(alphaBar), variance = alphaBar * SPREAD ** 2 + 1 - alphaBar, gain = (root * SPREAD ** 2) / variance;
  const logs = WAYS.map((way, k) => Math.log(SHARES[k]) - ((x[0] - root * way[0]) ** 2 + (x[1] - root * way[1]) ** 2) / (2 * variance));
  const largest = Math.max(...logs), parts = logs.map((log) => Math.exp(log - largest)), sum = parts[0] + parts[1];
  return [0, 1].map((i) => WAYS.reduce((total, way, k) => total + (parts[k] / sum) * (way[i] + gain * (x[i] - root * way[i])), 0));
}

function arrows(alphaBar) {
  const line = Array.from({ length: ARROWS }, (_, i) => -REACH + (2 * REACH * i) / (ARROWS - 1)), found = [[], [], [], []];
  for (const x of line) for (const y of line) {
    const seen = bestDenoiser([x, y], alphaBar), root = Math.sqrt(alphaBar);
    const way = [0.3 * (root * seen[0] - x), 0.3 * (root * seen[1] - y)]; // along (1 - \bar\alpha) \nabla \log p(x_t)
    const kept = Math.min(LONGEST / Math.max(Math.hypot(...way), 1e-9), 1);
    [x, y, x + kept * way[0], y + kept * way[1]].forEach((value, i) => found[i].push(value));
  }
  return found;
}

// Quick, so it yields nothing.
function* frameOf(_model, _settings, { progress, eta, seed }) {
  const visits = walk(cosineBetas(128, 1), VISITS, eta), done = roundHalfToEven(progress * VISITS);
  const draw = (number) => standardNormal(seed, number, 2 * ROUTES);
  const start = draw(0), states = [Array.from({ length: ROUTES }, (_, n) => [start[2 * n], start[2 * n + 1]])];
  visits.forEach(({ alphaBar, onClean, onNoisy, variance }, number) => {
    const fresh = draw(number + 1), std = Math.sqrt(variance);
    states.push(states[number].map((x, n) => {
      const seen = bestDenoiser(x, alphaBar);
      return [0, 1].map((i) => onClean * seen[i] + onNoisy * x[i] + std * fresh[2 * n + i]);
    }));
  });
  const alphaBar = done < VISITS ? visits[done].alphaBar : 1, routes = states[done];
  const left = states[VISITS].map(([, end]) => Number(end > 0)), lefts = left.reduce((sum, one) => sum + one, 0);
  const seen = routes.map((x) => bestDenoiser(x, alphaBar)), crashes = seen.filter(([, end]) => Math.abs(end) < WALL).length;
  const columns = (rows) => [rows.map((row) => row[0]), rows.map((row) => row[1])];
  return {
    routes: columns(routes), seen: columns(seen), left, arrows: arrows(alphaBar),
    ways: WAYS.map((way) => way.map((value) => Math.sqrt(alphaBar) * value)), shares: SHARES,
    std: Math.sqrt(alphaBar * SPREAD ** 2 + 1 - alphaBar), wall: WALL,
    text: `${(100 * alphaBar).toFixed(0)}% of the variance is signal, and ${crashes} of ${ROUTES} best guesses hit the wall. `
      + (done === VISITS ? `In the end ${lefts} of ${ROUTES} go left and ${ROUTES - lefts} right.`
        : "The arrows lead to what is left of them under this much noise."),
  };
}
