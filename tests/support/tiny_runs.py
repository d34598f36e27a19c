"""Runs small enough for tests: a preset's task and rules with networks and numbers of steps cut to a second or two."""

import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.presets import get_preset
from polygrad_edu.runs.loop_state import state_of

TINY = {
    "env_steps": "60",
    "prefill_steps": "40",
    "pretrain_updates": "5",
    "width": "16",
    "depth": "1",
    "batch_size": "16",
    "imagined_trajectories": "16",
    "policy_width": "16",
    "eval_every": "30",
    "eval_episodes": "1",
    "final_episodes": "2",
    "checkpoint_every": "20",
}


def tiny(name="inverted-pendulum", **overrides):
    """The preset of that name, cut down, with these settings changed."""
    return get_preset(name).with_overrides(TINY | {key: str(value) for key, value in overrides.items()})


def run(loop, n):
    """Take ``n`` steps of a loop; returns the metrics of each."""
    return [loop.step() for _ in range(n)]


def loop_of(device="cpu", **overrides):
    """A loop that has learned a little, with a wide enough network for rounding to show."""
    loop = ImaginationLoop(tiny(width=256, depth=3, policy_width=64, env_steps=80, **overrides), 0, device)
    run(loop, 60)
    return loop


def imagine(loop, precision):
    """Imagine from forty states of the replay, with matrix products in ``precision`` and the same noise each time."""
    network = loop.world_model.averaged_network
    network.precision, before = precision, network.precision
    first = loop.replay.observations[:40]
    imagined = loop.imagine_from(first, torch.Generator(loop.device).manual_seed(1))
    network.precision = before
    return imagined


def assert_same(first, second):
    """Check that two loops are in the same state, to the last bit."""
    (tensors, state), (others, other_state) = state_of(first), state_of(second)
    assert tensors.keys() == others.keys()
    for name, value in tensors.items():
        assert torch.equal(value, others[name]), name
    assert str(state) == str(other_state)  # as text: nan equals nan
