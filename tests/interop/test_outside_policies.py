import json
import math

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.interop.outside_policies import (
    FORMAT,
    MLPPolicy,
    SquashedGaussian,
    check_policy_fits,
    from_stable_baselines3,
    load_policy,
    save_policy,
)
from polygrad_edu.replay import Normaliser, SequenceReplay
from polygrad_edu.score_guidance import actions_from_noise, policy_score, standardise_actions
from polygrad_edu.world_model import PolyGRAD
from tests.support.generators import untouched
from tests.support.tiny_runs import tiny


def pendulum():
    return environments.make("Pendulum-v1")


@pytest.fixture(scope="module")
def ppo():
    envs = VecNormalize(DummyVecEnv([pendulum] * 2))
    model = PPO("MlpPolicy", envs, n_steps=256, seed=0, device="cpu")
    return model.learn(1000)


@pytest.fixture(scope="module")
def sac():
    return SAC("MlpPolicy", pendulum(), seed=0, device="cpu", policy_kwargs={"net_arch": [32, 32]}).learn(300)


@pytest.fixture(scope="module")
def pendulum_observations():
    env = pendulum()
    rows = [env.reset(seed=0)[0]] + [env.step(np.array([np.sin(i)]))[0] for i in range(30)]
    return torch.as_tensor(np.array(rows), dtype=torch.float32)


def test_a_ppo_policy_is_copied_exactly(ppo, pendulum_observations):
    ours = from_stable_baselines3(ppo)(pendulum_observations)
    normed = torch.as_tensor(ppo.get_vec_normalize_env().normalize_obs(pendulum_observations.numpy()))
    theirs = ppo.policy.get_distribution(normed.float())
    actions = theirs.mode() + 0.3
    torch.testing.assert_close(ours.mean, theirs.mode())
    torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions))


def test_far_observations_are_clipped_as_vec_normalize_does():
    envs = VecNormalize(DummyVecEnv([pendulum]), clip_obs=1.5)
    model = PPO("MlpPolicy", envs, n_steps=64, seed=0, device="cpu").learn(64)
    far = torch.tensor([[30.0, -30.0, 80.0], [0.1, 0.2, -50.0]])
    normed = torch.as_tensor(envs.normalize_obs(far.numpy())).float()
    assert normed.abs().max() == 1.5
    torch.testing.assert_close(from_stable_baselines3(model)(far).mean, model.policy.get_distribution(normed).mode())


def test_a_sac_policy_is_copied_exactly(sac, pendulum_observations):
    ours, actor = from_stable_baselines3(sac)(pendulum_observations), sac.policy.actor
    mean, log_std, _ = actor.get_action_dist_params(pendulum_observations)
    torch.testing.assert_close(torch.tanh(ours.loc), actor(pendulum_observations, deterministic=True))
    torch.testing.assert_close(ours.scale, log_std.exp())
    actions = torch.tanh(mean + 0.5 * log_std.exp())
    theirs = actor.action_dist.proba_distribution(mean, log_std).log_prob(actions)
    torch.testing.assert_close(ours.log_prob(actions), theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["ppo", "sac"])
@pytest.mark.parametrize("guidance", ["fixed-noise", "gradient"])
def test_it_guides_a_world_model(request, kind, guidance):
    policy = from_stable_baselines3(request.getfixturevalue(kind))
    env, generator = pendulum(), torch.Generator().manual_seed(0)
    rule = {"guidance": guidance, "precondition": True, "guidance_scale": 0.03, "guidance_tuning_rate": 0.1}
    preset = tiny("pendulum", width=64, batch_size=64, **rule)
    replay = SequenceReplay(1000, preset.world_model.horizon, Normaliser(3, 1))
    for episode in range(5):
        observation, _ = env.reset(seed=episode)
        for step in range(200):
            distribution = policy(torch.as_tensor(observation))
            action = actions_from_noise(distribution, torch.randn(1, generator=generator)).numpy()
            following, reward, terminal, truncated, _ = env.step(action)
            replay.add(observation, action, reward, terminal, truncated or step == 199)
            observation = following
    replay.refresh_normaliser()
    model = PolyGRAD(preset, replay.normaliser, generator)
    for _ in range(200):
        model.fit(replay)
    for _ in range(60):
        imagined = model.imagine(replay.observations[:256], policy, preset.world_model.horizon)
        standardised = standardise_actions(imagined.actions, policy(imagined.observations))
        model.adapt_guidance(standardised.std())
    assert torch.isfinite(standardised).all()
    # asked at states that were not quite denoised, hence not exactly 0 and 1
    assert standardised.mean().abs() < 0.15
    assert standardised.std() == pytest.approx(1, abs=0.15)


def test_the_score_of_a_squashed_policy_needs_autograd(sac, ppo, pendulum_observations):
    squashed, gaussian = (from_stable_baselines3(model)(pendulum_observations) for model in (sac, ppo))
    actions = 0.5 * torch.ones(31, 1)
    with pytest.raises(ValueError, match="use the score 'autograd'"):
        policy_score(squashed, actions)
    torch.testing.assert_close(policy_score(gaussian, actions), policy_score(gaussian, actions, "autograd"))
    step = 1e-3
    rise = (squashed.log_prob(actions + step) - squashed.log_prob(actions - step)) / (2 * step)
    torch.testing.assert_close(policy_score(squashed, actions, "autograd")[:, 0], rise, atol=0.05, rtol=0.01)


