"""A run between a GPU and a CPU: its checkpoints pass both ways, and a step of learning is the same on both."""

import copy

import pytest
import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.runs.checkpoint import load_checkpoint, save_checkpoint, write_config
from polygrad_edu.runs.loop_state import state_of
from polygrad_edu.runs.training import continue_run
from tests.support.tiny_runs import run, tiny

pytestmark = pytest.mark.gpu


def saved_run(directory, device, **settings):
    """A run that has learned a little on ``device``, and its loop."""
    preset = tiny(env_steps=200, **settings)
    write_config(directory, "inverted-pendulum", preset, 0)
    loop = ImaginationLoop(preset, 0, device)
    run(loop, 60)
    save_checkpoint(directory, loop, 1.0)
    return loop


@pytest.mark.parametrize(
    ("made_on", "read_on", "compile"),
    [("cuda", "cpu", "none"), ("cuda", "cpu", "graph"), ("cpu", "cuda", "none"), ("cuda", "cuda", "graph")],
)
def test_a_checkpoint_holds_the_same_on_both_devices_and_goes_on(tmp_path, made_on, read_on, compile):
    made = saved_run(tmp_path, made_on, compile=compile)
    read, _ = load_checkpoint(tmp_path, read_on)
    (tensors, _), (others, _) = state_of(made), state_of(read)
    for name, value in tensors.items():
        if name != "generator" or made_on == read_on:  # a state means nothing to another kind of device
            assert torch.equal(value.cpu(), others[name].cpu()), name
    metrics = run(read, 12)[-1]
    assert metrics["world_model_loss"].isfinite()
    assert metrics["critic_loss"].isfinite()


def test_a_run_that_a_gpu_recorded_goes_on_without_one_and_comes_back(tmp_path):
    loop = saved_run(tmp_path, "cuda", compile="graph")
    for device, compile in (("cpu", "none"), ("cuda", "graph")):
        training = continue_run(tmp_path, device, {})
        assert training.loop.preset.acceleration.compile == compile
        assert training.loop.env_step == loop.env_step
        loop = training.loop
        run(loop, 10)
        save_checkpoint(tmp_path, loop, 2.0)
        training.lock.release()


def test_a_recorded_run_that_is_resumed_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole = saved_run(tmp_path, "cuda", compile="graph")
    resumed, _ = load_checkpoint(tmp_path, "cuda")
    losses = [torch.stack([loop.fit_world_model().clone() for _ in range(8)]) for loop in (whole, resumed)]
    torch.testing.assert_close(losses[1], losses[0], atol=1e-4, rtol=1e-4)


def test_a_step_of_the_world_model_is_the_same_on_both_devices(tmp_path):
    """The same weights, batch, steps and noise: the gradients and the weights after a step agree."""
    loop = saved_run(tmp_path, "cpu")
    other, _ = load_checkpoint(tmp_path, "cuda")
    batch = loop.replay.sample(32, loop.generator)
    step = torch.randint(128, (32,))
    noise = torch.randn(batch.trajectory.shape)
    for model, device in ((loop.world_model, "cpu"), (other.world_model, "cuda")):
        model.optimiser.zero_grad()
        inputs = [value.to(device) for value in (batch.trajectory, batch.actions, step, noise)]
        model.network.loss(*inputs).backward()
        model.optimiser.step()
    for name, ours in loop.world_model.network.named_parameters():
        theirs = other.world_model.network.get_parameter(name)
        torch.testing.assert_close(theirs.grad.cpu(), ours.grad, atol=1e-4, rtol=1e-3, msg=name)
    assert_weights_close(other.world_model.network, loop.world_model.network)


def test_a_step_of_the_policy_is_the_same_on_both_devices(tmp_path):
    loop = saved_run(tmp_path, "cpu")
    other, _ = load_checkpoint(tmp_path, "cuda")
    imagined = loop.imagine(64)
    before = copy.deepcopy(loop.actor_critic.state_dict())
    ours = loop.optimiser.update(*imagined)
    theirs = other.optimiser.update(*imagined.map(torch.Tensor.cuda))
    for name in ("actor_loss", "critic_loss", "policy_entropy", "action_std", "log_prob_change", "step_fraction"):
        torch.testing.assert_close(theirs[name].cpu(), ours[name], atol=1e-3, rtol=1e-3, msg=name)
    assert_weights_close(other.actor_critic, loop.actor_critic)
    moved = [not torch.equal(value, before[name]) for name, value in loop.actor_critic.state_dict().items()]
    assert any(moved)


def assert_weights_close(ours, theirs):
    weights = ours.state_dict()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(weights[name].cpu(), value.cpu(), atol=1e-3, rtol=1e-3, msg=name)
