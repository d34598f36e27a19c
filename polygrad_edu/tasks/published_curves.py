"""Published learning curves at the steps of a short run: what others' agents return after as many real steps.

``returns_at_steps.csv`` beside this file was computed from the curves that the authors published: those of
github.com/4kubo/erl_lib (MIT licence, copyright (c) 2024 Akihiro KUBO) and github.com/DAVIAN-Robotics/SimbaV2 (Apache
licence 2.0). They are of version 4 of the tasks, and no checkpoint was chosen. Public curves of one algorithm differ
up to threefold between sources, so a single one proves little.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import NamedTuple


class PublishedPoint(NamedTuple):
    """Return of a method after some real steps on version 4 of a task, over its authors' seeds."""

    method: str
    task: str  # without a version, say Hopper
    env_steps: int
    mean: float
    std: float
    seeds: int
    source: str


@functools.cache
def _points() -> tuple[PublishedPoint, ...]:
    path = Path(__file__).with_name("returns_at_steps.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            PublishedPoint(
                row["method"],
                row["task"],
                int(row["real_steps"]),
                float(row["mean_return"]),
                float(row["std_over_seeds"]),
                int(row["seeds"]),
                row["source"],
            )
            for row in csv.DictReader(file)
        )


def published_curves(env_id: str, longest: int | None = None) -> dict[str, list[PublishedPoint]]:
    """Each method's points on any version of a task, in the order of steps; empty for tasks that have none.

    Args:
        longest: leave out what lies beyond so many steps.
    """
    task = env_id.rpartition("-v")[0]
    found: dict[str, list[PublishedPoint]] = {}
    for point in _points():
        if point.task == task and (longest is None or point.env_steps <= longest):
            found.setdefault(point.method, []).append(point)
    return {method: sorted(points, key=lambda point: point.env_steps) for method, points in found.items()}


def best_published(env_id: str, env_steps: int) -> PublishedPoint | None:
    """The highest published mean after exactly so many real steps; None where nobody has published one."""
    points = [point for points in published_curves(env_id).values() for point in points]
    return max((point for point in points if point.env_steps == env_steps), key=lambda point: point.mean, default=None)
