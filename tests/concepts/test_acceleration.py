import shutil
import time

import pytest
import torch

from polygrad_edu import acceleration
from polygrad_edu.acceleration import (
    captured,
    check_device,
    choose,
    computable_on,
    in_pieces,
    plain_where_auto,
    sixteen_bit_types,
)
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.settings import AccelerationSettings, Preset
from tests.support.tiny_runs import imagine, loop_of, tiny


@pytest.mark.parametrize("guidance", ["fixed-noise", "gradient", "ornstein-uhlenbeck"])
@pytest.mark.parametrize(("precision", "digits"), [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_narrow_numbers_imagine_the_same_within_their_precision(guidance, precision, digits):
    """Rounding is at most some tens of units in the last place of the values' scale, and it is there at all."""
    loop = loop_of(guidance=guidance)
    plain, narrow = imagine(loop, "float32"), imagine(loop, precision)
    assert narrow.observations.dtype == narrow.actions.dtype == torch.float32
    scale = loop.world_model.normaliser.observations.scale
    off = ((narrow.observations - plain.observations) / scale).abs()
    assert 0 < off.mean() < 10 * digits
    assert (narrow.actions - plain.actions).abs().mean() < 10 * digits
    torch.testing.assert_close(narrow.observations[:, 0], plain.observations[:, 0])  # given, never rounded


def test_narrow_updates_learn_what_plain_ones_learn():
    losses = {}
    for precision in ("float32", "bfloat16"):
        loop = loop_of(precision=precision)
        assert all(weights.dtype == torch.float32 for weights in loop.world_model.network.parameters())
        losses[precision] = torch.stack([loop.fit_world_model() for _ in range(200)])[-50:].mean().item()
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.1)
    assert losses["bfloat16"] != losses["float32"]


def test_float16_narrows_imagination_and_leaves_updates_alone():
    plain, narrow = loop_of(), loop_of(precision="float16")
    batch = plain.replay.sample(16, torch.Generator().manual_seed(0))
    narrow.world_model.network.load_state_dict(plain.world_model.network.state_dict())
    losses = []
    for loop in (plain, narrow):
        loop.generator.manual_seed(3)
        losses.append(loop.world_model.loss(batch).item())
    assert losses[0] == losses[1]


def test_without_a_compiler_inductor_is_refused(monkeypatch):
    monkeypatch.setattr("polygrad_edu.acceleration.shutil.which", lambda name: None)
    with pytest.raises(ValueError, match="needs a C\\+\\+ compiler"):
        ImaginationLoop(tiny(compile="inductor"), 0)


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="compiles C++, needs g++ or clang++")
def test_compiling_changes_the_time_and_not_the_numbers():
    plain, compiled = loop_of(), loop_of(compile="inductor")
    weights = [loop.world_model.averaged_network.state_dict() for loop in (plain, compiled)]
    assert weights[0].keys() == weights[1].keys()  # a checkpoint does not know which it came from
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-3, rtol=1e-3)
    compiled.world_model.averaged_network.load_state_dict(weights[0])
    compiled.actor_critic.load_state_dict(plain.actor_critic.state_dict())
    for ours, theirs in zip(imagine(compiled, "float32")[:2], imagine(plain, "float32")[:2], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"compile": "graph"}, "compile graph records a GPU's work; on a cpu choose none or inductor"),
        ({"compile": "fast"}, "compile must be none or inductor or graph or auto, not 'fast'"),
        ({"precision": "int8"}, "precision must be float32 or bfloat16 or float16 or auto, not 'int8'"),
        ({"precision": "bfloat16", "world_model": "recurrent"}, "are for the world model polygrad, not for recurrent"),
    ],
)
def test_what_cannot_be_done_is_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        ImaginationLoop(tiny(**overrides), 0)


def sleeper(seconds):
    """Steps that take as long as their precision says, and a record of what was asked for."""
    asked = []

    def make_step(preset):
        asked.append((preset.acceleration.precision, preset.acceleration.compile))
        return lambda: time.sleep(seconds[preset.acceleration.precision])

    return asked, make_step


@pytest.fixture
def processor(monkeypatch):
    """A function that gives the machine the capabilities of another processor."""

    def become(**capabilities):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, **capabilities})

    return become


