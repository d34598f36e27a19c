"""Checks of lesson 8: the imagination loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..replay import Normaliser, SequenceReplay
from . import given


def check_updates_due(updates_due: Callable[[int, int, int, int, float], int]) -> None:
    """Check ``updates_due(env_step, updates_made, prefill, pretrain, per_step)``: updates to make now."""
    first = given(updates_due(500, 0, 500, 300, 1.0), "updates_due")
    assert first == 300, (
        f"after 500 of 500 random steps, with 300 updates to start with and none made, you find {first} due."
    )
    for per_step in (0.25, 1.0, 1.5, 0.0, 0.3):
        made = 0
        max_ahead = 0.0
        for env_step in range(500, 701):
            due = updates_due(env_step, made, 500, 300, per_step)
            where = f"at step {env_step}, with {per_step} updates for each step"
            assert due == int(due), f"{where}, you find {due} updates due; only whole ones can be made."
            assert due >= 0, f"{where}, you find {due} updates due although none was made too many."
            made += int(due)
            max_ahead = max(max_ahead, made - 300 - (env_step - 500) * per_step)
        wanted = 300 + 200 * per_step
        assert abs(made - wanted) <= 1, (
            f"200 steps after the random ones, with {per_step} updates for each step and 300 to start with, {made} "
            f"were made; about {wanted:g} are called for. Updates that were made already are not due again, and "
            "fractions must add up from step to step."
        )
        assert max_ahead < 1e-6, f"with {per_step} updates for each step you run {max_ahead:.2f} updates ahead."
    late = updates_due(600, 0, 500, 300, 1.0)
    assert late == 400, f"if nothing was made by step 600, all 300 + 100 updates are due; you find {late}."


def check_window_starts(window_starts: Callable[[int, bool, int], list[int]]) -> None:
    """Check ``window_starts(length, fell, horizon)``: the steps of an episode at which a window may begin."""
    for length, fell, horizon in (
        (9, False, 5),
        (9, True, 5),
        (5, False, 5),
        (4, False, 5),
        (4, True, 5),
        (1, True, 10),
        (2, False, 10),
        (30, False, 1),
    ):
        starts = [int(start) for start in given(window_starts(length, fell, horizon), "window_starts")]
        how = "that fell" if fell else "that was cut off"
        where = f"in an episode of {length} step{'s' if length > 1 else ''} {how}, windows of {horizon}"
        assert all(0 <= start < length for start in starts), f"{where}: {starts} has steps outside the episode."
        assert len(set(starts)) == len(starts), f"{where}: some steps stand twice in {starts}."
        replay = SequenceReplay(length, horizon, Normaliser(1, 1))
        for step in range(length):
            last = step == length - 1
            replay.add([0.0], [0.0], 0.0, fell and last, not fell and last)
        allowed = set(replay.starts[: replay.n_starts].tolist())
        too_many = sorted(set(starts) - allowed)
        missing = sorted(allowed - set(starts))
        assert not too_many, (
            f"{where}: one that begins at step {too_many[0]} would reach past what was seen, into the unknown."
        )
        assert not missing, (
            f"{where}: all that a window from step {missing[0]} needs is known, but it is not in {starts}."
        )


class _Scripted:
    """Environment of three short episodes and one that goes on: a fall, a cut, and a fall in the very last step.

    Step k of episode e is seen as ``10 e + k``; the reward is what was done.
    """

    ENDS = ((3, True, False), (2, False, True), (2, True, True), (99, False, False))  # steps, terminal, truncated

    def __init__(self) -> None:
        self.episode, self.step_number, self.steps = -1, 0, 0
        self.over = False

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.episode, self.step_number, self.over = self.episode + 1, 0, False
        return self._seen(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert not self.over, "the environment was stepped on after an episode had ended, without a reset."
        self.step_number += 1
        self.steps += 1
        length, terminal, truncated = self.ENDS[self.episode]
        self.over = self.step_number == length
        return self._seen(), float(np.ravel(action)[0]), self.over and terminal, self.over and truncated, {}

    def _seen(self) -> np.ndarray:
        return np.array([10.0 * self.episode + self.step_number])


class _Rows:
    """Replay that keeps its rows as they come: observation, action, reward, terminal, truncated."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, float, bool, bool]] = []

    def add(self, observation: Any, action: Any, reward: float, terminal: bool, truncated: bool, *_: Any) -> None:
        seen, done = float(np.ravel(observation)[0]), float(np.ravel(action)[0])
        self.rows.append((seen, done, float(reward), bool(terminal), bool(truncated)))


