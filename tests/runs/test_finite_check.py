"""Each number that can go wrong is made to, and is caught with its name and its step."""

import io
import json
import math

import pytest
import torch
from rich.console import Console

from polygrad_edu.imagination_loop import ImaginationLoop, NotFiniteError
from polygrad_edu.runs.checkpoint import load_checkpoint
from polygrad_edu.runs.finite_check import FiniteCheck, anomaly_detection
from polygrad_edu.runs.training import start_run
from tests.support.command_line import OPTIONS, call
from tests.support.tiny_runs import tiny


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
