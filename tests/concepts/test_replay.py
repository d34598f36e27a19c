import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polygrad_edu.replay import Normaliser, SequenceReplay, Standardiser

numbers = st.floats(-1e4, 1e4, width=32)


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=numbers), st.data())
def test_statistics_do_not_depend_on_how_the_data_came(values, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    standardiser = Standardiser(3)
    for piece in np.split(values, cuts):
        standardiser.update(piece)
    standardiser.refresh()
    np.testing.assert_allclose(standardiser.mean, values.mean(0), rtol=1e-5, atol=1e-3)
    moving = values.min(0) < values.max(0)
    expected = values.std(0, dtype=np.float64) + 1e-6
    # what has never moved is measured like the rest
    expected[~moving] = np.median(expected[moving]) if moving.any() else 1
    np.testing.assert_allclose(standardiser.scale, expected, rtol=1e-4, atol=1e-3)


@given(hnp.arrays(np.float32, (10, 2), elements=numbers))
def test_normalising_is_undone(values):
    standardiser = Standardiser(2)
    standardiser.set(np.array([1.0, -20.0]), np.array([3.0, 0.5]))
    back = standardiser.denormalise(standardiser.normalise(torch.from_numpy(values)))
    torch.testing.assert_close(back, torch.from_numpy(values), rtol=1e-5, atol=1e-3)


def test_trajectories_keep_their_parts_in_place():
    normaliser = Normaliser(3, 1)
    normaliser.rewards.set(np.array([5.0]), np.array([2.0]))
    observations, rewards, terminals = torch.randn(4, 6, 3), torch.randn(4, 6), torch.ones(4, 6)
    back = normaliser.denormalise_trajectory(normaliser.normalise_trajectory(observations, rewards, terminals))
    for ours, given_ in zip(back, (observations, rewards, terminals), strict=True):
        torch.testing.assert_close(ours, given_)


def filled(episodes, horizon):
    """Episodes of (length, terminal); observation = [episode, time], action = time, reward = 1 + time."""
    replay = SequenceReplay(max(1, sum(length for length, _ in episodes)), horizon, Normaliser(2, 1), 1)
    for number, (length, terminal) in enumerate(episodes):
        for time in range(length):
            last = time == length - 1
            replay.add([number, time], [time], 1 + time, last and terminal, last and not terminal, [time])
    return replay


episode_lists = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=6)


@given(episode_lists, st.integers(2, 6))
def test_windows_never_leave_their_episode(episodes, horizon):
    replay = filled(episodes, horizon)
    starts = replay.starts[: replay.n_starts]
    windows = replay.windows(starts)
    observations, rewards, terminals = replay.normaliser.denormalise_trajectory(windows.trajectory)
    actions = replay.normaliser.actions.denormalise(windows.actions)
    expected_starts = 0
    for length, terminal in episodes:
        expected_starts += length if terminal else max(0, length - horizon + 1)
    assert len(starts) == len(set(starts.tolist())) == expected_starts
    for row in range(len(starts)):
        number, first = observations[row, 0].round().int().tolist()
        length, terminal = episodes[number]
        for step in range(horizon):
            time = min(first + step, length - 1)
            assert observations[row, step].round().int().tolist() == [number, time]
            assert round(actions[row, step, 0].item()) == time
            past = first + step >= length
            assert not past or terminal, "a window ran past a mere cut-off"
            assert round(rewards[row, step].item()) == (0 if past else 1 + time)
            assert round(terminals[row, step].item()) == (terminal and first + step >= length - 1)


@given(st.lists(episode_lists, min_size=2, max_size=3), st.integers(2, 6))
def test_environments_side_by_side_give_the_windows_that_each_gives_alone(lanes, horizon):
    """Each cut to the length of the shortest, because they take their steps together."""
    n = min(sum(length for length, _ in episodes) for episodes in lanes)
    alone, stories = [], []
    for place, episodes in enumerate(lanes):
        story = []
        for number, (length, ends) in enumerate(episodes):
            for time in range(length):
                last = time == length - 1
                story.append(([10 * place + number, time], [time], 1 + time, last and ends, last and not ends))
        story = story[:n]
        replay = SequenceReplay(n, horizon, Normaliser(2, 1))
        for row in story:
            replay.add(*row)
        alone.append(replay)
        stories.append(story)
    together = SequenceReplay(n * len(lanes), horizon, Normaliser(2, 1), n_envs=len(lanes))
    for rows in zip(*stories, strict=True):
        together.add(*(np.array(values) for values in zip(*rows, strict=True)), np.zeros((len(lanes), 0)))

    def windows(replay):
        found = replay.windows(replay.starts[: replay.n_starts])
        return {tuple(torch.cat([x.flatten(), a.flatten()]).tolist()) for x, a in zip(*found[:2], strict=True)}

    assert windows(together) == set().union(*(windows(replay) for replay in alone))
    assert together.n_starts == sum(replay.n_starts for replay in alone)


def test_an_unfinished_episode_can_already_be_learned_from():
    replay = SequenceReplay(20, 4, Normaliser(1, 1))
    for time in range(6):
        replay.add([time], [0], 0, False, False)
    assert replay.starts[: replay.n_starts].tolist() == [0, 1, 2]


