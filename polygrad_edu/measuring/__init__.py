"""Measuring: world models side by side, distributions of futures, speed, the golden run, what a machine lacks."""
