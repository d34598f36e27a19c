"""The state of a loop, taken from one and restored to another."""

import json
import math

import pytest
import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.runs.loop_state import restore, state_of
from tests.support.tiny_runs import assert_same, run, tiny


def copied(loop):
    """The state of a loop as a file would hold it: tensors of its own, and the rest through JSON."""
    tensors, state = state_of(loop)
    return {name: value.clone() for name, value in tensors.items()}, json.loads(json.dumps(state, allow_nan=False))


@pytest.mark.parametrize("changes", [{}, {"guidance": "gradient"}, {"world_model": "mlp-ensemble"}])
def test_a_restored_loop_goes_on_as_the_first_one(changes):
    first, other = (ImaginationLoop(tiny(**changes), seed=seed) for seed in (3, 4))
    run(first, 45)
    tensors, state = copied(first)
    run(first, 10)
    restore(other, tensors, state)
    other.seed = 3
    run(other, 10)
    assert_same(first, other)


def test_what_was_not_measured_yet_is_none_in_json():
    loop = ImaginationLoop(tiny(), seed=0)
    _, state = copied(loop)
    assert state["counters"]["last_eval"] is state["counters"]["best_return"] is None
    restore(loop, *copied(loop))
    assert math.isnan(loop.last_eval)
    assert loop.best_return == -math.inf


def test_a_state_of_another_kind_of_device_goes_on_from_a_seed_of_its_own():
    loops = [ImaginationLoop(tiny(), seed=3) for _ in range(2)]
    run(loops[0], 45)
    tensors, state = copied(loops[0])
    restore(loops[1], tensors, state | {"device": "cuda"})
    assert loops[1].generator.initial_seed() == 3 + 45
    assert torch.equal(loops[1].replay.observations[:45], loops[0].replay.observations[:45])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"env_step": 44}, "its counter says 44 steps, its replay holds 45"),
        ({"env_step": "45"}, "it holds '45' where a number belongs"),
        ({"env_step": True}, "it holds True where a number belongs"),
        ({"episode_returns": []}, r"it holds \[\] where 1 numbers belong"),
    ],
)
def test_counters_that_do_not_fit_are_refused(change, message):
    loop = ImaginationLoop(tiny(), seed=0)
    run(loop, 45)
    tensors, state = copied(loop)
    with pytest.raises(ValueError, match=message):
        restore(loop, tensors, state | {"counters": state["counters"] | change})


def test_a_smaller_network_is_refused():
    loop = ImaginationLoop(tiny(), seed=0)
    run(loop, 45)
    with pytest.raises(RuntimeError, match="size mismatch"):
        restore(ImaginationLoop(tiny(width=8), seed=0), *copied(loop))
