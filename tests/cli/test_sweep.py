"""How a study is asked for; studies themselves are tested in tests/studies."""

import pytest

from polygrad_edu.cli.options import varied
from polygrad_edu.cli.sweep import _study
from polygrad_edu.files.input_error import InputError
from polygrad_edu.studies.study import start_study


def test_values_to_vary_are_listed_after_their_setting():
    assert varied("--set", []) == {}
    assert varied("--set", ["horizon=10, 20", "guidance=none"]) == {"horizon": ["10", "20"], "guidance": ["none"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["horizon"], "SETTING=VALUE,VALUE"),
        (["=10"], "SETTING=VALUE,VALUE"),
        (["horizon=10,,20"], "SETTING=VALUE,VALUE"),
        (["horizon=10", "horizon=20"], "names horizon twice"),
    ],
)
def test_a_setting_that_varies_needs_values(options, message):
    with pytest.raises(InputError, match=message):
        varied("--set", options)


def test_a_study_is_new_or_read_from_its_folder(tmp_path):
    directory, made = _study(["inverted-pendulum"], 3, 2, {"horizon": "5"}, [], "cpu", tmp_path / "study")
    assert (directory, made.seeds, made.settings) == (tmp_path / "study", (3, 4), {"horizon": "5"})
    start_study(directory, made)
    assert _study([], None, None, {}, [], "auto", directory) == (directory, made)
    with pytest.raises(InputError, match="a study keeps its seeds and settings"):
        _study([], None, 3, {}, [], "auto", directory)
    with pytest.raises(InputError, match="name one or more presets"):
        _study([], None, None, {}, [], "auto", None)
