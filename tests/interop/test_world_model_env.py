"""A world model as an environment: Gymnasium's own check, and an agent of Stable-Baselines3 that learns in it."""

import json
import shutil

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from rich.console import Console
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv
from torch.distributions import Independent, Normal

from polygrad_edu import environments  # noqa: F401 (importing it registers the environment)
from polygrad_edu.files.input_error import InputError
from polygrad_edu.runs.checkpoint import load_checkpoint
from polygrad_edu.runs.shipped import export_result, load_result
from polygrad_edu.runs.training import start_run
from polygrad_edu.settings import WORLD_MODELS
from tests.support.generators import untouched
from tests.support.tiny_runs import tiny

STEPWISE = WORLD_MODELS[1:]
LEARNED = {
    "world_model": "mlp-ensemble",
    "prefill_steps": 1500,
    "env_steps": 1510,
    "pretrain_updates": 1500,
    "updates_per_step": 0,
    "policy_update_every": 1000,
    "width": 64,
    "depth": 2,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "ema_decay": 0.98,
    "final_episodes": 1,
}


def train(directory, **settings):
    start_run(directory, "inverted-pendulum", tiny(**settings), 0, "cpu").run(Console(quiet=True))
    return directory


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run in every world model, hardly trained."""
    directory = tmp_path_factory.mktemp("runs")
    return {name: train(directory / name, world_model=name) for name in WORLD_MODELS}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A run whose ensemble has learned InvertedPendulum from 1,500 random steps; its own policy has learned nothing."""
    return train(tmp_path_factory.mktemp("learned") / "run", **LEARNED)


def make(run, **options):
    return gymnasium.make("polygrad_edu/WorldModel-v0", run=str(run), **options)


def play(env, seed, steps=30):
    """What an agent sees over several episodes."""
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, 1)).astype(np.float32)
    seen = [env.reset(seed=seed)[0]]
    for action in actions:
        observation, reward, terminal, truncated, _ = env.step(action)
        seen.append(np.append(observation, [reward, terminal, truncated]))
        if terminal or truncated:
            seen.append(env.reset()[0])
    return np.concatenate(seen)


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.filterwarnings("ignore:.*infinity")  # as in MuJoCo's own tasks, observations have no bounds
@pytest.mark.filterwarnings("error")
def test_gymnasium_finds_nothing_wrong(runs, name):
    check_env(make(runs[name]).unwrapped)


