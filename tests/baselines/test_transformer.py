import torch

from polygrad_edu.baselines.transformer import CONTEXT, NextStepTransformer


def test_the_transformer_predicts_each_step_from_its_past():
    network = NextStepTransformer(2, 1, width=16, depth=1)
    observations, actions = torch.randn(3, CONTEXT, 2), torch.randn(3, CONTEXT, 1)
    following, _, _ = network(observations, actions)
    actions[:, 9] += 1
    changed = (network(observations, actions)[0] - following).abs().amax(dim=(0, 2))
    assert (changed[:9] == 0).all()
    assert changed[9] > 0
