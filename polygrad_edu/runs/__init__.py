"""Runs: training from the first step to the last, checkpoints, results, curves and films."""
