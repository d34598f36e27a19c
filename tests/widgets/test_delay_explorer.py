"""The delay explorer: the package's staggered sampler beside Gymnasium's pendulum."""

import re

import numpy as np
import pytest

from polygrad_edu.widgets.delay_explorer import N_POINTS, delay_frame


def test_the_dial_leads_from_all_at_once_to_one_after_the_other_and_the_error_falls():
    frames = [delay_frame(delay, 4, 1.0, 0) for delay in (0, 1, 2, 4)]
    assert [frame["levels"]["calls"] for frame in frames] == [4, 28, 52, 100]
    at_ten = [frame["errors"][9] for frame in frames]
    assert at_ten[0] > 10 * at_ten[1]
    assert at_ten[1] > at_ten[2]
    assert frames[0]["levels"]["made"] == [[0, 4]] * (N_POINTS - 1)
    assert frames[3]["levels"]["made"][:3] == [[0, 4], [4, 8], [8, 12]]
    assert "autoregressive diffusion" in frames[3]["text"]
    assert delay_frame(8, 4, 1.0, 0)["text"] == frames[3]["text"]  # more than there are visits is as many


def test_half_way_the_first_steps_are_clean_and_the_last_are_noise():
    frame, end = delay_frame(2, 4, 0.5, 0), delay_frame(2, 4, 1.0, 0)
    now, then = (each["heights"]["imagined"] for each in (frame, end))
    np.testing.assert_allclose(now[:, :11], then[:, :11], atol=1e-6)
    assert np.abs(now[:, 16:] - then[:, 16:]).mean() > 0.3
    np.testing.assert_allclose(frame["heights"]["real"], end["heights"]["real"])
    np.testing.assert_allclose(np.linalg.norm(frame["rods"]["real"], axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"delay": 0.5}, "the delay must be a whole number from 0 to 1000, not 0.5"),
        ({"visits": 129}, "the number of visits must be a whole number from 1 to 128, not 129"),
        ({"place": 1.1}, "the place in the chain must be a number from 0 to 1, not 1.1"),
        ({"seed": -1}, "the seed must be a whole number from 0"),
    ],
)
def test_what_is_no_setting_is_refused(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        delay_frame(**({"delay": 0, "visits": 4, "place": 1.0, "seed": 0} | change))
