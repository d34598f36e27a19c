import torch
from hypothesis import given
from hypothesis import strategies as st

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.imagined_trajectories import ImaginedTrajectories
from polygrad_edu.replay import Standardiser
from tests.support.tiny_runs import run, tiny


def numbered(batch, horizon, start=0):
    """Trajectories [B, H] with a different number at every place of every part, from ``start`` on."""
    sizes = {"observations": (3,), "actions": (2,), "rewards": (), "terminals": ()}
    parts = []
    for size in sizes.values():
        shape = (batch, horizon, *size)
        n = torch.Size(shape).numel()
        parts.append(torch.arange(start, start + n, dtype=torch.float64).reshape(shape))
        start += n
    return ImaginedTrajectories(*parts)


def shape(trajectories):
    """B and H, after checking that all parts have them."""
    (found,) = {part.shape[:2] for part in trajectories}
    return tuple(found)


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


sizes = st.integers(1, 5)


# ---- joining and cutting ----


@given(st.lists(sizes, min_size=1, max_size=4), sizes)
def test_a_batch_of_batches_holds_each_in_its_place(batches, horizon):
    parts = [numbered(batch, horizon, start=1000 * number) for number, batch in enumerate(batches)]
    whole = ImaginedTrajectories.batch(parts)
    assert shape(whole) == (sum(batches), horizon)
    place = 0
    for batch, part in zip(batches, parts, strict=True):
        assert equal(whole.rows(torch.arange(place, place + batch)), part)
        place += batch


@given(sizes, st.lists(st.integers(2, 6), min_size=1, max_size=4))
def test_blocks_in_a_row_share_a_time_point_which_is_the_later_ones(batch, horizons):
    blocks = [numbered(batch, horizon, start=1000 * number) for number, horizon in enumerate(horizons)]
    whole = ImaginedTrajectories.chain(blocks)
    assert shape(whole) == (batch, sum(horizons) - (len(horizons) - 1))
    first = 0
    for block, horizon in zip(blocks, horizons, strict=True):
        own = horizon if block is blocks[-1] else horizon - 1
        there = whole.map(lambda part, first=first, own=own: part[:, first : first + own])
        assert equal(there, block.up_to(own))
        first += own


@given(sizes, sizes, st.integers(1, 7))
def test_up_to_a_horizon_only_the_beginning_is_kept(batch, horizon, wanted):
    whole = numbered(batch, horizon)
    cut = whole.up_to(wanted)
    assert shape(cut) == (batch, min(horizon, wanted))
    assert equal(cut, whole.map(lambda part: part[:, :wanted]))
    assert equal(cut.up_to(1), whole.up_to(1))


@given(sizes, sizes, st.data())
def test_rows_are_taken_in_the_order_that_they_are_named_in(batch, horizon, data):
    whole = numbered(batch, horizon)
    chosen = data.draw(st.lists(st.integers(0, batch - 1), min_size=1, max_size=8))
    taken = whole.rows(torch.tensor(chosen))
    assert shape(taken) == (len(chosen), horizon)
    for place, row in enumerate(chosen):
        assert equal((part[place] for part in taken), (part[row] for part in whole))


@given(sizes, st.integers(2, 5), st.data())
def test_joining_and_cutting_commute(batch, horizon, data):
    """Rows of a chain are the chain of the rows, and a cut batch is the batch of the cut parts."""
    blocks = [numbered(batch, horizon, start=1000 * number) for number in range(3)]
    chosen = torch.tensor(data.draw(st.lists(st.integers(0, batch - 1), min_size=1, max_size=8)))
    by_rows = [block.rows(chosen) for block in blocks]
    assert equal(ImaginedTrajectories.chain(blocks).rows(chosen), ImaginedTrajectories.chain(by_rows))
    cut = [block.up_to(horizon - 1) for block in blocks]
    assert equal(ImaginedTrajectories.batch(blocks).up_to(horizon - 1), ImaginedTrajectories.batch(cut))


# ---- those that explode ----


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


def through(observations):
    """Trajectories through these states [B, H, O], without actions, rewards or an end."""
    silence = torch.zeros(observations.shape[:2])
    return ImaginedTrajectories(observations, silence[..., None], silence, silence)


def test_reach_is_measured_by_what_was_seen():
    observations = torch.tensor([[[1.0, 5.0], [3.0, 5.0]], [[1.0, 5.0], [21.0, 5.0]], [[1.0, 5.0], [-39.0, 5.0]]])
    expected = torch.tensor([0.1, 1.0, 2.0])  # the limit lies 10 * 2 from the mean of 1
    trajectories = through(observations)
    torch.testing.assert_close(trajectories.reach(seen(), 10.0), expected, atol=1e-5, rtol=1e-5)
    assert not trajectories.reach(seen(), 0.0).any()  # no limit
    observations[1, 0, 0] = float("nan")
    for factor in (0.0, 10.0):
        assert trajectories.reach(seen(), factor)[1].isnan()


def test_nothing_is_bounded_before_anything_was_seen():
    assert through(torch.full((1, 2, 3), 1e30)).reach(Standardiser(3), 10.0) < 1


def test_the_exploded_make_room_for_the_first_of_the_others():
    whole = numbered(5, 2)
    kept, exploded = whole.without_exploded(torch.tensor([0.1, 2.0, 1.0, float("nan"), 0.3]))
    assert exploded == 2
    assert equal(kept, whole.rows(torch.tensor([0, 2, 4, 0, 2])))


def test_where_none_or_all_explode_the_batch_stays_as_it_is():
    whole = numbered(5, 2)
    for far, n in ((0.5, 0), (7.0, 5)):
        kept, exploded = whole.without_exploded(torch.full((5,), far))
        assert exploded == n
        assert equal(kept, whole)


@given(st.lists(st.sampled_from([0.5, 1.0, 1.5, float("nan"), float("inf")]), min_size=1, max_size=9))
def test_a_batch_keeps_its_size_and_holds_only_what_did_not_explode(reach):
    whole = numbered(len(reach), 2)
    kept, exploded = whole.without_exploded(torch.tensor(reach))
    fine = [row for row, far in enumerate(reach) if far <= 1]
    assert exploded == len(reach) - len(fine)
    rows = [fine[place % len(fine)] for place in range(len(reach))] if fine else list(range(len(reach)))
    assert equal(kept, whole.rows(torch.tensor(rows)))


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
    rows = torch.tensor([0, 1, 2, 3, *range(5, 16), 0])
    other.imagine_from = lambda first: plain.rows(rows)
    other._eager_improve_from(states)
    for ours, theirs in zip(loop.actor_critic.parameters(), other.actor_critic.parameters(), strict=True):
        assert torch.equal(ours, theirs)
