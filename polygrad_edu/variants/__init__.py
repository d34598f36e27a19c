"""Variants: ablations and successors of the paper, beside the main street."""
