"""Tasks: a point mass, worlds in which something is hidden, tasks that Gymnasium lacks, and published returns."""
