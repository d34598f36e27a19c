"""Tasks that Gymnasium lacks, and the returns that others published."""
