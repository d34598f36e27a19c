"""Presets: a set of settings for each task, small for a CPU and full-size for a GPU, and the paper's ablations.

Built in lesson 10.
"""

from __future__ import annotations

import types
from typing import Any

from .settings import Preset, closest_name

_LAPTOP = Preset().with_overrides(
    prefill_steps=500,
    width=192,
    depth=3,
    sampling_steps=16,
    noise_tau=1.0,
    prediction="velocity",
    smooth_steps=True,
    learning_rate=2e-3,
    ema_decay=0.99,
    pretrain_updates=500,
    guidance="fixed-noise",
    guidance_tuning_rate=0.03,
    imagined_trajectories=128,
    policy_update_every=4,
    policy_width=64,
    actor_learning_rate=5e-4,
    critic_learning_rate=1e-3,
    target_change=0.03,
    initial_std=0.6,
    target_average=0.98,
    value_statistics_rate=0.01,
    real_steps_only=True,
    eval_every=1_000,
    eval_episodes=5,
    checkpoint_every=1_000,
)

_INVERTED_PENDULUM = _LAPTOP.with_overrides(env_id="InvertedPendulum-v5", env_steps=6_000, action_scale=1 / 3)
_HOPPER = _LAPTOP.with_overrides(env_id="Hopper-v5", env_steps=15_000, width=384, prefill_steps=1_000)
_LARGER = _LAPTOP.with_overrides(env_steps=30_000, width=384)

# Ours: an accurate world model (a step is denoised once its past is clean), and a gradient through what it imagines.
_PATHWISE = _LAPTOP.with_overrides(
    env_steps=30_000,
    prefill_steps=1_000,
    pretrain_updates=1_000,
    updates_per_step=2,
    denoiser="step-mlp",
    prediction="change",
    endings="read",
    width=256,
    sampling_steps=1,
    delay=1,
    learning_rate=1e-3,
    ema_decay=0.997,
    action_limit=1.0,
    horizon=17,
    imagined_trajectories=64,
    explosion_factor=3,
    policy_gradient="pathwise",
    policy_update_every=2,
    policy_width=128,
    initial_std=0.3,
    minimum_std=0.05,
    gae_lambda=0.95,
    entropy_weight=3e-3,
    target_std=0.2,
    policy_average=0.99,
    target_average=0.995,
    value_statistics_rate=0.02,
    actor_learning_rate=3e-4,
    critic_learning_rate=1e-4,
    critic_updates=4,
    gradient_clip=1.0,
    compile="auto",  # a GPU replays these many small operations seven times as fast as it is asked for them
)

# The paper's sizes (width 1024, 6 layers, T = 128, 1,024 trajectories of 10 steps, a million real steps), with what
# made the small presets learn (16 sampling steps, the fixed-noise rule, velocity) and whatever is fast on the device.
_FULL = Preset().with_overrides(
    parallel_envs=8,
    sampling_steps=16,
    noise_tau=1.0,
    prediction="velocity",
    smooth_steps=True,
    guidance="fixed-noise",
    actor_learning_rate=3e-4,
    value_statistics_rate=0.01,
    real_steps_only=True,
    precision="auto",
    compile="auto",
    eval_every=50_000,
    checkpoint_every=50_000,
)

# The paper's ablations (section 5.3), on the smallest task. Three of them are about the gradient rule.
ABLATIONS: types.MappingProxyType[str, dict[str, Any]] = types.MappingProxyType(
    {
        "gradient": {"guidance": "gradient"},
        "posterior-mean": {"guidance": "gradient", "guide_at": "posterior_mean"},
        "no-clip": {"guidance": "gradient", "clip_std": 0.0},
        "states-too": {"guidance": "gradient", "update_states": True},
        "sample": {"guidance": "sample"},
        "none": {"guidance": "none"},
    }
)

PRESETS: types.MappingProxyType[str, Preset] = types.MappingProxyType(
    {
        "inverted-pendulum": _INVERTED_PENDULUM,
        "pendulum": _LAPTOP.with_overrides(env_id="Pendulum-v1", env_steps=10_000),
        "pendulum-no-velocity": _LAPTOP.with_overrides(env_id="polygrad_edu/PendulumNoVelocity-v0", env_steps=10_000),
        "reacher": _LAPTOP.with_overrides(env_id="Reacher-v5", env_steps=20_000),
        "hopper-cpu": _HOPPER,
        "walker2d-cpu": _LARGER.with_overrides(env_id="Walker2d-v5"),
        "half-cheetah-cpu": _LARGER.with_overrides(env_id="HalfCheetah-v5"),
        "ant": _LARGER.with_overrides(env_id="Ant-v5"),
        "humanoid": _LARGER.with_overrides(env_id="Humanoid-v5", width=512),
        "walker2d-et": _LARGER.with_overrides(env_id="polygrad_edu/Walker2d-ET-v0"),
        "ant-et": _LARGER.with_overrides(env_id="polygrad_edu/Ant-ET-v0"),
        "humanoid-et": _LARGER.with_overrides(env_id="polygrad_edu/Humanoid-ET-v0", width=512),
        "hopper-pathwise": _PATHWISE.with_overrides(env_id="Hopper-v5"),
        "walker2d-pathwise": _PATHWISE.with_overrides(env_id="Walker2d-v5"),
        "half-cheetah-pathwise": _PATHWISE.with_overrides(env_id="HalfCheetah-v5"),
        "ant-pathwise": _PATHWISE.with_overrides(env_id="Ant-v5"),
        "humanoid-pathwise": _PATHWISE.with_overrides(env_id="Humanoid-v5"),
        "hopper": _FULL.with_overrides(env_id="Hopper-v5"),
        "walker2d": _FULL.with_overrides(env_id="Walker2d-v5"),
        "half-cheetah": _FULL.with_overrides(env_id="HalfCheetah-v5"),
        "hopper-paper": Preset().with_overrides(env_id="Hopper-v5", precision="auto", compile="auto"),
        "inverted-pendulum-advantage": _INVERTED_PENDULUM.with_overrides(advantage_scale=1.0),
        "hopper-advantage": _HOPPER.with_overrides(advantage_scale=1.0),
        **{
            f"inverted-pendulum-{name}": _INVERTED_PENDULUM.with_overrides(**changes)
            for name, changes in ABLATIONS.items()
        },
    }
)


def get_preset(name: str) -> Preset:
    """The preset of that name, or an error that lists the names there are."""
    return PRESETS[closest_name(name, PRESETS, "preset")]


def preset_for(env_id: str) -> Preset:
    """The smallest preset for a task, or the laptop settings that the small presets have in common."""
    return next(
        (preset for preset in PRESETS.values() if preset.task.env_id == env_id), _LAPTOP.with_overrides(env_id=env_id)
    )
