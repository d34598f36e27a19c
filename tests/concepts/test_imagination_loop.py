import math
import random
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop, NotFiniteError
from polygrad_edu.presets import PRESETS, get_preset
from polygrad_edu.settings import MAX_SEED, WORLD_MODELS
from tests.support.tiny_runs import assert_same, run, tiny

TASKS = {preset.task.env_id: name for name, preset in reversed(PRESETS.items())}  # a preset for each task


@pytest.mark.parametrize("name", TASKS.values())
@pytest.mark.parametrize("guidance", ["fixed-noise", "gradient"])
def test_every_task_learns_and_imagines_within_its_shapes(name, guidance):
    loop = ImaginationLoop(tiny(name, guidance=guidance, eval_every=1000, env_steps=50), seed=1)
    metrics = {}
    for _ in range(48):
        metrics |= loop.step()
    assert math.isfinite(metrics["world_model_loss"])
    assert math.isfinite(metrics["actor_loss"])
    assert loop.world_model_updates == 5 + 8
    imagined = loop.imagine(7)
    size, actions = loop.replay.observations.shape[1], loop.replay.actions.shape[1]
    assert imagined.observations.shape == (7, loop.preset.world_model.horizon, size)
    assert imagined.actions.shape == (7, loop.preset.world_model.horizon, actions)
    assert all(torch.isfinite(part).all() for part in imagined)


@pytest.mark.usefixtures("short_episodes")
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains(name):
    """With its own networks and rules, but an update now and then instead of one a step, to save time."""
    sparse = {
        "env_steps": 600,
        "prefill_steps": 300,
        "pretrain_updates": 5,
        "updates_per_step": 0.02,
        "policy_update_every": 100,
        "imagined_trajectories": 32,
        "eval_every": 600,
        "eval_episodes": 1,
    }
    loop = ImaginationLoop(get_preset(name).with_overrides(sparse), seed=0)
    metrics = {}
    for news in loop.steps():
        metrics |= news
    assert loop.env_step == 600
    assert loop.world_model_updates >= 10
    for number in ("world_model_loss", "actor_loss", "critic_loss", "eval_return"):
        assert math.isfinite(metrics[number])


@pytest.mark.parametrize("world_model", WORLD_MODELS)
def test_the_world_model_is_made_for_the_replay_that_it_learns_from(world_model):
    loop = ImaginationLoop(tiny(world_model=world_model), seed=0)
    assert loop.world_model.normaliser is loop.replay.normaliser
    assert loop.world_model.window == loop.replay.horizon
    assert loop.world_model.generator is loop.generator


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_the_critics_advantage_is_handed_over_where_it_has_a_scale(scale):
    loop = ImaginationLoop(tiny(advantage_scale=scale), seed=0)
    handed_over = []

    def model(advantage):
        return SimpleNamespace(
            imagine=lambda *arguments: handed_over.append((*arguments, advantage)), with_advantage=model
        )

    loop.world_model = model(None)
    first = torch.zeros(3, 4)
    loop.imagine_from(first)
    ((observations, policy, horizon, generator, advantage),) = handed_over
    assert observations is first
    assert policy is loop.actor_critic.policy
    assert horizon == loop.preset.world_model.horizon
    assert generator is None
    assert advantage == (loop.actor_critic.advantage if scale else None)


@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 30))
def test_over_a_run_a_task_comes_due_once_for_each_of_its_intervals(n_envs, every, n_steps):
    """However many environments step side by side."""
    loop = SimpleNamespace(env_step=0, collector=SimpleNamespace(n_envs=n_envs))
    due = []
    for _ in range(n_steps):
        loop.env_step += n_envs
        due.append(ImaginationLoop.times_due(loop, every))
    assert sum(due) == loop.env_step // every
    assert max(due) <= math.ceil(n_envs / every)


