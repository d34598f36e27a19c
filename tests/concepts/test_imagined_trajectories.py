import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.imagined_trajectories import reach, without_exploded
from polygrad_edu.replay import Standardiser
from polygrad_edu.trajectory_diffusion import ImaginedTrajectories
from tests.concepts.test_imagination_loop import run, tiny


def seen():
    """A component from -1 to 3 and one that is always 5; the mean of the first is 1, its deviation 2."""
    standardiser = Standardiser(2)
    for values in ([[-1.0, 5.0]], [[3.0, 5.0]]):  # in pieces, as a run adds them
        standardiser.update(values)
    standardiser.refresh()
    return standardiser


def test_the_extent_is_the_furthest_that_any_value_has_been_and_at_least_one_deviation():
    torch.testing.assert_close(seen().extent, torch.ones(2))
    wide = Standardiser(1)
    values = torch.tensor([0.0] * 99 + [10.0])[:, None]
    wide.update(values[:50].numpy())
    wide.update(values[50:].numpy())
    wide.refresh()
    expected = (10 - values.mean()) / (values.std(unbiased=False) + wide.epsilon)
    torch.testing.assert_close(wide.extent, expected[None])


def test_reach_is_measured_by_what_was_seen():
    observations = torch.tensor([[[1.0, 5.0], [3.0, 5.0]], [[1.0, 5.0], [21.0, 5.0]], [[1.0, 5.0], [-39.0, 5.0]]])
    expected = torch.tensor([0.1, 1.0, 2.0])  # the limit lies 10 * 2 from the mean of 1
    torch.testing.assert_close(reach(observations, seen(), 10.0), expected, atol=1e-5, rtol=1e-5)
    assert not reach(observations, seen(), 0.0).any()  # no limit
    observations[1, 0, 0] = float("nan")
    for factor in (0.0, 10.0):
        assert reach(observations, seen(), factor)[1].isnan()


def test_nothing_is_bounded_before_anything_was_seen():
    assert reach(torch.full((1, 2, 3), 1e30), Standardiser(3), 10.0) < 1


def imagined(n=5):
    numbers = torch.arange(n, dtype=torch.float32)
    return ImaginedTrajectories(
        numbers[:, None, None].expand(n, 2, 3), numbers[:, None, None].expand(n, 2, 1), *[numbers[:, None]] * 2
    )


def test_the_exploded_make_room_for_the_first_of_the_others():
    kept, exploded = without_exploded(imagined(), torch.tensor([0.1, 2.0, 1.0, float("nan"), 0.3]))
    assert exploded == 2
    for part in kept[:4]:
        assert part.flatten(1)[:, 0].tolist() == [0, 2, 4, 0, 2]


def test_where_none_or_all_explode_the_batch_stays_as_it_is():
    for far, n in ((0.5, 0), (7.0, 5)):
        kept, exploded = without_exploded(imagined(), torch.full((5,), far))
        assert exploded == n
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(kept[:4], imagined()[:4], strict=True))


def test_a_limit_that_nothing_reaches_changes_no_bit():
    loops = [ImaginationLoop(tiny(explosion_factor=factor), seed=3) for factor in (0, 10)]
    for loop in loops:
        run(loop, 52)
        assert loop.exploded == 0
    for ours, theirs in zip(*(loop.actor_critic.parameters() for loop in loops), strict=True):
        assert torch.equal(ours, theirs)


def test_what_explodes_is_counted_and_does_not_reach_the_policy():
    """One trajectory of the sixteen is blown up: the update is that of a batch in which another stands for it."""
    loop, other = (ImaginationLoop(tiny(), seed=3) for _ in range(2))
    for each in (loop, other):
        run(each, 44)
    states = loop.draw_states(16)
    plain = loop.imagine_from(states)
    blown = plain.observations.clone()
    blown[4, 3:] = 1e12
    loop.imagine_from = lambda first: plain._replace(observations=blown)
    metrics = loop._eager_improve_from(states)
    assert (metrics["exploded"], metrics["exploded_share"]) == (1, 1 / 16)
    rows = [0, 1, 2, 3, *range(5, 16), 0]
    other.imagine_from = lambda first: ImaginedTrajectories(*(part[rows] for part in plain[:4]))
    other._eager_improve_from(states)
    for ours, theirs in zip(loop.actor_critic.parameters(), other.actor_critic.parameters(), strict=True):
        assert torch.equal(ours, theirs)