def check_record(record: Callable[..., None]) -> None:
    """Check ``record(env, act, replay, n_steps)``: real steps, stored as they were."""
    env, replay = _Scripted(), _Rows()
    record(env, lambda observation: 0.5 * observation, replay, 9)
    assert env.steps == 9, f"9 steps were asked for, and the environment was stepped {env.steps} times."
    assert len(replay.rows) == 9, f"9 steps were taken, and {len(replay.rows)} are in the replay: each is worth a row."
    seen, done, rewards, terminals, truncations = (list(column) for column in zip(*replay.rows, strict=True))
    where = "Episodes of 3, 2 and 2 steps; step k of episode e is seen as 10 e + k."
    assert seen[0] != 1, (
        f"{where} The first row holds 1, what was seen *after* its action. A row says what was seen, what was done "
        "then, and what that brought."
    )
    assert done[3] != 1.5, (
        f"{where} The first action of the second episode answers observation 3, the last of an episode that is over. "
        "After a reset the policy acts on what the reset hands out."
    )
    assert seen[3] != 3, f"{where} The second episode's first row holds the last observation of the episode before."
    assert seen == [0, 1, 2, 10, 11, 20, 21, 30, 31], f"{where} The rows' observations are off: {seen}."
    assert done == [0.5 * one for one in seen], f"{where} Each action should answer its row's observation; {done}."
    assert rewards == done, f"{where} The rewards, equal to the actions here, are off: {rewards}."
    assert not terminals[4], (
        f"{where} The second episode was cut off by the clock, and its last row says that it fell. An end and a cut "
        "are two things: one has no future, of the other it is not known."
    )
    assert terminals[6], f"{where} The third episode fell in its very last step: it fell, whatever the clock says."
    assert [i for i, flag in enumerate(terminals) if flag] == [2, 6], f"{where} The terminals are off: {terminals}."
    assert truncations[4], f"{where} The second episode was cut off, and no row says so: windows would run on past it."
    assert [i for i, flag in enumerate(truncations) if flag] == [4, 6], f"{where} The cuts are off: {truncations}."


def check_reported(reported: Callable[[torch.Tensor, torch.Tensor], float]) -> None:
    """Check ``reported(selection_returns, report_returns)``: an unbiased return of the best policy."""
    selection = torch.tensor([[10.0, 20.0], [50.0, 10.0], [25.0, 15.0]])
    report = torch.tensor([[90.0, 90.0, 90.0], [20.0, 25.0, 30.0], [40.0, 40.0, 40.0]])
    answer = torch.as_tensor(given(reported(selection, report), "reported"))
    assert answer.numel() == 1, f"a single number is to be reported, not {answer.numel()}."
    number = float(answer)
    assert number != 30.0, "you report the mean on the very episodes that chose the policy."
    assert number != 90.0, "you choose by the report episodes; then these are the lucky ones."
    chosen = "the policy with the returns 50 and 10 has the best mean of the selection episodes"
    assert number != 50.0, f"{chosen}; a single lucky episode is not what to report."
    assert abs(number - 25.0) < 1e-4, f"{chosen}, but {number:.4g} is not its mean on the other episodes."
    lucky = torch.tensor([[0.0, 0.0, 90.0], [40.0, 40.0, 40.0]])
    assert abs(float(reported(lucky, torch.tensor([[1.0], [2.0]]))) - 2.0) < 1e-4, (
        "of the returns 0, 0, 90 and 40, 40, 40 the second has the better mean; you chose the one lucky episode."
    )
    selection, report = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0)).unbind()
    before = float(reported(selection, report))
    changed = report + 100 * (torch.arange(8) != selection.mean(1).argmax())[:, None]
    assert abs(float(reported(selection, changed)) - before) < 1e-4, (
        "the number changed when only policies that were not chosen did better on the report episodes."
    )
