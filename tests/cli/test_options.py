"""The options that commands share."""

import pytest

from polygrad_edu.cli.options import MAX_SEED, check_last_seed, choose_device, given
from polygrad_edu.files.input_error import InputError
from polygrad_edu.settings import SETTINGS
from tests.support.command_line import call


def test_help_teaches_the_settings():
    shown = call("train", "--help").stdout
    assert "--sampling-steps" in shown
    assert "ornstein-uhlenbeck" in shown
    assert "hopper-cpu" in shown


def test_help_shows_every_setting_in_the_panel_of_its_concept():
    panels = call("train", "--help").stdout.split("─ Settings: ")[1:]
    assert [panel.split(" ─")[0] for panel in panels] == [
        group.replace("_", " ") for group in dict.fromkeys(setting.group for setting in SETTINGS.values())
    ]
    for panel in panels:
        group = panel.split(" ─")[0].replace(" ", "_")
        for setting in SETTINGS.values():
            assert (f"--{setting.name.replace('_', '-')} " in panel) == (setting.group == group)


def test_a_setting_with_choices_lists_them_in_its_help():
    for setting in SETTINGS.values():
        assert all(choice in setting.help for choice in setting.choices), setting.name


def test_settings_that_were_not_given_are_left_out():
    assert given({"width": "32", "depth": None, "guidance": "none"}) == {"width": "32", "guidance": "none"}


def test_devices_are_known_by_name():
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda")
    with pytest.raises(InputError, match="choose cpu, cuda or auto"):
        choose_device("tpu")


def test_the_last_of_several_seeds_counts():
    check_last_seed("--seeds", 5, MAX_SEED - 4)
    with pytest.raises(InputError, match="--seeds 5 from --seed 999996 on ends at 1000000; a seed must be at most 9"):
        check_last_seed("--seeds", 5, MAX_SEED - 3)
