import json
import re
import shutil

import pytest
import torch

import polygrad_edu
from polygrad_edu.files.input_error import InputError
from polygrad_edu.files.safe_files import write_json
from polygrad_edu.imagination_loop import ImaginationLoop, NotFiniteError
from polygrad_edu.runs.checkpoint import _checksum, load_checkpoint, save_checkpoint, write_config
from polygrad_edu.runs.training import continue_run
from tests.support.tiny_runs import assert_same, run, tiny


@pytest.fixture
def saved(tmp_path):
    """A run directory with two checkpoints, and the loop that wrote them."""
    preset = tiny("hopper-cpu", guidance="gradient", env_steps=70)
    write_config(tmp_path, "hopper", preset, 5)
    loop = ImaginationLoop(preset, 5)
    for _ in range(2):
        run(loop, 24)
        save_checkpoint(tmp_path, loop, 1.5)
    return tmp_path, loop


@pytest.mark.parametrize("name", ["inverted-pendulum", "pendulum", "hopper-cpu"])
@pytest.mark.parametrize("stop", [23, 47])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, name, stop):
    """Stopped among the random steps and among the learning ones, each in the middle of an episode."""
    preset = tiny(name, guidance="gradient", env_steps=70)
    write_config(tmp_path, name, preset, 5)
    loop = ImaginationLoop(preset, 5)
    run(loop, stop)
    save_checkpoint(tmp_path, loop, 0.0)
    run(loop, 70 - stop)
    torch.manual_seed(12345)  # whatever state the process is in
    resumed, _ = load_checkpoint(tmp_path)
    run(resumed, 70 - stop)
    assert_same(loop, resumed)


def test_a_checkpoint_holds_the_whole_loop(saved):
    directory, loop = saved
    loaded, seconds = load_checkpoint(directory)
    assert seconds == 1.5
    assert_same(loop, loaded)


def test_the_last_two_checkpoints_are_kept(saved):
    directory, loop = saved
    run(loop, 3)
    save_checkpoint(directory, loop, 2.0)
    names = sorted(path.name for path in (directory / "checkpoint").iterdir())
    assert names == ["shards", "step-000000048.json", "step-000000051.json"]
    used = {
        entry["sha256"]
        for name in names[1:]
        for entry in json.loads((directory / "checkpoint" / name).read_text())["shards"]
    }
    assert {path.stem for path in (directory / "checkpoint" / "shards").iterdir()} == used


def test_a_checkpoint_cut_short_is_not_one(saved, monkeypatch):
    directory, loop = saved
    run(loop, 2)

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("polygrad_edu.files.safe_files.os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(directory, loop, 2.0)
    loaded, _ = load_checkpoint(directory)
    assert loaded.env_step == 48


def last_checkpoint(directory):
    return sorted((directory / "checkpoint").glob("step-*.json"))[-1]


def own_shard(directory):
    """A shard that only the last checkpoint uses."""
    last, before = (
        [entry["sha256"] for entry in json.loads(path.read_text())["shards"]]
        for path in sorted((directory / "checkpoint").glob("step-*.json"))[::-1]
    )
    return directory / "checkpoint" / "shards" / f"{next(iter(set(last) - set(before)))}.safetensors"


def damage_tensors(directory):
    path = own_shard(directory)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_tensors(directory):
    path = own_shard(directory)
    path.write_bytes(path.read_bytes()[:1000])


def edit_state(sign=True, checkpoints=slice(-1, None), **changes):
    """Change what the last checkpoint says (or all, or others), with or without making its checksum right again."""

    def edit(directory):
        for path in sorted((directory / "checkpoint").glob("step-*.json"))[checkpoints]:
            state = json.loads(path.read_text()) | changes
            checksum = state.pop("sha256")
            write_json(path, state | {"sha256": _checksum(state) if sign else checksum})

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_tensors, "the checksum of its shard .* is wrong"),
        (cut_tensors, "has 1000 bytes instead of"),
        (lambda d: own_shard(d).unlink(), "its shard .* is missing"),
        (edit_state(shards=[{"sha256": "../" * 30, "bytes": 9}]), "is no checksum of a shard"),
        (edit_state(shards=[3]), "is no checksum of a shard"),
        (lambda d: last_checkpoint(d).write_text("{"), "cannot be read as JSON"),
        (lambda d: last_checkpoint(d).write_text('{"a": NaN}'), "it holds NaN"),
        (lambda d: last_checkpoint(d).write_text('{"a": 1, "a": 2}'), "the name 'a' twice"),
        (edit_state(format="other"), "not a checkpoint of this version"),
        (edit_state(sign=False, wall_seconds=9.0), "its own checksum is wrong"),
        (edit_state(device=3), "must hold text as device, not 3"),
    ],
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(saved, damage, message, caplog):
    directory, loop = saved
    damage(directory)
    loaded, _ = load_checkpoint(directory)
    assert loaded.env_step == 24
    (told,) = [record.getMessage() for record in caplog.records]
    assert re.search(message, told)
    assert re.search(r"step-000000048.json .*; using the one before it, step-000000024.json", told)
    assert "\n" not in told
    run(loaded, 24)  # and those steps are made again
    assert_same(loaded, loop)
    save_checkpoint(directory, loaded, 2.0)
    assert_same(load_checkpoint(directory)[0], loop)


