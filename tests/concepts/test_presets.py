import pytest

from polygrad_edu.presets import ABLATIONS, PRESETS, get_preset, preset_for
from polygrad_edu.settings import SETTINGS, Preset


def test_settings_survive_json():
    for preset in PRESETS.values():
        assert Preset.from_json(preset.to_json()) == preset


def test_text_becomes_the_settings_type():
    preset = Preset().with_overrides(
        {"horizon": "12", "learning-rate": "1e-4", "precondition": "TRUE", "env_steps": "20_000", "guidance": "sample"}
    )
    assert (preset.horizon, preset.learning_rate, preset.precondition) == (12, 1e-4, True)
    assert (preset.env_steps, preset.guidance) == (20_000, "sample")


def test_every_setting_explains_itself():
    assert all(len(field.metadata["help"]) > 10 for field in SETTINGS.values())


def test_the_defaults_are_the_papers():
    paper = Preset()
    assert (paper.width, paper.depth, paper.diffusion_steps, paper.sampling_steps) == (1024, 6, 128, 128)
    assert (paper.horizon, paper.imagined_trajectories, paper.policy_update_every) == (10, 1024, 4)
    assert (paper.guidance, paper.clip_std, paper.change_limit, paper.gae_lambda) == ("gradient", 3.0, 0.25, 0.9)
    assert [paper.smooth_steps, paper.real_steps_only, paper.precondition] == [False] * 3
    assert paper.prediction == "x0"


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
        ({"guidance": "push"}, "guidance rule 'push' is unknown; choose one of gradient"),
        ({"prediction": "noise"}, "prediction must be x0 or velocity"),
        ({"world_model": "dreamer"}, "world_model must be polygrad or autoregressive-diffusion or mlp-ensemble or"),
        ({"denoiser": "unet"}, "denoiser must be mlp or transformer or causal-mlp, not 'unet'"),
        ({"schedule": "sqrt"}, "schedule must be cosine or linear, not 'sqrt'"),
        ({"score": "guess"}, "score 'guess' is unknown; choose closed-form or autograd"),
        ({"update_states": "true", "guidance": "sample"}, "update_states goes with the gradient rule"),
        ({"eta": "1.1"}, "eta must be from 0 to 1, not 1.1"),
        ({"advantage_scale": "1", "eta": "0"}, "needs an eta above 0"),
        ({"sampling_steps": "200"}, "more than the 128 diffusion_steps"),
        ({"initial_std": "0.1"}, "larger than minimum_std"),
        ({"env_steps": "10"}, "prefill_steps 5000 are more than the 10 env_steps"),
    ],
)
def test_wrong_settings_are_named_with_what_would_be_right(overrides, message):
    with pytest.raises(ValueError, match=message) as error:
        Preset().with_overrides(overrides)
    assert "\n" not in str(error.value)


def test_an_ablation_changes_nothing_but_its_rule():
    whole = get_preset("inverted-pendulum").to_json()
    for name, changes in ABLATIONS.items():
        assert get_preset(f"inverted-pendulum-{name}").to_json() == whole | changes


def test_every_task_finds_its_preset():
    assert preset_for("Hopper-v5") == get_preset("hopper-cpu")
    assert preset_for("Swimmer-v5").env_id == "Swimmer-v5"


def test_guidance_settings_reach_the_sampler():
    preset = get_preset("inverted-pendulum-states-too").with_overrides({"clip_std": "0", "advantage_scale": "0.5"})
    guidance = preset.make_guidance(0.2, max)
    assert (guidance.rule, guidance.scale, guidance.clip_std, guidance.update_states) == ("gradient", 0.2, None, True)
    assert (guidance.advantage, guidance.advantage_scale) == (max, 0.5)
    assert get_preset("hopper-cpu").make_guidance(0.2, max).advantage is None  # switched off by its scale


def test_unknown_presets_get_a_hint():
    with pytest.raises(ValueError, match="did you mean hopper"):
        get_preset("hoper")
    with pytest.raises(ValueError, match="known: inverted-pendulum"):
        get_preset("zzz")
