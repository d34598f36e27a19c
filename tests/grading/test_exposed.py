"""Names that a student's process may read of what it is handed: those of the course, and no way out of them."""

import pytest

from polygrad_edu.actor_critic import GaussianPolicy
from polygrad_edu.course.loop_parts import PENDULUM, LineWorld, make_parts
from polygrad_edu.grading.exposed import may_use


def test_what_right_answers_use_may_be_used():
    env = LineWorld()
    parts = make_parts(env, PENDULUM, 0)
    for value, names in (
        (env, "reset step action_space observation_space"),
        (env.action_space, "shape low high"),
        (parts.replay, "add draw observations n_starts refresh_normaliser"),
        (parts.world_model, "fit imagine window adapt_guidance"),
        (parts.actor_critic, "policy"),
        (parts.actor_critic.policy, "std mean log_std"),
    ):
        assert all(may_use(value, name) and hasattr(value, name) for name in names.split())


@pytest.mark.parametrize("name", ["__globals__", "__class__", "save", "register_forward_hook", "apply", "_modules"])
def test_nothing_leads_out_of_an_object(name):
    assert not may_use(GaussianPolicy(1, 1, 4, 0.5, 0.1), name)


def test_a_function_or_class_has_nothing_to_read():
    assert not may_use(lambda: 1, "step")
    assert not may_use(GaussianPolicy, "mean")
