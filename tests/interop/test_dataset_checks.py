"""Checks of a dataset by others, one by one; whole datasets are refused in test_datasets.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.interop.dataset_checks import check_played, checked_rows, recorded_spec
from polygrad_edu.interop.task_specs import plain_task

STEPS = 6
PUSH = 0.02  # of the range: the pole stands for these steps


@pytest.fixture(scope="module")
def env():
    made = environments.make("InvertedPendulum-v5")
    yield made
    made.close()


def spanned_by(env):
    own = plain_task(env).action_space
    return own.low.astype(np.float64), own.high.astype(np.float64)


def recorded(env, **changes):
    """An episode as Minari gives it, in the task's own units."""
    _, high = spanned_by(env)
    observation, _ = env.reset(seed=0)
    observations, states, rewards = [observation], [environments.get_simulator_state(env)], []
    for _ in range(STEPS):
        observation, reward, *_ = env.step(np.full(1, PUSH))
        observations.append(observation)
        states.append(environments.get_simulator_state(env))
        rewards.append(reward)
    arrays = {
        "id": 3,
        "observations": np.array(observations),
        "actions": np.tile(PUSH * high, (STEPS, 1)),
        "rewards": np.array(rewards, dtype=np.float64),
        "terminations": np.zeros(STEPS, dtype=bool),
        "infos": {"simulator_state": np.array(states)},
    }
    return SimpleNamespace(**arrays | changes)


def test_rows_have_our_units_and_say_where_each_step_led(env):
    episode = recorded(env)
    rows = checked_rows(episode, env, spanned_by(env), "data")
    assert rows["action"] == pytest.approx(np.full((STEPS, 1), PUSH))
    assert np.array_equal(rows["next_observation"][:-1], rows["observation"][1:])
    assert np.array_equal(rows["simulator_state"], episode.infos["simulator_state"][:STEPS])
    assert {name: values.dtype for name, values in rows.items()} == {
        "observation": np.float32,
        "next_observation": np.float32,
        "action": np.float32,
        "reward": np.float32,
        "terminal": np.bool_,
        "simulator_state": np.float64,
    }
    check_played([rows], env, "data")  # the same happens here


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": np.zeros(0)}, "has no steps"),
        ({"actions": np.zeros((STEPS, 2))}, "has actions of shape"),
        ({"rewards": np.full(STEPS, 1e300)}, "not every one of its rewards is a finite number"),
        ({"terminations": np.arange(STEPS) == 2}, "goes on after a terminal step"),
        ({"infos": {"level": np.full(STEPS + 1, -1)}}, "its level must be a whole number, 0 or more"),
    ],
)
def test_an_episode_that_does_not_fit_is_named_with_what_is_wrong(env, changes, message):
    with pytest.raises(InputError, match=f"episode 3 of data.*{message}"):
        checked_rows(recorded(env, **changes), env, spanned_by(env), "data")


def test_a_step_that_goes_otherwise_here_is_found(env):
    rows = checked_rows(recorded(env), env, spanned_by(env), "data")
    rows["reward"] += 5
    with pytest.raises(InputError, match="was recorded in another InvertedPendulum-v5 than the one here"):
        check_played([rows], env, "data")


@pytest.mark.parametrize("spec", ['{"id": "canary:Hopper-v5"}', '{"id": 5}', "{", "[]"])
def test_a_spec_names_a_task_and_never_a_module(spec, tmp_path):
    spaces = dict.fromkeys(("observation_space", "action_space"), "{}")
    with pytest.raises(InputError):
        recorded_spec({"env_spec": spec, **spaces}, tmp_path, "data")