def test_moments_of_a_squashed_gaussian():
    loc, scale = torch.tensor([[0.0, 0.5, -2.0]]), torch.tensor([[1.0, 0.3, 0.8]])
    ours = SquashedGaussian(loc, scale)
    drawn = torch.tanh(loc + scale * torch.randn(400_000, 3))
    torch.testing.assert_close(ours.mean[0], drawn.mean(0), atol=5e-3, rtol=0)
    torch.testing.assert_close(ours.stddev[0], drawn.std(0), atol=5e-3, rtol=0)
    torchs = TransformedDistribution(Normal(loc, scale), [TanhTransform()])
    actions = torch.tensor([[0.3, -0.2, 0.9]])
    torch.testing.assert_close(ours.log_prob(actions), torchs.log_prob(actions).sum(-1))


@pytest.mark.parametrize("scale", [0.05, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("loc", [-6.0, -1.0, 0.0, 3.0])
def test_moments_of_a_squashed_gaussian_also_where_tanh_is_flat_or_steep(loc, scale):
    ours = SquashedGaussian(torch.tensor([loc]), torch.tensor([scale]))
    points = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    weights = torch.exp(-(points**2) / 2) / math.sqrt(2 * math.pi) * (points[1] - points[0])
    squashed = torch.tanh(loc + scale * points)
    mean = (squashed * weights).sum()
    std = ((squashed - mean) ** 2 * weights).sum().sqrt()
    assert ours.mean.item() == pytest.approx(mean.item(), abs=2e-4)
    assert ours.stddev.item() == pytest.approx(std.item(), abs=2e-4, rel=1e-3)
    if std < 2e-4:  # an absolute tolerance alone would accept anything
        assert ours.stddev.item() == pytest.approx(std.item(), rel=0.2)


def test_noise_and_actions_stand_for_each_other():
    squashed = SquashedGaussian(torch.zeros(5, 2), torch.ones(5, 2))
    noise = torch.randn(5, 2)
    torch.testing.assert_close(
        standardise_actions(actions_from_noise(squashed, noise), squashed), noise, atol=1e-3, rtol=1e-3
    )
    assert torch.isfinite(standardise_actions(torch.tensor([[1.0, -1.0]]), squashed)).all()


@pytest.mark.parametrize("kind", ["ppo", "sac"])
def test_a_policy_survives_its_file(request, kind, tmp_path, pendulum_observations):
    policy = from_stable_baselines3(request.getfixturevalue(kind))
    save_policy(policy, tmp_path / "policy.safetensors")
    again = load_policy(tmp_path / "policy.safetensors")
    assert torch.equal(again(pendulum_observations).mean, policy(pendulum_observations).mean)
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_files_that_are_no_policies_are_refused_in_one_line(tmp_path):
    path = tmp_path / "policy.safetensors"
    with pytest.raises(InputError, match="is not a policy file"):
        load_policy(path)
    path.write_bytes(b"not a policy")
    with pytest.raises(InputError, match="is not a policy file"):
        load_policy(path)
    broken = MLPPolicy([3, 4, 1], "tanh", squashed=False)
    broken.mean_head.weight[0, 0] = math.nan
    save_policy(broken, path)
    with pytest.raises(InputError, match="numbers that are not finite"):
        load_policy(path)
    good = path.read_bytes()
    path.write_bytes(good[:-4])
    with pytest.raises(InputError, match="is not a policy file") as error:
        load_policy(path)
    assert "\n" not in str(error.value)


def test_policies_that_cannot_be_copied_say_why():
    with pytest.raises(InputError, match=r"not in -1 to 1: train it on polygrad_edu\.environments\.make"):
        from_stable_baselines3(A2C("MlpPolicy", gymnasium.make("Pendulum-v1"), device="cpu"))
    with pytest.raises(InputError, match="DQN with DQNPolicy acts in Discrete"):
        from_stable_baselines3(DQN("MlpPolicy", "CartPole-v1", device="cpu", buffer_size=10))
    with pytest.raises(InputError, match="state-dependent exploration"):
        from_stable_baselines3(PPO("MlpPolicy", pendulum(), use_sde=True, device="cpu"))
    leaky = PPO("MlpPolicy", pendulum(), policy_kwargs={"activation_fn": torch.nn.LeakyReLU}, device="cpu")
    with pytest.raises(InputError, match="hidden layers with Tanh or ReLU") as error:
        from_stable_baselines3(leaky)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="a str is no Stable-Baselines3 model"):
        from_stable_baselines3("model.zip")


class Doubled(BaseFeaturesExtractor):
    def __init__(self, space):
        super().__init__(space, 3)

    def forward(self, observations):
        return 2 * observations


def test_a_policy_that_sees_other_than_observations_is_refused():
    model = PPO("MlpPolicy", pendulum(), policy_kwargs={"features_extractor_class": Doubled}, device="cpu")
    with pytest.raises(InputError, match="extracts features with Doubled"):
        from_stable_baselines3(model)


@pytest.mark.parametrize(
    ("description", "tensors", "message"),
    [
        ({"clip": None}, {}, "clip must be a positive number"),
        ({"clip": math.nan}, {}, "it holds NaN, which JSON does not know"),
        ({"clip": -1.0}, {}, "clip must be a positive number"),
        ({"squashed": "no"}, {}, "squashed must be true or false"),
        ({"activation": "gelu"}, {}, "activation 'gelu' is none of tanh, relu"),
        ({"sizes": [3, -4, 1]}, {}, "positive whole numbers"),
        ({"sizes": []}, {}, "positive whole numbers"),
        ({"sizes": [3, 5, 1]}, {}, "size mismatch for body.0.weight"),
        ({}, {"observation_scale": torch.zeros(3)}, "scale that is not positive"),
        ({}, {"log_std": torch.full((1,), 1000.0)}, "its spread is not finite"),
    ],
)
def test_a_policy_file_whose_parts_do_not_fit_says_which(tmp_path, description, tensors, message):
    policy, path = MLPPolicy([3, 4, 1], "tanh", squashed=False, clip=10.0), tmp_path / "policy.safetensors"
    metadata = {"format": FORMAT, "policy": json.dumps(policy.description | description)}
    save_file({**policy.state_dict(), **tensors}, path, metadata=metadata)
    with pytest.raises(InputError, match=message) as error:
        load_policy(path)
    assert "\n" not in str(error.value)


def policy_of(sizes):
    return MLPPolicy(sizes, "tanh", squashed=False)


@pytest.mark.parametrize("kind", ["polygrad", "mlp-ensemble", "transformer"])
def test_a_policy_of_another_size_is_refused_where_it_meets_the_task(kind):
    loop = ImaginationLoop(tiny(world_model=kind), seed=0)
    said = "the policy takes 9 observations, the task has 4"
    with pytest.raises(InputError, match=said):
        loop.world_model.imagine(torch.randn(3, 4), policy_of([9, 8, 1]), loop.preset.world_model.horizon)
    with pytest.raises(InputError, match=said):
        environments.evaluate(loop.make_env, policy_of([9, 8, 1]), 1, 0)


@pytest.mark.parametrize("sizes", [[9, 8, 1], [3, 8, 2], [1, 8, 3]])
def test_a_policy_is_judged_by_both_of_its_sizes(sizes):
    said = f"mine takes {sizes[0]} observations and {sizes[-1]} actions; Pendulum-v1 has 3 and 1"
    with pytest.raises(InputError, match=f"^{said}$"):
        check_policy_fits(policy_of(sizes), "mine", "Pendulum-v1", 3, 1)
    check_policy_fits(policy_of([3, 8, 8, 1]), "mine", "Pendulum-v1", 3, 1)


def test_copying_and_loading_draw_no_random_numbers_of_others(ppo, sac, tmp_path):
    with untouched():
        for model in (ppo, sac):
            save_policy(from_stable_baselines3(model), tmp_path / "policy.safetensors")
            load_policy(tmp_path / "policy.safetensors")


def test_a_model_or_a_pickle_is_told_from_a_policy_and_not_run(ppo, tmp_path):
    ppo.save(tmp_path / "model.zip")
    with pytest.raises(
        InputError, match=r"model\.zip is not a policy file: it is a zip archive.*from_stable_baselines3"
    ):
        load_policy(tmp_path / "model.zip")
    ppo.get_vec_normalize_env().save(tmp_path / "statistics.pkl")
    with pytest.raises(InputError, match=r"statistics\.pkl is not a policy file"):
        load_policy(tmp_path / "statistics.pkl")


def test_a_policy_that_git_lfs_did_not_fetch_says_so(tmp_path):
    path = tmp_path / "policy.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 577520\n")
    with pytest.raises(InputError, match=f"^{path} is a Git LFS pointer, not the file: run git lfs pull$"):
        load_policy(path)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"format": "polygrad-edu policy 2"}, "was written by a newer polygrad-edu: upgrade"),
        ({"format": "something else", "version": "99.1"}, r"was written by a newer polygrad-edu \(99\.1\): upgrade"),
        ({"format": "something else"}, "is not a policy file: it was not written by save_policy"),
    ],
)
def test_a_policy_from_later_times_says_so(tmp_path, metadata, said):
    policy, path = policy_of([3, 4, 1]), tmp_path / "policy.safetensors"
    described = {"format": FORMAT, "policy": json.dumps(policy.description | {"clip": 1.0})}
    save_file(policy.state_dict(), path, metadata=described | metadata)
    with pytest.raises(InputError, match=said):
        load_policy(path)


def test_a_policy_of_before_versions_were_written_is_read(tmp_path):
    policy, path = policy_of([3, 4, 1]), tmp_path / "policy.safetensors"
    described = {"format": FORMAT, "policy": json.dumps(policy.description | {"clip": 1.0})}
    save_file(policy.state_dict(), path, metadata=described)
    assert load_policy(path).description["sizes"] == [3, 4, 1]
