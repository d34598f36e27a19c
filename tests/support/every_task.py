"""Every task: trained for some steps, resumed, evaluated, filmed, and its world model measured.

``python -m tests.support.every_task`` does so for 300 steps with each Box task of Gymnasium's MuJoCo and classic
control families, in v4 and v5, and prints the table of the book's page on tasks (about five minutes on one core);
``tests/tasks/test_every_task.py`` does it for fewer steps.
"""

import argparse
import io
import shutil
import tempfile
from pathlib import Path

import gymnasium
import numpy as np
from rich.console import Console

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.measuring.comparison import run_starts
from polygrad_edu.presets import preset_for
from polygrad_edu.runs.checkpoint import load_checkpoint
from polygrad_edu.runs.training import start_run
from polygrad_edu.world_model_error import measure_errors
from tests.support.tiny_runs import TINY, assert_same

MUJOCO = [
    "Reacher",
    "Pusher",
    "InvertedPendulum",
    "InvertedDoublePendulum",
    "HalfCheetah",
    "Hopper",
    "Swimmer",
    "Walker2d",
    "Ant",
    "Humanoid",
    "HumanoidStandup",
]
TASKS = [
    *(f"{name}-v{version}" for name in MUJOCO for version in (4, 5)),
    "Pendulum-v1",
    "MountainCarContinuous-v0",
]
COLUMNS = ("state set", "train", "resume", "evaluate", "video", "error 3 ahead")


def largest_difference(env_id, before=8, after=6):
    """How far observations and rewards are off when a task is put back into an earlier state and played again."""
    env, random = environments.make(env_id), np.random.default_rng(0)
    shown, _ = env.reset(seed=1)
    for _ in range(before):
        shown, _, terminal, truncated, _ = env.step(0.1 * random.uniform(-1, 1, env.action_space.shape))
        if terminal or truncated:
            shown, _ = env.reset()
    state, seen, paid, actions = environments.get_simulator_state(env), [np.array(shown, float)], [], []
    for _ in range(after):
        actions.append(0.1 * random.uniform(-1, 1, env.action_space.shape))
        shown, reward, terminal, truncated, _ = env.step(actions[-1])
        paid.append(float(reward))
        if terminal or truncated:
            break
        seen.append(np.array(shown, float))
    n = len(paid)
    other = environments.make(env_id)
    other.reset(seed=5)
    again = environments.replay_actions(other, state, np.array(actions[:n]))
    difference = np.abs(again["observations"][: len(seen)] - np.array(seen)[:n]).max()
    return max(difference, np.abs(again["rewards"] - paid).max())


def examine(env_id, steps, directory):
    """One row of the table: a dictionary of ``COLUMNS``; raises what goes wrong, but for a task that cannot be made."""
    try:
        row = {"state set": f"{largest_difference(env_id):.2g}"}
    except InputError as error:
        return {"state set": str(error)}
    half = steps // 2
    own = {"env_steps": steps, "prefill_steps": steps // 3, "eval_every": steps, "checkpoint_every": half, "horizon": 6}
    preset = preset_for(env_id).with_overrides(TINY | own | {"final_episodes": 1})
    whole = start_run(directory / "run", "tiny", preset, 0, "cpu")
    result = whole.run(Console(file=io.StringIO()))
    row["train"] = f"return {result['return_mean']:.4g}"
    loop, _ = load_checkpoint(directory / "run")
    shutil.copytree(directory / "run", directory / "half")
    (directory / "half" / "checkpoint" / f"step-{steps:09d}.json").unlink()
    resumed, _ = load_checkpoint(directory / "half")
    assert resumed.env_step == half
    for _ in resumed.steps():
        pass
    assert_same(loop, resumed)
    resumed.collector.close()
    row["resume"] = "same bits"
    returns = environments.evaluate(loop.make_env, loop.best_policy, 1, 7)
    assert np.isfinite(returns).all()
    row["evaluate"] = f"{returns.mean():.4g}"
    row["video"] = "drawn" if (directory / "run" / "video.mp4").is_file() else "not drawn"
    errors = measure_errors(loop.world_model, loop.make_env(), run_starts(loop, 16, 0), 3)
    row["error 3 ahead"] = f"{errors.observation[-1].value:.2g}"
    loop.collector.close()
    return row


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("tasks", nargs="*", default=TASKS)
    asked = parser.parse_args()
    print("| task | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for env_id in asked.tasks:
        directory = Path(tempfile.mkdtemp())
        try:
            row = examine(env_id, asked.steps, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        print(f"| {env_id} | " + " | ".join(row.get(column, "-") for column in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    gymnasium.logger.min_level = gymnasium.logger.ERROR
    main()
