"""Every Box task of Gymnasium's MuJoCo and classic control families, from its first step to its film."""

import math

import pytest

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from tests.support.every_task import TASKS, examine, largest_difference

NOT_THERE = ["Pusher-v4"]  # Gymnasium supports it with MuJoCo 2 only
EXACT = [task for task in TASKS if task not in NOT_THERE]


@pytest.mark.parametrize("env_id", EXACT)
def test_a_task_goes_on_from_its_state_to_the_last_bit(env_id):
    assert largest_difference(env_id) == 0


@pytest.mark.usefixtures("short_episodes")
@pytest.mark.parametrize("env_id", EXACT)
def test_a_task_is_trained_resumed_evaluated_filmed_and_measured(env_id, tmp_path):
    row = examine(env_id, 60, tmp_path)
    assert row["resume"] == "same bits"
    assert row["video"] == "drawn"
    assert math.isfinite(float(row["error 3 ahead"]))


@pytest.mark.parametrize("env_id", NOT_THERE)
def test_a_task_that_is_not_there_is_refused_in_one_line(env_id):
    with pytest.raises(InputError, match="only supported on") as error:
        environments.make(env_id)
    assert "\n" not in str(error.value)
