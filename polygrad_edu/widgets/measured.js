// What frames measure: imagined trajectories beside true ones.
const range = (count) => Array.from({ length: count }, (_, i) => i);

// Median over the trajectories that still run, by time point: the error of the states in the data's standard deviation.
function medianErrors(imagined, real, scale) {
  return range(imagined[0].length).map((h) => {
    const squared = real.flatMap((states, row) => (states[h] ? [states[h].reduce((sum, value, k) => sum + ((imagined[row][h][k] - value) / scale[k]) ** 2, 0) / scale.length] : []));
    return squared.length ? Math.sqrt(median(squared)) : null;
  });
}

function median(values) {
  const sorted = values.sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Words on how wide actions spread, in units of the policy's std.
function verdictOn(std) {
  return Math.abs(std - 1) < 0.1 ? "As wide as the policy" : std < 1 ? "Too narrow" : "Too wide";
}
