"""Tasks: a point mass, tasks that Gymnasium lacks, and published returns."""
