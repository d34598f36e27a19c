"""Studies: many seeds, presets and settings, on processes or a Ray cluster, and their report."""
