"""Measuring: world models side by side, speed, the golden run, what a machine lacks."""
