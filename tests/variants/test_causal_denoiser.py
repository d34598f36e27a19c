import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polygrad_edu.variants.causal_denoiser import CausalMLPDenoiser


def influence(denoiser, what, at):
    """Entries [H, O+2] of the output that move when ``what``, trajectory or actions, changes at time ``at``."""
    inputs = {"trajectory": torch.randn(3, 5, 6), "actions": torch.randn(3, 5, 2)}
    changed = {name: value.clone() for name, value in inputs.items()}
    changed[what][:, at] += 1.0
    step = torch.tensor([4])
    return ((denoiser(**changed, step=step) - denoiser(**inputs, step=step)).abs() > 1e-7).any(dim=0)


@given(at=st.integers(0, 4))
@settings(deadline=None, max_examples=10)
def test_a_state_does_not_see_the_action_taken_there_nor_later_ones(at):
    moved = influence(CausalMLPDenoiser(5, 4, 2, width=60, depth=2), "actions", at)
    states, outcomes = moved[:, :4], moved[:, 4:]
    assert not states[: at + 1].any()
    assert states[at + 1 :].all()
    assert not outcomes[:at].any()
    assert outcomes[at:].all()  # the reward and the ending of the step itself do


@given(at=st.integers(0, 4))
@settings(deadline=None, max_examples=10)
def test_nothing_sees_the_noisy_future(at):
    moved = influence(CausalMLPDenoiser(5, 4, 2, width=60, depth=2), "trajectory", at)
    assert not moved[:at, :4].any()
    assert not moved[: max(at - 1, 0), 4:].any()
    assert moved[at:].all()


def test_the_step_matters_and_the_width_is_shared_among_the_groups():
    denoiser = CausalMLPDenoiser(5, 4, 2, width=64, depth=1)
    assert denoiser.enter.out_features == 60
    inputs = torch.randn(2, 5, 6), torch.randn(2, 5, 2)
    one, other = (denoiser(*inputs, torch.tensor([step])) for step in (1, 2))
    assert not torch.allclose(one, other)
    with pytest.raises(ValueError, match="width 5 must be at least the horizon's 5 time points plus one"):
        CausalMLPDenoiser(5, 4, 2, width=5)
