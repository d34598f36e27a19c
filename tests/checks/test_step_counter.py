"""Steps of the simulator counted, whoever made the environment."""

import numpy as np

from polygrad_edu import environments
from polygrad_edu.checks.step_counter import real_steps


def test_the_steps_of_every_pendulum_are_counted_while_an_answer_runs():
    before = environments.make("InvertedPendulum-v5", action_scale=1 / 3)
    before.reset(seed=0)
    with real_steps(lambda: 1) as steps:
        for _ in range(3):
            before.step(np.zeros(1, dtype=np.float32))
    assert steps == [3]
    before.step(np.zeros(1, dtype=np.float32))
    assert steps == [3]
