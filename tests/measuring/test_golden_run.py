import copy
import json

import pytest
import torch

from polygrad_edu.cli.doctor import repeat_golden_run
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.measuring import golden_run
from polygrad_edu.measuring.golden_run import (
    MEASURED,
    band,
    compare,
    compare_runs,
    digest,
    read_golden,
    read_run,
    save_run,
)
from tests.support.reproducibility import runs_of
from tests.support.tiny_runs import run, tiny


@pytest.mark.usefixtures("short_episodes")
@pytest.mark.parametrize("name", runs_of())
def test_two_runs_of_a_preset_agree_bit_for_bit(name):
    first, again = (runs_of()[name]() for _ in range(2))
    assert first == again


def test_the_digest_tells_a_single_bit():
    loop = ImaginationLoop(tiny(), seed=0)
    run(loop, 45)
    before = digest(loop)
    assert digest(loop) == before
    weight = next(loop.world_model.network.parameters())
    with torch.no_grad():
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(2.0))
    assert digest(loop) != before


def test_the_stored_band_holds_every_run_that_it_was_made_of():
    stored = read_golden()
    assert {*MEASURED, "best_return"} == stored["band"].keys()
    assert stored["band"] == band(stored["runs"])
    seeds = [{"seed": seed} for seed in range(5)]
    assert [entry["options"] for entry in stored["runs"]] == [*seeds, {"threads": 2}, {"precision": "bfloat16"}]
    for entry in stored["runs"]:
        assert compare(entry, stored)[1]
    assert compare(stored["golden"], stored)[:2] == (True, True)


def test_a_number_outside_of_its_band_is_told():
    stored = read_golden()
    other = copy.deepcopy(stored["golden"]) | {"digest": "other"}
    other["numbers"]["value"] = stored["band"]["value"][1] + 1
    same, well, lines = compare(other, stored)
    assert (same, well) == (False, False)
    assert [line.split()[0] for line in lines if line.endswith("OUTSIDE")] == ["value"]


def test_the_doctor_repeats_the_golden_run(monkeypatch, capsys):
    """Cut short: that the whole one agrees is what ``polygrad-edu doctor --reproduce`` tells."""
    stored = read_golden()
    monkeypatch.setattr(golden_run, "golden_run", lambda on_progress: copy.deepcopy(stored["golden"]))
    assert repeat_golden_run(None, None, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["same_bits"] is True
    assert repeat_golden_run(None, None, as_json=False) == 0
    assert "Every bit as stored" in capsys.readouterr().out


def test_a_run_reports_its_progress_its_numbers_and_its_machine(monkeypatch):
    """Cut short, too; the one thread that it asks for is given back."""
    monkeypatch.setattr(golden_run, "golden_preset", lambda precision: tiny(precision=precision))
    told = []
    found = golden_run.golden_run(on_progress=lambda *news: told.append(news))
    assert told[0] == ("golden run", 1, 60)
    assert told[-1] == ("golden run", 60, 60)
    assert found["numbers"].keys() == read_golden()["band"].keys()
    assert found["machine"].keys() == read_golden()["golden"]["machine"].keys()
    assert found["digest"] == golden_run.golden_run()["digest"]
    assert torch.get_num_threads() == 1


def test_a_damaged_file_of_golden_numbers_is_refused(tmp_path):
    (tmp_path / "golden.json").write_text('{"golden": {}, "band": []}')
    with pytest.raises(InputError, match="must hold an object as band"):
        read_golden(tmp_path / "golden.json")


def other_run(**numbers):
    """The stored run with some of its numbers changed."""
    run = copy.deepcopy(read_golden()["golden"])
    run["numbers"] |= numbers
    return run | {"digest": "other"}


def test_a_run_survives_its_file(tmp_path):
    golden = read_golden()["golden"]
    save_run(golden, tmp_path / "run.json")
    kept = read_run(tmp_path / "run.json")
    assert {name: kept[name] for name in golden} == golden
    assert compare_runs(golden, kept, read_golden()["band"]).same_bits


def test_two_runs_are_compared_metric_by_metric():
    stored = read_golden()
    golden, band = stored["golden"], stored["band"]
    value = golden["numbers"]["value"]
    width = band["value"][1] - band["value"][0]
    near = compare_runs(golden, other_run(value=value - width / 2), band)
    assert (near.same_bits, near.close) == (False, True)
    assert near.rows["value"] == pytest.approx((value, value - width / 2, width / 2, width))
    assert near.rows["action_std"].difference == 0
    head, *lines = near.lines("here", "0.1.0")
    assert head.split() == ["here", "0.1.0", "difference", "band", "width"]
    assert [line.split()[0] for line in lines] == [*MEASURED, "best_return"]
    assert {len(line) for line in (head, *lines)} == {len(head)}
    far = compare_runs(other_run(value=value + 1.1 * width), golden, band)
    assert not far.close
    assert [line.split()[0] for line in far.lines() if line.endswith("FAR")] == ["value"]


def test_a_number_that_only_one_version_measures_is_shown_and_not_judged():
    stored = read_golden()
    newer = other_run(entropy=1.5)
    for pair in ((newer, stored["golden"]), (stored["golden"], newer)):
        compared = compare_runs(*pair, stored["band"])
        assert compared.close
        assert compared.rows["entropy"].difference is None
        assert compared.lines()[-1].split().count("-") == 3


def test_a_number_that_is_not_finite_is_far():
    stored = read_golden()
    assert not compare_runs(other_run(value=float("nan")), stored["golden"], stored["band"]).close


def test_what_differs_between_two_machines_is_named():
    stored = read_golden()
    other = copy.deepcopy(stored["golden"])
    other["machine"] |= {"torch": "1.0", "mujoco_plugin": "new"}
    different = compare_runs(stored["golden"], other, stored["band"]).different
    assert different == {"torch": (stored["golden"]["machine"]["torch"], "1.0"), "mujoco_plugin": (None, "new")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": None}, "holds no golden run; write one with: polygrad-edu doctor --reproduce --save FILE"),
        ({"format": "polygrad-edu golden run 2"}, "was written by a newer polygrad-edu: upgrade"),
        ({"numbers": {"value": "7"}}, "must hold a number as value, not '7'"),
        ({"numbers": None}, "must hold an object as numbers"),
        ({"digest": 7}, "must hold text as digest"),
        ({"numbers": 3, "machine": {"polygrad_edu": "999.0.0"}}, r"newer polygrad-edu \(999.0.0\): upgrade"),
    ],
)
def test_a_saved_run_that_was_changed_is_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "run.json"
    save_run(read_golden()["golden"], path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as error:
        read_run(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_stored_numbers_of_a_newer_version_say_upgrade(tmp_path):
    (tmp_path / "golden.json").write_text(
        '{"golden": {"machine": {"polygrad_edu": "999.0.0"}}, "band": {}, "runs": []}'
    )
    with pytest.raises(InputError, match=r"was written by a newer polygrad-edu \(999.0.0\): upgrade"):
        read_golden(tmp_path / "golden.json")


def test_the_digest_of_a_golden_run_is_comparable_with_those_of_the_first_version(monkeypatch):
    """There the state of torch's own generator, after it had drawn the weights, was part of a run's state."""
    monkeypatch.setattr(golden_run, "golden_preset", lambda precision: tiny(precision=precision))
    covered = {}
    monkeypatch.setattr(golden_run, "digest", lambda loop, more: covered.update(more) or "digest")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    golden_run.golden_run(seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    assert covered.keys() == {"torch_generator"}
    assert not torch.equal(covered["torch_generator"], torch.get_rng_state())  # something was drawn
