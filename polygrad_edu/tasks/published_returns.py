"""Published returns of other algorithms, to compare ours with.

Versions of a task differ in their rewards and their physics, so each return names its version, and a comparison across
versions says so.
"""

from __future__ import annotations

from typing import NamedTuple


class ReferenceReturn(NamedTuple):
    """Published return of an algorithm on a task, averaged over its source's seeds."""

    algorithm: str
    env_id: str
    mean: int
    source: str
    env_steps: int = 1_000_000


_TASKS = ("Hopper", "Walker2d", "HalfCheetah")
REFERENCE_RETURNS = tuple(
    ReferenceReturn(algorithm, f"{task}-{version}", mean, source)
    for source, version, returns in (
        ("CleanRL", "v4", {"PPO": (2383, 2288, 1443), "SAC": (2310, 3591, 9635)}),
        ("RL Baselines3 Zoo", "v3", {"A2C": (733, 582, 3041), "TRPO": (3618, 4933, 1785)}),
    )
    for algorithm, means in returns.items()
    for task, mean in zip(_TASKS, means, strict=True)
)


def references_for(env_id: str) -> list[ReferenceReturn]:
    """Published returns on any version of a task; variants such as the ``-ET`` ones have none."""
    family = env_id.rpartition("-v")[0]
    return [reference for reference in REFERENCE_RETURNS if reference.env_id.rpartition("-v")[0] == family]


def reference_sentence(env_id: str) -> str:
    """Sentence with the published returns on a task; empty if there are none."""
    by_source: dict[tuple[str, str], list[str]] = {}
    for reference in references_for(env_id):
        shown = f"{reference.algorithm} {reference.mean:,}"
        by_source.setdefault((reference.env_id, reference.source), []).append(shown)
    if not by_source:
        return ""
    parts = []
    for (task, source), shown in by_source.items():
        version = "" if task == env_id else f", another version than {env_id}"
        parts.append(f"{', '.join(shown)} on {task} ({source}{version})")
    return f"Published after 1,000,000 real steps: {'; '.join(parts)}."
