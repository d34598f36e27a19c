"""Pushing and pulling with the hub's own client, against a stand-in for the hub on this machine."""

import json
import shutil
import sys

import pytest
import torch
from rich.console import Console

from polygrad_edu.files.input_error import InputError
from polygrad_edu.interop import hub
from polygrad_edu.runs.checkpoint import load_checkpoint, write_config
from polygrad_edu.runs.shipped import export_result, load_result
from polygrad_edu.runs.training import start_run
from tests.support.hub_server import hub_in_use
from tests.support.tiny_runs import assert_same, tiny

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "run"
    start_run(directory, "inverted-pendulum", tiny(), 3, "cpu").run(Console(quiet=True))
    return directory


@pytest.fixture
def server(monkeypatch):
    with hub_in_use(monkeypatch) as hub:
        yield hub


def files_of(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_a_run_comes_back_as_it_was_pushed(server, run_directory, tmp_path):
    assert hub.push(run_directory, "ada/pendulum") == f"{server.address}/ada/pendulum"
    names = hub.pull("ada/pendulum", tmp_path / "new" / "run")
    pulled = files_of(tmp_path / "new" / "run")
    assert sorted(pulled) == names
    whole = files_of(run_directory)
    stays = ("events.out", "lock.json")
    assert pulled == {name: content for name, content in whole.items() if not name.startswith(stays)}
    assert_same(load_checkpoint(run_directory)[0], load_checkpoint(tmp_path / "new" / "run")[0])
    assert not (tmp_path / "new" / "run.partial").exists()


def test_an_exported_result_comes_back_and_imagines_the_same(server, run_directory, tmp_path):
    kept = export_result(run_directory, tmp_path / "kept")
    hub.push(kept, "ada/kept")
    hub.pull("ada/kept", tmp_path / "pulled")
    first = load_result(kept).observations[:5]
    ours, theirs = (
        load_result(each).loop.imagine_from(first, torch.Generator().manual_seed(0))
        for each in (kept, tmp_path / "pulled")
    )
    assert torch.equal(ours.observations, theirs.observations)


def test_the_card_tells_what_was_learned_and_how(server, run_directory):
    hub.push(run_directory, "ada/pendulum")
    card = huggingface_hub.ModelCard(server.repositories["ada/pendulum"]["README.md"].decode())
    result = json.loads((run_directory / "result.json").read_text())
    assert f"**{result['return_mean']:.0f} ± {result['return_std']:.0f}** over 2 new episodes" in card.text
    (command,) = [line for line in card.text.splitlines() if line.startswith("polygrad-edu train")]
    assert command.startswith("polygrad-edu train inverted-pendulum --seed 3 --")
    assert " --env-steps 60 " in command
    assert "polygrad-edu pull ada/pendulum" in card.text
    (reached,) = card.data.eval_results
    assert reached.dataset_name == "InvertedPendulum-v5"
    assert reached.metric_value == f"{result['return_mean']:.2f} +/- {result['return_std']:.2f}"
    assert "world-model" in card.data.tags


def test_a_card_takes_no_markup_from_a_run(run_directory, tmp_path):
    copy = shutil.copytree(run_directory, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    config["preset"] = "x`<script>alert(1)</script>\n---"
    (copy / "config.json").write_text(json.dumps(config))
    card = hub.model_card(copy, "ada/pendulum")
    assert "<" not in card
    assert card.splitlines().count("---") == 2


def test_a_second_push_replaces_the_first_in_one_commit(server, run_directory, tmp_path):
    hub.push(run_directory, "ada/pendulum")
    server.repositories["ada/pendulum"]["notes.md"] = b"mine"
    shorter = shutil.copytree(run_directory, tmp_path / "shorter")
    gone = sorted((shorter / "checkpoint").glob("step-*.json"))[0]
    gone.unlink()
    (shorter / "metrics.jsonl").write_text('{"env_step": 60}\n')
    hub.push(shorter, "ada/pendulum")
    _, second = server.commits["ada/pendulum"]
    assert ("deletedFile", f"checkpoint/{gone.name}") in second
    assert ("file", "metrics.jsonl") in second
    assert server.repositories["ada/pendulum"]["notes.md"] == b"mine"  # what is not ours stays


def test_only_a_runs_own_files_leave_this_machine(server, run_directory, tmp_path):
    copy = shutil.copytree(run_directory, tmp_path / "copy")
    for name in ("secret.txt", ".env", "checkpoint/notes.txt", "wandb.json"):
        (copy / name).write_text("mine")
    hub.push(copy, "ada/pendulum")
    assert all(hub.limit_of(name) for name in set(server.repositories["ada/pendulum"]) - {"README.md"})


@pytest.mark.parametrize(
    "name",
    [
        "../config.json",
        "/etc/config.json",
        "checkpoint/../../config.json",
        "checkpoint/shards/../x.safetensors",
        "a.py",
        "config.json.py",
        "checkpoint/.hidden.json",
        "checkpoint\\x.json",
        "model.safetensors/x",
        "config.json\n",
        "result.pkl",
        "pytorch_model.bin",
        "checkpoint/shards/deep/x.safetensors",
        "README.md",
        "",
    ],
)
def test_names_that_are_none_of_a_run(name):
    assert hub.limit_of(name) is None


def test_of_a_strangers_repository_only_a_run_is_taken(server, run_directory, tmp_path):
    hub.push(run_directory, "eve/run")
    server.repositories["eve/run"] |= {"run.py": b"boom", "../../escaped.json": b"{}", "checkpoint/x.pkl": b"boom"}
    hub.pull("eve/run", tmp_path / "run")
    assert all(hub.limit_of(name) for name in files_of(tmp_path / "run"))
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def damaged_shard(files):
    shards = [name for name in files if name.startswith("checkpoint/shards/")]
    for name in shards:  # no checkpoint is left to fall back on
        files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def foreign_module(files):
    config = json.loads(files["config.json"])
    config["settings"]["env_id"] = "antigravity:Hopper-v5"
    files["config.json"] = json.dumps(config).encode()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda files: files.pop("config.json"), "holds no run: there is no config.json"),
        (lambda files: files.update({"config.json": b"{"}), "eve/run/config.json cannot be read as JSON"),
        (
            lambda files: files.update({"config.json": b" " * 2_000_000}),
            "2,000,000 bytes; such a file of a run has",
        ),
        (damaged_shard, "checksum of its shard .* is wrong"),
        (foreign_module, "what comes before a colon would be imported"),
        (lambda files: [files.pop(name) for name in list(files) if "/" in name], "holds no checkpoint yet"),
        (lambda files: files.update({"model.safetensors": b"\xff" * 100}), "holds no run that can be used"),
        (lambda files: files.update({f"checkpoint/{i}.json": b"" for i in range(5000)}), "larger than a run"),
    ],
)
def test_what_cannot_be_loaded_never_appears(server, run_directory, tmp_path, damage, reason):
    hub.push(run_directory, "eve/run")
    damage(server.repositories["eve/run"])
    with pytest.raises(InputError, match=reason):
        hub.pull("eve/run", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    assert "antigravity" not in sys.modules


def test_a_server_that_lies_about_a_size_is_found_out(server, run_directory, tmp_path):
    hub.push(run_directory, "eve/run")
    server.repositories["eve/run"]["config.json"] += b" " * 2_000_000
    server.listed_sizes["config.json"] = 1000
    with pytest.raises(InputError, match=r"other files than it listed: config.json"):
        hub.pull("eve/run", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_one_line_that_says_what_to_do(server, run_directory, tmp_path, monkeypatch):
    for wrong in ("ada", "ada/b/c", "../x", "ada/", "https://x/y"):
        with pytest.raises(InputError, match="write OWNER/NAME"):
            hub.push(run_directory, wrong)
    with pytest.raises(InputError, match="ada/a--b is no name that the hub allows: "):
        hub.pull("ada/a--b", tmp_path / "x")
    with pytest.raises(InputError, match=r"there is no repository ada/nothing .* hf auth login"):
        hub.pull("ada/nothing", tmp_path / "x")
    hub.push(run_directory, "ada/pendulum", private=True)
    with pytest.raises(InputError, match="no such revision"):
        hub.pull("ada/pendulum", tmp_path / "x", "v9")
    with pytest.raises(InputError, match="is there already"):
        hub.pull("ada/pendulum", tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(InputError, match=r"refused ada/other \(status 403\): your token may not"):
        hub.push(run_directory, "ada/other")
    with pytest.raises(InputError, match="there is no repository ada/pendulum that you may use"):
        hub.pull("ada/pendulum", tmp_path / "x")
    write_config(tmp_path / "begun", "inverted-pendulum", tiny(), 0)
    with pytest.raises(InputError, match="not finished; go on with: polygrad-edu train --resume"):
        hub.push(tmp_path / "begun", "ada/begun")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(InputError, match="hf auth login, or set HF_TOKEN"):
        hub.push(run_directory, "ada/pendulum")


def test_no_network_and_no_client_are_told(server, run_directory, tmp_path, monkeypatch):
    server.close()
    for attempt in (lambda: hub.push(run_directory, "ada/x"), lambda: hub.pull("ada/x", tmp_path / "x")):
        with pytest.raises(InputError, match="cannot be reached"):
            attempt()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r'pip install "polygrad-edu\[hub\]"'):
        hub.push(run_directory, "ada/x")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_git_lfs_did_not_fetch_is_not_pushed(server, run_directory, tmp_path):
    copy = shutil.copytree(run_directory, tmp_path / "copy")
    shard = next((copy / "checkpoint" / "shards").iterdir())
    shard.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 577520\n")
    with pytest.raises(InputError, match=f"^{shard} is a Git LFS pointer, not the file: run git lfs pull$"):
        hub.push(copy, "ada/pointers")
    assert "ada/pointers" not in server.repositories
