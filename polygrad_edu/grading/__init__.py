"""Grading: hand out assignments, run submissions in a sandbox, report points and feedback."""
