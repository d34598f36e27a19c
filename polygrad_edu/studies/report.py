"""A study's report: the results over all seeds with their intervals, and the command that repeats each trial."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..files.input_error import InputError
from ..files.safe_files import write_json
from ..tasks.published_curves import published_curves
from ..world_model_error import Interval
from . import figures
from .statistics import RANDOM_EPISODES, REPETITIONS, Scale, find_scale, interquartile_mean, probability_of_improvement
from .study import Study
from .trials import Trial

ONLY = "all trials"  # name of the only variant where nothing varies


@dataclass
class Findings:
    """Results of a study's finished trials.

    Attributes:
        trials: all of them, the unfinished ones too.
        scales: by preset.
        returns: by preset and variant, a return for each seed.
        scores: by variant [N, M]: returns made comparable, of the N seeds that are finished on all M tasks.
    """

    trials: list[Trial]
    scales: dict[str, Scale]
    returns: dict[str, dict[str, dict[int, float]]]
    scores: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def finished(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.finished]


def read_findings(directory: Path, study: Study) -> Findings:
    """Read the finished trials of a study.

    Raises:
        InputError: none is finished, or a result is damaged.
    """
    trials = study.trials(directory)
    returns: dict[str, dict[str, dict[int, float]]] = {name: {} for name in study.presets}
    for trial in trials:
        if trial.finished:
            of_variant = returns[trial.preset_name].setdefault(trial.variant or ONLY, {})
            of_variant[trial.seed] = float(trial.result()["return_mean"])
    if not any(returns.values()):
        raise InputError(f"no trial of {directory} is finished yet; go on with: polygrad-edu sweep --out {directory}")
    scales = {}
    for name, _, preset in study.combinations():
        if name not in scales and returns[name]:
            best = max(value for of_variant in returns[name].values() for value in of_variant.values())
            scales[name] = find_scale(preset, best)
    found = Findings(trials, scales, returns)
    for variant, _ in study.variants():
        of_task = [returns[name].get(variant or ONLY, {}) for name in study.presets]
        if seeds := [seed for seed in study.seeds if all(seed in task for task in of_task)]:
            columns = [
                scales[name].score(np.array([task[seed] for seed in seeds]))
                for name, task in zip(study.presets, of_task, strict=True)
            ]
            found.scores[variant or ONLY] = np.stack(columns, axis=1)
    return found


def study_results(found: Findings) -> dict[str, Any]:
    """The report's numbers as one JSON object."""
    first, *others = found.scores or {ONLY: None}
    return {
        "finished": len(found.finished),
        "trials": len(found.trials),
        "scales": {name: scale._asdict() for name, scale in found.scales.items()},
        "returns": {
            name: {
                variant: {"seeds": list(by_seed), "returns": list(by_seed.values()), **_mean_of(list(by_seed.values()))}
                for variant, by_seed in of_task.items()
            }
            for name, of_task in found.returns.items()
        },
        "scores": {
            variant: {"runs": scores.shape[0], "tasks": scores.shape[1], **interquartile_mean(scores)._asdict()}
            for variant, scores in found.scores.items()
        },
        "improvement": {
            variant: {"over": first, **probability_of_improvement(found.scores[variant], found.scores[first])._asdict()}
            for variant in others
        },
    }


def _mean_of(returns: list[float]) -> dict[str, float]:
    return interquartile_mean(np.array(returns)[:, None])._asdict()


def write_report(directory: Path, study: Study) -> Path:
    """Write report.md, report.json and the figures; returns the path of the first.

    Raises:
        InputError: no trial is finished.
    """
    found = read_findings(directory, study)
    results = study_results(found)
    write_json(directory / "report.json", results)
    figures.draw_curves(found.finished, directory / "curves.png")
    figures.draw_scores(found.scores, results, directory / "scores.png")
    path = directory / "report.md"
    path.write_text(_markdown(directory, study, found, results), encoding="utf-8")
    return path


