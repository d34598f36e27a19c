"""Each number that can go wrong is made to, and is caught with its name and its step."""

import io
import json
import math
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from rich.console import Console

from polygrad_edu.files.metrics_log import read_metrics
from polygrad_edu.imagination_loop import ImaginationLoop, NotFiniteError
from polygrad_edu.runs.checkpoint import load_checkpoint
from polygrad_edu.runs.finite_check import SIZED, FiniteCheck, anomaly_detection
from polygrad_edu.runs.training import start_run
from tests.support.command_line import OPTIONS, call
from tests.support.tiny_runs import tiny

ROOT = Path(__file__).parents[2]


def at_step(training, step, wrong):
    """Let ``wrong`` happen before the learning that step ``step`` makes due."""
    learn = training.loop.learn

    def learn_wrongly():
        if training.loop.env_step == step:
            wrong(training.loop)
        return learn()

    training.loop.learn = learn_wrongly


def spoil_loss(loop):
    model, fit = loop.world_model, loop.world_model.fit
    model.fit = lambda replay: fit(replay) * math.inf


def spoil_weight(loop):
    with torch.no_grad():
        loop.actor_critic.critic[0].weight[0, 0] = math.nan
    loop.improve_policy = dict  # so that it meets nothing but the look at the weights


def spoil_policy(loop):
    with torch.no_grad():
        loop.actor_critic.policy.network[-1].bias.fill_(math.nan)
    loop.improve_policy = dict


def spoil_imagination(loop):
    imagine = loop.imagine_from

    def imagine_wrongly(first):
        imagined = imagine(first)
        imagined.observations[3, 2, 0] = math.nan
        return imagined

    loop.imagine_from = imagine_wrongly


def spoil_reward(loop):
    imagine = loop.imagine_from
    loop.imagine_from = lambda first: (lambda made: made._replace(rewards=made.rewards / 0))(imagine(first))


def make_loss_absurd(loop):
    model, fit = loop.world_model, loop.world_model.fit
    model.fit = lambda replay: fit(replay) * 1e9


def explode(loop):
    imagine = loop.imagine_from
    loop.imagine_from = lambda first: (lambda made: made._replace(observations=made.observations + 1e9))(imagine(first))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (spoil_loss, "world_model_loss became inf at step 48"),
        (spoil_imagination, "an imagined state became nan at step 48"),
        (spoil_reward, r"an imagined reward became (inf|nan|-inf) at step 48"),
        (spoil_weight, "a weight of the actor-critic became nan by step 50"),
        (spoil_policy, "an action of the policy was not finite at step 48"),
        (explode, "every imagined trajectory exploded at step 48"),
        (
            make_loss_absurd,
            r"world_model_loss became \d\.\d+e\+\d\d at step 48, where \d\.?\d* is usual\. Perhaps an obs",
        ),
    ],
)
def test_what_goes_wrong_is_named_with_its_step_and_never_saved(tmp_path, wrong, message):
    training = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 3, "cpu")  # saved at step 40, looked at at 50
    at_step(training, 48, wrong)
    with pytest.raises(NotFiniteError, match=message) as error:
        training.run(Console(quiet=True))
    assert str(error.value).endswith("the last good checkpoint is of step 40")
    loop, _ = load_checkpoint(tmp_path / "run")
    assert loop.env_step == 40
    assert not (tmp_path / "run" / "result.json").exists()
    assert all(value.isfinite().all() for value in loop.actor_critic.parameters())


def test_a_few_exploded_trajectories_are_counted_and_shown(tmp_path):
    training = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 3, "cpu")
    imagine = training.loop.imagine_from

    def imagine_wildly(*arguments):
        imagined = imagine(*arguments)
        imagined.observations[:2, -1] = 1e9
        return imagined

    training.loop.imagine_from = imagine_wildly
    console = Console(record=True, width=200, file=io.StringIO())
    training.run(console)
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    updates = 60 // 4 - 40 // 4 + 1
    assert last["exploded"] == 2 * updates
    assert f"exploded {2 * updates}" in console.export_text()


