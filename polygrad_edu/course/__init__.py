"""Helpers of the lessons: guesses, checks of exercises, the pace of a lesson, and trained results."""

from ..checks import check, require
from .guesses import predict, reveal, scorecard
from .pace import quick
from .paths import find_shared, shipped

__all__ = ["check", "find_shared", "predict", "quick", "require", "reveal", "scorecard", "shipped"]