def _markdown(directory: Path, study: Study, found: Findings, results: dict[str, Any]) -> str:
    done = len(found.finished)
    trials = found.trials
    fixed = ", ".join(f"{name} = {value}" for name, value in study.settings.items()) or "none"
    varied = "; ".join(f"{name}: {', '.join(values)}" for name, values in study.vary.items()) or "nothing"
    parts = [
        f"# {', '.join(study.presets)}: {len(study.seeds)} seed{'s' * (len(study.seeds) > 1)} each",
        f"{done} of {len(trials)} trials are finished. Changed in all of them: {fixed}. Varied: {varied}. A return is "
        "the mean over new episodes of the policy that was kept. Only finished trials count.",
        _same_machines(found.finished),
        "## Returns, task by task",
        "The interquartile mean (of the middle half of the seeds) with its 95% bootstrap interval. With fewer than "
        "about five seeds such an interval is too narrow to lean on, and with one it is no interval at all.",
        _table(
            ["preset", "variant", "seeds", "interquartile mean", "95% interval", "median", "lowest", "highest"],
            [
                [
                    name,
                    variant,
                    len(row["seeds"]),
                    *_shown(row, ".1f"),
                    f"{np.median(row['returns']):.1f}",
                    f"{min(row['returns']):.1f}",
                    f"{max(row['returns']):.1f}",
                ]
                for name, of_task in results["returns"].items()
                for variant, row in of_task.items()
            ],
        ),
        "![Learning curves](curves.png)",
        "*Interquartile mean of the return at each evaluation, over the finished seeds, with 95% bootstrap bands. "
        "Grey, where there are any: published curves of other agents.*",
        *_beside_others(found),
    ]
    if found.scores:
        parts += _across(found, results)
    parts += [
        "## Every trial",
        _table(
            ["trial", "state", "return", "steps", "minutes", "the command that repeats it"],
            [_row(trial) for trial in trials],
        ),
        "The whole study again, with this folder's `study.json` copied to a new folder:",
        f"```bash\npolygrad-edu sweep --out {shlex.quote(f'{directory.name}-again')}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _beside_others(found: Findings) -> list[str]:
    """The report's part on published curves: the return after as many real steps, no checkpoint chosen."""
    rows: list[tuple[Any, ...]] = []
    for name in found.returns:
        trials = [trial for trial in found.finished if trial.preset_name == name]
        if not trials:
            continue
        longest = max(trial.preset.loop.env_steps for trial in trials)
        published = published_curves(trials[0].preset.task.env_id, longest)
        points = sorted((p for curve in published.values() for p in curve), key=lambda p: p.env_steps)
        rows += [(name, p.env_steps, p.method, f"{p.mean:.0f} ± {p.std:.0f}", p.seeds, p.source) for p in points]
        for variant in dict.fromkeys(trial.variant for trial in trials):
            curves = [trial.returns_by_step() for trial in trials if trial.variant == variant]
            for steps in dict.fromkeys(p.env_steps for p in points):
                if ours := [curve[steps] for curve in curves if steps in curve]:
                    shown = f"**{np.mean(ours):.0f} ± {np.std(ours):.0f}**"
                    rows.append((name, steps, f"**{variant or 'this study'}**", shown, len(ours), "here"))
    if not rows:
        return []
    rows.sort(key=lambda row: row[:2])
    return [
        "## Beside others, after as many real steps",
        "The return of the policy of that step, over seeds; none was chosen. Others are on version 4 of the task.",
        _table(
            ["preset", "real steps", "agent", "mean ± std over seeds", "seeds", "source"],
            [[name, f"{steps:,}", *rest] for name, steps, *rest in rows],
        ),
    ]


def _across(found: Findings, results: dict[str, Any]) -> list[str]:
    """The report's part across tasks, in scores."""
    parts = [
        "## Across tasks",
        "Returns are made comparable by two returns on each task: a score is 0 at what random actions reach (measured "
        f"here, {RANDOM_EPISODES} episodes) and 1 at the goal.",
        _table(
            ["preset", "task", "random (score 0)", "goal (score 1)", "where the goal comes from"],
            [
                [name, scale.env_id, f"{scale.random:.1f}", f"{scale.goal:.1f}", scale.source]
                for name, scale in found.scales.items()
            ],
        ),
        _table(
            ["variant", "runs of each task", "interquartile mean of the score", "95% interval"],
            [[variant, row["runs"], *_shown(row, ".3f")] for variant, row in results["scores"].items()],
        ),
        "![Scores](scores.png)",
        "*Left: interquartile means. Right: performance profiles, the share of runs whose score is above each level.*",
    ]
    if results["improvement"]:
        parts += [
            "How likely a run of the first variant beats one of the second on the same task; 0.5 is a coin's toss, and "
            "an interval that holds 0.5 leaves the question open.",
            _table(
                ["variant", "against", "probability of improvement", "95% interval"],
                [[variant, row["over"], *_shown(row, ".2f")] for variant, row in results["improvement"].items()],
            ),
        ]
    parts.append(
        f"Intervals by rliable, stratified by task, {REPETITIONS:,} bootstrap samples (arXiv 2108.13264); only seeds "
        "that are finished on every task take part here."
    )
    return parts


def _shown(row: dict[str, Any], form: str) -> tuple[str, str]:
    interval = Interval(row["value"], row["low"], row["high"])
    return format(interval.value, form), f"{interval.low:{form}} to {interval.high:{form}}"


def _row(trial: Trial) -> list[str]:
    command = f"`{trial.command()}`"
    if not trial.finished:
        return [trial.name, "unfinished", "", "", "", command]
    result = trial.result()
    returned = f"{result['return_mean']:.1f} ± {result['return_std']:.1f}"
    return [trial.name, "finished", returned, f"{result['env_steps']:,}", f"{result['wall_seconds'] / 60:.1f}", command]


def _same_machines(trials: list[Trial]) -> str:
    """Device and versions of the trials, with a warning if they are not the same for all."""
    results = [trial.result() for trial in trials]
    kinds = {(r["device"], r["threads"], *sorted(r["versions"].items())) for r in results}
    device, threads, *versions = min(kinds, key=str)
    shown = f"Trained on {device} with {threads} thread each: " + ", ".join(f"{k} {v}" for k, v in versions) + "."
    mixed = " **Some trials were trained on another device or with other versions; see their result.json.**"
    return shown + mixed * (len(kinds) > 1)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
