"""Datasets: ours and anybody's, read whole or refused by name."""

import json
import shutil
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import wrappers
from gymnasium.envs.classic_control import PendulumEnv

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.interop.datasets import load_dataset, to_replay
from polygrad_edu.interop.outside_policies import MLPPolicy, save_policy
from polygrad_edu.replay import Normaliser, SequenceReplay
from tests.support.recording import episode, record

if sys.version_info < (3, 11):
    pytest.skip("Minari needs Python 3.11", allow_module_level=True)
import h5py
import minari


@pytest.fixture
def copy(made, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(made[0], tmp_path / "copy")
    return tmp_path / "copy"


def change(directory, name, values, episode=1):
    with h5py.File(directory / "data" / "main_data.hdf5", "a") as file:
        del file[f"episode_{episode}/{name}"]
        file[f"episode_{episode}/{name}"] = values


def test_stored_actions_lead_from_stored_states_to_stored_observations(made):
    data, env = load_dataset(made[0]), environments.make("Hopper-v5")
    for number in np.unique(data.episodes)[::4]:
        rows = np.flatnonzero(data.episodes == number)
        real = environments.replay_actions(env, data.simulator_states[rows[0]], data.actions[rows])
        np.testing.assert_allclose(real["observations"], data.observations[rows], atol=1e-5)
        np.testing.assert_allclose(real["rewards"], data.rewards[rows], atol=1e-5)


def test_a_split_keeps_whole_episodes_of_every_level_apart(made):
    data = load_dataset(made[0])
    train, test = data.split(0.2, 0)
    assert len(train.rewards) + len(test.rewards) == 300
    assert set(test.levels) == {0, 1, 2}
    assert max(train.longest_episode, test.longest_episode) == data.longest_episode
    assert len(test.policies) == 3
    train_rows = {row.tobytes() for row in train.observations}
    assert not any(row.tobytes() in train_rows for row in test.observations)
    for part in (train, test):
        assert (np.diff(part.episodes) >= 0).all()
        assert np.unique(part.episodes).tolist() == list(range(part.episodes.max() + 1))
    again, _ = data.split(0.2, 0)
    assert np.array_equal(train.observations, again.observations)


@pytest.mark.parametrize("window", [2, 5, 16])
def test_a_bulk_replay_is_one_that_was_filled_step_by_step(made, window):
    data = load_dataset(made[0])
    bulk = to_replay(data, window)
    slow = SequenceReplay(300, window, Normaliser(11, 3), data.simulator_states.shape[1])
    for i in range(300):
        last = i == 299 or data.episodes[i + 1] != data.episodes[i]
        slow.add(
            data.observations[i],
            data.actions[i],
            data.rewards[i],
            data.terminals[i],
            last and not data.terminals[i],
            data.simulator_states[i],
        )
    slow.refresh_normaliser()
    assert (bulk.size, bulk.n_starts) == (slow.size, slow.n_starts)
    assert sorted(bulk.starts[: bulk.n_starts].tolist()) == sorted(slow.starts[: slow.n_starts].tolist())
    one, other = (replay.windows(slow.starts[: slow.n_starts]) for replay in (bulk, slow))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert torch.equal(bulk.simulator_states, slow.simulator_states)


@pytest.mark.filterwarnings("ignore::UserWarning:minari")  # that this dataset has no author and no description
def test_anybodys_minari_dataset_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = gymnasium.make("Pendulum-v1", max_episode_steps=20)
    buffers = []
    for i in range(3):
        rows = {
            "observations": [env.reset(seed=i)[0]],
            "actions": [],
            "rewards": [],
            "terminations": [],
            "truncations": [],
        }
        for step in range(20):
            action = np.array([2.0 - 0.2 * step], dtype=np.float32)
            observation, reward, terminal, truncated, _ = env.step(action)
            for name, value in zip(rows, (observation, action, reward, terminal, truncated), strict=True):
                rows[name].append(value)
        buffers.append(minari.data_collector.EpisodeBuffer(id=i, **rows))
    minari.create_dataset_from_buffers("pendulum/mine-v0", buffers, env=env)
    for source in ("pendulum/mine-v0", tmp_path / "pendulum" / "mine-v0"):
        data = load_dataset(source, "Pendulum-v1")
        assert data.observations.shape == (60, 3)
        np.testing.assert_allclose(data.actions[:3, 0], [1.0, 0.9, 0.8], rtol=1e-5)  # the task's range is +-2
        assert data.simulator_states is None
        assert not data.policies
        assert (data.levels == -1).all()
        assert to_replay(data, 10).n_starts == 3 * 11
    with pytest.raises(InputError, match="no episode has the 21 steps that a window takes; the longest has 20"):
        to_replay(data, 21)
    with pytest.raises(InputError, match="is of Pendulum-v1, not of Hopper-v5"):
        load_dataset(source, "Hopper-v5")


def test_what_is_not_a_usable_dataset_is_refused_by_name(made, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "root"))

    def refused(message, source=copy):
        with pytest.raises(InputError, match=message) as error:
            load_dataset(source)
        assert "\n" not in str(error.value)

    refused("nothing-here is neither a dataset's directory nor the name of a local Minari dataset", "nothing-here")
    good = load_dataset(made[0])
    first = (good.episodes == 1).sum()
    with h5py.File(copy / "data" / "main_data.hdf5") as file:
        observations, actions, rewards = (file[f"episode_1/{n}"][()] for n in ("observations", "actions", "rewards"))
    spoiled = rewards.copy()
    spoiled[1] = np.nan
    change(copy, "rewards", spoiled)
    refused("episode 1 of .*: not every one of its rewards is a finite number")
    change(copy, "rewards", rewards)
    spoiled = observations.copy()
    spoiled[2, 3] = np.inf
    change(copy, "observations", spoiled)
    refused("episode 1 of .*: not every one of its observations is a finite number")
    change(copy, "observations", observations[:, :7])
    refused(rf"episode 1 of .* has observations of shape \({first + 1}, 7\); Hopper-v5 needs \({first + 1}, 11\)")
    change(copy, "observations", observations)
    change(copy, "actions", actions[:-1])
    refused(rf"episode 1 of .* has actions of shape \({first - 1}, 3\)")
    change(copy, "actions", actions)
    assert np.array_equal(load_dataset(copy).observations, good.observations)

    metadata = json.loads((copy / "data" / "metadata.json").read_text())
    (copy / "data" / "metadata.json").write_text(json.dumps({k: v for k, v in metadata.items() if k != "env_spec"}))
    refused("does not say which task it is of")
    (copy / "data" / "metadata.json").write_text(json.dumps(metadata | {"env_spec": "{"}))
    refused("holds a damaged env_spec")
    (copy / "data" / "metadata.json").write_text("{")
    refused("cannot be read as JSON")
    (copy / "data" / "metadata.json").write_text(json.dumps(metadata))
    content = (copy / "data" / "main_data.hdf5").read_bytes()
    (copy / "data" / "main_data.hdf5").write_bytes(content[: len(content) // 2])
    refused("is a damaged dataset")


def edited(values, number, value):
    values = values.copy()
    values[number] = value
    return values


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("rewards", lambda v: v[:, None], "has rewards of shape"),
        ("rewards", lambda v: np.array([b"a"] * len(v)), "not every one of its rewards is a finite number"),
        ("infos/simulator_state", lambda v: v[:, :5], "has simulator_state of shape"),
        ("infos/simulator_state", lambda v: v[:2], "has simulator_state of shape"),
        ("infos/simulator_state", lambda v: edited(v, 1, np.nan), "not every one of its simulator_state is"),
        ("infos/policy_action", lambda v: np.hstack([v, v]), "has policy_action of shape"),
        ("infos/level", lambda v: v + 0.5, "its level must be a whole number"),
        ("terminations", lambda v: edited(v, 1, True), "goes on after a terminal step"),
    ],
)
def test_an_episode_that_does_not_fit_is_named(copy, name, spoil, message):
    with h5py.File(copy / "data" / "main_data.hdf5") as file:
        values = file[f"episode_1/{name}"][()]
    change(copy, name, spoil(values))
    with pytest.raises(InputError, match=rf"^episode 1 of .*{message}") as error:
        load_dataset(copy)
    assert "\n" not in str(error.value)