def test_a_damaged_checkpoint_makes_way_when_a_new_one_is_whole(saved):
    """Though its step is later than that of the new one."""
    directory, _ = saved
    cut_tensors(directory)
    loop, _ = load_checkpoint(directory)
    run(loop, 6)
    save_checkpoint(directory, loop, 2.0)
    names = sorted(path.name for path in (directory / "checkpoint").glob("*.json"))
    assert names == ["step-000000024.json", "step-000000030.json"]
    assert load_checkpoint(directory)[0].env_step == 30


def set_json(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def set_config(**changes):
    """Change what config.json says; a setting by its name in ``settings``."""

    def change(directory):
        set_json(
            directory / "config.json",
            lambda data: data.update({"settings": data["settings"] | changes.pop("settings", {})} | changes),
        )

    return change


NEWER = "999.1.0"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            edit_state(format="polygrad-edu checkpoint 4"),
            r"48.json was written by a newer polygrad-edu: upgrade",
        ),
        (edit_state(format="polygrad-edu checkpoint 4", version=NEWER), r"a newer polygrad-edu \(999.1.0\): upgrade"),
        (edit_state(sign=False, format="polygrad-edu checkpoint 12"), "a newer polygrad-edu: upgrade"),
        (edit_state(format="another", version=NEWER), r"a newer polygrad-edu \(999.1.0\): upgrade"),
        (edit_state(counters={}, version=NEWER), r"a newer polygrad-edu \(999.1.0\): upgrade"),
        (
            set_config(version=NEWER, settings={"new_thing": 3}),
            r"config.json was written by a newer polygrad-edu",
        ),
        (set_config(version=NEWER, settings={"guidance": "new-rule"}), r"a newer polygrad-edu \(999.1.0\): upgrade"),
        (set_config(version=NEWER, preset=["two"]), r"a newer polygrad-edu \(999.1.0\): upgrade"),
        (set_config(version=NEWER, seed=10**9), r"a newer polygrad-edu \(999.1.0\): upgrade"),
    ],
)
def test_what_a_newer_version_wrote_says_upgrade(saved, damage, message, caplog):
    directory, _ = saved
    damage(directory)
    for use in (load_checkpoint, lambda run: continue_run(run, "cpu", {})):
        with pytest.raises(InputError, match=message) as error:
            use(directory)
        assert "\n" not in str(error.value)
        assert str(directory) in str(error.value)
    assert caplog.records == []  # the one before it is not used


@pytest.mark.parametrize("version", [polygrad_edu.__version__, "0.1.0", None, 3])
def test_an_unknown_setting_of_this_or_an_older_version_is_named_with_the_nearest_one(saved, version):
    directory, _ = saved
    set_config(version=version, settings={"widht": 3})(directory)
    with pytest.raises(InputError, match=r"config.json: there is no setting 'widht'; did you mean width"):
        load_checkpoint(directory)


