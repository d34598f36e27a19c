"""What a page imagines with: one small file of numbers, from a run or from what was exported of it."""

import json
import struct

import pytest
import torch
from rich.console import Console

from polygrad_edu.course.paths import find_shared
from polygrad_edu.files.input_error import InputError
from polygrad_edu.files.safe_files import parse_tensors
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.runs.browser_export import FILE_NAME, export_for_browser, pack
from polygrad_edu.runs.shipped import export_result, load_result
from polygrad_edu.runs.training import start_run
from tests.support.tiny_runs import tiny

POINT_MASS = find_shared("results") / "point-mass"


def parts(content):
    """The manifest and the tensors of an exported file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["manifest"]), parse_tensors(content)


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "run"
    start_run(directory, "hopper-cpu", tiny("hopper-cpu", eta=0.5), 3, "cpu").run(Console(quiet=True))
    return directory


def test_a_shipped_run_becomes_one_small_file(tmp_path):
    export_for_browser(POINT_MASS, tmp_path / "page")
    (path,) = (tmp_path / "page").iterdir()
    assert path.name == FILE_NAME
    assert path.stat().st_size < 230_000
    manifest, tensors = parts(path.read_bytes())
    assert manifest["task"] == "polygrad_edu/PointMass-v0"
    assert (manifest["horizon"], manifest["observation_size"], manifest["action_size"]) == (10, 4, 2)
    assert (manifest["prediction"], manifest["step_unit"], manifest["visits"]) == ("velocity", 1 / 128, 16)
    assert (manifest["denoiser"], manifest["delay"]) == ("mlp", 0)
    assert manifest["guidance"]["rule"] == "fixed-noise"
    assert tensors["starts/observations"].shape == (256, 4)
    wide = {name.split("/")[0] for name, value in tensors.items() if value.dtype == torch.float32}
    assert wide == {"denoiser", "normaliser", "policy", "schedule", "starts"}
    assert tensors["denoiser/embed_step.0.frequencies"].dtype == torch.float32
    assert tensors["denoiser/enter.weight"].dtype == torch.float16
    assert tensors["policy/network.0.weight"].dtype == torch.float32


def test_sixteen_bits_hold_the_shipped_weights(tmp_path):
    result = load_result(POINT_MASS)
    _, tensors = parts(pack(result.loop, result.observations))
    for name, value in result.loop.world_model.averaged_network.denoiser.state_dict().items():
        torch.testing.assert_close(tensors[f"denoiser/{name}"].float(), value, rtol=0, atol=3e-8)


def test_a_run_and_its_exported_result_give_the_same_page_but_for_rounding(run_directory, tmp_path):
    export_result(run_directory, tmp_path / "kept")
    contents = []
    for source in (run_directory, tmp_path / "kept"):
        export_for_browser(source, tmp_path / f"page-{source.name}")
        contents.append(parts((tmp_path / f"page-{source.name}" / FILE_NAME).read_bytes()))
    (manifest, tensors), (other_manifest, others) = contents
    assert manifest == other_manifest
    assert manifest["eta"] == 0.5
    assert tensors.keys() == others.keys()
    for name, value in tensors.items():
        torch.testing.assert_close(value.float(), others[name].float(), rtol=2**-8, atol=1e-5)


def test_what_a_page_cannot_run_is_refused_before_anything_is_written(run_directory, tmp_path):
    with pytest.raises(InputError, match="is there already"):
        export_for_browser(run_directory, run_directory)
    with pytest.raises(InputError, match="is not a run directory"):
        export_for_browser(tmp_path, tmp_path / "new")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.json").write_bytes((run_directory / "config.json").read_bytes())
    with pytest.raises(InputError, match="is not finished; go on with"):
        export_for_browser(unfinished, tmp_path / "new")
    other = tmp_path / "transformer"
    start_run(other, "hopper-cpu", tiny("hopper-cpu", denoiser="transformer"), 3, "cpu").run(Console(quiet=True))
    with pytest.raises(InputError, match="mlp or step-mlp, not polygrad with transformer"):
        export_for_browser(other, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["transformer", "unfinished"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"denoiser": "step-mlp", "endings": "read"}, "reads them with a network of its own"),
        ({"denoiser": "step-mlp", "members": 2}, "this run's denoiser consists of 2"),
        ({"denoiser": "step-mlp", "policy_gradient": "pathwise"}, "this run's depends on the state"),
    ],
)
def test_what_a_page_cannot_compute_is_refused(changes, words):
    loop = ImaginationLoop(tiny("hopper-cpu", **changes), 0)
    with pytest.raises(InputError, match=words):
        pack(loop, torch.zeros(2, 11))


def test_weights_too_large_for_sixteen_bits_are_refused():
    result = load_result(POINT_MASS)
    with torch.no_grad():
        result.loop.world_model.averaged_network.denoiser.enter.bias[0] = 1e5
    with pytest.raises(InputError, match=r"denoiser/enter\.bias holds a number that 16 bits cannot hold"):
        pack(result.loop, result.observations)