def test_sampling_is_reproducible_and_reaches_every_start():
    replay = filled([(9, True), (8, False)], 4)
    draws = [replay.sample(500, torch.Generator().manual_seed(seed)).first_indices for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert set(draws[0].tolist()) == set(replay.starts[: replay.n_starts].tolist())


def test_statistics_count_when_they_are_refreshed():
    replay = filled([(9, True)], 4)
    assert replay.normaliser.observations.count == 0
    replay.refresh_normaliser()
    replay.refresh_normaliser()
    assert replay.normaliser.observations.count == 9
    assert replay.normaliser.rewards.mean.item() == pytest.approx(5.0)


def test_simulator_states_keep_every_digit():
    replay = SequenceReplay(2, 2, Normaliser(1, 1), 1)
    replay.add([0], [0], 0, False, False, [np.pi])
    assert replay.simulator_states[0].item() == np.pi


def test_a_full_and_an_empty_replay_say_so():
    replay = filled([(3, True)], 2)
    with pytest.raises(IndexError, match="made for 3"):
        replay.add([0, 0], [0], 0, False, False, [0])
    with pytest.raises(ValueError, match="no window of 5"):
        SequenceReplay(4, 5, Normaliser(1, 1)).sample(1, torch.Generator())


def test_what_has_never_moved_is_measured_like_the_rest():
    standardiser = Standardiser(4)
    random = np.random.default_rng(0)
    standardiser.update(np.column_stack([random.normal(0, scale, 500) for scale in (1.0, 3.0, 5.0)] + [np.ones(500)]))
    standardiser.refresh()
    assert standardiser.scale[3].item() == pytest.approx(np.median(standardiser.scale[:3].numpy()), rel=1e-5)
    assert standardiser.normalise(torch.tensor([0.0, 0.0, 0.0, 2.0]))[3].abs() < 1
    official = Standardiser(4, still_as_others=False)
    official.update(np.ones((5, 4)))
    official.refresh()
    torch.testing.assert_close(official.scale, torch.full((4,), 1e-6))
    nothing = Standardiser(2)
    nothing.update(np.ones((5, 2)))
    nothing.refresh()
    torch.testing.assert_close(nothing.scale, torch.ones(2) + 1e-6)


def test_what_has_never_moved_is_imagined_where_it_stands():
    replay = SequenceReplay(50, 3, Normaliser(2, 1))
    for i in range(40):
        replay.add(np.full(2, i), np.zeros(1), 0.0, False, False)
    replay.refresh_normaliser()
    normaliser = replay.normaliser
    imagined = 3 * torch.randn(7, 5, 4, generator=torch.Generator().manual_seed(0))
    observations, rewards, terminals = normaliser.denormalise_trajectory(imagined)
    assert observations.std() > 5
    torch.testing.assert_close(rewards, torch.zeros(7, 5), rtol=0, atol=2e-5)
    torch.testing.assert_close(terminals, torch.zeros(7, 5), rtol=0, atol=2e-5)
    # and the first end, read before the statistics know of it, is a number of ordinary size
    ended = normaliser.normalise_trajectory(torch.zeros(1, 1, 2), torch.zeros(1, 1), torch.ones(1, 1))
    assert ended[..., -1].item() == pytest.approx(1, rel=1e-5)


def test_a_surprise_is_a_value_far_outside_of_what_was_seen():
    replay = SequenceReplay(200, 3, Normaliser(2, 1))
    random = np.random.default_rng(0)
    for _ in range(100):
        replay.add(random.normal(size=2), np.zeros(1), random.normal(), False, False)
    replay.refresh_normaliser()
    calm, wild = np.array([[1.0, -2.0]]), np.array([[0.0, 500.0]])
    assert not replay.is_surprised(calm, np.array([1.0]))
    assert replay.is_surprised(wild, np.array([1.0]))
    assert replay.is_surprised(calm, np.array([-500.0]))
    replay.add(wild[0], np.zeros(1), 0.0, False, False)
    replay.refresh_normaliser()
    assert replay.normaliser.observations.normalise(torch.as_tensor(wild, dtype=torch.float32)).abs().max() < 11


def test_where_a_step_led_is_what_a_window_ends_in():
    """Past a terminal step stands the state that ended the episode, if it is kept; else the last acted in."""
    for keep in (False, True):
        replay = SequenceReplay(6, 3, Normaliser(1, 1))
        if keep:
            replay.keep_next_observations()
        for episode in range(2):
            for time in range(3):
                replay.add([10 * episode + time], [0.0], 1.0, time == 2, False)
                if keep:
                    replay.lead_to([10 * episode + time + 0.5 if time == 2 else 10 * episode + time + 1])
        windows = replay.windows(torch.tensor([0, 2, 4]))
        observations = replay.normaliser.denormalise_trajectory(windows.trajectory)[0][..., 0]
        ends = [2.5, 12.5] if keep else [2, 12]
        expected = [[0, 1, 2], [2, ends[0], ends[0]], [11, 12, ends[1]]]
        torch.testing.assert_close(observations, torch.tensor(expected, dtype=torch.float32))
        assert ("next_observations" in replay.tensors) == keep
