"""Grading: hand out assignments, run what comes back in a sandbox, report."""