@pytest.mark.parametrize("world_model", WORLD_MODELS[1:])
def test_the_loop_learns_in_any_world_model(world_model):
    loop = ImaginationLoop(tiny(world_model=world_model), seed=0)
    metrics = {}
    for news in loop.steps():
        metrics |= news
    assert math.isfinite(metrics["world_model_loss"])
    assert math.isfinite(metrics["actor_loss"])
    imagined = loop.imagine(3)
    assert imagined.observations.shape == (3, loop.preset.world_model.horizon, 4)


def test_same_seed_same_run_and_another_seed_another():
    first, again, other = (ImaginationLoop(tiny(), seed=seed) for seed in (3, 3, 4))
    for loop in (first, again, other):
        run(loop, 50)
    for ours, theirs in zip(
        first.world_model.network.parameters(), again.world_model.network.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert torch.equal(first.replay.observations, again.replay.observations)
    assert not torch.equal(first.replay.observations, other.replay.observations)


def test_the_averaged_model_follows_the_trained_one():
    loop = ImaginationLoop(tiny(ema_decay=0.9), seed=0)
    run(loop, 39)
    model = loop.world_model
    old = [parameter.clone() for parameter in model.averaged_network.parameters()]
    loop.replay.refresh_normaliser()
    loop.fit_world_model()
    new_ones = model.network.parameters()
    for average, before, new in zip(model.averaged_network.parameters(), old, new_ones, strict=True):
        torch.testing.assert_close(average, 0.9 * before + 0.1 * new.detach())


def test_the_world_model_learns_its_data():
    loop = ImaginationLoop(tiny(width=64, depth=2, env_steps=300, prefill_steps=300, batch_size=128), seed=0)
    while loop.env_step < 299:
        loop.act()
    loop.replay.refresh_normaliser()
    losses = [loop.fit_world_model().item() for _ in range(300)]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_the_best_policy_is_kept():
    loop = ImaginationLoop(tiny(), seed=0)
    loop.evaluate()
    best = {name: value.clone() for name, value in loop.best_policy.state_dict().items()}
    with torch.no_grad():
        loop.actor_critic.policy.network[-1].bias.fill_(50.0)  # pushes the cart off as hard as it can
    loop.evaluate()
    assert loop.last_eval < loop.best_return
    assert all(torch.equal(value, best[name]) for name, value in loop.best_policy.state_dict().items())


def test_the_gradient_rule_tunes_its_scale_and_others_do_not():
    for guidance in ("gradient", "fixed-noise"):
        loop = ImaginationLoop(tiny(guidance=guidance), seed=0)
        before = loop.world_model.guidance_tuner.scale.item()
        run(loop, 50)
        assert (loop.world_model.guidance_tuner.scale.item() != before) == (guidance == "gradient")


def test_a_simulation_that_diverges_is_caught(monkeypatch):
    loop = ImaginationLoop(tiny(), seed=0)
    env = loop.collector.env
    step = env.step
    monkeypatch.setattr(env, "step", lambda action: (step(action)[0] * float("nan"), 1.0, True, False, {}))
    with pytest.raises(NotFiniteError, match="InvertedPendulum-v5 returned a non-finite observation"):
        loop.step()


def test_environments_side_by_side_learn_at_the_same_ratio():
    loop = ImaginationLoop(tiny(parallel_envs=3, env_steps=100, eval_every=50), seed=0)
    evaluations = [loop.env_step for metrics in loop.steps() if "eval_return" in metrics]
    loop.collector.close()
    assert loop.env_step == 102
    # what was learned before the last steps arrived: 99 real steps, 40 of them random, on top of 5 updates
    assert loop.world_model_updates == 5 + 59
    assert evaluations == [51, 102]
    assert loop.replay.size == 102
    replay = loop.replay
    windows = replay.windows(replay.starts[: replay.n_starts])
    raw = replay.normaliser.denormalise_trajectory(windows.trajectory)[0]
    env = loop.make_env()
    for row, first in enumerate(windows.first_indices[:20].tolist()):  # each is one environment's own story
        actions = replay.normaliser.actions.denormalise(windows.actions[row])
        played = environments.replay_actions(env, replay.simulator_states[first].numpy(), actions.numpy())
        runs = played["terminals"].cumsum() - played["terminals"] == 0
        torch.testing.assert_close(
            raw[row][runs].double(), torch.from_numpy(played["observations"][runs]), atol=1e-4, rtol=1e-4
        )


def global_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


@pytest.mark.parametrize("world_model", WORLD_MODELS)
def test_a_loop_leaves_everybodys_generators_alone(world_model):
    before = global_states()
    loop = ImaginationLoop(tiny(world_model=world_model), seed=5)
    run(loop, 45)
    loop.imagine(4)
    loop.collector.close()
    assert global_states() == before


def test_a_loop_does_not_depend_on_anybodys_generators():
    loops = []
    for number in range(2):
        torch.manual_seed(number)
        np.random.seed(number)  # noqa: NPY002
        random.seed(number)
        loops.append(ImaginationLoop(tiny(), seed=5))
        run(loops[-1], 60)
    assert_same(*loops)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 2**63, 2**70])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(InputError, match=r"seed must be from 0 to 999,999"):
        ImaginationLoop(tiny(), seed=seed)