def test_an_episode_without_steps_is_refused(copy):
    with h5py.File(copy / "data" / "main_data.hdf5") as file:
        observations = file["episode_1/observations"][()]
    change(copy, "observations", observations[:1])
    for name in ("rewards", "terminations", "truncations"):
        change(copy, name, np.zeros(0))
    change(copy, "actions", np.zeros((0, 3)))
    with pytest.raises(InputError, match=r"episode 1 of .* has no steps"):
        load_dataset(copy)


def test_levels_and_policies_must_belong_together(made, copy):
    (copy / "policies" / "random.safetensors").unlink()
    with pytest.raises(InputError, match=r"steps of level 2 but only 2 policies: \['half-trained', 'trained'\]"):
        load_dataset(copy)
    save_policy(MLPPolicy([3, 4, 1], "tanh", squashed=False), copy / "policies" / "random.safetensors")
    with pytest.raises(InputError, match="random takes 3 observations and 1 actions; Hopper-v5 has 11 and 3"):
        load_dataset(copy)


def test_code_named_by_a_file_is_not_imported(copy):
    path = copy / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    spec = json.loads(metadata["env_spec"]) | {"entry_point": "antigravity:open"}
    path.write_text(json.dumps(metadata | {"env_spec": json.dumps(spec)}))
    assert load_dataset(copy).env_id == "Hopper-v5"


