import pytest

from polygrad_edu.presets import ABLATIONS, get_preset, preset_for


def test_an_ablation_changes_nothing_but_its_rule():
    whole = get_preset("inverted-pendulum").to_json()
    for name, changes in ABLATIONS.items():
        assert get_preset(f"inverted-pendulum-{name}").to_json() == whole | changes


def test_every_task_finds_its_preset():
    assert preset_for("Hopper-v5") == get_preset("hopper-cpu")
    other = preset_for("Swimmer-v5")
    assert other.task.env_id == "Swimmer-v5"
    assert other == get_preset("pendulum").with_overrides(env_id="Swimmer-v5", env_steps=other.loop.env_steps)


def test_the_papers_preset_differs_from_the_defaults_in_what_a_device_decides():
    paper = get_preset("hopper-paper").with_overrides(precision="float32", compile="none")
    assert paper == type(paper)()


@pytest.mark.parametrize(
    ("name", "plain"),
    [("inverted-pendulum-advantage", "inverted-pendulum"), ("hopper-advantage", "hopper-cpu")],
)
def test_an_advantage_preset_changes_nothing_but_the_draw_to_the_advantage(name, plain):
    assert get_preset(name) == get_preset(plain).with_overrides(advantage_scale=1)


def test_unknown_presets_get_a_hint():
    with pytest.raises(ValueError, match="did you mean hopper"):
        get_preset("hoper")
    with pytest.raises(ValueError, match="known: inverted-pendulum"):
        get_preset("zzz")
