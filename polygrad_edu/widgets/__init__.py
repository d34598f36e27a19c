"""Widgets: the interactive pieces of the lessons, computed in the page, live in JupyterLab, or frozen in the book."""

from .base import Control, LessonWidget
from .delay_explorer import DelayExplorer
from .denoising_scrubber import DenoisingScrubber
from .guidance_explorer import GuidanceExplorer
from .guided_pendulum import GuidedPendulum
from .hopper_from_noise import HopperFromNoise
from .imagined_or_real import ImaginedOrReal
from .return_explorer import ReturnExplorer
from .schedule_playground import SchedulePlayground
from .score_field import ScoreField
from .training_watcher import TrainingWatcher

__all__ = [
    "Control",
    "DelayExplorer",
    "DenoisingScrubber",
    "GuidanceExplorer",
    "GuidedPendulum",
    "HopperFromNoise",
    "ImaginedOrReal",
    "LessonWidget",
    "ReturnExplorer",
    "SchedulePlayground",
    "ScoreField",
    "TrainingWatcher",
]
