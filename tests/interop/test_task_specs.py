"""Specs of tasks: what somebody else's task has otherwise than the one made here."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.envs.classic_control import PendulumEnv

from polygrad_edu import environments
from polygrad_edu.interop.task_specs import action_range, differences, plain_task, storable


def found(recorded, env_id):
    """The differences between a task, made by anybody, and the one of that id made here."""
    text = json.dumps(vars(storable(recorded.spec)) | {"additional_wrappers": wrappers_of(recorded)})
    return differences(json.loads(text), environments.make(env_id))


def wrappers_of(env):
    return [vars(wrapper) for wrapper in storable(env.spec).additional_wrappers]


@pytest.fixture
def registered():
    """A task that is registered for one test."""
    ids = []

    def register(env_id, **options):
        gymnasium.register(env_id, **options)
        ids.append(env_id)
        return env_id

    yield register
    for env_id in ids:
        del gymnasium.registry[env_id]


@pytest.mark.parametrize(
    ("env_id", "kwargs", "said"),
    [
        ("Hopper-v5", {"frame_skip": 8}, ["frame_skip=8 (here 4)"]),
        ("Pendulum-v1", {"g": 2.0}, ["g=2.0 (here 10.0)"]),
        ("Hopper-v5", {"healthy_z_range": (0.2, np.inf)}, ["healthy_z_range=[0.2, inf] (here [0.7, inf])"]),
        ("Ant-v5", {"terminate_when_unhealthy": False}, ["terminate_when_unhealthy=False (here True)"]),
        (
            "HalfCheetah-v5",
            {"reset_noise_scale": 0.5, "ctrl_cost_weight": 0},
            ["ctrl_cost_weight=0 (here 0.1)", "reset_noise_scale=0.5 (here 0.1)"],
        ),
    ],
)
def test_an_argument_that_is_not_the_tasks_own_is_named(env_id, kwargs, said):
    assert found(gymnasium.make(env_id, **kwargs), env_id) == said


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("Hopper-v5", {}),
        ("Hopper-v5", {"frame_skip": 4, "healthy_z_range": (0.7, np.inf)}),
        ("Hopper-v5", {"render_mode": "rgb_array", "width": 64, "height": 64, "camera_id": 0}),
        ("HalfCheetah-v4", {"ctrl_cost_weight": 0.1}),
        ("Pendulum-v1", {"g": 10, "render_mode": "rgb_array"}),
        ("InvertedPendulum-v5", {"max_episode_steps": 30}),
    ],
)
def test_defaults_and_pictures_are_no_differences(env_id, kwargs):
    assert found(gymnasium.make(env_id, **kwargs), env_id) == []


class Clocked(gymnasium.Wrapper):
    """A wrapper that tells Gymnasium nothing of its arguments."""


class RecordVideo(gymnasium.ObservationWrapper):
    """A wrapper with the name of a harmless one."""

    def observation(self, observation):
        return 2 * observation


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (wrappers.NormalizeObservation, "NormalizeObservation"),
        (wrappers.NormalizeReward, "NormalizeReward"),
        (lambda env: wrappers.FrameStackObservation(env, 3), "FrameStackObservation"),
        (lambda env: wrappers.TransformReward(env, lambda reward: 10 * reward), "TransformReward"),
        (lambda env: wrappers.StickyAction(env, 0.2), "StickyAction"),
        (Clocked, "Clocked"),
        (RecordVideo, "RecordVideo"),
    ],
)
def test_a_wrapper_that_may_change_something_is_named(wrap, name):
    assert found(wrap(gymnasium.make("Pendulum-v1")), "Pendulum-v1") == [f"the wrapper {name}"]


@pytest.mark.parametrize(
    "wrap",
    [
        wrappers.RecordEpisodeStatistics,
        wrappers.ClipAction,
        lambda env: wrappers.TimeLimit(env, 50),
        lambda env: wrappers.RescaleAction(env, -1, 1),
    ],
)
def test_a_wrapper_that_changes_nothing_is_none(wrap):
    assert found(wrap(gymnasium.make("Pendulum-v1")), "Pendulum-v1") == []


def test_the_task_as_it_is_made_here_differs_in_nothing():
    assert found(environments.make("Pendulum-v1", 1 / 3), "Pendulum-v1") == []


def test_a_rescaled_action_is_read_in_its_own_units():
    ours = environments.make("Pendulum-v1")
    low, high = action_range({"additional_wrappers": []}, ours)
    assert (low.tolist(), high.tolist()) == ([-2], [2])
    recorded = {"additional_wrappers": wrappers_of(wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), -5, 1))}
    low, high = action_range(recorded, ours)
    assert (low.tolist(), high.tolist()) == ([-5], [1])


@pytest.mark.parametrize("bounds", [{}, None, {"min_action": "a", "max_action": 1}, {"min_action": 1, "max_action": 1}])
def test_a_rescaled_action_without_usable_bounds_is_named(bounds):
    wrapper = {"name": "RescaleAction", "entry_point": "gymnasium.wrappers:RescaleAction", "kwargs": bounds}
    ours = environments.make("Pendulum-v1")
    assert differences({"additional_wrappers": [wrapper]} | {"max_episode_steps": 200}, ours) == [
        "the wrapper RescaleAction"
    ]


@pytest.mark.parametrize("wrong", ["text", [3], {"a": 1}, [{"name": 5}], [{"entry_point": ["x"]}]])
def test_wrappers_that_are_none_are_named_and_nothing_is_run(wrong):
    (said,) = differences({"additional_wrappers": wrong}, environments.make("Pendulum-v1"))
    assert said.startswith("the wrapper ")


def test_a_tasks_own_arguments_and_wrappers_are_no_differences(registered):
    stack = (
        gymnasium.envs.registration.WrapperSpec("Stacked", "gymnasium.wrappers:FlattenObservation", {}),
        gymnasium.envs.registration.WrapperSpec("Timed", "gymnasium.wrappers:TimeAwareObservation", {"flatten": True}),
    )
    weak = registered(
        "Weak-v0",
        entry_point="gymnasium.envs.classic_control.pendulum:PendulumEnv",
        max_episode_steps=50,
        kwargs={"g": 2.0},
        additional_wrappers=stack,
    )
    assert found(gymnasium.make(weak), weak) == []
    as_registered = json.loads(gymnasium.spec(weak).to_json())
    assert differences(as_registered, environments.make(weak)) == []
    assert found(gymnasium.make(weak, g=3.0), weak) == ["g=3.0 (here 2.0)"]
    # here the wrappers show the time as a share of the limit
    assert found(gymnasium.make(weak, max_episode_steps=20), weak) == ["max_episode_steps=20 (here 50)"]
    bare = as_registered | {"additional_wrappers": []}
    assert differences(bare, environments.make(weak)) == [
        "the wrappers none (here FlattenObservation, TimeAwareObservation)"
    ]
    without = as_registered | {"kwargs": {}}
    assert differences(without, environments.make(weak)) == ["g=10.0 (here 2.0)"]
    # wrappers of the task's own: its actions are those of the whole
    assert plain_task(environments.make(weak)).observation_space.shape == (4,)


def test_a_spec_with_functions_in_it_can_be_stored(registered):
    class Task(PendulumEnv):
        pass

    def make(**options):
        return wrappers.TransformReward(Task(**options), lambda reward: 2 * reward)

    own = registered("Own-v0", entry_point=make, max_episode_steps=50, kwargs={"g": np.float64(9.0)})
    stored = json.loads(storable(gymnasium.make(own).spec).to_json())
    assert stored["entry_point"].endswith(":test_a_spec_with_functions_in_it_can_be_stored.<locals>.make")
    assert stored["kwargs"] == {"g": 9.0}
    assert differences(stored, environments.make(own)) == []
    assert found(gymnasium.make(own), own) == []