def test_the_first_wrong_number_is_named_not_what_it_led_to():
    check = FiniteCheck()
    good, bad = torch.tensor(1.0), torch.tensor(math.nan)
    check.add(7, {"world_model_loss": good, "actor_loss": good})
    check.add(8, {"world_model_loss": good, "imagined_reach": bad, "actor_loss": bad})
    check.add(9, {"world_model_loss": bad})
    with pytest.raises(NotFiniteError, match="an imagined state became nan at step 8"):
        check.check({}, 9)


def test_numbers_put_aside_survive_being_overwritten():
    """As a recorded update's outputs are, by the next one."""
    check, loss = FiniteCheck(), torch.tensor(math.inf)
    check.add(3, {"world_model_loss": loss})
    loss.fill_(1.0)
    with pytest.raises(NotFiniteError, match="at step 3"):
        check.check({}, 4)


def test_the_cause_of_another_error_is_the_first_wrong_number_if_there_is_one():
    check = FiniteCheck()
    check.add(3, {"world_model_loss": torch.tensor(1.0)})
    assert check.cause() is None
    check.add(4, {"critic_loss": torch.tensor(math.nan)})
    assert "critic_loss became nan at step 4" in str(check.cause())
    assert check.cause() is None  # each number is checked once


def checked(values, name="world_model_loss", check=None, first=1, **others):
    """Check a metric's values one after the other; returns the check."""
    check = check or FiniteCheck()
    for step, value in enumerate(values, start=first):
        check.add(step, {name: torch.tensor(value)} | {key: torch.tensor(other) for key, other in others.items()})
    check.check({}, step)
    return check


def noisy(mean, spread, n=400):
    return (mean + spread * torch.randn(n)).tolist()


@pytest.mark.parametrize(
    ("values", "absurd"),
    [
        ([0.3] * 50, 3.1e3),
        ([0.3] * 50, -3.1e3),
        ([1e-9] * 50, 1.1e3),  # what is smaller than a tenth counts as a tenth
        ([30.0] * 50, 3.1e5),
        (noisy(0.0, 3.0), 1e5),  # a likelihood, which may be negative
        ([], 1.1e6),  # no past yet: the usual size is about 1
        ([0.5] * 5, 1.1e6),
        ([40.0] * 5, 4.1e7),
        ([10.0 ** (step / 50) for step in range(401)], 1.1e8),  # it crept there
    ],
)
def test_a_loss_that_is_absurd_beside_its_past_ends_the_run(values, absurd):
    check = checked(values) if values else FiniteCheck()
    with pytest.raises(NotFiniteError, match=rf"^world_model_loss became {absurd:.3g}".replace("+", "[+]")) as error:
        checked([absurd], check=check, first=1001)
    assert " at step 1001, where " in str(error.value)
    assert "had stood still before" in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        [0.3] * 50 + [2.9e3],  # large, and yet it may recover
        [900.0, 500.0, 100.0, *[1.0] * 400, 900.0],
        [10.0 ** (-step / 50) for step in range(400)] + [50.0],  # ever better
        [1.0005**step for step in range(20_000)],  # it grows slowly, to 22,000
        noisy(-30.0, 10.0) + noisy(0.0, 0.5) + noisy(5.0, 5.0),
        [0.0] * 100 + [1.0] * 100,
    ],
)
def test_what_is_large_but_not_absurd_goes_on(values):
    checked(values)


def test_an_absurd_number_does_not_become_the_usual_one():
    check = checked([0.3] * 20)
    for step in range(100, 500):
        with pytest.raises(NotFiniteError, match=r"where 0\.3 is usual"):
            checked([1e9], check=check, first=step)


