"""Helpers of the lessons: guesses, checks of exercises, the pace of a lesson, and trained results."""

from ..checks import credit, require
from ..checks.own_code import check, mine_or, use_mine, whose_code
from .as_graded import as_it_will_be_graded
from .figures import house_style
from .guesses import scorecard
from .pace import quick
from .paths import find_shared, shipped
from .questions import predict, reveal
from .source_view import source

__all__ = [
    "as_it_will_be_graded",
    "check",
    "credit",
    "find_shared",
    "house_style",
    "mine_or",
    "predict",
    "quick",
    "require",
    "reveal",
    "scorecard",
    "shipped",
    "source",
    "use_mine",
    "whose_code",
]
