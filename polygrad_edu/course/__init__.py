"""What the lessons use: guesses that are remembered, checks that say what is wrong, results to start from."""

from ..checks import check, require
from .guesses import predict, reveal, scorecard
from .pace import quick
from .paths import find_shared, shipped

__all__ = ["check", "find_shared", "predict", "quick", "require", "reveal", "scorecard", "shipped"]
