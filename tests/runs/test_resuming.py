"""A resumed run equals an uninterrupted one to the last bit: every preset and world model, every choice of a setting.

Not here: ``compile`` graph and precision float16 need a GPU, and compile inductor a C++ compiler and minutes. The
full-size presets run with small networks, in float32 and with one environment (several are in a case of their own).
"""

import pytest
import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.presets import PRESETS
from polygrad_edu.runs.checkpoint import load_checkpoint, save_checkpoint, write_config
from polygrad_edu.settings import DENOISERS, PREDICTIONS, RULES, SCHEDULES, SETTINGS, WORLD_MODELS
from tests.support.tiny_runs import assert_same, run, tiny

BEFORE = 20  # steps: the first 14 are random
AFTER = 20
SMALL = {
    "env_steps": BEFORE + AFTER,
    "prefill_steps": 14,
    "pretrain_updates": 2,
    "sampling_steps": 2,
    "batch_size": 8,
    "imagined_trajectories": 8,
    "policy_width": 8,
    "eval_every": 1000,  # but for the last step
    "precision": "float32",
    "compile": "none",
}
SMALL_AND_ALONE = SMALL | {"parallel_envs": 1}


def choices(name, values=None, **more):
    """A case for each value that a setting may have."""
    return {
        f"{name}={value}": ("inverted-pendulum", {name: value} | more) for value in values or SETTINGS[name].choices
    }


CASES = {
    **{name: (name, {}) for name in PRESETS},
    **choices("world_model", WORLD_MODELS),
    **choices("denoiser", DENOISERS),
    **choices("guidance", RULES),
    **choices("score", guidance="gradient"),
    **choices("guide_at", guidance="gradient"),
    **choices("prediction", PREDICTIONS[:2]),
    **choices("prediction", ("change",), denoiser="step-mlp"),
    **choices("delay", (1, 2), denoiser="step-mlp", prediction="change"),
    "step-mlp, velocity": ("inverted-pendulum", {"denoiser": "step-mlp", "prediction": "velocity", "delay": 1}),
    **choices("endings", denoiser="step-mlp", prediction="change", delay=1),
    **choices("members", (3,), denoiser="step-mlp", prediction="change", delay=1),
    **choices("policy_gradient"),
    **choices("target_std", (0.2,), policy_gradient="pathwise"),
    **choices("policy_average", (0.9,)),
    **choices("action_limit", (1.0,)),
    **choices("schedule", SCHEDULES),
    **choices("eta", (0.0, 0.5, 1.0)),
    **choices("inertia", (0.5,)),
    **choices("precision", ("bfloat16",)),
    **choices("precondition", ("true",), guidance="gradient"),
    **choices("smooth_steps", ("true", "false")),
    **choices("explosion_factor", (0.0,)),
    **choices("value_statistics_rate", (0.0,)),
    **choices("real_steps_only", ("false",)),
    **choices("updates_per_step", (0.3, 2.0)),
    "states-too and advantage": (
        "inverted-pendulum",
        {"guidance": "gradient", "update_states": "true", "advantage_scale": 1.0},
    ),
    "parallel_envs=2": ("pendulum", {"parallel_envs": 2}),
    "pathwise, side by side": ("hopper-pathwise", {"parallel_envs": 2}),
    "pathwise, transformer": ("inverted-pendulum", {"policy_gradient": "pathwise", "denoiser": "transformer"}),
}


@pytest.mark.usefixtures("short_episodes")
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, case):
    name, changes = CASES[case]
    preset = tiny(name, **SMALL_AND_ALONE | changes)
    write_config(tmp_path, name, preset, 5)
    loop = ImaginationLoop(preset, 5)
    steps = loop.collector.n_envs
    run(loop, BEFORE // steps)
    save_checkpoint(tmp_path, loop, 0.0)
    run(loop, AFTER // steps)
    torch.manual_seed(12345)  # whatever state the process is in
    resumed, _ = load_checkpoint(tmp_path)
    assert resumed.env_step == BEFORE
    run(resumed, AFTER // steps)
    assert_same(loop, resumed)
    for each in (loop, resumed):
        each.collector.close()


def test_every_choice_of_a_setting_is_among_the_cases():
    wanted = {
        f"{name}={value}"
        for name, setting in SETTINGS.items()
        for value in setting.choices
        if name not in ("precision", "compile")
    }
    assert wanted - CASES.keys() == set()
