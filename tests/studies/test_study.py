"""What a study is, and what its file says."""

import json

import pytest

import polygrad_edu
from polygrad_edu.files.input_error import InputError
from polygrad_edu.studies.study import check_folder, read_study, start_study, trial_name
from tests.support.studies import small


def test_a_study_is_every_preset_with_every_variant_and_every_seed(tmp_path):
    study = small(
        presets=["pendulum", "hopper-cpu"], vary={"guidance": ["sample", "none"], "horizon": ["5"]}, seeds=range(3, 5)
    )
    trials = study.trials(tmp_path)
    assert len(trials) == 2 * 2 * 2
    assert trials[1].name == "pendulum+guidance=none-seed3"  # a setting with one value needs no mention
    assert trials[1].directory == tmp_path / "trials" / trials[1].name
    assert {(t.preset.task.env_id, t.preset.guidance.rule, t.preset.world_model.horizon, t.seed) for t in trials} == {
        (task, rule, 5, seed) for task in ("Pendulum-v1", "Hopper-v5") for rule in ("sample", "none") for seed in (3, 4)
    }
    command = trials[1].command()
    assert command.startswith("polygrad-edu train pendulum --seed 3 --device cpu --env-steps 60 ")
    assert command.endswith("--guidance none --horizon 5")


def test_names_are_fit_for_directories():
    assert trial_name("ant", "env_id=a/../b+x=1", 2) == "ant+env_id=a_.._b+x=1-seed2"


def test_a_study_survives_its_file(tmp_path):
    study = small(vary={"guidance": ["sample", "none"]})
    start_study(tmp_path, study)
    assert read_study(tmp_path) == study
    stored = json.loads((tmp_path / "study.json").read_text())
    assert stored["combinations"]["pendulum+guidance=none"]["guidance"] == "none"
    assert stored["combinations"]["pendulum+guidance=none"]["width"] == 16
    assert stored["version"] == polygrad_edu.__version__
    path = tmp_path / "study.json"
    path.write_text(json.dumps(stored | {"version": "999.0.0"}))  # a newer one that is understood
    assert read_study(tmp_path) == study
    path.write_text(json.dumps({name: value for name, value in stored.items() if name != "version"}))
    assert read_study(tmp_path) == study


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "polygrad-edu study 9"}, "study.json was written by a newer polygrad-edu: upgrade"),
        ({"format": "polygrad-edu study 0"}, "not a study of this version"),
        ({"format": None}, "not a study of this version"),
        ({"settings": {"new_thing": "1"}, "version": "999.0.0"}, r"a newer polygrad-edu \(999.0.0\): upgrade"),
        ({"presets": ["new"], "version": "999.0.0"}, r"a newer polygrad-edu \(999.0.0\): upgrade"),
        ({"presets": 3, "version": "999.0.0"}, r"a newer polygrad-edu \(999.0.0\): upgrade"),
        ({"settings": {"widht": "1"}, "version": "0.1.0"}, "there is no setting 'widht'; did you mean width"),
        ({"seeds": [0, 1_000_000]}, "seed must be from 0 to 999,999, not 1000000"),
        ({"presets": "pendulum"}, "must hold presets as a JSON list"),
        ({"presets": [3]}, "settings' values as text"),
        ({"presets": ["pendulm"]}, "no preset 'pendulm'; did you mean pendulum"),
        ({"seeds": [-1]}, "whole numbers from 0 on as seeds"),
        ({"seeds": []}, "needs at least a preset, a seed"),
        ({"vary": {"guidance": "none"}}, "a list of values for guidance"),
        ({"settings": {"width": 16}}, "settings' values as text"),
        ({"settings": {"width": "0"}}, "width must be at least 1"),
        ({"combinations": {"pendulum": {"width": 17}}}, "made with other presets: pendulum had"),
        ({"combinations": {}}, "pendulum is only in the command"),
        ({"device": None}, "must hold device as a JSON text"),
    ],
)
def test_a_changed_study_file_is_refused_in_one_line(tmp_path, change, message):
    start_study(tmp_path, small())
    path = tmp_path / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as error:
        read_study(tmp_path)
    assert "\n" not in str(error.value)


def test_settings_are_known_by_their_names_with_dashes():
    assert small(vary={"sampling-steps": ["2", "4"]}).vary == {"sampling_steps": ("2", "4")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"presets": ["pendulum", "pendulum"]}, "a preset is named twice"),
        ({"vary": {"width": ["8", "16"]}}, "width is both fixed and varied"),
        ({"vary": {"horizon": []}}, "a value for each setting that varies"),
        ({"vary": {"horizon": ["10", "10.0"]}}, "horizon=10.0 and horizon=10 are the same for pendulum"),
        ({"settings": {"env_id": "Nope-v0"}}, "cannot make the task 'Nope-v0'"),
        ({"seeds": range(999_999, 1_000_001)}, "seed must be from 0 to 999,999, not 1000000"),
        ({"seeds": [3, -1]}, "seed must be from 0 to 999,999, not -1"),
        ({"seeds": range(100_001)}, "100,001 trials are more than the 100,000"),
    ],
)
def test_a_study_that_cannot_be_is_refused_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as error:
        small(**change)
    assert "\n" not in str(error.value)


def test_a_folder_is_free_or_holds_the_same_study(tmp_path):
    check_folder(tmp_path / "new", small())
    start_study(tmp_path / "mine", small())
    check_folder(tmp_path / "mine", small())
    with pytest.raises(InputError, match=r"its seeds are \(0, 1\), not \(0, 1, 2\)"):
        check_folder(tmp_path / "mine", small(seeds=range(3)))
    start_study(tmp_path / "a b", small())
    with pytest.raises(InputError, match=r"polygrad-edu sweep --out '.*a b'$"):
        check_folder(tmp_path / "a b", small(seeds=range(3)))
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        check_folder(tmp_path / "file", small())
    with pytest.raises(InputError, match="holds no study"):
        check_folder(tmp_path, small())


def test_a_study_that_is_there_keeps_its_file(tmp_path):
    start_study(tmp_path, small())
    before = (tmp_path / "study.json").read_bytes()
    start_study(tmp_path, small(seeds=range(3)))
    assert (tmp_path / "study.json").read_bytes() == before
