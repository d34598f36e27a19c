"""A trained world model as a Gymnasium environment, for agents by others to learn in.

``gymnasium.make("polygrad_edu/WorldModel-v0", run="runs/...")`` after ``import polygrad_edu.environments``, which
registers it. It takes a world model that can be asked for one step (the baselines); PolyGRAD imagines whole
trajectories and cannot be stepped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import environments
from ..baselines.stepwise import StepwiseWorldModel
from ..files.input_error import InputError
from ..runs.checkpoint import load_checkpoint, read_config
from ..runs.shipped import load_result
from ..settings import WORLD_MODELS

Array = NDArray[np.float32]


class WorldModelEnv(gymnasium.Env[Array, Array]):
    """Imagined steps from real states, in the units of the task that the model learned.

    An episode begins at a real state drawn from all that the run has seen. It terminates where the model predicts an
    ending with more than half a probability. As in the replay, the observation then stays where it was, because the
    model never saw what comes after an ending. An episode is truncated after ``horizon`` steps, or when the model
    predicts numbers that are not finite (``info["exploded"]``); there, too, the last observation stays. Same seed, same
    episodes.

    Args:
        run: a run directory, or what ``polygrad-edu export`` made of one.
        horizon: steps after which an episode is truncated; default: the time points that the run's own agent
            imagined. Errors grow with every step; what can be learned from an episode grows as well.
        device: that the model computes on.

    Raises:
        InputError: no such run, one without a checkpoint, or one in a world model that cannot be stepped.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's way)

    def __init__(self, run: str | Path, horizon: int | None = None, device: str = "cpu"):
        run = Path(run)
        self.preset = read_config(run)[1]
        if self.preset.world_model.kind == "polygrad":
            raise InputError(
                f"{run} learned in polygrad, which imagines whole trajectories and has no single step; train a run in "
                f"one that has: polygrad-edu train --world-model mlp-ensemble (or {', '.join(WORLD_MODELS[1:])})"
            )
        if horizon is not None and horizon < 1:
            raise InputError(f"horizon must be at least 1 step, not {horizon}")
        self.horizon = horizon or self.preset.world_model.horizon
        self.model, self.starts = _model_and_starts(run, device)  # [N, O]
        if not len(self.starts):
            raise InputError(f"{run} has seen no whole window yet; train it longer")
        normaliser = self.model.normaliser
        # imagined observations may lie beyond the task's own bounds
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (normaliser.observations.size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (normaliser.actions.size,), np.float32)
        self.generator = torch.Generator(device)

    def make_task(self) -> gymnasium.Env[Any, Any]:
        """The real task with the same actions, to evaluate in what was learned here."""
        return environments.make(self.preset.task.env_id, self.preset.task.action_scale)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        row = int(self.np_random.integers(len(self.starts)))
        self.generator.manual_seed(int(self.np_random.integers(2**63)))
        self.observation = self.starts[row : row + 1]  # [1, O]
        self.predict = self.model.predictor(self.generator)
        self.elapsed = 0
        return self._get_obs(), {}

    @torch.no_grad()
    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        normaliser = self.model.normaliser
        played = torch.as_tensor(np.clip(action, -1, 1), dtype=torch.float32, device=self.generator.device)[None]
        following, reward, ending = self.predict(
            normaliser.observations.normalise(self.observation), normaliser.actions.normalise(played)
        )
        following = normaliser.observations.denormalise(following)  # [1, O]
        paid = normaliser.rewards.denormalise(reward[:, None]).item()
        terminal = ending.item() > 0.5
        exploded = not (following.isfinite().all() and np.isfinite(paid))
        if not (terminal or exploded):
            self.observation = following
        self.elapsed += 1
        truncated = exploded or self.elapsed >= self.horizon
        return self._get_obs(), 0.0 if exploded else paid, terminal, truncated, {"exploded": exploded}

    def _get_obs(self) -> Array:
        return self.observation[0].cpu().numpy().astype(np.float32)


def _model_and_starts(run: Path, device: str) -> tuple[StepwiseWorldModel[Any], Tensor]:
    """The world model of a run or of an exported result, and the real states [N, O] that it may imagine from."""
    if (run / "model.safetensors").is_file():
        loop, _, starts, _ = load_result(run)
    else:
        loop, _ = load_checkpoint(run, device)
        starts = loop.replay.observations[loop.replay.starts[: loop.replay.n_starts]]
    loop.collector.close()
    assert isinstance(loop.world_model, StepwiseWorldModel)  # all but polygrad are
    return loop.world_model, starts