@pytest.mark.parametrize("stored_id", ["polygrad_canary:Hopper-v5", 5, None])
def test_a_task_id_may_not_name_a_module(copy, tmp_path, monkeypatch, stored_id):
    (tmp_path / "polygrad_canary.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    path = copy / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    spec = json.loads(metadata["env_spec"]) | {"id": stored_id}
    path.write_text(json.dumps(metadata | {"env_spec": json.dumps(spec)}))
    with pytest.raises(InputError, match="a plain Gymnasium id is needed"):
        load_dataset(copy)
    assert "polygrad_canary" not in sys.modules


def test_too_few_episodes_cannot_be_split(made):
    data = load_dataset(made[0])
    one = data._rows(data.episodes == 0)
    with pytest.raises(InputError, match="1 episodes are too few"):
        one.split(0.1, 0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty Minari root."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "root"))
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


unnamed = pytest.mark.filterwarnings("ignore::UserWarning:minari")  # these datasets have no author, no description


def refusal(source):
    with pytest.raises(InputError) as error:
        load_dataset(source)
    assert "\n" not in str(error.value)
    return str(error.value)


def replayed(data):
    """The largest difference between what was recorded and what happens here, over whole episodes."""
    env, furthest = environments.make(data.env_id), 0.0
    for number in np.unique(data.episodes):
        rows = np.flatnonzero(data.episodes == number)
        real = environments.replay_actions(env, data.simulator_states[rows[0]], data.actions[rows])
        furthest = max(furthest, np.abs(real["observations"] - data.observations[rows]).max())
        furthest = max(furthest, np.abs(real["rewards"] - data.rewards[rows]).max())
    return furthest


@unnamed
@pytest.mark.parametrize(
    ("env_id", "options", "wrap"),
    [
        ("Hopper-v5", {}, lambda env: env),
        ("Hopper-v5", {"frame_skip": 4, "render_mode": "rgb_array"}, wrappers.RecordEpisodeStatistics),
        ("Pendulum-v1", {"g": 10.0, "max_episode_steps": 50}, lambda env: env),
        ("Pendulum-v1", {}, lambda env: wrappers.RescaleAction(env, -1, 1)),
        ("Pendulum-v1", {}, lambda env: wrappers.ClipAction(wrappers.RescaleAction(env, 0, 10))),
        ("HalfCheetah-v4", {"ctrl_cost_weight": 0.1}, lambda env: env),
    ],
)
def test_a_task_that_is_the_same_here_is_read_and_replayed(root, env_id, options, wrap):
    data = load_dataset(record(wrap(gymnasium.make(env_id, **options))), env_id)
    assert replayed(data) < 1e-4


@unnamed
@pytest.mark.parametrize("action_scale", [1.0, 1 / 3])
def test_a_recording_of_a_task_as_it_is_made_here_is_read(root, action_scale):
    env = environments.make("InvertedPendulum-v5", action_scale)
    data = load_dataset(record(env))
    assert np.abs(data.actions).max() <= action_scale + 1e-6
    assert replayed(data) < 1e-4


@unnamed
@pytest.mark.parametrize(
    ("env_id", "options", "wrap", "said"),
    [
        ("Hopper-v5", {"frame_skip": 8}, lambda env: env, "frame_skip=8 (here 4)"),
        ("Pendulum-v1", {"g": 2.0}, lambda env: env, "g=2.0 (here 10.0)"),
        ("Pendulum-v1", {}, wrappers.NormalizeObservation, "the wrapper NormalizeObservation"),
        ("Pendulum-v1", {}, wrappers.NormalizeReward, "the wrapper NormalizeReward"),
        ("Pendulum-v1", {}, lambda env: wrappers.StickyAction(env, 0.3), "the wrapper StickyAction"),
    ],
)
def test_a_task_that_was_made_otherwise_is_refused(root, env_id, options, wrap, said):
    message = refusal(record(wrap(gymnasium.make(env_id, **options))))
    assert f"others/recorded-v0 was recorded in {env_id} with {said}; register" in message


@unnamed
def test_units_that_the_spec_does_not_tell_are_refused(root):
    """With arrays for bounds, Minari cannot store the spec; the spaces are what is left."""
    env = gymnasium.make("Pendulum-v1")
    rescaled = wrappers.RescaleAction(env, np.float32([-1]), np.float32([1]))
    buffers = [episode(rescaled, number) for number in range(3)]
    with pytest.warns(UserWarning, match="env_spec is not serializable"):
        record(rescaled, "others/arrays-v0", buffers)
    assert "does not say which task it is of" in refusal("others/arrays-v0")
    record(env, "others/spaces-v0", buffers, action_space=rescaled.action_space)
    assert "its action 0 runs from -1 to 1, in Pendulum-v1 from -2 to 2" in refusal("others/spaces-v0")


@unnamed
@pytest.mark.parametrize(("with_states", "refused"), [(True, True), (False, False)])
def test_a_task_that_differs_in_silence_is_found_by_playing(root, with_states, refused):
    env = gymnasium.make("Pendulum-v1")
    env.unwrapped.g = 40.0
    source = record(env, buffers=[episode(env, number, 30, with_states) for number in range(3)])
    if refused:
        assert "was recorded in another Pendulum-v1 than the one here: in step " in refusal(source)
    else:  # without the simulator's states nobody can know
        assert load_dataset(source).simulator_states is None


class Noisy(PendulumEnv):
    """A pendulum in the wind."""

    def step(self, action):
        result = super().step(action)
        self.state = self.state + self.np_random.normal(0, 0.2, 2)
        return self._get_obs(), *result[1:]


@unnamed
def test_a_task_that_draws_random_numbers_is_not_judged_by_playing(root):
    gymnasium.register("Noisy-v0", f"{__name__}:Noisy", max_episode_steps=50)
    try:
        assert len(load_dataset(record(gymnasium.make("Noisy-v0"))).rewards) == 36
    finally:
        del gymnasium.registry["Noisy-v0"]


def edit_metadata(directory, name, **changes):
    """Change what a dataset says of its spec or of a space."""
    path = directory / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    text = json.dumps(json.loads(metadata[name]) | changes)
    path.write_text(json.dumps(metadata | {name: text}))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        ([-1, 0, -1], [1, 0, 1], "its actions cannot move in dimension 1 (low equals high)"),
        ([2, -1, 2], [2, 1, 2], "its actions cannot move in dimension 0, 2 (low equals high)"),
        ([-1, -1, -1], [1, 1, float("nan")], "its actions cannot move in dimension 2"),
        ([-1, -1, -1], [1, 1, float("inf")], "its action 2 runs from -1 to inf, in Hopper-v5 from -1 to 1"),
        ([-1, -2, -1], [1, 2, 1], "its action 1 runs from -2 to 2, in Hopper-v5 from -1 to 1"),
        ([-1, -1], [1, 1], "its action_space has no bounds for each of 3 actions"),
        (["a", -1, -1], [1, 1, 1], "its action_space has no bounds for each of 3 actions"),
    ],
)
def test_a_range_of_actions_that_is_none_or_another_is_refused(copy, low, high, said):
    edit_metadata(copy, "action_space", low=low, high=high)
    assert said in refusal(copy)


