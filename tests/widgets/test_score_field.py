"""The score field draws what the closed forms say, and refuses what is out of range."""

import math
import re

import numpy as np
import pytest
import torch

from polygrad_edu.tasks import road_fork
from polygrad_edu.widgets.score_field import ROUTES, score_field_frame

START = {"progress": 0.0, "eta": 1.0, "seed": 0}


def test_noise_is_guessed_into_the_wall_and_the_chain_leads_around_it():
    first, last = score_field_frame(**START), score_field_frame(**START | {"progress": 1.0})
    assert road_fork.hits_wall(first["seen"].T).all()
    assert f"{ROUTES} of {ROUTES} best guesses hit the wall" in first["text"]
    assert not road_fork.hits_wall(last["routes"].T).any()
    assert "and 0 of 60 best guesses hit the wall. In the end" in last["text"]
    assert torch.equal(last["left"].bool(), last["routes"][1] > 0)
    ends = [score_field_frame(1.0, 1.0, seed)["left"].float().mean().item() for seed in range(20)]
    assert np.mean(ends) == pytest.approx(2 / 3, abs=4 * math.sqrt(2 / 9 / (20 * ROUTES)))


def test_an_arrow_points_along_the_score():
    frame = score_field_frame(0.5, 1.0, 0)
    start, end = frame["arrows"][:2].T, frame["arrows"][2:].T
    alpha_bar = ((frame["ways"][0] / road_fork.WAYS[0]) ** 2).mean().item()
    along = torch.nn.functional.cosine_similarity(end - start, road_fork.score(start, alpha_bar))
    torch.testing.assert_close(along, torch.ones_like(along), atol=1e-4, rtol=0)
    assert (end - start).norm(dim=1).max() <= 0.4501


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"progress": 1.2}, "place in the chain must be a number from 0 to 1, not 1.2"),
        ({"eta": -0.5}, "share of fresh noise must be a number from 0 to 1, not -0.5"),
        ({"seed": 1.5}, "seed must be a whole number from 0 to 1000, not 1.5"),
    ],
)
def test_what_is_out_of_range_is_refused(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        score_field_frame(**(START | change))