@pytest.mark.parametrize("name", STEPWISE)
def test_same_seed_same_episodes(runs, name):
    first, again, other = (play(make(runs[name]), seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", STEPWISE)
def test_steps_are_those_that_the_model_imagines(runs, name):
    env = make(runs[name], horizon=50).unwrapped
    env.reset(seed=0)

    def policy(observations):
        mean = observations[:, :1].tanh()
        return Independent(Normal(mean, torch.full_like(mean, 0.1)), 1)

    imagined = env.model.imagine(env.observation, policy, 20, torch.Generator().manual_seed(7))
    env.generator.manual_seed(7)
    ended = False
    for t in range(19):
        torch.randn(1, 1, generator=env.generator)  # imagining draws the action's noise between its predictions
        observation, reward, terminal, _, _ = env.step(imagined.actions[0, t].numpy())
        ended |= terminal
        np.testing.assert_allclose(observation, imagined.observations[0, t + 1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reward, imagined.rewards[0, t], rtol=1e-4, atol=1e-5)
        assert ended == bool(imagined.terminals[0, t])
        if ended:
            break


def test_copies_that_nobody_seeded_differ(runs):
    copies = DummyVecEnv([lambda: make(runs["mlp-ensemble"])] * 4)
    assert len(np.unique(copies.reset(), axis=0)) > 1
    several = gymnasium.make_vec("polygrad_edu/WorldModel-v0", 4, "sync", run=str(runs["mlp-ensemble"]))
    assert len(np.unique(several.reset()[0], axis=0)) > 1
    assert not np.array_equal(play(make(runs["mlp-ensemble"]), None), play(make(runs["mlp-ensemble"]), None))


def test_the_real_task_starts_otherwise_each_time_that_it_is_made(runs):
    env = make(runs["mlp-ensemble"]).unwrapped
    starts = [env.make_task().reset()[0] for _ in range(4)]
    assert len(np.unique(starts, axis=0)) == 4


@pytest.mark.parametrize("name", STEPWISE)
def test_the_random_numbers_of_whoever_makes_it_go_on(runs, name):
    with untouched():
        env = make(runs[name])
        env.reset(seed=1)
        env.step(env.action_space.sample())
        env.unwrapped.make_task().reset()
        env.close()


def test_seeds_of_an_agent_are_its_own(runs):
    """Three seeds, three networks: making the environment between seeding and building seeds nothing."""
    weights = []
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        make(runs["mlp-ensemble"])
        weights.append(torch.nn.Linear(3, 3).weight.flatten().tolist())
    assert len({tuple(each) for each in weights}) == 3


def test_loading_a_run_or_a_result_touches_nobodys_generators(learned, tmp_path):
    export_result(learned, tmp_path / "kept")
    with untouched():
        load_checkpoint(learned)[0].collector.close()
        load_result(tmp_path / "kept").loop.collector.close()


def test_a_run_that_git_lfs_did_not_fetch_says_so(learned, tmp_path):
    shutil.copytree(learned, tmp_path / "run")
    export_result(learned, tmp_path / "kept")
    manifest = max((tmp_path / "run").glob("checkpoint/step-*.json"))
    entry = json.loads(manifest.read_text())["shards"][0]
    shard = manifest.parent / "shards" / f"{entry['sha256']}.safetensors"
    weights = tmp_path / "kept" / "model.safetensors"
    for path, directory in [
        (shard, "run"),
        (manifest, "run"),
        (weights, "kept"),
        (weights.parent / "config.json", "kept"),
    ]:
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 577520\n")
        with pytest.raises(InputError, match=f"^{path} is a Git LFS pointer, not the file: run git lfs pull$"):
            make(tmp_path / directory)


def test_episodes_begin_at_real_states(learned):
    env = make(learned)
    seen = load_checkpoint(learned)[0].replay.observations
    starts = np.array([env.reset(seed=i)[0] for i in range(20)])
    assert len(np.unique(starts, axis=0)) > 15
    for start in starts:
        assert (seen == torch.as_tensor(start)).all(dim=1).any()


def test_a_pole_that_is_pushed_over_ends_the_episode_where_it_does_in_the_simulator(learned):
    env, angles, terminals = make(learned, horizon=100), [], []
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        terminal = truncated = False
        while not (terminal or truncated):
            observation, _, terminal, truncated, _ = env.step(np.ones(1, np.float32))
        angles.append(abs(observation[1]))
        terminals.append(terminal)
    assert np.mean(terminals) > 0.9
    assert 0.1 < np.mean(angles) < 0.25  # the simulator's limit is 0.2, and the last observation is of before it


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [((0.3, 0.9), (True, False, False)), ((0.3, 0.1), (False, False, False)), ((np.nan, 0.1), (False, True, True))],
)
def test_endings_and_explosions(runs, outcome, expected):
    env = make(runs["mlp-ensemble"], disable_env_checker=True).unwrapped
    before, _ = env.reset(seed=0)
    change, ending = outcome
    env.predict = lambda observation, action: (observation + change, torch.ones(1), torch.tensor([ending]))
    after, reward, terminal, truncated, info = env.step(np.zeros(1, np.float32))
    assert (terminal, truncated, info["exploded"]) == expected
    assert np.array_equal(before, after) == any(expected)
    assert np.isfinite(reward)


def test_an_episode_is_truncated_at_the_horizon(runs):
    for horizon, expected in ((None, tiny().world_model.horizon), (3, 3)):
        env = make(runs["transformer"], horizon=horizon)
        env.reset(seed=0)
        env.unwrapped.predict = lambda observation, action: (observation, torch.ones(1), torch.zeros(1))
        ends = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(expected)]
        assert ends == [(False, False)] * (expected - 1) + [(False, True)]


def test_an_exported_result_can_be_stepped_too(learned, tmp_path):
    env = make(export_result(learned, tmp_path / "kept"))
    whole = make(learned)
    env.reset(seed=0)
    whole.reset(seed=0)
    whole.unwrapped.observation = env.unwrapped.observation
    whole.unwrapped.generator.set_state(env.unwrapped.generator.get_state())
    for _ in range(5):
        ours, theirs = (each.step(np.zeros(1, np.float32))[0] for each in (env, whole))
        np.testing.assert_allclose(ours, theirs, atol=0.02)  # its weights were rounded to bfloat16


def test_polygrad_and_bad_wishes_are_told_what_would_be_right(runs, tmp_path):
    with pytest.raises(InputError, match=r"no single step; train a run in one that has: .*--world-model mlp-ensemble"):
        make(runs["polygrad"])
    with pytest.raises(InputError, match="horizon must be at least 1"):
        make(runs["transformer"], horizon=0)
    with pytest.raises(InputError, match="not a run directory"):
        make(tmp_path)


def test_an_agent_of_stable_baselines3_learns_in_it_for_the_real_task(learned):
    env = make(learned, horizon=20)
    task = env.unwrapped.make_task()
    agent = PPO("MlpPolicy", env, n_steps=512, seed=0, device="cpu", learning_rate=1e-3, gamma=0.98)

    def real_return():
        task.reset(seed=0)
        return evaluate_policy(agent, task, n_eval_episodes=10, warn=False)[0]

    untrained = real_return()
    agent.learn(2048)
    assert real_return() > 1.5 * untrained
