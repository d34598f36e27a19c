"""The commands that compare world models; their numbers are tested in tests/measuring."""

import pytest

from polygrad_edu.cli import compare
from polygrad_edu.files.input_error import InputError


def test_models_are_chosen_by_name_and_not_by_a_setting():
    assert set(compare.LEARNING) == {
        "width",
        "depth",
        "smooth_steps",
        "endings",
        "members",
        "schedule",
        "diffusion_steps",
        "noise_tau",
        "prediction",
        "horizon",
        "batch_size",
        "learning_rate",
        "ema_decay",
    }
    assert not {"denoiser", "world_model"} & {*compare.LEARNING, *compare.IMAGINING}


def test_a_dataset_overwrites_nothing(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for occupied in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(InputError, match="is there already; choose a new directory"):
            compare.dataset(occupied)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
