import dataclasses
import json
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st

from polygrad_edu.files.input_error import InputError
from polygrad_edu.presets import PRESETS
from polygrad_edu.settings import (
    IMAGINE_ONLY,
    SETTINGS,
    ActorCriticSettings,
    GuidanceSettings,
    LoopSettings,
    Preset,
    TaskSettings,
)


def group_class(known):
    """The class of the group that a setting stands in."""
    return type(getattr(Preset(), known.group))


# ---- flat names and groups ----


def test_flat_names_are_unique_and_name_every_field_of_every_group():
    places = [
        (group.name, field.name)
        for group in dataclasses.fields(Preset)
        for field in dataclasses.fields(getattr(Preset(), group.name))
    ]
    assert [(known.group, known.field) for known in SETTINGS.values()] == places
    assert [known.name for known in SETTINGS.values()] == list(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_describes_its_field(name):
    known = SETTINGS[name]
    assert len(known.help) > 10
    assert getattr(getattr(Preset(), known.group), known.field) == known.default
    assert type(known.default) is known.kind
    if known.choices:
        assert known.default in known.choices
    if known.kind in (int, float):
        assert known.min <= known.default <= known.max


def test_settings_are_changed_by_their_flat_names_wherever_they_stand():
    preset = Preset().with_overrides(guidance="sample", denoiser="transformer", world_model="recurrent", width=32)
    assert (preset.guidance.rule, preset.denoiser.kind, preset.world_model.kind) == (
        "sample",
        "transformer",
        "recurrent",
    )
    assert preset.denoiser.width == 32
    changed = {name for name, value in preset.to_json().items() if value != SETTINGS[name].default}
    assert changed == {"guidance", "denoiser", "world_model", "width"}
    assert Preset() == Preset().with_overrides({})


def test_text_becomes_the_settings_type():
    preset = Preset().with_overrides(
        {"horizon": "12", "learning-rate": "1e-4", "precondition": "TRUE", "env_steps": "20_000", "guidance": "sample"}
    )
    assert preset.world_model.horizon == 12
    assert preset.world_model.learning_rate == 1e-4
    assert preset.guidance.precondition is True
    assert preset.loop.env_steps == 20_000
    assert preset.guidance.rule == "sample"


def test_a_whole_number_for_a_real_one_becomes_a_real_one():
    scale = GuidanceSettings(scale=1).scale
    assert scale == 1
    assert isinstance(scale, float)


def test_a_tuned_tensor_stays_the_tensor_that_it_is():
    scale = torch.tensor(0.1)
    assert GuidanceSettings(scale=scale).scale is scale


def test_imagining_depends_on_the_sampler_its_guidance_and_the_machine_alone():
    by_group = {known.group for known in SETTINGS.values() if known.name in IMAGINE_ONLY}
    assert by_group == {"sampler", "guidance", "acceleration", "loop"}
    assert [name for name in IMAGINE_ONLY if SETTINGS[name].group == "loop"] == ["explosion_factor"]


def test_the_defaults_are_the_papers():
    paper = Preset()
    assert (paper.denoiser.width, paper.denoiser.depth) == (1024, 6)
    assert (paper.diffusion.diffusion_steps, paper.sampler.sampling_steps) == (128, 128)
    assert paper.world_model.horizon == 10
    assert (paper.loop.imagined_trajectories, paper.loop.policy_update_every) == (1024, 4)
    assert (paper.guidance.rule, paper.guidance.clip_std, paper.guidance.change_limit) == ("gradient", 3.0, 0.25)
    assert paper.actor_critic.gae_lambda == 0.9
    assert [paper.denoiser.smooth_steps, paper.actor_critic.real_steps_only, paper.guidance.precondition] == [False] * 3
    assert paper.diffusion.prediction == "x0"


def test_a_description_says_the_rule_or_the_baseline():
    assert Preset().description == "polygrad (gradient guidance)"
    assert Preset().with_overrides(world_model="recurrent").description == "recurrent"


# ---- there and back ----


def values_of(known):
    """Values that a setting may have by itself."""
    if known.choices:
        return st.sampled_from(known.choices)
    if known.kind is bool:
        return st.booleans()
    if known.kind is str:
        return st.text(st.characters(blacklist_characters=":"), max_size=20)
    low, high = max(known.min, -1e9), min(known.max, 1e9)
    return st.integers(int(low), int(high)) if known.kind is int else st.floats(low, high)


@st.composite
def drawn_overrides(draw):
    names = draw(st.lists(st.sampled_from(list(SETTINGS)), max_size=8, unique=True))
    return {name: draw(values_of(SETTINGS[name])) for name in names}


def there_and_back(preset):
    return Preset.from_json(json.loads(json.dumps(preset.to_json())))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    assert there_and_back(PRESETS[name]) == PRESETS[name]
    assert list(PRESETS[name].to_json()) == list(SETTINGS)


@given(drawn_overrides())
def test_any_settings_survive_json_and_the_command_line(changes):
    try:
        preset = Preset().with_overrides(changes)
    except InputError:
        reject()  # each is fine, but they do not go together
    assert there_and_back(preset) == preset
    assert preset.to_json() == Preset().to_json() | changes
    as_text = {name.replace("_", "-"): str(value) for name, value in changes.items()}
    assert Preset().with_overrides(as_text) == preset


def test_what_a_file_does_not_name_keeps_its_default():
    assert Preset.from_json({"width": 32}) == Preset().with_overrides(width=32)
    with pytest.raises(InputError, match="settings must be a JSON object"):
        Preset.from_json([])


# ---- what is refused ----


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"horizn": "3"}, "no setting 'horizn'; did you mean horizon"),
        ({"horizon": "three"}, "horizon must be a whole number, not 'three'"),
        ({"horizon": "2.5"}, "horizon must be a whole number"),
        ({"horizon": "1"}, "horizon must be from 2 to 1000, not 1"),
        ({"horizon": True}, "horizon must be a whole number"),
        ({"learning_rate": "nan"}, "learning_rate must be a number"),
        ({"learning_rate": "-1"}, "learning_rate must be at least 0"),
        ({"precondition": "maybe"}, "precondition must be true or false"),
        ({"precondition": 1}, "precondition must be true or false"),
        ({"env_id": 3}, "env_id must be text"),
        ({"env_id": "os:Hopper-v5"}, "env_id must be a registered name such as Hopper-v5, not 'os:Hopper-v5'"),
        ({"guidance": "push"}, "guidance must be gradient or .* or sample or none, not 'push'"),
        ({"guide_at": "middle"}, "guide_at must be reconstruction or posterior_mean, not 'middle'"),
        ({"prediction": "noise"}, "prediction must be x0 or velocity"),
        ({"world_model": "dreamer"}, "world_model must be polygrad or autoregressive-diffusion or mlp-ensemble or"),
        ({"denoiser": "unet"}, "denoiser must be mlp or transformer or causal-mlp or step-mlp, not 'unet'"),
        ({"schedule": "sqrt"}, "schedule must be cosine or linear, not 'sqrt'"),
        ({"score": "guess"}, "score must be closed-form or autograd, not 'guess'"),
        ({"update_states": "true", "guidance": "sample"}, "update_states goes with the gradient rule"),
        ({"eta": "1.1"}, "eta must be from 0 to 1, not 1.1"),
        ({"advantage_scale": "1", "eta": "0"}, "needs an eta above 0"),
        ({"sampling_steps": "200"}, "more than the 128 diffusion_steps"),
        ({"initial_std": "0.1"}, "larger than minimum_std"),
        ({"env_steps": "10"}, "prefill_steps 5000 are more than the 10 env_steps"),
        ({"world_model": "recurrent", "precision": "auto"}, "are for the world model polygrad, not for recurrent"),
    ],
)
def test_wrong_settings_are_named_with_what_would_be_right(overrides, message):
    with pytest.raises(InputError, match=message) as error:
        Preset().with_overrides(overrides)
    assert "\n" not in str(error.value)


