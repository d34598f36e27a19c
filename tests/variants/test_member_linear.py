"""Several networks in one: each answers for its own rows and learns from them alone."""

import pytest
import torch
from torch import nn

from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.variants.member_linear import MemberLinear, linear
from polygrad_edu.variants.step_denoiser import StepMLPDenoiser

N_MEMBERS = 3


@pytest.fixture
def layer():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MemberLinear(N_MEMBERS, 4, 2)


def as_plain(layer, member):
    """Torch's own layer with one member's weights."""
    plain = nn.Linear(4, 2)
    with torch.no_grad():
        plain.weight.copy_(layer.weight[member].T)
        plain.bias.copy_(layer.bias[member, 0])
    return plain


@pytest.mark.parametrize("shape", [(6, 4), (6, 5, 4)])
def test_each_member_answers_for_its_share_of_the_rows(layer, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    out = layer(x)
    for member in range(N_MEMBERS):
        rows = slice(2 * member, 2 * member + 2)
        torch.testing.assert_close(out[rows], as_plain(layer, member)(x[rows]))


@pytest.mark.parametrize("n_rows", [1, 2, 4, 7])
def test_rows_that_do_not_come_out_even_are_answered_all(layer, n_rows):
    x = torch.randn(n_rows, 5, 4, generator=torch.Generator().manual_seed(2))
    out, share = layer(x), -(-n_rows // N_MEMBERS)
    assert out.shape == (n_rows, 5, 2)
    for row in range(n_rows):
        torch.testing.assert_close(out[row], as_plain(layer, row // share)(x[row]))


def test_a_member_learns_from_its_own_rows_alone(layer):
    layer(torch.ones(6, 4))[2:4].sum().backward()
    assert layer.weight.grad is not None
    touched = layer.weight.grad.abs().sum(dim=(1, 2)) > 0
    assert touched.tolist() == [False, True, False]


def test_it_begins_within_the_reach_of_torchs_own_layer():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        members = MemberLinear(4, 100, 200)
    for parameter in members.parameters():
        assert 0.09 < parameter.abs().max() <= 0.1
        assert not torch.equal(parameter[0], parameter[1])


def test_one_network_is_torchs_own_layer():
    assert type(linear(1, 4, 2)) is nn.Linear
    assert isinstance(linear(2, 4, 2), MemberLinear)


def test_a_denoiser_of_members_imagines_each_trajectory_with_one_of_them():
    """What is in the other trajectories changes nothing, and the same trajectory is another one in another network."""
    schedule = NoiseSchedule.cosine(8, 1.0)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        denoiser = StepMLPDenoiser(3, 1, 16, 1, schedule, n_members=2)
        for parameter in denoiser.leave.parameters():
            nn.init.normal_(parameter)
    generator = torch.Generator().manual_seed(5)
    one = torch.randn(1, 4, 5, generator=generator).expand(4, -1, -1)
    actions, step = torch.zeros(4, 4, 1), torch.full((1, 4), 5)
    out = denoiser(one, actions, step, one)
    torch.testing.assert_close(out[0], out[1])
    torch.testing.assert_close(out[2], out[3])
    assert (out[0] - out[2]).abs().max() > 0.1