def test_the_fastest_is_chosen_and_told(processor):
    processor(avx512_bf16=True)
    asked, make_step = sleeper({"float32": 0.02, "bfloat16": 0.005})
    preset = Preset().with_overrides(precision="auto", compile="auto")
    progress = []
    chosen, told = choose(preset, make_step, torch.device("cpu"), lambda *told: progress.append(told))
    assert progress == [("measure what is fastest here", done, 2) for done in (0, 1, 2)]
    assert chosen.acceleration == AccelerationSettings("bfloat16", "none")
    assert chosen.with_overrides(precision="auto", compile="auto") == preset
    assert "precision bfloat16, compile none (the fastest of 2" in told
    assert asked == [("float32", "none"), ("bfloat16", "none")]


@pytest.mark.parametrize("capabilities", [{}, {"avx512_bf16": False, "amx_bf16": False}])
def test_numbers_that_a_processor_would_emulate_are_not_tried(processor, capabilities):
    processor(**capabilities)
    asked, make_step = sleeper({})
    preset = Preset().with_overrides(precision="auto", compile="auto")
    assert choose(preset, make_step, torch.device("cpu")) == (Preset(), "")
    assert asked == []
    assert sixteen_bit_types(torch.device("cpu")) == []


def test_a_gain_within_the_noise_changes_nothing(processor):
    processor(amx_bf16=True)
    _, make_step = sleeper({"float32": 0.02, "bfloat16": 0.0195})
    chosen, told = choose(Preset().with_overrides(precision="auto"), make_step, torch.device("cpu"))
    assert chosen.acceleration.precision == "float32"
    assert "nothing was faster" in told


def test_what_is_settled_is_not_measured():
    asked, make_step = sleeper({})
    assert choose(Preset(), make_step, torch.device("cpu")) == (Preset(), "")
    assert asked == []


def test_where_nothing_was_measured_auto_is_the_plain_way():
    asked = Preset().with_overrides(precision="auto", compile="auto")
    assert plain_where_auto(asked) == Preset()
    settled = Preset().with_overrides(precision="bfloat16", compile="inductor")
    assert plain_where_auto(settled) == settled
    assert plain_where_auto(settled.with_overrides(compile="auto")) == settled.with_overrides(compile="none")


def test_a_device_refuses_what_it_cannot_do_and_takes_what_it_can():
    check_device(AccelerationSettings("bfloat16", "none"), torch.device("cpu"))
    with pytest.raises(InputError, match="on a cpu choose none or inductor"):
        check_device(AccelerationSettings("float32", "graph"), torch.device("cpu"))
    check_device(AccelerationSettings("float32", "graph"), torch.device("cuda"))


def test_what_a_gpu_recorded_is_computed_one_by_one_elsewhere():
    recorded = Preset().with_overrides(compile="graph", precision="bfloat16")
    assert computable_on(recorded, "cuda") == recorded
    assert computable_on(recorded, "cpu") == Preset().with_overrides(precision="bfloat16")
    fused = Preset().with_overrides(compile="inductor")
    assert computable_on(fused, torch.device("cpu")) == fused


@pytest.mark.parametrize("n_rows", [1, 3, 4, 9])
def test_a_batch_in_pieces_is_the_batch_and_on_a_gpu_it_stays_whole(n_rows, monkeypatch):
    monkeypatch.setattr(acceleration, "CACHE_SIZED", 4)
    batch = torch.randn(n_rows, 2)
    pieces = in_pieces(batch)
    assert torch.equal(torch.cat(pieces), batch)
    assert max(len(piece) for piece in pieces) <= 4
    elsewhere = torch.empty(n_rows, 2, device="meta")
    assert in_pieces(elsewhere) == (elsewhere,)


def test_without_graph_a_function_stays_itself():
    assert captured(abs, "none") is abs
    assert captured(abs, "inductor") is abs


@pytest.mark.parametrize("changed", ["dtype", "device"])
def test_other_defaults_of_torch_are_refused_in_one_line(changed):
    if changed == "dtype":
        torch.set_default_dtype(torch.float64)
    else:
        torch.set_default_device("meta")
    try:
        with pytest.raises(InputError, match=f"torch's default {changed} is") as error:
            ImaginationLoop(tiny())
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device("cpu")
    assert "\n" not in str(error.value)
