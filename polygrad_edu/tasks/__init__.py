"""Tasks: a point mass, worlds in which something is hidden, a fork in the road, tasks that Gymnasium lacks, returns."""
