"""Helpers of the lessons: guesses, checks of exercises, the pace of a lesson, and trained results."""

from ..checks import check, require
from .guesses import scorecard
from .pace import quick
from .paths import find_shared, shipped
from .questions import predict, reveal

__all__ = ["check", "find_shared", "predict", "quick", "require", "reveal", "scorecard", "shipped"]
