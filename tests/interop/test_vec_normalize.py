"""Statistics that belong to a policy: taken along, or missed aloud."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.interop.outside_policies import from_stable_baselines3
from polygrad_edu.interop.vec_normalize import FEW

SMALL = {"PPO": {"n_steps": 64, "batch_size": 64}, "A2C": {}, "SAC": {"learning_starts": 10}}
KINDS = {"PPO": PPO, "A2C": A2C, "SAC": SAC}
STEPS = 128


def pendulum():
    return environments.make("Pendulum-v1")


def trained(kind, envs):
    return KINDS[kind]("MlpPolicy", envs, device="cpu", seed=0, **SMALL[kind]).learn(STEPS)


@pytest.fixture(scope="module", params=KINDS)
def saved(request, tmp_path_factory):
    """A model that was trained behind a VecNormalize, saved as the library's own documentation says."""
    directory = tmp_path_factory.mktemp(request.param)
    model = trained(request.param, VecNormalize(DummyVecEnv([pendulum]), clip_obs=2.0))
    model.save(directory / "model.zip")
    model.get_vec_normalize_env().save(directory / "statistics.pkl")
    return model, directory


@pytest.fixture(scope="module", params=KINDS)
def plain(request, tmp_path_factory):
    """A model that was trained on observations as they are."""
    directory = tmp_path_factory.mktemp(request.param)
    model = trained(request.param, DummyVecEnv([pendulum]))
    model.save(directory / "model.zip")
    return model, directory


def loaded(model, directory, **options):
    return type(model).load(directory / "model.zip", device="cpu", **options)


def acts_like(policy, other):
    observations = 3 * torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    return torch.equal(policy(observations).mean, other(observations).mean)


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return from_stable_baselines3(*arguments, **options)


def test_statistics_that_were_loaded_make_the_same_policy(saved):
    model, directory = saved
    statistics = VecNormalize.load(str(directory / "statistics.pkl"), DummyVecEnv([pendulum]))
    for again in (
        quietly(loaded(model, directory), statistics=statistics),
        quietly(loaded(model, directory, env=statistics)),
    ):
        assert acts_like(again, quietly(model))
        assert again.description["clip"] == 2.0


def test_a_model_without_its_statistics_says_so(saved):
    model, directory = saved
    with pytest.warns(UserWarning, match=r"pass the VecNormalize as statistics=") as told:
        again = from_stable_baselines3(loaded(model, directory))
    assert not acts_like(again, from_stable_baselines3(model))
    (warning,) = [each for each in told if "statistics" in str(each.message)]
    assert "\n" not in str(warning.message)
    assert warning.filename == __file__  # the line that can be changed


def test_statistics_that_have_seen_nothing_are_missed(saved):
    model, directory = saved
    fresh = VecNormalize(DummyVecEnv([pendulum]))
    with pytest.warns(UserWarning, match=r"learned from \d+ steps, of which the VecNormalize around it has no"):
        from_stable_baselines3(loaded(model, directory, env=fresh))
    assert FEW <= STEPS


def test_environments_that_are_attached_without_them_do_not_hide_it(tmp_path):
    model = trained("PPO", VecNormalize(DummyVecEnv([pendulum])))
    model.save(tmp_path / "model.zip")
    with pytest.warns(UserWarning, match="was trained behind a VecNormalize"):
        from_stable_baselines3(loaded(model, tmp_path, env=DummyVecEnv([pendulum])))


def test_a_model_that_saw_observations_as_they_are_is_not_doubted(plain):
    model, directory = plain
    again = quietly(loaded(model, directory, env=pendulum()))
    assert acts_like(again, quietly(model))
    if isinstance(model, SAC):  # its file does not tell
        with pytest.warns(UserWarning, match=r"no environments attached.*if there was none, load it with env="):
            from_stable_baselines3(loaded(model, directory))
    else:
        assert acts_like(quietly(loaded(model, directory)), quietly(model))


def test_statistics_of_rewards_alone_change_nothing(tmp_path):
    model = trained("PPO", VecNormalize(DummyVecEnv([pendulum]), norm_obs=False))
    model.save(tmp_path / "model.zip")
    again = quietly(loaded(model, tmp_path), statistics=model.get_vec_normalize_env())
    assert acts_like(again, quietly(model))
    assert torch.equal(again.observation_scale, torch.ones(3))


def test_wrappers_that_are_not_taken_along_are_named():
    for wrap, names in (
        (lambda: gymnasium.wrappers.NormalizeObservation(pendulum()), "NormalizeObservation"),
        (lambda: gymnasium.wrappers.RescaleObservation(pendulum(), np.float32(-1), np.float32(1)), "RescaleObs"),
    ):
        model = PPO("MlpPolicy", DummyVecEnv([wrap]), device="cpu", **SMALL["PPO"])
        with pytest.warns(UserWarning, match=f"was trained behind {names}.*it acts differently"):
            from_stable_baselines3(model)
    model = PPO("MlpPolicy", VecFrameStack(DummyVecEnv([pendulum]), 2), device="cpu", **SMALL["PPO"])
    with pytest.warns(UserWarning, match="was trained behind VecFrameStack"):
        from_stable_baselines3(model)


def test_wrappers_that_a_policy_does_not_see_are_not_named():
    def wrapped():
        env = gymnasium.wrappers.RecordEpisodeStatistics(environments.make("Pendulum-v1"))
        return gymnasium.wrappers.TransformReward(env, lambda reward: reward / 10)

    quietly(PPO("MlpPolicy", VecMonitor(DummyVecEnv([wrapped])), device="cpu", **SMALL["PPO"]))


class Trap:
    """Leaves a mark when a pickle that holds it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("as_text", [True, False])
def test_a_file_of_statistics_is_not_read_here_and_the_line_that_reads_it_is_given(tmp_path, as_text):
    statistics = VecNormalize(DummyVecEnv([pendulum]))
    statistics.trap = Trap(tmp_path / "mark")
    path = tmp_path / "statistics.pkl"
    statistics.save(str(path))
    model = PPO("MlpPolicy", pendulum(), device="cpu", **SMALL["PPO"])
    with pytest.raises(InputError, match=r"give statistics=VecNormalize\.load") as error:
        from_stable_baselines3(model, statistics=str(path) if as_text else path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "mark").exists()


def test_what_is_no_statistics_is_refused():
    with pytest.raises(InputError, match="statistics of the kind dict hold no means"):
        from_stable_baselines3(PPO("MlpPolicy", pendulum(), device="cpu", **SMALL["PPO"]), statistics={"mean": 3})
