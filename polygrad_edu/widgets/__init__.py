"""Widgets: what a lesson lets you move, live in JupyterLab and frozen in the book."""

from .base import Control, LessonWidget
from .guidance_explorer import GuidanceExplorer
from .return_explorer import ReturnExplorer
from .schedule_playground import SchedulePlayground
from .training_watcher import TrainingWatcher

__all__ = ["Control", "GuidanceExplorer", "LessonWidget", "ReturnExplorer", "SchedulePlayground", "TrainingWatcher"]
