import pytest

from polygrad_edu.presets import PRESETS
from polygrad_edu.tasks.published_returns import REFERENCE_RETURNS, reference_sentence, references_for


def test_each_return_names_its_source_version_and_steps():
    assert len(REFERENCE_RETURNS) == len(set(REFERENCE_RETURNS)) == 12
    for reference in REFERENCE_RETURNS:
        assert reference.env_id[-3:] == {"CleanRL": "-v4", "RL Baselines3 Zoo": "-v3"}[reference.source]
        assert reference.env_steps == 1_000_000


@pytest.mark.parametrize(
    ("algorithm", "env_id", "mean"),
    [("PPO", "Hopper-v4", 2383), ("SAC", "HalfCheetah-v4", 9635), ("A2C", "Walker2d-v3", 582)],
)
def test_spot_checks(algorithm, env_id, mean):
    (found,) = [r for r in REFERENCE_RETURNS if (r.algorithm, r.env_id) == (algorithm, env_id)]
    assert found.mean == mean


def test_versions_are_never_mixed_silently():
    assert reference_sentence("Hopper-v5") == (
        "Published after 1,000,000 real steps: PPO 2,383, SAC 2,310 on Hopper-v4 (CleanRL, another version than "
        "Hopper-v5); A2C 733, TRPO 3,618 on Hopper-v3 (RL Baselines3 Zoo, another version than Hopper-v5)."
    )
    assert "SAC 2,310 on Hopper-v4 (CleanRL);" in reference_sentence("Hopper-v4")


def test_other_tasks_have_none():
    with_references = {preset.task.env_id for preset in PRESETS.values() if references_for(preset.task.env_id)}
    assert with_references == {"Hopper-v5", "Walker2d-v5", "HalfCheetah-v5"}
    assert reference_sentence("polygrad_edu/Walker2d-ET-v0") == ""
