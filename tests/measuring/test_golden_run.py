import copy
import json

import pytest
import torch

from polygrad_edu.cli.doctor import repeat_golden_run
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.measuring import golden_run
from polygrad_edu.measuring.golden_run import MEASURED, band, compare, digest, read_golden
from tests.support.reproducibility import runs_of
from tests.support.tiny_runs import run, tiny


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
    assert repeat_golden_run(as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["same_bits"] is True
    assert repeat_golden_run(as_json=False) == 0
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
