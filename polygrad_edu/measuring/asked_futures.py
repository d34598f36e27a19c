"""Futures that are asked for: an end or a return is given, and the way there has to be found.

A model of whole trajectories is conditioned (:mod:`polygrad_edu.variants.conditioned_sampler`). A model that steps
cannot be: it imagines as many candidates as it can in the same time, and the nearest is kept, which is called
*shooting*. What is asked for are the ends and the returns of real futures from the same first observations, so each of
them can come true.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..files.input_error import InputError
from ..files.progress import OnProgress, tell_nobody
from ..settings import closest_name
from ..tasks.hidden_worlds import HiddenWorld
from ..variants.conditioned_sampler import ConditionedSampler, end_at, return_of
from ..variants.staggered_sampler import StaggeredSampler
from ..world_model import PolyGRAD, WorldModel
from .asked_report import AnswerErrors, Asked, AskedReport
from .error_report import write_report
from .futures import FutureSettings, taking_part, train_for
from .hidden_futures import (
    Futures,
    hidden_variance,
    indifferent_policy,
    real_futures,
    record_episodes,
    sides,
)

ASKED = ("end", "return")
STILL = 1e-3  # sigma of the policy's actions: nothing but what is hidden decides where a future ends


def measure_asked(settings: FutureSettings, asked: Sequence[str], on_progress: OnProgress = tell_nobody) -> AskedReport:
    """Train world models in a hidden world, and ask each for the ends or the returns of real futures.

    Writes asked.json, asked.md and asked.png to ``settings.out``.

    Args:
        asked: of ``ASKED``.

    Raises:
        InputError: no such world, world model, setting or question, or no PolyGRAD whose time the others get.
        NotFiniteError: the loss of a world model went wrong.
    """
    world, presets = taking_part(settings)
    asked = [closest_name(name, ASKED, "question") for name in asked]
    if "polygrad" not in presets:
        raise InputError("--ask needs polygrad among the models: the others get as much time as it takes to answer")
    presets = {"polygrad": presets["polygrad"]} | presets  # first, because its time is the others'
    settings.out.mkdir(parents=True, exist_ok=True)
    data = record_episodes(world, settings.episodes, settings.seed)
    real = real_futures(world, settings.starts, settings.futures, settings.ahead, settings.seed, policy_std=STILL)
    questions = [Question(name, world, real) for name in asked]
    results: list[Asked] = []
    milliseconds: dict[str, float] = {}
    for name, preset in presets.items():
        model, updates, seconds = train_for(name, preset, data, settings, on_progress)
        for question in questions:
            answers: list[Answer] = []
            if isinstance(model, PolyGRAD) and not isinstance(model.sampler, StaggeredSampler):
                answers.append(condition(model, question, settings.seed))
                milliseconds.setdefault(question.asked, answers[0].milliseconds)
            answers.append(shoot(model, question, milliseconds[question.asked], settings.seed))
            for answer in answers:
                about = (name, question.asked, answer.way, answer.candidates, answer.milliseconds)
                paths = answer.futures.positions
                results.append(Asked(*about, preset, updates, seconds, errors_of(answer, question), paths))
        on_progress(f"ask {name}", 1, 1)
    report = AskedReport(settings.world, settings.seed, real.positions, results)
    write_report(report, settings.out, "asked")
    return report


class Question(NamedTuple):
    """Questions about the futures from S first observations, M for each of them.

    Attributes:
        asked: ``end`` or ``return``.
        world: the hidden world.
        real: futures [S, M, H] whose ends or returns are asked for.
    """

    asked: str
    world: type[HiddenWorld]
    real: Futures

    @property
    def time_points(self) -> int:
        """H, the first observation included."""
        return self.real.positions.shape[2]

    def answer_of(self, futures: Futures) -> np.ndarray:
        """The ends [S, M, 2] or the returns [S, M, 1] of futures; a return is the one that the *path* earns."""
        if self.asked == "end":
            return futures.positions[:, :, -1]
        return self.world.rewards_along(futures.positions, futures.actions).sum(axis=-1, keepdims=True)

    def misses(self, futures: Futures) -> np.ndarray:
        """Distances [S, M] of what futures answer from what was asked."""
        return np.linalg.norm(self.answer_of(futures) - self.answer_of(self.real), axis=-1)


class Answer(NamedTuple):
    """The futures that a world model gave, and the processor's time that it took.

    Attributes:
        way: ``conditioned`` or ``shooting``.
        candidates: imagined for each question, of which the nearest was kept.
        milliseconds: for each question.
    """

    way: str
    candidates: int
    milliseconds: float
    futures: Futures


def condition(model: PolyGRAD, question: Question, seed: int) -> Answer:
    """Ask PolyGRAD: its sampler is conditioned on the answer."""
    generator = torch.Generator(model.generator.device).manual_seed(seed)
    first = question.real.first_observations().to(generator.device)
    wanted = _flat(question.answer_of(question.real)).to(generator.device)
    last = question.time_points - 1
    asked = (
        end_at(wanted, last, model.normaliser)
        if question.asked == "end"
        else return_of(wanted[:, 0], last, model.normaliser)
    )
    sampler = ConditionedSampler(model.sampler, asked)
    policy = indifferent_policy(question.world.action_size, STILL)
    begin = time.process_time()
    imagined = sampler.sample(first, policy, model.window, generator).up_to(question.time_points)
    seconds = time.process_time() - begin
    return Answer("conditioned", 1, 1000 * seconds / len(first), question.real.like(imagined))


def shoot(model: WorldModel[Any], question: Question, milliseconds: float, seed: int) -> Answer:
    """Ask any model: of as many candidates as it imagines in so many ``milliseconds``, the nearest is kept."""
    generator = torch.Generator(model.generator.device).manual_seed(seed)
    first = question.real.first_observations().to(generator.device)
    policy = indifferent_policy(question.world.action_size, STILL)
    begin = time.process_time()
    nearest = question.real.like(model.imagine(first, policy, question.time_points, generator))
    each = 1000 * (time.process_time() - begin) / len(first)
    candidates = max(1, int(milliseconds / each))
    for _ in range(candidates - 1):
        other = question.real.like(model.imagine(first, policy, question.time_points, generator))
        better = question.misses(other) < question.misses(nearest)  # [S, M]
        nearest = Futures(*(_choose(better, own, old) for own, old in zip(other, nearest, strict=True)))
    seconds = time.process_time() - begin
    return Answer("shooting", candidates, 1000 * seconds / len(first), nearest)


def errors_of(answer: Answer, question: Question) -> AnswerErrors:
    """Distances of an answer from the question."""
    return AnswerErrors(
        float(np.median(question.misses(answer.futures))),
        hidden_variance(question.world, answer.futures).share_within,
        sides(question.world, answer.futures),
    )


def _flat(values: np.ndarray) -> Tensor:
    """[S, M, D] as [S * M, D]."""
    return torch.as_tensor(values.reshape(-1, values.shape[-1]), dtype=torch.float32)


def _choose(mask: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Parts of ``one`` where ``mask`` [S, M] holds, and of ``other`` elsewhere."""
    return np.where(mask.reshape(*mask.shape, *(1,) * (one.ndim - 2)), one, other)
