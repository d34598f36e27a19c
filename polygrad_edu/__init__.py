"""PolyGRAD as a course you can run: world models via policy-guided trajectory diffusion (arXiv 2312.08533)."""

__version__ = "0.1.0"
