"""A job of the GPU check: its folder, its time, its settings, its commands."""

import json

import pytest

from polygrad_edu.measuring.gpu_job import Job, PartFailedError, as_options


def job(folder, name="graphs", dry_run=True):
    return Job(name, folder, 60, dry_run)


def test_a_part_adds_to_what_it_has_written(tmp_path):
    part = job(tmp_path)
    part.write(a=1)
    part.write(b=2)
    assert json.loads((tmp_path / "graphs.json").read_text()) == {"a": 1, "b": 2}
    assert 0 < part.left <= 60


def test_full_size_is_full_size_and_a_dry_run_is_tiny(tmp_path):
    full = job(tmp_path, dry_run=False)
    assert (full.device, full.preset().denoiser.width, full.preset().acceleration.compile) == ("cuda", 1024, "auto")
    assert (job(tmp_path).device, job(tmp_path).preset().denoiser.width) == ("cpu", 16)


@pytest.mark.parametrize(("rows", "overrides"), [([], {"compile": "none"}), ([{"same": False}], {})])
def test_where_nothing_could_be_recorded_the_rest_goes_without_graphs(tmp_path, rows, overrides):
    job(tmp_path).write(rows=rows)
    assert job(tmp_path, "slice", dry_run=False).overrides == overrides


def test_a_command_that_fails_fails_its_part(tmp_path):
    with pytest.raises(PartFailedError, match="polygrad-edu train ended with status 2"):
        job(tmp_path).command("train", "no-such-preset")


def test_settings_become_options():
    assert as_options({"policy_width": 16, "compile": "none"}) == ["--policy-width=16", "--compile=none"]