def test_a_run_that_goes_on_knows_the_usual_size_from_before():
    check = FiniteCheck()
    check.begin({"world_model_loss": 0.3, "critic_loss": 5.0})
    with pytest.raises(NotFiniteError, match=r"where 0\.3 is usual"):
        checked([1e5], check=check)


def test_an_imagined_state_that_is_absurd_ends_the_run_but_what_exploded_is_left_out():
    check = checked([1e-7] * 20, "imagined_reach", exploded_share=0.0)  # with a large explosion_factor
    checked([1e9], "imagined_reach", check, exploded_share=0.1)
    with pytest.raises(NotFiniteError, match=r"an imagined state became 0.1 at step 1, where 1e-07 is usual"):
        checked([0.1], "imagined_reach", check, exploded_share=0.0)
    checked([0.0] * 50, "imagined_reach", exploded_share=0.0)  # without a limit, no reach is measured


def test_losses_that_follow_the_rewards_have_no_usual_size():
    """A task may pay nothing for a long time."""
    for name in ("critic_loss", "actor_loss", "imagined_reward"):
        checked([0.0] * 300 + [1e6], name)


@pytest.mark.parametrize("name", ["hopper-cpu", "inverted-pendulum", "point-mass"])
def test_no_result_that_comes_with_the_course_is_absurd(name):
    lines = read_metrics(ROOT / "results" / name / "metrics.jsonl")
    for name in SIZED:
        for_each = [line[name] for line in lines if name in line]
        if for_each:
            checked(for_each, name)


class Flag(gymnasium.Env):
    """A task whose last number stands still for 250 steps of all episodes together, and then moves."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.state = np.zeros(2)
        self.steps = 0

    def _get_obs(self):
        return self.state.copy()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.array([self.np_random.uniform(-1, 1), 0.0])
        return self._get_obs(), {}

    def step(self, action):
        self.steps += 1
        self.state = np.array([0.9 * self.state[0] + 0.1 * float(action[0]), float(self.steps > 250)])
        return self._get_obs(), -abs(float(self.state[0])), False, False, {}


@pytest.mark.parametrize("still_as_others", [True, False])
def test_an_observation_that_stood_still_and_moves_ends_no_run_or_is_named(tmp_path, still_as_others):
    """The official code divides it by a millionth. Ours does not, and so has nothing to name."""
    if "Flag-v0" not in gymnasium.registry:
        gymnasium.register("Flag-v0", Flag, max_episode_steps=100)
    preset = tiny(env_id="Flag-v0", env_steps=300, prefill_steps=200, eval_every=1000, checkpoint_every=50)
    training = start_run(tmp_path / "run", "inverted-pendulum", preset, 3, "cpu")
    training.loop.replay.normaliser.observations.still_as_others = still_as_others
    training.loop.replay.is_surprised = lambda *_: False
    if still_as_others:
        assert training.run(Console(quiet=True))["env_steps"] == 300
        return
    message = (
        r"world_model_loss became .*e\+\d\d at step 2\d\d, where .* is usual.*; the last good checkpoint is of step 250"
    )
    with pytest.raises(NotFiniteError, match=message):
        training.run(Console(quiet=True))
    assert not (tmp_path / "run" / "result.json").exists()


def test_anomaly_detection_names_the_line():
    loop = ImaginationLoop(tiny(), seed=0)
    for _ in range(42):
        loop.step()
    with torch.no_grad():
        loop.actor_critic.value_scale.fill_(0.0)  # the critic's error is divided by it
    line = r"polygrad_edu/actor_critic.py:\d+ \(losses\): critic = 0.5 \* \(error.square\(\) \* weight\).mean\(\)"
    with pytest.raises(NotFiniteError, match=line), anomaly_detection():
        loop.improve_policy()


def test_the_command_finds_the_line(tmp_path):
    done = call("train", "--out", tmp_path / "run", *OPTIONS, "--learning-rate", "1e30", "--detect-anomaly")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "polygrad_edu/" in last
    assert "Traceback" not in done.stderr
