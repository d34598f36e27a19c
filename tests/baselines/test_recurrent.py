import torch

from polygrad_edu.baselines.recurrent import kl, symexp, symlog


def test_symlog_and_kl_by_their_definitions():
    x = torch.linspace(-50, 50, 101)
    torch.testing.assert_close(symexp(symlog(x)), x, atol=1e-4, rtol=1e-4)
    p, q = torch.randn(4, 3, 5).log_softmax(-1), torch.randn(4, 3, 5).log_softmax(-1)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=p), torch.distributions.Categorical(logits=q)
    ).sum(-1)
    torch.testing.assert_close(kl(p, q), expected)