def wrong_values(known):
    """Values that a setting must not have, whatever the others are."""
    if known.kind is str:
        return [3, None, True, *(["nonsense", ""] if known.choices else [])]
    if known.kind is bool:
        return ["maybe", 1, None]
    outside = [bound for bound in (known.min - 1, known.max + 1) if abs(bound) < 1e300]
    return ["three", "", True, None, float("nan"), float("inf"), *outside, *([2.5] if known.kind is int else [])]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_group_refuses_what_the_preset_refuses_with_the_same_words(name):
    known = SETTINGS[name]
    for value in wrong_values(known):
        with pytest.raises(InputError, match=f"^{name} must be ") as by_preset:
            Preset().with_overrides({name: value})
        with pytest.raises(InputError, match=f"^{re.escape(str(by_preset.value))}$"):
            group_class(known)(**{known.field: value})


@pytest.mark.parametrize(
    ("group", "wrong"),
    [
        (TaskSettings, {"env_id": "os:Hopper-v5"}),
        (GuidanceSettings, {"rule": "sample", "update_states": True}),
        (ActorCriticSettings, {"initial_std": 0.1, "minimum_std": 0.2}),
        (LoopSettings, {"env_steps": 10, "prefill_steps": 11}),
    ],
)
def test_a_group_refuses_values_that_do_not_go_together(group, wrong):
    with pytest.raises(InputError):
        group(**wrong)
    for name, value in wrong.items():
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(group(), name, value)


# ---- light to import ----


@pytest.mark.parametrize("module", ["settings", "presets"])
def test_importing_settings_does_not_load_torch(module):
    """So that ``polygrad-edu --help`` answers at once."""
    told = f"import sys, polygrad_edu.{module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split()
    assert "polygrad_edu" in loaded
    assert {"torch", "numpy", "gymnasium", "mujoco", "matplotlib", "scipy"}.isdisjoint(loaded)