def test_a_task_whose_actions_cannot_move_is_refused(copy):
    class Stuck(PendulumEnv):
        def __init__(self, **options):
            super().__init__(**options)
            self.action_space = gymnasium.spaces.Box(np.float32([-1, 0]), np.float32([1, 0]))

    gymnasium.register("Stuck-v0", Stuck, max_episode_steps=50)
    edit_metadata(copy, "env_spec", id="Stuck-v0")
    try:
        assert "Stuck-v0 has actions that cannot move (dimension 1: low equals high)" in refusal(copy)
    finally:
        del gymnasium.registry["Stuck-v0"]


def test_actions_that_stand_still_in_the_data_stay_numbers(made):
    data = load_dataset(made[0])
    replay = to_replay(data._replace(actions=data.actions * np.float32([1, 0, 1]) + np.float32([0, 0.25, 0])), 5)
    for parts in (replay.windows(replay.starts[: replay.n_starts]), [replay.normaliser.actions.scale]):
        assert all(torch.isfinite(part).all() for part in parts)


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [("rewards", 1, 1e39), ("observations", (2, 3), -1e300), ("infos/policy_action", (0, 0), 1e40)],
)
def test_a_number_that_float32_cannot_hold_is_refused(copy, name, row, value):
    with h5py.File(copy / "data" / "main_data.hdf5") as file:
        values = file[f"episode_1/{name}"][()].astype(np.float64)
    values[row] = value
    change(copy, name, values)
    assert f"not every one of its {name.removeprefix('infos/')} is a finite number" in refusal(copy)


@pytest.mark.parametrize("name", ["data/metadata.json", "data/main_data.hdf5", "policies/random.safetensors"])
def test_a_file_that_git_lfs_did_not_fetch_says_so(copy, name):
    (copy / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 577520\n")
    assert refusal(copy) == f"{copy / name} is a Git LFS pointer, not the file: run git lfs pull"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"minari_version": "9.9.9"}, "has '9.9.9' as minari_version, which the installed Minari"),
        ({"minari_version": ["0.5"]}, "has ['0.5'] as minari_version, which the installed Minari"),
        ({"data_format": "zarr"}, "has 'zarr' as data_format, which the installed Minari"),
        (
            {"data_format": "zarr", "polygrad_edu_version": "99.0"},
            "was written by a newer polygrad-edu (99.0): upgrade",
        ),
    ],
)
def test_a_dataset_from_later_times_says_so(copy, changes, said):
    path = copy / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert said in refusal(copy)


def test_a_newer_dataset_that_is_understood_is_read(copy):
    path = copy / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"polygrad_edu_version": "99.0"}))
    assert len(load_dataset(copy).rewards) == 300
