"""A report: its numbers, and its text from trials that were written here."""

import json

import pytest

from polygrad_edu.files.input_error import InputError
from polygrad_edu.studies.report import read_findings, study_results, write_report
from polygrad_edu.studies.study import make_study, start_study
from tests.support.studies import finish, small
from tests.support.tiny_runs import TINY


@pytest.fixture
def study(tmp_path):
    """Two presets, two variants, four seeds; the last seed of hopper's second variant is not finished."""
    made = make_study(["inverted-pendulum", "hopper-cpu"], range(4), TINY, {"guidance": ["sample", "none"]}, "cpu")
    start_study(tmp_path, made)
    for trial in made.trials(tmp_path):
        better = 100 if trial.preset.guidance.rule == "none" else 0
        if (trial.preset_name, trial.preset.guidance.rule, trial.seed) != ("hopper-cpu", "none", 3):
            finish(trial, 200.0 + better + trial.seed)
    return tmp_path, made


def test_a_report_of_an_unfinished_study_counts_what_is_there(study):
    directory, made = study
    results = study_results(read_findings(directory, made))
    assert (results["finished"], results["trials"]) == (15, 16)
    row = results["returns"]["hopper-cpu"]["guidance=none"]
    assert (row["seeds"], row["returns"]) == ([0, 1, 2], [300, 301, 302])
    assert results["returns"]["inverted-pendulum"]["guidance=sample"]["value"] == 201.5  # of 200, 201, 202, 203
    assert results["scores"]["guidance=none"]["runs"] == 3  # only seeds that are finished on both tasks
    assert results["scores"]["guidance=sample"]["runs"] == 4
    assert results["improvement"]["guidance=none"]["value"] == 1
    assert results["improvement"]["guidance=none"]["over"] == "guidance=sample"


def test_a_report_says_it_all_and_how_to_repeat_it(study):
    directory, made = study
    text = write_report(directory, made).read_text()
    assert text.startswith("# inverted-pendulum, hopper-cpu: 4 seeds each")
    assert "15 of 16 trials are finished" in text
    assert "| hopper-cpu+guidance=none-seed3 | unfinished |" in text
    assert "| guidance=none | guidance=sample | 1.00 | 1.00 to 1.00 |" in text
    for trial in made.trials(directory):
        assert f"`{trial.command()}`" in text
    assert "Trained on cpu with 1 thread each: torch 2." in text
    assert "another device" not in text
    for name in ("curves.png", "scores.png"):
        assert f"({name})" in text
        assert (directory / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads((directory / "report.json").read_text()) == study_results(read_findings(directory, made))


def test_trials_from_different_machines_are_told(study):
    directory, made = study
    path = made.trials(directory)[0].directory / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"versions": {"torch": "3"}}))
    assert (
        "Some trials were trained on another device or with other versions" in write_report(directory, made).read_text()
    )


def test_a_study_without_a_finished_trial_has_no_report(tmp_path):
    with pytest.raises(InputError, match=r"no trial of .* is finished yet; go on with: polygrad-edu sweep --out"):
        write_report(tmp_path, small())
    assert not list(tmp_path.iterdir())


def test_a_report_puts_ours_beside_others_after_as_many_steps(tmp_path):
    made = make_study(["hopper-cpu", "pendulum"], range(2), {"env_steps": "10000"}, {}, "cpu")
    start_study(tmp_path, made)
    for trial in made.trials(tmp_path):
        finish(trial, 900.0)  # of the best policy, which does not count here
        lines = [
            {"env_step": steps, "wall_seconds": 1.0, "eval_return": 100.0 * trial.seed + steps / 100}
            for steps in (5_000, 7_000, 10_000)
        ]
        (trial.directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write_report(tmp_path, made).read_text()
    beside = text.split("## Beside others")[1].split("\n## ")[0]
    assert "| hopper-cpu | 5,000 | **this study** | **100 ± 50** | 2 | here |" in beside
    assert "| hopper-cpu | 10,000 | **this study** | **150 ± 50** | 2 | here |" in beside
    assert "| hopper-cpu | 10,000 | MACURA | 623 ± " in beside
    assert "15,000" not in beside
    assert "7,000" not in beside
    assert "pendulum" not in beside  # of which there are no curves