@pytest.mark.parametrize("changes", [{"horizon": 300}, {"world_model": "transformer"}, {"world_model": "recurrent"}])
def test_a_window_longer_than_the_episodes_is_refused(changes):
    if "Short-v0" not in gymnasium.registry:
        gymnasium.register("Short-v0", lambda: gymnasium.make("Pendulum-v1").unwrapped, max_episode_steps=12)
    env_id = "Pendulum-v1" if "horizon" in changes else "Short-v0"
    with pytest.raises(InputError, match="hold no window of"):
        ImaginationLoop(tiny(env_id=env_id, **changes))


class Flag(gymnasium.Env):
    """A third number stands still for 60 steps of the environment's life and then is 1."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self):
        self.state, self.age = np.zeros(3, np.float32), 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.append(self.np_random.uniform(-1, 1, 2), 0).astype(np.float32)
        return self.state, {}

    def step(self, action):
        self.age += 1
        self.state = np.append(0.9 * self.state[:2] + 0.1 * action[0], self.age > 60).astype(np.float32)
        return self.state, -float(np.abs(self.state[:2]).sum()), False, False, {}


@pytest.mark.parametrize("jump", [1.0, 1000.0])
def test_a_value_that_stood_still_and_moves_does_not_blow_the_loss_up(jump):
    class Jumping(Flag):
        def step(self, action):
            observation, *rest = super().step(action)
            self.state[2] *= jump
            return observation, *rest

    gymnasium.register("Jumping-v0", Jumping, max_episode_steps=300)
    loop = ImaginationLoop(tiny(env_id="Jumping-v0", env_steps=120, eval_every=1000), seed=0)
    losses = [float(metrics["world_model_loss"]) for metrics in loop.steps() if "world_model_loss" in metrics]
    assert max(losses) < 100


def test_the_average_of_the_last_policies_is_what_is_evaluated_and_kept():
    loop = ImaginationLoop(tiny(policy_average=0.75), seed=0)
    while loop.env_step < loop.preset.loop.prefill_steps + 1:
        loop.step()
    loop.settled_policy.load_state_dict(loop.actor_critic.policy.state_dict())
    expected = [parameter.detach().clone() for parameter in loop.actor_critic.policy.parameters()]
    for _ in range(3):
        loop.improve_policy()
        now = list(loop.actor_critic.policy.parameters())
        expected = [0.75 * average + 0.25 * new.detach() for average, new in zip(expected, now, strict=True)]
    for average, own in zip(expected, loop.settled_policy.parameters(), strict=True):
        torch.testing.assert_close(own, average)
    loop.best_return = -float("inf")
    loop.evaluate()
    for kept, own in zip(loop.best_policy.parameters(), loop.settled_policy.parameters(), strict=True):
        assert torch.equal(kept, own)
    assert not torch.equal(next(loop.best_policy.parameters()), next(loop.actor_critic.policy.parameters()))


def test_without_an_average_the_last_policy_is_evaluated():
    loop = ImaginationLoop(tiny(), seed=0)
    assert loop.settled_policy is loop.actor_critic.policy
