"""The network that reads endings: the price of looking, and what it is good for."""

import torch
from torch.nn import functional as F

from polygrad_edu.variants import ending_network
from polygrad_edu.variants.ending_network import PRICE, EndingMLP

N_NUMBERS, REACH = 17, 2.2


def states_and_endings(n, seed):
    """States [n, 17] of which the first number alone decides: 3% are out of its range."""
    states = torch.randn(n, N_NUMBERS, generator=torch.Generator().manual_seed(seed))
    return states, (states[:, 0].abs() > REACH).float()


def fitted(n_updates=1_500):
    states, ended = states_and_endings(3_000, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = EndingMLP(N_NUMBERS, width=64)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(n_updates):
        rows = torch.randint(len(states), (128,), generator=generator)
        loss = network.loss(states[rows], ended[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


@torch.no_grad()
def unlikeliness_of_new(network):
    states, ended = states_and_endings(20_000, seed=4)
    return F.binary_cross_entropy_with_logits(network(states)[:, 0], ended).item()


def test_the_loss_is_the_cross_entropy_and_the_price_of_every_length():
    network = EndingMLP(2, width=3)
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[3.0, 0.0], [4.0, 0.0], [0.0, 2.0]]))
        network[4].weight.zero_()
        network[4].bias.zero_()
    torch.testing.assert_close(network.attention(), torch.tensor([5.0, 2.0]))
    loss = network.loss(torch.randn(4, 2), torch.tensor([0.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(loss, torch.tensor(0.5).log().neg() + PRICE * 7)


def test_new_endings_are_found_because_what_does_not_matter_is_not_looked_at(monkeypatch):
    """Without the price the same network learns the endings of the replay by heart."""
    priced = fitted()
    monkeypatch.setattr(ending_network, "PRICE", 0.0)
    free = fitted()
    assert unlikeliness_of_new(priced) < unlikeliness_of_new(free) / 3
    assert priced.attention()[1:].max() < 0.1 * priced.attention()[0]
    assert free.attention()[1:].max() > 0.3 * free.attention()[0]


def test_any_leading_shape_is_read():
    assert EndingMLP(5)(torch.randn(2, 3, 5)).shape == (2, 3, 1)
