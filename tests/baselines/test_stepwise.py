import torch

from polygrad_edu.baselines.stepwise import alive_and_ending, imagine_stepwise, masked_mean
from polygrad_edu.replay import Normaliser, SequenceReplay
from tests.baselines.test_baselines import policy


def test_nothing_moves_after_a_terminal_step():
    calls = []

    def predict(observation, action):
        calls.append(observation)
        return observation + 1, torch.ones(2), torch.tensor([0.0, float(len(calls) == 2)])

    imagined = imagine_stepwise(predict, torch.zeros(2, 1), policy, 4, Normaliser(1, 1), torch.Generator())
    expected = torch.tensor([[0.0, 1, 2, 3], [0, 1, 1, 1]])
    torch.testing.assert_close(imagined.observations[..., 0], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(imagined.rewards, torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]]), atol=1e-4, rtol=0)
    assert imagined.terminals.tolist() == [[0, 0, 0, 0], [0, 1, 1, 1]]


def test_windows_know_which_steps_happen():
    replay = SequenceReplay(10, 4, Normaliser(1, 1))
    for i in range(6):
        replay.add([i], [0], 0.0, i == 3, i == 5)
    replay.refresh_normaliser()
    alive, ending = alive_and_ending(replay.windows(torch.tensor([0, 2])), replay.normaliser)
    assert alive.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert ending[0].tolist() == [0, 0, 0, 1]
    assert ending[1, :2].tolist() == [0, 1]


def test_a_masked_mean_is_over_the_rows_that_count():
    values = torch.tensor([[1.0, 3.0], [5.0, 7.0], [100.0, 100.0]])
    assert masked_mean(values, torch.tensor([1.0, 1.0, 0.0])) == 4
    assert masked_mean(values, torch.zeros(3)) == 0
