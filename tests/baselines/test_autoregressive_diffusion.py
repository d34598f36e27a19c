import pytest
import torch

from polygrad_edu.baselines.autoregressive_diffusion import AutoregressiveDiffusion
from polygrad_edu.replay import Normaliser, Sequences
from polygrad_edu.trajectory_diffusion import with_first
from tests.support.tiny_runs import tiny


def untrained(**overrides):
    torch.manual_seed(0)
    preset = tiny(world_model="autoregressive-diffusion", **overrides)
    model = AutoregressiveDiffusion(preset, Normaliser(3, 1), torch.Generator())
    model.averaged_network.requires_grad_(False)
    return model


def test_the_second_action_of_a_pair_is_not_learned_from():
    model = untrained()
    actions = torch.randn(8, 2, 1)
    losses = []
    for first_off, second_off in ((0, 0), (0, 5), (5, 0)):
        model.generator.manual_seed(0)
        moved = actions + torch.tensor([[first_off], [second_off]])
        batch = Sequences(torch.ones(8, 2, 5), moved, torch.ones(8, 3), torch.arange(8))
        losses.append(model.loss(batch).item())
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize("sampling_steps", [1, 4])
def test_a_prediction_is_a_whole_unguided_reverse_process(sampling_steps):
    """Of the pair (this time point, the next): states from the second, reward and ending from the first."""
    model = untrained(sampling_steps=sampling_steps)
    diffusion = model.averaged_network
    observation, action = torch.randn(6, 3), torch.randn(6, 1)
    following, reward, ending = model.predictor(torch.Generator().manual_seed(2))(observation, action)
    generator = torch.Generator().manual_seed(2)
    actions = torch.stack([action, torch.zeros(6, 1)], dim=1)
    pair = with_first(torch.randn(6, 2, 5, generator=generator), observation)
    for visit in diffusion.schedule.walk(sampling_steps, eta=1.0):
        noise = torch.randn(6, 2, 5, generator=generator)
        pair = diffusion.reverse_step(visit, pair, actions, observation, noise)
    assert torch.equal(following, pair[:, 1, :3])
    assert torch.equal(reward, pair[:, 0, 3])
    assert torch.equal(ending, model.normaliser.terminals.denormalise(pair[:, 0, 4:])[:, 0])


def test_other_settings_to_imagine_by_change_the_walk():
    model = untrained(sampling_steps=4)
    model.reconfigure(model.preset.with_overrides(sampling_steps=7, eta=0.5))
    assert (len(model.walk), model.walk.eta) == (7, 0.5)