def test_a_newer_version_that_is_understood_is_read(saved):
    directory, loop = saved
    set_config(version=NEWER)(directory)
    edit_state(version=NEWER, checkpoints=slice(None))(directory)
    assert_same(load_checkpoint(directory)[0], loop)


def test_a_file_without_a_version_is_read(saved):
    directory, loop = saved
    set_json(directory / "config.json", lambda data: data.pop("version"))
    for path in (directory / "checkpoint").glob("*.json"):
        state = json.loads(path.read_text())
        del state["version"], state["sha256"]
        write_json(path, state | {"sha256": _checksum(state)})
    assert_same(load_checkpoint(directory)[0], loop)


def test_a_run_says_which_version_wrote_it(saved):
    directory, _ = saved
    for path in (directory / "config.json", last_checkpoint(directory)):
        assert json.loads(path.read_text())["version"] == polygrad_edu.__version__


def point_to_lfs(path):
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 577520\n")


@pytest.mark.parametrize("find", [own_shard, last_checkpoint, lambda d: d / "config.json"])
def test_what_was_not_fetched_is_not_called_damaged(saved, find, caplog):
    directory, _ = saved
    point_to_lfs(find(directory))
    with pytest.raises(InputError, match="is a Git LFS pointer, not the file: run git lfs pull"):
        load_checkpoint(directory)
    assert caplog.records == []


def other_network(directory):
    config = json.loads((directory / "config.json").read_text())
    config["settings"]["width"] = 24
    (directory / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: [path.write_text("{") for path in (d / "checkpoint").glob("*.json")], "no older one that is whole"),
        (other_network, "belongs to another run: there width is 16"),
        (edit_state(counters={}), "does not fit its run"),
        (edit_state(environments=[]), "holds 0 environments, this run has 1"),
        (edit_state(environments=[{}]), "does not fit its run"),
        (edit_state(environments=[{}], version="0.1.0"), "of an older polygrad-edu .0.1.0., so .* trained anew"),
        (set_config(seed=10**6), "config.json: seed must be from 0 to 999,999, not 1000000"),
        (edit_state(environments=[{"simulator_state": [0.0], "elapsed_steps": 1}]), "no state of Hopper-v5"),
        (edit_state(shards=[]), "does not fit its run"),
        (edit_state(replay={"size": 10**9}), "does not fit its run"),
        (edit_state(replay={"size": 48, "n_starts": 40, "episode_starts": [-7], "_normalised_size": 10**6}), "fit"),
        (lambda d: shutil.rmtree(d / "checkpoint"), "holds no checkpoint yet; train it longer with"),
        (lambda d: (d / "config.json").unlink(), "is not a run directory"),
        (lambda d: (d / "config.json").write_text('{"preset": 3}'), "must hold text as preset, not 3"),
        (lambda d: (d / "config.json").write_text("[]"), "must hold a JSON object"),
    ],
)
def test_ruined_and_foreign_runs_are_refused_in_one_line(saved, damage, message):
    directory, _ = saved
    damage(directory)
    with pytest.raises(InputError, match=message) as error:
        load_checkpoint(directory)
    assert "\n" not in str(error.value)
    assert str(directory) in str(error.value)


def test_what_is_not_finite_is_never_saved(saved):
    directory, loop = saved
    run(loop, 2)
    with torch.no_grad():
        next(loop.world_model.network.parameters())[0] = float("nan")
    with pytest.raises(NotFiniteError, match=r"world_model/.* holds numbers that are not finite at step 50"):
        save_checkpoint(directory, loop, 2.0)
    assert load_checkpoint(directory)[0].env_step == 48


def test_a_config_cannot_ask_for_more_memory_than_its_checkpoint_fills(saved):
    directory, _ = saved
    for path, settings in ((directory / "config.json", "settings"), (last_checkpoint(directory), None)):
        data = json.loads(path.read_text())
        (data[settings] if settings else data["settings"])["width"] = 1_000_000  # 4 TB in each layer
        if settings is None:
            data.pop("sha256")
            data["sha256"] = _checksum(data)
        path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"its run asks for larger networks than the .* bytes that belong to it"):
        load_checkpoint(directory)
